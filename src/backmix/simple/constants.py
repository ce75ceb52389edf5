"""Models that look at no input.

This module registers the training mean, the last known value and the most frequent class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.slices import slices
from backmix.data.windows.windows import Windows
from backmix.models.members.member import Member
from backmix.outcome import Outcome
from backmix.simple import Fitted, SimpleModel, Unusable, learned, simple_model
from backmix.simple.trial import Trial, WindowSubset


@dataclass(frozen=True, eq=False)
class Constant(SimpleModel):
    """The same values (K,) or probabilities (C,) for every window.

    scaled: of the values, (K,) as members answer; features: of a window
    """

    values: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float64] | None = None
    scaled: NDArray[np.float64] | None = None
    features: int = 0

    def to_member(self) -> Member | None:
        if self.scaled is None:
            return None
        kernel = np.zeros((self.features, len(self.scaled)))
        return Member("mean", "last", "linear", {"kernel": kernel, "bias": self.scaled})

    def predict(self, windows: Windows) -> Outcome:
        def repeat(row: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
            return None if row is None else np.tile(row, (len(windows), 1))

        return Outcome(values=repeat(self.values), probabilities=repeat(self.probabilities))


@simple_model("mean", "regression", member=True, title={"en": "training mean", "zh_TW": "訓練平均值"})
def fit_mean(trial: Trial) -> Fitted:
    """The mean of the training targets."""
    if trial.final.base.spec.answer == "path":
        from backmix.simple.ahead import reverting

        if (model := reverting(trial)) is not None:
            return model
    features = len(trial.final.base.feature_names)

    def learn(sample: WindowSubset) -> Constant:
        return Constant(
            values=sample.windows.truth().mean(axis=0),
            scaled=trial.targets(sample).mean(axis=0) if sample.base.spec.relative == "none" else None,
            features=features,
        )

    models = [learn(fold.taught) for fold in trial.folds]
    out_of_fold = tuple(
        np.tile(trial.targets(fold.taught).mean(axis=0), (len(fold.held_out), 1)) for fold in trial.folds
    )
    return Fitted(learn(trial.final), models[-1], out_of_fold)


@simple_model("majority", "classification", title={"en": "most frequent class", "zh_TW": "最常見類別"})
def fit_majority(trial: Trial) -> Fitted:
    """The share of each class among the training windows; the most frequent one is predicted."""

    def learn(sample: WindowSubset) -> Constant:
        counts = np.bincount(trial.codes(sample), minlength=len(trial.question.classes))
        return Constant(probabilities=counts / counts.sum())

    return learned(trial, learn)


@dataclass(frozen=True)
class LastKnown(SimpleModel):
    """The newest past target value that the window shows: what the plant really knows by then."""

    def predict(self, windows: Windows) -> Outcome:
        first = len(windows.spec.columns)
        last = first + len(windows.spec.targets)
        newest = (
            np.concatenate([windows.gather(block).x[:, -1, first:last].astype(np.float64) for block in slices(windows)])
            if len(windows)
            else np.empty((0, len(windows.spec.targets)))
        )
        if windows.spec.relative != "none":
            newest = np.zeros_like(newest)
        return Outcome(values=windows.unscaled(np.tile(newest, (1, len(windows.spec.horizons)))))


@simple_model("last_value", "regression", title={"en": "last known value", "zh_TW": "最近已知值"})
def fit_last_value(trial: Trial) -> Fitted:
    """The last target value that is known at the moment of prediction.

    When the task declares no past targets there is none: a value whose age nobody has stated may
    not be known in the plant, and using it would make the model look into the future.
    """
    if trial.final.base.spec.known is None:
        raise Unusable("evaluation.no_last_value", targets=", ".join(tag.name for tag in trial.question.targets))
    if trial.final.base.spec.answer == "path":
        from backmix.simple.ahead import persistence

        return persistence(trial)
    return learned(trial, lambda sample: LastKnown())
