"""Which labels are known when a prediction is made: the rule in words, and the audit that enforces it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.app.draft import draft
from backmix.app.outcome import show_bundle
from backmix.data.reported import report_name, report_tag, seconds
from backmix.data.sources import ReadPlan
from backmix.data.table import Table
from backmix.data.windows import origins
from backmix.data.windows.windows import Known, Windows
from backmix.errors import LeakageError, PlanError
from backmix.results.run import Run
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.scoring.leakage.availability import audit_labels, rule, text
from backmix.tasks.shared.past_targets import PastTargets
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from small import reading, small_plan, small_table, small_task

PAST = {"kind": "soft_sensor", "target": "quality"}


def with_reports(late: int, *, every: int = 1) -> Table:
    """The small table, its quality sampled every so many minutes and reported ``late`` minutes later."""
    table = small_table()
    assert table.time is not None
    there = np.arange(len(table)) % every == 0
    values = np.array(table.values)
    values[~there, 3] = np.nan
    told = np.where(there, seconds(np.asarray(table.time)) + 60.0 * late, np.nan)
    return replace(table, values=values).with_columns([report_tag("quality")], told)


def ready(table: Table | None = None, **past: Any) -> Prepared:
    """The windows of a soft sensor with these past targets."""
    plan = small_plan(task=PAST | ({"past_targets": past} if past else {}))
    return prepare(reading(small_table() if table is None else table), plan)


def shown(prepared: Prepared, known: Known) -> Prepared:
    """The same run with test windows that show the past in another way than the plan says."""
    test = prepared.test
    return replace(prepared, test=replace(test, spec=replace(test.spec, known=known)))


@pytest.mark.parametrize(
    ("past", "said"),
    [
        ({}, "Past values of quality are never shown to it, so it needs no analyser and no laboratory to run."),
        (
            {"delay": "5min", "count": 2},
            "Past values of quality are shown to it only when they are at least 5 rows (5 min) old: newer ones would not "
            "yet be known in the plant. A window shows 2 of these values for each target, at its newest rows; between two "
            "results the last one is held.",
        ),
    ],
)
def test_the_rule_of_a_soft_sensor(past: dict[str, Any], said: str) -> None:
    prepared = ready(**past)
    found = rule(prepared.task, prepared.preprocessing.spec, prepared.preprocessing.step, table=prepared.table)
    assert text(found) == said
    assert text(found, "zh_TW") != said


def test_the_rule_of_reported_values_says_how_late_they_came() -> None:
    prepared = ready(with_reports(7, every=4), known="reported", count=1)
    said = text(rule(prepared.task, prepared.preprocessing.spec, prepared.preprocessing.step, table=prepared.table))
    assert "the newest sample whose result had been reported by then" in said
    assert "From sample to report it took 7 min in the middle and 7 min at most." in said
    assert said.endswith("105 of 420 rows carry a label: only those are learned from and judged.")


def test_dead_time_makes_known_values_older() -> None:
    """The newest row of such a window lies before the prediction, and what is known is known from there."""
    plan = small_plan(task=PAST | {"past_targets": {"delay": 3}}, windows={"dead_time": 2})
    prepared = prepare(reading(small_table()), plan)
    assert "at least 5 rows (5 min) old" in text(rule(prepared.task, prepared.preprocessing.spec, 60.0))
    assert audit_labels(prepared)[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fault_diagnosis", "The label state itself is never shown to it."),
        ("anomaly_detection", "The labels state only say which rows are normal"),
        ("forecast", "Past values of quality are inputs up to and including the row of the prediction itself"),
        ("batch_quality", "quality of a batch is known only when the batch has ended"),
        ("batch_end_time", "is counted backwards from the end, so nobody knows it while a prediction is made"),
        ("remaining_life", "is counted backwards from the end, so nobody knows it while a prediction is made"),
        ("soft_sensor", "Past values of quality are shown to it only when they are at least 3 rows (3 min) old"),
    ],
)
def test_every_task_says_its_rule_and_keeps_it(name: str, said: str) -> None:
    table, plan = small_task(name)
    prepared = prepare(reading(table), plan)
    found = rule(prepared.task, prepared.preprocessing.spec, prepared.preprocessing.step, table=prepared.table)
    assert said in text(found, "en")
    assert re.search("[\u4e00-\u9fff]", text(found, "zh_TW"))
    assert " rows" not in text(found, "zh_TW")
    passed, key, _ = audit_labels(prepared)
    assert (passed, key) == (True, "rules.leak_known" if prepared.preprocessing.spec.known else "rules.leak_unseen")


@given(st.integers(1, 9), st.sampled_from([None, 1, 4]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_delay_that_is_kept_passes_and_one_row_less_does_not(delay: int, count: int | None, clock: bool) -> None:
    """Law: the audit agrees with the delay of the plan, to the row, in rows and in minutes."""
    prepared = ready(delay=f"{delay}min" if clock else delay, count=count)
    assert audit_labels(prepared)[0]
    if delay > 1:
        assert audit_labels(shown(prepared, Known(delay - 1, count)))[1] == "rules.leak_early"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_reports_that_come_when_they_like_are_kept(seed: int) -> None:
    """Law: what the windows show by the report times passes; the same windows with later reports do not."""
    rng = np.random.default_rng(seed)
    table = with_reports(1, every=3)
    values = np.array(table.values)
    values[:, -1] += 60.0 * rng.integers(0, 9, len(table))
    table = replace(table, values=values)
    prepared = ready(table, known="reported")
    assert audit_labels(prepared)[0]
    later = np.array(prepared.test.table.values)
    later[:, prepared.test.table.index(report_name("quality"))] += 3600.0
    test = replace(prepared.test, table=replace(prepared.test.table, values=later))
    assert audit_labels(replace(prepared, test=test))[1] == "rules.leak_early"


def test_a_delay_one_row_too_short_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Course item 64: a fault in the windows themselves is found, for the audit does not ask them."""
    honest = PastTargets.in_rows
    monkeypatch.setattr(
        PastTargets,
        "in_rows",
        lambda self, targets, step: replace(honest(self, targets, step), delay=honest(self, targets, step).delay - 1),
    )
    with pytest.raises(LeakageError) as fault:
        fit(
            small_table(),
            small_plan(task=PAST | {"past_targets": {"delay": "3min"}}),
            folder=tmp_path / "run",
            quiet=True,
        )
    assert re.fullmatch(
        r"small — row \d+ is shown the value of quality sampled at row \d+, which had not been reported by then "
        r"\(\d+ such rows in the test part\). Use the delay from sample to report: \[task\] past_targets = "
        r"\{ delay = ... \}, or known = \"reported\"",
        str(fault.value),
    )
    assert fault.value.exit_code == 4
    assert not (tmp_path / "run").exists()


def test_reports_read_one_row_too_early_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = origins.shown_rows

    def early(table: Table, label: str, report: str, segment: Any) -> Any:
        return np.append(honest(table, label, report, segment)[1:], -1)

    monkeypatch.setattr(origins, "shown_rows", early)
    plan = small_plan(task=PAST | {"past_targets": {"known": "reported", "count": 1}})
    with pytest.raises(LeakageError, match="had not been reported by then"):
        fit(with_reports(4), plan, folder=tmp_path / "run", quiet=True)


def test_an_answer_among_the_inputs_is_found() -> None:
    """A forecast that knows one row more than there is; a target that is an input as well."""
    table, plan = small_task("forecast")
    prepared = prepare(reading(table), plan)
    test = replace(prepared.test, target_rows=prepared.test.target_rows - 3)
    passed, key, values = audit_labels(replace(prepared, test=test))
    assert (passed, key) == (False, "rules.leak_answer")
    assert values["target"] == "quality"
    prepared = ready()
    spec = replace(prepared.test.spec, inputs=(*prepared.test.spec.inputs, "quality"))
    assert audit_labels(replace(prepared, test=replace(prepared.test, spec=spec)))[1] == "rules.leak_input"


def test_windows_that_show_something_else_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Windows._add_known

    def shifted(self: Windows, out: Any, first: Any) -> None:
        honest(self, out, first)
        out += np.float32(0.5)

    prepared = ready(delay=3)
    monkeypatch.setattr(Windows, "_add_known", shifted)
    results = audit_run(prepared)
    with pytest.raises(LeakageError, match="the windows show other values of quality than those of the samples"):
        refuse(results)


@pytest.mark.parametrize(
    ("past", "lab", "fine"),
    [("30min", "1h", False), ("1h", "1h", True), ("2h", "1h", True), (3, 4, False), (4, 4, True), (9, "1h", True)],
)
def test_a_delay_that_contradicts_the_laboratory_is_refused_in_the_plan(past: Any, lab: Any, fine: bool) -> None:
    document = {
        "data": {"file": "a.csv", "lab": {"file": "lab.csv", "report_delay": lab}},
        "task": {"kind": "soft_sensor", "target": "C", "past_targets": {"delay": past}},
    }
    if fine:
        Plan.check(document)
        return
    with pytest.raises(PlanError) as fault:
        Plan.check(document)
    assert "contradict each other: C would be shown before it is reported. Use a delay of" in str(fault.value)


def test_a_forecast_of_a_laboratory_value_must_wait_for_it() -> None:
    """The default of a forecast is that the newest value is known; for late results it is not."""
    document = {
        "data": {"file": "a.csv", "lab": {"file": "lab.csv", "report_delay": "1h"}},
        "task": {"kind": "forecast", "target": "C"},
        "windows": {"horizon": 3},
    }
    with pytest.raises(PlanError, match='delay "0 rows" contradict each other'):
        Plan.check(document)
    Plan.check(document | {"task": {"kind": "forecast", "target": "C", "delay": "1h"}})


def test_a_draft_shows_no_past_label_that_nobody_has_dated(tmp_path: Path) -> None:
    """What `backmix init` writes runs without report times; past targets stand there as a comment only."""
    table = with_reports(4, every=5)
    lines = [
        "T101,F102,P103,quality",
        *(",".join("" if np.isnan(value) else f"{value:.4f}" for value in row[:4]) for row in table.values),
    ]
    (tmp_path / "plant.csv").write_text("\n".join(lines))
    found = draft(tmp_path / "plant.csv", settings=ReadPlan(), target="quality", beside=tmp_path)
    assert '# past_targets = { delay = "1h" }' in found
    settings = Plan.parse(found).the_task
    assert settings.past_targets is None  # type: ignore[attr-defined]


def test_a_run_states_the_rule_everywhere(sensor_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = "Past values of quality are never shown to it, so it needs no analyser and no laboratory to run."
    assert sensor_run.summary["availability"]["en"] == said
    page = sensor_run.report_path().read_text("utf-8")
    assert f'<p class="known">Known labels: {said}</p>' in page
    assert page.index('class="verdict') < page.index('class="known"') < page.index("<nav")
    show_bundle(sensor_run.bundle, as_json=False)
    assert f"Known labels: {said}" in capsys.readouterr().out
    show_bundle(sensor_run.bundle, as_json=True)
    assert json.loads(capsys.readouterr().out)["availability"]["en"] == said
    (checked,) = [result for result in sensor_run.summary["leakage"] if result["name"] == "availability"]
    assert checked["text"]["en"] == "What was known when: no window shows a value of quality."
