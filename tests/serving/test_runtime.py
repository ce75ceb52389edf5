"""The light runtime: equal to the bundle, to itself step by step, and honest about what it cannot do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.errors import BundleError, InputError, PlanError
from backmix.models.architecture import Architecture
from backmix.models.engine import use_engine
from backmix.models.kernels import available
from backmix.models.network import build
from backmix.models.weights import take_weights
from backmix.results.run import Run
from backmix.serving.archive import pack, unpack
from backmix.serving.bundle import Bundle
from backmix.serving.exporters import exporters
from backmix.serving.runtime import Runtime
from small import small_table

native_only = pytest.mark.skipif(not available(), reason="the kernels were not built")
KERNELS = [pytest.param(True, marks=native_only, id="kernels"), pytest.param(False, id="numpy")]


def rows_of(runtime: Runtime, *, classes: bool = False) -> np.ndarray:
    """The small plant's rows in the order of a runtime's inputs."""
    table = small_table(classes=classes)
    return np.column_stack([table.column(name) for name in runtime.inputs])


def cut(rows: np.ndarray, steps: int) -> np.ndarray:
    return np.stack([rows[at : at + steps] for at in range(len(rows) - steps + 1)])


@pytest.fixture(scope="session")
def any_bundle(sensor_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle of any architecture: a finished run's, with another network in it."""
    import safetensors.numpy

    members = unpack(sensor_run.bundle_path)

    def make(architecture: Architecture) -> tuple[Path, Any]:
        model = build(architecture, seed=3)
        for number, variable in enumerate(model.trainable_variables):
            shape = tuple(variable.shape)
            variable.assign(0.3 * np.random.default_rng(number).normal(size=shape).astype(np.float32))
        path = tmp_path_factory.mktemp("bundles") / "any.backmix"
        pack(
            path,
            members
            | {
                "architecture.json": json.dumps(architecture.to_dict()).encode(),
                "weights.safetensors": safetensors.numpy.save(take_weights(model)),
            },
            version="0.1.0",
        )
        return path, model

    return make


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_runtime_predicts_what_the_bundle_does(sensor_run: Run, diagnosis_run: Run, kernels: bool) -> None:
    for run, classes in ((sensor_run, False), (diagnosis_run, True)):
        runtime = Runtime.load(run.bundle_path, kernels=kernels)
        frame, _ = run.bundle.predict(small_table(classes=classes))
        columns = [f"p:{name}" for name in runtime.classes] or ["prediction"]
        found = runtime.slide(rows_of(runtime, classes=classes))
        np.testing.assert_allclose(found, frame[columns].to_numpy(), atol=2e-5, rtol=1e-5)
        assert runtime.native is kernels


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
@pytest.mark.parametrize("reset_after", [True, False])
def test_law_streaming_equals_the_whole_window(any_bundle: Any, kernels: bool, cell: str, reset_after: bool) -> None:
    """Row by row, in one piece, as windows cut and as windows slid: one answer, Keras's own."""
    shape = Architecture(
        features=3, lookback=6, cell=cell, units=(7, 5), dense=(4,), dense_activation="tanh", reset_after=reset_after
    )
    path, model = any_bundle(shape)
    runtime = Runtime.load(path, kernels=kernels)
    rows = rows_of(runtime)[:40]
    windows = cut(rows, 6)
    slid, predicted = runtime.slide(rows), runtime.predict(windows)
    np.testing.assert_allclose(slid, predicted, atol=1e-5)
    state = runtime.start()
    for row in windows[9]:
        y, state = runtime.step(row, state)
    np.testing.assert_allclose(y, predicted[9], atol=1e-5)
    at_once, end = runtime.carry(rows, runtime.start())
    part, middle = runtime.carry(rows[:11], runtime.start())
    rest, last = runtime.carry(rows[11:], middle)
    np.testing.assert_allclose(np.concatenate([part, rest]), at_once, atol=1e-6)
    np.testing.assert_allclose(last, end, atol=1e-6)
    plain = Runtime.load(path, kernels=False)._network
    scaled = (np.clip(windows, plain._low, plain._high) - plain._center) / plain._scale
    keras_says = np.asarray(model.predict_on_batch({"x": scaled.astype(np.float32)}))
    np.testing.assert_allclose(predicted, keras_says * runtime._scale + runtime._center, atol=2e-5)


@pytest.mark.parametrize("kernels", KERNELS)
def test_windows_of_unequal_length_end_where_they_end(any_bundle: Any, kernels: bool) -> None:
    """What stands behind the last row counts for nothing, statistics of the window included."""
    path, _ = any_bundle(Architecture(features=3, cell="gru", units=(5,), masked=True, summaries=True))
    runtime = Runtime.load(path, kernels=kernels)
    rows = rows_of(runtime)
    padded = np.full((2, 9, 3), np.nan)
    padded[0, :4], padded[1] = rows[:4], rows[4:13]
    both = runtime.predict(padded, lengths=[4, 9])
    alone = runtime.predict(rows[None, :4], lengths=[4])
    np.testing.assert_allclose(both[0], alone[0], atol=1e-6)


@pytest.mark.parametrize("kernels", KERNELS)
def test_of_two_classes_the_one_output_is_the_probability_of_the_second(
    any_bundle: Any, tmp_path: Path, kernels: bool
) -> None:
    """In one piece, as windows and step by step."""
    path, model = any_bundle(Architecture(features=3, lookback=6, units=(5,), head="binary", outputs=1))
    members = {name: data for name, data in unpack(path).items() if name != "intervals.json"}
    recipe = json.loads(members["recipe.json"])
    recipe["targets"][0]["categories"] = ["calm", "leak"]
    pack(tmp_path / "two.backmix", members | {"recipe.json": json.dumps(recipe).encode()}, version="0.1.0")
    runtime = Runtime.load(tmp_path / "two.backmix", kernels=kernels)
    assert runtime.classes == ("calm", "leak")
    rows = rows_of(runtime)[:6]
    network = Runtime.load(tmp_path / "two.backmix", kernels=False)._network
    scaled = (np.clip(rows, network._low, network._high) - network._center) / network._scale
    second = float(np.asarray(model.predict_on_batch({"x": scaled[None].astype(np.float32)}))[0, 0])
    assert abs(second - 0.5) > 0.05
    state = runtime.start()
    for row in rows:
        stepped, state = runtime.step(row, state)
    for found in (runtime.predict(rows[None])[0], runtime.slide(rows)[0], stepped):
        np.testing.assert_allclose(found, [1.0 - second, second], atol=1e-5)


@pytest.mark.parametrize("kernels", KERNELS)
def test_known_past_targets_are_shown_in_the_newest_rows_alone(any_bundle: Any, tmp_path: Path, kernels: bool) -> None:
    """As in training: what stands in older rows counts for nothing."""
    path, _ = any_bundle(Architecture(features=4, lookback=6, units=(5,)))
    members = unpack(path)
    recipe = json.loads(members["recipe.json"])
    recipe["windows"]["known"] = {"delay": 3, "count": 2, "report": None, "age": False}
    pack(tmp_path / "known.backmix", members | {"recipe.json": json.dumps(recipe).encode()}, version="0.1.0")
    runtime = Runtime.load(tmp_path / "known.backmix", kernels=kernels)
    assert runtime.shown == 2
    table = small_table()
    plain = [table.column(name)[:6] for name in runtime.inputs[:3]]
    windows = np.column_stack([*plain, np.full(6, 40.0)])[None]
    said = runtime.predict(windows)
    for row in range(6):
        other = windows.copy()
        other[0, row, 3] += 10.0
        assert np.array_equal(runtime.predict(other), said) == (row < 4)


def test_a_step_leaves_the_state_given_as_it_was(sensor_run: Run) -> None:
    runtime = Runtime.load(sensor_run.bundle_path)
    row, state = rows_of(runtime)[0], runtime.start()
    _, moved = runtime.step(row, state)
    assert not state.any()
    assert moved.any()
    again, _ = runtime.step(list(row), state)  # a list is as good as an array
    np.testing.assert_array_equal(again, runtime.step(row, state)[0])


@pytest.mark.parametrize("kernels", KERNELS)
def test_what_cannot_be_is_refused_in_one_line(sensor_run: Run, diagnosis_run: Run, kernels: bool) -> None:
    runtime = Runtime.load(sensor_run.bundle_path, kernels=kernels)
    rows, state = rows_of(runtime), runtime.start()
    names = ", ".join(runtime.inputs)
    hole = rows[0].copy()
    hole[1] = np.nan
    cases = [
        (
            lambda: runtime.step(hole, state),
            f"{runtime.inputs[1]}, row 1: there is no number. Give the last good "
            "value, or leave the row out and begin again with start()",
        ),
        (lambda: runtime.step(rows[0, :2], state), f"rows have the shape (2,), 3 values a row are needed: {names}"),
        (
            lambda: runtime.step(rows[0], state[:1]),
            f"the state has the shape (1,), ({len(state)},) is needed. Begin "
            "with runtime.start() and pass on what step() returns",
        ),
        (
            lambda: runtime.predict(rows[None, :4]),
            "windows have 4 rows, the model was trained on 6. Give windows of 6 rows",
        ),
        (
            lambda: runtime.slide(np.vstack([rows, hole])),
            f"{runtime.inputs[1]}, row {len(rows) + 1}: there is no "
            "number. Give the last good value, or leave the row out and begin again with start()",
        ),
        (
            lambda: Runtime.load(diagnosis_run.bundle_path, kernels=kernels).carry(rows, state),
            "this model reads statistics of whole windows and has no single step. Use predict() or slide()",
        ),
    ]
    for act, message in cases:
        with pytest.raises(InputError) as caught:
            act()
        assert str(caught.value) == message


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_wherever_it_comes_in(sensor_run: Run, kernels: bool, wrong: float) -> None:
    """Infinity is no measurement either: it would be brought to the edge of the training range, plausibly."""
    runtime = Runtime.load(sensor_run.bundle_path, kernels=kernels)
    rows = rows_of(runtime)[:6].copy()
    rows[4, 1] = wrong
    for act in (
        lambda: runtime.predict(rows[None]),
        lambda: runtime.slide(rows),
        lambda: runtime.carry(rows, runtime.start()),
    ):
        with pytest.raises(InputError, match=f"^{runtime.inputs[1]}, row "):
            act()
    with pytest.raises(InputError, match=f"^{runtime.inputs[1]}, row 1:"):
        runtime.step(rows[4], runtime.start())


@pytest.mark.parametrize("lengths", [[4, 10], [0, 9], [4], [[4, 9]]])
def test_lengths_that_cannot_be_are_refused(any_bundle: Any, lengths: Any) -> None:
    path, _ = any_bundle(Architecture(features=3, cell="gru", units=(5,), masked=True))
    runtime = Runtime.load(path)
    windows = np.stack([rows_of(runtime)[:9]] * 2)
    with pytest.raises(InputError) as caught:
        runtime.predict(windows, lengths=lengths)
    assert caught.value.key == "serving.lengths"


@pytest.mark.parametrize("change", [{"features": 4}, {"lookback": 7}])
def test_an_architecture_of_other_windows_is_refused(any_bundle: Any, change: dict[str, int]) -> None:
    """Also when its weights fit it."""
    path, _ = any_bundle(Architecture(**{"features": 3, "lookback": 6, "units": (4,)} | change))
    with pytest.raises(BundleError, match=r"architecture\.json is not what a bundle holds"):
        Bundle.load(path)


def test_row_36_weights_and_intervals_of_another_model_are_refused(
    sensor_run: Run, diagnosis_run: Run, tmp_path: Path
) -> None:
    """By the light runtime, too."""
    members, others = unpack(sensor_run.bundle_path), unpack(diagnosis_run.bundle_path)
    for member in ("weights.safetensors", "intervals.json"):
        for one, other in ((members, others), (others, members)):
            pack(tmp_path / "bad.backmix", one | {member: other[member]}, version="0.1.0")
            with pytest.raises(BundleError, match=member.replace(".", r"\.")):
                Runtime.load(tmp_path / "bad.backmix")


def test_row_36_a_hostile_bundle_is_refused(sensor_run: Run, tmp_path: Path) -> None:
    members = unpack(sensor_run.bundle_path)
    for member in ("architecture.json", "recipe.json", "weights.safetensors"):
        path = tmp_path / "bad.backmix"
        pack(path, members | {member: b"{}"}, version="0.1.0")
        with pytest.raises(BundleError, match=member):
            Runtime.load(path)


def test_it_loads_without_keras_jax_and_pandas(sensor_run: Run) -> None:
    """A scorer beside a control system starts with NumPy and the kernels, nothing else."""
    code = f"""
import sys
from backmix.serving.runtime import Runtime
runtime = Runtime.load({str(sensor_run.bundle_path)!r})
y, state = runtime.step([1.0, 2.0, 3.0], runtime.start())
heavy = {{"keras", "jax", "jaxlib", "torch", "tensorflow", "pandas", "pydantic", "scipy", "sklearn", "pyarrow"}}
print(sorted(heavy & {{name.split(".")[0] for name in sys.modules}}), y.shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[0] == "[] (1,)"


def test_row_18_values_beyond_the_training_range_are_brought_to_its_edge(sensor_run: Run) -> None:
    runtime = Runtime.load(sensor_run.bundle_path)
    far = np.full((1, 6, 3), 1e9)
    further = np.full((1, 6, 3), 1e12)
    np.testing.assert_array_equal(runtime.predict(far), runtime.predict(further))


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"bidirectional": True, "residual": True}, "bidirectional = true, residual = true"),
        ({"body": "transformer"}, 'body = "transformer"'),
        (
            {"answer": "path", "horizon": 2, "decoder": "states", "future": 1},
            'answer = "path", decoder = "states", future = 1',
        ),
    ],
)
def test_what_needs_keras_is_refused_by_name(any_bundle: Any, fields: dict[str, Any], form: str) -> None:
    """A bundle of any form carries its weights over; the light runtime says which form it cannot run."""
    path, model = any_bundle(Architecture(features=3, lookback=6, units=(4,), **fields))
    with pytest.raises(BundleError) as caught:
        Runtime.load(path)
    assert str(caught.value) == (
        f"{path} holds a network with {form}, which the light runtime cannot run. Use "
        "`backmix predict` without --history, or Bundle.load(...).predict(table)"
    )
    found = take_weights(Bundle.load(path).network)
    for name, array in take_weights(model).items():
        np.testing.assert_array_equal(found[name], array)


def test_noise_leaves_a_network_light(any_bundle: Any) -> None:
    """Course item 28: noise acts in training alone, so the runtime need not know of it."""
    path, model = any_bundle(Architecture(features=3, lookback=6, units=(4,), noise=0.2))
    runtime = Runtime.load(path)
    still, _ = any_bundle(Architecture(features=3, lookback=6, units=(4,)))
    rows = rows_of(runtime)[:30]
    np.testing.assert_array_equal(runtime.slide(rows), Runtime.load(still).slide(rows))
    assert any(layer.name == "noise" for layer in model.layers)


def test_what_plain_keras_lacks_leaves_as_weights_only(any_bundle: Any, tmp_path: Path) -> None:
    """Course items 70, 71: a file that nobody could open is not written."""
    bundle = Bundle.load(any_bundle(Architecture(features=3, lookback=6, units=(4,), attention=True))[0])
    for name, suffix in (("keras", ".keras"), ("h5", ".h5")):
        with pytest.raises(PlanError, match="a network with attention = true has layers that plain Keras lacks"):
            exporters.get(name).write(bundle, tmp_path / f"model{suffix}")
    assert not list(tmp_path.iterdir())
    exporters.get("weights").write(bundle, tmp_path / "model.weights.h5")
    other = build(bundle.architecture, seed=9)
    other.load_weights(tmp_path / "model.weights.h5")
    for name, array in take_weights(other).items():
        np.testing.assert_array_equal(array, bundle.weights[name])


@pytest.mark.parametrize(
    "fields",
    [
        {"bidirectional": True, "layer_norm": True, "residual": True},
        {"answer": "path", "horizon": 2, "decoder": "repeat", "noise": 0.1},
    ],
    ids=str,
)
def test_plain_keras_opens_what_it_knows(any_bundle: Any, tmp_path: Path, fields: dict[str, Any]) -> None:
    """Course items 70, 72: the other forms are Keras's own layers, and say in plain Keras what they say here."""
    keras = use_engine()
    path, model = any_bundle(Architecture(features=3, lookback=6, units=(4,), **fields))
    exporters.get("keras").write(Bundle.load(path), tmp_path / "model.keras")
    opened = keras.models.load_model(tmp_path / "model.keras")
    x = {"x": np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)}
    np.testing.assert_allclose(opened.predict_on_batch(x), model.predict_on_batch(x), atol=1e-6)
    assert type(opened.get_layer("recurrent_1")).__module__.startswith("keras.")
