"""The equations of one step of each cell, and their derivatives.

This module writes SimpleRNN, LSTM and GRU (both forms) as pairs of functions: ``forth`` computes
the next states, ``back`` turns gradients of those states into gradients of all that went in.
Products, gate order and biases are laid out as in Keras, so that weights can be handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backmix.models.cells import Arrays, StepSettings
from backmix.models.reference.activations import SLOPES, VALUES, Array

States = Mapping[str, Array]
Pair = tuple[Array, Array]


@dataclass(frozen=True)
class CellForm:
    """Which cell, and in which of its forms.

    reset_after: the GRU's reset gate acts after the recurrent product (Keras's default)
    go_backwards: steps are done from the last row to the first; results in the order of the steps
    """

    cell: Literal["simple_rnn", "lstm", "gru"]
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    reset_after: bool = True
    go_backwards: bool = False


@dataclass(frozen=True)
class Weights:
    """A layer's weights: G gates side by side, in the order of the cell's ``gates``.

    kernel: (F, G H); recurrent: (H, G H); bias: (G H,), or (2, G H) for a GRU with reset_after
    """

    kernel: Array
    recurrent: Array
    bias: Array


@dataclass(frozen=True)
class StepValues:
    """What one step computes, (B, H) each: the next states, the gates before and after activation."""

    states: dict[str, Array]
    pre: dict[str, Array]
    gates: dict[str, Array]


@dataclass(frozen=True)
class StepGradients:
    """What one step hands back: to the states before it (B, H), to its input (B, F), to the weights."""

    states: dict[str, Array]
    x: Array
    weights: Weights


@dataclass(frozen=True)
class CellStep:
    """The two directions of one cell's step.

    forth(form, weights, x, states before the step)
    back(form, weights, x, (before, after) per state, (pre, value) per gate, gradients of states)
    """

    states: tuple[str, ...]
    gates: tuple[str, ...]
    forth: Callable[[CellForm, Weights, Array, States], StepValues]
    back: Callable[[CellForm, Weights, Array, Mapping[str, Pair], Mapping[str, Pair], States], StepGradients]


def _gradients(weights: Weights, x: Array, h: Array, dz: Array, dh: Array, extra: Array) -> StepGradients:
    """The common end of a way back in which both products share the gradient dz (B, G H)."""
    return StepGradients(
        {"h": dh + dz @ weights.recurrent.T} | ({"c": extra} if extra.size else {}),
        dz @ weights.kernel.T,
        Weights(x.T @ dz, h.T @ dz, dz.sum(axis=0)),
    )


NOTHING = np.empty(0)


def simple_rnn(form: CellForm, w: Weights, x: Array, states: States) -> StepValues:
    """h = tanh(x W + h U + b)."""
    z = x @ w.kernel + states["h"] @ w.recurrent + w.bias
    h = VALUES[form.activation](z)
    return StepValues({"h": h}, {"candidate": z}, {"candidate": h})


def simple_rnn_back(
    form: CellForm, w: Weights, x: Array, states: Mapping[str, Pair], gates: Mapping[str, Pair], grads: States
) -> StepGradients:
    """dz = dh tanh'(z); the factor diag(tanh'(z)) U is the one that makes gradients vanish or explode."""
    before, _ = states["h"]
    dz = grads["h"] * SLOPES[form.activation](gates["candidate"][0])
    return _gradients(w, x, before, dz, np.zeros_like(before), NOTHING)


def lstm(form: CellForm, w: Weights, x: Array, states: States) -> StepValues:
    """c = f c + i candidate; h = o tanh(c)."""
    z = x @ w.kernel + states["h"] @ w.recurrent + w.bias
    pre = dict(zip(STEPS["lstm"].gates, np.split(z, 4, axis=1), strict=True))
    a = {
        name: VALUES[form.activation if name == "candidate" else form.recurrent_activation](values)
        for name, values in pre.items()
    }
    c = a["f"] * states["c"] + a["i"] * a["candidate"]
    return StepValues({"h": a["o"] * VALUES[form.activation](c), "c": c}, pre, a)


def lstm_back(
    form: CellForm, w: Weights, x: Array, states: Mapping[str, Pair], gates: Mapping[str, Pair], grads: States
) -> StepGradients:
    """dc = dc + dh o tanh'(c), and from there to the gates; dc_{t-1} = dc f along the memory."""
    (h, _), (c_before, c) = states["h"], states["c"]
    i, f, candidate, o = (gates[name][1] for name in STEPS["lstm"].gates)
    dc = grads["c"] + grads["h"] * o * SLOPES[form.activation](c)
    da = {"i": dc * candidate, "f": dc * c_before, "candidate": dc * i, "o": grads["h"] * VALUES[form.activation](c)}
    dz = np.hstack(
        [
            da[name] * SLOPES[form.activation if name == "candidate" else form.recurrent_activation](gates[name][0])
            for name in STEPS["lstm"].gates
        ]
    )
    return _gradients(w, x, h, dz, np.zeros_like(h), dc * f)


def gru(form: CellForm, w: Weights, x: Array, states: States) -> StepValues:
    """h = z h + (1 - z) candidate: Keras's convention, in which z keeps the old state."""
    h, units = states["h"], w.recurrent.shape[0]
    b_in, b_rec = (w.bias[0], w.bias[1]) if form.reset_after else (w.bias, np.zeros_like(w.bias))
    xz, xr, xc = np.split(x @ w.kernel + b_in, 3, axis=1)
    gated = h @ w.recurrent[:, : 2 * units] + b_rec[: 2 * units]
    pre = {"z": xz + gated[:, :units], "r": xr + gated[:, units:]}
    a = {name: VALUES[form.recurrent_activation](values) for name, values in pre.items()}
    u = w.recurrent[:, 2 * units :]
    inner = a["r"] * (h @ u + b_rec[2 * units :]) if form.reset_after else (a["r"] * h) @ u
    pre["candidate"] = xc + inner
    a["candidate"] = VALUES[form.activation](pre["candidate"])
    return StepValues({"h": a["z"] * h + (1.0 - a["z"]) * a["candidate"]}, pre, a)


def gru_back(
    form: CellForm, w: Weights, x: Array, states: Mapping[str, Pair], gates: Mapping[str, Pair], grads: States
) -> StepGradients:
    """The way back through both forms; they differ in what the reset gate multiplied."""
    h, _ = states["h"]
    units, dh = w.recurrent.shape[0], grads["h"]
    (pz, z), (pr, r), (pc, candidate) = (gates[name] for name in STEPS["gru"].gates)
    u = w.recurrent[:, 2 * units :]
    dpz = dh * (h - candidate) * SLOPES[form.recurrent_activation](pz)
    dpc = dh * (1.0 - z) * SLOPES[form.activation](pc)
    if form.reset_after:
        dinner = dpc * r
        dr = dpc * (h @ u + w.bias[1, 2 * units :])
        dh_before = dinner @ u.T
        du = h.T @ dinner
    else:
        drh = dpc @ u.T
        dinner = dpc
        dr = drh * h
        dh_before = drh * r
        du = (r * h).T @ dpc
    dpr = dr * SLOPES[form.recurrent_activation](pr)
    dgated = np.hstack([dpz, dpr])
    dz = np.hstack([dgated, dpc])
    bias = dz.sum(axis=0)
    if form.reset_after:
        bias = np.stack([bias, np.hstack([dgated, dinner]).sum(axis=0)])
    return StepGradients(
        {"h": dh * z + dh_before + dgated @ w.recurrent[:, : 2 * units].T},
        dz @ w.kernel.T,
        Weights(x.T @ dz, np.hstack([h.T @ dgated, du]), bias),
    )


STEPS: dict[str, CellStep] = {
    "simple_rnn": CellStep(("h",), ("candidate",), simple_rnn, simple_rnn_back),
    "lstm": CellStep(("h", "c"), ("i", "f", "candidate", "o"), lstm, lstm_back),
    "gru": CellStep(("h",), ("z", "r", "candidate"), gru, gru_back),
}
"""The cells by name."""


def step(
    cell: Literal["simple_rnn", "lstm", "gru"], weights: Arrays, x: Array, states: States, settings: StepSettings
) -> Arrays:
    """The states (B, H) behind one step on x (B, F); weights by their names in Keras."""
    form = CellForm(cell, settings.activation, settings.recurrent_activation, settings.reset_after)
    laid = Weights(weights["kernel"], weights["recurrent_kernel"], weights["bias"])
    return STEPS[cell].forth(form, laid, x, states).states
