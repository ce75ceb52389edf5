"""Zero mean and unit variance.

This module is the scaling that suits most tags: centre is the mean, scale the standard deviation.
"""

from __future__ import annotations

import numpy as np

from backmix.data.scaling import Floats, TrainingValues, scalers, usable_scale


@scalers.register("standard")
def standard(training: TrainingValues) -> tuple[Floats, Floats]:
    """Mean (F,) and standard deviation (F,), blocks merged as in Chan, Golub & LeVeque (1983)."""
    width = training.width
    count, mean, squares = np.zeros(width), np.zeros(width), np.zeros(width)
    for block in training.blocks():
        n, total = np.full(width, float(block.shape[1])), block.sum(axis=1)
        missing = None
        if np.isnan(total).any():
            missing = np.isnan(block)
            n -= missing.sum(axis=1)
            block[missing] = 0.0
            total = block.sum(axis=1)
        middle = total / np.maximum(n, 1.0)
        block -= middle[:, None]
        if missing is not None:
            block[missing] = 0.0
        within = np.einsum("fn,fn->f", block, block)
        share = n / np.maximum(count + n, 1.0)
        shift = np.where(n > 0, middle - mean, 0.0)
        squares += within + shift**2 * count * share
        mean += shift * share
        count += n
    spread = np.sqrt(squares / np.maximum(count, 1.0))
    return np.where(count > 0, mean, np.nan), usable_scale(spread, np.hypot(mean, spread))
