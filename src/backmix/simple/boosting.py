"""Gradient-boosted trees.

This module registers scikit-learn's histogram gradient boosting (Friedman, Ann. Statist. 29 (2001) 1189), one model
per target, each stopped on the block that is held out; in the end it grows as many rounds as the blocks needed in
the median. (LightGBM is no quicker and no more accurate: benchmarks/LOG.md.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.models.members.member import ROLES, Member, rounded_down
from backmix.simple import Fitted, Floats, simple_model
from backmix.simple.flat import FlatModel, crossed, edge
from backmix.simple.forms import MOST_LAGS, FlatView, lags_for_trees
from backmix.simple.trial import Trial, WindowSubset

MOST_ROWS = 30_000
MOST_ROUNDS = 300
PATIENCE = 10


@simple_model(
    "boosting",
    "regression",
    member=True,
    one_thread=True,
    title={"en": "gradient-boosted trees", "zh_TW": "梯度提升樹"},
)
def fit_boosting(trial: Trial) -> Fitted:
    """Boosted trees on window statistics, and on the rows of the window."""
    base = trial.final.base
    lags = lags_for_trees(base, MOST_LAGS)
    form = FlatView.of(base, f"{lags.view}+statistics" if lags else "statistics")
    stopped = [_boosted(trial, form, fold.taught, stop=fold.held_out) for fold in trial.folds]
    rounds = np.median([[int(model.n_iter_) for model in models] for models in stopped], axis=0).astype(int).tolist()

    def flat(models: list[Any], sample: WindowSubset) -> FlatModel:
        levels = trial.targets(sample.few(MOST_ROWS)).mean(axis=0)
        return FlatModel(trial.question, form, member_of(models, levels))

    value = rounds[0] if len(rounds) == 1 else tuple(rounds)
    values = {"rounds": ", ".join(map(str, rounds)), "features": form.width}
    decisions = (
        Decision(value, "evaluation.trees_rounds", values, setting="boosting"),
        *edge("boosting", "rounds", max(rounds), (1, MOST_ROUNDS), lowest=False),
        *trial.final.sampling(trial.final.few(MOST_ROWS)),
    )
    models = [flat(each, fold.taught) for each, fold in zip(stopped, trial.folds, strict=True)]
    final = flat(_boosted(trial, form, trial.final, rounds=rounds), trial.final)
    return crossed(trial, models, final, decisions)


def _boosted(
    trial: Trial, form: FlatView, sample: WindowSubset, *, stop: WindowSubset | None = None, rounds: Sequence[int] = ()
) -> list[Any]:
    """A model per target, stopped on some windows or after so many rounds."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    few, some = sample.few(MOST_ROWS), None if stop is None or len(stop) < 2 else stop.few(MOST_ROWS)
    x, y = trial.rows(form, few), trial.targets(few)
    models = []
    for k in range(y.shape[1]):
        model = HistGradientBoostingRegressor(
            learning_rate=0.08,
            max_iter=max(1, rounds[k]) if rounds else MOST_ROUNDS,
            max_leaf_nodes=15,
            min_samples_leaf=20,
            max_bins=127,
            early_stopping=some is not None,
            n_iter_no_change=PATIENCE,
            random_state=trial.seed,
        )
        watched = {} if some is None else {"X_val": trial.rows(form, some), "y_val": trial.targets(some)[:, k]}
        models.append(model.fit(x, y[:, k], **watched))
    return models


def member_of(models: list[Any], levels: Floats) -> Member:
    """Boosted models, one per target, as a forest: what the trees add up to is the mean of R trees.

    levels: (K,) where each model begins, the mean of its targets

    scikit-learn shows its trees under a private name alone: pyproject.toml bounds its version, and a test compares
    what is read here with what the model predicts.
    """
    every = sum(len(model._predictors) for model in models)
    arrays: dict[str, list[NDArray[Any]]] = {role: [] for role in ROLES["forest"]}
    places = leaves = 0
    for k, model in enumerate(models):
        level = float(levels[k]) * every / len(model._predictors)
        for (tree,) in model._predictors:
            nodes = tree.nodes
            leaf = nodes["is_leaf"].astype(bool)
            value = np.zeros((int(leaf.sum()), len(models)))
            value[:, k] = nodes["value"][leaf] * every + level
            number = np.cumsum(leaf) - 1 + leaves
            arrays["roots"].append(np.array([places]))
            arrays["feature"].append(np.where(leaf, -1, nodes["feature_idx"].astype(np.int64)))
            arrays["threshold"].append(np.where(leaf, 0.0, rounded_down(nodes["num_threshold"])))
            arrays["left"].append(np.where(leaf, number, nodes["left"].astype(np.int64) + places))
            arrays["right"].append(np.where(leaf, 0, nodes["right"].astype(np.int64) + places))
            arrays["value"].append(value)
            places, leaves = places + len(nodes), leaves + len(value)
    kinds = ROLES["forest"].items()
    return Member(
        "boosting",
        "",
        "forest",
        {role: np.ascontiguousarray(np.concatenate(arrays[role]), kind) for role, kind in kinds},
    )
