"""The NumPy reference against finite differences and against Keras."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from backmix.models.cells import cells
from backmix.models.reference import CellForm, Weights, backward, forward
from backmix.models.reference.steps import STEPS

B, T, F, H = 3, 6, 2, 4

FORMS = [
    CellForm("simple_rnn"),
    CellForm("simple_rnn", activation="relu"),
    CellForm("lstm"),
    CellForm("lstm", activation="relu", recurrent_activation="hard_sigmoid"),
    CellForm("gru"),
    CellForm("gru", reset_after=False),
    CellForm("gru", activation="linear", recurrent_activation="hard_sigmoid", go_backwards=True),
    CellForm("lstm", go_backwards=True),
]
FORWARDS = [form for form in FORMS if not form.go_backwards]
MASK = np.arange(T) < np.array([6, 3, 1])[:, None]


def random_weights(form: CellForm, seed: int = 0, *, features: int = F, units: int = H) -> Weights:
    rng = np.random.default_rng(seed)
    wide = units * len(STEPS[form.cell].gates)
    double = form.cell == "gru" and form.reset_after
    return Weights(
        rng.normal(size=(features, wide)) * 0.5,
        rng.normal(size=(units, wide)) * 0.5,
        rng.normal(size=(2, wide) if double else wide) * 0.5,
    )


def initial_states(form: CellForm) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    return {letter: rng.normal(size=(B, H)) for letter in STEPS[form.cell].states}


def numeric(f, array: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Central differences of f() over every entry of ``array``."""
    found = np.zeros_like(array)
    for at in np.ndindex(array.shape):
        kept = array[at]
        array[at] = kept + step
        high = f()
        array[at] = kept - step
        found[at] = (high - f()) / (2 * step)
        array[at] = kept
    return found


def keras_layer(form: CellForm, weights: Weights, *, features: int = F, sequences: bool = True):
    import keras

    kind = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}[form.cell]
    settings = {} if form.cell == "simple_rnn" else {"recurrent_activation": form.recurrent_activation}
    if form.cell == "gru":
        settings["reset_after"] = form.reset_after
    layer = getattr(keras.layers, kind)(
        weights.recurrent.shape[0],
        activation=form.activation,
        return_sequences=sequences,
        return_state=True,
        go_backwards=form.go_backwards,
        seed=0,
        **settings,
    )
    layer.build((None, None, features))
    layer.set_weights([weights.kernel, weights.recurrent, weights.bias])
    return layer


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_equal_finite_differences(form: CellForm, masked: bool) -> None:
    """Course item 5: BPTT for inputs, initial states and weights, with and without padding."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(B, T, F))
    weights, initial = random_weights(form), initial_states(form)
    pull = rng.normal(size=(B, T, H))
    pull_c = rng.normal(size=(B, H)) if form.cell == "lstm" else None
    mask = MASK if masked else None

    def loss() -> float:
        trace = forward(form, weights, x, mask=mask, initial=initial)
        return float((trace.h * pull).sum() + (0 if pull_c is None else (trace.last["c"] * pull_c).sum()))

    found = backward(forward(form, weights, x, mask=mask, initial=initial), pull, dc=pull_c)
    close = {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose(found.x, numeric(loss, x), **close)
    np.testing.assert_allclose(found.kernel, numeric(loss, weights.kernel), **close)
    np.testing.assert_allclose(found.recurrent, numeric(loss, weights.recurrent), **close)
    np.testing.assert_allclose(found.bias, numeric(loss, weights.bias), **close)
    for letter, state in initial.items():
        np.testing.assert_allclose(found.initial[letter], numeric(loss, state), **close)


@pytest.mark.parametrize(
    ("form", "masked"),
    [(form, n % 2 == 0) for n, form in enumerate(FORMS)]
    + [(CellForm("simple_rnn"), False), (CellForm("lstm"), False), (CellForm("gru"), True)],
    ids=str,
)
def test_outputs_equal_keras(form: CellForm, masked: bool) -> None:
    """Course item 1 and letter B: the same weights give what Keras gives, in both forms of the GRU."""
    import jax

    x = np.random.default_rng(2).normal(size=(B, T, F))
    weights, initial = random_weights(form), initial_states(form)
    mask = MASK if masked else None
    trace = forward(form, weights, x, mask=mask, initial=initial)
    layer = keras_layer(form, weights)
    states = [initial[s].astype("float32") for s in STEPS[form.cell].states]
    values = [v.value for v in layer.trainable_variables]
    fixed = [v.value for v in layer.non_trainable_variables]
    (h, *last), _ = jax.jit(
        lambda rows, start: layer.stateless_call(values, fixed, rows, initial_state=start, mask=mask)
    )(x.astype("float32"), states)
    assert np.abs(np.asarray(h) - trace.h).max() <= 1e-5
    for letter, state in zip(STEPS[form.cell].states, last, strict=True):
        assert np.abs(np.asarray(state) - trace.last[letter]).max() <= 1e-5


@pytest.mark.parametrize(
    ("form", "masked"),
    [
        (CellForm("simple_rnn"), True),
        (CellForm("lstm"), True),
        (CellForm("lstm", go_backwards=True), False),
        (CellForm("gru"), True),
        (CellForm("gru"), False),
        (CellForm("gru", reset_after=False), True),
    ],
    ids=str,
)
def test_gradients_equal_keras(form: CellForm, masked: bool) -> None:
    """Course item 5: the gradients of the Keras layer, taken by JAX."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(3)
    x, pull = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, H))
    weights = random_weights(form)
    mask = MASK if masked else None
    layer = keras_layer(form, weights)

    def loss(values, rows):
        fixed = [v.value for v in layer.non_trainable_variables]
        (h, *_), _ = layer.stateless_call(values, fixed, rows, mask=mask)
        return jnp.sum(h * pull.astype("float32"))

    values = [v.value for v in layer.trainable_variables]
    of_weights, of_x = jax.jit(jax.grad(loss, argnums=(0, 1)))(values, jnp.asarray(x, dtype="float32"))
    found = backward(forward(form, weights, x, mask=mask), pull)
    all_mine = [found.kernel, found.recurrent, found.bias, found.x]
    for mine, theirs in zip(all_mine, [*of_weights, of_x], strict=True):
        np.testing.assert_allclose(mine, np.asarray(theirs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_gates_are_after_the_activation(form: CellForm) -> None:
    """Trap Q: what is reported as a gate is the gate, between 0 and 1, not what went into the sigmoid."""
    x = 5 * np.random.default_rng(4).normal(size=(B, T, F))
    trace = forward(form, random_weights(form), x)
    for name in set(trace.gates) - {"candidate"}:
        assert trace.gates[name].min() >= 0
        assert trace.gates[name].max() <= 1
    assert tuple(trace.gates) == STEPS[form.cell].gates == cells.get(form.cell).gates
    assert tuple(trace.states) == cells.get(form.cell).states


def test_lstm_gates_rebuild_the_states() -> None:
    """Trap Q, course item 9: the reported gates give c_t = f c_{t-1} + i candidate and h_t = o tanh(c_t)."""
    x = np.random.default_rng(5).normal(size=(B, T, F))
    trace = forward(CellForm("lstm"), random_weights(CellForm("lstm")), x)
    c = trace.states["c"]
    before = np.concatenate([np.zeros((B, 1, H)), c[:, :-1]], axis=1)
    g = trace.gates
    np.testing.assert_allclose(c, g["f"] * before + g["i"] * g["candidate"], atol=1e-14)
    np.testing.assert_allclose(trace.h, g["o"] * np.tanh(c), atol=1e-14)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_gates_follow_the_convention_of_keras(reset_after: bool) -> None:
    """Letter C: h = z h_{t-1} + (1 - z) candidate, so an update gate of one keeps the old state."""
    form = CellForm("gru", reset_after=reset_after)
    x = np.random.default_rng(6).normal(size=(B, T, F))
    trace = forward(form, random_weights(form), x)
    before = np.concatenate([np.zeros((B, 1, H)), trace.h[:, :-1]], axis=1)
    z = trace.gates["z"]
    np.testing.assert_allclose(trace.h, z * before + (1 - z) * trace.gates["candidate"], atol=1e-14)
    weights = random_weights(form)
    weights.bias[..., :H] = 40.0  # the update gate's bias: wide open
    start = {"h": np.full((B, H), 0.7)}
    np.testing.assert_allclose(forward(form, weights, x, initial=start).h, 0.7, atol=1e-9)


@pytest.mark.parametrize("masked", [False, True])
def test_memory_slope_is_the_forget_gate(masked: bool) -> None:
    """Course item 10: dc_t/dc_{t-1} = f_t along the memory, so dc_T/dc_0 is their product."""
    form = CellForm("lstm")
    weights = random_weights(form)
    weights.recurrent[:] = 0  # the memory's own path; otherwise c_{t-1} also acts through h_{t-1}
    mask = MASK if masked else None
    x, start = np.random.default_rng(7).normal(size=(B, T, F)), initial_states(form)
    trace = forward(form, weights, x, mask=mask, initial=start)
    slope = np.where(mask[:, :, None], trace.gates["f"], 1.0) if masked else trace.gates["f"]
    found = backward(trace, np.zeros((B, H)), dc=np.ones((B, H)))
    np.testing.assert_allclose(found.initial["c"], slope.prod(axis=1), rtol=1e-12)
    flow = found.states["c"]
    for t in range(1, T):
        np.testing.assert_allclose(flow[:, t - 1], slope[:, t] * flow[:, t], rtol=1e-12)
    if masked:
        assert (slope[~MASK] == 1).all()


def lone_unit(recurrent: float) -> Weights:
    return Weights(np.ones((1, 1)), np.array([[recurrent]]), np.zeros(1))


def test_gradient_vanishes_by_the_power_of_the_recurrent_weight() -> None:
    """Course item 6: after 99 steps at 0.9 there is 0.9^99 = 0.00003 of the gradient left."""
    trace = forward(CellForm("simple_rnn", activation="linear"), lone_unit(0.9), np.zeros((1, 100, 1)))
    flow = backward(trace, np.ones((1, 1))).h[0, :, 0]
    np.testing.assert_allclose(flow, 0.9 ** np.arange(99, -1, -1), rtol=1e-10)
    assert f"{flow[0]:.5f}" == "0.00003"


def test_tanh_makes_the_gradient_vanish_faster() -> None:
    """Course item 6: tanh' <= 1 adds to the loss of gradient wherever the state is not zero."""
    x = np.random.default_rng(0).normal(size=(1, 100, 1))
    flow = backward(forward(CellForm("simple_rnn"), lone_unit(0.9), x), np.ones((1, 1))).h[0, :, 0]
    assert 0 < flow[0] < 0.9**99


def test_gradient_explodes_and_clipping_bounds_it() -> None:
    """Course item 7: above one the gradient grows by powers until it overflows; a clipped norm does not."""
    form = CellForm("simple_rnn", activation="linear")
    flow = backward(forward(form, lone_unit(1.5), np.zeros((1, 100, 1))), np.ones((1, 1))).h[0, :, 0]
    np.testing.assert_allclose(flow[0], 1.5**99, rtol=1e-10)
    with np.errstate(over="ignore", invalid="ignore"):
        trace = forward(form, lone_unit(1.5), np.ones((1, 4000, 1)))
        assert not np.isfinite(trace.h[0, -1, 0])
        assert not np.isfinite(backward(trace, np.ones((1, 1))).recurrent).all()
    import keras

    variable = keras.Variable(np.zeros((1, 1), dtype="float32"))
    optimizer = keras.optimizers.SGD(learning_rate=1.0, clipnorm=1.0)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(np.array([[1e18]], dtype="float32"))], [variable])
    assert np.asarray(variable.value) == pytest.approx(-1.0)


def test_an_open_memory_keeps_its_gradient() -> None:
    """Course items 8, 10: with a forget gate near one an LSTM's gradient survives 100 steps."""
    form = CellForm("lstm")
    weights = random_weights(form, features=1, units=1)
    weights.recurrent[:] = 0
    weights.bias[1] = 20.0
    trace = forward(form, weights, np.zeros((1, 100, 1)))
    flow = backward(trace, np.zeros((1, 1)), dc=np.ones((1, 1))).states["c"][0, :, 0]
    assert flow[0] > 0.999


@pytest.mark.parametrize("form", FORWARDS, ids=str)
def test_padding_changes_nothing(form: CellForm) -> None:
    """Course item 17: rows behind the mask change neither the last state nor any gradient."""
    rng = np.random.default_rng(9)
    x, pull = rng.normal(size=(1, 4, F)), rng.normal(size=(1, H))
    weights = random_weights(form)
    long = np.concatenate([x, 1e3 * np.ones((1, 5, F))], axis=1)
    plain = forward(form, weights, x)
    padded = forward(form, weights, long, mask=np.arange(9)[None] < 4)
    np.testing.assert_array_equal(plain.last["h"], padded.last["h"])
    a, b = backward(plain, pull), backward(padded, pull)
    np.testing.assert_allclose(a.kernel, b.kernel, atol=1e-15)
    np.testing.assert_allclose(a.x, b.x[:, :4], atol=1e-15)
    assert (b.x[:, 4:] == 0).all()


@pytest.mark.parametrize("form", FORWARDS, ids=str)
def test_carried_states_equal_the_whole_pass(form: CellForm) -> None:
    """Course item 37: a sequence cut in two, states handed over, gives what the whole gives."""
    x = np.random.default_rng(10).normal(size=(B, T, F))
    weights = random_weights(form)
    whole = forward(form, weights, x)
    first = forward(form, weights, x[:, :2])
    second = forward(form, weights, x[:, 2:], initial=first.last)
    for letter in whole.states:
        np.testing.assert_array_equal(whole.states[letter][:, 2:], second.states[letter])


def test_one_step_of_the_plain_cell_by_hand() -> None:
    """Course item 3: h_1 = tanh(x_1 W + b), h_2 = tanh(x_2 W + h_1 U + b), written out."""
    w = Weights(np.array([[0.5], [-0.25]]), np.array([[0.8]]), np.array([0.1]))
    trace = forward(CellForm("simple_rnn"), w, np.array([[[1.0, 2.0], [0.0, 4.0]]]))
    h1 = np.tanh(0.5 * 1 - 0.25 * 2 + 0.1)
    h2 = np.tanh(-0.25 * 4 + 0.8 * h1 + 0.1)
    np.testing.assert_allclose(trace.h[0, :, 0], [h1, h2], rtol=1e-15)


def test_cost_grows_with_the_length_of_the_sequence() -> None:
    """Course item 5: BPTT keeps states and gates of every step, so memory is proportional to T."""

    def kept(steps: int) -> int:
        trace = forward(CellForm("lstm"), random_weights(CellForm("lstm")), np.zeros((B, steps, F)))
        return sum(a.nbytes for a in itertools.chain(trace.states.values(), trace.gates.values()))

    assert kept(200) == 10 * kept(20)
