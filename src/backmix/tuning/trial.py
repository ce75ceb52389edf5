"""One plan on one fold.

This module trains a network on a fold as a run trains its own, and judges it by the first metric of its
task on the stretch of the fold that it has not learned from. It runs in this process or in a worker.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from backmix.data.folds import FoldPlan
from backmix.data.segments import Rows
from backmix.data.table import Table
from backmix.errors import BackmixError, InputError, PlanError, TrainingError
from backmix.scoring.predictions import prediction_frame
from backmix.scoring.rounds import error
from backmix.scoring.scores import Sampling
from backmix.scoring.verdict import judge
from backmix.training.design import design
from backmix.training.plan import Plan
from backmix.training.predict import calibrate, predict_outcome
from backmix.tuning.stage import Stage, prepare_fold


@dataclass(frozen=True, eq=False)
class FoldJob:
    """What is trained and judged: a plan, and fold ``number`` (from 0) of a table.

    rows: the rows that are judged; see `Stage`
    """

    table: Table
    plan: Plan
    dividing: FoldPlan
    inside: bool
    number: int
    rows: Rows

    @classmethod
    def of(cls, stage: Stage, plan: Plan, number: int) -> FoldJob:
        """The job of a trial of this stage."""
        return cls(
            table=stage.table,
            plan=plan,
            dividing=stage.dividing,
            inside=stage.inside,
            number=number,
            rows=stage.judged[number],
        )


@dataclass(frozen=True)
class FoldResult:
    """How a plan did on a fold.

    error: the task's first metric as an error; None where it is undefined, or where there was a fault
    unit: of the error; share: whether it is a share of 1; targets: over how many a mean was taken
    fault: why the plan cannot be trained here: too little room for its windows, a training that diverges
    """

    error: float | None
    seconds: float
    metric: str = ""
    unit: str = ""
    share: bool = False
    targets: int = 1
    fault: BackmixError | None = None


def run_fold(job: FoldJob) -> FoldResult:
    """Train and judge; a plan that cannot be trained here gives its fault, whatever else is wrong is raised."""
    begun = time.monotonic()
    try:
        found = _judged(job)
    except TrainingError as fault:
        # `Diverged` carries the network as it was, which nobody needs here
        return FoldResult(None, time.monotonic() - begun, fault=TrainingError(fault.key, **fault.values))
    except (InputError, PlanError) as fault:
        return FoldResult(None, time.monotonic() - begun, fault=fault)
    return FoldResult(seconds=time.monotonic() - begun, **found)


def _judged(job: FoldJob) -> dict[str, Any]:
    from backmix.training.fitting.fit import fit_network

    prepared = prepare_fold(job.table, job.plan, job.dividing, job.number, inside=job.inside)
    chosen = design(prepared)
    fitted = fit_network(chosen.architecture, *prepared.training_samples, settings=chosen.settings)
    prepared = calibrate(prepared, fitted.model)
    windows = prepared.test.subset(np.flatnonzero(np.isin(prepared.test.target_rows, job.rows)))
    if not np.array_equal(np.unique(windows.target_rows), np.unique(job.rows)):
        raise InputError("tune.other_rows", where=job.table.source, got=len(windows), wanted=len(job.rows))
    task = prepared.task
    frame = prediction_frame(task, windows, predict_outcome(fitted.model, task, windows), model="network", part="test")
    verdict = judge(frame, task, network="network", sampling=Sampling(draws=1))
    value = None if verdict.network is None else error(verdict.metric, verdict.network.value)
    return {
        "error": value,
        "metric": verdict.metric,
        "unit": verdict.unit,
        "share": verdict.share,
        "targets": verdict.targets,
    }
