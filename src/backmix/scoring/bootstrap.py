"""Confidence intervals of scores.

This module draws intervals by a circular block bootstrap: stretches of neighbouring windows are
drawn again with replacement, never across a batch, so that errors which persist from window to
window widen the interval as they should. The same draws serve all models, so that two models are
compared in pairs.

Politis & Romano, A circular block-resampling procedure, in: Exploring the Limits of Bootstrap
(1992); block length: Politis & White, Econometric Reviews 23 (2004) 53, corrected by Patton,
Politis & White, ibid. 28 (2009) 372.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

FEWEST_BLOCKS = 5
"""With fewer independent stretches than this no interval is drawn: it would mean nothing."""

LONG_BATCH = 2
"""A batch of at least this many stretches is a stratum of its own."""

LONG_RUN = 30
"""A batch of at least this many windows has a mean loss of its own."""

MOST_NUMBERS = 60_000_000
"""Draws times windows; longer tests are drawn fewer times (but at least 100) to stay within seconds."""

CHUNK_NUMBERS = 8_000_000


@dataclass(frozen=True)
class Interval:
    """The ends of an interval; both None where none can be drawn."""

    low: float | None = None
    high: float | None = None

    def __bool__(self) -> bool:
        return self.low is not None

    def excludes(self, value: float) -> bool:
        """Whether there is an interval and ``value`` lies outside it."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


@dataclass(frozen=True, eq=False)
class Resampler:
    """Draws of n windows in stretches of neighbours.

    runs: (n,) codes of the batch of each window; windows of one batch stand together
    length: windows per stretch; a shorter batch is one stretch
    rows: (m,) the window of each row, where a window predicts a path of several rows; they are drawn together
    """

    runs: Codes
    length: int
    draws: int = 500
    seed: int = 0
    rows: Codes | None = None

    @property
    def blocks(self) -> float:
        """How many independent stretches there are."""
        sizes = np.unique(self.runs, return_counts=True)[1]
        return float(np.sum(sizes / np.minimum(sizes, self.length)))

    def weights(self) -> Iterator[Floats]:
        """How often each window (or row) was drawn, (R, n) in several chunks; the same on every call."""
        n = len(self.runs if self.rows is None else self.rows)
        draws = max(min(self.draws, 100), min(self.draws, MOST_NUMBERS // max(1, n)))
        chunk = max(1, CHUNK_NUMBERS // max(1, n))
        for number, first in enumerate(range(0, draws, chunk)):
            generator = np.random.default_rng([self.seed, number])
            drawn = self._chunk(generator, min(chunk, draws - first))
            yield drawn if self.rows is None else drawn[:, self.rows]

    def _chunk(self, generator: np.random.Generator, count: int) -> Floats:
        n = len(self.runs)
        first, size = _spans(self.runs)
        span = np.minimum(size, self.length)
        drawn, share = [], np.ones(n)
        for members in _strata(first, size, self.length):
            # a stretch may begin anywhere in its batch and goes on at the batch's begin, so each window
            # lies in `span` stretches: drawing with odds 1 / span gives every window the same weight
            odds = np.cumsum(1.0 / span[members])
            blocks = max(1, round(float(odds[-1])))
            picks = np.searchsorted(odds, generator.random((count, blocks)) * odds[-1], side="right")
            drawn.append(members[np.minimum(picks, len(members) - 1)])
            # a whole number of stretches is drawn: every stratum keeps its share of the windows all the same
            share[members] = float(odds[-1]) / blocks
        begin = np.hstack(drawn)
        end = begin + span[begin]
        edge = first[begin] + size[begin]
        over = np.maximum(end - edge, 0)
        rows = np.arange(count)[:, None] * (n + 1)
        change = np.bincount((rows + begin).ravel(), minlength=count * (n + 1))
        change -= np.bincount((rows + np.minimum(end, edge)).ravel(), minlength=count * (n + 1))
        wrapped = over > 0
        change += np.bincount((rows + first[begin])[wrapped], minlength=count * (n + 1))
        change -= np.bincount((rows + first[begin] + over)[wrapped], minlength=count * (n + 1))
        counts: Floats = np.cumsum(change.reshape(count, n + 1), axis=1)[:, :n] * share
        return counts


def _strata(first: Codes, size: Codes, length: int) -> list[Codes]:
    """The strata of the bootstrap: each long batch is one, all short batches together are another.

    A long batch keeps its share of windows in every draw. Short batches (of one window, say) are drawn as a whole.
    """
    long = size >= LONG_BATCH * length
    strata = [np.flatnonzero(~long)] if not long.all() else []
    starts = np.unique(first[long])
    return [*strata, *(np.arange(start, start + size[start]) for start in starts)]


def _spans(runs: Codes) -> tuple[Codes, Codes]:
    """For every window the first window of its batch, and how many windows that batch has."""
    change = np.concatenate([[True], runs[1:] != runs[:-1]])
    firsts = np.flatnonzero(change)
    sizes = np.diff(np.concatenate([firsts, [len(runs)]]))
    return np.repeat(firsts, sizes), np.repeat(sizes, sizes)


def percentile_interval(values: Floats, *, level: float, blocks: float, estimate: float | None = None) -> Interval:
    """The percentile interval of bootstrap values (R,), widened for few blocks.

    estimate: the value beside which the interval is shown; it is never outside, however lopsided the draws are

    A plain percentile interval is too narrow for few blocks; its tail is moved out as far as
    Student's t moves out of the normal distribution (Hesterberg, Am. Stat. 69 (2015) 371). None
    when there are too few blocks, or when most draws left the score undefined.
    """
    from scipy.stats import norm, t

    defined = values[np.isfinite(values)]
    if blocks < FEWEST_BLOCKS or len(defined) < max(20, len(values) / 2):
        return Interval()
    stretch = np.sqrt(blocks / (blocks - 1)) * t.ppf((1 - level) / 2, df=blocks - 1)
    tail = float(norm.cdf(stretch))
    low, high = np.quantile(defined, [tail, 1 - tail])
    if estimate is not None and np.isfinite(estimate):
        low, high = min(low, estimate), max(high, estimate)
    return Interval(float(low), float(high))


def exchanged(length: int, runs: Codes) -> int:
    """Windows per stretch with which whole batches are drawn, long ones too; ``length`` where batches are too few.

    What a model does in new batches is learned from how much batches differ, not from how much the windows of one do.

    >>> exchanged(3, np.repeat(np.arange(6), [2, 2, 2, 2, 2, 9])), exchanged(3, np.repeat([0, 1], [5, 9]))
    (9, 3)
    """
    sizes = np.unique(runs, return_counts=True)[1]
    return max(length, int(sizes.max())) if len(sizes) >= FEWEST_BLOCKS else length


def block_length(series: Floats, runs: Codes) -> int:
    """How many neighbouring windows a stretch needs so that stretches are independent.

    series: (n,) a loss per window, in order; runs: (n,) batch codes. Autocovariances are taken
    inside batches only.

    >>> noise = np.random.default_rng(0).normal(size=2000)
    >>> block_length(noise, np.zeros(2000, dtype=int)) <= 3
    True
    """
    good = np.isfinite(series)
    series, runs = series[good], runs[good]
    n = len(series)
    if n < 8:
        return 1
    series = series - _level(series, runs)
    if not series.std() > 1e-12:
        return 1
    series = series / series.std()
    quiet = max(5, int(np.sqrt(np.log10(n))))
    longest = max(1, min(int(np.ceil(np.sqrt(n))) + quiet, n - 1))
    covariance = np.array([_covariance(series, runs, lag) for lag in range(longest + 1)])
    bound = 2.0 * np.sqrt(np.log10(n) / n)
    loud = np.abs(covariance[1:]) >= bound
    # the first lag behind which `quiet` lags in a row are insignificant
    order = int(np.max(np.flatnonzero(loud), initial=-1)) + 1
    if longest >= quiet:
        silent = np.convolve(~loud, np.ones(quiet, dtype=int), mode="valid") == quiet
        order = int(np.argmax(silent)) if silent.any() else order
    reach = min(2 * max(order, 1), longest)
    lags = np.arange(1, reach + 1)
    taper = np.minimum(1.0, 2.0 * (1.0 - lags / reach)) if reach > 1 else np.ones(1)
    slope = 2.0 * np.sum(taper * lags * covariance[1 : reach + 1])
    spectrum = covariance[0] + 2.0 * np.sum(taper * covariance[1 : reach + 1])
    if spectrum <= 0:
        return 1
    length = (2.0 * slope**2 / (4.0 / 3.0 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    return int(np.clip(np.ceil(length), 1, max(1, np.ceil(min(3 * np.sqrt(n), n / 3)))))


def _level(series: Floats, runs: Codes) -> Floats:
    """The mean that is subtracted from each window's loss: of its batch when that is long, else of all short ones.

    Long batches are strata of their own, so that differences between them do not count.
    """
    firsts, size = _spans(runs)
    long = size >= LONG_RUN
    level = np.full(len(series), series[~long].mean() if not long.all() else 0.0)
    for first in np.unique(firsts[long]):
        own = slice(first, first + size[first])
        level[own] = series[own].mean()
    return level


def _covariance(series: Floats, runs: Codes, lag: int) -> float:
    later, earlier = series[lag:], series[: len(series) - lag]
    same = runs[lag:] == runs[: len(runs) - lag]
    return float(np.dot(later[same], earlier[same]) / len(series))
