"""PLS regression on lagged inputs.

This module registers it on every row of the window. The number of components is the one with the least error on what
is held out.
"""

from __future__ import annotations

import numpy as np

from backmix.decision import Decision
from backmix.simple import Fitted, Floats, simple_model
from backmix.simple.flat import FlatModel, crossed, edge, linear
from backmix.simple.forms import Lags
from backmix.simple.moments import MOST_COMPONENTS, Moments, errors, moments, pls_path, used
from backmix.simple.trial import Trial


@simple_model("pls", "regression", member=True, title={"en": "PLS", "zh_TW": "PLS"})
def fit_pls(trial: Trial) -> Fitted:
    """PLS regression on every row of the window, or on stages of whole batches."""
    form = Lags.of(trial.final.base)
    most = min(MOST_COMPONENTS, form.width)
    every = np.arange(trial.targets(trial.folds[-1].held_out).shape[1])
    tried: list[tuple[Moments, Floats]] = []
    total = np.zeros(most)
    for fold in trial.folds:
        known = moments(trial, form, fold.taught)
        path = pls_path(known, most)
        tried.append((known, path))
        wrong = errors(trial, form, known, path, fold.held_out, every)
        total += np.append(wrong, np.repeat(wrong[-1:], most - len(wrong)))  # more components explain nothing more
    components = int(np.argmin(total)) + 1

    def model(known: Moments, path: Floats) -> FlatModel:
        return linear(trial, "pls", form, *known.affine(path[min(components, len(path)) - 1]))

    every_window = moments(trial, form, trial.final)
    final = model(every_window, pls_path(every_window, components))
    values = {"components": components, "features": form.width}
    decisions = (
        Decision(components, "evaluation.pls_components", values, setting="pls"),
        *edge("pls", "components", components, (1, MOST_COMPONENTS), lowest=False),
        *form.decisions,
        *trial.final.sampling(used(trial, form, trial.final)),
    )
    return crossed(trial, [model(*each) for each in tried], final, decisions)
