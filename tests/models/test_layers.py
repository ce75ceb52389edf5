"""Our layers against Keras's own: outputs, states and gradients in more than 300 random configurations."""

from __future__ import annotations

import threading
from typing import Any

import keras
import numpy as np
import pytest

import recurrent
from backmix import layers as ours
from backmix.models.kernels import ACTIVATIONS, GATES, KernelForm
from recurrent import Case, make_case

PROGRAMS, CONTENTS = 32, 10
"""So many compiled pairs of layers, so many draws of arrays for each: 320 configurations."""
QUICK = {"xla_backend_optimization_level": "0", "xla_cpu_parallel_codegen_split_count": "1"}
"""Half the time for compiling Keras's loop; the arithmetic is the same."""
NO_DRAWS = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
"""A third of the time: JAX compiles each draw of Keras's for each shape, and these weights are replaced."""
KINDS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
SHAPES = [("simple_rnn", True), ("lstm", True), ("gru", True), ("gru", False)]
MOST = 2 * 10**7


def pair(form: KernelForm, units: int, **settings: Any) -> list[Any]:
    """Keras's layer and ours, made from the same arguments."""
    if form.cell != "simple_rnn":
        settings["recurrent_activation"] = form.recurrent_activation
    if form.cell == "gru":
        settings["reset_after"] = form.reset_after
    return [
        getattr(module, KINDS[form.cell])(
            units, activation=form.activation, go_backwards=form.backwards, seed=0, **settings
        )
        for module in (keras.layers, ours)
    ]


def numbers(layer: Any) -> list[Any]:
    return [np.asarray(v.value) for v in layer.weights]


def program(layer: Any, *, masked: bool) -> Any:
    """Outputs and gradients of a layer as one compiled function of a case's arrays."""
    import jax
    import jax.numpy as jnp

    fixed = [v.value for v in layer.non_trainable_variables]
    several = getattr(layer.cell, "dropout_mask_count", None)

    def loss(values, x, states, rest, pulls):
        for place, name in (("_dropout_mask", "x_mask"), ("_recurrent_dropout_mask", "h_mask")):
            drawn = rest[name]
            setattr(layer.cell, place, drawn if drawn is None else list(drawn) if several else drawn[0])
        found, _ = layer.stateless_call(
            values, fixed, x, initial_state=states, mask=rest["seen"] if masked else None, training=True
        )
        found = found if isinstance(found, tuple) else (found,)
        which = ("dh" if layer.return_sequences else "dh_last", "dh_last", "dc_last")
        return sum(jnp.sum(y * pulls[name]) for y, name in zip(found, which, strict=False)), found

    return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True), compiler_options=QUICK)


def arguments(case: Case) -> tuple[Any, ...]:
    a = case.arrays
    return (
        [a[name] for name in recurrent.WEIGHTS if a[name] is not None],
        a["x"],
        [a[name] for name in ("h0", "c0") if a[name] is not None],
        {name: a[name] for name in ("x_mask", "h_mask", "seen")},
        case.pulls,
    )


def equal(mine: Any, theirs: Any) -> None:
    """Outputs and states to 1e-5, gradients to 1e-4 of their largest entry."""
    import jax

    # JAX would compile each difference for each shape
    (my_gradients, my_outputs), (their_gradients, their_outputs) = jax.tree.map(np.asarray, (mine, theirs))
    assert len(my_outputs) == len(their_outputs)
    for a, b in zip(my_outputs, their_outputs, strict=True):
        assert a.shape == b.shape
        assert np.abs(b).max() < 20, "numbers grow: the weights of this test are not sane"
        assert np.abs(a - b).max() <= 1e-5
    assert jax.tree.structure(my_gradients) == jax.tree.structure(their_gradients)
    for a, b in zip(jax.tree.leaves(my_gradients), jax.tree.leaves(their_gradients), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max() + 1e-6


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_layers_equal_keras(seed: int) -> None:
    """Course items 35, 36, 39, 40: random cell, form, sizes, settings, weights, windows, states, masks, dropout."""
    rng = np.random.default_rng(seed)
    cell, reset_after = SHAPES[seed % 4]
    acts = ("tanh", "sigmoid") if seed % 3 == 0 else tuple(str(a) for a in rng.choice(list(ACTIVATIONS), 2))
    form = KernelForm(cell, *acts, reset_after=reset_after, backwards=bool(rng.integers(2)))
    kinked = not recurrent.KINKS.keys().isdisjoint(acts)
    steps, features, units = (int(rng.integers(1, most + 1)) for most in ((8, 20, 20) if kinked else (200, 130, 130)))
    batch = int(rng.integers(1, 5 if kinked else 71))
    batch = max(1, min(batch, MOST // (steps * (features + units) * units * GATES[cell])))
    dropout, recurrent_dropout, one_by_one = (bool(rng.random() < p) for p in (0.4, 0.3, 0.2))
    count = GATES[cell] if recurrent_dropout else 1
    use_bias, masked = bool(rng.random() < 0.8), bool(rng.random() < 0.7)
    settings = {
        "use_bias": use_bias,
        "dropout": 0.3 * dropout,
        "recurrent_dropout": 0.3 * recurrent_dropout,
        "return_sequences": bool(rng.integers(2)),
        "return_state": bool(rng.random() < 0.8),
        "zero_output_for_mask": bool(rng.random() < 0.3),
    }
    if one_by_one and not dropout and cell != "simple_rnn":  # with input dropout alone it fails in Keras itself
        settings["implementation"] = 1
    compiled = []
    for layer in pair(form, units, **settings, **NO_DRAWS):
        layer.build((None, None, features))
        compiled.append(program(layer, masked=masked))
    theirs, mine = compiled
    done, content = 0, 0
    while done < CONTENTS:
        content += 1
        mask = str(rng.choice(["full", "right", "holes", "empty rows"])) if masked else "full"
        case = make_case(
            form,
            (batch, steps, features, units),
            1000 * seed + content,
            mask=mask,
            bias=use_bias,
            counts=(count * dropout, count * recurrent_dropout),
        )
        if rng.random() < 0.3:
            for name in ("h0", "c0"):
                if case.arrays[name] is not None:
                    case.arrays[name][:] = 0
        if not recurrent.near_kink(case):
            equal(mine(*arguments(case)), theirs(*arguments(case)))
            done += 1


@pytest.mark.parametrize(
    ("cell", "dropout", "inner"), [("simple_rnn", 0.3, 0.3), ("lstm", 0.3, 0.0), ("gru", 0.0, 0.3)]
)
def test_the_same_seed_drops_the_same(cell: str, dropout: float, inner: float) -> None:
    """Dropout is Keras's own draw: the same seed, the same masks, and new ones in the next call."""
    import jax

    x, found = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32"), []
    for layer in pair(KernelForm(cell), 6, dropout=dropout, recurrent_dropout=inner, kernel_initializer="ones"):
        layer.build((None, None, 4))
        state = [v.value for v in layer.non_trainable_variables]
        values = [v.value for v in layer.trainable_variables]
        values[1] = np.random.default_rng(1).normal(size=values[1].shape).astype("float32") * 0.3
        call = jax.jit(
            lambda fixed, values=values, layer=layer: layer.stateless_call(values, fixed, x, training=True),
            compiler_options=QUICK,
        )
        first, state = call(state)
        second, _ = call(state)
        assert np.abs(first - second).max() > 1e-3
        found.append((first, second))
    for a, b in zip(*found, strict=True):
        assert np.abs(a - b).max() <= 1e-5


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("cell", KINDS)
def test_a_rate_of_one_is_what_keras_makes_of_it(cell: str, rate: str) -> None:
    """Keras's cells of LSTM and GRU take a rate of exactly 1 for no dropout at all."""
    x, found = np.random.default_rng(0).normal(size=(3, 2, 2)).astype("float32"), []
    for layer in pair(KernelForm(cell), 3, **{rate: 1.0}):
        layer.build((None, None, 2))
        layer.set_weights([np.full(v.shape, 0.3, "float32") for v in layer.weights])
        found.append(np.asarray(layer(x, training=True)))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


def test_a_mask_with_an_axis_more() -> None:
    """Keras's loop takes masks (B, T, 1), too."""
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")
    seen = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 1, 1, 1]], bool)[..., None]
    for zeros in (False, True):
        theirs, mine = pair(KernelForm("gru"), 3, return_sequences=True, zero_output_for_mask=zeros)
        theirs.build(x.shape)
        mine.build(x.shape)
        mine.set_weights(numbers(theirs))
        wanted, found = (layer(x, mask=seen) for layer in (theirs, mine))
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("cell", KINDS)
def test_training_goes_the_same_way(cell: str) -> None:
    """Five epochs of fit without dropout: the losses are equal to 1e-4."""
    rng, curves, start = np.random.default_rng(3), [], None
    x = rng.normal(size=(64, 10, 3)).astype("float32")
    y = x[:, :, :1].mean(axis=1) + 0.1 * x[:, -1, 1:2]
    for layer in pair(KernelForm(cell), 8):
        model = keras.Sequential([keras.Input((10, 3)), layer, keras.layers.Dense(1)])
        start = numbers(model) if start is None else start
        model.set_weights(start)
        model.compile(keras.optimizers.Adam(0.02), "mse")
        curves.append(model.fit(x, y, epochs=5, batch_size=16, shuffle=False, verbose=0).history["loss"])
    theirs, mine = np.array(curves)
    assert mine[-1] < 0.7 * mine[0], "nothing was learnt: the comparison would say nothing"
    np.testing.assert_allclose(mine, theirs, atol=1e-4)


def made(cell: str = "lstm", units: int = 5, features: int = 3, **settings: Any) -> tuple[Any, list[Any], Any]:
    """A layer of ours, the values of its weights, and a function of (values, x)."""
    layer = pair(KernelForm(cell), units, **settings)[1]
    layer.build((None, None, features))
    fixed = [v.value for v in layer.non_trainable_variables]
    return (
        layer,
        [np.asarray(v.value) for v in layer.trainable_variables],
        lambda values, x: layer.stateless_call(values, fixed, x)[0],
    )


@pytest.mark.parametrize("cell", KINDS)
def test_vmap_equals_a_python_loop(cell: str) -> None:
    """Over windows, over weights, over both, with and without derivatives inside and outside."""
    import jax

    _, values, call = made(cell)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 2, 6, 3)).astype("float32")
    many = [np.stack([w, 0.5 * w, -w, w + 0.1]) for w in values]

    def loss(values, x):
        return (call(values, x) ** 2).sum()

    def at(n: int) -> list[Any]:
        return [w[n] for w in many]

    for f in (call, jax.grad(loss), jax.grad(loss, argnums=1)):
        one = jax.jit(f)
        for axes in ((None, 0), (0, None), (0, 0)):
            together = jax.jit(jax.vmap(f, in_axes=axes))(many if axes[0] == 0 else values, x if axes[1] == 0 else x[0])
            alone = [one(at(n) if axes[0] == 0 else values, x[n] if axes[1] == 0 else x[0]) for n in range(4)]
            for a, b in zip(
                jax.tree.leaves(jax.tree.map(np.asarray, together)),
                jax.tree.leaves(jax.tree.map(lambda *p: np.stack(p), *alone)),
                strict=True,
            ):
                assert np.abs(a - b).max() <= 1e-6 * max(1, np.abs(b).max())
    outside = jax.grad(lambda v: jax.vmap(loss, in_axes=(None, 0))(v, x).sum())(values)
    parts = [one(values, x[n]) for one in [jax.jit(jax.grad(loss))] for n in range(4)]
    for g, *each in zip(*(jax.tree.map(np.asarray, gradients) for gradients in (outside, *parts)), strict=True):
        assert np.abs(g - sum(each)).max() <= 1e-5 * max(1, np.abs(g).max())


@pytest.mark.parametrize("cell", KINDS)
def test_compiled_equals_called(cell: str) -> None:
    import jax

    layer, values, call = made(cell)
    x = np.random.default_rng(1).normal(size=(3, 7, 3)).astype("float32")
    np.testing.assert_array_equal(jax.jit(call)(values, x), call(values, x))
    np.testing.assert_array_equal(layer(x), call(values, x))
    np.testing.assert_array_equal(jax.jit(jax.checkpoint(call))(values, x), call(values, x))


def test_python_threads_call_compiled_layers_at_once() -> None:
    import jax

    x = np.random.default_rng(1).normal(size=(40, 9, 3)).astype("float32")
    jobs, wrong = [], []
    for n, cell in enumerate(["lstm", "gru", "simple_rnn", "lstm"]):
        _, values, call = made(cell, 8 + n)
        f = jax.jit(jax.value_and_grad(lambda v, rows, call=call: (call(v, rows) ** 2).sum()))
        jobs.append((f, values, jax.tree.map(np.asarray, f(values, x))))

    def work(f, values, wanted) -> None:
        for _ in range(25):
            same = jax.tree.map(np.array_equal, jax.tree.map(np.asarray, f(values, x)), wanted)
            if not all(jax.tree.leaves(same)):
                wrong.append(same)

    threads = [threading.Thread(target=work, args=job) for job in jobs + jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=200)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


@pytest.mark.parametrize(
    ("merge", "cell", "masked"),
    [
        ("concat", "lstm", False),
        ("sum", "gru", True),
        ("ave", "simple_rnn", True),
        ("mul", "gru", False),
        (None, "lstm", True),
    ],
)
def test_bidirectional_equals_keras(merge: str | None, cell: str, masked: bool) -> None:
    """Course item 87: outputs, states of both directions and gradients, masked or not."""
    import jax

    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 6, 3)).astype("float32")
    mask = np.arange(6) < np.array([6, 4, 1, 3])[:, None] if masked else None
    for sequences in (False, True):
        found, start = [], None
        for wrap, layer in zip(
            (keras.layers.Bidirectional, ours.Bidirectional),
            pair(KernelForm(cell), 5, return_sequences=sequences, return_state=True),
            strict=True,
        ):
            both = wrap(layer, merge_mode=merge)
            both.build(x.shape)
            start = numbers(both) if start is None else start
            values = start
            fixed = [v.value for v in both.non_trainable_variables]

            def loss(values, both=both, fixed=fixed):
                outputs, _ = both.stateless_call(values, fixed, x, mask=mask)
                return sum((y**2).sum() for y in outputs), outputs

            found.append(jax.jit(jax.grad(loss, has_aux=True), compiler_options=QUICK)(values))
        assert type(both.forward_layer) is type(both.backward_layer) is type(layer)
        equal(found[1], found[0])


def test_bidirectional_takes_plain_layers_over() -> None:
    """Keras makes both inner layers anew, from configs that name Keras's class: they are ours all the same."""
    both = ours.Bidirectional(keras.layers.LSTM(3), backward_layer=keras.layers.LSTM(4, go_backwards=True))
    assert type(both.forward_layer) is type(both.backward_layer) is ours.LSTM
    assert both(np.zeros((2, 5, 3), "float32")).shape == (2, 7)
