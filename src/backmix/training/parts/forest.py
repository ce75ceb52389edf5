"""Randomised trees beside a network.

This module registers the forests: extremely randomised trees (Geurts, Ernst & Wehenkel, Mach. Learn. 63
(2006) 3) on window statistics or on every row of the window. Their leaves grow with the number of windows,
so that a forest stays a few megabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import sampled, slices
from backmix.data.windows import Windows
from backmix.models.members.member import Member, forest
from backmix.training.blocks import Blocks
from backmix.training.features import FlatView, Singles
from backmix.training.parts import Candidate, candidate

if TYPE_CHECKING:
    from backmix.tasks import Task

Floats = NDArray[np.float64]

TREES = 100
MOST_ROWS = 20_000
LEAVES = 4000
"""Windows per window of a leaf: a leaf holds at least a window in so many that teach, and at least `LEAST`."""
LEAST = 2
SHARE = 0.33
"""Features that a split of a regression is chosen from."""
MOST_LAGS = 300


@candidate("forest", "any")
def fit_forest(blocks: Blocks, task: Task, seed: int) -> Candidate | None:
    """Trees on window statistics."""
    return _fit("forest", FlatView.of(blocks.pool, "statistics"), blocks, task, seed)


@candidate("forest_lags", "regression")
def fit_forest_lags(blocks: Blocks, task: Task, seed: int) -> Candidate | None:
    """Trees on every row of the window."""
    if blocks.pool.spec.lookback is None:
        return None
    seen = FlatView.of(blocks.pool, "lags")
    return None if seen.width > MOST_LAGS else _fit("forest_lags", seen, blocks, task, seed)


def _fit(name: str, seen: FlatView, blocks: Blocks, task: Task, seed: int) -> Candidate:
    held = np.zeros((len(blocks.pool), task.answer.outputs))
    for number, block in enumerate(blocks.blocks):
        part = _grown(name, seen, block.teach, task, seed + number)
        held[block.at] = said(part, block.held)
    return Candidate(_grown(name, seen, blocks.pool, task, seed + len(blocks)), held)


def _grown(name: str, seen: FlatView, windows: Windows, task: Task, seed: int) -> Member:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    at = sampled(len(windows), MOST_ROWS)
    used = windows.subset(at)
    x = rows(seen, used)
    leaf = max(LEAST, len(used) // LEAVES)
    settings: dict[str, Any] = {"n_estimators": TREES, "min_samples_leaf": leaf, "random_state": seed, "n_jobs": -1}
    if task.kind == "regression":
        model = ExtraTreesRegressor(max_features=SHARE, **settings)
        y = used.scaled_targets()
        model.fit(x, y if y.shape[1] > 1 else y[:, 0])
        return forest(model.estimators_, view=seen.view, name=name, outputs=task.answer.outputs)
    codes = used.truth()[:, 0].astype(np.int64)
    model = ExtraTreesClassifier(class_weight="balanced", **settings).fit(x, codes)
    if task.answer.outputs > 1:
        return forest(
            model.estimators_,
            view=seen.view,
            name=name,
            outputs=task.answer.outputs,
            columns=np.asarray(model.classes_, np.int64),
        )
    return second(
        forest(model.estimators_, view=seen.view, name=name, outputs=2, columns=np.asarray(model.classes_, np.int64))
    )


def second(part: Member) -> Member:
    """Of a forest for two classes the chance of the second one, as a network with one output tells it."""
    value = part.arrays["value"]
    share = value[:, 1:] / np.maximum(value.sum(axis=1, keepdims=True), np.float32(1e-12))
    return Member(part.name, part.view, part.kind, {**part.arrays, "value": np.ascontiguousarray(share, np.float32)})


def rows(seen: FlatView, windows: Windows) -> Singles:
    """All windows in a view, (W, width)."""
    found = [seen.of_batch(windows.gather(at)) for at in slices(windows)]
    return np.concatenate(found) if found else np.empty((0, seen.width), np.float32)


def said(part: Member, windows: Windows) -> Floats:
    """What a part says of windows, (W, O)."""
    found = [part.outputs((batch := windows.gather(at)).x, batch.mask) for at in slices(windows)]
    return np.concatenate(found)
