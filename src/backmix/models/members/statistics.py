"""Five statistics per feature of a window, in NumPy.

This module computes them for models without a memory and for the NumPy reference of the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from backmix.models.body.summaries import FLOOR

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WindowStatistics:
    """Window statistics of B windows and what their gradients need; see `models.body.summaries`.

    count, mean, variance, slope, step: (B, F), or (B, 1) for the count of real rows
    weight, off, away, is_last: (B, T, F or 1): 1 on real rows, deviation from the mean, distance from the middle row,
        1 on the last real row; run: (B, 1) the sum of squared distances
    """

    weight: Floats
    count: Floats
    mean: Floats
    off: Floats
    variance: Floats
    away: Floats
    run: Floats
    slope: Floats
    step: Floats
    is_last: Floats

    @classmethod
    def of(cls, x: Floats, mask: NDArray[np.bool_] | None) -> Self:
        """Of windows (B, T, F) whose padding (mask (B, T) false) holds zeros."""
        rows = np.ones(x.shape[:2], dtype=bool) if mask is None else mask
        weight = rows[:, :, None].astype(np.float64)
        count = np.maximum(weight.sum(axis=1), 1.0)
        mean = (x * weight).sum(axis=1) / count
        off = (x - mean[:, None, :]) * weight
        place = np.cumsum(weight, axis=1)
        away = (place - (count[:, None, :] + 1.0) / 2.0) * weight
        run = np.maximum((away**2).sum(axis=1), 1e-6)
        step = (np.abs(np.diff(x, axis=1)) * weight[:, 1:]).sum(axis=1) / np.maximum(count - 1.0, 1.0)
        return cls(
            weight,
            count,
            mean,
            off,
            (off**2).sum(axis=1) / count,
            away,
            run,
            (away * off).sum(axis=1) / run,
            step,
            weight * (place == count[:, None, :]),
        )


def window_statistics(rows: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Mean, log spread, slope, log mean step and last value of every feature, (B, 5·F), of windows (B, T, F).

    The same statistics as `models.body.summaries`: slope is the change of the least-squares line over the window;
    spread and step get `FLOOR` before the logarithm.
    """
    x = rows.astype(np.float64)
    if mask is not None:
        x = np.where(mask[:, :, None], x, 0.0)
    s = WindowStatistics.of(x, mask)
    last = np.take_along_axis(x, s.count.astype(np.int64)[:, None] - 1, axis=1)[:, 0] if len(x) else x[:, 0]
    spread = 0.5 * np.log(s.variance + FLOOR**2)
    return np.hstack([s.mean, spread, s.slope * (s.count - 1), np.log(s.step + FLOOR), last]).astype(np.float32)
