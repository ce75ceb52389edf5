"""The native kernels of the recurrent layers.

In: the inputs, states and weights of one recurrent layer, and its static side (`KernelForm`).
Out: outputs, last states and gradients, computed in C++.
This module says whether the kernels are there. `kernels.xla` calls them from JAX, `kernels.autograd` from torch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

CELLS = {"simple_rnn": 0, "lstm": 1, "gru": 2}
GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}
ACTIVATIONS = {"linear": 0, "tanh": 1, "sigmoid": 2, "relu": 3, "hard_sigmoid": 4}
"""The activations that the kernels know, by their numbers there."""


@cache
def available() -> bool:
    """Whether the compiled kernels were installed with the package."""
    return find_spec("backmix.native") is not None


def native() -> Any:
    """The compiled module, `backmix.native`; ImportError where it was not built."""
    return import_module("backmix.native")


@dataclass(frozen=True)
class KernelForm:
    """The settings of a layer that a kernel needs besides its arrays.

    activation, recurrent_activation: of the state and of the gates
    reset_after: which form of GRU; other cells ignore it
    backwards: the last row first; states and outputs are in the order of the steps
    """

    cell: str
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    reset_after: bool = True
    backwards: bool = False

    def numbers(self, batch: int) -> list[int]:
        """The form in the order of the native calls, for a batch of B rows on the threads allowed now."""
        threads = native().threads()
        return [
            CELLS[self.cell],
            ACTIVATIONS[self.activation],
            ACTIVATIONS[self.recurrent_activation],
            int(self.reset_after),
            int(self.backwards),
            native().tiles(batch, threads),
            threads,
        ]

    def kept(self, shape: tuple[int, ...], units: int) -> int:
        """How many numbers the forward pass keeps for the backward pass; shape: (B, T, F)."""
        return int(native().kept_size(CELLS[self.cell], self.reset_after, shape[0], shape[1], units))


@dataclass(frozen=True)
class Operands:
    """A layer's arrays; None where the layer has none.

    x: (B, T, F); h0, c0: (B, H); kernel: (F, G H); recurrent: (H, G H); bias: as in Keras
    x_mask: (1 or G, B, F) and h_mask: (1 or G, B, H), dropout factors; seen: (B, T), false in padding
    """

    x: Any
    h0: Any
    c0: Any
    kernel: Any
    recurrent: Any
    bias: Any
    x_mask: Any = None
    h_mask: Any = None
    seen: Any = None

    def arrays(self) -> tuple[Any, ...]:
        """All of them in the order of the native calls."""
        return tuple(getattr(self, entry.name) for entry in fields(self))
