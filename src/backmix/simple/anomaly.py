"""Normal or not, without a network.

This module registers the two baselines of anomaly detection: principal components with T² and SPE
(Jackson & Mudholkar, Technometrics 21 (1979) 341), and the largest deviation of a single tag. Both
look at single rows, those that make the network's score, and take the mean of their statistic; they
learn from the normal training windows, and set their threshold as the network does: by the same rate
on the same normal validation windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.models.members.novelty import VARIANCE, Subspace, finest, needed, threshold
from backmix.simple import Unusable, baselines
from backmix.tasks.anomaly_detection import AnomalyDetectionTarget, alarm
from backmix.training.features import last_fifth

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Outcome, Task

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Components:
    """T² and SPE, each in units of its own limit; the larger one is the score.

    along, beside: the limits of T² and of SPE; limit: that of the larger of both; rows: R, see `newest`
    """

    space: Subspace
    along: float
    beside: float
    limit: float
    rows: int
    decisions: tuple[Decision, ...]

    def predict(self, windows: Windows) -> Outcome:
        parts = _larger(self.space, newest(windows, self.rows), self.along, self.beside)
        return alarm(parts, self.limit, windows.spec.inputs)


@dataclass(frozen=True, eq=False)
class Deviation:
    """The largest squared deviation of one tag; center, scale: (F,) of the normal training rows."""

    center: Floats
    scale: Floats
    limit: float
    rows: int
    decisions: tuple[Decision, ...]

    def predict(self, windows: Windows) -> Outcome:
        parts = _largest(newest(windows, self.rows), self.center, self.scale)
        return alarm(parts, self.limit, windows.spec.inputs)


def newest(windows: Windows, rows: int) -> Floats:
    """(W, R, F) the inputs on the row that each window is judged on and those before it, in plant units."""
    columns = [windows.table.index(name) for name in windows.spec.inputs]
    at = np.asarray(windows.origins, dtype=np.int64)[:, None] + np.arange(1 - rows, 1)
    found: Floats = np.asarray(windows.table.values)[at][..., columns].astype(np.float64)
    return found


def _larger(space: Subspace, rows: Floats, along: float, beside: float) -> Floats:
    """The parts (W, F) of the larger statistic."""
    one, other = _mean(space.along, rows) / along, _mean(space.beside, rows) / beside
    return np.where((one.sum(axis=1) >= other.sum(axis=1))[:, None], one, other)


def _largest(rows: Floats, center: Floats, scale: Floats) -> Floats:
    """The mean squared deviations (W, F), all but the largest of each window 0."""
    squared = _mean(lambda flat: ((flat - center) / scale) ** 2, rows)
    return np.where(squared == squared.max(axis=1, keepdims=True), squared, 0.0)


def _mean(shares: Callable[[Floats], Floats], rows: Floats) -> Floats:
    """The mean (W, F) of the shares of rows (W, R, F)."""
    found: Floats = shares(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape).mean(axis=1)
    return found


@dataclass(frozen=True, eq=False)
class _Normal:
    """What is known of normal operation.

    rows: (n, F) normal training rows; choosing: (W, R, F) normal windows that set the threshold
    """

    rows: Floats
    choosing: Floats
    rate: float

    @classmethod
    def of(cls, train: Windows, validation: Windows | None, task: Task) -> _Normal:
        """Unusable for another task, or when too few windows are left to tell the rate."""
        if not isinstance(task.target, AnomalyDetectionTarget):
            raise Unusable("anomaly.only_for", task=task.name)
        rate = task.target.settings.false_alarm_rate
        taught, choosing = last_fifth(train, validation)
        if len(choosing) < needed(rate):
            raise Unusable(
                "anomaly.too_fine",
                where=train.table.source,
                rate=rate,
                least=needed(rate),
                count=len(choosing),
                fit=finest(len(choosing)),
            )
        return cls(newest(taught, 1)[:, 0], newest(choosing, task.target.scored_rows(choosing)), rate)


@baselines.register("pca")
def fit_pca(train: Windows, validation: Windows | None, task: Task, seed: int) -> Components:
    """Principal components of standardised normal rows."""
    known = _Normal.of(train, validation, task)
    rows, choosing, rate = known.rows, known.choosing, known.rate
    space = Subspace.fit(rows)
    tiny = np.finfo(np.float64).tiny  # with one input nothing lies beside its component
    along = max(threshold(_mean(space.along, choosing).sum(axis=1), rate), tiny)
    beside = max(threshold(_mean(space.beside, choosing).sum(axis=1), rate), tiny)
    limit = threshold(_larger(space, choosing, along, beside).sum(axis=1), rate)
    count = len(space.variances)
    decision = Decision(
        count,
        "anomaly.pca_components",
        {"components": count, "share": VARIANCE, "rows": f"{len(rows):,}"},
        setting="baseline.pca",
    )
    return Components(space, along, beside, limit, choosing.shape[1], (decision,))


@baselines.register("largest_deviation")
def fit_deviation(train: Windows, validation: Windows | None, task: Task, seed: int) -> Deviation:
    """The tag that is farthest from its normal mean."""
    known = _Normal.of(train, validation, task)
    rows, choosing, rate = known.rows, known.choosing, known.rate
    center, spread = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    limit = threshold(_largest(choosing, center, scale).sum(axis=1), rate)
    decision = Decision(
        None, "anomaly.deviation_rule", {"rows": f"{len(rows):,}"}, setting="baseline.largest_deviation"
    )
    return Deviation(center, scale, limit, choosing.shape[1], (decision,))
