"""From an architecture to a Keras network.

This module builds the one network that all heads share: stacked recurrent layers, optional window
statistics beside the last state, optional dense layers, and a head. It also holds `ModelPlan`,
the plan section that asks for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from pydantic import field_validator

from backmix.models.architecture import MOST_DROPOUT, MOST_LAYERS, MOST_UNITS, Architecture
from backmix.models.cells import ACTIVATIONS, INITIALIZERS, LayerSettings, cells, initializer
from backmix.models.engine import use_engine
from backmix.models.heads import heads
from backmix.models.summaries import summarise
from backmix.section import Section
from backmix.text import say


class ModelPlan(Section):
    """``[model]``: the network; what is "auto" is chosen by `training.advice`, with its reason.

    cell: a registered cell
    units: size of every recurrent layer, from the input on
    dropout, recurrent_dropout: in every recurrent layer, on x_t and on h_{t-1}
    head_dropout: before every dense layer and before the head
    dense: sizes of dense layers between the last state and the head
    activation, recurrent_activation: of the state and of the gates
    initializer: of the input kernels
    reset_after: which form of GRU
    summaries: statistics of the window beside the last state
    """

    cell: str = "auto"
    units: tuple[int, ...] | Literal["auto"] = "auto"
    dropout: float | Literal["auto"] = "auto"
    recurrent_dropout: float = 0.0
    head_dropout: float | Literal["auto"] = "auto"
    dense: tuple[int, ...] = ()
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    dense_activation: str = "relu"
    initializer: str = "glorot_uniform"
    reset_after: bool = True
    summaries: bool | Literal["auto"] = "auto"

    @field_validator("cell")
    @classmethod
    def _known_cell(cls, cell: str) -> str:
        return cell if cell == "auto" else _known(cell, cells.names())

    @field_validator("activation", "recurrent_activation", "dense_activation")
    @classmethod
    def _known_activation(cls, name: str) -> str:
        return _known(name, ACTIVATIONS)

    @field_validator("initializer")
    @classmethod
    def _known_initializer(cls, name: str) -> str:
        return _known(name, INITIALIZERS)

    @field_validator("units", "dense", mode="after")
    @classmethod
    def _sizes(cls, sizes: Any) -> Any:
        if sizes != "auto" and (len(sizes) > MOST_LAYERS or not all(1 <= s <= MOST_UNITS for s in sizes)):
            raise ValueError(say("models.plan_sizes", layers=MOST_LAYERS, most=MOST_UNITS))
        return sizes

    @field_validator("units")
    @classmethod
    def _some_units(cls, units: Any) -> Any:
        if units == ():
            raise ValueError(say("models.plan_no_units"))
        return units

    @field_validator("dropout", "recurrent_dropout", "head_dropout")
    @classmethod
    def _rates(cls, rate: Any) -> Any:
        if rate != "auto" and not 0 <= rate <= MOST_DROPOUT:
            raise ValueError(say("models.plan_rate", most=MOST_DROPOUT))
        return rate


def build(architecture: Architecture, *, seed: int) -> Any:
    """A new Keras model of this architecture; the same seed gives the same weights, bit for bit.

    The model takes ``{"x": (B, T, F)}`` and, when the architecture is masked, also
    ``"mask": (B, T)`` of booleans; it returns (B, O) as its head says. What stands in masked rows
    changes nothing. Every initialiser and every dropout draws from its own seed made from
    ``seed``; the state of dropout is among ``model.variables``, so that a checkpoint can hold it.

    Raises PlanError when no engine is installed.
    """
    a = architecture
    keras = use_engine()
    seeds = _seeds(seed)
    x = keras.Input((a.lookback, a.features), name="x", dtype="float32")
    inputs = {"x": x}
    mask = None
    if a.masked:
        mask = inputs["mask"] = keras.Input((a.lookback,), name="mask", dtype="bool")
        # a NaN in padding would otherwise come back through the gradient of the masked step
        x = keras.ops.where(keras.ops.expand_dims(mask, -1), x, keras.ops.zeros_like(x))
    y = x
    for number, units in enumerate(a.units, 1):
        settings = LayerSettings(
            dropout=a.dropout, recurrent_dropout=a.recurrent_dropout, activation=a.activation,
            recurrent_activation=a.recurrent_activation, initializer=a.initializer,
            reset_after=a.reset_after, sequences=number < len(a.units), seed=next(seeds),
            name=f"recurrent_{number}")
        y = cells.get(a.cell).layer(units, settings)(y, mask=mask)
    if a.summaries:
        y = keras.ops.concatenate([y, summarise(x, mask)], axis=-1)
    for number, size in enumerate(a.dense, 1):
        y = _dropped(y, a.head_dropout, seed=next(seeds), name=f"dense_{number}_dropout")
        y = keras.layers.Dense(size, activation=a.dense_activation, name=f"dense_{number}",
                               kernel_initializer=initializer(a.dense_initializer, next(seeds)))(y)
    y = _dropped(y, a.head_dropout, seed=next(seeds), name="head_dropout")
    y = keras.layers.Dense(a.outputs, activation=heads.get(a.head).activation, name="head", dtype="float32",
                           kernel_initializer=initializer("glorot_uniform", next(seeds)))(y)
    model = keras.Model(inputs, y, name="backmix")
    model.architecture = a
    return model


def _dropped(y: Any, rate: float, *, seed: int, name: str) -> Any:
    return use_engine().layers.Dropout(rate, seed=seed, name=name)(y) if rate else y


def _seeds(seed: int) -> Iterator[int]:
    """Seeds for the parts of a network; neighbours are four apart, a layer uses up to three."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    while True:
        yield int(rng.integers(2**29)) * 4


def _known(name: str, allowed: Any) -> str:
    if name not in list(allowed):
        raise ValueError(say("models.plan_name", name=name, names=", ".join(allowed)))
    return name
