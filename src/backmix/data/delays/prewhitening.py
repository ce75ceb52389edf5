"""The cross-correlation of an input and a target, freed of the input's own memory.

This module fits an autoregression to the input, filters both series with it and correlates what is
left at every lag (Box, Jenkins, Reinsel & Ljung, Time Series Analysis, 5th ed. (2016), section 12.1):
the filtered input is white, so what remains is proportional to the impulse response, and its chance
values can be bounded whatever the target's memory is. Each value is divided by the root of the sum
of its squared terms; such a sum has tails below the normal ones when signs are symmetric (Efron,
Journal of the American Statistical Association 64 (1969) 1278), also for inputs that move seldom.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.delays.lagged import Floats, LagAxis, block_sums, draws, paired, transform

MOST_ORDER = 24
"""Longest memory of the autoregression, in rows."""
DENSE = 0.5
"""A target with fewer of its values in unbroken stretches than this is sparse: it is not filtered itself."""
RESAMPLES = 200
SMOOTH = 1e-3
"""An autoregression that leaves less than this share of an input, and less than its steps, leaves little to see."""
LEAST_MOVES = 60.0
"""Rows that move as much as all together do, below which an input moves seldom."""


@dataclass(frozen=True, eq=False)
class Correlation:
    """What is left of two series at every lag.

    r: (L + 1) the correlation at lags 0 to L, NaN where too few pairs are left; z: the same by its
        chance spread; back: (L) z at lags -1 to -L, where the target leads
    unit: (L + 1) the chance spread of r; p: chance of the largest z among these lags
    rare: how often a stretch of as many far shifts shows as much, 0 to 1; NaN when there are too few
    low, high: the 95 % interval of the lag of the largest r
    forms: how many ways to filter the target were tried
    order: of the input's autoregression
    smooth: whether it leaves little but noise and rounding, or moves too few to tell from chance
    """

    r: Floats
    z: Floats
    back: Floats
    unit: Floats
    p: float
    rare: float
    low: int
    high: int
    forms: int = 1
    order: int = 0
    smooth: bool = True

    @property
    def peak(self) -> int:
        """The lag of the largest correlation."""
        return int(np.nanargmax(np.abs(self.r)))


def correlate(
    axis: LagAxis, x: NDArray[np.floating], y: NDArray[np.floating], rng: np.random.Generator, *, level: float = 0.05
) -> Correlation:
    """The prewhitened cross-correlation of x and y, both (N,) on the rows of the axis, NaN where missing.

    The target is filtered as the input is where that shows something at this level, else by its own memory.

    A sparse target is not filtered by an autoregression; what its value before tells of it is taken off instead.

    >>> from backmix.data.tag import Tag
    >>> from backmix.data.table import Table
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(rng.normal(size=800)) * 0.1 + rng.normal(size=800)
    >>> y = np.append(np.zeros(7), x[:-7]) + rng.normal(size=800)
    >>> axis = LagAxis.of(Table(x[:, None], (Tag("x"),)), np.ones(800, bool), lags=30)
    >>> found = correlate(axis, x, y, rng)
    >>> found.peak, found.low <= 7 <= found.high, found.p < 1e-6
    (7, True, True)
    """
    laid, mask = axis.lay(x)
    filter_ = autoregression(laid, mask)
    a = _filtered(laid, mask, filter_)
    forms = [_compared(axis, a, late, rng) for late in _targets(axis, y, filter_)]
    clear = [form for form in forms if form.p * len(forms) <= level and not vague((form.low, form.high), axis.lags)]
    best = clear[0] if clear else min(forms, key=lambda form: form.p)
    return replace(
        best,
        p=min(1.0, best.p * len(forms)),
        forms=len(forms),
        order=len(filter_) - 1,
        smooth=_smooth(laid, mask, a[0]),
    )


def vague(interval: tuple[int, int], lags: int) -> bool:
    """Whether an interval of lags is too wide to name one of them."""
    return interval[1] - interval[0] > max(4, lags // 4)


def _compared(
    axis: LagAxis, early: tuple[Floats, Floats], late: tuple[Floats, Floats], rng: np.random.Generator
) -> Correlation:
    """Two filtered series, each with the mask of where it is, at every lag and every far shift."""
    from scipy.stats import norm

    (a, ma), (b, mb) = early, late
    size, lags = axis.size, axis.lags
    ta, taa, tma, tb, tbb, tmb = (transform(series) for series in (a, a * a, ma, b, b * b, mb))
    pairs = np.rint(paired(tma, tmb, size))
    enough = pairs[: lags + 1] >= max(10.0, 0.25 * pairs[0])
    if not enough.any() or not (a * a).any() or not (b * b).any():
        return Correlation(
            np.zeros(lags + 1), np.zeros(lags + 1), np.zeros(lags), np.zeros(lags + 1), 1.0, np.nan, 0, lags
        )
    together = paired(ta, tb, size)
    squares = np.maximum(paired(taa, tbb, size), 1e-12 * (a * a).sum() * max(float((b * b).max()), 1e-300))
    power = np.sqrt(np.maximum(paired(taa, tmb, size) * paired(tma, tbb, size), 1e-300))
    z_all = together / np.sqrt(squares)
    far = axis.shifts(pairs)
    spread = max(1.0, float(np.quantile(np.abs(z_all[far]), 0.6827))) if len(far) else 1.0
    z = np.where(enough, z_all[: lags + 1] / spread, np.nan)
    top = float(np.nanmax(np.abs(z)))
    low, high = _interval(axis, (a, b), np.where(enough, power[: lags + 1], np.inf), rng)
    return Correlation(
        r=np.where(enough, together[: lags + 1] / power[: lags + 1], np.nan),
        z=z,
        back=z_all[size - np.arange(1, lags + 1)] / spread,
        unit=spread * np.sqrt(squares[: lags + 1]) / power[: lags + 1],
        p=min(1.0, float(2 * norm.sf(top)) * int(enough.sum())),
        rare=rarity(np.abs(z_all[far]) / spread, top, lags + 1),
        low=low,
        high=high,
    )


def rarity(far: Floats, top: float, width: int) -> float:
    """How often the largest of ``width`` neighbours among far values reaches ``top``; NaN below 19 such stretches.

    >>> rarity(np.arange(100.0), 98.5, 5)
    0.09523809523809523
    """
    count = len(far) // width
    if count < 19:
        return float("nan")
    largest = far[: count * width].reshape(count, width).max(axis=1)
    return (1 + int((largest >= top).sum())) / (1 + count)


def _smooth(laid: Floats, mask: Floats, left: Floats) -> bool:
    """Whether a filter left (size,) next to nothing of a series (size,), or only a few moves."""
    there, near = mask > 0, _whole(mask, 1)
    steps = np.diff(laid, prepend=0.0)[near]
    rest = float((left[left != 0] ** 2).mean())
    tiny = rest < SMOOTH * float((laid[there] ** 2).mean()) and rest < 0.7 * float((steps**2).mean())
    return tiny or 3.0 * float((left**2).sum()) ** 2 < LEAST_MOVES * float((left**4).sum())


def autoregression(laid: Floats, mask: Floats) -> Floats:
    """The filter (1, -a1, ... -ap) that whitens a series (size,).

    Least squares over the places whose past is there; the order by Akaike's criterion, all orders from
    one Cholesky factor.
    """
    most = MOST_ORDER
    while most and _whole(mask, most).sum() < 20 * most:
        most //= 2
    ok = _whole(mask, most)[most:]
    past = np.lib.stride_tricks.sliding_window_view(laid, most + 1)[ok][:, ::-1]
    gram = past.T @ past
    if most == 0 or not gram[0, 0] > 0:
        return np.ones(1)
    turned = np.roll(gram, -1, axis=(0, 1))  # the lags first, the newest value last
    factor = np.linalg.cholesky(turned + 1e-11 * np.trace(gram) / len(gram) * np.eye(len(gram)))
    rest = gram[0, 0] - np.concatenate([[0.0], np.cumsum(factor[-1, :-1] ** 2)])
    rest = np.maximum(rest, 1e-12 * gram[0, 0])
    order = int(np.argmin(len(past) * np.log(rest) + 2 * np.arange(most + 1)))
    inner = turned[:order, :order]
    weights = np.linalg.solve(inner + 1e-11 * np.trace(gram) / len(gram) * np.eye(order), turned[:order, -1])
    return np.concatenate([[1.0], -weights])


def _whole(mask: Floats, order: int) -> NDArray[np.bool_]:
    """(size,) whether a place and the ``order`` before it all have a value."""
    count = np.cumsum(np.concatenate([[0.0], mask]))
    whole = np.zeros(len(mask), bool)
    whole[order:] = count[order + 1 :] - count[: len(mask) - order] == order + 1
    return whole


def _filtered(laid: Floats, mask: Floats, filter_: Floats) -> tuple[Floats, Floats]:
    """A series behind a filter, less its mean, and where its whole past was there; 0 elsewhere."""
    whole = _whole(mask, len(filter_) - 1)
    found = np.where(whole, np.convolve(laid, filter_)[: len(laid)], 0.0)
    if whole.any():
        found[whole] -= found[whole].mean()
    return found, whole.astype(np.float64)


def _targets(axis: LagAxis, y: NDArray[np.floating], filter_: Floats) -> list[tuple[Floats, Floats]]:
    """The target behind the input's filter and behind its own; a sparse one less what its value before tells of it."""
    laid, mask = axis.lay(y)
    late = _filtered(laid, mask, filter_)
    if late[1].sum() >= DENSE * mask.sum():
        return [late, _filtered(laid, mask, autoregression(laid, mask))]
    rows = np.flatnonzero(mask)
    now, before = laid[rows[1:]], laid[rows[:-1]]
    fresh = now - float((now * before).sum() / max(float((before**2).sum()), 1e-300)) * before
    b, mb = np.zeros(axis.size), np.zeros(axis.size)
    if len(fresh):
        b[rows[1:]], mb[rows[1:]] = fresh - fresh.mean(), 1.0
    return [(b, mb)]


def _interval(axis: LagAxis, series: tuple[Floats, Floats], power: Floats, rng: np.random.Generator) -> tuple[int, int]:
    """Between which lags 95 % of the resampled peaks lie."""
    sums = block_sums(axis, [series])[0]
    peaks = np.argmax(np.abs(draws(len(sums), RESAMPLES, rng) @ sums) / power, axis=1)
    low, high = np.quantile(peaks, [0.025, 0.975], method="closest_observation")
    return int(low), int(high)
