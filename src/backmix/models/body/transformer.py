"""A small causal Transformer.

This module encodes windows without recurrence: rows are projected to the width, get a position encoding, and go
through blocks of self-attention and two dense layers, normalised before each (Vaswani et al., NeurIPS 2017;
normalisation first: Xiong et al., ICML 2020). The output at a row depends on that row and the real rows before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.architecture import Architecture
from backmix.models.body.attention import CausalAttention
from backmix.models.body.encoders import Encoded, last_row
from backmix.models.body.seeds import Seeds
from backmix.models.cells import initializer
from backmix.models.engine import use_engine
from backmix.models.shape.size import INNER

keras = use_engine()


def transform(a: Architecture, x: Any, mask: Any, seeds: Seeds) -> Encoded:
    """Run x (B, T, F) through the blocks: rows (B, T, W) and the last real one."""
    y = PositionEncoding(name="places")(_dense(a.width, "linear", "embed", next(seeds.plain))(x))
    for number in range(1, len(a.units) + 1):
        name = f"block_{number}"
        inner = _norm(f"{name}_norm_1")(y)
        inner = CausalAttention(a.attention_heads, seed=next(seeds.plain), name=f"{name}_attention")(inner, mask=mask)
        y = y + _dropped(inner, a.dropout, f"{name}_dropout_1", seeds)
        inner = _dense(INNER * a.width, a.dense_activation, f"{name}_dense_1", next(seeds.plain))(
            _norm(f"{name}_norm_2")(y)
        )
        inner = _dense(a.width, "linear", f"{name}_dense_2", next(seeds.plain))(inner)
        y = y + _dropped(inner, a.dropout, f"{name}_dropout_2", seeds)
    y = _norm("norm")(y)
    return Encoded(y, last_row(y, mask))


class PositionEncoding(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """Adds to every row of (B, T, W) its position in the window, in sines and cosines of `rates`.

    >>> PositionEncoding()(keras.ops.zeros((1, 3, 4))).shape
    (1, 3, 4)
    """

    def call(self, rows: Any) -> Any:
        ops = keras.ops
        width = rows.shape[-1]
        place = ops.cast(ops.arange(ops.shape(rows)[1]), rows.dtype)
        angle = ops.expand_dims(place, -1) * ops.convert_to_tensor(rates(width), rows.dtype)
        return rows + ops.concatenate([ops.sin(angle), ops.cos(angle)[:, : width // 2]], axis=-1)

    def compute_output_shape(self, rows_shape: Any) -> Any:
        return tuple(rows_shape)


def rates(width: int) -> NDArray[np.float64]:
    """Radians per row of the sines, ceil(width / 2) of them, from 1 to about 1/10000.

    >>> rates(4).tolist()
    [1.0, 0.01]
    """
    half = (width + 1) // 2
    radians: NDArray[np.float64] = 10_000.0 ** (-np.arange(half) / half)
    return radians


def _norm(name: str) -> Any:
    return keras.layers.LayerNormalization(name=name)


def _dense(size: int, activation: str, name: str, seed: int) -> Any:
    return keras.layers.Dense(
        size, activation=activation, name=name, kernel_initializer=initializer("glorot_uniform", seed)
    )


def _dropped(y: Any, rate: float, name: str, seeds: Seeds) -> Any:
    return keras.layers.Dropout(rate, seed=next(seeds.added), name=name)(y) if rate else y
