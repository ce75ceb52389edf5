"""A network that predicts with NumPy alone.

This module has the interface of the native `Network` and runs the float64 steps of the cells, for machines where the
kernels were not compiled and for cells that the kernels do not have. It is ten to a hundred times slower and gives
the same numbers to 1e-5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.architecture import Architecture
from backmix.models.cells import Arrays, StepSettings, cells
from backmix.models.reference.network import Dense, Network, summarise
from backmix.models.shape.size import layers
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
        a = architecture
        self._cell = cells.get(a.cell)
        self._settings = StepSettings(a.activation, a.recurrent_activation, a.reset_after)
        self._layers: list[Arrays] = []
        dense = []
        for layer in layers(a):
            arrays = {role: np.asarray(weights[f"{layer.name}/{role}"], np.float64) for role in layer.shapes}
            if layer.name.startswith("recurrent"):
                self._layers.append(arrays)
            else:
                dense.append(Dense(arrays["kernel"], arrays["bias"]))
        self._network = Network(a, (), tuple(dense))
        self.state_size = sum(a.units) * len(self._cell.states)

    def carry(self, rows: Floats, state: State) -> tuple[Floats, State]:
        """Rows (N, F) one after the other: outputs (N, O) and the state after the last row."""
        outputs = []
        for first in range(0, len(rows), BLOCK):
            y = self._scaled(rows[first : first + BLOCK]).astype(np.float64)[None]
            y, state = self._over(y, state=state)
            outputs.append(self._network.finish(y[0]))
        return np.concatenate(outputs) if outputs else np.empty((0, self._network.architecture.outputs)), state

    def predict(self, windows: Floats, lengths: NDArray[np.int64] | None) -> Floats:
        """Windows (B, T, F), each from the initial state: outputs (B, O); lengths: (B,) real rows of each."""
        x = self._scaled(windows).astype(np.float64)
        mask = None if lengths is None else np.arange(x.shape[1]) < lengths[:, None]
        outputs = [
            self._whole(x[first : first + BLOCK], None if mask is None else mask[first : first + BLOCK])
            for first in range(0, len(x), BLOCK)
        ]
        return np.concatenate(outputs) if outputs else np.empty((0, self._network.architecture.outputs))

    def slide(self, rows: Floats, starts: NDArray[np.int64], steps: int) -> Floats:
        """Windows of T rows that begin at ``starts`` (W,) of one table (N, F): outputs (W, O)."""
        outputs = [
            self.predict(rows[starts[first : first + BLOCK, None] + np.arange(steps)], None)
            for first in range(0, len(starts), BLOCK)
        ]
        return np.concatenate(outputs) if outputs else np.empty((0, self._network.architecture.outputs))

    def _whole(self, x: Floats, mask: NDArray[np.bool_] | None) -> Floats:
        """Outputs (B, O) for scaled windows (B, T, F), of which mask (B, T) says which rows are real."""
        if mask is not None:
            x = np.where(mask[:, :, None], x, 0.0)
        last = self._over(x, mask=mask)[0][:, -1]
        summaries = self._network.architecture.summaries
        return self._network.finish(np.hstack([last, summarise(x, mask)]) if summaries else last)

    def _over(
        self, x: Floats, *, mask: NDArray[np.bool_] | None = None, state: State | None = None
    ) -> tuple[Floats, State]:
        """All recurrent layers over x (B, T, F): h of the last one (B, T, H), and the states of the first window.

        state: of all layers one after the other, (S,); rest when None
        """
        behind, place = [], 0
        for weights, units in zip(self._layers, self._network.architecture.units, strict=True):
            states = {letter: np.zeros((len(x), units)) for letter in self._cell.states}
            for letter in self._cell.states if state is not None else ():
                states[letter][:] = state[place : place + units]  # type: ignore[index]
                place += units
            h = np.empty((*x.shape[:2], units))
            for t in range(x.shape[1]):
                new = self._cell.step(weights, x[:, t], states, self._settings)
                if mask is not None:
                    new = {letter: np.where(mask[:, t, None], new[letter], states[letter]) for letter in states}
                states = dict(new)
                h[:, t] = states["h"]
            behind += [states[letter][0] for letter in self._cell.states] if len(x) else []
            x = h
        return x, np.concatenate(behind).astype(np.float32) if behind else np.empty(0, np.float32)
