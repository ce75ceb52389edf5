"""The simple recurrent cell.

This module is SimpleRNN: the whole state is rewritten at every step.
"""

from __future__ import annotations

from typing import Any

from backmix.models.cells import Cell, LayerSettings, cells, common


@cells.register("simple_rnn")
class SimpleRnn(Cell):
    """h_t = tanh(x_t W + h_{t-1} U + b)."""

    title = "SimpleRNN"
    states = ("h",)
    gates = ("candidate",)
    kept = 3
    source = "Elman, Finding structure in time, Cognitive Science 14 (1990)"

    @staticmethod
    def layer(units: int, settings: LayerSettings) -> Any:
        from backmix.models import layers

        return layers.SimpleRNN(**common(units, settings))

    @staticmethod
    def parameters(inputs: int, units: int, *, reset_after: bool = True) -> int:
        return units * (units + inputs + 1)
