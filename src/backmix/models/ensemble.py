"""An ensemble of networks and simple models.

This module defines `Ensemble`: a weighted combination of the mean of its networks, all of one architecture, and of
its simple members (`models.members.member`). Numbers are combined linearly. Class probabilities go into a log-linear
pool: each is raised to its weight and all are multiplied, so that a member that is sure of a class outvotes members
that are not (Genest & Zidek, Statistical Science 1 (1986) 114). It predicts as a single Keras network does.
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
from backmix.models.members.paths import Paths, rolled_path
from backmix.models.members.views import ENTIRE

Floats = NDArray[np.float64]
SURE = 1e-3
"""Class probabilities are raised to at least this. Trees give 0 to what they have never seen, which would veto it."""
ENSEMBLE = "ensemble"
"""The name of an ensemble in scores and prediction frames."""
NETWORKS = "networks"
"""What the mean of the networks is called among the weights."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """weights[0] · mean of the networks + weights[1] · first simple member + ..., output by output.

    For classes the sum is one of log probabilities.

    architecture: of every network; its windows are what all members see
    members: the Keras networks; none where the networks have no weight (bundles of 0.1 kept one, which is not run)
    simple_members: the models without a memory
    weights: (1 + M, O) stacking weights; row 0 belongs to the mean of the networks
    lookback: rows of its windows, where a member looks farther back than the networks; None where none does
    paths: the form of its paths of several rows; None where a window has one answer. O is K·G then
    """

    architecture: Architecture
    members: tuple[Any, ...]
    simple_members: tuple[Member, ...]
    weights: Floats
    lookback: int | None = None
    paths: Paths | None = None

    @property
    def inputs(self) -> list[Any]:
        """Names and shapes of what `predict_on_batch` takes, as a Keras network tells them."""
        a = self.architecture
        specs = [SimpleNamespace(name="x", shape=(None, self.lookback or a.lookback, a.features))]
        if a.masked:
            specs.append(SimpleNamespace(name="mask", shape=(None, a.lookback)))
        if any(member.kind == "staged" for member in self.simple_members):
            specs.append(SimpleNamespace(name="ended", shape=(None,)))
        if self.paths is not None and self.paths.planned:
            specs.append(SimpleNamespace(name="future", shape=(None, self.paths.horizon, len(self.paths.planned))))
        if a.teacher_forcing:  # for training only
            specs.append(SimpleNamespace(name="teacher", shape=(None, a.horizon, a.outputs)))
        return specs

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(None, O)."""
        return (None, self.weights.shape[1])

    @property
    def layers(self) -> list[Any]:
        """The layers of one network that is run: they work one after the other."""
        return list(self.networks[0].layers) if self.networks else []

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Those of all networks."""
        return [variable for member in self.members for variable in member.non_trainable_variables]

    @property
    def networks(self) -> tuple[Any, ...]:
        """The networks that are run: all, or none where they have no weight."""
        return self.members if self.weights[0].any() else ()

    @property
    def shares(self) -> dict[str, float]:
        """What runs, and its share of all weights: the networks as `NETWORKS`, simple members by name."""
        return shares_of(self.weights, [member.name for member in self.simple_members])

    def predict_on_batch(self, inputs: Mapping[str, NDArray[Any]]) -> Floats:
        """Outputs (B, O) for scaled windows x (B, T, F).

        inputs: x; mask (B, T) where the architecture has one; ended (B,), whether the batch of a window has ended,
            where a simple member asks for it; future (B, K, M) where something is known ahead
        """
        x, mask = inputs["x"], inputs.get("mask")
        network_inputs = {name: array for name, array in inputs.items() if name != "ended"}
        seen = None if self.lookback is None else self.architecture.lookback
        if seen is not None:
            if x.shape[1] != self.lookback:
                raise ValueError(f"windows of {x.shape[1]} rows for an ensemble that looks at {self.lookback}")
            network_inputs["x"] = x[:, -seen:]
        answers = [self._network_answers(member, network_inputs) for member in self.networks]
        if self.architecture.answer == "every":  # the answer at the last real row
            last = np.full(len(x), x.shape[1]) if mask is None else np.maximum(mask.sum(axis=1), 1)
            answers = [answer[np.arange(len(x)), last - 1] for answer in answers]
        member_inputs = MemberInputs(x, mask, inputs.get("ended"), seen, inputs.get("future"))
        kind = heads.get(self.architecture.head).kind
        outputs = combined(answers, self.simple_members, self.weights, member_inputs, kind=kind)
        return outputs if self.paths is None else self.paths.kept(x, outputs)

    def _network_answers(self, member: Any, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """What one network says: at once, or rolled on row by row."""
        if self.paths is None or not self.paths.recursive:
            return np.asarray(member.predict_on_batch(inputs))

        def step(x: NDArray[np.float32], future: NDArray[np.float32] | None) -> NDArray[Any]:
            return np.asarray(member.predict_on_batch({"x": x}))

        return rolled_path(step, inputs["x"], inputs.get("future"), self.paths)


def shares_of(weights: Floats, names: Sequence[str]) -> dict[str, float]:
    """What runs by weights (1 + M, O), and its share of all: the networks, and the M simple members by name.

    >>> shares_of(np.array([[0.0], [0.3], [0.1]]), ["ridge", "forest"])
    {'ridge': 0.75, 'forest': 0.25}
    """
    each = weights.mean(axis=1) / (float(weights.mean(axis=1).sum()) or 1.0)
    return {name: round(float(share), 4) for name, share in zip([NETWORKS, *names], each, strict=True) if share}


@dataclass(frozen=True, eq=False)
class MemberInputs:
    """What simple members see of B windows.

    x: (B, T, F) scaled; mask: (B, T) which rows are real; ended: (B,) whether the batch of the window has ended
    seen: the newest rows that members look at which do not ask for all; None for all
    future: (B, K, M) what is known ahead
    """

    x: NDArray[np.float32]
    mask: NDArray[np.bool_] | None = None
    ended: NDArray[np.bool_] | None = None
    seen: int | None = None
    future: NDArray[np.float32] | None = None

    def of(self, member: Member) -> NDArray[np.float32]:
        """The rows that a member looks at."""
        return self.x if self.seen is None or member.view == ENTIRE else self.x[:, -self.seen :]


def combined(
    network_outputs: Sequence[NDArray[Any]],
    simple_members: Sequence[Member],
    weights: Floats,
    inputs: MemberInputs,
    *,
    kind: Kind,
) -> Floats:
    """The outputs (B, O) of an ensemble.

    network_outputs: (B, O) of each network; empty where the networks have no weight
    inputs: what the simple members see; kind: what the outputs are
    """
    mask = inputs.mask
    if mask is not None:  # a window of padding alone has no statistics
        mask = mask.copy()
        mask[~mask.any(axis=1), 0] = True
    outputs = (
        [np.mean([np.asarray(output, np.float64) for output in network_outputs], axis=0)] if network_outputs else []
    )
    outputs += [member.outputs(inputs.of(member), mask, inputs.ended, inputs.future) for member in simple_members]
    return combine(outputs, weights if network_outputs else weights[1:], kind)


def combine(predictions: Sequence[Floats], weights: Floats, kind: Kind) -> Floats:
    """M predictions (B, O) combined with weights (M, O): a linear pool of numbers, a log-linear pool of classes.

    >>> combine([np.array([[0.8, 0.2]]), np.array([[0.5, 0.5]])], np.ones((2, 2)), "classes").round(3).tolist()
    [[0.8, 0.2]]
    """
    if kind == "regression":
        return np.asarray(sum(weight * prediction for weight, prediction in zip(weights, predictions, strict=True)))
    total: Floats = np.zeros_like(predictions[0])
    for weight, prediction in zip(weights, predictions, strict=True):
        total = total + weight * logarithms(prediction, kind)
    if kind == "binary":
        return 1.0 / (1.0 + np.exp(-total))
    total = np.exp(total - total.max(axis=1, keepdims=True))
    return np.asarray(total / total.sum(axis=1, keepdims=True))


def logarithms(probabilities: Floats, kind: Kind) -> Floats:
    """Logarithms (B, O) of class probabilities, or log odds of one of two classes; no probability is below `SURE`."""
    bounded = np.clip(probabilities, SURE, 1.0 - SURE if kind == "binary" else 1.0)
    return np.asarray(np.log(bounded / (1.0 - bounded)) if kind == "binary" else np.log(bounded))


def check_ensemble(
    weights: Floats,
    simple_members: Sequence[Member],
    members: int,
    architecture: Architecture,
    lookback: int | None = None,
    paths: Paths | None = None,
) -> None:
    """ValueError or KeyError unless these can be an ensemble for windows of the architecture, or of more rows."""
    a = architecture
    if lookback is not None and (a.lookback is None or lookback <= a.lookback or paths is not None):
        raise ValueError("lookback")
    outputs = a.outputs if paths is None else paths.outputs
    if (
        weights.shape != (1 + len(simple_members), outputs)
        or weights.dtype != np.float64
        or not np.isfinite(weights).all()
    ):
        raise ValueError("weights")
    if not (members or simple_members):
        raise ValueError("members")
    if not members and weights[0].any():
        raise ValueError("networks")
    if paths is None:
        if a.answer not in ("row", "every") or a.future:
            raise ValueError("members")
    else:
        ahead = (a.answer, a.horizon, a.future)
        expected = ("row", 1, 0) if paths.recursive else ("path", paths.horizon, len(paths.planned))
        if ahead != expected or a.outputs != paths.targets or a.lookback is None:
            raise ValueError("paths")
    if len({member.name for member in simple_members}) < len(simple_members):
        raise ValueError("names")
    planned = 0 if paths is None else paths.horizon * len(paths.planned)
    for member in simple_members:
        steps = lookback or a.lookback if member.view == ENTIRE else a.lookback
        member.check(steps=steps, features=a.features, outputs=outputs, planned=planned)
