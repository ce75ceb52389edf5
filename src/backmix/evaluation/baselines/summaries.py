"""Ridge regression on summaries of the window and their products.

This module registers a quadratic model of few numbers per window: mean, rise over the window and last
value of every feature, and all their products when there are not too many, else their squares. It is
the bar for wear, which shows in levels and slopes and grows faster than a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backmix.evaluation.baselines import baselines
from backmix.evaluation.baselines.features import Singles, last_fifth, statistics
from backmix.evaluation.baselines.linear import MOST_FEATURES, PENALTIES, Linear, chosen, errors, moments, ridge_path
from backmix.models.choice import Choice

if TYPE_CHECKING:
    from backmix.data.windows import WindowBatch, Windows
    from backmix.tasks import Task


@dataclass(frozen=True)
class Quadratic:
    """Summaries of a window and their products, (B, width); features: F of the windows."""

    features: int
    products: bool

    @classmethod
    def of(cls, windows: Windows) -> Quadratic:
        """With all products when they stay below `MOST_FEATURES`."""
        features = len(windows.feature_names)
        return cls(features, cls(features, True).width <= MOST_FEATURES)

    @property
    def _plain(self) -> int:
        return 3 * self.features

    @property
    def width(self) -> int:
        """How many numbers a window becomes."""
        count = self._plain
        return count + (count * (count + 1) // 2 if self.products else count)

    def of_batch(self, batch: WindowBatch) -> Singles:
        """The rows (B, width) of a gathered batch."""
        f = self.features
        found = statistics(batch)
        x = np.hstack([found[:, :f], found[:, 2 * f:3 * f], found[:, 4 * f:]])
        if not self.products:
            return np.hstack([x, x * x])
        one, other = np.triu_indices(self._plain)
        return np.hstack([x, x[:, one] * x[:, other]])

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Nothing is left out of the windows."""
        return ()


@baselines.register("ridge_summaries")
def fit_ridge_summaries(train: Windows, validation: Windows | None, task: Task, seed: int) -> Linear:
    """Ridge regression on mean, rise and last value of every feature, and their products."""
    inner, choosing = last_fifth(train, validation)
    form = Quadratic.of(train)
    sums = moments(inner, form)
    weights = ridge_path(sums, PENALTIES)
    best = int(np.argmin(errors(sums, weights, choosing)))
    if inner is not train:
        sums = moments(train, form)
        weights = ridge_path(sums, PENALTIES)
    return chosen(sums, weights, best, Choice(
        PENALTIES[best], "course.summaries_chosen",
        {"penalty": f"{PENALTIES[best]:.3g}", "features": form.width}, setting="baseline.ridge_summaries"))
