"""How large a network is, before it is built.

This module counts parameters exactly and estimates the memory of training and of prediction from
the architecture alone, so that nothing is allocated to find out that it does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from backmix.models.body.summaries import STATISTICS
from backmix.models.cells import cells
from backmix.models.shape.network_shape import NetworkShape

BYTES = 4
"""Networks compute in float32."""
COPIES = 4
"""Weights, their gradients and the two moments of Adam."""
UNKNOWN_ROWS = 100
"""Rows assumed for a window when neither the architecture nor the caller says how many it has."""


INNER = 2
"""The first dense layer of a Transformer block is so many times as wide as the Transformer."""

Where = Literal["once", "window", "steps"]
"""How often a layer runs over a window: once, at each of its T rows, or at each of the K steps."""


@dataclass(frozen=True)
class Layer:
    """One layer with parameters, named as in the Keras model.

    inputs, size: the columns that go in and come out; shapes: of its weights by role
    where: how often it runs over a window
    kept: numbers per run that training keeps for backpropagation
    pairs: numbers that training keeps per run and row attended to
    shown: numbers per run that the layer passes on in prediction; 0 for a layer that runs once and passes on a vector
    looked: numbers that prediction needs per row attended to, for all runs that go on at the same time
    """

    name: str
    inputs: int
    size: int
    shapes: Mapping[str, tuple[int, ...]]
    where: Where = "once"
    kept: int = 0
    pairs: int = 0
    shown: int = 0
    looked: int = 0

    @property
    def parameters(self) -> int:
        """How many trainable numbers it has."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def layers(architecture: NetworkShape) -> Iterator[Layer]:
    """The layers with parameters, from the input to the head; names as in the built Keras model."""
    a = architecture
    yield from _transformer(a) if a.body == "transformer" else _recurrent(a)
    if a.feedback:
        yield _feedback(a)
        return
    width = a.width
    if a.attention:
        yield Layer("attention_weights", width, 1, _additive(width, width), "window", 3 * width, shown=width)
        width += a.width
    if a.summaries:
        width += len(STATISTICS) * a.features
    if a.skip:
        width += (a.lookback or 0) * a.features
    where: Where = "window" if a.by_row else "once"
    if a.decoder == "repeat":
        yield _repeat(a, width + a.future)
        width, where = a.units[-1], "steps"
    else:
        width += a.future * a.horizon
    for number, size in enumerate(a.dense, 1):
        yield _dense(f"dense_{number}", width, size, where)
        width = size
    yield _dense("head", width, a.outputs * (a.horizon if a.answer == "path" and a.decoder == "none" else 1), where)


def weight_shapes(architecture: NetworkShape) -> dict[str, tuple[int, ...]]:
    """The shape of every weight array by ``layer/role``, as the built Keras model has them.

    >>> weight_shapes(NetworkShape(features=3, cell="lstm", units=(4,)))["recurrent_1/kernel"]
    (3, 16)
    """
    return {f"{layer.name}/{role}": shape for layer in layers(architecture) for role, shape in layer.shapes.items()}


def parameters(architecture: NetworkShape) -> int:
    """How many trainable numbers the network has; equal to Keras's own count.

    >>> parameters(NetworkShape(features=3, cell="simple_rnn", units=(32,)))
    1185
    """
    return sum(layer.parameters for layer in layers(architecture))


def memory(architecture: NetworkShape, batch_size: int, *, rows: int | None = None) -> int:
    """Bytes that one training step needs: weights, gradients, moments, and what BPTT keeps.

    rows: T, where the architecture leaves it open

    Every step of every recurrent layer keeps its input, states and gates for the way back, so
    memory grows with B T H. The estimate is meant to be right within a factor of two.
    """
    a = architecture
    length = a.lookback or rows or UNKNOWN_ROWS
    steps = batch_size * length
    numbers = COPIES * parameters(a) + steps * a.features * (2 if a.masked else 1)
    for layer in layers(a):
        numbers += batch_size * _runs(a, layer, length) * (layer.kept + length * layer.pairs)
    if a.summaries:
        numbers += 2 * steps * a.features
    return BYTES * numbers


def memory_predict(architecture: NetworkShape, batch_size: int, *, rows: int | None = None) -> int:
    """Bytes that predicting one batch needs: weights, inputs and the sequences that layers hand on."""
    a = architecture
    length = a.lookback or rows or UNKNOWN_ROWS
    steps = batch_size * length
    numbers = parameters(a) + 2 * steps * a.features
    blocks = 0  # of a Transformer only one part works at a time
    for layer in layers(a):
        runs = _runs(a, layer, length)
        if not layer.shown:
            numbers += batch_size * (layer.size + layer.inputs)
        elif a.body == "transformer" and layer.where == "window":
            blocks = max(blocks, batch_size * runs * (layer.shown + length * layer.looked))
        else:
            numbers += batch_size * (runs * layer.shown + length * layer.looked)
    numbers += blocks
    if a.summaries:
        numbers += 2 * steps * a.features
    return BYTES * numbers


def _runs(a: NetworkShape, layer: Layer, length: int) -> int:
    if layer.where == "once":
        return 1
    return a.horizon if layer.where == "steps" and a.answer == "path" else length


def _recurrent(a: NetworkShape) -> Iterator[Layer]:
    width, ways, kept_per_unit = a.features, (2 if a.bidirectional else 1), cells.get(a.cell).kept
    for number, units in enumerate(a.units, 1):
        name = f"recurrent_{number}"
        shapes = _cell(a, width, units)
        if a.bidirectional:
            shapes = {
                f"{way}_{name}/{role}": shape for way in ("forward", "backward") for role, shape in shapes.items()
            }
        wide = ways * units
        rows = number < len(a.units) or a.by_row or a.attention or a.decoder == "attention"
        yield Layer(
            name, width, wide, shapes, "window", ways * (kept_per_unit * units + width), shown=wide if rows else 0
        )
        where: Where = "window" if rows else "once"
        if a.layer_norm:
            yield Layer(f"norm_{number}", wide, wide, _norm(wide), where, 3 * wide, shown=wide if rows else 0)
        if a.residual and width != wide:
            yield Layer(
                f"skip_{number}", width, wide, {"kernel": (width, wide)}, where, wide, shown=wide if rows else 0
            )
        width = wide


def _transformer(a: NetworkShape) -> Iterator[Layer]:
    wide = a.width

    def on_rows(name: str, inputs: int, size: int, shapes: Mapping[str, tuple[int, ...]], kept: int) -> Layer:
        return Layer(name, inputs, size, shapes, "window", kept, shown=size)

    yield on_rows("embed", a.features, wide, _plain(a.features, wide), a.features + 2 * wide)
    for number in range(1, len(a.units) + 1):
        block = f"block_{number}"
        yield on_rows(f"{block}_norm_1", wide, wide, _norm(wide), 3 * wide)
        yield Layer(
            f"{block}_attention",
            wide,
            wide,
            {"kernel": (wide, 3 * wide), "bias": (3 * wide,), "out_kernel": (wide, wide), "out_bias": (wide,)},
            "window",
            6 * wide,
            3 * a.attention_heads,
            shown=4 * wide,
            looked=a.attention_heads,
        )
        yield on_rows(f"{block}_norm_2", wide, wide, _norm(wide), 3 * wide)
        yield on_rows(f"{block}_dense_1", wide, INNER * wide, _plain(wide, INNER * wide), 2 * INNER * wide)
        yield on_rows(f"{block}_dense_2", INNER * wide, wide, _plain(INNER * wide, wide), 2 * wide)
    yield on_rows("norm", wide, wide, _norm(wide), 3 * wide)


def _repeat(a: NetworkShape, inputs: int) -> Layer:
    units = a.units[-1]
    return Layer(
        "decoder",
        inputs,
        units,
        _cell(a, inputs, units),
        "steps",
        cells.get(a.cell).kept * units + 2 * inputs,
        shown=units + inputs,
    )


def _feedback(a: NetworkShape) -> Layer:
    """The decoder that is fed its own last output, with its cell, attention, dense layers and head."""
    looks = a.decoder == "attention"
    inputs = a.outputs + a.future + (a.width if looks else 0)
    shapes = {"start": (a.outputs,), **_cell(a, inputs, a.width)}
    if looks:
        shapes |= {f"attention/{role}": shape for role, shape in _additive(a.width, a.width).items()}
    width = a.width
    kept = 2 * cells.get(a.cell).kept * width + inputs  # Keras's own loop keeps about twice as much
    for number, size in enumerate(a.dense, 1):
        shapes |= {f"dense_{number}/{role}": shape for role, shape in _plain(width, size).items()}
        kept, width = kept + 3 * size, size
    shapes |= {f"head/{role}": shape for role, shape in _plain(width, a.outputs).items()}
    return Layer(
        "decoder",
        inputs,
        a.outputs,
        shapes,
        "steps",
        kept + 3 * a.outputs,
        2 * a.width if looks else 0,
        shown=a.outputs + a.future,
        looked=2 * a.width if looks else 0,
    )


def _dense(name: str, inputs: int, size: int, where: Where) -> Layer:
    return Layer(
        name, inputs, size, _plain(inputs, size), where, 3 * (size + inputs), shown=0 if where == "once" else size
    )


def _plain(inputs: int, size: int) -> dict[str, tuple[int, ...]]:
    return {"kernel": (inputs, size), "bias": (size,)}


def _norm(size: int) -> dict[str, tuple[int, ...]]:
    return {"gamma": (size,), "beta": (size,)}


def _additive(width: int, query: int) -> dict[str, tuple[int, ...]]:
    return {"kernel": (width, width), "query": (query, width), "score": (width, 1), "bias": (width,)}


def _cell(a: NetworkShape, inputs: int, units: int) -> dict[str, tuple[int, ...]]:
    """The weights of one recurrent layer, as its cell declares them."""
    return dict(cells.get(a.cell).weights(inputs, units, reset_after=a.reset_after))
