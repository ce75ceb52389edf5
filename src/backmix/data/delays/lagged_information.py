"""What an input at a lag tells of a target, straight or not.

This module counts, at every lag and at every far shift, how often each tenth or so of the input meets
each of the target: the mutual information of these counts needs no straight line, serves classes too,
and what it is at far shifts, where there is nothing to tell, says what autocorrelation alone makes of
it. How much it is at the lag that was found says the nearest-neighbour estimate of Kraskov, Stögbauer &
Grassberger, Physical Review E 69 (2004) 066138 (Ross, PLoS ONE 9 (2014) e87357 for classes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.delays.lagged import Floats, LagAxis, block_sums, draws, paired, transform
from backmix.data.delays.prewhitening import rarity

MOST_BINS = 6
RESAMPLES = 100
SAMPLE = 1000
"""Pairs that the nearest-neighbour estimate sees."""


@dataclass(frozen=True, eq=False)
class Information:
    """The mutual information of two series at every lag.

    nats: (L + 1) at lags 0 to L; back: (L) at lags -1 to -L; p: chance of the largest among lags 0 to L
    chance: shape and scale of the gamma distribution of what far shifts show
    rare: how often a stretch of as many far shifts shows as much; NaN when there are too few
    moves: how many independent pairs the labelled rows are worth
    """

    nats: Floats
    back: Floats
    p: float
    chance: tuple[float, float]
    rare: float
    moves: float

    @property
    def peak(self) -> int:
        """The lag that tells most."""
        return int(np.argmax(self.nats))

    def bound(self, level: float) -> float:
        """The nats that chance reaches at one of the lags in this share of scans."""
        from scipy.stats import gamma

        shape, scale = self.chance
        return float(gamma.isf(level / len(self.nats), shape, scale=scale))


def inform(axis: LagAxis, x: NDArray[np.floating], y: NDArray[np.floating], *, classes: bool) -> Information:
    """The lagged mutual information of x and y, both (N,) on the rows of the axis, NaN where missing.

    >>> from backmix.data.tag import Tag
    >>> from backmix.data.table import Table
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=900)
    >>> y = np.append(np.zeros(5), x[:-5] ** 2) + 0.2 * rng.normal(size=900)
    >>> axis = LagAxis.of(Table(x[:, None], (Tag("x"),)), np.ones(900, bool), lags=20)
    >>> found = inform(axis, x, y, classes=False)
    >>> found.peak, found.p < 1e-6
    (5, True)
    """
    from scipy.stats import gamma

    early, late = _laid_bins(axis, x, y, classes=classes)
    size, lags = axis.size, axis.lags
    tx, ty = transform(early), transform(late)
    counts = np.maximum(np.rint(np.stack([paired(one, ty, size) for one in tx])), 0.0)
    nats = _nats(counts)
    pairs = counts.sum(axis=(0, 1))
    far = axis.shifts(pairs)
    moves = _moves(axis, x, y)
    p, rare, chance, top = 1.0, float("nan"), (1.0, 1.0), float(nats[: lags + 1].max())
    if len(far) > lags and nats[far].std() > 0:
        middle, spread = float(nats[far].mean()), float(nats[far].var())
        chance = (middle**2 / spread, spread / middle)
        p = min(1.0, float(gamma.sf(top, chance[0], scale=chance[1])) * (lags + 1))
        rare = rarity(nats[far], top, lags + 1)
    return Information(nats[: lags + 1], nats[size - np.arange(1, lags + 1)], p, chance, rare, moves)


def interval(
    axis: LagAxis, x: NDArray[np.floating], y: NDArray[np.floating], rng: np.random.Generator, *, classes: bool
) -> tuple[int, int]:
    """Between which lags 95 % of the resampled peaks of the mutual information lie (block bootstrap)."""
    early, late = _laid_bins(axis, x, y, classes=classes)
    sums = block_sums(axis, [(a, b) for a in early for b in late])
    drawn = draws(sums.shape[1], RESAMPLES, rng)
    counts = np.stack([drawn @ one for one in sums]).reshape(len(early), len(late), RESAMPLES, -1)
    peaks = np.argmax(_nats(np.maximum(counts, 0.0)), axis=-1)
    low, high = np.quantile(peaks, [0.025, 0.975], method="closest_observation")
    return int(low), int(high)


def strength(axis: LagAxis, x: NDArray[np.floating], y: NDArray[np.floating], lag: int, *, classes: bool) -> float:
    """The nearest-neighbour mutual information I at one lag as a correlation, sqrt(1 - exp(-2 I)), 0 to 1.

    Linfoot, Information and Control 1 (1957) 85. At most `SAMPLE` pairs, evenly taken.
    """
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    place = np.full(axis.size, -1)
    place[axis.at] = np.arange(len(axis.at))
    late = np.flatnonzero(np.isfinite(y))
    late = late[axis.at[late] >= lag]
    early = place[axis.at[late] - lag]
    fine = (early >= 0) & np.isfinite(x[early])
    early, late = early[fine], late[fine]
    some = np.unique(np.linspace(0, len(late) - 1, min(SAMPLE, len(late))).astype(np.int64))
    if len(some) < 10:
        return 0.0
    measure = mutual_info_classif if classes else mutual_info_regression
    nats = float(measure(np.asarray(x[early[some]], np.float64)[:, None], y[late[some]], random_state=0)[0])
    return float(np.sqrt(1.0 - np.exp(-2.0 * max(nats, 0.0))))


def _laid_bins(
    axis: LagAxis, x: NDArray[np.floating], y: NDArray[np.floating], *, classes: bool
) -> tuple[Floats, Floats]:
    """(I, size) and (J, size): 1 where the series lies in its i-th or j-th bin."""
    labelled = int(np.isfinite(y).sum())
    bins = int(np.clip(np.sqrt(labelled / 20), 2, MOST_BINS))
    return (_lay(axis, _ranks(x, bins)), _lay(axis, y if classes else _ranks(y, bins)))


def _ranks(values: NDArray[np.floating], bins: int) -> Floats:
    """(N,) the bin of each value, bins equally full; NaN stays."""
    there = np.isfinite(values)
    found = np.full(len(values), np.nan)
    if there.any():
        edges = np.unique(np.quantile(values[there], np.arange(1, bins) / bins))
        found[there] = np.searchsorted(edges, values[there], side="right")
    return found


def _lay(axis: LagAxis, codes: NDArray[np.floating]) -> Floats:
    there = np.isfinite(codes)
    named = np.unique(codes[there])
    found = np.zeros((len(named), axis.size))
    found[np.searchsorted(named, codes[there]), axis.at[there]] = 1.0
    return found


def _nats(counts: Floats) -> Floats:
    """(...) the mutual information of tables of counts (I, J, ...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = counts.sum(axis=(0, 1))

        def entropy(part: Floats, axes: tuple[int, ...]) -> Floats:
            found: Floats = np.where(part > 0, part * np.log(part), 0.0).sum(axis=axes)
            return found

        total = np.where(whole > 0, whole * np.log(whole), 0.0)
        nats = entropy(counts, (0, 1)) - entropy(counts.sum(axis=1), (0,)) - entropy(counts.sum(axis=0), (0,)) + total
        found: Floats = np.where(whole > 0, np.maximum(nats / whole, 0.0), 0.0)
    return found


def _moves(axis: LagAxis, x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """Labelled rows over the sum of the product of both autocorrelations (Bartlett, 1935)."""
    found, density = [], np.ones(1)
    for series in (x, y):
        laid, mask = axis.lay(series)
        t, tm = transform(laid), transform(mask)
        pairs = np.rint(paired(tm, tm, axis.size))
        covariance = paired(t, t, axis.size) / np.maximum(pairs, 1.0)
        found.append(np.where(pairs >= 10, covariance / max(covariance[0], 1e-300), 0.0))
        density = pairs / max(pairs[0], 1.0)
    half = slice(1, axis.size // 2)
    inflation = 1.0 + 2.0 * float((found[0] * found[1] * density)[half].clip(min=0.0).sum())
    return float(np.isfinite(y).sum()) / inflation
