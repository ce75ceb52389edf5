"""Zero mean and unit variance.

This module is the scaling that suits most tags: centre is the mean, scale the standard deviation.
"""

from __future__ import annotations

import numpy as np

from backmix.data.scaling import Floats, Training, scalers, usable_scale


@scalers.register("standard")
def standard(training: Training) -> tuple[Floats, Floats]:
    """Mean (F,) and standard deviation (F,), blocks merged as in Chan, Golub & LeVeque (1983)."""
    width = training.width
    count, mean, squares, size = (np.zeros(width) for _ in range(4))
    for block in training.blocks():
        fine = ~np.isnan(block)
        n = fine.sum(axis=0).astype(np.float64)
        some = np.maximum(n, 1.0)
        block[~fine] = 0.0
        middle = block.sum(axis=0) / some
        size = np.maximum(size, np.abs(block).max(axis=0))
        block -= middle
        block[~fine] = 0.0
        within = np.einsum("nf,nf->f", block, block)
        total = np.maximum(count + n, 1.0)
        shift = np.where(n > 0, middle - mean, 0.0)
        mean = mean + shift * n / total
        squares = squares + within + shift**2 * count * n / total
        count = count + n
    spread = np.sqrt(squares / np.maximum(count, 1.0))
    return np.where(count > 0, mean, np.nan), usable_scale(spread, size)
