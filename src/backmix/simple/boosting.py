"""Gradient-boosted trees.

This module registers scikit-learn's histogram gradient boosting (Friedman, Ann. Statist. 29 (2001) 1189), one model
per target, each stopped on the block that is held out; in the end it grows as many rounds as the blocks needed in
the median. (LightGBM is no quicker and no more accurate: benchmarks/LOG.md.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.models.members.member import ROLES, Member, rounded_down
from backmix.simple import Fitted, Floats, simple_model
from backmix.simple.flat import FlatModel, crossed, edge
from backmix.simple.forms import MOST_LAGS, FlatView, Singles, lags_for_trees
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
    form = _form(trial)
    taught, held_out = [fold.taught for fold in trial.folds], [fold.held_out for fold in trial.folds]
    stopped = _boosted(trial, taught, stops=held_out)
    rounds = np.median([[int(model.n_iter_) for model in models] for models in stopped], axis=0).astype(int).tolist()

    def flat(models: list[Any], sample: WindowSubset) -> FlatModel:
        levels = trial.targets(sample.few(MOST_ROWS)).mean(axis=0)
        return FlatModel(trial.question, form, member_of(models, levels))

    (last,) = _boosted(trial, [trial.final], rounds=rounds)
    few = trial.final.few(MOST_ROWS)
    value = rounds[0] if len(rounds) == 1 else tuple(rounds)
    values = {"rounds": ", ".join(map(str, rounds)), "features": form.width}
    decisions = (
        Decision(value, "evaluation.trees_rounds", values, setting="boosting"),
        *edge("boosting", "rounds", max(rounds), (1, MOST_ROUNDS), lowest=False),
        *trial.final.sampling(few),
    )
    return crossed(
        trial, [flat(*each) for each in zip(stopped, taught, strict=True)], flat(last, trial.final), decisions
    )


def _form(trial: Trial) -> FlatView:
    lags = lags_for_trees(trial.final.base, MOST_LAGS)
    return FlatView.of(trial.final.base, f"{lags.view}+statistics" if lags else "statistics")


class _Job(NamedTuple):
    """A model to fit: rows and target, the rows and target that stop it, else how many rounds it takes."""

    x: Singles
    y: Floats
    stop: tuple[Singles, Floats] | None
    rounds: int
    seed: int


def _boosted(
    trial: Trial, samples: Sequence[WindowSubset], *, stops: Sequence[WindowSubset] = (), rounds: Sequence[int] = ()
) -> list[list[Any]]:
    """For each sample a model per target, stopped on some windows or after so many rounds."""
    form = _form(trial)
    jobs = []
    for number, sample in enumerate(samples):
        few = sample.few(MOST_ROWS)
        x, y = trial.rows(form, few), trial.targets(few)
        for k in range(y.shape[1]):
            stop = None
            if stops and len(stops[number]) > 1:
                some = stops[number].few(MOST_ROWS)
                stop = (trial.rows(form, some), trial.targets(some)[:, k])
            jobs.append(_Job(x, y[:, k], stop, max(1, rounds[k]) if rounds else MOST_ROUNDS, trial.seed))
    models = [_fit(job) for job in jobs]
    goals = len(models) // len(samples)
    return [models[number * goals : (number + 1) * goals] for number in range(len(samples))]


def _fit(job: _Job) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        learning_rate=0.08,
        max_iter=job.rounds,
        max_leaf_nodes=15,
        min_samples_leaf=20,
        max_bins=127,
        early_stopping=job.stop is not None,
        n_iter_no_change=PATIENCE,
        random_state=job.seed,
    )
    watched = {} if job.stop is None else {"X_val": job.stop[0], "y_val": job.stop[1]}
    return model.fit(job.x, job.y, **watched)


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
