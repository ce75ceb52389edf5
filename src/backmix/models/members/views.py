"""How a window becomes one row of numbers, for a model without a memory.

This module registers the views of a window x (B, T, F) that simple models use: its rows side by side, stages of a
whole batch, window statistics, and products or squares of some of them. It needs NumPy alone: training and live
scoring run the same code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from backmix.models.body.summaries import CENTRE, STATISTICS, STRETCH
from backmix.models.members.statistics import window_statistics
from backmix.registry import Registry

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

STAGES = 24
"""Stages into which a batch of any length is cut."""
THINNED = 120
"""Numbers that the rows of a long window become at most where they are thinned towards the past."""
LOGS = ("log_spread", "log_step")
QUADRATIC = ("mean", "slope", "last")
"""The statistics whose products are used: wear shows in levels and slopes, and grows faster than linearly."""


class View(ABC):
    """One view of a window; padding (mask false) has no influence."""

    @abstractmethod
    def width(self, steps: int | None, features: int) -> int:
        """How many numbers W a window of ``steps`` rows becomes; None for windows of any length."""

    @abstractmethod
    def rows(self, x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
        """(B, T, F) and (B, T) -> (B, W)."""


ENTIRE = "entire"
"""The view of members that look at all rows of the lookback, where networks may look at the newest of them."""

views: Registry[View] = Registry("views", package="backmix.models.members.views")


class LagsView(View):
    """Every row of the window, the oldest first."""

    def width(self, steps: int | None, features: int) -> int:
        if steps is None:
            raise ValueError("windows of any length have no fixed lags")
        return steps * features

    def rows(self, x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
        return aligned(x, mask).reshape(len(x), -1)


class EntireView(LagsView):
    """Every row of the lookback, the oldest first, where networks may look at the newest of them alone."""


class ThinnedView(View):
    """Means of stretches of the window that grow into the past, `THINNED` numbers at most."""

    def width(self, steps: int | None, features: int) -> int:
        return len(self._starts(steps, features)) * features

    def rows(self, x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
        return thinned(aligned(x, mask), self._starts(x.shape[1], x.shape[2])).reshape(len(x), -1)

    def _starts(self, steps: int | None, features: int) -> tuple[int, ...]:
        if steps is None:
            raise ValueError("windows of any length have no fixed lags")
        return thinned_starts(steps, THINNED // features)


class StagesView(View):
    """Means over equal stretches of a batch, however long it is, and the logarithm of its length."""

    def width(self, steps: int | None, features: int) -> int:
        return STAGES * features + 1

    def rows(self, x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
        return stages(x, mask, STAGES)


class LastView(View):
    """The newest row of the window."""

    def width(self, steps: int | None, features: int) -> int:
        return features

    def rows(self, x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
        if mask is None:
            return np.asarray(x[:, -1])
        return np.asarray(x[np.arange(len(x)), np.maximum(mask.sum(axis=1), 1) - 1])


class StatisticsView(View):
    """The statistics of `models.body.summaries`, five per feature."""

    def width(self, steps: int | None, features: int) -> int:
        return len(STATISTICS) * features

    def rows(self, x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
        statistics = window_statistics(x, mask).reshape(len(x), len(STATISTICS), -1)
        for name in LOGS:
            column = STATISTICS.index(name)
            statistics[:, column] = STRETCH * (statistics[:, column] - np.float32(np.log(CENTRE)))
        return statistics.reshape(len(x), -1)


class ProductsView(View):
    """Mean, rise and last value of every feature and all their products."""

    def width(self, steps: int | None, features: int) -> int:
        count = len(QUADRATIC) * features
        return count + count * (count + 1) // 2

    def rows(self, x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
        plain = _quadratic(x, mask)
        left, right = np.triu_indices(plain.shape[1])
        return np.hstack([plain, plain[:, left] * plain[:, right]])


class SquaresView(View):
    """Mean, rise and last value of every feature and their squares, for too many features for all products."""

    def width(self, steps: int | None, features: int) -> int:
        return 2 * len(QUADRATIC) * features

    def rows(self, x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
        plain = _quadratic(x, mask)
        return np.hstack([plain, plain * plain])


class _Joined(View):
    """Several views side by side."""

    def __init__(self, views: tuple[View, ...]) -> None:
        self._views = views

    def width(self, steps: int | None, features: int) -> int:
        return sum(view.width(steps, features) for view in self._views)

    def rows(self, x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
        return np.hstack([view.rows(x, mask) for view in self._views])


def named(name: str) -> View:
    """A registered view, or several side by side, their names joined by "+".

    >>> named("lags+statistics").width(10, 3)
    45
    """
    chosen = tuple(views.get(view) for view in name.split("+"))
    return chosen[0] if len(chosen) == 1 else _Joined(chosen)


def _quadratic(x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
    """Mean, rise and last value of every feature, (B, 3·F)."""
    statistics = window_statistics(x, mask).reshape(len(x), len(STATISTICS), -1)
    return statistics[:, [STATISTICS.index(name) for name in QUADRATIC]].reshape(len(x), -1)


def aligned(x: NDArray[np.float32], mask: Mask | None) -> NDArray[np.float32]:
    """Windows (B, T, F) with their newest real row last; before the oldest one it is repeated.

    >>> aligned(np.array([[[1.0], [2.0], [9.0]]], np.float32), np.array([[True, True, False]]))[0, :, 0].tolist()
    [1.0, 1.0, 2.0]
    """
    if mask is None or mask.all():
        return x
    steps = x.shape[1]
    missing = steps - mask.sum(axis=1)
    rows = np.maximum(np.arange(steps) - missing[:, None], 0)
    return np.take_along_axis(x, rows[:, :, None], axis=1)


def thinned_starts(steps: int, places: int) -> tuple[int, ...]:
    """First rows of ``places`` stretches that grow into the past: each row alone where there are enough places.

    >>> thinned_starts(10, 4)
    (0, 6, 8, 9)
    """
    places = max(1, min(steps, places))
    if places == steps:
        return tuple(range(steps))
    low, high = 1.0, 8.0 * steps
    for _ in range(60):  # the growth for which the stretches, each at least a row, fill the window
        growth = 0.5 * (low + high)
        with np.errstate(over="ignore"):  # too large a growth is infinite, and given up at once
            sizes = np.maximum(1.0, np.floor(growth ** np.arange(places)))
        low, high = (growth, high) if sizes.sum() < steps else (low, growth)
    sizes = np.maximum(1, np.floor(low ** np.arange(places)).astype(np.int64))
    sizes[-1] += steps - sizes.sum()
    return tuple(int(start) for start in steps - np.cumsum(sizes)[::-1])


def thinned(x: NDArray[np.float32], starts: tuple[int, ...]) -> NDArray[np.float32]:
    """Means of the rows from each start to the next, (B, T, F) -> (B, places, F)."""
    if len(starts) == x.shape[1]:
        return x
    sizes = np.diff([*starts, x.shape[1]]).astype(np.float32)
    return (np.add.reduceat(x, starts, axis=1) / sizes[:, None]).astype(np.float32, copy=False)


def stages(x: NDArray[np.float32], mask: Mask | None, places: int) -> NDArray[np.float32]:
    """Means over ``places`` equal stretches of each batch, and the logarithm of its length, (B, places·F + 1)."""
    count, steps, features = x.shape
    length = np.full(count, steps) if mask is None else mask.sum(axis=1)
    total = np.zeros((count, steps + 1, features))
    np.cumsum(x, axis=1, dtype=np.float64, out=total[:, 1:])
    edges = np.linspace(0, 1, places + 1)[None, :] * length[:, None]
    # stages may end inside a row: integrate the rows as a step function, so that unequal lengths line up
    low = np.minimum(np.floor(edges).astype(np.int64), steps)
    share = (edges - low)[:, :, None]
    rows = np.arange(count)[:, None]
    following = x[rows, np.minimum(low, steps - 1)]
    integral = total[rows, low] + share * following
    means = np.diff(integral, axis=1) / (length[:, None, None] / places)
    flat = means.reshape(count, -1)
    return np.column_stack([flat, np.log(length)]).astype(np.float32)


views.register("lags")(LagsView())
views.register(ENTIRE)(EntireView())
views.register("thinned")(ThinnedView())
views.register("last")(LastView())
views.register("stages")(StagesView())
views.register("statistics")(StatisticsView())
views.register("products")(ProductsView())
views.register("squares")(SquaresView())
