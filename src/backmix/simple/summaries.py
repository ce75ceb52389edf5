"""Ridge regression on summaries of the window and their products.

This module registers a quadratic model of few numbers per window: mean, rise over the window and last
value of every feature, and all their products when there are not too many, else their squares. It is
the bar for wear, which shows in levels and slopes and grows faster than a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.decision import Decision
from backmix.simple import baselines
from backmix.simple.linear import Linear, chosen
from backmix.training.features import last_fifth, quadratic
from backmix.training.linear import MOST_FEATURES, PENALTIES, errors, moments, ridge_path

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task


@baselines.register("ridge_summaries")
def fit_ridge_summaries(train: Windows, validation: Windows | None, task: Task, seed: int) -> Linear:
    """Ridge regression on mean, rise and last value of every feature, and their products."""
    inner, choosing = last_fifth(train, validation)
    form = quadratic(train, MOST_FEATURES)
    sums = moments(inner, form)
    weights = ridge_path(sums, PENALTIES)
    best = int(np.argmin(errors(sums, weights, choosing)))
    if inner is not train:
        sums = moments(train, form)
        weights = ridge_path(sums, PENALTIES)
    return chosen(
        sums,
        weights,
        best,
        Decision(
            PENALTIES[best],
            "course.summaries_chosen",
            {"penalty": f"{PENALTIES[best]:.3g}", "features": form.width},
            setting="baseline.ridge_summaries",
        ),
        lambda other: ridge_path(other, (PENALTIES[best],)),
    )
