"""How good predictions are, in the plant's terms: one function per metric.

In: a `Sample` of predictions with their truth, and weights on its windows.
Out: a number in the metric's unit; NaN with a reason where it cannot be defined, never 0 or 1.
This module defines `Metric` and its registry. Weights of 1 give the score and the weights of a bootstrap give its
interval, so that a score and its interval can never be computed by two different formulas.

    @metric("mae", title={"en": "MAE", "zh_TW": "MAE"}, better="lower", unit="target", kind="regression")
    def mae(sample: Sample, weights: Weights) -> Values: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.registry import Registry
from backmix.scoring.faults import faults
from backmix.scoring.predictions import Sample
from backmix.text import Language, Sentence, say

Values = NDArray[np.float64]
Weights = NDArray[np.float64]

Unit = Literal["target", "target_squared", "share", "none", "time", "per_day"]
Compute = Callable[[Sample, Weights], Values]
Bounds = tuple[float | None, float | None]
"""The least and the largest value that a metric can have; None where there is no end."""
ROUNDING = 1e-9
"""A value beyond its bounds by more than this share is no rounding: the metric has no value there."""
FLAT = 1e-9
"""Truths that differ by less than this share of their size are one and the same value."""


@dataclass(frozen=True)
class Undefined:
    """Why a score has no value on a sample: a catalogue key and its values."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def text(self, lang: Language | None = None) -> str:
        """The reason as a phrase, in the language of the moment unless one is named."""
        return say(self.key, lang, **self.values)


Check = Callable[[Sample], Undefined | None]


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric on a sample, NaN with a reason where it is undefined."""

    value: float
    undefined: Undefined | None = None


@dataclass(frozen=True)
class Metric:
    """One way to score a prediction.

    better: whether lower or higher values are better; "zero" for a value that should be near 0
    unit: in what it is counted: the target's unit, a share of 1, time (seconds, or rows without a
        clock), events per day, or nothing
    kind: the kind of task that it scores
    draws: what a bootstrap draws again: windows, whole faults (events), or nothing, where the
        bootstrap does not work (a maximum)
    compute: (sample, weights (R, n)) -> (R,); with ``draws="faults"`` the weights are (R, events)
    check: why the metric is undefined on a sample; None when it is defined
    per_class: one value per class: the sample says which one in `Sample.focus`
    bounds: between which ends every value lies
    """

    name: str
    better: Literal["lower", "higher", "zero"]
    unit: Unit
    kind: Literal["regression", "classification"]
    compute: Compute
    check: Check
    draws: Literal["windows", "faults", "none"] = "windows"
    per_class: bool = False
    bounds: Bounds = (None, None)

    def score(self, sample: Sample) -> MetricValue:
        """The score of a sample; windows without a truth or a prediction do not count."""
        sample = sample if sample.usable.all() else sample.take(sample.usable)
        undefined = Undefined("evaluation.undefined_no_windows") if len(sample) == 0 else self.check(sample)
        if undefined is not None:
            return MetricValue(np.nan, undefined)
        value = float(self.values(sample, np.ones((1, self.items(sample))))[0])
        return MetricValue(value, None if np.isfinite(value) else Undefined("evaluation.undefined_not_finite"))

    def values(self, sample: Sample, weights: Weights) -> Values:
        """The value under each row of weights, (R,), within the bounds; NaN where there is none.

        A denominator of next to nothing gives no value, whatever comes out of it.
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            scores = np.array(self.compute(sample, weights), np.float64)
            scores[~np.isfinite(scores)] = np.nan
            low, high = (
                end if end is not None else sign * np.inf for end, sign in zip(self.bounds, (-1, 1), strict=True)
            )
            scores[(scores < low - ROUNDING) | (scores > high + ROUNDING)] = np.nan
        bounded: Values = np.clip(scores, low, high)
        return bounded

    def items(self, sample: Sample) -> int:
        """How many things a bootstrap can draw again."""
        if self.draws == "faults":
            return len(faults(sample))
        return len(sample)

    def title(self, lang: Language | None = None) -> str:
        """The name for people, in the language of the moment unless one is named."""
        return metrics.title(self.name, lang)

    def __call__(self, sample: Sample) -> float:
        """The bare value."""
        return self.score(sample).value


metrics: Registry[Metric] = Registry("metrics", package="backmix.scoring.metrics")


def always(_sample: Sample) -> Undefined | None:
    """The check of a metric that any sample with a window defines."""
    return None


def metric(
    name: str,
    *,
    title: Sentence | None = None,
    better: Literal["lower", "higher", "zero"],
    unit: Unit,
    kind: Literal["regression", "classification"],
    check: Check = always,
    draws: Literal["windows", "faults", "none"] = "windows",
    per_class: bool = False,
    bounds: Bounds | None = None,
) -> Callable[[Compute], Metric]:
    """Decorator that makes a function of (sample, weights) a registered metric; the rest as in `Metric`.

    title: its name for people, in every language
    bounds: None takes those of the unit: a share lies between 0 and 1, an error that should be low is not negative
    """
    if bounds is None:
        bounds = (0.0 if unit == "share" or better == "lower" else None, 1.0 if unit == "share" else None)

    def make(compute: Compute) -> Metric:
        return metrics.register(name, title=title)(
            Metric(
                name=name,
                better=better,
                unit=unit,
                kind=kind,
                compute=compute,
                check=check,
                draws=draws,
                per_class=per_class,
                bounds=bounds,
            )
        )

    return make


def share(weights: Weights, chosen: NDArray[np.bool_], among: NDArray[np.bool_]) -> Values:
    """The weighted share (R,) of the windows ``among`` which those ``chosen`` (n,) are counted."""
    return ratio(weights @ chosen.astype(np.float64), weights @ among.astype(np.float64))


def ratio(over: Values, under: Values) -> Values:
    """Elementwise quotient, NaN where the denominator is 0."""
    quotient: Values = np.full(np.broadcast_shapes(over.shape, under.shape), np.nan)
    np.divide(over, under, out=quotient, where=under != 0)
    return quotient


def flat(values: Values) -> bool:
    """Whether numbers are one and the same but for rounding.

    >>> flat(np.array([0.3, 0.1 + 0.2])), flat(np.array([0.3, 0.31]))
    (True, False)
    """
    with np.errstate(over="ignore"):
        return not np.ptp(values) > FLAT * np.max(np.abs(values))
