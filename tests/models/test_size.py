"""Counts against Keras, memory against what the compiler says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backmix.models import Architecture, build
from backmix.models.cells import cells
from backmix.models.shape.size import layers, memory, memory_predict, parameters, weight_shapes

SHAPES = [
    Architecture(features=3, cell="simple_rnn", units=(32,)),
    Architecture(features=3, cell="lstm", units=(64, 32)),
    Architecture(features=3, cell="gru", units=(64,)),
    Architecture(features=3, cell="gru", units=(64,), reset_after=False),
    Architecture(
        features=5,
        cell="gru",
        units=(8, 4),
        dense=(6, 3),
        head="classes",
        outputs=4,
        masked=True,
        summaries=True,
        dropout=0.2,
        recurrent_dropout=0.1,
        head_dropout=0.3,
    ),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_parameters_equal_those_of_keras(shape: Architecture) -> None:
    """Course item 4: the count without building equals Keras's count."""
    model = build(shape, seed=0)
    assert parameters(shape) == model.count_params()
    for layer in layers(shape):
        assert layer.parameters == model.get_layer(layer.name).count_params()


@pytest.mark.parametrize(
    ("cell", "inputs", "units", "reset_after", "count"),
    [
        ("simple_rnn", 3, 32, True, 1_152),
        ("simple_rnn", 3, 64, True, 4_352),
        ("lstm", 3, 64, True, 17_408),
        ("lstm", 64, 32, True, 12_416),
        ("gru", 3, 64, False, 13_056),
        ("gru", 3, 64, True, 13_248),
    ],
)
def test_counts_of_the_course(cell: str, inputs: int, units: int, reset_after: bool, count: int) -> None:
    """Course item 4, letters A and B: 1,152 and not 1,120; 13,056 only without reset_after."""
    assert cells.get(cell).parameters(inputs, units, reset_after=reset_after) == count


def test_total_of_the_stacked_example() -> None:
    """Course items 4 and 32: LSTM 64-32 on 3 features and one output has 29,857 parameters."""
    assert parameters(Architecture(features=3, cell="lstm", units=(64, 32))) == 29_857


@pytest.mark.parametrize(
    "shape",
    [
        Architecture(features=10, lookback=40, cell="lstm", units=(32, 16)),
        Architecture(features=20, lookback=40, units=(48,), summaries=True, head="classes", outputs=5),
        Architecture(features=20, lookback=40, cell="gru", units=(32,), masked=True, dropout=0.2),
        Architecture(
            features=10, lookback=40, units=(32, 16), bidirectional=True, layer_norm=True, residual=True, attention=True
        ),
        Architecture(features=10, lookback=60, units=(32,), body="transformer", answer="every"),
        Architecture(
            features=10,
            lookback=40,
            units=(32,),
            answer="path",
            horizon=24,
            head="numbers",
            outputs=2,
            decoder="states",
            future=3,
            teacher_forcing=0.5,
        ),
        Architecture(
            features=10, lookback=60, units=(32,), answer="path", horizon=24, decoder="attention", cell="lstm"
        ),
        Architecture(
            features=10, lookback=40, units=(32,), answer="window", head="numbers", outputs=10, decoder="repeat"
        ),
    ],
    ids=str,
)
def test_memory_is_right_within_a_factor_of_two(shape: Architecture) -> None:
    """Course item 51: the estimate against the memory of the compiled step, weights and batch included."""
    train, predict = compiled_bytes(shape, batch=64)
    assert train / 2 <= memory(shape, 64) <= 2 * train
    assert predict / 2 <= memory_predict(shape, 64) <= 2 * predict


def test_memory_grows_with_length_and_batch() -> None:
    """Course item 51: beyond the weights, memory is proportional to B T."""

    def beyond(batch: int, rows: int) -> int:
        shape = Architecture(features=10, cell="lstm", units=(64,))
        return memory(shape, batch, rows=rows) - memory(shape, 0, rows=rows)

    assert beyond(64, 100) / beyond(32, 100) == pytest.approx(2)
    assert beyond(32, 2000) / beyond(32, 1000) == pytest.approx(2, rel=0.01)


def compiled_bytes(shape: Architecture, *, batch: int) -> tuple[int, int]:
    """Bytes of a gradient step and of a prediction as XLA's own analysis reports them."""
    import jax
    import jax.numpy as jnp

    model = build(shape, seed=0)
    values = [v.value for v in model.trainable_variables]
    fixed = [v.value for v in model.non_trainable_variables]
    x: dict[str, Any] = {"x": jnp.zeros((batch, shape.lookback, shape.features))}
    if shape.masked:
        x["mask"] = jnp.ones((batch, shape.lookback), dtype=bool)
    if shape.future:
        x["future"] = jnp.zeros((batch, shape.horizon, shape.future))
    if shape.teacher_forcing:
        x["teacher"] = jnp.zeros((batch, shape.horizon, shape.outputs))

    def loss(values: Any, fixed: Any, x: Any) -> Any:
        y, fixed = model.stateless_call(values, fixed, x, training=True)
        return jnp.sum(y**2), fixed

    def bytes_of(function: Any) -> int:
        found = jax.jit(function).lower(values, fixed, x).compile().memory_analysis()
        return found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes

    moments = 2 * sum(np.asarray(v).nbytes for v in values)
    train = bytes_of(jax.value_and_grad(loss, has_aux=True)) + moments
    return train, bytes_of(lambda values, fixed, x: model.stateless_call(values, fixed, x)[0])


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
@pytest.mark.parametrize("reset_after", [True, False])
def test_weight_shapes_are_those_of_the_built_network(cell: str, reset_after: bool) -> None:
    architecture = Architecture(
        features=3,
        lookback=4,
        cell=cell,
        units=(5, 2),
        dense=(3,),
        summaries=True,
        reset_after=reset_after,
        head="classes",
        outputs=4,
    )
    model = build(architecture, seed=0)
    built = {f"{v.path.split('/')[0]}/{v.path.split('/')[-1]}": tuple(v.shape) for v in model.weights}
    assert weight_shapes(architecture) == built
