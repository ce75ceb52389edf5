"""How far numbers are off, in the target's unit.

This module registers the error measures of a regression (course items 48 and 65): MSE, RMSE, MAE,
bias, the largest error, and the RMSE as a share of the range of the truth.
"""

from __future__ import annotations

import numpy as np

from backmix.scoring.metrics import Undefined, Values, Weights, flat, metric, ratio
from backmix.scoring.predictions import Sample

HARDLY = 1e-6
"""A draw with less than this share of the variance of the whole sample hardly varies."""


def _mean(values: Values, weights: Weights) -> Values:
    return ratio(weights @ values, weights.sum(axis=1))


@metric("mse", title={"en": "MSE", "zh_TW": "MSE"}, better="lower", unit="target_squared", kind="regression")
def mse(sample: Sample, weights: Weights) -> Values:
    """Mean of the squared error, (R,)."""
    return _mean((sample.prediction - sample.truth) ** 2, weights)


@metric("rmse", title={"en": "RMSE", "zh_TW": "RMSE"}, better="lower", unit="target", kind="regression")
def rmse(sample: Sample, weights: Weights) -> Values:
    """Root of the mean squared error, (R,)."""
    return np.sqrt(_mean((sample.prediction - sample.truth) ** 2, weights))


@metric("mae", title={"en": "MAE", "zh_TW": "MAE"}, better="lower", unit="target", kind="regression")
def mae(sample: Sample, weights: Weights) -> Values:
    """Mean of the absolute error, (R,)."""
    return _mean(np.abs(sample.prediction - sample.truth), weights)


@metric("bias", title={"en": "bias", "zh_TW": "偏差"}, better="zero", unit="target", kind="regression")
def bias(sample: Sample, weights: Weights) -> Values:
    """Mean of prediction - truth, (R,): positive when the model reads too high."""
    return _mean(sample.prediction - sample.truth, weights)


# the bootstrap is inconsistent for a maximum (Bickel & Freedman, Ann. Statist. 9 (1981) 1196), so
# the largest error stands without an interval
@metric(
    "max_error",
    title={"en": "largest error", "zh_TW": "最大誤差"},
    better="lower",
    unit="target",
    kind="regression",
    draws="none",
)
def max_error(sample: Sample, weights: Weights) -> Values:
    """Largest absolute error among the windows that have a weight, (R,)."""
    error = np.abs(sample.prediction - sample.truth)
    largest: Values = np.where(weights > 0, error, -np.inf).max(axis=1)
    return largest


def _no_range(sample: Sample) -> Undefined | None:
    if not flat(sample.truth):
        return None
    return Undefined("evaluation.undefined_constant_truth", {"value": f"{sample.truth[0]:.6g}"})


@metric(
    "nrmse",
    title={"en": "RMSE / range", "zh_TW": "RMSE／全距"},
    better="lower",
    unit="share",
    kind="regression",
    check=_no_range,
    bounds=(0.0, None),
)
def nrmse(sample: Sample, weights: Weights) -> Values:
    """RMSE as a share of the range of the truth, (R,); the range is that of the whole sample."""
    return np.sqrt(_mean((sample.prediction - sample.truth) ** 2, weights)) / np.ptp(sample.truth)


@metric(
    "r2",
    title={"en": "R²", "zh_TW": "R²"},
    better="higher",
    unit="none",
    kind="regression",
    check=_no_range,
    bounds=(None, 1.0),
)
def r2(sample: Sample, weights: Weights) -> Values:
    """Coefficient of determination 1 - SSE / SST, (R,); below 0 when the mean of the truth does better.

    A draw in which the truth hardly varies has none: its SST is next to nothing, and so is what it says.
    """
    centred = sample.truth - sample.truth.mean()
    total = weights.sum(axis=1)
    spread = weights @ centred**2 - ratio((weights @ centred) ** 2, total)
    spread = np.where(spread > HARDLY * total * np.mean(centred**2), spread, 0.0)
    return 1.0 - ratio(weights @ (sample.prediction - sample.truth) ** 2, spread)
