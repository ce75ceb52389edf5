"""What the lesson says of recurrent cells in words, as laws that hold to the last digits."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.models import reference
from backmix.models.architecture import Architecture
from backmix.models.cells import cells
from backmix.models.reference import CellForm, Weights, backward, forward
from backmix.models.shape.size import parameters


def random_weights(cell: str, features: int, units: int, seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    wide = units * {"simple_rnn": 1, "lstm": 4, "gru": 3}[cell]
    bias = np.zeros((2, wide) if cell == "gru" else wide)
    return Weights(rng.normal(size=(features, wide)), 0.5 * rng.normal(size=(units, wide)), bias)


def test_a_layer_is_its_step_unfolded() -> None:
    """Course item 2: T dense layers one after the other, each with the same weights, are the recurrent layer.

    The gradient of the shared weights is the sum over the copies, as the chain rule of a plain deep net says.
    """
    rng = np.random.default_rng(1)
    x, pull = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 4))
    w = random_weights("simple_rnn", 3, 4)
    before, after = [np.zeros((2, 4))], []
    for t in range(5):  # a deep net: layer t has its own copy of W, U and b
        after.append(np.tanh(x[:, t] @ w.kernel + before[-1] @ w.recurrent + w.bias))
        before.append(after[-1])
    kernel, recurrent, bias = np.zeros_like(w.kernel), np.zeros_like(w.recurrent), np.zeros_like(w.bias)
    dh = pull
    for t in reversed(range(5)):
        dz = dh * (1 - after[t] ** 2)
        kernel += x[:, t].T @ dz
        recurrent += before[t].T @ dz
        bias += dz.sum(axis=0)
        dh = dz @ w.recurrent.T
    trace = forward(CellForm("simple_rnn"), w, x)
    np.testing.assert_allclose(trace.h, np.stack(after, axis=1), rtol=1e-13)
    found = backward(trace, pull)
    np.testing.assert_allclose(found.kernel, kernel, rtol=1e-12)
    np.testing.assert_allclose(found.recurrent, recurrent, rtol=1e-12)
    np.testing.assert_allclose(found.bias, bias, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_plain_cell_forgets_what_an_lstm_can_keep(seed: int) -> None:
    """Course item 8: how much of the gradient of the last of 100 rows reaches the first.

    A SimpleRNN loses it although its recurrent matrix is orthogonal (every |λ| = 1), for tanh' < 1. An LSTM
    can keep it: with the forget gate near one it does. It does not by itself: with Keras's own initial
    weights its forget gate is near 0.73, and 0.73^99 is nothing either.
    """
    import keras

    def reach(cell: str, forget: float | None = None) -> float:
        layer = (keras.layers.SimpleRNN if cell == "simple_rnn" else keras.layers.LSTM)(
            16,
            kernel_initializer=keras.initializers.GlorotUniform(seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed),
        )
        layer.build((None, None, 2))
        w = Weights(*(np.array(v.value, dtype=np.float64) for v in layer.trainable_variables))
        if forget is not None:
            w.bias[16:32] = forget
        x = np.random.default_rng(seed).normal(size=(8, 100, 2))
        flow = backward(forward(CellForm(cell), w, x), np.ones((8, 16))).x  # type: ignore[arg-type]
        size = np.sqrt((flow**2).mean(axis=(0, 2)))
        return float(size[0] / size[-1])

    assert reach("simple_rnn") < 1e-6
    assert reach("lstm") < 1e-6
    assert reach("lstm", forget=5.0) > 0.05


def test_a_feed_forward_net_needs_weights_for_every_step() -> None:
    """Course item 11: a recurrent layer has the same weights for any length, and takes lengths it never saw."""
    import keras

    for rows in (10, 20, 40):
        recurrent = Architecture(features=3, lookback=rows, cell="gru", units=(8,))
        assert parameters(recurrent) == parameters(Architecture(features=3, lookback=10, cell="gru", units=(8,)))
        flat = keras.Sequential([keras.Input((rows, 3)), keras.layers.Flatten(), keras.layers.Dense(8)])
        assert flat.count_params() == 8 * (3 * rows + 1)
    layer = keras.layers.GRU(8)
    assert layer(np.zeros((2, 10, 3), "float32")).shape == layer(np.zeros((2, 40, 3), "float32")).shape == (2, 8)
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 120"):
        flat(np.zeros((2, 10, 3), "float32"))


def test_a_feed_forward_net_takes_rows_for_places_and_a_cell_for_an_order() -> None:
    """Course item 11: a mean over rows does not know their order, a state does."""
    x = np.random.default_rng(0).normal(size=(1, 6, 2))
    w = random_weights("simple_rnn", 2, 3)
    one, two = (forward(CellForm("simple_rnn"), w, rows).last["h"] for rows in (x, x[:, ::-1]))
    assert np.abs(one - two).max() > 0.1
    dense = np.tanh(x @ w.kernel).mean(axis=1)
    np.testing.assert_allclose(dense, np.tanh(x[:, ::-1] @ w.kernel).mean(axis=1), atol=1e-15)


def test_the_cells_differ_in_states_gates_and_weights() -> None:
    """Course item 12: one, three and four blocks of weights; only an LSTM has a memory apart from its output."""
    F, H = 5, 7
    block = H * (H + F + 1)
    count = {name: cells.get(name).parameters(F, H, reset_after=False) for name in ("simple_rnn", "gru", "lstm")}
    assert count == {"simple_rnn": block, "gru": 3 * block, "lstm": 4 * block}
    assert {name: cells.get(name).states for name in count} == {"simple_rnn": ("h",), "gru": ("h",), "lstm": ("h", "c")}
    assert {name: len(cells.get(name).gates) - 1 for name in count} == {"simple_rnn": 0, "gru": 2, "lstm": 3}


def test_a_stirred_tank_is_a_linear_cell() -> None:
    """Course item 13: c' = (feed - c) q / V, feed constant over a step, is h = U h + W x with U = exp(-q dt / V)."""
    from scipy.integrate import solve_ivp

    feed, turnover = np.random.default_rng(0).uniform(0.5, 1.5, size=20), 0.3
    keep = np.exp(-turnover)
    tank = Weights(np.array([[1 - keep]]), np.array([[keep]]), np.zeros(1))
    cell = forward(CellForm("simple_rnn", activation="linear"), tank, feed[None, :, None]).h[0, :, 0]
    c, found = 0.0, []
    for value in feed:
        c = solve_ivp(lambda _, y, value=value: turnover * (value - y), (0, 1), [c], rtol=1e-9, atol=1e-12).y[0, -1]
        found.append(c)
    np.testing.assert_allclose(cell, found, atol=1e-7)
    # what is left of the first hour's feed after k hours: the residence time distribution of a stirred tank
    flow = backward(forward(CellForm("simple_rnn", activation="linear"), tank, feed[None, :, None]), np.ones((1, 1))).x
    np.testing.assert_allclose(flow[0, ::-1, 0], (1 - keep) * keep ** np.arange(20), rtol=1e-9)


def test_a_buffer_tank_is_an_lstm_whose_gates_are_valves() -> None:
    """Course items 9 and 13: inlet valve i, drain valve f, sampling valve o; what is in the tank is c."""
    rows = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=float)
    big = 40.0  # a pre-activation of 40 is a valve that is wholly open, of -40 one that is shut
    kernel = np.zeros((3, 4))
    kernel[0, 0], kernel[1, 1], kernel[2, 3] = 2 * big, -2 * big, 2 * big  # fill, drain, sample
    bias = np.array([-big, big, 0.5, -big])  # shut, keep, a constant candidate, shut
    tank = Weights(kernel, np.zeros((1, 4)), bias)
    trace = reference.forward(CellForm("lstm"), tank, rows[None])
    portion = np.tanh(0.5)
    level = np.array([1, 2, 2, 2, 0, 0]) * portion
    np.testing.assert_allclose(trace.states["c"][0, :, 0], level, atol=1e-12)
    np.testing.assert_allclose(trace.h[0, :, 0], np.where(rows[:, 2] == 1, np.tanh(level), 0), atol=1e-12)
    np.testing.assert_allclose(trace.gates["f"][0, :, 0], 1 - rows[:, 1], atol=1e-12)
