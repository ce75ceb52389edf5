"""How often the class is right.

This module registers accuracy, balanced accuracy, macro F1, and recall and precision per class
(course item 49). All are point-wise and unadjusted: a window counts for itself alone.
"""

from __future__ import annotations

import numpy as np

from backmix.scoring.metrics import Undefined, Values, Weights, metric, ratio, share
from backmix.scoring.predictions import Codes, Sample
from backmix.tasks.fault_diagnosis import UNKNOWN


def judged_codes(sample: Sample) -> Codes:
    """(C,) the classes that a mean is taken over: all but "unknown" where no window is of it.

    That class is an answer, not a thing that must occur; every other class without a window leaves the
    mean undefined.
    """
    codes = np.arange(len(sample.classes))
    return codes[[name != UNKNOWN or bool((sample.truth == code).any()) for code, name in enumerate(sample.classes)]]


def absent_class(sample: Sample) -> Undefined | None:
    """A class without a window leaves every mean over the classes undefined."""
    counts = np.bincount(sample.truth.astype(np.int64), minlength=len(sample.classes))
    absent = [sample.classes[code] for code in judged_codes(sample) if not counts[code]]
    if not absent:
        return None
    shown = ", ".join(absent[:5]) + (" …" if len(absent) > 5 else "")
    return Undefined("evaluation.undefined_class_absent", {"classes": shown})


def _counts(sample: Sample, weights: Weights) -> tuple[Values, Values, Values]:
    """Weighted hits, actual and predicted windows of every class, (R, C) each."""
    codes = judged_codes(sample)
    actual = sample.truth[:, None] == codes
    predicted = sample.prediction[:, None] == codes
    return (
        weights @ (actual & predicted).astype(np.float64),
        weights @ actual.astype(np.float64),
        weights @ predicted.astype(np.float64),
    )


@metric("accuracy", title={"en": "accuracy", "zh_TW": "準確率"}, better="higher", unit="share", kind="classification")
def accuracy(sample: Sample, weights: Weights) -> Values:
    """Share of windows whose class is right, (R,)."""
    return ratio(weights @ (sample.prediction == sample.truth).astype(np.float64), weights.sum(axis=1))


@metric(
    "balanced_accuracy",
    title={"en": "balanced accuracy", "zh_TW": "平衡準確率"},
    better="higher",
    unit="share",
    kind="classification",
    check=absent_class,
)
def balanced_accuracy(sample: Sample, weights: Weights) -> Values:
    """Mean recall of the classes, (R,): every class counts the same, however rare."""
    hits, actual, _ = _counts(sample, weights)
    recalls: Values = ratio(hits, actual).mean(axis=1)
    return recalls


@metric(
    "macro_f1",
    title={"en": "macro F1", "zh_TW": "巨集 F1"},
    better="higher",
    unit="share",
    kind="classification",
    check=absent_class,
)
def macro_f1(sample: Sample, weights: Weights) -> Values:
    """Mean over the classes of 2 TP / (2 TP + FP + FN), (R,)."""
    hits, actual, predicted = _counts(sample, weights)
    scores: Values = ratio(2 * hits, actual + predicted).mean(axis=1)
    return scores


def _of_truth(sample: Sample) -> Undefined | None:
    assert sample.focus is not None
    if np.any(sample.truth == sample.focus):
        return None
    return Undefined("evaluation.undefined_class_absent", {"classes": sample.classes[sample.focus]})


def _of_prediction(sample: Sample) -> Undefined | None:
    assert sample.focus is not None
    if np.any(sample.prediction == sample.focus):
        return None
    return Undefined("evaluation.undefined_never_predicted", {"label": sample.classes[sample.focus]})


@metric(
    "recall",
    title={"en": "recall", "zh_TW": "召回率"},
    better="higher",
    unit="share",
    kind="classification",
    check=_of_truth,
    per_class=True,
)
def recall(sample: Sample, weights: Weights) -> Values:
    """Share of a class's windows that were found, (R,)."""
    actual = sample.truth == sample.focus
    return share(weights, actual & (sample.prediction == sample.focus), actual)


@metric(
    "precision",
    title={"en": "precision", "zh_TW": "精確率"},
    better="higher",
    unit="share",
    kind="classification",
    check=_of_prediction,
    per_class=True,
)
def precision(sample: Sample, weights: Weights) -> Values:
    """Share of the windows called a class that are of it, (R,): how far an alarm can be believed."""
    called = sample.prediction == sample.focus
    return share(weights, called & (sample.truth == sample.focus), called)
