"""How soon a fault is detected, and how often an alarm is false.

This module registers the scores of an alarm system: detection delay, false alarms per day, and the
event-wise and point-wise detection and false-alarm rates. Nothing is point-adjusted: an alarm at
one moment of a fault does not turn its other moments into hits.
What a fault is and when a window alarms: `scoring.faults`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backmix.scoring.faults import faults
from backmix.scoring.metrics import Undefined, Values, Weights, metric, ratio, share
from backmix.scoring.predictions import Sample

DAY = 86400.0


def _has_fault(sample: Sample) -> Undefined | None:
    if sample.normal is None:
        return Undefined("evaluation.undefined_no_normal")
    return None if np.any(sample.truth != sample.normal) else Undefined("evaluation.undefined_no_fault")


def _has_normal(sample: Sample) -> Undefined | None:
    if sample.normal is None:
        return Undefined("evaluation.undefined_no_normal")
    return None if np.any(sample.truth == sample.normal) else Undefined("evaluation.undefined_never_normal")


def _has_normal_time(sample: Sample) -> Undefined | None:
    return _has_normal(sample) or (None if sample.clock else Undefined("evaluation.undefined_no_clock"))


def _has_alarm(sample: Sample) -> Undefined | None:
    if sample.normal is None:
        return Undefined("evaluation.undefined_no_normal")
    return None if np.any(sample.prediction != sample.normal) else Undefined("evaluation.undefined_no_alarm")


@metric(
    "detection_delay",
    title={"en": "detection delay", "zh_TW": "偵測延遲"},
    better="lower",
    unit="time",
    kind="classification",
    check=_has_fault,
    draws="faults",
)
def detection_delay(sample: Sample, weights: Weights) -> Values:
    """Restricted mean time from the begin of a fault to its first alarm, (R,).

    A missed fault is censored at its end (Kaplan & Meier, J. Am. Stat. Assoc. 53 (1958) 457): it
    is known only that its delay is longer. The mean is the area under the Kaplan-Meier curve up to
    the longest time that any fault was watched, so that a model cannot gain by missing faults.
    """
    events = faults(sample)
    delay = np.array([event.delay for event in events])
    noticed = np.array([event.noticed for event in events])
    return restricted_mean(delay, noticed, weights)


def restricted_mean(delay: NDArray[np.float64], noticed: NDArray[np.bool_], weights: Weights) -> Values:
    """Area under the weighted Kaplan-Meier curve up to the longest delay (E,), for weights (R, E).

    >>> restricted_mean(np.array([1.0, 4.0]), np.array([True, False]), np.ones((1, 2))).tolist()
    [2.5]
    """
    order = np.lexsort((~noticed, delay))  # at equal times the noticed come before the censored
    delay, noticed, weights = delay[order], noticed[order], weights[:, order]
    at_risk = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
    factor = 1.0 - np.where(at_risk > 0, weights * noticed / np.where(at_risk > 0, at_risk, 1.0), 0.0)
    undetected = np.cumprod(factor, axis=1)
    before = np.hstack([np.ones((len(weights), 1)), undetected[:, :-1]])
    area: Values = (before * np.diff(delay, prepend=0.0)).sum(axis=1)
    return np.where(weights.sum(axis=1) > 0, area, np.nan)


@metric(
    "event_recall",
    title={"en": "faults noticed", "zh_TW": "已察覺的故障"},
    better="higher",
    unit="share",
    kind="classification",
    check=_has_fault,
    draws="faults",
)
def event_recall(sample: Sample, weights: Weights) -> Values:
    """Share of faults with at least one alarm, (R,)."""
    noticed = np.array([event.noticed for event in faults(sample)], dtype=np.float64)
    return ratio(weights @ noticed, weights.sum(axis=1))


def _alarm_starts(sample: Sample) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(n,) whether an alarm begins at a window, and the number of the alarm that a window is in."""
    alarm = sample.prediction != sample.normal
    before = np.concatenate([[False], alarm[:-1]]) & ~sample.starts
    begins = alarm & ~before
    return begins, np.cumsum(begins) - 1


@metric(
    "event_precision",
    title={"en": "alarms that are real", "zh_TW": "真實警報比例"},
    better="higher",
    unit="share",
    kind="classification",
    check=_has_alarm,
)
def event_precision(sample: Sample, weights: Weights) -> Values:
    """Share of alarms (stretches of alarming windows) that touch a fault, (R,)."""
    begins, number = _alarm_starts(sample)
    alarm, faulty = sample.prediction != sample.normal, sample.truth != sample.normal
    real = np.zeros(int(begins.sum()), dtype=bool)
    real[number[alarm & faulty]] = True
    touching = begins.astype(np.float64)
    touching[begins] = real
    return ratio(weights @ touching, weights @ begins.astype(np.float64))


@metric(
    "detection_rate",
    title={"en": "detection rate", "zh_TW": "偵測率"},
    better="higher",
    unit="share",
    kind="classification",
    check=_has_fault,
)
def detection_rate(sample: Sample, weights: Weights) -> Values:
    """Share of faulty windows that alarm, whatever fault they name, (R,)."""
    faulty = sample.truth != sample.normal
    return share(weights, faulty & (sample.prediction != sample.normal), faulty)


@metric(
    "false_alarm_rate",
    title={"en": "false alarm rate", "zh_TW": "誤報率"},
    better="lower",
    unit="share",
    kind="classification",
    check=_has_normal,
)
def false_alarm_rate(sample: Sample, weights: Weights) -> Values:
    """Share of normal windows that alarm, (R,)."""
    calm = sample.truth == sample.normal
    return share(weights, calm & (sample.prediction != sample.normal), calm)


@metric(
    "false_alarms_per_day",
    title={"en": "false alarms per day", "zh_TW": "每日誤報次數"},
    better="lower",
    unit="per_day",
    kind="classification",
    check=_has_normal_time,
)
def false_alarms_per_day(sample: Sample, weights: Weights) -> Values:
    """Alarms that begin in normal operation, per day of normal operation, (R,).

    An alarm that outlasts a fault is late in going, not a new alarm. Every window stands for the
    usual distance of two windows.
    """
    begins, _ = _alarm_starts(sample)
    calm = sample.truth == sample.normal
    days = weights @ calm.astype(np.float64) * sample.step / DAY
    return ratio(weights @ (begins & calm).astype(np.float64), days)
