"""Our layers in Keras's place: names, files, configs, carried states, and what is said of a slow loop."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from backmix import layers as ours
from backmix.layers import SlowLoopWarning, accelerate
from backmix.models import layers as inside

KINDS = ["SimpleRNN", "LSTM", "GRU"]
X = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
KERAS_WARNS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
"""Its variables, when they are written to a file, with NumPy 2."""
X[1, 4:] = X[2, :2] = 0.0  # rows that Masking takes for padding


def network(module: Any) -> Any:
    """A network with every layer that we replace, a mask in front."""
    keras.utils.set_random_seed(7)
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            keras.layers.Masking(0.0),
            module.LSTM(5, return_sequences=True, dropout=0.2, name="first"),
            module.Bidirectional(
                module.GRU(4, return_sequences=True, reset_after=False), merge_mode="ave", name="both"
            ),
            module.Bidirectional(module.LSTM(3, return_sequences=True), name="wide"),
            module.SimpleRNN(4, return_sequences=True, go_backwards=True, activation="relu"),
            module.GRU(3, recurrent_activation="hard_sigmoid", recurrent_dropout=0.1),
            keras.layers.Dense(2, name="head"),
        ]
    )


def said(model: Any) -> np.ndarray:
    return np.asarray(model(X))


def numbers(layer: Any) -> list[np.ndarray]:
    return [np.asarray(v.value) for v in layer.weights]


def recurrent_layers(model: Any) -> list[Any]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]


def is_ours(layer: Any) -> bool:
    return type(layer).__module__ == inside.__name__


def alone(code: str, *arguments: Path) -> None:
    """Runs code with plain Keras in a process in which backmix cannot be imported."""
    head = (
        "import sys; sys.modules['backmix'] = None\n"
        "try: import backmix\nexcept ImportError: pass\nelse: raise SystemExit('backmix can be imported')\n"
        "import keras, numpy as np\nplaces = sys.argv[1:]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", head + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr


def test_weights_have_the_same_names_shapes_and_start() -> None:
    theirs, mine = network(keras.layers), network(ours)
    assert len(theirs.weights) == len(mine.weights) > 20
    for a, b in zip(mine.weights, theirs.weights, strict=True):
        assert a.name == b.name
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert a.trainable == b.trainable
        np.testing.assert_array_equal(np.asarray(a.value), np.asarray(b.value))
    for a, b in zip(recurrent_layers(mine), recurrent_layers(theirs), strict=True):
        assert [v.path.split("/")[-2:] for v in a.weights] == [v.path.split("/")[-2:] for v in b.weights]
        assert is_ours(a)
        assert not is_ours(b)
        assert isinstance(a, type(b))
    np.testing.assert_allclose(said(mine), said(theirs), atol=1e-5)


@KERAS_WARNS
def test_our_file_opens_where_backmix_is_not_installed(tmp_path: Path) -> None:
    """Plain Keras reads .keras and .weights.h5 of ours and predicts the same."""
    model = network(ours)
    whole, weights, out = tmp_path / "model.keras", tmp_path / "model.weights.h5", tmp_path / "out.npz"
    model.save(whole)
    model.save_weights(weights)
    np.save(tmp_path / "x.npy", X)
    alone(
        """
model = keras.saving.load_model(places[0])
first = np.asarray(model(np.load(places[3])))
kinds = {type(layer).__module__.split(".")[0] for layer in model._flatten_layers()}
assert kinds == {"keras"}, kinds
for v in model.trainable_variables:
    v.assign(np.zeros(v.shape))
model.load_weights(places[1])
np.savez(places[2], first=first, second=np.asarray(model(np.load(places[3]))))
""",
        whole,
        weights,
        out,
        tmp_path / "x.npy",
    )
    with np.load(out) as result:
        np.testing.assert_allclose(result["first"], said(model), atol=1e-5)
        np.testing.assert_allclose(result["second"], said(model), atol=1e-5)


@KERAS_WARNS
def test_a_file_of_plain_keras_is_accelerated(tmp_path: Path) -> None:
    plain = network(keras.layers)
    plain.save(tmp_path / "plain.keras")
    loaded = keras.saving.load_model(tmp_path / "plain.keras")
    assert not any(is_ours(layer) for layer in recurrent_layers(loaded))
    assert accelerate(loaded) is loaded
    assert [is_ours(layer) for layer in recurrent_layers(loaded)] == [True] * 7
    np.testing.assert_allclose(said(loaded), said(plain), atol=1e-5)
    loaded.save(tmp_path / "again.keras")
    again = keras.saving.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(said(again), said(plain), atol=1e-5)
    for a, b in zip(numbers(again), numbers(plain), strict=True):
        np.testing.assert_array_equal(a, b)


@KERAS_WARNS
def test_weights_files_go_both_ways(tmp_path: Path) -> None:
    theirs, mine = network(keras.layers), network(ours)
    for n, (source, target) in enumerate([(theirs, mine), (mine, theirs)]):
        rng = np.random.default_rng(n)
        new = [rng.normal(size=v.shape).astype("float32") * 0.3 for v in source.trainable_variables]
        for v, array in zip(source.trainable_variables, new, strict=True):
            v.assign(array)
        source.save_weights(tmp_path / f"{n}.weights.h5")
        target.load_weights(tmp_path / f"{n}.weights.h5")
        for v, array in zip(target.trainable_variables, new, strict=True):
            np.testing.assert_array_equal(np.asarray(v.value), array)
        np.testing.assert_allclose(said(mine), said(theirs), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_configs_are_those_of_keras(kind: str) -> None:
    settings = {
        "units": 4,
        "activation": "relu",
        "use_bias": False,
        "dropout": 0.1,
        "recurrent_dropout": 0.2,
        "return_sequences": True,
        "go_backwards": True,
        "seed": 3,
        "name": "a",
        "kernel_regularizer": "l2",
        "bias_constraint": "max_norm",
        "zero_output_for_mask": True,
    }
    theirs, mine = getattr(keras.layers, kind)(**settings), getattr(ours, kind)(**settings)
    assert mine.get_config() == theirs.get_config()
    again = type(mine).from_config(mine.get_config())
    assert type(again) is getattr(ours, kind)
    assert again.get_config() == theirs.get_config()
    spelled = keras.saving.serialize_keras_object(mine)
    assert spelled == keras.saving.serialize_keras_object(theirs)
    assert type(keras.saving.deserialize_keras_object(spelled)) is getattr(keras.layers, kind)


def test_configs_of_bidirectional() -> None:
    theirs, mine = (
        module.Bidirectional(module.GRU(3, name="g"), merge_mode="sum", name="b") for module in (keras.layers, ours)
    )
    assert mine.get_config() == theirs.get_config()
    again = ours.Bidirectional.from_config(mine.get_config())
    assert type(again) is ours.Bidirectional
    assert is_ours(again.forward_layer)
    assert is_ours(again.backward_layer)
    assert keras.saving.serialize_keras_object(mine) == keras.saving.serialize_keras_object(theirs)


def test_copies_of_a_model_stay_ours() -> None:
    model = network(ours)
    copy = keras.models.clone_model(model)
    copy.set_weights(numbers(model))
    assert all(is_ours(layer) for layer in recurrent_layers(copy))
    np.testing.assert_array_equal(said(copy), said(model))


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_carried_and_reset(kind: str) -> None:
    """Course item 38, stateful=True: three windows in a row, then from the start again."""
    theirs, mine = (getattr(module, kind)(4, stateful=True, return_sequences=True) for module in (keras.layers, ours))
    for layer in (theirs, mine):
        layer.build((4, 6, 3))
    for v, array in zip(mine.trainable_variables, numbers(theirs), strict=False):
        v.assign(array)
    outputs = []
    for n in range(3):
        expected, found = (np.asarray(layer(X * (n + 1))) for layer in (theirs, mine))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        for a, b in zip(mine.states, theirs.states, strict=True):
            np.testing.assert_allclose(np.asarray(a.value), np.asarray(b.value), atol=1e-5)
        outputs.append(found)
    assert np.abs(np.asarray(mine(X)) - outputs[0]).max() > 1e-3
    mine.reset_state()
    np.testing.assert_array_equal(np.asarray(mine(X)), outputs[0])


def test_accelerate_reaches_every_layer_and_no_stranger() -> None:
    class Own(keras.layers.LSTM):
        pass

    model = keras.Sequential(
        [
            keras.Input((2, 6, 3)),
            keras.layers.TimeDistributed(keras.layers.LSTM(3, return_sequences=True)),
            keras.layers.Reshape((12, 3)),
            keras.Sequential([keras.layers.Bidirectional(keras.layers.SimpleRNN(3, return_sequences=True))]),
            Own(3, return_sequences=True),
            keras.layers.RNN(keras.layers.GRUCell(3), return_sequences=True),
            keras.layers.GRU(2),
        ]
    )
    x = np.random.default_rng(1).normal(size=(3, 2, 6, 3)).astype("float32")
    before = np.asarray(model(x))
    accelerate(model)
    kinds = [type(layer).__name__ for layer in recurrent_layers(model) if is_ours(layer)]
    assert sorted(kinds) == ["GRU", "LSTM", "SimpleRNN", "SimpleRNN"]
    assert sum(type(layer) in (Own, keras.layers.RNN) for layer in recurrent_layers(model)) == 2
    np.testing.assert_allclose(np.asarray(model(x)), before, atol=1e-5)
    names = [v.path for v in model.weights]
    assert [v.path for v in accelerate(model).weights] == names
    layer = keras.layers.GRU(2)
    assert type(accelerate(layer)) is ours.GRU


def test_an_encoder_hands_its_states_to_a_decoder() -> None:
    """Course items 29 and 37: states as outputs and as `initial_state`, T unknown when it is built."""
    collected, start = [], None
    for module in (keras.layers, ours):
        past, future = keras.Input((None, 3)), keras.Input((None, 3))
        _, *state = module.LSTM(5, return_state=True)(past)
        h = module.LSTM(5, return_sequences=True)(future, initial_state=state)
        model = keras.Model([past, future], keras.layers.Dense(1)(h))
        start = numbers(model) if start is None else start
        model.set_weights(start)
        collected.append(np.asarray(model([X, X[:, :4]])))
    np.testing.assert_allclose(*collected, atol=1e-5)


SLOW = [
    ("unroll", {"unroll": True}, "unroll=True asks for it. Leave unroll out"),
    (
        "half",
        {"dtype": "float16", "recurrent_initializer": "glorot_uniform"},
        "the kernels compute in float32. Leave dtype out, or set it to float32",
    ),
    ("mixed", {"dtype": "mixed_bfloat16"}, "the kernels compute in float32. Leave dtype out, or set it to float32"),
    ("activation", {"activation": keras.activations.softsign}, "activation is none of tanh, sigmoid, relu"),
    ("own", {"activation": keras.ops.sin}, "activation is none of tanh, sigmoid, relu"),
    ("gates", {"recurrent_activation": "softsign"}, "recurrent_activation is none of tanh, sigmoid, relu"),
]


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        pytest.param(kind, settings, message, id=f"{name}-{kind}")
        for name, settings, message in SLOW
        for kind in KINDS
        if kind != "SimpleRNN" or "recurrent_activation" not in settings
    ],
)
def test_what_is_not_covered_is_said_once(
    kind: str, settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Course item 41: the warning names the argument, comes once, and Keras's loop does the work."""
    monkeypatch.setattr(inside, "_said", set())
    theirs, mine = (getattr(module, kind)(4, return_sequences=True, **settings) for module in (keras.layers, ours))
    x = X[:, :3]
    theirs.build(x.shape)
    mine.build(x.shape)
    mine.set_weights(numbers(theirs))
    expected = np.asarray(theirs(x))
    with pytest.warns(SlowLoopWarning, match=message) as recorded:
        outputs = np.asarray(mine(x))
    assert len(recorded) == 1
    assert mine.cell_name in str(recorded[0].message)
    np.testing.assert_array_equal(outputs, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mine(x)


def test_each_cell_and_each_argument_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "_said", set())
    x = X[:1, :2]
    for kind, settings in [("GRU", {"unroll": True}), ("LSTM", {"unroll": True}), ("GRU", {"dtype": "mixed_bfloat16"})]:
        with pytest.warns(SlowLoopWarning):
            getattr(ours, kind)(2, **settings)(x)


def test_without_kernels_keras_computes_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "_said", set())
    layer = ours.GRU(3)
    expected = np.asarray(layer(X))
    monkeypatch.setattr(inside, "available", lambda: False)
    with pytest.warns(SlowLoopWarning, match="Install a C\\+\\+ compiler and run pip install again"):
        outputs = np.asarray(layer(X))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_batch_without_rows_is_left_to_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "_said", set())
    with pytest.warns(SlowLoopWarning, match="the batch has no rows or no steps"):
        assert ours.LSTM(3)(X[:0]).shape == (0, 3)


def test_the_usual_layers_say_nothing() -> None:
    """Warnings are errors here: all that the kernels cover is silent, strings or functions alike."""
    for settings in (
        {},
        {"activation": keras.activations.relu},
        {"activation": None},
        {"activation": "linear"},
        {"use_bias": False},
        {"dtype": "float32"},
        {"go_backwards": True},
    ):
        for kind in KINDS:
            assert inside.slow_reason(getattr(ours, kind)(2, **settings), X) is None
