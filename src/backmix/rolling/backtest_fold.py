"""One fold of a backtest, from its rows to its predictions.

This module runs a whole plan on the rows of one fold with one seed: split, repair rules, scalers,
lookback, network and baselines are learned anew from that fold's training rows. A job writes into no folder
but its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.layout.detect import TrainingFile
from backmix.data.splitting.split import SplitPart
from backmix.folds import FoldJob, FoldResult, attempt
from backmix.results.folders import PREDICTIONS
from backmix.rolling.contender import TrainedContender, places, train_contender
from backmix.scoring.comparison import NETWORK, best_by_validation, scores_of
from backmix.scoring.judgement import score_baselines, thinned
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.scoring.predictions import prediction_frame
from backmix.storage import read_json, write_atomic, write_json
from backmix.training.prepared import Prepared

if TYPE_CHECKING:
    import pandas as pd

FOLD = "fold.json"
JUDGED = ("validation", "test")
"""The parts of the prediction frame: one chooses among the baselines, the other judges."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BacktestJob(FoldJob):
    """A fold and a seed of a backtest; the plan has the seed of the job already.

    folder: where the job keeps what it finds; file: where the table was read from
    """

    folder: Path
    file: TrainingFile


@dataclass(frozen=True, eq=False)
class BacktestFold:
    """A finished fold and seed.

    summary: ready for JSON; frame: the predictions of network and baselines
    """

    summary: Mapping[str, Any]
    frame: pd.DataFrame

    @property
    def number(self) -> int:
        """The fold, from 1."""
        return int(self.summary["fold"])

    @property
    def seed(self) -> int:
        """The seed, from 1."""
        return int(self.summary["seed"])

    def save(self, folder: Path) -> None:
        """Write the fold into its folder, the summary that marks it as finished last."""
        write_atomic(folder / PREDICTIONS, lambda file: self.frame.to_parquet(file))
        write_json(folder / FOLD, self.summary)

    @classmethod
    def load(cls, folder: Path) -> BacktestFold | None:
        """The fold of a folder; None when it was not finished."""
        import pandas as pd

        summary = read_json(folder / FOLD)
        try:
            return None if summary is None else cls(summary, pd.read_parquet(folder / PREDICTIONS))
        except (OSError, ValueError):
            return None


def run_fold(job: BacktestJob) -> FoldResult[BacktestFold]:
    """Do a job and keep what it found in the job's folder."""
    return attempt(job, _run)


def _run(job: BacktestJob) -> BacktestFold:
    begun = time.monotonic()
    trained = train_contender(job.visible, job.plan, job.file, start=job.start, divide=job.divide)
    refuse(audit_run(trained.prepared, model=trained.ensemble.model), acknowledged=job.plan.evaluation.acknowledged)
    frame = _frame(job, trained)
    fold = BacktestFold(_summary(job, trained, frame) | {"seconds": round(time.monotonic() - begun, 1)}, frame)
    if job.folder.parent.is_dir():  # a cluster may have no disk in common with whoever asks
        fold.save(job.folder)
    return fold


def _frame(job: BacktestJob, trained: TrainedContender) -> pd.DataFrame:
    """The predictions of network and baselines; origins are rows of the whole table."""
    import pandas as pd

    prepared, ensemble, task = trained.prepared, trained.ensemble, trained.prepared.task
    frames = []
    for part in JUDGED:
        windows = thinned(prepared.scored[part], task)
        frames.append(prediction_frame(task, windows, ensemble.says(task, windows), model=NETWORK, part=part))
    baselines = score_baselines(prepared, ensemble.blocks, known=ensemble.simple).frame
    if len(baselines):
        frames.append(baselines[baselines["part"].isin(JUDGED)])
    frame = pd.concat(frames, ignore_index=True)
    first, _ = job.rows
    return frame.assign(origin=frame["origin"] + first, fold=job.number, seed=job.seed)


def _summary(job: BacktestJob, trained: TrainedContender, frame: pd.DataFrame) -> dict[str, Any]:
    prepared, ensemble, task = trained.prepared, trained.ensemble, trained.prepared.task
    spec = prepared.preprocessing.spec
    means = {name: score.mean for name, score in scores_of(frame, task).items()}
    known = [name for name, mean in means.items() if name != NETWORK and np.isfinite(mean)]
    return {
        "fold": job.number,
        "seed": job.seed,
        "taught": _extent(prepared, (SplitPart.TRAIN, SplitPart.VALIDATION)),
        "judged": _extent(prepared, (SplitPart.TEST,)),
        "rows": {part.name.lower(): prepared.split.count(part) for part in SplitPart},
        "windows": {name: len(windows) for name, windows in prepared.parts.items()},
        "lookback": spec.lookback,
        "reach": spec.reach,
        "horizon": spec.horizon,
        "network": ensemble.name,
        "best_epoch": ensemble.fitted.best_epoch,
        "epochs": len(ensemble.fitted.history["loss"]),
        "recurrent": ensemble.share,
        "metric": task.judging.metrics[0],
        "best_baseline": best_by_validation(frame, task, known),
        "scores": {name: mean if np.isfinite(mean) else None for name, mean in means.items()},
    }


def _extent(prepared: Prepared, parts: tuple[SplitPart, ...]) -> tuple[str, str]:
    """First and last place of the rows of some parts."""
    rows = np.flatnonzero(np.isin(prepared.split.part, [int(part) for part in parts]))
    return places(prepared.table, int(rows[0]), int(rows[-1]) + 1)
