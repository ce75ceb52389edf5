"""Every plan that ships with a data set or a simulated plant can be prepared, and runs to its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.data.plants import plants
from backmix.data.sets import sets
from backmix.errors import BackmixError
from backmix.serving.bundle import Bundle
from backmix.training.design import design
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from backmix.workflow import fit
from readings import reading_of

PLANS: dict[str, dict[str, Any]] = {
    f"{name}/{key}": dict(plan) for name, part in (*plants, *sets) for key, plan in part.plans.items()
}
WHOLE = (
    "cstr/fault_diagnosis",
    "batch_reactor/soft_sensor",
    "batch_reactor/fault_diagnosis",
    "batch_reactor/batch_quality",
    "batch_reactor/batch_end_time",
    "heat_exchanger/remaining_life",
    "heat_exchanger/soft_sensor",
    "batch_dryer/Y2",
    "cmapss_fd001/capped",
    "daisy_evaporator/all_outputs",
    "debutanizer/A",
    "etth1/oil_temperature",
    "tennessee_eastman/case1",
)
"""Plans that together have every form of window and split that ships; they are run from end to end."""


@pytest.mark.parametrize("name", PLANS)
def test_a_standard_plan_can_be_prepared(name: str, shared_data: Path) -> None:
    plan = Plan.check(PLANS[name])
    prepared = prepare(reading_of(plan), plan)
    assert all(len(part) for part in prepared.parts.values())
    account = prepared.account
    assert account.read == account.used + account.repaired + account.dropped
    settled = design(prepared)
    assert settled.architecture.features == len(prepared.train.feature_names)
    x = prepared.train.gather(np.array([0, len(prepared.train) - 1])).x
    assert np.isfinite(x).all()
    assert not set(prepared.train.feature_names) & {tag.name for tag in prepared.task.targets}


@pytest.mark.parametrize("name", WHOLE)
def test_a_standard_plan_runs_to_its_report(name: str, shared_data: Path, tmp_path: Path) -> None:
    """One epoch of a tiny network on thinned windows: the way is the same."""
    plan = Plan.check(PLANS[name])
    classes = plan.the_task.kind == "fault_diagnosis"
    quick: dict[str, Any] = {
        "training": {"epochs": 1},
        "model": {"recipe": "course", "units": [4], "dropout": 0.0},
        "evaluation": {"baselines": ["majority" if classes else "mean"], "resamples": 20},
    }
    if plan.windows.lookback != "batch":
        quick["windows"] = {"stride": 5}
    reading = reading_of(plan)
    run = fit(reading, plan.merged(quick), folder=tmp_path / "run", quiet=True)
    assert run.verdict
    assert run.report_path().stat().st_size < 3_000_000
    (baseline,) = quick["evaluation"]["baselines"]
    assert {row["model"] for row in run.summary["scores"]} == {run.summary["network"], baseline}
    frame, _ = Bundle.load(run.bundle_path).predict(reading.table)
    numbers = frame.filter(like="p:").to_numpy() if classes else frame["prediction"].to_numpy()
    assert len(numbers)
    assert np.isfinite(numbers).all()


def test_a_set_without_a_plan_says_so() -> None:
    without = [part for _, part in sets if not part.plans]
    assert without
    for part in without:
        with pytest.raises(BackmixError):
            Plan.check({"data": {"set": part.name}}).the_task  # noqa: B018
