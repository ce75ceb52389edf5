"""How well probabilities put the right windows on top.

This module registers the area under the ROC curve (course item 49): of two classes as it is, of
many as the mean of every class against the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backmix.scoring.metrics import Undefined, Values, Weights, metric, ratio
from backmix.scoring.metrics.classes import absent_class, judged_codes
from backmix.scoring.predictions import Sample


def _ranked(sample: Sample) -> Undefined | None:
    if sample.probabilities is None or not np.isfinite(sample.probabilities).all():
        return Undefined("evaluation.undefined_no_probabilities")
    return absent_class(sample)


@metric(
    "auc",
    title={"en": "area under ROC", "zh_TW": "ROC 曲線下面積"},
    better="higher",
    unit="none",
    kind="classification",
    check=_ranked,
    bounds=(0.0, 1.0),
)
def auc(sample: Sample, weights: Weights) -> Values:
    """Area under the ROC curve, (R,); the mean of one against the rest when there are over two classes."""
    assert sample.probabilities is not None
    codes = judged_codes(sample).tolist() if len(sample.classes) > 2 else (1,)
    areas = [_area(sample.probabilities[:, code], sample.truth == code, weights) for code in codes]
    mean: Values = np.mean(areas, axis=0)
    return mean


def _area(scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: Weights) -> Values:
    """Weighted chance that a positive window scores above a negative one, ties half (Mann-Whitney), (R,)."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    ties = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    heavy = weights[:, order]
    ups = np.add.reduceat(heavy * positive[order], ties, axis=1)
    downs = np.add.reduceat(heavy * ~positive[order], ties, axis=1)
    below = np.cumsum(downs, axis=1) - downs
    return ratio((ups * (below + 0.5 * downs)).sum(axis=1), ups.sum(axis=1) * downs.sum(axis=1))
