"""Remaining useful life: run to failure, labels capped or not, late and early. Course item 79."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.data.splitting.split import SplitPart
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.progress import left
from backmix.errors import InputError, PlanError
from backmix.results.not_judged import of_test
from backmix.results.run import Run
from backmix.scoring.judgement import baseline_frame
from backmix.serving.runtime import Runtime
from backmix.training.beside import fit_baselines
from backmix.training.plan import Plan, PlanFaults
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from batches import batch_plan, batch_table
from small import reading, small_table


def life_table(count: int = 16, **changes: Any) -> Table:
    """The small batch plant as units that run to failure."""
    table = batch_table(count, **changes)
    return table.retag({"purity": replace(table.tag("purity"), role="ignored")})


def plan(**changes: Any) -> Plan:
    return batch_plan("remaining_life", **{"windows": {"lookback": 4}} | changes)


def prepared(table: Table | None = None, **changes: Any) -> Prepared:
    return prepare(reading(table or life_table()), plan(**changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run with a cap, judged on what was really left at the last row but of each unit."""
    return fit(
        life_table(30),
        plan(task={"cap": 6.0, "judged": "all", "late_cost": 4.0}, evaluation={"baselines": None, "resamples": 20}),
        folder=tmp_path_factory.mktemp("life") / "run",
        quiet=True,
    )


def test_the_label_is_what_is_left_to_the_last_row() -> None:
    """Course item 79: the target is computed; the network learns it capped and is judged on what was left."""
    found = prepared(task={"cap": 6.0})
    table = found.table
    assert np.array_equal(table.column("remaining_life"), left(table, "rows"))
    assert np.array_equal(table.column("remaining_life (capped)"), np.minimum(left(table, "rows"), 6))
    assert found.preprocessing.spec.targets == ("remaining_life (capped)",)
    assert [tag.name for tag in found.task.targets] == ["remaining_life"]
    assert found.train.truth().max() == 6
    assert set(found.train.feature_names) == {"rate", "conversion"}


def test_the_scaler_learns_the_capped_label() -> None:
    found = prepared(task={"cap": 3.0})
    assert found.preprocessing.target_scaler is not None
    assert found.preprocessing.target_scaler.names == ("remaining_life (capped)",)
    y = found.train.gather(found.train.all_indices).y
    assert y is not None
    assert np.isclose(found.train.unscaled(y).max(), 3.0, atol=1e-5)


@pytest.mark.parametrize(("unit", "usual"), [("rows", 125.0), ("min", None)])
def test_the_usual_cap_is_for_rows(unit: str, usual: float | None) -> None:
    found = prepared(task={"unit": unit})
    assert found.task.target.cap == usual  # type: ignore[attr-defined]
    assert found.task.targets[0].unit == unit
    decision = next(decision for decision in found.decisions if decision.reason_key.startswith("course.cap_"))
    assert decision.value == (usual or "none")


@pytest.mark.parametrize(
    ("judge", "judged", "sentence"),
    [
        (
            False,
            "all",
            "Labels are capped at 6 rows where they are learned, not where they judge, at all rows of the test units.",
        ),
        (
            True,
            "all",
            "Labels are capped at 6 rows, those that are learned and those that judge, at all rows of the test units.",
        ),
        (
            True,
            "last",
            "Labels are capped at 6 rows, those that are learned and those that judge, at the last row of "
            "each test unit.",
        ),
    ],
)
def test_the_convention_is_said(judge: bool, judged: str, sentence: str) -> None:
    found = prepared(task={"cap": 6.0, "judge_capped": judge, "judged": judged})
    convention = found.task.judging.convention
    assert convention is not None
    assert convention.reason("en") == sentence
    assert "6 rows" in convention.reason("zh_TW")
    assert convention in found.decisions


def test_the_verdict_says_the_convention(run: Run) -> None:
    """A score of remaining life means nothing without it, so it is part of the sentence, in both languages."""
    convention = "Labels are capped at 6 rows where they are learned, not where they judge"
    assert convention in run.summary["verdict"]["en"]
    assert "評分所用的標記則無上限" in run.summary["verdict"]["zh_TW"]
    for lang in ("en", "zh_TW"):
        assert run.summary["verdict"][lang] in (run.folder / f"report.{lang}.html").read_text("utf-8").replace(
            "&#39;", "'"
        ).replace("&#34;", '"')


def test_capped_outputs_cannot_follow_uncapped_labels() -> None:
    """The two conventions differ by what lies above the cap: for a perfect capped model, and only there."""

    def error(judge: bool) -> float:
        found = prepared(task={"cap": 4.0, "judge_capped": judge})
        frame = baseline_frame(
            fit_baselines(found.task, found.train, found.validation, names=["mean"]), found.task, {"test": found.test}
        )
        perfect = np.minimum(left(found.table, "rows")[found.test.origins], 4.0)
        return float(np.abs(perfect - frame["truth"].to_numpy()).max())

    assert error(True) == 0
    assert error(False) >= 4


def test_judged_at_the_last_row_of_each_unit() -> None:
    """The C-MAPSS protocol: one window per test unit is judged, the others are shown beside it."""
    found = prepared(task={"judged": "last"})
    assert found.running is not None
    units = np.unique(np.asarray(found.table.batch)[found.running.origins])
    assert len(found.test) == len(units)
    assert not left(found.table, "rows")[found.test.origins].any()
    assert len(found.running) > len(found.test)
    assert set(found.scored) == {"validation", "test", "running"}
    assert prepared().running is None


def test_the_stride_does_not_step_over_the_last_row() -> None:
    table = life_table(30)
    found = prepared(table, task={"judged": "last"}, windows={"lookback": 4, "stride": 3})
    assert len(found.test) == len(prepared(table, task={"judged": "last"}).test)
    assert len(found.train) < len(prepared(table).train)


def test_without_a_single_last_row_there_is_nothing_to_judge() -> None:
    table = life_table()
    values = np.array(table.values)
    values[np.diff(np.asarray(table.batch), append=-1) != 0, :2] = np.nan
    with pytest.raises(InputError, match=r"none of the \d+ test windows is at the last row of its batch"):
        prepared(replace(table, values=values), task={"judged": "last"}, repair={"fill": "none"})


def test_a_unit_without_a_last_window_is_named() -> None:
    table = life_table()
    values = np.array(table.values)
    last = np.flatnonzero(table.batch == len(table.batch_names) - 1)[-1]
    values[last, :2] = np.nan
    found = prepared(replace(table, values=values), task={"judged": "last"}, repair={"fill": "none"})
    decision = next(decision for decision in found.decisions if decision.reason_key == "course.not_judged")
    assert decision.value == ("B16",)
    assert decision.reason("en").endswith("because their last row has no window: B16")
    not_judged = of_test(found)
    assert not_judged.units == {"B16": "course.reason_running"}
    assert not_judged.verdict("en") == ("Not judged: 1 units or batches (B16), judged only at its end.",)
    assert not_judged.verdict("zh_TW") == ("未評分的機組或批次：1 個（B16），只在結束時評分。",)
    assert of_test(prepared(task={"judged": "last"})).verdict("en") == ()


def test_units_that_have_not_failed_have_no_label() -> None:
    """A unit that still runs when the table is written ends at a row that is no failure."""
    found = prepared(task={"unfinished": ["B02"]})
    mine = np.asarray(found.table.batch) == 1
    assert np.isnan(found.table.column("remaining_life")[mine]).all()
    assert not mine[found.train.origins].any()
    assert any("B02" in decision.reason() for decision in found.decisions if decision.setting == "task.unfinished")
    with pytest.raises(InputError, match=r"'B2'.*B02|B02.*'B2'"):
        prepared(task={"unfinished": ["B2"]})


def test_a_column_of_the_table_is_taken_as_it_is() -> None:
    table = life_table()
    table = table.with_columns([Tag("RUL", unit="flight")], left(table, "rows") + 7)
    found = prepared(table, task={"target": "RUL", "cap": "none"})
    assert found.train.truth().min() >= 7
    assert found.preprocessing.spec.targets == ("RUL",)
    assert not any(decision.reason_key == "course.life_computed" for decision in found.decisions)


def test_prediction_needs_no_label_and_no_end(run: Run) -> None:
    """A new table has no failure in it; the prediction at a row is the same whether or not more rows follow."""
    table = life_table(4, seed=5)
    whole, _ = run.bundle.predict(table)
    cut, _ = run.bundle.predict(table.rows(slice(0, len(table) - 3)))
    both = whole.merge(cut, on="origin")
    assert len(both) == len(cut)
    assert np.array_equal(both["prediction_x"], both["prediction_y"])
    assert "late_cost" not in cut.columns


def test_scores_and_figures_of_a_run(run: Run) -> None:
    scores = {(row["model"], row["metric"]): row for row in run.summary["scores"] if row["part"] == "test"}
    assert scores["gru", "nasa_score"]["value"] is None, "many predictions per unit"
    assert scores["ridge_summaries", "late_early_cost"]["value"] > 0
    frame = run.predictions
    mine = frame[(frame["model"] == "mean") & (frame["part"] == "test")]
    error = mine["prediction"] - mine["truth"]
    cost = np.where(error > 0, 4.0 * error, -error).mean()
    assert scores["mean", "late_early_cost"]["value"] == pytest.approx(cost)
    page = (run.folder / "report.en.html").read_text("utf-8")
    assert "Life left, unit by unit" in page
    assert "Error by what is left" in page
    assert "quadratic ridge on window summaries" in page


def test_quadratic_ridge_finds_a_product() -> None:
    """Wear is the product of two summaries: the quadratic ridge sees it, the plain one does not."""
    rng = np.random.default_rng(0)
    rows = 900
    u = rng.normal(size=(rows, 2))
    table = Table(
        np.column_stack([u, u[:, 0] * u[:, 1]]),
        (Tag("a"), Tag("b"), Tag("y", role="target")),
        batch=np.repeat(np.arange(30), 30).astype(np.int32),
        batch_names=tuple(map(str, range(30))),
    )
    found = prepare(reading(table), plan(task={"target": "y", "cap": "none"}, windows={"lookback": 1}))
    frame = baseline_frame(
        fit_baselines(found.task, found.train, found.validation, names=["ridge", "ridge_summaries"]),
        found.task,
        {"test": found.test},
    )
    error = (frame["prediction"] - frame["truth"]).pow(2).groupby(frame["model"]).mean()
    assert error["ridge_summaries"] < 1e-3
    assert error["ridge"] > 0.5


def test_many_features_get_squares_instead_of_products() -> None:
    from backmix.simple.forms import MOST_FEATURES, FlatView

    assert FlatView("products", None, 10).width == 30 + 30 * 31 // 2
    assert FlatView("products", None, 40).width > MOST_FEATURES
    assert FlatView("squares", None, 40).width == 240


# what is refused


@pytest.mark.parametrize(
    ("changes", "table", "message"),
    [
        (
            {"split": {"kind": "chronological"}},
            None,
            "remaining_life needs whole batches: what a row's target is shows only when its batch has ended, and split kind "
            '\'chronological\' cuts batches in two. Set [split] kind = "batch" (or "named")',
        ),
        (
            {"windows": {"lookback": 4, "horizon": 2}},
            None,
            "remaining_life looks to the end of the batch or unit by itself: [windows] horizon has no meaning there. "
            "Remove it",
        ),
        ({"task": {"target": "remaning_life"}}, None, "remaning_life"),
        (
            {},
            small_table(),
            "small — remaining_life needs units that run to failure, and the table is one long run. Name "
            'the column that tells them apart: [data] batch = "..."',
        ),
        (
            {"task": {"target": "purity"}},
            life_table().retag({"purity": Tag("purity", categories=("bad", "good"))}),
            "batches — target 'purity' holds text (bad, good), remaining_life needs numbers. Use [task] kind = "
            '"fault_diagnosis", or name another target',
        ),
        (
            {"task": {"cap": 0.5}, "windows": {"lookback": 3}},
            life_table().with_columns([Tag("remaining_life")], np.full(len(life_table()), 7.0)),
            "target 'remaining_life (capped)' is 0.5",
        ),
        (
            {},
            life_table(8),
            "batches — the validation part has 1 batches with a target, at least 3 are needed. Give this "
            "part more batches in [split], or add batches to the table",
        ),
        (
            {},
            life_table().with_columns([Tag("remaining_life (capped)")], left(life_table(), "rows")),
            "batches — the table has a column 'remaining_life (capped)', and remaining_life computes one of that name "
            "itself. Rename the column, or leave it out of the table",
        ),
        ({"task": {"unit": "d"}}, life_table(clock=False), "d"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], table: Table | None, message: str) -> None:
    """Rows 20 to 31 of the list of bad inputs, as they apply."""
    with pytest.raises((InputError, PlanError)) as caught:
        _ask(table, changes)
    assert message in str(caught.value)


def _ask(table: Table | None, changes: dict[str, Any]) -> None:
    """Go as far as a run does before it trains."""
    found = prepared(table, **changes)
    found.task.answer.loss(found.training_samples[0])


def test_a_misspelt_target_names_the_nearest() -> None:
    """Row 33 of the list of bad inputs."""
    table = life_table().with_columns([Tag("RUL")], left(life_table(), "rows"))
    with pytest.raises(InputError, match=r"no column 'RULL'.*'RUL'|'RULL'.*RUL"):
        prepared(table, task={"target": "RULL"})


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"cap": 0.0}, 'cap is 0: labels would all be the same. Give a life above 0, or "none"'),
        ({"cap": "none", "judge_capped": True}, "judge_capped needs a cap. Give one, or leave judge_capped out"),
        ({"late_cost": -1.0}, "late_cost"),
        ({"judged": "first"}, "judged"),
    ],
)
def test_faults_of_the_plan(task: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanFaults) as caught:
        plan(task=task)
    assert message in str(caught.value)


def test_one_row_units_are_excluded_by_name() -> None:
    """Row 26 of the list of bad inputs: a unit shorter than the window is left out, named and counted."""
    table = life_table()
    keep = (np.asarray(table.batch) != 0) | (np.arange(len(table)) == 0)
    found = prepared(table.rows(keep), windows={"lookback": 4, "short": "drop"})
    decision = next(decision for decision in found.decisions if decision.reason_key == "windows.excluded")
    assert decision.value == ("B01",)
    assert ("windows.reason_short_batch", 1) in found.train.dropped


def test_changing_the_test_units_changes_nothing_that_is_learned(tmp_path: Path) -> None:
    table = life_table()
    values = np.array(table.values)
    first = prepared(table)
    values[first.split.rows(3)] *= 5  # type: ignore[arg-type]
    second = prepared(replace(table, values=values))
    assert first.preprocessing.scaler.to_dict() == second.preprocessing.scaler.to_dict()
    assert first.preprocessing.target_scaler is not None
    assert second.preprocessing.target_scaler is not None
    assert first.preprocessing.target_scaler.to_dict() == second.preprocessing.target_scaler.to_dict()


def test_law_answers_and_intervals_stay_within_the_limits(run: Run) -> None:
    """No unit has a life below 0 or above the cap, for the ensemble, the baselines and the light runtime alike."""
    frame = run.predictions
    assert frame["prediction"].between(0.0, 6.0).all()
    ends = frame[["low", "high"]].dropna()
    assert len(ends)
    assert (ends["low"] >= 0).all()
    assert (ends["high"] <= 6).all()
    said, _ = run.bundle.predict(life_table(30))
    assert said["prediction"].between(0.0, 6.0).all()
    assert said["low"].min() >= 0
    assert said["high"].max() <= 6
    runtime = Runtime.load(run.bundle_path)
    assert runtime.limits == (0.0, 6.0)
    wild = np.random.default_rng(0).normal(scale=1e3, size=(50, 4, len(runtime.inputs)))
    found = runtime.predict(wild)
    assert found.min() >= 0
    assert found.max() <= 6
    low, high = runtime.interval(found)
    assert low.min() >= 0
    assert high.max() <= 6


def test_without_a_cap_the_limit_is_the_longest_life_seen() -> None:
    found = prepared(task={"cap": "none"})
    longest = max(found.train.truth().max(), found.validation.truth().max())
    assert found.task.fitted == {"limits": [0.0, longest]}


def test_every_unit_is_judged_however_short() -> None:
    """A lookback that no unit is long enough for: windows are padded, and every test unit has its answer."""
    found = prepared(windows={"lookback": 500}, task={"judged": "last"})
    codes = np.asarray(found.table.batch)
    tested = np.unique(codes[found.split.part == SplitPart.TEST])
    assert np.array_equal(np.unique(codes[found.test.origins]), tested)
    assert found.preprocessing.spec.padded
    with pytest.raises(InputError, match="lookback 500 rows exceeds"):
        prepared(windows={"lookback": 500, "short": "drop"}, task={"judged": "last"})


@pytest.mark.parametrize("kernels", [None, False])
def test_law_the_light_runtime_answers_for_padded_windows_as_the_bundle_does(run: Run, kernels: bool | None) -> None:
    windows, _ = run.bundle.preprocessing.windows(life_table(30), need_target=False)
    assert windows.lengths is not None
    assert windows.lengths.min() == 1
    at = np.arange(40)
    batch = replace(windows, scaler=None, target_scaler=None).gather(at)
    runtime = Runtime.load(run.bundle_path, kernels=kernels)
    padded = np.where(batch.mask[:, :, None], batch.x, 1e3)
    said, _ = run.bundle.predict(life_table(30))
    found = runtime.predict(padded, lengths=windows.lengths[at])
    assert found[:, 0] == pytest.approx(said["prediction"].to_numpy()[at], abs=1e-4)
