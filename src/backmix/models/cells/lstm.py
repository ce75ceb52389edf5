"""The long short-term memory cell.

This module is LSTM: a memory c_t that is kept (f), written (i) and shown (o) through gates. Along
the memory the gradient is only multiplied by the forget gate, dc_t/dc_{t-1} = f_t.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.cells import Arrays, Cell, LayerSettings, StepSettings, cells, common


@cells.register("lstm", title={"en": "LSTM", "zh_TW": "LSTM"})
class Lstm(Cell):
    """c_t = f_t * c_{t-1} + i_t * tanh(...), h_t = o_t * tanh(c_t); kernel order i f c o."""

    states = ("h", "c")
    gates = ("i", "f", "candidate", "o")
    keeping = "f"
    convention = "c = f*c + i*candidate, h = o*tanh(c)"
    fused = True
    kept = 8
    source = (
        "Hochreiter & Schmidhuber, Long short-term memory, Neural Computation 9 (1997); forget gate: "
        "Gers, Schmidhuber & Cummins, Neural Computation 12 (2000)"
    )

    @staticmethod
    def layer(units: int, settings: LayerSettings) -> Any:
        from backmix.models import layers

        return layers.LSTM(
            recurrent_activation=settings.recurrent_activation, unit_forget_bias=True, **common(units, settings)
        )

    @staticmethod
    def weights(inputs: int, units: int, *, reset_after: bool = True) -> Mapping[str, tuple[int, ...]]:
        return {"kernel": (inputs, 4 * units), "recurrent_kernel": (units, 4 * units), "bias": (4 * units,)}

    @staticmethod
    def step(weights: Arrays, x: NDArray[np.float64], states: Arrays, settings: StepSettings) -> Arrays:
        from backmix.models.reference.steps import step

        return step("lstm", weights, x, states, settings)
