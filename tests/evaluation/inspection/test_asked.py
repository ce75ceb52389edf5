"""Networks of every form are asked in the plainest way, and the shares of a prediction still add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backmix
from backmix.evaluation.inspection import Subject
from backmix.training.prepare import prepare
from backmix.workflow import Run, fit
from small import reading, small_plan, small_table, small_task

FORECAST = {"kind": "forecast", "target": "quality", "known_ahead": ["T101"]}


def run_of(task: str, tmp_path: Path, **changes: Any) -> Run:
    table, plan = small_task(task)
    return fit(table, plan.merged(changes) if changes else plan, folder=tmp_path / "run", quiet=True)


@pytest.mark.parametrize("strategy", ["direct", "recursive", "encoder_decoder"])
def test_a_path_is_explained_by_its_last_row(strategy: str, tmp_path: Path) -> None:
    """Course items 10 and 86: what is planned stands still while the past is attributed."""
    plan = small_plan(task=FORECAST | {"strategy": strategy}, windows={"horizon": 3},
                      evaluation={"baselines": ["last_value"]})
    run = fit(small_table(), plan, folder=tmp_path / "run", quiet=True)
    seen = run.summary["insight"]
    assert {tag["name"] for tag in seen["tags"]} == {"T101", "F102", "P103", "quality (known)"}
    assert seen["completeness_gap"] < 0.05 * max(seen["mean_difference"], 1e-3)
    assert ("memory" in seen) == (strategy == "recursive")
    last = "the last row of the path" in (run.folder / "report.en.html").read_text("utf-8")
    assert last == (strategy != "recursive")
    found = backmix.explain(run, data=small_table())
    assert found.page.stat().st_size > 20_000


@pytest.mark.parametrize("form", [{"residual": True, "units": [3, 3]}, {"layer_norm": True}, {"attention": True},
                                  {"body": "transformer", "attention_heads": 1}, {"bidirectional": True}])
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


def test_a_capped_label_is_explained_and_an_anomaly_is_not(tmp_path: Path) -> None:
    assert run_of("remaining_life", tmp_path / "life").summary["insight"]["windows"] > 0
    assert run_of("anomaly_detection", tmp_path / "anomaly").summary["insight"] is None
