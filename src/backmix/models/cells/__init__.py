"""The recurrent cells: one file per cell.

In: the settings of one recurrent layer (`LayerSettings`).
Out: the Keras layer that runs the cell over time.
A cell is one step of the recurrence h_t = f(x_t, h_{t-1}); the layer is the loop over time. This module defines
`Cell`, what a cell file provides, and `cells`, the registry that finds it.

To add a cell, add one file here with one registered subclass of `Cell`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from backmix.registry import Registry

INITIALIZERS = {
    "glorot_uniform": "GlorotUniform",
    "glorot_normal": "GlorotNormal",
    "he_uniform": "HeUniform",
    "he_normal": "HeNormal",
    "lecun_uniform": "LecunUniform",
    "lecun_normal": "LecunNormal",
    "orthogonal": "Orthogonal",
}
"""The initialisers of input and dense kernels, by name; each draws with its own explicit seed."""

ACTIVATIONS = ("tanh", "relu", "sigmoid", "hard_sigmoid", "linear")
"""The activations a cell may have, for its state and for its gates."""


@dataclass(frozen=True)
class LayerSettings:
    """How one recurrent layer is built.

    sequences: the layer returns h of every step, (B, T, H), as a layer below another must;
        else of the last step, (B, H)
    states: the layer also returns its last states, (B, H) each
    backwards: the layer goes from the last row to the first
    dropout: part of the layer's inputs that is dropped in training, the same for all steps
    recurrent_dropout: part of h_{t-1} that is dropped in training
    reset_after: the GRU's reset gate acts after the recurrent product; other cells ignore it
    """

    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    initializer: str = "glorot_uniform"
    reset_after: bool = True
    sequences: bool = False
    states: bool = False
    backwards: bool = False
    seed: int = 0
    name: str = "recurrent"


Arrays = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class StepSettings:
    """What a single step must know of a layer besides its weights; the fields mean the same as in `LayerSettings`."""

    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    reset_after: bool = True


class Cell(ABC):
    """One kind of recurrent cell; a file registers one subclass and never makes an instance.

    states: what is carried from step to step, by letter; "h", the output, comes first
    gates: what `backmix.models.reference` reports of every step, in the order of Keras's kernel; () for none
    keeping: the gate that keeps the old state where it is near 1; "" where the state is rewritten at every step
    convention: what the letters of the gates mean, for captions
    fused: whether cuDNN has a kernel for the cell
    kept: numbers per unit and step that training keeps for the way back and works with, on the
        native kernels; Keras's own loop needs up to twice as many
    light: whether the light runtime may run the cell, by `step` where no kernel knows it; False leaves the cell to
        Keras, and the light runtime refuses the bundle in one line
    source: where the equation is from
    """

    states: ClassVar[tuple[str, ...]]
    gates: ClassVar[tuple[str, ...]] = ()
    keeping: ClassVar[str] = ""
    convention: ClassVar[str] = ""
    fused: ClassVar[bool] = False
    kept: ClassVar[int]
    light: ClassVar[bool] = True
    source: ClassVar[str]

    @staticmethod
    @abstractmethod
    def layer(units: int, settings: LayerSettings) -> Any:
        """A Keras layer of ``units`` H: (B, T, F) -> (B, H), or (B, T, H) with ``sequences``.

        A `keras.layers.RNN` around a cell of your own will do; name that cell ``..._cell``, as Keras does.
        """

    @staticmethod
    @abstractmethod
    def weights(inputs: int, units: int, *, reset_after: bool = True) -> Mapping[str, tuple[int, ...]]:
        """The shape of every array of a layer of ``units`` on ``inputs`` features, by its name in Keras.

        A bundle is checked against these shapes before anything is built from it, and a training does not begin
        when the layer has others.
        """

    @staticmethod
    @abstractmethod
    def step(weights: Arrays, x: NDArray[np.float64], states: Arrays, settings: StepSettings) -> Arrays:
        """One step in NumPy: x (B, F) and the states (B, H) before it -> the states (B, H) behind it."""

    @classmethod
    @final
    def parameters(cls, inputs: int, units: int, *, reset_after: bool = True) -> int:
        """How many trainable numbers a layer of ``units`` on ``inputs`` features has."""
        return sum(math.prod(shape) for shape in cls.weights(inputs, units, reset_after=reset_after).values())


def initializer(name: str, seed: int) -> Any:
    """The Keras initialiser called ``name``, drawing from its own ``seed``."""
    from backmix.models.engine import use_engine

    return getattr(use_engine().initializers, INITIALIZERS[name])(seed=seed)


def common(units: int, settings: LayerSettings) -> dict[str, Any]:
    """The arguments that Keras's three recurrent layers share."""
    return {
        "units": units,
        "activation": settings.activation,
        "kernel_initializer": initializer(settings.initializer, settings.seed),
        "recurrent_initializer": initializer("orthogonal", settings.seed + 1),
        "dropout": settings.dropout,
        "recurrent_dropout": settings.recurrent_dropout,
        "seed": settings.seed + 2,
        "return_sequences": settings.sequences,
        "return_state": settings.states,
        "go_backwards": settings.backwards,
        "name": settings.name,
    }


cells: Registry[type[Cell]] = Registry("cells", package="backmix.models.cells")
