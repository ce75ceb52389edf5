"""What a window looks like in five numbers per feature.

This module computes them in NumPy, for baselines without a memory and for what is learned beside a
network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backmix.models.body.summaries import FLOOR


def window_statistics(rows: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Mean, log spread, slope, log mean step and last value of every feature, (B, 5·F), of windows (B, T, F).

    The same statistics as `models.body.summaries`, in NumPy: slope is the change of the least-squares
    line over the window; spread and step get `FLOOR` before the logarithm.
    """
    x = rows.astype(np.float64)
    count, steps, _ = x.shape
    if mask is None:
        weight = np.ones((count, steps, 1))
    else:
        weight = mask[:, :, None].astype(np.float64)
        x = np.where(mask[:, :, None], x, 0.0)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    mean = x.sum(axis=1, keepdims=True) / total
    off = (x - mean) * weight
    place = np.cumsum(weight, axis=1)
    away = (place - (total + 1) / 2) * weight
    slope = (away * off).sum(axis=1) / np.maximum((away * away).sum(axis=1), 1e-6)
    step = (np.abs(np.diff(x, axis=1)) * weight[:, 1:]).sum(axis=1) / np.maximum(total[:, 0] - 1, 1)
    last = np.take_along_axis(x, (total.astype(np.int64) - 1), axis=1)[:, 0] if count else x[:, 0]
    spread = 0.5 * np.log((off * off).sum(axis=1) / total[:, 0] + FLOOR**2)
    rise = slope * (total[:, 0] - 1)
    return np.hstack([mean[:, 0], spread, rise, np.log(step + FLOOR), last]).astype(np.float32)
