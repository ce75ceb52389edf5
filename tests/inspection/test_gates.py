"""Gates are those of the equations, after the sigmoid, in the convention that the caption names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backmix.inspection.gates import gates_of, watch
from backmix.inspection.subject import opened
from backmix.models.architecture import Architecture
from backmix.models.cells.gru import Gru
from backmix.models.engine import use_engine
from backmix.report.data import ReportData
from backmix.report.figures import WIDE, figures
from backmix.text import LANGUAGES, speak
from inspection_subjects import put, subject, whole

Arrays = dict[str, Any]


def sigmoid(z: np.ndarray) -> np.ndarray:
    """The plain formula."""
    return 1 / (1 + np.exp(-z))


def lstm(x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> Arrays:
    """Gates and h (T, H) of one window x (T, F): the equations of the textbook, written down once more."""
    units = len(recurrent)
    h = c = np.zeros(units)
    found: Arrays = {"i": [], "f": [], "o": [], "h": []}
    for row in x:
        i, f, g, o = np.split(row @ kernel + h @ recurrent + bias, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        for name, value in zip("ifoh", (i, f, o, h), strict=True):
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


def gru(x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> Arrays:
    """The same for a GRU; a bias of two rows belongs to the form with reset_after."""
    units = len(recurrent)
    h = np.zeros(units)
    first, second = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    found: Arrays = {"z": [], "r": [], "h": []}
    for row in x:
        xz, xr, xc = np.split(row @ kernel + first, 3)
        hz, hr, hc = np.split(h @ recurrent + second, 3)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        inner = r * hc if bias.ndim == 2 else (r * h) @ recurrent[:, 2 * units :]
        h = z * h + (1 - z) * np.tanh(xc + inner)
        for name, value in zip("zrh", (z, r, h), strict=True):
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(features=3, lookback=12, cell="lstm", units=(5, 4)),
        Architecture(features=3, lookback=12, cell="gru", units=(5, 4)),
        Architecture(features=3, lookback=12, cell="gru", units=(5, 4), reset_after=False),
    ],
    ids=["lstm", "gru", "gru without reset_after"],
)
def test_gates_are_those_of_the_equations_and_make_up_keras_outputs(architecture: Architecture) -> None:
    """Course item 9. Trap Q: gates stand behind the sigmoid. Both layers, both forms of GRU."""
    asked = subject(architecture)
    for variable in asked.model.trainable_variables:  # biases start at zero: nothing would be seen of them
        variable.assign(variable.value + 0.3 * np.random.default_rng(7).normal(size=variable.shape).astype("float32"))
    x = whole(asked).x[:1]
    cell = {"lstm": lstm, "gru": gru}[architecture.cell]
    weights = [np.asarray(v.value, np.float64) for v in asked.model.trainable_variables]
    first = cell(x[0].astype(np.float64), *weights[:3])
    second = cell(first["h"], *weights[3:6])
    keras = use_engine()
    answer = keras.Model(asked.model.inputs, asked.model.get_layer("recurrent_1").output)({"x": x}, training=False)
    np.testing.assert_allclose(first["h"], np.asarray(answer)[0], atol=2e-6)
    for gate in gates_of(opened(asked).forward(x), 7):
        values = (first, second)[gate.layer - 1][gate.name][-7:]
        np.testing.assert_allclose(gate.mean, values.mean(axis=1), atol=1e-9)
        np.testing.assert_allclose(gate.low, np.quantile(values, 0.1, axis=1), atol=1e-9)
        np.testing.assert_allclose(gate.high, np.quantile(values, 0.9, axis=1), atol=1e-9)
    shown = {(gate.layer, gate.name) for gate in gates_of(opened(asked).forward(x), 7)}
    names = "ifo" if architecture.cell == "lstm" else "zr"
    assert shown == {(layer, name) for layer in (1, 2) for name in names}


@pytest.mark.parametrize("size", [0.1, 30.0])
def test_gates_never_leave_zero_to_one(size: float) -> None:
    """Trap Q: however large the sums before the sigmoid are, a gate lies between shut and open."""
    asked = subject(Architecture(features=2, lookback=12, cell="lstm", units=(6,)))
    for variable in asked.model.trainable_variables:
        variable.assign(size * variable.value)
    for gate in gates_of(opened(asked).forward(50 * whole(asked).x[:1]), 12):
        assert (gate.low >= 0).all()
        assert (gate.high <= 1).all()
    before = opened(asked).forward(50 * whole(asked).x[:1]).layers[0].pre["f"]
    assert np.abs(before).max() > 1  # what must not be shown does leave it


def test_z_near_one_keeps_and_the_caption_says_so(number_report: Callable[..., ReportData]) -> None:
    """Trap C: the course's text and equation contradict each other; here z keeps, as in Keras, and it is said."""
    asked = subject(Architecture(features=2, lookback=12, cell="gru", units=(3,)))
    bias = np.zeros((2, 9))
    bias[0, :3] = 4.0  # z
    bias[0, 6:] = 3.0  # candidate
    put(asked.model, {"recurrent_1/bias": bias})
    trace = opened(asked).forward(whole(asked).x[:1])
    (z,) = (gate for gate in gates_of(trace, 12) if gate.name == "z")
    np.testing.assert_allclose(z.mean, sigmoid(np.array(4.0)), atol=1e-9)
    np.testing.assert_allclose(trace.layers[0].h[0, 0], (1 - sigmoid(np.array(4.0))) * np.tanh(3.0), atol=1e-9)
    drawn = figures.get("gates")(number_report(), WIDE)
    assert drawn is not None
    for lang in LANGUAGES:
        with speak(lang):
            assert Gru.convention in drawn.caption()
            assert "sigmoid" in drawn.caption()


def test_the_stretch_starts_with_a_window_from_rest(sensor_subject: Any) -> None:
    """Course item 13: what is shown first is what the network holds at the end of its first window."""
    seen = watch(sensor_subject, features=[0, 2], rows=30)
    assert seen is not None
    assert len(seen.x) == len(seen.truth) == len(seen.prediction) == len(seen.gates[0].mean) == 30
    assert seen.run_up == sensor_subject.architecture.lookback - 1
    (first,) = np.flatnonzero(sensor_subject.every.times.astype(np.int64) / 1e9 == seen.x[0])
    x = sensor_subject.every.gather(np.array([first])).x
    trace = opened(sensor_subject).forward(x)
    for gate in seen.gates:
        layer = trace.layers[gate.layer - 1]
        np.testing.assert_allclose(gate.mean[0], layer.gates[gate.name][0, -1].mean(), atol=1e-9)
    table, names = sensor_subject.table, sensor_subject.windows.spec.inputs
    row = int(sensor_subject.every.origins[first])
    assert [tag.name for tag, _ in seen.tags] == [names[0], names[2]]
    assert seen.tags[1][1][0] == table.column(names[2])[row]
    assert seen.truth[0] == table.column("quality")[row]


def test_a_simple_network_has_no_gates() -> None:
    asked = subject(Architecture(features=2, lookback=12, cell="simple_rnn", units=(3,)))
    assert watch(asked, features=[0]) is None


def test_a_whole_batch_is_shown_from_its_first_row_to_its_last() -> None:
    asked = subject(Architecture(features=2, cell="lstm", units=(3,), masked=True))
    seen = watch(asked, features=[0], place="3")
    assert seen is not None
    assert (seen.batch, len(seen.x), seen.run_up) == ("3", int(asked.windows.lengths[2]), 0)  # type: ignore[index]
    np.testing.assert_allclose(seen.tags[0][1], asked.windows.gather(np.array([2])).x[0, : len(seen.x), 0])
    assert len(seen.prediction) == 0
    assert replace(seen, x=seen.x).moment(0) == str(int(seen.x[0]))
