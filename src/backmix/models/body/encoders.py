"""From the rows of a window to states.

This module stacks recurrent layers: one way or bidirectional, with layer normalisation and residual connections. The
result is an `Encoded`, as that of a Transformer is, so that heads and decoders do not depend on the body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from backmix.models.architecture import Architecture
from backmix.models.body.seeds import Seeds
from backmix.models.cells import LayerSettings, cells, initializer
from backmix.models.engine import use_engine


@dataclass(frozen=True)
class Encoded:
    """The output of a body; W is `Architecture.width`.

    rows: (B, T, W), None unless asked for
    last: (B, W) at the last real row; the backward half is the last state of the backward layer, which has seen the
        whole window
    states: of the last layer, (B, W) per letter of the cell, h equal to ``last``; () unless asked for
    """

    rows: Any
    last: Any
    states: tuple[Any, ...] = ()


def encode(a: Architecture, x: Any, mask: Any, seeds: Seeds, *, rows: bool, states: bool) -> Encoded:
    """Run x (B, T, F) through the recurrent layers; rows, states: whether they are wanted.

    A layer norm acts on what a layer gives, before the residual is added:
    y = norm(layer(x)) + x, x being projected where the widths differ. For the last state x is the
    many-to-one output of the layer below (of the input: the last real row).
    """
    y, last = x, (last_row(x, mask) if a.residual else None)
    states_kept: tuple[Any, ...] = ()
    for number, units in enumerate(a.units, 1):
        top = number == len(a.units)
        sequences = rows if top else True
        ask = (top and states) or (sequences and a.bidirectional and (top or a.residual))
        settings = a.layer_settings(
            dropout=a.dropout,
            recurrent_dropout=a.recurrent_dropout,
            sequences=sequences,
            states=ask,
            seed=next(seeds.plain),
            name=f"recurrent_{number}",
        )
        result = _layer(a, units, settings, seeds)(y, mask=mask)
        new, *kept_here = result if ask else (result,)
        if ask:
            states_kept = _joined(kept_here, both=a.bidirectional)
        if not sequences:
            raw = new
        elif ask:
            raw = states_kept[0]
        else:
            raw = new[:, -1] if top or a.residual else None  # a masked row repeats the state before it
        dress = dressed(a, number, (y.shape[-1], units * (2 if a.bidirectional else 1)), seeds)
        y, last = (dress(new, y) if sequences else None), (None if raw is None else dress(raw, last))
    return Encoded(y, last, (last, *states_kept[1:]) if states else ())


def last_row(rows: Any, mask: Any) -> Any:
    """The last real row (B, F) of rows (B, T, F), of which mask (B, T) says which are real."""
    if mask is None:
        return rows[:, -1]
    ops = use_engine().ops
    count = ops.cast(mask, "int32")
    place = ops.cumsum(count, axis=1)
    is_last = ops.logical_and(mask, ops.equal(place, ops.sum(count, axis=1, keepdims=True)))
    return ops.sum(ops.where(ops.expand_dims(is_last, -1), rows, ops.zeros_like(rows)), axis=1)


def _layer(a: Architecture, units: int, settings: LayerSettings, seeds: Seeds) -> Any:
    layer = cells.get(a.cell).layer(units, settings)
    if a.bidirectional:
        layer = _both_ways(a, units, layer, settings, seeds)
    # Keras would weight losses by a mask that only some forms pass on; the feed weights the rows itself
    layer.compute_mask = _no_mask
    return layer


def _both_ways(a: Architecture, units: int, forward: Any, settings: LayerSettings, seeds: Seeds) -> Any:
    from backmix.models import layers

    # Keras's own copy of the forward layer would have the same seed, and so the same first weights
    backward = cells.get(a.cell).layer(
        units, replace(settings, backwards=True, seed=next(seeds.added), name=f"backward_{settings.name}")
    )
    return layers.Bidirectional(forward, backward_layer=backward, name=settings.name)


def _no_mask(inputs: Any, mask: Any) -> None:
    """No mask is passed on: layers that need one get it as an argument."""


def _joined(states: list[Any], *, both: bool) -> tuple[Any, ...]:
    """States per letter; those of the backward layer are appended to those of the forward layer."""
    if not both:
        return tuple(states)
    half = len(states) // 2
    concatenate = use_engine().ops.concatenate
    return tuple(concatenate([states[letter], states[half + letter]], axis=-1) for letter in range(half))


def dressed(a: Architecture, number: int, widths: tuple[int, int], seeds: Seeds) -> Any:
    """A function (output of a layer, its input) -> input of the next layer, with normalisation and residual."""
    keras = use_engine()
    norm = keras.layers.LayerNormalization(name=f"norm_{number}") if a.layer_norm else None
    skip = None
    if a.residual and widths[0] != widths[1]:
        skip = keras.layers.Dense(
            widths[1],
            use_bias=False,
            name=f"skip_{number}",
            kernel_initializer=initializer("glorot_uniform", next(seeds.added)),
        )

    def dress(output: Any, residual: Any) -> Any:
        if norm is not None:
            output = norm(output)
        if not a.residual:
            return output
        return output + (residual if skip is None else skip(residual))

    return dress
