"""One fold of a backtest, from its rows to its predictions.

This module runs a whole plan on the rows of one fold with one seed: split, repair rules, scalers,
lookback, network and baselines are learned anew from that fold's training rows. A job carries all it
needs, so that it can be done in any process, and writes into no folder but its own.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.ledger import Ledger
from backmix.data.sources import Reading
from backmix.data.split import Split, SplitPart
from backmix.data.table import Table
from backmix.errors import BackmixError
from backmix.rolling.contender import TaughtModel, places, teach
from backmix.scoring.comparison import NETWORK, best_by_validation, scores_of
from backmix.scoring.judgement import score_baselines, thinned
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.scoring.predictions import prediction_frame
from backmix.storage import write_atomic
from backmix.training.plan import Plan
from backmix.training.prepare import Prepared, prepare
from backmix.training.sections.folds import FoldLayout
from backmix.training.warm import Start

if TYPE_CHECKING:
    import pandas as pd

    from backmix.tasks import Task

FOLD, PREDICTIONS = "fold.json", "predictions.parquet"
JUDGED = ("validation", "test")
"""The parts of the prediction frame: one chooses among the baselines, the other judges."""


@dataclass(frozen=True, eq=False)
class FoldJob:
    """A fold and a seed; number and seed are counted from 1.

    table: the whole table, of which the fold sees its own rows; folder: where it keeps what it found
    """

    table: Table
    plan: Plan
    layout: FoldLayout
    number: int
    seed: int
    start: Start | None
    folder: Path

    @property
    def own_plan(self) -> Plan:
        """The plan with the seed of this job."""
        return self.plan.merged({"training": {"seed": self.plan.training.seed + self.seed - 1}})

    @property
    def seen(self) -> Table:
        """The rows that the fold may see."""
        return self.table.rows(slice(*self.layout.rows(self.number, self.table)))

    def divide(self, table: Table, gap: int) -> Split:
        """The parts of these rows."""
        return self.layout.divide(self.number, table, gap)

    def prepared(self) -> Prepared:
        """The windows of this fold; InputError when there are too few."""
        seen = self.seen
        return prepare(Reading(seen, Ledger(read=len(seen))), self.own_plan, start=self.start, divide=self.divide)


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What a job found: a summary ready for JSON and the predictions; or the error that ended it."""

    number: int
    seed: int
    summary: dict[str, Any]
    frame: pd.DataFrame | None
    fault: BackmixError | None = None


def play_fold(job: FoldJob) -> FoldResult:
    """Do a job and keep what it found in the job's folder, the summary last."""
    begin = time.monotonic()
    try:
        taught = teach(job.seen, job.own_plan, start=job.start, divide=job.divide)
        refuse(audit_run(taught.prepared, model=taught.ensemble.model), acknowledged=job.plan.evaluation.acknowledged)
    except BackmixError as fault:
        return FoldResult(job.number, job.seed, {}, None, fault)
    frame = _frame(job, taught)
    summary = _summary(job, taught, frame) | {"seconds": round(time.monotonic() - begin, 1)}
    result = FoldResult(job.number, job.seed, summary, frame)
    if job.folder.parent.is_dir():  # a cluster may have no disk in common with whoever asks
        keep_fold(result, job.folder)
    return result


def keep_fold(result: FoldResult, folder: Path) -> None:
    """Write a finished fold into its folder, the summary that marks it as finished last."""
    frame = result.frame
    assert frame is not None
    write_atomic(folder / PREDICTIONS, lambda file: frame.to_parquet(file))
    write_atomic(folder / FOLD, json.dumps(result.summary, allow_nan=False, indent=1))


def read_fold(folder: Path) -> tuple[dict[str, Any], pd.DataFrame] | None:
    """Summary and predictions of a finished fold; None when it was not finished."""
    import pandas as pd

    try:
        summary = json.loads((folder / FOLD).read_text("utf-8"))
        return summary, pd.read_parquet(folder / PREDICTIONS)
    except (OSError, ValueError):
        return None


def _frame(job: FoldJob, taught: TaughtModel) -> pd.DataFrame:
    """The predictions of network and baselines; origins are rows of the whole table."""
    import pandas as pd

    prepared, task = taught.prepared, taught.prepared.task
    frames = []
    for part in JUDGED:
        windows = thinned(prepared.scored[part], task)
        frames.append(prediction_frame(task, windows, taught.ensemble.says(task, windows), model=NETWORK, part=part))
    over = taught.ensemble.blocks
    beside = score_baselines(prepared, pool=None if over is None else over.pool).frame
    if len(beside):
        frames.append(beside[beside["part"].isin(JUDGED)])
    frame = pd.concat(frames, ignore_index=True)
    first, _ = job.layout.rows(job.number, job.table)
    return frame.assign(origin=frame["origin"] + first, fold=job.number, seed=job.seed)


def _summary(job: FoldJob, taught: TaughtModel, frame: pd.DataFrame) -> dict[str, Any]:
    prepared = taught.prepared
    task: Task = prepared.task
    found = scores_of(frame, task)
    return {
        "fold": job.number,
        "seed": job.seed,
        "taught": _extent(prepared, (SplitPart.TRAIN, SplitPart.VALIDATION)),
        "judged": _extent(prepared, (SplitPart.TEST,)),
        "rows": {part.name.lower(): prepared.split.count(part) for part in SplitPart},
        "windows": {name: len(windows) for name, windows in prepared.parts.items()},
        "lookback": prepared.preprocessing.spec.lookback,
        "reach": prepared.preprocessing.spec.reach,
        "horizon": prepared.preprocessing.spec.horizon,
        "network": taught.ensemble.name,
        "best_epoch": taught.ensemble.fitted.best_epoch,
        "epochs": len(taught.ensemble.fitted.history["loss"]),
        "recurrent": taught.ensemble.share,
        "metric": task.judging.metrics[0],
        "best_baseline": best_by_validation(
            frame, task, [name for name, score in found.items() if name != NETWORK and np.isfinite(score.mean)]
        ),
        "scores": {name: score.mean if np.isfinite(score.mean) else None for name, score in found.items()},
    }


def _extent(prepared: Prepared, parts: tuple[SplitPart, ...]) -> tuple[str, str]:
    """First and last place of the rows of some parts."""
    rows = np.flatnonzero(np.isin(prepared.split.part, [int(part) for part in parts]))
    return places(prepared.table, int(rows[0]), int(rows[-1]) + 1)
