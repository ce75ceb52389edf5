"""A simple member of an ensemble: a linear model, a forest or a perceptron, as plain arrays.

This module defines `Member`, which needs NumPy alone. A bundle keeps it as arrays and a few names; arrays of unknown
origin are checked before anything is computed with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.models.members.views import Mask, named

Floats = NDArray[np.float64]
Kind = Literal["linear", "forest", "staged", "perceptron", "picked"]
Activation = Literal["linear", "sigmoid", "softmax"]

ROLES: Mapping[Kind, Mapping[str, type]] = {
    "linear": {"kernel": np.float64, "bias": np.float64},
    "forest": {
        "roots": np.int32,
        "feature": np.int32,
        "threshold": np.float32,
        "left": np.int32,
        "right": np.int32,
        "value": np.float32,
    },
    "staged": {"ends": np.float64, "kernel": np.float64, "bias": np.float64},
    "perceptron": {"kernel": np.float32, "bias": np.float32, "head": np.float64, "level": np.float64},
    "picked": {"index": np.int32, "factor": np.float64, "bias": np.float64},
}
"""The arrays of each kind."""
PLANNED = "+planned"
"""The end of the name of a view beside which all that is known ahead stands, row by row."""
MOST_VIEWS, MOST_WIDTH = 3, 500_000
"""Views side by side, and numbers that a window may become."""
MOST_LOOKUPS = 2_000_000
"""Nodes of a forest that are looked up at a time."""


@dataclass(frozen=True, eq=False)
class Member:
    """A model without a memory: view of the window -> O outputs, in scaled numbers or probabilities.

    name: its name in decisions and scores ("ridge", ...)
    view: a registered view, or several joined by "+" (`models.members.views`), and perhaps `PLANNED`
    arrays: by kind
        "linear": kernel (W, O) and bias (O,)
        "forest" of R trees with N nodes: roots (R,), and per node (N,) the feature it splits on (-1 for a leaf), the
            threshold, and the nodes to the left (value <= threshold) and to the right; ``left`` of a leaf is its row
            in value (leaves, O)
        "staged", a linear model per stage of a batch: ends (S - 1,), the longest windows of all stages but the last,
            kernel (S + 1, W, O) and bias (S + 1, O), the last of each for batches that have ended
        "perceptron", one layer of N hidden units max(0, x·kernel + bias) before the outputs: kernel (W, N), bias (N,),
            head (N, O), level (O,); several perceptrons whose mean is meant stand side by side in it
        "picked", a few numbers of the window per output: index (N, O), factor (N, O) and bias (O,)
    activation: of a linear model's outputs
    """

    name: str
    view: str
    kind: Kind
    arrays: Mapping[str, NDArray[Any]]
    activation: Activation = "linear"

    @property
    def size(self) -> int:
        """How many numbers it is made of."""
        return sum(array.size for array in self.arrays.values())

    def outputs(
        self,
        x: NDArray[np.float32],
        mask: Mask | None = None,
        ended: Mask | None = None,
        future: NDArray[np.float32] | None = None,
    ) -> Floats:
        """Scaled windows (B, T, F) -> (B, O).

        mask: (B, T) which rows are real; ended: (B,) whether the batch has ended; future: (B, K, M) known ahead
        """
        rows = named(self.view.removesuffix(PLANNED)).rows(x, mask)
        if self.view.endswith(PLANNED):
            assert future is not None
            rows = np.hstack([rows, future.reshape(len(rows), -1)])
        if self.kind == "staged":
            return self._by_stage(rows.astype(np.float64), stages_of(self.arrays["ends"], x, mask, ended))
        return self.answers(rows)

    def answers(self, rows: NDArray[np.float32]) -> Floats:
        """Rows (B, W) of the view -> (B, O), by a linear model, a forest or a perceptron."""
        if self.kind == "forest":
            return self._voted(rows)
        if self.kind == "picked":
            return self._picked(rows)
        if self.kind == "perceptron":
            hidden = np.maximum(rows.astype(np.float32) @ self.arrays["kernel"] + self.arrays["bias"], 0)
            raw = hidden.astype(np.float64) @ self.arrays["head"] + self.arrays["level"]
        else:
            raw = rows.astype(np.float64) @ self.arrays["kernel"] + self.arrays["bias"]
        if self.activation == "softmax":
            raw = np.exp(raw - raw.max(axis=1, keepdims=True))
            return np.asarray(raw / raw.sum(axis=1, keepdims=True))
        return 1.0 / (1.0 + np.exp(-raw)) if self.activation == "sigmoid" else np.asarray(raw)

    def check(self, *, steps: int | None, features: int, outputs: int, planned: int = 0) -> None:
        """ValueError or KeyError unless arrays and names can be those of such windows and outputs.

        planned: how many numbers of each window are known ahead
        """
        roles = ROLES[self.kind]
        if set(self.arrays) != set(roles) or any(self.arrays[role].dtype != kind for role, kind in roles.items()):
            raise ValueError(self.name)
        view, ahead = self.view.removesuffix(PLANNED), planned if self.view.endswith(PLANNED) else 0
        if self.view.endswith(PLANNED) and not planned:
            raise ValueError(self.view)
        width = named(view).width(steps, features) + ahead if view.count("+") < MOST_VIEWS else MOST_WIDTH + 1
        if width > MOST_WIDTH:  # a few letters must not ask for gigabytes
            raise ValueError(self.view)
        if self.activation not in ("linear", "sigmoid", "softmax"):
            raise ValueError(self.activation)
        if self.kind == "linear":
            shapes = {"kernel": (width, outputs), "bias": (outputs,)}
            if any(
                self.arrays[role].shape != shape or not np.isfinite(self.arrays[role]).all()
                for role, shape in shapes.items()
            ):
                raise ValueError(self.name)
            return
        if self.kind == "staged":
            count = len(self.arrays["ends"]) + 2
            sound = (
                self.arrays["ends"].ndim == 1
                and self.arrays["kernel"].shape == (count, width, outputs)
                and self.arrays["bias"].shape == (count, outputs)
            )
            if not sound or not all(np.isfinite(array).all() for array in self.arrays.values()):
                raise ValueError(self.name)
            return
        if self.kind == "picked":
            index, factor, bias = (self.arrays[role] for role in ROLES["picked"])
            sound = index.ndim == 2 and index.shape == factor.shape and index.shape[1:] == bias.shape == (outputs,)
            if not (sound and ((index >= 0) & (index < width)).all() and np.isfinite(factor).all()):
                raise ValueError(self.name)
            if not np.isfinite(bias).all():
                raise ValueError(self.name)
            return
        if self.kind == "perceptron":
            units = len(self.arrays["bias"])
            shapes = {"kernel": (width, units), "bias": (units,), "head": (units, outputs), "level": (outputs,)}
            if not units or any(
                self.arrays[role].shape != shape or not np.isfinite(self.arrays[role]).all()
                for role, shape in shapes.items()
            ):
                raise ValueError(self.name)
            return
        self._check_forest(width, outputs)

    def _check_forest(self, width: int, outputs: int) -> None:
        roots, feature, threshold, left, right, value = (self.arrays[role] for role in ROLES["forest"])
        count = len(feature)
        node, leaf = np.arange(count), feature < 0
        sound = (
            roots.ndim == 1
            and len(roots) > 0
            and all(a.shape == (count,) for a in (feature, threshold, left, right))
            and value.ndim == 2
            and value.shape[1] == outputs
            and np.isfinite(value).all()
            and not np.isnan(threshold).any()
            and (feature < width).all()
            and ((roots >= 0) & (roots < count)).all()
            and ((left[leaf] >= 0) & (left[leaf] < len(value))).all()
            # children come after their parent, so every path ends
            and all(((a[~leaf] > node[~leaf]) & (a[~leaf] < count)).all() for a in (left, right))
        )
        if not sound:
            raise ValueError(self.name)

    def _picked(self, rows: NDArray[np.float32]) -> Floats:
        """The weighted sum of a few numbers of each row, output by output."""
        total = np.tile(self.arrays["bias"], (len(rows), 1))
        for index, factor in zip(self.arrays["index"], self.arrays["factor"], strict=True):
            total += rows[:, index] * factor
        return total

    def _by_stage(self, rows: Floats, stage: NDArray[np.int64]) -> Floats:
        """The linear model of each row's stage."""
        outputs = np.empty((len(rows), self.arrays["bias"].shape[1]))
        for number in np.unique(stage).tolist():
            in_stage = stage == number
            outputs[in_stage] = rows[in_stage] @ self.arrays["kernel"][number] + self.arrays["bias"][number]
        return outputs

    def _voted(self, rows: NDArray[np.float32]) -> Floats:
        """The mean over all trees of the leaf that each row falls into."""
        roots, feature, threshold, left, right, value = (self.arrays[role] for role in ROLES["forest"])
        outputs = np.empty((len(rows), value.shape[1]))
        for low in range(0, len(rows), max(1, MOST_LOOKUPS // len(roots))):
            block = rows[low : low + max(1, MOST_LOOKUPS // len(roots))]
            place = np.broadcast_to(roots, (len(block), len(roots))).copy()
            row = np.broadcast_to(np.arange(len(block))[:, None], place.shape)
            inner = np.argwhere(feature[place] >= 0)
            while len(inner):
                a, b = inner[:, 0], inner[:, 1]
                node = place[a, b]
                down = block[row[a, b], feature[node]] <= threshold[node]
                place[a, b] = np.where(down, left[node], right[node])
                inner = inner[feature[place[a, b]] >= 0]
            # tree by tree, so that the last bit does not depend on the other rows
            total = np.zeros((len(block), value.shape[1]))
            for tree in range(len(roots)):
                total += value[left[place[:, tree]]]
            outputs[low : low + len(block)] = total / len(roots)
        return outputs


def stages_of(ends: Floats, x: NDArray[Any], mask: Mask | None, ended: Mask | None) -> NDArray[np.int64]:
    """(B,) the stage of each window by its number of rows; one more than the last for batches that have ended."""
    length = np.full(len(x), x.shape[1]) if mask is None else mask.sum(axis=1)
    stage = np.searchsorted(ends, length)
    return stage if ended is None else np.where(ended, len(ends) + 1, stage)


def rounded_down(exact: Floats) -> NDArray[np.float32]:
    """The largest float32 not above each number, so that comparing a float32 value with it gives the same result."""
    near = exact.astype(np.float32)
    return np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def forest(trees: list[Any], *, view: str, name: str, outputs: int, columns: NDArray[np.int64] | None = None) -> Member:
    """A member from scikit-learn's fitted trees (their ``tree_``).

    columns: which of the O outputs the trees have, where some classes did not occur in training

    Thresholds are `rounded_down`, so that every float32 value takes the same path as in scikit-learn.
    """
    arrays: dict[str, list[NDArray[Any]]] = {role: [] for role in ROLES["forest"]}
    places = leaves = 0
    for tree in trees:
        t = tree.tree_
        leaf = t.children_left < 0
        plain = t.value[:, 0, :] if t.n_outputs == 1 else t.value[:, :, 0]
        value = np.zeros((int(leaf.sum()), outputs), np.float32)
        value[:, slice(None) if columns is None else columns] = plain[leaf]
        number = np.cumsum(leaf) - 1 + leaves
        arrays["roots"].append(np.array([places]))
        arrays["feature"].append(np.where(leaf, -1, t.feature))
        arrays["threshold"].append(np.where(leaf, 0.0, rounded_down(t.threshold)))
        arrays["left"].append(np.where(leaf, number, t.children_left + places))
        arrays["right"].append(np.where(leaf, 0, t.children_right + places))
        arrays["value"].append(value)
        places, leaves = places + t.node_count, leaves + len(value)
    return Member(
        name,
        view,
        "forest",
        {role: np.ascontiguousarray(np.concatenate(arrays[role]), kind) for role, kind in ROLES["forest"].items()},
    )
