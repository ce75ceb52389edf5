"""Decoders: what a step may see, what flows back through it, and what teaching it means."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.models import Architecture, build
from backmix.models.engine import use_engine
from backmix.models.reference.forms import outputs as by_reference
from backmix.models.weights import put_weights
from forms import FEEDING_BACK, FORMS, PATHS, PLAIN, B, K, inputs, made, make


def steps(name: str, answers: np.ndarray) -> np.ndarray:
    """Answers (B, K, O) of a path."""
    return answers.reshape(B, K, FORMS[name].outputs)


@pytest.mark.parametrize("name", PATHS)
def test_the_first_step_has_seen_the_newest_row(name: str) -> None:
    """Course items 29, 30, trap N: the newest observation changes the first step ahead."""
    form = made(name)
    arrays = {**inputs(form.architecture), "mask": np.ones((B, 6), bool)}
    newer = arrays["x"].copy()
    newer[:, -1] += 1.0
    moved = steps(name, form({**arrays, "x": newer})) - steps(name, form(arrays))
    assert np.abs(moved[:, 0]).max(axis=1).min() > 1e-4


@pytest.mark.parametrize("name", ["repeat", "states", "looking"])
def test_what_is_known_ahead_counts_from_its_step_on(name: str) -> None:
    """Course item 77: a planned move at step k changes step k and later ones, none before."""
    form = made(name)
    arrays = inputs(form.architecture)
    planned = arrays["future"].copy()
    planned[:, 2] += 1.0
    moved = np.abs(steps(name, form({**arrays, "future": planned})) - steps(name, form(arrays)))
    assert (moved[:, :2] == 0).all()
    assert moved[:, 2].max() > 1e-4


def test_the_direct_form_knows_the_whole_plan() -> None:
    """Course item 30: all steps at once see all that is known ahead."""
    form = made("direct")
    arrays = inputs(form.architecture)
    planned = arrays["future"].copy()
    planned[:, -1] += 1.0
    moved = np.abs(steps("direct", form({**arrays, "future": planned})) - steps("direct", form(arrays)))
    assert (moved.max(axis=(0, 2)) > 1e-4).all()


@pytest.mark.parametrize("name", ["states", "window states"])
def test_the_teacher_is_not_asked_in_use(name: str) -> None:
    """Course item 29: in prediction no true value can reach the decoder, not even as NaN."""
    form = made(name)
    arrays = inputs(form.architecture)
    answers = form(arrays)
    for changed in (np.zeros_like(arrays["teacher"]), np.full_like(arrays["teacher"], np.nan)):
        np.testing.assert_array_equal(form({**arrays, "teacher": changed}), answers)


def test_teaching_shows_the_step_before() -> None:
    """Course item 29, trap W: with a share of 1 step k sees the true value of step k - 1, no other."""
    a = Architecture(**PLAIN, answer="path", horizon=K, decoder="states", teacher_forcing=1.0)
    form, arrays = make(a), inputs(a)
    taught = form(arrays, training=True).reshape(B, K, 2)
    for k in range(K):
        changed = arrays["teacher"].copy()
        changed[:, k] += 1.0
        moved = np.abs(form({**arrays, "teacher": changed}, training=True).reshape(B, K, 2) - taught)
        assert (moved[:, : k + 1] == 0).all()
        assert moved[:, k + 1 : k + 2].min(initial=1.0) > 1e-6
    # taught with what it says by itself, it says the same
    own = form(arrays).reshape(B, K, 2)
    np.testing.assert_allclose(form({**arrays, "teacher": own}, training=True).reshape(B, K, 2), own, atol=1e-6)


def test_the_share_of_teaching_is_kept() -> None:
    """A share of one third: about so many second steps see the teacher, the others what was said."""
    a = Architecture(**PLAIN, answer="path", horizon=2, decoder="states", teacher_forcing=0.33)
    form = make(a)
    many = {
        "x": np.zeros((2000, 6, 3), np.float32),
        "mask": np.ones((2000, 6), bool),
        "teacher": np.full((2000, 2, 2), 5.0, np.float32),
    }
    second = form(many, training=True)[:, 2:]
    free = form(many)[0, 2:]
    assert (np.abs(second - free).max(axis=1) > 1e-4).mean() == pytest.approx(0.33, abs=0.05)


def test_draws_of_teaching_are_among_the_variables() -> None:
    """A checkpoint keeps them, and no two steps of training draw alike."""
    form = made("states")
    arrays = inputs(form.architecture)
    first, after = form.model.stateless_call(form.values, form.fixed, arrays, training=True)
    second, _ = form.model.stateless_call(form.values, after, arrays, training=True)
    moved = [not np.array_equal(np.asarray(old), np.asarray(new)) for old, new in zip(form.fixed, after, strict=True)]
    assert sum(moved) == 1  # the encoder has no dropout: what moved is the decoder's
    assert not np.array_equal(np.asarray(first), np.asarray(second))
    np.testing.assert_array_equal(form(arrays, training=True), form(arrays, training=True))


@pytest.mark.parametrize("name", FEEDING_BACK)
def test_gradients_flow_through_what_is_fed_back(name: str) -> None:
    """Course items 5, 29: JAX's gradients against differences of the float64 oracle."""
    import jax
    import jax.numpy as jnp

    form = made(name)
    a = form.architecture
    arrays = {**inputs(a), "mask": np.ones((B, 6), bool)}
    pull = np.random.default_rng(3).normal(size=form(arrays).shape)

    def loss(values: list[object]) -> object:
        return jnp.sum(form.model.stateless_call(values, form.fixed, arrays)[0] * pull.astype(np.float32))

    gradients = jax.jit(jax.grad(loss))(form.values)
    result = {v.path: gradient for v, gradient in zip(form.model.trainable_variables, gradients, strict=True)}
    rng = np.random.default_rng(4)
    for path, gradient in result.items():
        key = "/".join(part for part in path.split("/") if not part.endswith("_cell"))
        place = tuple(int(rng.integers(size)) for size in gradient.shape)
        sides = []
        for move in (1e-5, -1e-5):
            weights = {name: array.astype(np.float64) for name, array in form.weights.items()}
            weights[key][place] += move
            sides.append((by_reference(a, weights, arrays) * pull).sum())
        assert float(gradient[place]) == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=2e-2, abs=2e-3), key
    assert np.abs(result["decoder/start"]).max() > 1e-3


def test_states_are_handed_over() -> None:
    """Course item 37: with weights that only keep, the decoder starts from what the encoder ended with."""
    a = Architecture(
        features=1,
        lookback=6,
        cell="simple_rnn",
        units=(1,),
        activation="linear",
        answer="path",
        horizon=3,
        decoder="states",
    )
    form = make(a)
    one = {
        "recurrent_1/kernel": 1.0,
        "recurrent_1/recurrent_kernel": 1.0,
        "decoder/recurrent_kernel": 1.0,
        "decoder/head/kernel": 1.0,
    }
    put_weights(
        form.model, {name: np.full(array.shape, one.get(name, 0.0), np.float32) for name, array in form.weights.items()}
    )
    x = np.arange(B * 6, dtype=np.float32).reshape(B, 6, 1)
    np.testing.assert_allclose(form({"x": x}), np.repeat(x.sum(axis=1), 3, axis=1), rtol=1e-6)


@pytest.mark.parametrize(("decoder", "share"), [("repeat", 0.0), ("states", 0.5), ("attention", 0.0)])
def test_every_decoder_learns_to_go_on_with_a_wave(decoder: str, share: float) -> None:
    """Course items 29, 30: six steps ahead of a sine, on waves not trained on, far better than the last value."""
    a = Architecture(
        features=1,
        lookback=12,
        units=(12,),
        head="numbers",
        outputs=1,
        answer="path",
        horizon=6,
        decoder=decoder,
        teacher_forcing=share,
    )
    model = build(a, seed=0)
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, size=(256, 1))
    wave = np.sin(phase + 0.5 * np.arange(18)).astype(np.float32)
    arrays = {"x": wave[:, :12, None]} | ({"teacher": wave[:, 12:, None]} if share else {})
    train, test = slice(0, 192), slice(192, 256)
    model.compile(optimizer=use_engine().optimizers.Adam(0.01), loss="mse")
    model.fit(
        {name: values[train] for name, values in arrays.items()},
        wave[train, 12:],
        batch_size=64,
        epochs=25,
        shuffle=False,
        verbose=0,
    )
    if share:
        arrays["teacher"] = np.zeros_like(arrays["teacher"])
    error = np.abs(model.predict_on_batch({name: values[test] for name, values in arrays.items()}) - wave[test, 12:])
    persistence = np.abs(wave[test, 11:12] - wave[test, 12:])
    assert error.mean() < 0.2 * persistence.mean()
