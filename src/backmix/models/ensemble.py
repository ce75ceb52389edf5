"""Several networks and what stands beside them, speaking as one.

This module defines `Ensemble`: the mean of some networks of one architecture and the outputs of parts
(`models.members.member`), weighed. Numbers are added up; chances of classes are multiplied, each to the power of its
weight, which lets a model that is sure of a class outvote those that are not (logarithmic opinion pool:
Genest & Zidek, Statistical Science 1 (1986) 114). To whoever predicts it looks like one network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.architecture import Architecture
from backmix.models.heads import Kind, heads
from backmix.models.members.member import Member

Floats = NDArray[np.float64]
SURE = 1e-3
"""The least chance of a class that counts: trees that have never seen a thing say 0, and would forbid it."""
ENSEMBLE = "ensemble"
"""What scores and frames call it."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """weights[0] · mean of the networks + weights[1] · part 1 + ..., output by output; for classes of logarithms.

    architecture: of every network, and of the windows that all see
    members: Keras networks; where they have no weight they are kept, to be trained on, and not asked
    parts: what stands beside them
    weights: (1 + P, O)
    """

    architecture: Architecture
    members: tuple[Any, ...]
    parts: tuple[Member, ...]
    weights: Floats

    @property
    def inputs(self) -> list[Any]:
        """Names and shapes of what `predict_on_batch` takes, as a Keras network tells them."""
        a = self.architecture
        found = [SimpleNamespace(name="x", shape=(None, a.lookback, a.features))]
        if a.masked:
            found.append(SimpleNamespace(name="mask", shape=(None, a.lookback)))
        if any(part.kind == "staged" for part in self.parts):
            found.append(SimpleNamespace(name="ended", shape=(None,)))
        return found

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(None, O)."""
        return (None, self.architecture.outputs)

    @property
    def layers(self) -> list[Any]:
        """The layers of one network: they work one after the other."""
        return list(self.members[0].layers) if self.members else []

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Those of all networks."""
        return [variable for member in self.members for variable in member.non_trainable_variables]

    def predict_on_batch(self, inputs: Mapping[str, NDArray[Any]]) -> Floats:
        """Scaled windows x (B, T, F), mask (B, T) where the architecture has one, and where a part asks for it
        whether their batches have ended (B,) -> (B, O)."""
        x, mask = inputs["x"], inputs.get("mask")
        asked = self.members if self.weights[0].any() else ()
        plain = {name: array for name, array in inputs.items() if name != "ended"}
        said = [np.asarray(member.predict_on_batch(plain)) for member in asked]
        if self.architecture.answer == "every":  # what is said on the last real row
            last = np.full(len(x), x.shape[1]) if mask is None else np.maximum(mask.sum(axis=1), 1)
            said = [one[np.arange(len(x)), last - 1] for one in said]
        seen = SeenWindows(x, mask, inputs.get("ended"))
        return combined(said, self.parts, self.weights, seen, kind=heads.get(self.architecture.head).kind)


@dataclass(frozen=True, eq=False)
class SeenWindows:
    """B windows as parts see them: x (B, T, F) scaled, mask (B, T) which rows are real, ended (B,) batches."""

    x: NDArray[np.float32]
    mask: NDArray[np.bool_] | None = None
    ended: NDArray[np.bool_] | None = None


def combined(
    said: Sequence[NDArray[Any]], parts: Sequence[Member], weights: Floats, seen: SeenWindows, *, kind: Kind
) -> Floats:
    """The answer (B, O) to windows: of what networks have said of them and of what the parts say.

    said: (B, O) of each network, none where they have no weight; kind: what the outputs are
    """
    mask = seen.mask
    if mask is not None:  # a window that is padding alone has no statistics
        mask = mask.copy()
        mask[~mask.any(axis=1), 0] = True
    every = [np.mean([np.asarray(one, np.float64) for one in said], axis=0)] if said else []
    every += [part.outputs(seen.x, mask, seen.ended) for part in parts]
    return combine(every, weights if said else weights[1:], kind)


def combine(said: Sequence[Floats], weights: Floats, kind: Kind) -> Floats:
    """C predictions (B, O) with weights (C, O) as one.

    >>> combine([np.array([[0.8, 0.2]]), np.array([[0.5, 0.5]])], np.ones((2, 2)), "classes").round(3).tolist()
    [[0.8, 0.2]]
    """
    if kind == "regression":
        return np.asarray(sum(weight * one for weight, one in zip(weights, said, strict=True)))
    total: Floats = np.zeros_like(said[0])
    for weight, one in zip(weights, said, strict=True):
        total = total + weight * logarithms(one, kind)
    if kind == "binary":
        return 1.0 / (1.0 + np.exp(-total))
    total = np.exp(total - total.max(axis=1, keepdims=True))
    return np.asarray(total / total.sum(axis=1, keepdims=True))


def logarithms(chances: Floats, kind: Kind) -> Floats:
    """Logarithms (B, O) of chances, or log odds of one of two classes; nobody is surer than `SURE`."""
    held = np.clip(chances, SURE, 1.0 - SURE if kind == "binary" else 1.0)
    return np.asarray(np.log(held / (1.0 - held)) if kind == "binary" else np.log(held))


def check_ensemble(weights: Floats, parts: Sequence[Member], members: int, architecture: Architecture) -> None:
    """ValueError or KeyError unless these can be an ensemble for windows of the architecture."""
    a = architecture
    if weights.shape != (1 + len(parts), a.outputs) or weights.dtype != np.float64 or not np.isfinite(weights).all():
        raise ValueError("weights")
    if a.answer not in ("row", "every") or a.future or not members:
        raise ValueError("members")
    if len({part.name for part in parts}) < len(parts):
        raise ValueError("names")
    for part in parts:
        part.check(steps=a.lookback, features=a.features, outputs=a.outputs)
