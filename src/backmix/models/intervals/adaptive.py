"""Adaptive conformal intervals: they follow a plant that changes.

This module widens an interval when too many results lie outside and narrows it when too few do, also when results
come late, so that in the long run the coverage is the level asked for. The width is a factor on the calibrated
interval. The factor is a weighted mean over several learning rates; those that fitted the newest results better have
more weight.

    adaptive = Adaptive(level=0.9)
    state = adaptive.start()
    (low, high), state = adaptive.step(Ahead(row=7, prediction=3.2, radius=0.4), {4: 3.0}, state)

A state is never changed, and an interval depends on nothing but the results handed over by then.

Gibbs & Candès, NeurIPS 34 (2021) 1660; the quantile itself is tracked, as in Angelopoulos, Candès & Tibshirani,
NeurIPS 36 (2023): an interval from adapted levels is infinite in up to half of the rows when results are late
(benchmarks/LOG.md). Weights of the speeds: Gibbs & Candès, J. Mach. Learn. Res. 25 (2024) 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPEEDS = (0.01, 0.02, 0.05, 0.1)
"""Steps of the factor, in shares of the largest recent score."""
RECENT = 200
"""Scores that tell how large scores are at present."""
KEENNESS, SHARED = 0.5, 0.01
"""How fast weights follow the losses, and the share of them that is spread evenly, so that no weight vanishes."""
MOST_PENDING = 1000
"""Predictions that a state keeps until their results come; the oldest give way."""
LARGEST = 1e6
"""A score, in interval widths of the calibration, is cut off here: beyond it a number is no measurement."""


@dataclass(frozen=True)
class PendingPrediction:
    """A prediction whose result is not known yet.

    row: the number under which its result arrives later; radius: half the calibrated width
    """

    row: int
    prediction: float
    radius: float


@dataclass(frozen=True)
class AdaptiveState:
    """What an adaptive interval has learned so far.

    factors, weights: one per speed; recent: the newest scores in units of the calibrated radius;
    pending: predictions without a result, each with the factors that it was given
    """

    factors: tuple[float, ...]
    weights: tuple[float, ...]
    recent: tuple[float, ...]
    pending: Mapping[int, tuple[PendingPrediction, tuple[float, ...]]]

    @property
    def factor(self) -> float:
        """How much wider (above 1) or narrower than the calibration intervals are now."""
        return sum(weight * factor for weight, factor in zip(self.weights, self.factors, strict=True))


@dataclass(frozen=True)
class Adaptive:
    """An interval that holds ``level`` of the results in the long run."""

    level: float

    def start(self, scores: Iterable[float] = (1.0,)) -> AdaptiveState:
        """At the calibration: factor 1. scores: those of the calibration, in units of its radius, newest last."""
        count = len(SPEEDS)
        recent = tuple(min(score, LARGEST) for score in scores)[-RECENT:]
        return AdaptiveState((1.0,) * count, (1.0 / count,) * count, recent, {})

    def step(
        self, ahead: PendingPrediction, results: Mapping[int, float], state: AdaptiveState
    ) -> tuple[tuple[float, float], AdaptiveState]:
        """The interval (low, high) of a new prediction, after learning from the results that have come.

        results: row -> value, of rows that this was asked about before; others, and missing values, count for
        nothing. A prediction without a calibrated radius has an infinite interval.

        >>> adaptive = Adaptive(0.9)
        >>> interval, state = adaptive.step(PendingPrediction(0, 10.0, 2.0), {}, adaptive.start())
        >>> interval
        (8.0, 12.0)
        >>> (low, high), state = adaptive.step(PendingPrediction(1, 10.0, 2.0), {0: 13.0}, state)
        >>> low < 8.0 and high > 12.0
        True
        """
        for row in sorted(results):
            if row in state.pending:
                state = self._learned(state, row, results[row])
        if not (math.isfinite(ahead.radius) and math.isfinite(ahead.prediction)):
            return (-math.inf, math.inf), state
        half = state.factor * ahead.radius
        pending = dict(state.pending)
        pending[ahead.row] = (ahead, state.factors)
        if len(pending) > MOST_PENDING:
            del pending[next(iter(pending))]
        return (ahead.prediction - half, ahead.prediction + half), replace(state, pending=pending)

    def _learned(self, state: AdaptiveState, row: int, result: float) -> AdaptiveState:
        """The state behind one result."""
        pending = dict(state.pending)
        ahead, factors = pending.pop(row)
        if not math.isfinite(result):
            return replace(state, pending=pending)
        score = min(abs(result - ahead.prediction) / max(ahead.radius, 1e-300), LARGEST)
        usual = sorted(state.recent)
        largest, middle = usual[-1], max(usual[len(usual) // 2], 1e-300)
        outside = 1.0 - self.level
        losses = [(self.level if score > factor else -outside) * (score - factor) / middle for factor in factors]
        least = min(losses)
        weights = [w * math.exp(-KEENNESS * (loss - least)) for w, loss in zip(state.weights, losses, strict=True)]
        total = sum(weights)
        even = SHARED / len(weights)
        return AdaptiveState(
            tuple(
                max(factor + speed * largest * ((score > then) - outside), 0.0)
                for factor, speed, then in zip(state.factors, SPEEDS, factors, strict=True)
            ),
            tuple((1.0 - SHARED) * w / total + even for w in weights),
            (*state.recent, score)[-RECENT:],
            pending,
        )


@dataclass(frozen=True, eq=False)
class PredictionSeries:
    """N predictions of one quantity in the order in which they were made.

    prediction, truth, radius: (N,), truth NaN where it never becomes known
    made, known: (N,) on one clock, when each prediction was made (ascending) and when its result arrived; a result
        is used at the earliest for the next prediction
    """

    prediction: Floats
    truth: Floats
    radius: Floats
    made: NDArray[np.int64]
    known: NDArray[np.int64]


def follow(adaptive: Adaptive, series: PredictionSeries, state: AdaptiveState) -> tuple[Floats, AdaptiveState]:
    """The intervals (N, 2) of a series, each from the results known by then, and the state after the last one.

    >>> at = np.arange(3)
    >>> series = PredictionSeries(np.zeros(3), np.array([5.0, 0.0, 0.0]), np.ones(3), at, at + 2)
    >>> follow(Adaptive(0.9), series, Adaptive(0.9).start())[0][:, 1].tolist()[:2]
    [1.0, 1.0]
    """
    intervals = np.empty((len(series.made), 2))
    known = np.maximum(series.known, series.made + 1)
    by_arrival = np.argsort(known, kind="stable")
    arrived = 0
    for n in range(len(series.made)):
        results: dict[int, float] = {}
        while arrived < len(by_arrival) and known[by_arrival[arrived]] <= series.made[n]:
            results[int(by_arrival[arrived])] = float(series.truth[by_arrival[arrived]])
            arrived += 1
        intervals[n], state = adaptive.step(
            PendingPrediction(n, float(series.prediction[n]), float(series.radius[n])), results, state
        )
    return intervals, state
