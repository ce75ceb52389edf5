"""Attention layers for Keras.

This module holds additive attention over recurrent states, for heads and decoders, and the causal self-attention of
a Transformer.
"""

from __future__ import annotations

from typing import Any

from backmix.models.cells import initializer
from backmix.models.engine import use_engine

keras = use_engine()
NEVER = -1e9
"""A score that softmax turns into zero. Minus infinity would give NaN for a window without a real row."""


class AdditiveWeights(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """Weights (B, T) over states (B, T, W) for a query (B, W): softmax of v tanh(h_t K + q Q + b).

    Bahdanau, Cho & Bengio, Neural machine translation by jointly learning to align and translate,
    ICLR 2015. Rows where mask (B, T) is false weigh nothing.

    >>> layer = AdditiveWeights(4, seed=0)
    >>> float(keras.ops.sum(layer(keras.ops.ones((1, 5, 3)), keras.ops.ones((1, 3)))))
    1.0
    """

    def __init__(self, size: int, *, seed: int, name: str = "attention_weights") -> None:
        super().__init__(name=name)
        self.size = size
        self.seed = seed

    def build(self, states_shape: Any, query_shape: Any) -> None:
        def kernel(name: str, shape: tuple[int, int], seed: int) -> Any:
            return self.add_weight(shape=shape, name=name, initializer=initializer("glorot_uniform", seed))

        self.kernel = kernel("kernel", (states_shape[-1], self.size), self.seed)
        self.query = kernel("query", (query_shape[-1], self.size), self.seed + 1)
        self.score = kernel("score", (self.size, 1), self.seed + 2)
        self.bias = self.add_weight(shape=(self.size,), name="bias", initializer="zeros")

    def call(self, states: Any, query: Any, mask: Any = None) -> Any:
        return self.weigh(self.keys(states), query, mask)

    def keys(self, states: Any) -> Any:
        """The part of the scores that does not depend on the query, (B, T, size)."""
        return keras.ops.matmul(states, self.kernel) + self.bias

    def weigh(self, keys: Any, query: Any, mask: Any = None) -> Any:
        """Weights (B, T) from `keys` and a query (B, W)."""
        ops = keras.ops
        hidden = ops.tanh(keys + ops.expand_dims(ops.matmul(query, self.query), 1))
        score = ops.squeeze(ops.matmul(hidden, self.score), -1)
        if mask is not None:
            score = ops.where(mask, score, NEVER)
        return _shares(score)

    def compute_output_shape(self, states_shape: Any, query_shape: Any) -> Any:
        return tuple(states_shape[:2])

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        """No mask is passed on: padding has weight zero."""


class CausalAttention(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """Self-attention (B, T, W) -> (B, T, W) in which a row sees itself and the real rows before it.

    softmax(Q K' / sqrt(W / heads)) V per head (Vaswani et al., Attention is all you need, NeurIPS 2017).

    >>> CausalAttention(2, seed=0)(keras.ops.ones((1, 5, 4))).shape
    (1, 5, 4)
    """

    def __init__(self, heads: int, *, seed: int, name: str = "attention") -> None:
        super().__init__(name=name)
        self.heads = heads
        self.seed = seed

    def build(self, rows_shape: Any) -> None:
        width = rows_shape[-1]
        for number, role in enumerate(("kernel", "out_kernel")):
            columns = 3 * width if role == "kernel" else width
            setattr(
                self,
                role,
                self.add_weight(
                    shape=(width, columns), name=role, initializer=initializer("glorot_uniform", self.seed + number)
                ),
            )
        self.bias = self.add_weight(shape=(3 * width,), name="bias", initializer="zeros")
        self.out_bias = self.add_weight(shape=(width,), name="out_bias", initializer="zeros")

    def call(self, rows: Any, mask: Any = None) -> Any:
        ops = keras.ops
        steps, width = ops.shape(rows)[1], rows.shape[-1]
        projections = ops.split(ops.matmul(rows, self.kernel) + self.bias, 3, axis=-1)
        q, k, v = (
            ops.transpose(ops.reshape(projection, (-1, steps, self.heads, width // self.heads)), (0, 2, 1, 3))
            for projection in projections
        )
        score = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / (width // self.heads) ** 0.5
        place = ops.arange(steps)
        visible = ops.expand_dims(place, 0) <= ops.expand_dims(place, 1)
        if mask is not None:
            visible = ops.logical_and(visible, mask[:, None, None, :])
        values = ops.matmul(_shares(ops.where(visible, score, NEVER)), v)
        joined = ops.reshape(ops.transpose(values, (0, 2, 1, 3)), (-1, steps, width))
        return ops.matmul(joined, self.out_kernel) + self.out_bias

    def compute_output_shape(self, rows_shape: Any) -> Any:
        return tuple(rows_shape)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        """No mask is passed on: layers that need one get it as an argument."""


def context(weights: Any, rows: Any) -> Any:
    """The mean (B, W) of rows (B, T, W) under weights (B, T)."""
    return keras.ops.squeeze(keras.ops.matmul(keras.ops.expand_dims(weights, 1), rows), 1)


def _shares(score: Any) -> Any:
    """Softmax over the last axis; Keras's own warns of windows of one row."""
    ops = keras.ops
    e = ops.exp(score - ops.stop_gradient(ops.max(score, axis=-1, keepdims=True)))
    return e / ops.sum(e, axis=-1, keepdims=True)
