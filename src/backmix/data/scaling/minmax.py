"""The training range becomes 0 to 1.

This module is the scaling for tags with hard limits; values outside the training range leave 0 to 1.
"""

from __future__ import annotations

import numpy as np

from backmix.data.scaling import Floats, TrainingValues, scalers, usable_scale


@scalers.register("minmax")
def minmax(training: TrainingValues) -> tuple[Floats, Floats]:
    """Lowest value (F,) and range (F,)."""
    width = training.width
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    for block in training.blocks():
        low = np.fmin(low, np.fmin.reduce(block, axis=1))
        high = np.fmax(high, np.fmax.reduce(block, axis=1))
    empty = low > high
    size = np.where(empty, 0.0, np.maximum(np.abs(low), np.abs(high)))
    return np.where(empty, np.nan, low), usable_scale(np.where(empty, 0.0, high - low), size)
