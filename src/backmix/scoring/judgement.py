"""From a trained network to a verdict.

This module fits the baselines beside a network, scores all of them on the same windows of the
validation and test parts, and judges. What it knows before the network is trained (the score to
beat) it says then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.ledger import Note
from backmix.data.windows.doubt import Doubts
from backmix.data.windows.slices import sampled
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.models.ensemble import NETWORKS
from backmix.scoring.path_verdict import with_paths
from backmix.scoring.predictions import FREE_RUN, RIVAL, prediction_frame
from backmix.scoring.scores import Sampling, ScoreRow, score_table
from backmix.scoring.verdict import EnsembleShare, Verdict, judge
from backmix.simple import SimpleModels
from backmix.simple.blocks import Blocks
from backmix.simple.threads import few_threads
from backmix.tasks import Task
from backmix.training.beside import FittedBaselines, baselines_of, fit_together
from backmix.training.ensemble import TrainedEnsemble
from backmix.training.fitting.progress import ScoreToBeat
from backmix.training.paths.stability import free_runs
from backmix.training.predict import predict_outcome
from backmix.training.prepared import Prepared

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 100_000
"""Rows of the prediction frame per model and part; only paths of many rows and targets reach it."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What network and baselines are worth: the prediction frame, the scores, the verdict."""

    frame: pd.DataFrame
    scores: tuple[ScoreRow, ...]
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Baselines:
    """The baselines of a run and their predictions, ready to stand beside a network.

    simple: the simple models that they are, for an ensemble of the same run
    """

    prepared: Prepared
    fitted: FittedBaselines
    frame: pd.DataFrame
    simple: SimpleModels

    def mark(self, loss: str) -> ScoreToBeat | None:
        """The score to beat while training with this loss, or None when it has another unit."""
        scaler = self.prepared.preprocessing.target_scaler
        other = self.prepared.task.kind != "regression" or loss not in ("mse", "mae")
        if other or scaler is None or self.frame.empty:
            return None
        validation = self.frame[self.frame["part"] == "validation"]
        scale = validation["target"].map(dict(zip(scaler.names, scaler.scale, strict=True))).astype(float)
        error = ((validation["prediction"] - validation["truth"]) / scale).abs()
        cost = error**2 if loss == "mse" else error
        means = cost.groupby(validation["model"]).mean().dropna()
        return ScoreToBeat(name=str(means.idxmin()), value=float(means.min())) if len(means) else None

    def judge(self, model: Any, *, name: str, ensemble: TrainedEnsemble | None = None) -> Judgement:
        """Score a trained Keras network called ``name`` beside the baselines.

        ``ensemble``: the ensemble that ``model`` is; what it says of validation windows is then what its networks and
        parts said when they had not seen them, and its networks alone are scored, too.
        """
        import pandas as pd

        task, settings = self.prepared.task, self.prepared.plan.evaluation
        frames, inside = [], None
        for part, windows in _scored(self.prepared).items():
            if ensemble is not None and ensemble.beside:
                inside = EnsembleShare(float(ensemble.beside.get(NETWORKS, 0.0)), model.architecture.called)
                outcomes = {
                    name: predict_outcome(model, task, windows),
                    inside.alone: predict_outcome(model, task.alone(), windows),
                }
            elif ensemble is None or ensemble.alone is None:
                outcomes = {name: predict_outcome(model, task, windows)}
            else:
                inside = EnsembleShare(float(ensemble.share), ensemble.alone.architecture.called)
                outcomes = {name: ensemble.says(task, windows), inside.alone: ensemble.says(task, windows, alone=True)}
            frames += [
                prediction_frame(task, windows, outcome, model=called, part=part)
                for called, outcome in outcomes.items()
            ]
        frames += self._free_runs(model, name)
        frame = pd.concat([*frames, self.frame], ignore_index=True)
        _add_doubts(frame, _scored(self.prepared), self.prepared.ledger.notes)
        sampling = Sampling(draws=settings.resamples, level=settings.level, seed=self.prepared.plan.training.seed)
        verdict = judge(frame, task, network=name, sampling=sampling, inside=inside)
        return Judgement(
            frame=frame,
            scores=score_table(frame, task, sampling=sampling),
            verdict=with_paths(verdict, frame) if self.prepared.test.spec.answer == "path" else verdict,
        )

    def _free_runs(self, model: Any, name: str) -> list[pd.DataFrame]:
        """The network, and the linear model beside it, on their own answers through the test part."""
        task, frames = self.prepared.task, []
        for windows in free_runs(task, self.prepared.test):
            outcomes = {name: predict_outcome(model, task, windows)}
            if RIVAL in self.fitted.predictors:
                outcomes[RIVAL] = task.revise(self.fitted.predictors[RIVAL].predict(windows), windows)
            frames += [
                prediction_frame(task, windows, outcome, model=model_name, part=FREE_RUN)
                for model_name, outcome in outcomes.items()
            ]
        return frames


def _add_doubts(frame: pd.DataFrame, parts: Mapping[str, Windows], notes: Sequence[Note]) -> None:
    """Quality and reason of every row: those of the inputs of its window, whichever model answers."""
    import pandas as pd

    for part, windows in parts.items():
        rows = np.flatnonzero(frame["part"] == part)
        places = pd.Index(windows.origins).get_indexer(pd.Index(frame["origin"].to_numpy()[rows]))
        for name, values in Doubts.of(windows, notes).columns.items():
            column = (
                frame[name].to_numpy(dtype=object, copy=True) if name in frame else np.full(len(frame), None, object)
            )
            column[rows] = values[places]
            frame[name] = column


def score_baselines(
    prepared: Prepared, over: Blocks | Decision | None = None, *, known: SimpleModels | None = None
) -> Baselines:
    """Fit the baselines of the plan (else of the task) on the windows of training and validation, and let them predict.

    over: the blocks of an ensemble, whose members are fitted, too; without them the validation part is held out
    known: simple models of the run; those are not fitted again
    """
    models = fit_together(prepared, over, known)
    models, fitted = baselines_of(models, prepared.task, prepared.plan.evaluation.baselines)
    return Baselines(prepared, fitted, baseline_frame(fitted, prepared.task, _scored(prepared)), models)


def baseline_frame(fitted: FittedBaselines, task: Task, parts: Mapping[str, Windows]) -> pd.DataFrame:
    """The predictions of all baselines on some parts of the split, as one prediction frame.

    Of validation windows they are those of models that the validation part has not taught.
    """
    import pandas as pd

    frames = []
    for part, windows in parts.items():
        for name, predictor in (fitted.before if "validation" in part else fitted.predictors).items():
            with few_threads(windows):
                outcome = task.revise(predictor.predict(windows), windows)
            frames.append(prediction_frame(task, windows, outcome, model=name, part=part))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _scored(prepared: Prepared) -> dict[str, Windows]:
    """The windows of each part of the prediction frame; the training part would flatter every model."""
    return {part: thinned(windows, prepared.task) for part, windows in prepared.scored.items()}


def thinned(windows: Windows, task: Task) -> Windows:
    """The windows, or so many of them, evenly spread, as give no more than `MOST_ROWS` rows of a frame."""
    each = len(windows.spec.horizons) * max(1, len(task.targets))  # what is learned may be more than is judged
    if len(windows) * each <= max(MOST_ROWS, each):
        return windows
    return windows.subset(sampled(len(windows), max(1, MOST_ROWS // each)))
