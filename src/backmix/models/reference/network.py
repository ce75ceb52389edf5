"""A whole network in NumPy: stacked layers, window statistics, dense layers, head.

This module computes the outputs and gradients of the plain networks of `models.network.build`, without dropout, from
the same `Architecture` and the same weights. `reference.forms` has the outputs of the other forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from backmix.errors import PlanError
from backmix.models.architecture import Architecture
from backmix.models.body.summaries import CENTRE, FLOOR, STRETCH
from backmix.models.heads import heads
from backmix.models.members.statistics import WindowStatistics
from backmix.models.reference.activations import SLOPES, VALUES, Array, sigmoid, softmax
from backmix.models.reference.recurrent import CellForm, Gradients, Mask, Trace, Weights, backward, forward
from backmix.models.reference.steps import STEPS
from backmix.models.shape.forms import beyond_light


@dataclass(frozen=True)
class Dense:
    """A dense layer's weights: kernel (I, O), bias (O,)."""

    kernel: Array
    bias: Array


@dataclass(frozen=True)
class NetworkTrace:
    """All that a network computed: the traces of its layers, the input of each dense layer, the outputs.

    features: (B, I) into the first dense layer: last state, then the statistics of the window
    inner: per dense layer and head its input and its pre-activation; outputs: (B, O)
    """

    x: Array
    mask: Mask | None
    layers: tuple[Trace, ...]
    features: Array
    inner: tuple[tuple[Array, Array], ...]
    outputs: Array


@dataclass(frozen=True)
class NetworkGradients:
    """dL/d(...) of inputs (B, T, F), of every recurrent layer, and of every dense layer."""

    x: Array
    layers: tuple[Gradients, ...]
    dense: tuple[Dense, ...]

    def flat(self) -> list[Array]:
        """Gradients of all weights in the order of Keras's ``trainable_variables``."""
        gradients = [g for layer in self.layers for g in (layer.kernel, layer.recurrent, layer.bias)]
        return gradients + [g for layer in self.dense for g in (layer.kernel, layer.bias)]


@dataclass(frozen=True)
class Network:
    """A network's architecture with its weights in float64; dense ends with the head."""

    architecture: Architecture
    layers: tuple[Weights, ...]
    dense: tuple[Dense, ...]

    @classmethod
    def of(cls, architecture: Architecture, arrays: Sequence[NDArray[Any]]) -> Self:
        """From weights in the order of Keras's ``trainable_variables``.

        Raises PlanError (forms.no_gradients) for a form whose gradients are not written down here;
        `reference.forms.outputs` computes what it says.
        """
        if not architecture.light or architecture.cell not in STEPS:
            raise PlanError(
                "forms.no_gradients", form=", ".join(beyond_light(architecture)) or f'cell = "{architecture.cell}"'
            )
        wide = [np.asarray(a, dtype=np.float64) for a in arrays]
        count = 3 * len(architecture.units)
        layers = tuple(Weights(*wide[index : index + 3]) for index in range(0, count, 3))
        return cls(architecture, layers, tuple(Dense(*wide[index : index + 2]) for index in range(count, len(wide), 2)))

    @property
    def form(self) -> CellForm:
        """The form of the recurrent layers."""
        a = self.architecture
        return CellForm(a.cell, a.activation, a.recurrent_activation, a.reset_after)  # type: ignore[arg-type]

    def forward(self, x: NDArray[Any], *, mask: Mask | None = None) -> NetworkTrace:
        """Outputs for x (B, T, F), and all that was computed on the way."""
        a = self.architecture
        x = np.asarray(x, dtype=np.float64)
        if mask is not None:
            x = np.where(mask[:, :, None], x, 0.0)
        traces: list[Trace] = []
        y = x
        for weights in self.layers:
            traces.append(forward(self.form, weights, y, mask=mask))
            y = traces[-1].h
        features = y[:, -1] if not a.summaries else np.hstack([y[:, -1], summarise(x, mask)])
        inner, y = self._dense(features)
        return NetworkTrace(x, mask, tuple(traces), features, tuple(inner), y)

    def finish(self, features: NDArray[Any]) -> Array:
        """Outputs (B, O) from the input (B, I) of the first dense layer."""
        return self._dense(np.asarray(features, dtype=np.float64))[1]

    def _dense(self, y: Array) -> tuple[list[tuple[Array, Array]], Array]:
        inner = []
        for number, layer in enumerate(self.dense, 1):
            z = y @ layer.kernel + layer.bias
            inner.append((y, z))
            y = (
                _head(self.architecture, z)
                if number == len(self.dense)
                else VALUES[self.architecture.dense_activation](z)
            )
        return inner, y

    def backward(self, trace: NetworkTrace, doutputs: NDArray[Any]) -> NetworkGradients:
        """All gradients, from dL/d(outputs) (B, O)."""
        a = self.architecture
        dz = _head_back(a, trace.outputs, np.asarray(doutputs, dtype=np.float64))
        dense: list[Dense] = []
        dy = dz
        for number in reversed(range(len(self.dense))):
            y, z = trace.inner[number]
            if number < len(self.dense) - 1:
                dz = dy * SLOPES[a.dense_activation](z)
            dense.insert(0, Dense(y.T @ dz, dz.sum(axis=0)))
            dy = dz @ self.dense[number].kernel.T
        units = a.units[-1]
        recurrent: list[Gradients] = []
        dh = dy[:, :units]
        for layer in reversed(trace.layers):
            recurrent.insert(0, backward(layer, dh))
            dh = recurrent[0].x
        if a.summaries:
            dh = dh + summarise_back(trace.x, trace.mask, dy[:, units:])
        if trace.mask is not None:
            dh = np.where(trace.mask[:, :, None], dh, 0.0)
        return NetworkGradients(dh, tuple(recurrent), tuple(dense))


def summarise(x: Array, mask: Mask | None = None) -> Array:
    """Statistics (B, 5 F) of the rows of x (B, T, F) that count; see `models.body.summaries`."""
    s = WindowStatistics.of(x, mask)
    log_spread = STRETCH * (0.5 * np.log(s.variance + FLOOR**2) - np.log(CENTRE))
    log_step = STRETCH * (np.log(s.step + FLOOR) - np.log(CENTRE))
    return np.hstack([s.mean, log_spread, s.slope * (s.count - 1.0), log_step, (x * s.is_last).sum(axis=1)])


def summarise_back(x: Array, mask: Mask | None, grads: Array) -> Array:
    """dL/dx (B, T, F) from dL/d(statistics) (B, 5 F)."""
    s = WindowStatistics.of(x, mask)
    mean, spread, slope, step, last = (g[:, None, :] for g in np.split(grads, 5, axis=1))
    spread, step = STRETCH * spread, STRETCH * step
    n = s.count[:, None, :]
    dx = s.weight * mean / n + spread * s.off / (n * (s.variance[:, None, :] + FLOOR**2))
    dx = dx + slope * s.away * (n - 1.0) / s.run[:, None, :] + last * s.is_last
    jump = (
        np.sign(np.diff(x, axis=1)) * s.weight[:, 1:] * step / (np.maximum(n - 1.0, 1.0) * (s.step[:, None, :] + FLOOR))
    )
    dx[:, 1:] += jump
    dx[:, :-1] -= jump
    return dx


def _head(architecture: Architecture, z: Array) -> Array:
    match heads.get(architecture.head).activation:
        case "sigmoid":
            return sigmoid(z)
        case "softmax":
            return softmax(z)
        case "linear":
            return z


def _head_back(architecture: Architecture, outputs: Array, grads: Array) -> Array:
    """dL/dz of the head from dL/d(outputs)."""
    match heads.get(architecture.head).activation:
        case "sigmoid":
            return grads * outputs * (1.0 - outputs)
        case "softmax":
            along: Array = (grads * outputs).sum(axis=-1, keepdims=True)
            return outputs * (grads - along)
        case "linear":
            return grads
