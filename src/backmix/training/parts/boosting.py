"""Gradient-boosted trees beside a network.

This module registers scikit-learn's histogram gradient boosting (Friedman, Ann. Statist. 29 (2001) 1189), one
model per target, each stopped on the block that is held out; on all windows it then grows as many rounds as
the blocks needed in the median.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import sampled
from backmix.data.windows import Windows
from backmix.decision import Decision
from backmix.models.members.member import ROLES, Member, rounded_down
from backmix.training.blocks import Blocks
from backmix.training.features import FlatView
from backmix.training.parts import Candidate, candidate
from backmix.training.parts.forest import MOST_LAGS, rows, said

if TYPE_CHECKING:
    from backmix.tasks import Task

MOST_ROWS = 30_000
MOST_ROUNDS = 300
PATIENCE = 15
MOST_TARGETS = 8


@candidate("boosting", "regression")
def fit_boosting(blocks: Blocks, task: Task, seed: int) -> Candidate | None:
    """Boosted trees on window statistics, and on every row of the window where those are not too many."""
    if task.kind != "regression" or task.answer.outputs > MOST_TARGETS:
        return None
    view = "statistics"
    if blocks.pool.spec.lookback is not None and FlatView.of(blocks.pool, "lags").width <= MOST_LAGS:
        view = "lags+statistics"
    seen = FlatView.of(blocks.pool, view)
    held = np.empty((len(blocks.pool), task.answer.outputs))
    rounds = []
    for block in blocks.blocks:
        models = _boosted(seen, block.teach, seed, stop=block.held)
        rounds.append([int(model.n_iter_) for model in models])
        held[block.at] = said(part_of(models, view), block.held)
    needed = [int(count) for count in np.median(rounds, axis=0)]
    part = part_of(_boosted(seen, blocks.pool, seed, rounds=needed), view)
    decision = Decision(
        needed[0] if len(needed) == 1 else tuple(needed),
        "ensemble.rounds",
        {"features": seen.width},
        setting="model.boosting",
    )
    return Candidate(part, held, (decision,))


def _boosted(
    seen: FlatView, windows: Windows, seed: int, *, stop: Windows | None = None, rounds: Sequence[int] | None = None
) -> list[Any]:
    """A model per target, stopped on some windows or after so many rounds."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    used = windows.subset(sampled(len(windows), MOST_ROWS))
    x, y = rows(seen, used), used.scaled_targets()
    watched: dict[str, Any] = {}
    found = []
    for k in range(y.shape[1]):
        if stop is not None:
            some = stop.subset(sampled(len(stop), MOST_ROWS))
            watched = {"X_val": rows(seen, some), "y_val": some.scaled_targets()[:, k]}
        model = HistGradientBoostingRegressor(
            learning_rate=0.08,
            max_iter=MOST_ROUNDS if rounds is None else max(1, rounds[k]),
            max_leaf_nodes=15,
            min_samples_leaf=20,
            max_bins=127,
            early_stopping=stop is not None,
            n_iter_no_change=PATIENCE,
            random_state=seed,
        )
        found.append(model.fit(x, y[:, k], **watched))
    return found


def part_of(models: list[Any], view: str) -> Member:
    """Boosted models, one per target, as a forest: what the trees add up to is told as the mean of R trees."""
    every = sum(len(model._predictors) for model in models)
    arrays: dict[str, list[NDArray[Any]]] = {role: [] for role in ROLES["forest"]}
    places = leaves = 0
    for k, model in enumerate(models):
        level = float(np.ravel(model._baseline_prediction)[0]) * every / len(model._predictors)
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
    return Member(
        "boosting",
        view,
        "forest",
        {role: np.ascontiguousarray(np.concatenate(arrays[role]), kind) for role, kind in ROLES["forest"].items()},
    )
