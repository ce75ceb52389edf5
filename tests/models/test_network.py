"""The built network: equal to the reference, deterministic, blind to padding."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from backmix.models import Architecture, ModelPlan, build
from backmix.models.body.fast_path import leaves_fast_path
from backmix.models.body.summaries import CENTRE, FLOOR, STATISTICS, STRETCH, summarise
from backmix.models.cells import INITIALIZERS, cells
from backmix.models.engine import use_engine
from backmix.models.heads import heads
from backmix.models.reference import Network
from backmix.models.reference import summarise as summarise_by_numpy
from backmix.models.reference.network import summarise_back

B, T, F = 4, 7, 3
LENGTHS = np.array([7, 4, 2, 1])
MASK = np.arange(T) < LENGTHS[:, None]

FULL = Architecture(
    features=F,
    lookback=T,
    cell="gru",
    units=(5, 4),
    dense=(6,),
    head="classes",
    outputs=3,
    masked=True,
    summaries=True,
    dropout=0.2,
    recurrent_dropout=0.1,
    head_dropout=0.3,
)
SHAPES = [
    FULL,
    Architecture(features=F, cell="lstm", units=(4,), head="numbers", outputs=2),
    Architecture(features=F, lookback=T, cell="simple_rnn", units=(4, 3), head="binary", masked=True),
    Architecture(features=F, lookback=T, cell="gru", units=(4,), reset_after=False, summaries=True),
]


def inputs(shape: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(B, T, F)).astype("float32")
    return {"x": x, "mask": MASK} if shape.masked else {"x": x}


def weights(model) -> list[np.ndarray]:
    return [np.asarray(v.value) for v in model.trainable_variables]


def outputs(model, x: dict[str, np.ndarray]) -> np.ndarray:
    """What the model says, compiled as a whole: much faster than Keras's eager operations."""
    import jax

    values = [v.value for v in model.trainable_variables]
    fixed = [v.value for v in model.non_trainable_variables]
    return np.asarray(jax.jit(lambda rows: model.stateless_call(values, fixed, rows, training=False)[0])(x))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_network_equals_the_reference(shape: Architecture) -> None:
    """Course items 24-26, 32: outputs and all gradients of a whole network, float32 against float64."""
    import jax
    import jax.numpy as jnp

    model, x = build(shape, seed=1), inputs(shape)
    network = Network.of(shape, weights(model))
    trace = network.forward(x["x"], mask=x.get("mask"))
    pull = np.random.default_rng(5).normal(size=trace.outputs.shape)
    fixed = [v.value for v in model.non_trainable_variables]

    def loss(values, rows):
        y, _ = model.stateless_call(values, fixed, {**x, "x": rows}, training=False)
        return jnp.sum(y * pull.astype("float32")), y

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    (of_weights, of_x), y = gradient([v.value for v in model.trainable_variables], jnp.asarray(x["x"]))
    assert np.abs(np.asarray(y) - trace.outputs).max() <= 1e-5
    found = network.backward(trace, pull)
    for mine, theirs in zip([*found.flat(), found.x], [*of_weights, of_x], strict=True):
        np.testing.assert_allclose(mine, np.asarray(theirs), rtol=2e-3, atol=2e-4)


def test_reference_gradients_of_inputs_equal_finite_differences() -> None:
    """Course item 5: through stacked layers, window statistics, a dense layer and a softmax."""
    rng = np.random.default_rng(2)
    shape = Architecture(
        features=2,
        cell="lstm",
        units=(3, 2),
        dense=(3,),
        dense_activation="tanh",
        head="classes",
        outputs=3,
        summaries=True,
        masked=True,
    )
    arrays = [rng.normal(size=np.shape(w)) for w in weights(build(shape, seed=0))]
    x, pull = rng.normal(size=(2, 5, 2)), rng.normal(size=(2, 3))
    mask = np.arange(5) < np.array([5, 3])[:, None]
    network = Network.of(shape, arrays)
    found = network.backward(network.forward(x, mask=mask), pull)
    for array, gradient in [(x, found.x), *zip(arrays, found.flat(), strict=True)]:
        for at in rng.permutation(array.size)[:6]:
            place = np.unravel_index(at, array.shape)
            kept = array[place]
            side = []
            for step in (1e-6, -1e-6):
                array[place] = kept + step
                side.append((Network.of(shape, arrays).forward(x, mask=mask).outputs * pull).sum())
            array[place] = kept
            assert gradient[place] == pytest.approx((side[0] - side[1]) / 2e-6, rel=1e-5, abs=1e-7)


def test_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    """Course item 42: explicit seeds on every initialiser, whatever the global seeds are."""
    keras = use_engine()
    keras.utils.set_random_seed(1)
    first = build(FULL, seed=7)
    keras.utils.set_random_seed(2)
    second = build(FULL, seed=7)
    assert len(first.variables) == len(second.variables)
    for a, b in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a.value), np.asarray(b.value))
    other = build(FULL, seed=8)
    assert any(not np.array_equal(a, b) for a, b in zip(weights(first), weights(other), strict=True))
    starts = [tuple(w.ravel()[:4]) for w in weights(first) if w.ndim == 2 and w.any()]
    assert len(starts) == 6
    assert len(set(starts)) == 6


def test_dropout_draws_from_variables_of_the_model() -> None:
    """Course items 39, 40: the state of every dropout can be kept in a checkpoint and set back."""
    model, x = build(FULL, seed=3), inputs(FULL)
    assert len(model.non_trainable_variables) == len(FULL.units) + 1 + len(FULL.dense)
    assert {id(v) for v in model.non_trainable_variables} <= {id(v) for v in model.variables}
    kept = [np.asarray(v.value) for v in model.non_trainable_variables]
    step = training_step(model)
    first, after = step(kept, x)
    second, _ = step(after, x)
    assert not np.array_equal(np.asarray(first), np.asarray(second))
    np.testing.assert_array_equal(np.asarray(step(kept, x)[0]), np.asarray(first))


def training_step(model):
    """Outputs with dropout, and the states of the dropouts after it."""
    import jax

    values = [v.value for v in model.trainable_variables]
    return jax.jit(lambda fixed, rows: model.stateless_call(values, fixed, rows, training=True))


@pytest.mark.parametrize(("shape", "rubbish"), [(FULL, np.nan), (SHAPES[2], 1e6)], ids=["nan", "large"])
def test_padding_changes_nothing(shape: Architecture, rubbish: float) -> None:
    """Course item 17, row 27: neither more padding nor what stands in it changes an output."""
    shape = Architecture.from_dict({**shape.to_dict(), "lookback": None})
    model, x = build(shape, seed=4), inputs(shape)
    padded = {
        "x": np.concatenate([x["x"], np.full((B, 5, F), rubbish, dtype="float32")], axis=1),
        "mask": np.concatenate([MASK, np.zeros((B, 5), dtype=bool)], axis=1),
    }
    padded["x"][~padded["mask"]] = rubbish
    whole = outputs(model, x)
    np.testing.assert_allclose(outputs(model, padded), whole, atol=1e-6)
    for row, length in [(1, LENGTHS[1]), (3, LENGTHS[3])]:
        alone = {"x": x["x"][row : row + 1, :length], "mask": np.ones((1, length), dtype=bool)}
        np.testing.assert_allclose(outputs(model, alone)[0], whole[row], atol=1e-6)


def test_padding_leaves_gradients_finite() -> None:
    """Trap U: a NaN in padding reaches no weight."""
    import jax

    model, x = build(FULL, seed=4), inputs(FULL)
    x["x"][~MASK] = np.nan
    values = [v.value for v in model.trainable_variables]
    fixed = [v.value for v in model.non_trainable_variables]
    grads = jax.jit(jax.grad(lambda v: model.stateless_call(v, fixed, x)[0][:, 0].sum()))(values)
    assert all(np.isfinite(np.asarray(g)).all() for g in grads)


def test_batch_size_changes_nothing() -> None:
    model, x = build(FULL, seed=5), inputs(FULL)
    whole = outputs(model, x)
    for rows in (slice(0, 1), slice(1, 4)):
        some = {name: values[rows] for name, values in x.items()}
        np.testing.assert_allclose(outputs(model, some), whole[rows], atol=1e-6)


@pytest.mark.parametrize("cell", cells.names())
def test_every_cell_builds_stacks_and_counts(cell: str) -> None:
    """Course items 33 and 34, for every registered cell: layers of it stack, and its count of parameters is true."""
    from backmix.models.shape.size import parameters

    shape = Architecture(features=F, cell=cell, units=(4, 3, 2), initializer="orthogonal")
    model = build(shape, seed=0)
    assert model.count_params() == parameters(shape)
    assert outputs(model, inputs(shape)).shape == (B, 1)
    assert cells.get(cell).source


@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_initializers(name: str) -> None:
    """Course item 42: each is accepted and gives its own weights."""
    kernel = weights(build(Architecture(features=F, initializer=name, units=(4,)), seed=0))[0]
    assert np.isfinite(kernel).all()
    assert kernel.std() > 0


def test_heads_give_what_they_say() -> None:
    """Course items 24-26: numbers are unbounded, probabilities lie in [0, 1] and sum to one."""
    x = {"x": 50 * inputs(SHAPES[1])["x"]}
    for name, head in heads:
        count = max(head.least, min(3, head.most))
        model = build(Architecture(features=F, units=(3,), head=name, outputs=count), seed=0)
        y = outputs(model, x)
        assert y.shape == (B, count)
        if head.activation != "linear":
            assert y.min() >= 0
            assert y.max() <= 1
        if head.activation == "softmax":
            np.testing.assert_allclose(y.sum(axis=1), 1, atol=1e-6)


@cache
def compiled_summaries():
    import jax

    return jax.jit(summarise)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.sampled_from([1, 2, 6]), masked=st.booleans())
def test_summaries_equal_numpy(seed: int, rows: int, masked: bool) -> None:
    """The statistics by Keras operations, by the reference, and by NumPy on each window alone."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, rows, 2)) * 3
    lengths = rng.integers(1, rows + 1, 3) if masked else np.full(3, rows)
    mask = np.arange(rows) < lengths[:, None]
    found = np.asarray(compiled_summaries()(x.astype("float32"), mask if masked else None))
    np.testing.assert_allclose(found, summarise_by_numpy(x, mask if masked else None), atol=1e-3)
    for row, length in enumerate(lengths):
        w = x[row, :length]
        step = np.abs(np.diff(w, axis=0)).mean(axis=0) if length > 1 else np.zeros(2)
        slope = np.polyfit(np.arange(length), w, 1)[0] * (length - 1) if length > 1 else np.zeros(2)
        logs = [STRETCH * np.log(v / CENTRE) for v in (np.hypot(w.std(0), FLOOR), step + FLOOR)]
        own = np.concatenate([w.mean(0), logs[0], slope, logs[1], w[-1]])
        np.testing.assert_allclose(found[row], own, atol=1e-3)
    assert found.shape == (3, 2 * len(STATISTICS))


def test_gradient_of_summaries_equals_finite_differences() -> None:
    rng = np.random.default_rng(0)
    x, pull = rng.normal(size=(2, 5, 2)), rng.normal(size=(2, 10))
    mask = np.arange(5) < np.array([5, 3])[:, None]
    found = summarise_back(x, mask, pull)
    for place in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[place] += 1e-6
        low[place] -= 1e-6
        difference = ((summarise_by_numpy(high, mask) - summarise_by_numpy(low, mask)) * pull).sum() / 2e-6
        assert found[place] == pytest.approx(difference, rel=1e-4, abs=1e-6)


def test_what_leaves_the_fast_path() -> None:
    """Course item 41, letter D: recurrent dropout does, plain dropout does not."""
    assert leaves_fast_path(Architecture(features=2, dropout=0.5)) == ()
    assert leaves_fast_path(Architecture(features=2, cell="lstm", reset_after=False)) == ()
    found = leaves_fast_path(
        Architecture(
            features=2, recurrent_dropout=0.1, activation="relu", recurrent_activation="hard_sigmoid", reset_after=False
        )
    )
    assert [c.setting for c in found] == [
        "model.recurrent_dropout",
        "model.activation",
        "model.recurrent_activation",
        "model.reset_after",
    ]
    assert "plain dropout does not" in found[0].reason("en")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cell": "grru"}, "there is no 'grru'. Use one of: gru, lstm, simple_rnn"),
        ({"units": []}, 'units is empty. Give the size of at least one recurrent layer, such as [32], or "auto"'),
        ({"units": [0]}, "at most 16 layers of 1 to 4096 units each. Use fewer or smaller layers"),
        ({"dense": [8] * 17}, "at most 16 layers of 1 to 4096 units each. Use fewer or smaller layers"),
        ({"dropout": 1.0}, "a dropout rate lies between 0 and 0.9"),
        ({"recurrent_dropout": -0.1}, "a dropout rate lies between 0 and 0.9"),
        ({"dropout": float("nan")}, "a dropout rate lies between 0 and 0.9"),
        ({"activation": "exec"}, "there is no 'exec'. Use one of: tanh, relu, sigmoid, hard_sigmoid, linear"),
    ],
)
def test_plan_refuses(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelPlan.model_validate(fields)
    assert message in str(caught.value)


def test_building_says_nothing_and_leaves_the_engine_alone() -> None:
    """Trap Y: no log line, no warning, 64-bit numbers of JAX untouched, and help needs no engine."""
    code = (
        "import sys; from backmix.models import Architecture, ModelPlan, build;"
        "import backmix.models.shape.size, backmix.models.losses, backmix.models.reference;"
        "loaded = {'keras', 'jax', 'pandas', 'tensorflow', 'torch'} & set(sys.modules);"
        "assert not loaded, loaded;"
        "build(Architecture(features=2), seed=0);"
        "import jax; assert not jax.config.jax_enable_x64; assert 'tensorflow' not in sys.modules"
    )
    env = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""
