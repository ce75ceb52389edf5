"""Networks of every form are asked in the plainest way, and the shares of a prediction still add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backmix
from backmix.inspection import Subject
from backmix.models.network import build
from backmix.results.run import Run
from backmix.training.design import design
from backmix.training.prepare import prepare
from backmix.workflow import fit
from small import reading, small_batches, small_plan, small_table, small_task

FORECAST = {"kind": "forecast", "target": "quality", "known_ahead": ["T101"]}


def run_of(task: str, tmp_path: Path, **changes: Any) -> Run:
    table, plan = small_task(task)
    return fit(table, plan.merged(changes) if changes else plan, folder=tmp_path / "run", quiet=True)


@pytest.mark.parametrize("strategy", ["direct", "recursive", "encoder_decoder"])
def test_a_path_is_explained_by_its_last_row(strategy: str, tmp_path: Path) -> None:
    """Course items 10 and 86: what is planned stands still while the past is attributed."""
    plan = small_plan(
        task=FORECAST | {"strategy": strategy}, windows={"horizon": 3}, evaluation={"baselines": ["last_value"]}
    )
    run = fit(small_table(), plan, folder=tmp_path / "run", quiet=True)
    seen = run.summary["insight"]
    assert {tag["name"] for tag in seen["tags"]} == {"T101", "F102", "P103", "quality (reported)"}
    assert seen["completeness_gap"] < 0.05 * max(seen["mean_difference"], 1e-3)
    assert ("memory" in seen) == (strategy == "recursive")
    last = "the last row of the path" in (run.folder / "report.en.html").read_text("utf-8")
    assert last == (strategy != "recursive")
    for table in (small_table(), small_table(300, seed=1)):  # the run's own, then all rows of another one
        found = backmix.explain(run, data=table)
        assert (found.insight.source == "") == (len(table) != 300)
        assert found.page.stat().st_size > 20_000
        again = found.insight.to_dict()
        assert again["completeness_gap"] < 0.05 * max(again["mean_difference"], 1e-3)


@pytest.mark.parametrize(
    "form",
    [
        {"residual": True, "units": [3, 3]},
        {"layer_norm": True},
        {"attention": True},
        {"body": "transformer", "attention_heads": 1},
        {"bidirectional": True},
    ],
)
def test_a_form_whose_inside_stays_closed_is_still_attributed(form: dict[str, Any], tmp_path: Path) -> None:
    """Course items 86 and 87: attribution for every form, gates and memory for plain recurrence alone."""
    plan = small_plan(model=form, online="bidirectional" not in form)
    run = fit(small_table(), plan, folder=tmp_path / "run", quiet=True)
    seen = run.summary["insight"]
    assert "memory" not in seen
    assert seen["completeness_gap"] < 0.05 * max(seen["mean_difference"], 1e-3)
    assert ("attention" in seen) == bool(form.get("attention"))


def test_an_answer_on_every_row_is_asked_about_the_last(tmp_path: Path) -> None:
    """The row network with the same weights says what the network of every row says last."""
    run = run_of("batch_quality", tmp_path)
    assert run.bundle.architecture.answer == "every"
    table, plan = small_task("batch_quality")
    found = prepare(reading(table), plan)
    subject = Subject.of(found, run.bundle.network, run.bundle.architecture)
    assert subject.architecture.answer == "row"
    sample = subject.sample(12)
    outputs = np.asarray(run.bundle.network.predict_on_batch(sample.inputs()))
    assert sample.mask is not None
    last = outputs[np.arange(len(outputs)), sample.mask.sum(axis=1) - 1]
    np.testing.assert_allclose(subject.answers(sample), last, atol=1e-6)
    assert "memory" in run.summary["insight"]


def test_an_answer_on_every_row_is_asked_the_same_of_another_table(tmp_path: Path) -> None:
    run = run_of("batch_quality", tmp_path)
    found = backmix.explain(run, data=small_batches(seed=5))
    assert found.insight.source == "batches"
    again = found.insight.to_dict()
    assert again["completeness_gap"] < 0.05 * max(again["mean_difference"], 1e-3)
    assert {tag["name"] for tag in again["tags"]} == {tag["name"] for tag in run.summary["insight"]["tags"]}


def test_a_capped_label_is_explained_and_an_anomaly_is_not(tmp_path: Path) -> None:
    assert run_of("remaining_life", tmp_path / "life").summary["insight"]["windows"] > 0
    assert run_of("anomaly_detection", tmp_path / "anomaly").summary["insight"] is None


def test_the_mean_window_shows_a_known_target_only_where_windows_do() -> None:
    """The marks of missing values stand between the inputs and the known target, and are there on every row."""
    table = small_table()
    holes = np.array(table.values)
    holes[5::7, 0] = np.nan
    plan = small_plan(task={"past_targets": {"delay": 2, "count": 2}}, windows={"missing": True})
    found = prepare(reading(replace(table, values=holes)), plan)
    architecture = design(found).architecture
    subject = Subject.of(found, build(architecture, seed=0), architecture)
    mean = subject.baseline(subject.sample(4))
    mark = found.test.feature_names.index("T101 (missing)")
    assert (mean[:, mark] == mean[0, mark]).all()
    assert mean[0, mark] != 0
    assert (mean[:-2, 6] == 0).all()
    assert (mean[-2:, 6] != 0).all()
