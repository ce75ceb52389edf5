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
    wide = -(-len(y) // max(most // 3, 1))
    stretches = np.concatenate([y, np.full(-len(y) % wide, y[-1])]).reshape(-1, wide)
    gap = ~np.isfinite(stretches)
    low = np.where(gap, np.inf, stretches).argmin(axis=1)
    high = np.where(gap, -np.inf, stretches).argmax(axis=1)
    hole = gap.argmax(axis=1)  # the first gap, else the first position
    first = np.arange(len(stretches)) * wide
    kept = np.unique(np.concatenate([first + low, first + high, first + hole]))
    return np.asarray(kept[kept < len(y)])
