"""One recurrent layer over time, forward and backward.

This module holds the loop that all cells share: states carried from step to step, masked steps
that repeat the state, and backpropagation through time. The cells' own equations are in
`reference.steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.reference.activations import Array
from backmix.models.reference.steps import STEPS, CellForm, Weights

__all__ = ["CellForm", "Gradients", "Trace", "Weights", "backward", "forward"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Trace:
    """All that a layer computed for x (B, T, F), for backpropagation and figures.

    states: per letter ("h", and "c" of an LSTM) the value after every step, (B, T, H); a masked
        step repeats the value before it
    gates: per name the value AFTER the activation, (B, T, H): a gate lies between 0 and 1
    pre: the same before the activation, as in the equations
    initial: per letter the state before the first step, (B, H)
    x, mask: in the order in which the steps were done (reversed with go_backwards)
    """

    form: CellForm
    weights: Weights
    x: Array
    mask: Mask | None
    initial: Mapping[str, Array]
    states: Mapping[str, Array]
    gates: Mapping[str, Array]
    pre: Mapping[str, Array]

    @property
    def h(self) -> Array:
        """h of every step, (B, T, H)."""
        return self.states["h"]

    @property
    def last(self) -> dict[str, Array]:
        """The states after the last step, (B, H) each."""
        return {letter: values[:, -1] for letter, values in self.states.items()}

    def before(self, letter: str, t: int) -> Array:
        """The state that step t started from, (B, H)."""
        return self.initial[letter] if t == 0 else self.states[letter][:, t - 1]


@dataclass(frozen=True)
class Gradients:
    """dL/d(...) of everything a layer computed with.

    h: dL/dh_t with all later steps counted in, (B, T, H), in the order of the steps
    states: the same per letter; initial: of the states before the first step, (B, H)
    x: (B, T, F) in the order of the caller's x; kernel, recurrent, bias: as in `Weights`
    """

    states: Mapping[str, Array]
    initial: Mapping[str, Array]
    x: Array
    kernel: Array
    recurrent: Array
    bias: Array

    @property
    def h(self) -> Array:
        """dL/dh_t, (B, T, H): how much of the loss flows back to step t."""
        return self.states["h"]


def forward(
    form: CellForm,
    weights: Weights,
    x: NDArray[Any],
    *,
    mask: Mask | None = None,
    initial: Mapping[str, Array] | None = None,
) -> Trace:
    """Run a layer over x (B, T, F).

    mask: (B, T), false where a row is padding; initial: states before the first step, zero if None

    The 100 steps of a memory that is never written:

    >>> lstm = CellForm("lstm")
    >>> closed = Weights(
    ...     kernel=np.zeros((1, 4)), recurrent=np.zeros((1, 4)), bias=np.array([-40.0, 40.0, 0.0, 40.0])
    ... )  # i shut, f open, o open
    >>> trace = forward(lstm, closed, np.zeros((1, 100, 1)), initial={"h": np.zeros((1, 1)), "c": np.ones((1, 1))})
    >>> float(trace.last["c"][0, 0])
    1.0
    """
    step = STEPS[form.cell]
    x = np.asarray(x, dtype=np.float64)
    if form.go_backwards:
        x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
    rows, steps, _ = x.shape
    units = weights.recurrent.shape[0]
    states = {letter: np.zeros((rows, units)) for letter in step.states} | dict(initial or {})
    start = dict(states)
    history = {letter: np.empty((rows, steps, units)) for letter in step.states}
    gates = {name: np.empty((rows, steps, units)) for name in step.gates}
    pre = {name: np.empty((rows, steps, units)) for name in step.gates}
    for t in range(steps):
        values = step.forth(form, weights, x[:, t], states)
        new = values.states
        if mask is not None:
            real = mask[:, t, None]
            new = {letter: np.where(real, new[letter], states[letter]) for letter in new}
        states = new
        for letter in step.states:
            history[letter][:, t] = states[letter]
        for name in step.gates:
            gates[name][:, t], pre[name][:, t] = values.gates[name], values.pre[name]
    return Trace(form, weights, x, mask, start, history, gates, pre)


def backward(trace: Trace, dh: NDArray[Any], *, dc: Array | None = None) -> Gradients:
    """Backpropagation through time (Werbos, Proc. IEEE 78, 1990).

    dh: what the loss sees of h directly: (B, T, H), or (B, H) for the last step alone
    dc: what it sees of an LSTM's last memory, (B, H), if anything

    dL/dh_t is what the loss sees of h_t plus what comes back from step t + 1.
    """
    step, form, weights = STEPS[trace.form.cell], trace.form, trace.weights
    rows, steps, _ = trace.x.shape
    direct = np.zeros_like(trace.h)
    if np.ndim(dh) == 2:
        direct[:, -1] = dh
    else:
        direct[:] = dh
    back = {letter: np.zeros((rows, weights.recurrent.shape[0])) for letter in step.states}
    if dc is not None:
        back["c"] = np.array(dc, dtype=np.float64)
    totals = {letter: np.zeros_like(trace.h) for letter in step.states}
    dx = np.zeros_like(trace.x)
    total = Weights(*(np.zeros_like(w) for w in (weights.kernel, weights.recurrent, weights.bias)))
    for t in reversed(range(steps)):
        back["h"] = back["h"] + direct[:, t]
        for letter, values in back.items():
            totals[letter][:, t] = values
        real = np.ones((rows, 1)) if trace.mask is None else trace.mask[:, t, None].astype(np.float64)
        # a masked step passes the state on unchanged: no gradient goes through its own computation
        upstream = {letter: values * real for letter, values in back.items()}
        gates = {name: (trace.pre[name][:, t], trace.gates[name][:, t]) for name in step.gates}
        states = {letter: (trace.before(letter, t), trace.states[letter][:, t]) for letter in step.states}
        gradients = step.back(form, weights, trace.x[:, t], states, gates, upstream)
        back = {letter: gradients.states[letter] + back[letter] * (1.0 - real) for letter in back}
        dx[:, t] = gradients.x
        total.kernel[...] += gradients.weights.kernel
        total.recurrent[...] += gradients.weights.recurrent
        total.bias[...] += gradients.weights.bias
    return Gradients(totals, back, dx[:, ::-1] if form.go_backwards else dx, total.kernel, total.recurrent, total.bias)
