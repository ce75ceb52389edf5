"""Fewer points that look the same.

This module thins long series for drawing. Within each stretch of the drawing the smallest and the
largest value stay, so that a spike of one row in a million is still seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 2000
"""A line of a figure has at most this many points: two per pixel of a wide page."""


def thin(y: NDArray[np.float64], most: int = MOST_POINTS) -> NDArray[np.intp]:
    """Positions of at most ``most`` values that keep the minimum and maximum of every stretch, in order.

    y: (N,), NaN allowed; a stretch of NaN keeps one position, so that the gap is seen
    (min-max decimation: what an oscilloscope does in its peak-detect mode)

    >>> y = np.zeros(1_000_000); y[123_456] = 9.0
    >>> kept = thin(y)
    >>> len(kept) <= 2000, bool(y[kept].max() == 9.0)
    (True, True)
    """
    if len(y) <= most:
        return np.arange(len(y))
    edges = np.linspace(0, len(y), max(most // 3, 1) + 1).astype(np.intp)
    gap = ~np.isfinite(y)
    starts = edges[:-1]
    low = _first(np.where(gap, np.inf, y), starts, np.minimum)
    high = _first(np.where(gap, -np.inf, y), starts, np.maximum)
    hole = _first(gap.astype(np.float64), starts, np.maximum)  # any gap, else the first position
    return np.unique(np.concatenate([low, high, hole]))


def _first(values: NDArray[np.float64], starts: NDArray[np.intp], pick: np.ufunc) -> NDArray[np.intp]:
    """In each stretch, the first position that holds the picked value."""
    lengths = np.diff(np.append(starts, len(values)))
    hit = np.flatnonzero(values == np.repeat(pick.reduceat(values, starts), lengths))
    stretch = np.searchsorted(starts, hit, side="right") - 1
    _, at = np.unique(stretch, return_index=True)
    return np.asarray(hit[at])
