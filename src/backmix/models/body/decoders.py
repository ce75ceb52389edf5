"""Decoders of encoder-decoder networks.

This module turns the encoded window into a sequence of steps: the K rows of a path, or the T rows of a window, first
to last (padding, which comes last in a window, comes last here too):

    repeat     a recurrent layer gets the vector of the window at every step
               (Cho et al., EMNLP 2014, in the form of Keras's RepeatVector)
    states     the decoder begins with the encoder's states and is fed its own last output
               (Sutskever, Vinyals & Le, NeurIPS 2014)
    attention  the same, with attention over all rows of the window before every step (Bahdanau et al., 2015)

Inputs known ahead are added to the input of their step. The first step is fed a learned start value, initially zero.
"""

from __future__ import annotations

from typing import Any

from backmix.models.architecture import Architecture
from backmix.models.body.attention import AdditiveWeights, context
from backmix.models.body.encoders import Encoded
from backmix.models.body.seeds import Seeds
from backmix.models.cells import cells, initializer
from backmix.models.engine import use_engine
from backmix.models.heads import heads

keras = use_engine()


def repeat(a: Architecture, vector: Any, x: Any, future: Any, seeds: Seeds) -> Any:
    """States (B, K, H) of a recurrent layer that gets vector (B, V) at every step; x is used only for its length T."""
    ops = keras.ops
    if a.answer == "path":
        rows = keras.layers.RepeatVector(a.horizon, name="repeat")(vector)
    else:
        rows = ops.expand_dims(vector, 1) + ops.zeros_like(x[:, :, :1])
    if future is not None:
        rows = ops.concatenate([rows, future], axis=-1)
    return cells.get(a.cell).layer(
        a.units[-1], a.layer_settings(sequences=True, seed=next(seeds.added), name="decoder")
    )(rows)


def feed_back(a: Architecture, encoded: Encoded, x: Any, others: dict[str, Any], seeds: Seeds) -> Any:
    """Outputs (B, K, O) of a `Feedback` decoder; others: mask, future and teacher, where there are any."""
    states = list(encoded.states)
    if not states:  # a Transformer has none to hand over: the decoder starts at rest, and looks
        states = [keras.ops.zeros_like(encoded.last)] * len(cells.get(a.cell).states)
    rows = encoded.rows if a.decoder == "attention" else x
    return Feedback(a, seeds)(rows, states, **others)


class Feedback(keras.layers.Layer):  # type: ignore[misc, name-defined]
    """A recurrent cell, dense layers and a head that are fed their own output of the step before.

    Takes rows (B, T, W) of the encoder, states (B, W) per letter of the cell and, where given, mask (B, T),
    future (B, K, M) and teacher (B, K, O); returns (B, K, O). In training each step of each window is fed the true
    value (teacher) with probability ``teacher_forcing``; otherwise the teacher is ignored. Gradients flow back
    through the outputs that are fed back.
    """

    def __init__(self, architecture: Architecture, seeds: Seeds) -> None:
        super().__init__(name="decoder")
        a = self.form = architecture
        settings = a.layer_settings(seed=next(seeds.added))
        self.cell = cells.get(a.cell).layer(a.width, settings).cell
        self.look = (
            AdditiveWeights(a.width, seed=next(seeds.added), name="attention") if (a.decoder == "attention") else None
        )
        self.dense = []
        for number, size in enumerate(a.dense, 1):
            self.dense.append(
                keras.layers.Dense(
                    size,
                    activation=a.dense_activation,
                    name=f"dense_{number}",
                    kernel_initializer=initializer(a.dense_initializer, next(seeds.plain)),
                )
            )
        self.head = keras.layers.Dense(
            a.outputs,
            activation=heads.get(a.head).activation,
            name="head",
            kernel_initializer=initializer("glorot_uniform", next(seeds.plain)),
        )
        self.draws = keras.random.SeedGenerator(next(seeds.added)) if a.teacher_forcing or a.head_dropout else None

    def build(self, rows_shape: Any) -> None:
        a = self.form
        self.start = self.add_weight(shape=(a.outputs,), name="start", initializer="zeros")
        looked = 0
        if self.look is not None:
            self.look.build(rows_shape, (None, a.width))
            looked = rows_shape[-1]
        self.cell.build((None, a.outputs + a.future + looked))
        width = a.width
        for layer in (*self.dense, self.head):
            layer.build((None, width))
            width = layer.units

    def compute_output_shape(self, rows_shape: Any) -> Any:
        a = self.form
        return (rows_shape[0], a.horizon if a.answer == "path" else rows_shape[1], a.outputs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        """No mask is passed on: it is one of the window's rows, not of the steps."""

    def call(
        self, rows: Any, states: Any, mask: Any = None, future: Any = None, teacher: Any = None, training: bool = False
    ) -> Any:
        ops, a = keras.ops, self.form
        batch = ops.shape(rows)[0]
        count = a.horizon if a.answer == "path" else ops.shape(rows)[1]
        keys = None if self.look is None else self.look.keys(rows)
        first = ops.broadcast_to(ops.convert_to_tensor(self.start), (batch, a.outputs))
        per_step: dict[str, Any] = {"step": ops.arange(count)}  # scan needs at least one sequence
        if future is not None:
            per_step["future"] = ops.transpose(future, (1, 0, 2))
        if training and teacher is not None:
            before = ops.concatenate([ops.expand_dims(first, 1), teacher[:, :-1]], axis=1)
            per_step["teacher"] = ops.transpose(before, (1, 0, 2))
            per_step["taught"] = keras.random.uniform((count, batch, 1), seed=self.draws) < a.teacher_forcing
        dropped = self._dropped(batch) if training and a.head_dropout else None

        def step(carried: Any, now: Any) -> Any:
            states, output = carried
            if "teacher" in now:
                output = ops.where(now["taught"], now["teacher"], output)
            entering = [output, *([now["future"]] if "future" in now else [])]
            if self.look is not None:
                entering.append(context(self.look.weigh(keys, states[0], mask), rows))
            y, states = self.cell(ops.concatenate(entering, axis=-1), states, training=False)
            for number, layer in enumerate((*self.dense, self.head)):
                y = layer(y if dropped is None else y * dropped[number])
            return (list(states), y), y

        _, outputs = ops.scan(step, (list(states), first), per_step)
        return ops.transpose(outputs, (1, 0, 2))

    def _dropped(self, batch: Any) -> list[Any]:
        """Dropout factors of what enters the dense layers and the head, the same at every step."""
        a = self.form
        return [
            keras.random.dropout(keras.ops.ones((batch, width)), a.head_dropout, seed=self.draws)
            for width in (a.width, *a.dense)
        ]
