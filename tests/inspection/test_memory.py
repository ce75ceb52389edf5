"""How far back a network remembers, against networks whose memory is known."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.inspection.memory import remember
from backmix.inspection.subject import THOROUGH, opened
from backmix.models.architecture import Architecture
from backmix.models.reference import forward
from inspection_subjects import delay_line, diagnosis, put, shift, subject, whole


@pytest.mark.parametrize("delay", [0, 2, 7])
def test_effective_memory_of_a_delay_line_is_its_delay(delay: int) -> None:
    """Course item 6: the gradient of a shift register comes back whole up to its delay, and not from beyond."""
    asked = subject(delay_line(delay), scale=3.0)
    put(asked.model, shift(delay))
    memory = remember(asked, THOROUGH)
    np.testing.assert_allclose(memory.first[: delay + 1], 6.0)  # gain 2 times the scale of the target
    np.testing.assert_array_equal(memory.first[delay + 1 :], 0.0)
    assert memory.effective == delay
    assert memory.gone == delay + 1
    assert memory.half_life == delay + 1


def test_a_gradient_that_shrinks_by_nine_tenths_per_row() -> None:
    """Course item 6: λ^k, the 0.9^99 of the course, and the rows after which half of it is gone."""
    asked = subject(
        Architecture(features=1, lookback=100, cell="simple_rnn", units=(1,), activation="linear"), steps=100
    )
    put(asked.model, {"recurrent_1/kernel": 1.0, "recurrent_1/recurrent_kernel": 0.9, "head/kernel": 1.0})
    memory = remember(asked, THOROUGH)
    # the network computes in float32, of which 0.9 is not a number
    np.testing.assert_allclose(memory.first, np.float64(np.float32(0.9)) ** np.arange(100), rtol=1e-12)
    assert memory.first[99] == pytest.approx(0.9**99, rel=1e-5)
    assert memory.factor == pytest.approx(0.9)
    assert memory.half_life == 7  # 0.9^7 = 0.478
    assert memory.effective == 28  # the first k with 1 - 0.9^(k + 1) >= 0.95
    assert memory.gone is None


def test_a_gradient_that_grows_is_seen_growing() -> None:
    """Course item 7: above one the product explodes; the oldest row then counts most."""
    asked = subject(Architecture(features=1, lookback=12, cell="simple_rnn", units=(1,), activation="linear"))
    put(asked.model, {"recurrent_1/kernel": 1.0, "recurrent_1/recurrent_kernel": 1.5, "head/kernel": 1.0})
    memory = remember(asked, THOROUGH)
    assert memory.factor == pytest.approx(1.5)
    assert memory.half_life is None
    assert memory.effective == 11


def test_the_time_constant_of_a_forget_gate() -> None:
    """Course items 10 and 13: ∂c_t/∂c_{t-1} = f_t, a tank with the residence time -1 / ln f."""
    asked = subject(Architecture(features=2, lookback=12, cell="lstm", units=(3,)))
    bias = np.zeros(12)
    bias[3:6] = [0.0, 2.0, 5.0]  # the forget gates; without weights they stand still
    put(asked.model, {"recurrent_1/bias": bias})
    (layer,) = remember(asked, THOROUGH).residence
    forget = 1 / (1 + np.exp(-np.array([0.0, 2.0, 5.0])))
    np.testing.assert_allclose(layer.rows, -1 / np.log(forget), rtol=1e-9)
    assert (layer.gate, layer.mean) == ("f", pytest.approx(forget.mean()))
    assert layer.middle == pytest.approx(-1 / np.log(forget[1]))
    trace = opened(asked).forward(whole(asked).x).layers[0]
    np.testing.assert_allclose(trace.gates["f"][0, 5], forget, rtol=1e-9)


@pytest.mark.parametrize(("cell", "masked"), [("lstm", False), ("gru", True), ("simple_rnn", True)])
def test_the_norm_is_that_of_finite_differences(cell: str, masked: bool) -> None:
    """‖∂f/∂h_t‖ where f goes on from a state that was pushed a little: nothing of backpropagation in it."""
    asked = subject(
        Architecture(features=2, lookback=None if masked else 12, cell=cell, units=(4,), masked=masked),
        windows=6,
        scale=5.0,
    )
    sample, network = whole(asked), opened(asked)
    norms = np.zeros((6, 12))
    for b in range(6):
        count = 12 if sample.mask is None else int(sample.mask[b].sum())
        x = sample.x[b : b + 1, :count]
        layer = network.forward(x).layers[0]
        for t in range(count):

            def after(h: np.ndarray, t: int = t, x: np.ndarray = x, layer: object = layer) -> float:
                state = {letter: values[:, t] for letter, values in layer.states.items()} | {"h": h}  # type: ignore[attr-defined]
                last = (
                    h
                    if t + 1 == x.shape[1]
                    else forward(network.form, network.layers[0], x[:, t + 1 :], initial=state).h[:, -1]
                )
                return 5.0 * float(network.finish(last)[0, 0])

            h = layer.h[:, t]
            push = 1e-5 * np.eye(4)
            slope = [(after(h + push[k : k + 1]) - after(h - push[k : k + 1])) / 2e-5 for k in range(4)]
            norms[b, count - 1 - t] = np.linalg.norm(slope)
    np.testing.assert_allclose(remember(asked, THOROUGH).first, norms.mean(axis=0), rtol=1e-6, atol=1e-12)


def test_stacked_layers_have_a_curve_each_and_classes_are_explained_too() -> None:
    asked = subject(
        Architecture(features=2, lookback=12, cell="gru", units=(4, 3), head="classes", outputs=3),
        task=diagnosis("a", "b", "c"),
    )
    memory = remember(asked, THOROUGH)
    assert [len(norm) for norm in memory.norm] == [12, 12]
    # with one unit of probability to share out, the second layer's last state moves it by its head alone
    sample, network = whole(asked), opened(asked)
    p = network.forward(sample.x).outputs
    said = p.argmax(axis=1)
    kernel = network.dense[0].kernel
    slope = np.array([p[b, k] * (kernel[:, k] - kernel @ p[b]) for b, k in enumerate(said)])
    assert memory.norm[1][0] == pytest.approx(np.linalg.norm(slope, axis=1).mean())


def test_what_bypasses_the_recurrence_is_measured() -> None:
    """Window statistics stand beside the last state: a head that reads them alone leaves the state no say."""
    asked = subject(Architecture(features=1, lookback=12, cell="gru", units=(2,), summaries=True))
    head = np.zeros((7, 1))
    head[2] = 1.0  # the mean of the window
    weights = {"head/kernel": head}
    put(asked.model, weights)
    memory = remember(asked, THOROUGH)
    mean = whole(asked).x.mean(axis=1)[:, 0].astype(np.float64)
    assert memory.state_moves == 0.0
    assert memory.statistics_move == pytest.approx(np.abs(mean - mean.mean()).mean(), rel=1e-5)
    assert memory.first.max() == 0.0
    plain = remember(subject(Architecture(features=1, lookback=12, units=(2,))), THOROUGH)
    assert (plain.state_moves, plain.statistics_move) == (None, None)
