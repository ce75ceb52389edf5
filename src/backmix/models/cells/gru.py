"""The gated recurrent unit.

This module is GRU in both its forms. Keras's convention is used, in which the update gate z says
how much of the OLD state stays: z near 1 keeps, z near 0 renews. Some texts (and the first paper)
write it the other way round, so a figure of gates must say which convention it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.cells import Arrays, Cell, LayerSettings, StepSettings, cells, common


@cells.register("gru", title={"en": "GRU", "zh_TW": "GRU"})
class Gru(Cell):
    """h_t = z_t * h_{t-1} + (1 - z_t) * candidate_t; kernel order z r candidate.

    With ``reset_after`` (the default, also of Keras) the reset gate multiplies the recurrent
    product and there are two biases; without it, the state before the product, and one bias.
    """

    states = ("h",)
    keeping = "z"  # as in Keras; elsewhere z may be what lets the new state in
    convention = "h = z*h + (1-z)*candidate"
    fused = True
    gates = ("z", "r", "candidate")
    kept = 8
    source = (
        "Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014; the form "
        "with reset_after is that of its first version, arXiv 1406.1078v1, and of cuDNN"
    )

    @staticmethod
    def layer(units: int, settings: LayerSettings) -> Any:
        from backmix.models import layers

        return layers.GRU(
            recurrent_activation=settings.recurrent_activation,
            reset_after=settings.reset_after,
            **common(units, settings),
        )

    @staticmethod
    def weights(inputs: int, units: int, *, reset_after: bool = True) -> Mapping[str, tuple[int, ...]]:
        return {
            "kernel": (inputs, 3 * units),
            "recurrent_kernel": (units, 3 * units),
            "bias": (2, 3 * units) if reset_after else (3 * units,),
        }

    @staticmethod
    def step(weights: Arrays, x: NDArray[np.float64], states: Arrays, settings: StepSettings) -> Arrays:
        from backmix.models.reference.steps import step

        return step("gru", weights, x, states, settings)
