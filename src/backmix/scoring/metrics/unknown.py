"""Scores for faults that a model was not trained on.

This module registers three shares: of windows with unknown faults that are called "unknown", of windows with known
classes that are called "unknown", and of right classes where a known class is named.
"""

from __future__ import annotations

from backmix.scoring.metrics import Undefined, Values, Weights, metric, share
from backmix.scoring.predictions import Sample
from backmix.tasks.fault_diagnosis import UNKNOWN


def unknown_code(sample: Sample) -> int | None:
    """The code of the class "unknown"; None where there is no such class."""
    return sample.classes.index(UNKNOWN) if UNKNOWN in sample.classes else None


def _has_unknown(sample: Sample) -> Undefined | None:
    if (sample.truth == unknown_code(sample)).any():
        return None
    return Undefined("evaluation.undefined_class_absent", {"classes": UNKNOWN})


def _has_known(sample: Sample) -> Undefined | None:
    if (sample.truth != unknown_code(sample)).any():
        return None
    return Undefined("evaluation.undefined_no_known")


def _keeps_known(sample: Sample) -> Undefined | None:
    code = unknown_code(sample)
    if ((sample.truth != code) & (sample.prediction != code)).any():
        return None
    return Undefined("evaluation.undefined_no_known")


@metric(
    "unknown_recall",
    title={"en": "unknown faults rejected", "zh_TW": "未知故障拒絕率"},
    better="higher",
    unit="share",
    kind="classification",
    check=_has_unknown,
)
def unknown_recall(sample: Sample, weights: Weights) -> Values:
    """Share of windows with classes outside the training that are called "unknown", (R,)."""
    new = sample.truth == unknown_code(sample)
    return share(weights, new & (sample.prediction == sample.truth), new)


@metric(
    "false_rejection",
    title={"en": "known windows rejected", "zh_TW": "已知類別誤拒率"},
    better="lower",
    unit="share",
    kind="classification",
    check=_has_known,
)
def false_rejection(sample: Sample, weights: Weights) -> Values:
    """Share of the windows of known classes that are called "unknown", (R,)."""
    code = unknown_code(sample)
    known = sample.truth != code
    return share(weights, known & (sample.prediction == code), known)


@metric(
    "known_accuracy",
    title={"en": "accuracy on known, not rejected", "zh_TW": "未拒絕之已知類別準確率"},
    better="higher",
    unit="share",
    kind="classification",
    check=_keeps_known,
)
def known_accuracy(sample: Sample, weights: Weights) -> Values:
    """Share of right classes among windows of known classes that were not called "unknown", (R,)."""
    code = unknown_code(sample)
    kept = (sample.truth != code) & (sample.prediction != code)
    return share(weights, kept & (sample.prediction == sample.truth), kept)
