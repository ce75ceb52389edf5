"""Statistics of a window as further inputs of the head.

This module computes mean, log spread, slope, log mean step and last value of every feature with Keras operations,
ignoring padding. A small network with few windows need not learn them from examples then.
"""

from __future__ import annotations

import math
from typing import Any

from backmix.models.engine import use_engine

STATISTICS = ("mean", "log_spread", "slope", "log_step", "last")
"""The statistics in the order in which they are concatenated, each with F columns."""

FLOOR = 0.01
"""Added to spread and step before the logarithm: on standardised inputs 1 % of a standard
deviation, below which a sensor's spread is resolution and not process."""

CENTRE, STRETCH = 0.37, 3.0
"""Logarithms are scaled to STRETCH * log(value / CENTRE). Unscaled they vary by a few tenths where a mean varies by
one, and early training follows the largest variation: scaled, the same network diagnoses the Tennessee Eastman
faults better."""


def summarise(x: Any, mask: Any = None) -> Any:
    """Window statistics (B, 5 F) of x (B, T, F); rows where mask (B, T) is false do not count.

    The rows that count are the first ones of a window (right-padded). ``slope`` is the change of
    the least-squares line over the window, ``log_step`` the (stretched) logarithm of the mean
    |x_t - x_{t-1}|, ``log_spread`` that of the standard deviation.
    """
    ops = use_engine().ops
    if mask is None:
        weight = ops.ones_like(x[:, :, :1])
    else:
        weight = ops.cast(ops.expand_dims(mask, -1), x.dtype)
        x = ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))
    count = ops.maximum(ops.sum(weight, axis=1, keepdims=True), 1.0)
    mean = ops.sum(x, axis=1, keepdims=True) / count
    off = (x - mean) * weight
    variance = ops.sum(off * off, axis=1, keepdims=True) / count
    place = ops.cumsum(weight, axis=1)
    away = (place - (count + 1.0) / 2.0) * weight
    slope = ops.sum(away * off, axis=1, keepdims=True) / ops.maximum(ops.sum(away * away, axis=1, keepdims=True), 1e-6)
    step = ops.abs(x[:, 1:] - x[:, :-1]) * weight[:, 1:]
    mean_step = ops.sum(step, axis=1, keepdims=True) / ops.maximum(count - 1.0, 1.0)
    is_last = weight * ops.cast(ops.equal(place, count), x.dtype)
    last = ops.sum(x * is_last, axis=1, keepdims=True)
    log_spread = STRETCH * (0.5 * ops.log(variance + FLOOR**2) - math.log(CENTRE))
    log_step = STRETCH * (ops.log(mean_step + FLOOR) - math.log(CENTRE))
    statistics = ops.concatenate([mean, log_spread, slope * (count - 1.0), log_step, last], axis=-1)
    return ops.squeeze(statistics, axis=1)
