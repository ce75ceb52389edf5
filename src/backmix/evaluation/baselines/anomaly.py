"""Normal or not, without a network.

This module registers the two baselines of anomaly detection: principal components with T² and SPE
(Jackson & Mudholkar, Technometrics 21 (1979) 341), and the largest deviation of a single tag. Both
look at the newest row alone, learn from the normal training windows, and set their threshold as the
network does: by the same rate on the same normal validation windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.evaluation.baselines import Unusable, baselines
from backmix.evaluation.baselines.features import last_fifth
from backmix.models.choice import Choice
from backmix.models.novelty import VARIANCE, Subspace, needed, threshold
from backmix.tasks.anomaly_detection import AnomalyDetection, alarm

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Outcome, Task

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Components:
    """T² and SPE, each in units of its own limit; the larger one is the score.

    along, beside: the limits of T² and of SPE; limit: that of the larger of both
    """

    space: Subspace
    along: float
    beside: float
    limit: float
    choices: tuple[Choice, ...]

    def predict(self, windows: Windows) -> Outcome:
        return alarm(_larger(self.space, newest(windows), self.along, self.beside), self.limit, windows.spec.inputs)


@dataclass(frozen=True, eq=False)
class Deviation:
    """The largest squared deviation of one tag; center, scale: (F,) of the normal training rows."""

    center: Floats
    scale: Floats
    limit: float
    choices: tuple[Choice, ...]

    def predict(self, windows: Windows) -> Outcome:
        return alarm(_largest(newest(windows), self.center, self.scale), self.limit, windows.spec.inputs)


def newest(windows: Windows) -> Floats:
    """(W, F) the inputs on the row that each window is judged on, in plant units."""
    columns = [windows.table.index(name) for name in windows.spec.inputs]
    return np.asarray(windows.table.values)[np.asarray(windows.origins)][:, columns].astype(np.float64)


def _larger(space: Subspace, rows: Floats, along: float, beside: float) -> Floats:
    """The parts (n, F) of the larger statistic."""
    one, other = space.along(rows) / along, space.beside(rows) / beside
    return np.where((one.sum(axis=1) >= other.sum(axis=1))[:, None], one, other)


def _largest(rows: Floats, center: Floats, scale: Floats) -> Floats:
    """The squared deviations (n, F), all but the largest of each row 0."""
    squared = ((rows - center) / scale) ** 2
    return np.where(squared == squared.max(axis=1, keepdims=True), squared, 0.0)


def _rows(train: Windows, validation: Windows | None, task: Task) -> tuple[Floats, Floats, float]:
    """Normal training rows, normal rows that set the threshold, and the rate of false alarms."""
    if not isinstance(task, AnomalyDetection):
        raise Unusable("anomaly.only_for", task=task.name)
    rate = task.settings.false_alarm_rate
    taught, choosing = last_fifth(train, validation)
    if len(choosing) < needed(rate):
        raise Unusable("anomaly.too_fine", where=train.table.source, rate=rate, least=needed(rate),
                       count=len(choosing), fit=f"{1 / (len(choosing) + 1):.2g}")
    return newest(taught), newest(choosing), rate


@baselines.register("pca")
def fit_pca(train: Windows, validation: Windows | None, task: Task, seed: int) -> Components:
    """Principal components of standardised normal rows."""
    rows, choosing, rate = _rows(train, validation, task)
    space = Subspace.fit(rows)
    tiny = np.finfo(np.float64).tiny  # with one input nothing lies beside its component
    along = max(threshold(space.along(choosing).sum(axis=1), rate), tiny)
    beside = max(threshold(space.beside(choosing).sum(axis=1), rate), tiny)
    limit = threshold(_larger(space, choosing, along, beside).sum(axis=1), rate)
    count = len(space.variances)
    choice = Choice(count, "anomaly.pca_components", {"components": count, "share": VARIANCE, "rows": f"{len(rows):,}"},
                    setting="baseline.pca")
    return Components(space, along, beside, limit, (choice,))


@baselines.register("largest_deviation")
def fit_deviation(train: Windows, validation: Windows | None, task: Task, seed: int) -> Deviation:
    """The tag that is farthest from its normal mean."""
    rows, choosing, rate = _rows(train, validation, task)
    center, spread = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    limit = threshold(_largest(choosing, center, scale).sum(axis=1), rate)
    choice = Choice(None, "anomaly.deviation_rule", {"rows": f"{len(rows):,}"}, setting="baseline.largest_deviation")
    return Deviation(center, scale, limit, (choice,))
