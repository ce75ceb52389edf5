"""Ridge and PLS regression on lagged inputs.

This module registers the two linear models that are the real bar in process data. Penalty and number of
components are chosen on the validation part; the arithmetic is that of `training.linear`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from backmix.data.slices import sampled, slices
from backmix.decision import Decision
from backmix.simple import Again, baselines
from backmix.tasks import Outcome
from backmix.training.features import Lags, last_fifth
from backmix.training.linear import (
    MOST_COMPONENTS,
    PENALTIES,
    FlatForm,
    Floats,
    WindowMoments,
    errors,
    moments,
    pls_path,
    ridge_path,
)

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task

MOST_CHOOSING = 64
"""Answers by which a penalty is chosen."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear model of lagged inputs: (lags - mean) @ weights + level, in scaled targets.

    weights: (P, K) for features as gathered
    """

    lags: FlatForm
    mean: Floats
    weights: Floats
    level: Floats
    decisions: tuple[Decision, ...] = ()
    learn_again: Again | None = None

    def predict(self, windows: Windows) -> Outcome:
        found = np.empty((len(windows), len(self.level)))
        for at in slices(windows):
            found[at] = (self.lags.of_batch(windows.gather(at)) - self.mean) @ self.weights + self.level
        return Outcome(values=windows.unscaled(found))


def chosen(
    sums: WindowMoments, weights: Floats, best: int, decision: Decision, again: Callable[[WindowMoments], Floats]
) -> Linear:
    """The best model of a path; ``again`` gives the weights (1, P, K) of the same one for other moments."""

    def learn(windows: Windows) -> Linear:
        other = moments(windows, None if isinstance(sums.lags, Lags) else sums.lags)
        return chosen(other, again(other), 0, decision, again)

    return Linear(
        lags=sums.lags,
        mean=sums.mean,
        weights=weights[best] / sums.scale[:, None],
        level=sums.level,
        decisions=(decision, *sums.decisions),
        learn_again=learn,
    )


@baselines.register("ridge")
def fit_ridge(train: Windows, validation: Windows | None, task: Task, seed: int) -> Linear:
    """Ridge regression on the inputs of every row of the window."""
    return ridge(train, validation)


def ridge(train: Windows, validation: Windows | None) -> Linear:
    """A ridge regression of all answers, its penalty chosen on the validation windows."""
    inner, choosing = last_fifth(train, validation)
    sums = moments(inner)
    # a path has thousands of answers: the penalty is chosen by some of them, evenly spread
    some = sampled(sums.xy.shape[1], MOST_CHOOSING)
    few = replace(sums, xy=sums.xy[:, some], level=sums.level[some])
    best = int(np.argmin(errors(few, ridge_path(few, PENALTIES), choosing, answers=some)))
    if inner is not train:
        sums = moments(train)

    def again(other: WindowMoments) -> Floats:
        return ridge_path(other, (PENALTIES[best],))

    return chosen(
        sums,
        again(sums),
        0,
        Decision(
            PENALTIES[best],
            "evaluation.ridge_penalty",
            {"penalty": f"{PENALTIES[best]:.3g}", "features": sums.lags.width},
            setting="baseline.ridge",
        ),
        again,
    )


@baselines.register("pls")
def fit_pls(train: Windows, validation: Windows | None, task: Task, seed: int) -> Linear:
    """PLS regression on the inputs of every row of the window."""
    return pls(train, validation)


def pls(train: Windows, validation: Windows | None) -> Linear:
    """A PLS regression, its number of components chosen on the validation windows."""
    inner, choosing = last_fifth(train, validation)
    sums = moments(inner)
    weights = pls_path(sums, min(MOST_COMPONENTS, sums.lags.width))
    best = int(np.argmin(errors(sums, weights, choosing)))
    if inner is not train:
        sums = moments(train)
        weights = pls_path(sums, best + 1)
        best = min(best, len(weights) - 1)
    return chosen(
        sums,
        weights,
        best,
        Decision(
            best + 1,
            "evaluation.pls_components",
            {"components": best + 1, "features": sums.lags.width},
            setting="baseline.pls",
        ),
        lambda other: pls_path(other, best + 1)[-1:],
    )
