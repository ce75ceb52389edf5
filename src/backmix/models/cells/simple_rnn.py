"""The simple recurrent cell.

This module is SimpleRNN: the whole state is rewritten at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.cells import Arrays, Cell, LayerSettings, StepSettings, cells, common


@cells.register("simple_rnn", title={"en": "SimpleRNN", "zh_TW": "SimpleRNN"})
class SimpleRnn(Cell):
    """h_t = tanh(x_t W + h_{t-1} U + b)."""

    states = ("h",)
    gates = ("candidate",)
    kept = 3
    source = "Elman, Finding structure in time, Cognitive Science 14 (1990)"

    @staticmethod
    def layer(units: int, settings: LayerSettings) -> Any:
        from backmix.models import layers

        return layers.SimpleRNN(**common(units, settings))

    @staticmethod
    def weights(inputs: int, units: int, *, reset_after: bool = True) -> Mapping[str, tuple[int, ...]]:
        return {"kernel": (inputs, units), "recurrent_kernel": (units, units), "bias": (units,)}

    @staticmethod
    def step(weights: Arrays, x: NDArray[np.float64], states: Arrays, settings: StepSettings) -> Arrays:
        from backmix.models.reference.steps import step

        return step("simple_rnn", weights, x, states, settings)
