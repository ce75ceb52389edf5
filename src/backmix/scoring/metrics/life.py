"""Scores of a remaining life or time, where late and early errors count differently.

This module registers the score of Saxena et al., how often and how far a prediction is too long (late) or too short
(early), a cost with a weight for each, and the error in the last quarter of batches. Errors are prediction - truth:
positive is late.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backmix.scoring.metrics import Undefined, Values, Weights, metric, ratio
from backmix.scoring.predictions import Sample

Floats = NDArray[np.float64]
EARLY, LATE = 13.0, 10.0
"""Scales of the exponentials for early and late errors, in cycles."""
LAST_QUARTER = 0.75


def _one_each(sample: Sample) -> Undefined | None:
    many = len(np.unique(sample.runs)) < len(sample)
    return Undefined("course.undefined_many") if many else None


@metric(
    "nasa_score",
    title={"en": "NASA score (sum over units)", "zh_TW": "NASA 分數（各機組總和）"},
    better="lower",
    unit="none",
    kind="regression",
    check=_one_each,
)
def nasa_score(sample: Sample, weights: Weights) -> Values:
    """Sum over the units of exp(-d/13) - 1 for early and exp(d/10) - 1 for late errors d in cycles, (R,).

    As published a sum, so that it grows with the number of units. Saxena, Goebel, Simon & Eklund,
    Damage propagation modeling for aircraft engine run-to-failure simulation, PHM (2008), equation 2.
    """
    error = sample.prediction - sample.truth
    with np.errstate(over="ignore"):
        cost = np.expm1(np.where(error < 0, -error / EARLY, error / LATE))
    cost = np.minimum(cost, 1e300)  # so that a weight of 0 leaves 0
    with np.errstate(over="ignore"):
        total: Values = weights @ cost
    return total


def _late(sample: Sample) -> Floats:
    excess: Floats = np.maximum(sample.prediction - sample.truth, 0.0)
    return excess


def _early(sample: Sample) -> Floats:
    shortfall: Floats = np.maximum(sample.truth - sample.prediction, 0.0)
    return shortfall


@metric(
    "late_share",
    title={"en": "late predictions", "zh_TW": "預測過晚的比例"},
    better="lower",
    unit="share",
    kind="regression",
)
def late_share(sample: Sample, weights: Weights) -> Values:
    """Share of the windows whose prediction is too long, (R,)."""
    return ratio(weights @ (_late(sample) > 0).astype(np.float64), weights.sum(axis=1))


@metric(
    "late_error",
    title={"en": "mean late error", "zh_TW": "過晚的平均誤差"},
    better="lower",
    unit="target",
    kind="regression",
    check=lambda sample: None if (_late(sample) > 0).any() else Undefined("course.undefined_no_late"),
)
def late_error(sample: Sample, weights: Weights) -> Values:
    """Mean error of the predictions that are too long, (R,)."""
    late = _late(sample)
    return ratio(weights @ late, weights @ (late > 0).astype(np.float64))


@metric(
    "early_error",
    title={"en": "mean early error", "zh_TW": "過早的平均誤差"},
    better="lower",
    unit="target",
    kind="regression",
    check=lambda sample: None if (_early(sample) > 0).any() else Undefined("course.undefined_no_early"),
)
def early_error(sample: Sample, weights: Weights) -> Values:
    """Mean error of the predictions that are too short, (R,), as a positive number."""
    early = _early(sample)
    return ratio(weights @ early, weights @ (early > 0).astype(np.float64))


def _costs(sample: Sample) -> Undefined | None:
    return None if {"late_cost", "early_cost"} <= set(sample.facts) else Undefined("course.undefined_no_costs")


@metric(
    "late_early_cost",
    title={"en": "cost per prediction", "zh_TW": "每次預測的成本"},
    better="lower",
    unit="none",
    kind="regression",
    check=_costs,
)
def late_early_cost(sample: Sample, weights: Weights) -> Values:
    """Mean cost of a prediction, (R,): the error times the late or the early cost of the plan."""
    cost = _late(sample) * sample.facts["late_cost"] + _early(sample) * sample.facts["early_cost"]
    return ratio(weights @ cost, weights.sum(axis=1))


def _has_share(sample: Sample) -> Undefined | None:
    return None if "share" in sample.facts else Undefined("course.undefined_no_share")


@metric(
    "last_quarter_mae",
    title={"en": "MAE in the last quarter", "zh_TW": "最後四分之一的 MAE"},
    better="lower",
    unit="target",
    kind="regression",
    check=_has_share,
)
def last_quarter_mae(sample: Sample, weights: Weights) -> Values:
    """Mean absolute error at the windows in the last quarter of their batch, (R,)."""
    late = (sample.facts["share"] >= LAST_QUARTER).astype(np.float64)
    return ratio(weights @ (late * np.abs(sample.prediction - sample.truth)), weights @ late)
