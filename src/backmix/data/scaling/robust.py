"""Median and quartiles, which a few wild values cannot move.

This module is the scaling for tags with spikes: centre is the median, scale the range between the
quartiles. Order statistics need a whole column at once: columns are taken a few at a time.
"""

from __future__ import annotations

import numpy as np

from backmix.data.scaling import Floats, TrainingValues, scalers, usable_scale

MOST_BYTES = 128 * 2**20


@scalers.register("robust")
def robust(training: TrainingValues) -> tuple[Floats, Floats]:
    """Median (F,) and interquartile range (F,); linear interpolation between order statistics."""
    width = training.width
    count = len(training.values) if training.rows is None else int(np.count_nonzero(training.rows))
    together = max(1, MOST_BYTES // (8 * max(1, count)))
    center, scale = np.full(width, np.nan), np.ones(width)
    for first in range(0, width, together):
        columns = training.features(first, min(first + together, width))
        for offset, column in enumerate(columns):
            known = column[~np.isnan(column)]
            if len(known):
                low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
                center[first + offset] = middle
                scale[first + offset] = usable_scale(high - low, np.abs(known).max())
    return center, scale
