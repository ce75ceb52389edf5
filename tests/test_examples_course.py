"""The example plans of the tasks that look to an end run as they are written. Course items 74, 75 and 79."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.serving.bundle import Bundle
from backmix.training.plan import Plan
from backmix.workflow import fit

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = sorted(path.stem for kind in ("remaining_life", "batch_end_time", "batch_quality")
               for path in EXAMPLES.glob(f"{kind}_*.toml"))


def test_every_task_has_an_example_on_real_data_and_on_a_simulated_plant() -> None:
    plans = [Plan.load(EXAMPLES / f"{name}.toml") for name in NAMES]
    for kind in ("remaining_life", "batch_end_time", "batch_quality"):
        mine = [plan for plan in plans if plan.the_task.kind == kind]
        assert any(plan.data.set for plan in mine)
        assert any(plan.data.plant for plan in mine)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs(name: str, shared_data: Path, tmp_path: Path) -> None:
    """Two epochs of the whole way: the report in both languages, and a bundle that predicts without labels."""
    plan = Plan.load(EXAMPLES / f"{name}.toml")
    quick: dict[str, Any] = {"training": {"epochs": 2}, "model": {"units": [8]},
                             "evaluation": {"baselines": [plan_baseline(plan)], "resamples": 20}}
    if plan.data.set == "cmapss_fd001":
        quick["windows"] = {"stride": 20}
    run = fit(None, plan.merged(quick), folder=tmp_path / "run", quiet=True)
    for lang in ("en", "zh_TW"):
        page = (run.folder / f"report.{lang}.html").read_text("utf-8")
        assert len(page) < 3_000_000
    assert run.summary["judgement"]["baseline"]["model"] == plan_baseline(plan)
    from backmix.data.sources import read

    table = read(plan.data).table
    batch = np.asarray(table.batch)
    some = table.rows(batch < 3)
    frame, _ = Bundle.load(run.bundle_path).predict(some.select(
        [tag.name for tag in table.tags if tag.name not in plan.the_task.targets]))
    assert np.isfinite(frame["prediction"]).all()
    assert set(frame["batch"]) == set(table.batch_names[:3])


def plan_baseline(plan: Plan) -> str:
    """The cheapest baseline that says something of this task."""
    return {"batch_end_time": "usual_length", "batch_quality": "pls_evolving", "remaining_life": "ridge_summaries"}[
        plan.the_task.kind]
