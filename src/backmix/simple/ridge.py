"""Ridge regression on lagged inputs and on summaries of the window.

This module registers it on every row of the window, on five statistics per feature, and on mean, rise and last value
of every feature with their products, the bar for wear, which shows in levels and slopes and grows faster than a line.
The penalty is the one with the least error on what is held out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backmix.data.windows.slices import sampled
from backmix.decision import Decision
from backmix.simple import Fitted, Unusable, simple_model
from backmix.simple.flat import FlatModel, crossed, edge, linear
from backmix.simple.forms import MOST_FEATURES, FlatView, Form, Lags, quadratic
from backmix.simple.moments import PENALTIES, Moments, errors, moments, ridge_path, used
from backmix.simple.trial import Trial

MOST_CHOOSING = 64
"""Answers by which a penalty is chosen; a path has thousands, and some, evenly spread, tell it as well."""


@simple_model("ridge", "regression", member=True, title={"en": "ridge regression", "zh_TW": "脊迴歸"})
def fit_ridge(trial: Trial) -> Fitted:
    """Ridge regression on every row of the window, or on stages of whole batches."""
    return ridge(trial, "ridge", Lags.of(trial.final.base), "evaluation.ridge_penalty")


@simple_model(
    "ridge_statistics",
    "regression",
    member=True,
    title={"en": "ridge on window statistics", "zh_TW": "視窗統計量脊迴歸"},
)
def fit_statistics(trial: Trial) -> Fitted:
    """Ridge regression on five statistics per feature."""
    return ridge(trial, "ridge_statistics", FlatView.of(trial.final.base, "statistics"), "simple.statistics_penalty")


@simple_model(
    "ridge_summaries",
    "regression",
    member=True,
    title={"en": "quadratic ridge on window summaries", "zh_TW": "視窗摘要二次脊迴歸"},
)
def fit_summaries(trial: Trial) -> Fitted:
    """Ridge regression on mean, rise and last value of every feature and their products."""
    return ridge(trial, "ridge_summaries", quadratic(trial.final.base), "course.summaries_chosen")


@simple_model(
    "ridge_long",
    "regression",
    member=True,
    title={"en": "ridge regression on a longer past", "zh_TW": "較長歷史的脊迴歸"},
)
def fit_long(trial: Trial) -> Fitted:
    """Ridge regression on every row of the lookback, where that is longer than what other models look at."""
    if trial.final.base.spec.seen is None:
        raise Unusable("simple.no_longer")
    every = trial.turned(lambda windows: windows.entire)
    fitted = ridge(every, "ridge_long", Lags.of(every.final.base), "evaluation.ridge_penalty")
    final, before = (replace(model, entire=True) for model in (fitted.model, fitted.before))  # type: ignore[type-var]
    return replace(fitted, model=final, before=before)


def ridge(trial: Trial, name: str, form: Form, reason: str) -> Fitted:
    """A ridge regression of all answers on windows in a form."""
    if form.width > MOST_FEATURES and not isinstance(form, Lags):
        raise Unusable("simple.too_wide", features=form.width, most=MOST_FEATURES)
    some = sampled(trial.targets(trial.folds[-1].held_out).shape[1], MOST_CHOOSING)
    known, total = [], np.zeros(len(PENALTIES))
    for fold in trial.folds:
        known.append(moments(trial, form, fold.taught))
        total += errors(trial, form, known[-1], ridge_path(known[-1], PENALTIES, some), fold.held_out, some)
    penalty = PENALTIES[int(np.argmin(total))]

    def model(sums: Moments) -> FlatModel:
        return linear(trial, name, form, *sums.affine(ridge_path(sums, (penalty,))[0]))

    values = {"penalty": f"{penalty:.3g}", "features": form.width}
    decisions = (
        Decision(penalty, reason, values, setting=name),
        *edge(name, "penalty", penalty, PENALTIES),
        *form.decisions,
        *trial.final.sampling(used(trial, form, trial.final)),
    )
    return crossed(trial, [model(sums) for sums in known], model(moments(trial, form, trial.final)), decisions)
