"""Baselines that look at no input.

This module registers the training mean, the last known value and the most frequent class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import slices
from backmix.decision import Decision
from backmix.simple import Again, Unusable, baselines
from backmix.tasks import Outcome

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task


@dataclass(frozen=True, eq=False)
class Constant:
    """The same values (K,) or probabilities (C,) for every window."""

    values: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float64] | None = None
    decisions: tuple[Decision, ...] = ()
    learn_again: Again | None = None

    def predict(self, windows: Windows) -> Outcome:
        def repeat(row: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
            return None if row is None else np.tile(row, (len(windows), 1))

        return Outcome(values=repeat(self.values), probabilities=repeat(self.probabilities))


@baselines.register("mean")
def fit_mean(train: Windows, validation: Windows | None, task: Task, seed: int) -> Constant:
    """The mean of the training targets."""
    return _mean(train)


def _mean(windows: Windows) -> Constant:
    return Constant(values=windows.truth().mean(axis=0), learn_again=_mean)


@baselines.register("majority")
def fit_majority(train: Windows, validation: Windows | None, task: Task, seed: int) -> Constant:
    """The share of each class among the training windows; the most frequent one is predicted."""

    def learn(windows: Windows) -> Constant:
        counts = np.bincount(windows.truth()[:, 0].astype(np.int64), minlength=len(task.target.classes))
        return Constant(probabilities=counts / counts.sum(), learn_again=learn)

    return learn(train)


@dataclass(frozen=True)
class LastKnown:
    """The newest past target value that the window shows: what the plant really knows by then."""

    decisions: tuple[Decision, ...] = ()

    def predict(self, windows: Windows) -> Outcome:
        first = len(windows.spec.columns)
        last = first + len(windows.spec.targets)
        newest = (
            np.concatenate([windows.gather(at).x[:, -1, first:last].astype(np.float64) for at in slices(windows)])
            if len(windows)
            else np.empty((0, len(windows.spec.targets)))
        )
        if windows.spec.relative != "none":
            newest = np.zeros_like(newest)
        return Outcome(values=windows.unscaled(np.tile(newest, (1, len(windows.spec.horizons)))))


@baselines.register("last_value")
def fit_last_value(train: Windows, validation: Windows | None, task: Task, seed: int) -> LastKnown:
    """The last target value that is known at the moment of prediction.

    When the task declares no past targets there is none: a value whose age nobody has stated may
    not be known in the plant, and using it would make the baseline look into the future.
    """
    if train.spec.known is None:
        raise Unusable("evaluation.no_last_value", targets=", ".join(tag.name for tag in task.targets))
    return LastKnown()
