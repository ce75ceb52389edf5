"""Linear discriminant analysis of window statistics.

This module registers it with Ledoit & Wolf's shrinkage (J. Multivariate Anal. 88 (2004) 365); there is nothing to
choose. Every class weighs as many windows as it has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.simple import Fitted, simple_model
from backmix.simple.flat import FlatModel, crossed, linear
from backmix.simple.forest import one_class
from backmix.simple.forms import FlatView
from backmix.simple.trial import Trial, WindowSubset

MOST_ROWS = 60_000
MOST_NUMBERS = 40_000_000
"""Numbers of the statistics matrix: 160 MB of float32."""
NEVER = -60.0
"""The logit of a class that the windows do not show."""


@simple_model("lda", "classification", member=True, title={"en": "LDA", "zh_TW": "LDA"})
def fit_lda(trial: Trial) -> Fitted:
    """Linear discriminant analysis with shrinkage."""
    one_class(trial)
    form = FlatView.of(trial.final.base, "statistics")

    def few(sample: WindowSubset) -> WindowSubset:
        return sample.few(max(200, min(MOST_ROWS, MOST_NUMBERS // form.width)))

    def model(sample: WindowSubset) -> FlatModel:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        rows = trial.rows(form, few(sample)).astype(np.float64)
        fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(rows, trial.codes(few(sample)))
        kernel, bias = np.asarray(fitted.coef_).T, np.asarray(fitted.intercept_)
        if trial.question.outputs == 1:
            return linear(trial, "lda", form, kernel, bias, "sigmoid")
        return linear(trial, "lda", form, *_per_class(kernel, bias, fitted.classes_, trial.question.outputs), "softmax")

    decision = Decision(None, "evaluation.lda_shrinkage", {"features": form.width}, setting="lda")
    return crossed(
        trial,
        [model(fold.taught) for fold in trial.folds],
        model(trial.final),
        (decision, *trial.final.sampling(few(trial.final))),
    )


def _per_class(
    kernel: NDArray[Any], bias: NDArray[Any], codes: NDArray[Any], classes: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Logits of all classes, where some were not seen, and where two of several were."""
    if len(codes) == 2:  # one number between two classes: the other's is 0
        kernel, bias = np.hstack([0 * kernel, kernel]), np.concatenate([[0.0], bias])
    full, level = np.zeros((len(kernel), classes)), np.full(classes, NEVER)
    full[:, codes], level[codes] = kernel, bias
    # a class never seen stays behind the least likely of the others
    unseen = np.setdiff1d(np.arange(classes), codes)
    full[:, unseen] = kernel.mean(axis=1, keepdims=True)
    level[unseen] = bias.mean() + NEVER
    return full, level
