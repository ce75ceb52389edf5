"""No scaling at all.

This module leaves values in their units, for tags that are numbers of order one already and for
losses that are defined on plant units only.
"""

from __future__ import annotations

import numpy as np

from backmix.data.scaling import Floats, TrainingValues, scalers


@scalers.register("none")
def none(training: TrainingValues) -> tuple[Floats, Floats]:
    """Centre 0 (F,) and scale 1 (F,), whatever the values are."""
    width = training.width
    return np.zeros(width), np.ones(width)
