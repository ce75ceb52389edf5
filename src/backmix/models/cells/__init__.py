"""The recurrent cells: one file per cell.

In: the settings of one recurrent layer (`LayerSettings`).
Out: the Keras layer that runs the cell over time.
A cell is one step of the recurrence h_t = f(x_t, h_{t-1}); the layer is the loop over time. This module defines
`Cell`, what a cell file provides, and `cells`, the registry that finds it.

To add a cell, add one file here with one registered subclass of `Cell`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from backmix.registry import Registry

if TYPE_CHECKING:
    from backmix.models.architecture import Architecture

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

    @classmethod
    def of(cls, a: Architecture, **others: Any) -> Self:
        """The settings that every recurrent layer of an architecture shares, without dropout, and ``others``."""
        return cls(
            activation=a.activation,
            recurrent_activation=a.recurrent_activation,
            initializer=a.initializer,
            reset_after=a.reset_after,
            **others,
        )


class Cell(ABC):
    """One kind of recurrent cell; a file registers one subclass and never makes an instance.

    states: what is carried from step to step, by letter
    gates: what `backmix.models.reference` reports of every step, in the order of Keras's kernel
    kept: numbers per unit and step that training keeps for the way back and works with, on the
        native kernels; Keras's own loop needs up to twice as many
    source: where the equation is from
    """

    title: ClassVar[str]
    states: ClassVar[tuple[str, ...]]
    gates: ClassVar[tuple[str, ...]]
    kept: ClassVar[int]
    source: ClassVar[str]

    @staticmethod
    @abstractmethod
    def layer(units: int, settings: LayerSettings) -> Any:
        """A Keras layer of ``units`` H: (B, T, F) -> (B, H), or (B, T, H) with ``sequences``."""

    @staticmethod
    @abstractmethod
    def parameters(inputs: int, units: int, *, reset_after: bool = True) -> int:
        """How many trainable numbers a layer of ``units`` on ``inputs`` features has."""


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
