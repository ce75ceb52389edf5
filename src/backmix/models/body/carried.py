"""A stateful network for truncated backpropagation through time.

This module builds the stateful twin of a plain network: the same layers with the same weights, run over L lanes of
T rows side by side, with an output at every row. A lane begins a call with the state in which it ended the last one,
or with zeros where it enters a new run of rows. No gradient flows through that state: backpropagation is truncated
there. The twin is used for training and, with one lane, for prediction; bundles keep the plain network.

Williams & Peng, An efficient gradient-based algorithm for on-line training of recurrent network
trajectories, Neural Computation 2 (1990) 490.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backmix.models.architecture import Architecture
from backmix.models.body.encoders import dressed
from backmix.models.body.seeds import Seeds
from backmix.models.cells import cells
from backmix.models.engine import use_engine
from backmix.models.network import finished
from backmix.models.shape.forms import check_carries

keras = use_engine()


class StatefulLayer(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """A recurrent layer that keeps the state of L lanes: x (L, T, F), keep (L,) -> (L, T, H).

    keep: 1 where a lane goes on from its state, 0 where it begins from zeros
    """

    def __init__(self, layer: Any, lanes: int) -> None:
        super().__init__(name=layer.name)
        self.layer, self._lanes = layer, lanes

    def build(self, x_shape: Any, keep_shape: Any) -> None:
        self.layer.build(x_shape)
        sizes = self.layer.cell.state_size
        sizes = sizes if isinstance(sizes, list | tuple) else [sizes]
        self.states = [
            self.add_weight(shape=(self._lanes, size), initializer="zeros", trainable=False, name=f"state_{number}")
            for number, size in enumerate(sizes, 1)
        ]

    def call(self, x: Any, keep: Any) -> Any:
        ops = keras.ops
        goes_on = ops.expand_dims(keep, -1) > 0
        before = [ops.where(goes_on, state.value, ops.zeros_like(state.value)) for state in self.states]
        rows, *after = self.layer(x, initial_state=before)
        for state, value in zip(self.states, after, strict=True):
            state.assign(ops.stop_gradient(value))
        return rows


def build_stateful(architecture: Architecture, *, lanes: int, rows: int, seed: int) -> Any:
    """The stateful twin of `build(architecture, seed=seed)` with the same weights: x (L, T, F), keep (L,) -> (L, T, O).

    Raises PlanError (carried.form) for an architecture whose output at a row needs more than the last state.
    """
    a = architecture
    check_carries(a)
    seeds = Seeds.of(seed)
    x = keras.Input(batch_shape=(lanes, rows, a.features), name="x", dtype="float32")
    keep = keras.Input(batch_shape=(lanes,), name="keep", dtype="float32")
    y = keras.layers.GaussianNoise(a.noise, seed=next(seeds.added), name="noise")(x) if a.noise else x
    for number, units in enumerate(a.units, 1):
        settings = a.layer_settings(
            dropout=a.dropout,
            recurrent_dropout=a.recurrent_dropout,
            sequences=True,
            states=True,
            seed=next(seeds.plain),
            name=f"recurrent_{number}",
        )
        states = StatefulLayer(cells.get(a.cell).layer(units, settings), lanes)(y, keep)
        y = dressed(a, number, (y.shape[-1], units), seeds)(states, y)
    model = keras.Model({"x": x, "keep": keep}, finished(a, y, seeds), name="carrying")
    model.architecture = a
    return model


def copy_weights(source: Any, target: Any) -> None:
    """Copy the weights of a network into its plain or stateful twin; states are not copied."""
    for layer in source.layers:
        if layer.trainable_variables:
            twin = target.get_layer(layer.name)
            for own, theirs in zip(twin.trainable_variables, layer.trainable_variables, strict=True):
                own.assign(np.array(theirs.value))  # a copy: engines give the arrays of a model away
