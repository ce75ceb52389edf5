"""How large a network is, before it is built.

This module counts parameters exactly and estimates the memory of training and of prediction from
the architecture alone, so that nothing is allocated to find out that it does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backmix.models.cells import cells
from backmix.models.summaries import STATISTICS

if TYPE_CHECKING:
    from backmix.models.architecture import Architecture

BYTES = 4
"""Networks compute in float32."""
COPIES = 4
"""Weights, their gradients and the two moments of Adam."""
UNKNOWN_ROWS = 100
"""Rows taken for a window of unknown length when the caller knows none either."""


@dataclass(frozen=True)
class Layer:
    """One layer with parameters: its name in the Keras model, its inputs, its size, its count."""

    name: str
    inputs: int
    size: int
    parameters: int


def layers(architecture: Architecture) -> Iterator[Layer]:
    """The layers with parameters, from the input on; names as in the built Keras model."""
    a = architecture
    cell, width = cells.get(a.cell), a.features
    for number, units in enumerate(a.units, 1):
        yield Layer(f"recurrent_{number}", width, units,
                    cell.parameters(width, units, reset_after=a.reset_after))
        width = units
    if a.summaries:
        width += len(STATISTICS) * a.features
    for number, size in enumerate(a.dense, 1):
        yield Layer(f"dense_{number}", width, size, (width + 1) * size)
        width = size
    yield Layer("head", width, a.outputs, (width + 1) * a.outputs)


def weight_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The shape of every weight array by ``layer/role``, as the built Keras model has them.

    >>> from backmix.models.architecture import Architecture
    >>> weight_shapes(Architecture(features=3, cell="lstm", units=(4,)))["recurrent_1/kernel"]
    (3, 16)
    """
    a = architecture
    found: dict[str, tuple[int, ...]] = {}
    cell = cells.get(a.cell)
    for layer in layers(a):
        columns = layer.size
        if layer.name.startswith("recurrent"):
            # each further input adds one row to the kernel: its length is gates times units
            columns = (cell.parameters(2, layer.size, reset_after=a.reset_after)
                       - cell.parameters(1, layer.size, reset_after=a.reset_after))
            found[f"{layer.name}/recurrent_kernel"] = (layer.size, columns)
        found[f"{layer.name}/kernel"] = (layer.inputs, columns)
        rest = layer.parameters - sum(math.prod(shape) for name, shape in found.items()
                                      if name.startswith(f"{layer.name}/"))
        found[f"{layer.name}/bias"] = (columns,) if rest == columns else (rest // columns, columns)
    return found


def parameters(architecture: Architecture) -> int:
    """How many trainable numbers the network has; equal to Keras's own count.

    >>> from backmix.models.architecture import Architecture
    >>> parameters(Architecture(features=3, cell="simple_rnn", units=(32,)))
    1185
    """
    return sum(layer.parameters for layer in layers(architecture))


def memory(architecture: Architecture, batch_size: int, *, rows: int | None = None) -> int:
    """Bytes that one training step needs: weights, gradients, moments, and what BPTT keeps.

    rows: T, where the architecture leaves it open

    Every step of every recurrent layer keeps its input, states and gates for the way back, so
    memory grows with B T H. The estimate is meant to be right within a factor of two.
    """
    a = architecture
    steps = batch_size * (a.lookback or rows or UNKNOWN_ROWS)
    kept = cells.get(a.cell).kept
    numbers = COPIES * parameters(a) + steps * a.features * (2 if a.masked else 1)
    for layer in layers(a):
        if layer.name.startswith("recurrent"):
            numbers += steps * (kept * layer.size + layer.inputs)
        else:
            numbers += batch_size * 3 * (layer.size + layer.inputs)
    if a.summaries:
        numbers += 2 * steps * a.features
    return BYTES * numbers


def memory_predict(architecture: Architecture, batch_size: int, *, rows: int | None = None) -> int:
    """Bytes that predicting one batch needs: weights, inputs and the sequences that layers hand on."""
    a = architecture
    steps = batch_size * (a.lookback or rows or UNKNOWN_ROWS)
    numbers = parameters(a) + 2 * steps * a.features
    for layer in layers(a):
        if layer.name.startswith("recurrent") and layer.name != f"recurrent_{len(a.units)}":
            numbers += steps * layer.size
        else:
            numbers += batch_size * (layer.size + layer.inputs)
    if a.summaries:
        numbers += 2 * steps * a.features
    return BYTES * numbers
