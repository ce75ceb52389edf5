"""Randomised trees.

This module registers the forests: extremely randomised trees (Geurts, Ernst & Wehenkel, Mach. Learn. 63 (2006) 3) on
window statistics, or on every row of the window. Their leaves grow with the number of windows, so that a forest stays
a few megabytes; nothing is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.models.members.member import Member, forest
from backmix.models.members.views import THINNED
from backmix.simple import Fitted, Unusable, simple_model
from backmix.simple.flat import FlatModel, crossed
from backmix.simple.forms import FlatView, lags_for_trees
from backmix.simple.threads import side_by_side
from backmix.simple.trial import Trial, WindowSubset

TREES, TREES_HELD_OUT = 100, 30
"""Trees of a forest, and of one that is asked about a held-out block only: a third of them tells its error as well."""
MOST_ROWS = 20_000
LEAVES = 4000
"""Windows per window of a leaf: a leaf holds at least a window in so many that teach."""
LEAF = 2
"""Windows that a leaf holds at least, of classes as of numbers, since forests average over trees anyway."""
SHARE = 0.33
"""Features that a split of a regression is chosen from."""


@simple_model("forest", "any", member=True, title={"en": "trees on window statistics", "zh_TW": "視窗統計量決策樹"})
def fit_forest(trial: Trial) -> Fitted:
    """Trees on window statistics."""
    return _fit("forest", FlatView.of(trial.final.base, "statistics"), trial)


@simple_model(
    "forest_lags", "regression", member=True, title={"en": "trees on lagged inputs", "zh_TW": "落後輸入決策樹"}
)
def fit_forest_lags(trial: Trial) -> Fitted:
    """Trees on every row of the window."""
    windows = trial.final.base
    form = None if windows.spec.lookback is None else lags_for_trees(windows, THINNED)
    if form is None:
        raise Unusable("simple.no_lags")
    return _fit("forest_lags", form, trial)


def one_class(trial: Trial) -> None:
    """Unusable where the windows that teach are all of one class."""
    for sample in (trial.final, *(fold.taught for fold in trial.folds)):
        codes = np.unique(trial.codes(sample))
        if len(codes) < 2:
            raise Unusable("evaluation.one_class", label=trial.question.classes[int(codes[0])])


def _fit(name: str, form: FlatView, trial: Trial) -> Fitted:
    if trial.question.kind == "classification":
        one_class(trial)
    models = _grown(name, form, trial, [fold.taught for fold in trial.folds], TREES_HELD_OUT)
    (final,) = _grown(name, form, trial, [trial.final], TREES)
    few = trial.final.few(MOST_ROWS)
    values = {"leaf": _leaf(len(few)), "trees": TREES, "features": form.width}
    decision = Decision(values["leaf"], "simple.forest", values, setting=name)
    return crossed(trial, models, final, (decision, *trial.final.sampling(few)))


def _leaf(windows: int) -> int:
    return max(LEAF, windows // LEAVES)


def _grown(name: str, form: FlatView, trial: Trial, samples: Sequence[WindowSubset], count: int) -> list[FlatModel]:
    """A forest per sample, the trees of all of them side by side.

    They are those of scikit-learn's forests, whose own threads sleep longer than they work (benchmarks/LOG.md).
    """
    from sklearn.tree import ExtraTreeClassifier, ExtraTreeRegressor

    numbers = trial.question.kind == "regression"
    trees: list[Callable[[], Any]] = []
    known: list[NDArray[np.int64] | None] = []
    for number, sample in enumerate(samples):
        few = sample.few(MOST_ROWS)
        x = trial.rows(form, few)
        settings = {"min_samples_leaf": _leaf(len(few)), "max_features": SHARE if numbers else "sqrt"}
        if numbers:
            kind, y, weight = ExtraTreeRegressor, trial.targets(few), None
            known.append(None)
        else:
            from sklearn.utils.class_weight import compute_sample_weight

            codes, place = np.unique(trial.codes(few), return_inverse=True)
            weight = compute_sample_weight("balanced", place)
            kind, y = ExtraTreeClassifier, place.astype(np.float64)[:, None]
            known.append(codes)
        draw = np.random.RandomState(trial.seed + number)  # the seeds that scikit-learn's forest gives its trees
        for _ in range(count):
            tree = kind(**settings, random_state=draw.randint(np.iinfo(np.int32).max))
            trees.append(partial(tree.fit, x, y, sample_weight=weight, check_input=False))
    grown = side_by_side(trees)
    return [
        FlatModel(trial.question, form, _arrays(name, trial, grown[number * count : (number + 1) * count], codes))
        for number, codes in enumerate(known)
    ]


def _arrays(name: str, trial: Trial, trees: list[Any], codes: NDArray[np.int64] | None) -> Member:
    outputs = trial.question.outputs
    if codes is None:
        return forest(trees, view="", name=name, outputs=trees[0].tree_.n_outputs)
    member = forest(trees, view="", name=name, outputs=max(2, outputs), columns=codes)
    if outputs > 1:
        return member
    # of two classes the chance of the second one, as a network with one output tells it
    value = member.arrays["value"]
    share = value[:, 1:] / np.maximum(value.sum(axis=1, keepdims=True), np.float32(1e-12))
    return replace(member, arrays={**member.arrays, "value": np.ascontiguousarray(share, np.float32)})
