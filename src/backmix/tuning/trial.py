"""One plan on one fold.

This module trains a network on a fold as a run trains its own, and judges it by the first metric of its
task on the stretch of the fold that it has not learned from. It runs in this process or in a worker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backmix.data.segments import Rows
from backmix.errors import InputError, PlanError
from backmix.folds import FoldJob, FoldResult, attempt
from backmix.scoring.predictions import prediction_frame
from backmix.scoring.rounds import error
from backmix.scoring.scores import Sampling
from backmix.scoring.verdict import judge
from backmix.training.design import design
from backmix.training.fitting.fit import fit_network
from backmix.training.predict import calibrate, predict_outcome


@dataclass(frozen=True, eq=False, kw_only=True)
class TrialJob(FoldJob):
    """The plan of a trial on a fold; judged: the rows that it is judged on, see `SearchSetup`."""

    judged: Rows


@dataclass(frozen=True)
class FoldError:
    """How large the error of a plan was on a fold.

    error: the task's first metric as an error; None where it is undefined
    unit: of the error; share: whether it is a share of 1; targets: over how many a mean was taken
    """

    error: float | None
    metric: str = ""
    unit: str = ""
    share: bool = False
    targets: int = 1


def run_trial(job: TrialJob) -> FoldResult[FoldError]:
    """Train and judge; a plan that cannot be trained on this fold gives its fault, whatever else is wrong is raised."""
    return attempt(job, _judged, (InputError, PlanError))


def _judged(job: TrialJob) -> FoldError:
    prepared = job.prepared()
    chosen = design(prepared)
    fitted = fit_network(chosen.architecture, *prepared.training_samples, settings=chosen.settings)
    prepared = calibrate(prepared, fitted.model)
    windows = prepared.test.subset(np.flatnonzero(np.isin(prepared.test.target_rows, job.judged)))
    if not np.array_equal(np.unique(windows.target_rows), np.unique(job.judged)):
        raise InputError("tune.other_rows", where=job.table.source, got=len(windows), wanted=len(job.judged))
    task = prepared.task
    frame = prediction_frame(task, windows, predict_outcome(fitted.model, task, windows), model="network", part="test")
    verdict = judge(frame, task, network="network", sampling=Sampling(draws=1))
    return FoldError(
        error=None if verdict.network is None else error(verdict.metric, verdict.network.value),
        metric=verdict.metric,
        unit=verdict.unit,
        share=verdict.share,
        targets=verdict.targets,
    )
