"""A network that predicts with NumPy alone.

This module does what the native `Network` does, from the float64 reference, for machines where the
kernels were not compiled: slower by a factor of ten to a hundred, the same numbers to 1e-5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.architecture import Architecture
from backmix.models.reference import CellForm, Network, forward
from backmix.models.size import layers
from backmix.serving.stepping import Floats, State, Stepper

BLOCK = 4096
"""Rows or windows that are computed at a time."""


class PortableNetwork(Stepper):
    """As `backmix.native.Network`: scaling included, raw outputs (O) of the head; see there.

    center, scale: (F,), from plant units to the network's; low, high: (F,), where inputs are cut off
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Mapping[str, NDArray[Any]],
        *,
        center: Floats,
        scale: Floats,
        low: Floats,
        high: Floats,
    ) -> None:
        super().__init__((center, scale, low, high))
        named = [layer.name for layer in layers(architecture)]
        arrays = [
            weights[f"{name}/{role}"]
            for name in named
            for role in (("kernel", "recurrent_kernel", "bias") if name.startswith("recurrent") else ("kernel", "bias"))
        ]
        self._network = Network.of(architecture, arrays)
        self._states = ("h", "c") if architecture.cell == "lstm" else ("h",)
        self.state_size = sum(architecture.units) * len(self._states)

    def carry(self, rows: Floats, state: State) -> tuple[Floats, State]:
        """Rows (N, F) one after the other: outputs (N, O) and the state behind them."""
        outputs = []
        for first in range(0, len(rows), BLOCK):
            y, offset, after = self._scaled(rows[first : first + BLOCK]).astype(np.float64)[None], 0, []
            for weights in self._network.layers:
                units = len(weights.recurrent)
                initial = {
                    letter: state[None, offset + i * units : offset + (i + 1) * units].astype(np.float64)
                    for i, letter in enumerate(self._states)
                }
                trace = forward(self._form, weights, y, initial=initial)
                after += [trace.last[letter][0] for letter in self._states]
                y, offset = trace.h, offset + units * len(self._states)
            state = np.concatenate(after).astype(np.float32)
            outputs.append(self._network.finish(y[0]))
        return np.concatenate(outputs) if outputs else np.empty((0, self._network.architecture.outputs)), state

    def predict(self, windows: Floats, lengths: NDArray[np.int64] | None) -> Floats:
        """Windows (B, T, F), each from rest: outputs (B, O); lengths: (B,) real rows of each."""
        x = self._scaled(windows).astype(np.float64)
        mask = None if lengths is None else np.arange(x.shape[1]) < lengths[:, None]
        outputs = [
            self._network.forward(x[low : low + BLOCK], mask=None if mask is None else mask[low : low + BLOCK]).outputs
            for low in range(0, len(x), BLOCK)
        ]
        return np.concatenate(outputs) if outputs else np.empty((0, self._network.architecture.outputs))

    def slide(self, rows: Floats, starts: NDArray[np.int64], steps: int) -> Floats:
        """Windows of T rows that begin at ``starts`` (W,) of one table (N, F): outputs (W, O)."""
        outputs = [
            self.predict(rows[starts[low : low + BLOCK, None] + np.arange(steps)], None)
            for low in range(0, len(starts), BLOCK)
        ]
        return np.concatenate(outputs) if outputs else np.empty((0, self._network.architecture.outputs))

    @property
    def _form(self) -> CellForm:
        return self._network.form
