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

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.models.members.novelty import VARIANCE, Subspace, finest, needed, threshold
from backmix.outcome import Outcome, alarm
from backmix.simple import Fitted, SimpleModel, Unusable, simple_model
from backmix.simple.trial import Trial

Floats = NDArray[np.float64]
Shares = Callable[[Floats], Floats]
"""Rows (W, R, F) -> the part (W, F) of every tag in each window's score."""


@dataclass(frozen=True, eq=False)
class Detector(SimpleModel):
    """Windows whose score lies above ``limit`` are no normal operation; rows: R, see `newest`."""

    shares: Shares
    limit: float
    rows: int

    def predict(self, windows: Windows) -> Outcome:
        return alarm(self.shares(newest(windows, self.rows)), self.limit, windows.spec.inputs)


def newest(windows: Windows, rows: int) -> Floats:
    """(W, R, F) the inputs on the row that each window is judged on and those before it, in plant units."""
    columns = [windows.table.index(name) for name in windows.spec.inputs]
    rows_of_window = np.asarray(windows.origins, dtype=np.int64)[:, None] + np.arange(1 - rows, 1)
    values: Floats = np.asarray(windows.table.values)[rows_of_window][..., columns].astype(np.float64)
    return values


@simple_model("pca", "any", title={"en": "PCA (T² and SPE)", "zh_TW": "PCA（T² 與 SPE）"})
def fit_pca(trial: Trial) -> Fitted:
    """Principal components of standardised normal rows; the larger of T² and SPE, in units of its limit."""
    rows, choosing, rate = _normal(trial)
    space = Subspace.fit(rows)
    tiny = np.finfo(np.float64).tiny  # with one input nothing lies beside its component
    along = max(threshold(_mean(space.along, choosing).sum(axis=1), rate), tiny)
    beside = max(threshold(_mean(space.beside, choosing).sum(axis=1), rate), tiny)

    def larger(rows: Floats) -> Floats:
        t2, spe = _mean(space.along, rows) / along, _mean(space.beside, rows) / beside
        return np.where((t2.sum(axis=1) >= spe.sum(axis=1))[:, None], t2, spe)

    count = len(space.variances)
    values = {"components": count, "share": VARIANCE, "rows": f"{len(rows):,}"}
    return _detector(larger, choosing, rate, Decision(count, "anomaly.pca_components", values, setting="pca"))


@simple_model("largest_deviation", "any", title={"en": "largest deviation of a tag", "zh_TW": "單一標籤最大偏差"})
def fit_deviation(trial: Trial) -> Fitted:
    """The tag that is farthest from its normal mean."""
    rows, choosing, rate = _normal(trial)
    center, spread = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)

    def largest(rows: Floats) -> Floats:
        squared = _mean(lambda flat: ((flat - center) / scale) ** 2, rows)
        return np.where(squared == squared.max(axis=1, keepdims=True), squared, 0.0)

    values = {"rows": f"{len(rows):,}"}
    decision = Decision(None, "anomaly.deviation_rule", values, setting="largest_deviation")
    return _detector(largest, choosing, rate, decision)


def _detector(shares: Shares, choosing: Floats, rate: float, decision: Decision) -> Fitted:
    """With the threshold that normal windows exceed at the rate; it takes the validation part, so nothing else."""
    detector = Detector(shares, threshold(shares(choosing).sum(axis=1), rate), choosing.shape[1])
    return Fitted(detector, detector, (), (decision,))


def _normal(trial: Trial) -> tuple[Floats, Floats, float]:
    """Normal rows (n, F) that teach, normal windows (W, R, F) that set the threshold, and the false-alarm rate.

    Unusable for another task, or when too few windows are left to tell the rate.
    """
    question, fold = trial.question, trial.folds[-1]
    rate, count = question.false_alarm_rate, len(fold.held_out)
    if rate is None:
        raise Unusable("anomaly.only_for", task=question.task)
    if count < needed(rate):
        raise Unusable(
            "anomaly.too_fine",
            where=fold.held_out.base.table.source,
            rate=rate,
            least=needed(rate),
            count=count,
            fit=finest(count),
        )
    rows = newest(fold.taught.windows, 1)[:, 0]
    if not rows.std(axis=0).any():
        raise Unusable("simple.still_inputs", rows=f"{len(rows):,}")
    return rows, newest(fold.held_out.windows, question.counted), rate


def _mean(shares: Shares, rows: Floats) -> Floats:
    """The mean (W, F) of the shares of rows (W, R, F)."""
    values: Floats = shares(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape).mean(axis=1)
    return values
