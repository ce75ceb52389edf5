"""A program as the course writes it runs on our layers with one import changed, and comes to the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from backmix import layers as ours
from backmix.models import layers as inside

PROGRAM = Path(__file__).parent.parent / "docs" / "course_program.py"
LINE = "from keras.layers import GRU, LSTM, Bidirectional, SimpleRNN"
KERAS_WARNS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def run(text: str, folder: Path) -> dict[str, Any]:
    """Execute a program in a folder of its own; its names afterwards."""
    folder.mkdir()
    names: dict[str, Any] = {}
    here = Path.cwd()
    os.chdir(folder)
    try:
        exec(compile(text, PROGRAM.name, "exec"), names)  # noqa: S102  # our own program
    finally:
        os.chdir(here)
    return names


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """What the program finds on Keras's layers and on ours, and the folder of its files."""
    text, folder = PROGRAM.read_text("utf-8"), tmp_path_factory.mktemp("program")
    assert text.count(LINE) == 1
    theirs = run(text, folder / "keras")
    mine = run(text.replace(LINE, LINE.replace("keras.layers", "backmix.layers")), folder / "backmix")
    return theirs, mine, folder


@KERAS_WARNS
def test_the_program_gives_the_same_on_our_layers(both: tuple[dict[str, Any], dict[str, Any], Path]) -> None:
    """Course items 24 to 29, 33 to 40, 43 to 49, 52, 55 to 57, 59, 61, 66, 70 to 73 and 87: one import changed.

    The same histories, scores and predictions to float32 rounding, with the same random numbers.
    """
    theirs, mine, _ = both
    assert type(mine["model"].layers[0]) is ours.LSTM
    assert type(theirs["model"].layers[0]) is keras.layers.LSTM
    assert mine["found"].keys() == theirs["found"].keys()
    assert len(mine["found"]) > 25
    for name, wanted in theirs["found"].items():
        found = mine["found"][name]
        if isinstance(wanted, dict):
            assert found.keys() == wanted.keys()
            for curve in wanted:
                np.testing.assert_allclose(found[curve], wanted[curve], rtol=2e-3, atol=1e-4, err_msg=f"{name} {curve}")
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3, err_msg=name)


@KERAS_WARNS
def test_the_program_learns_and_its_files_come_back(both: tuple[dict[str, Any], dict[str, Any], Path]) -> None:
    """Course items 55 to 57, 66, 70 to 72: losses fall, and every file that was written is what it should be."""
    _, mine, folder = both
    found = mine["found"]
    for name, curves in found.items():
        if isinstance(curves, dict):
            assert curves["loss"][-1] < curves["loss"][0], name
    for name in ("loaded", "weights loaded", "best"):
        np.testing.assert_allclose(found[name], found["predictions"], atol=1e-6)
    epochs = len(found["regression"]["loss"])
    written = {path.name for path in (folder / "backmix").iterdir()}
    assert {f"epoch{epoch:02d}.weights.h5" for epoch in range(1, epochs + 1)} <= written
    assert (folder / "backmix" / "history.csv").read_text().count("\n") == epochs + 1
    assert written & {"training_history.png", "training_history.svg"}
    first, second, reset = found["carried: predictions"]
    assert np.abs(first - second).max() > 1e-4
    np.testing.assert_array_equal(first, reset)
    # a file has Keras's own names, so a load gives Keras's layers, whatever custom_objects says; or ours, if wanted
    loaded = keras.saving.load_model(folder / "backmix" / "model.keras", custom_objects={"LSTM": ours.LSTM})
    assert type(loaded.layers[0]) is keras.layers.LSTM
    assert type(ours.accelerate(loaded).layers[0]) is ours.LSTM
    np.testing.assert_allclose(np.asarray(loaded(mine["X_test"])), found["predictions"], atol=1e-5)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_carried_states_are_the_whole_sequence(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Course item 38, trap T: a stateful layer on our kernels, piece by piece, is the layer over the whole."""
    calls: list[str] = []
    kernels = inside._run
    monkeypatch.setattr(inside, "_run", lambda layer, *a, **k: calls.append(kind) or kernels(layer, *a, **k))
    x = np.random.default_rng(0).normal(size=(3, 12, 2)).astype("float32")
    whole = getattr(ours, kind)(4, return_sequences=True)
    pieces = getattr(ours, kind)(4, return_sequences=True, stateful=True)
    whole.build(x.shape)
    pieces.build((3, 4, 2))
    for mine, theirs in zip(pieces.trainable_variables, whole.trainable_variables, strict=True):
        mine.assign(theirs.value)
    for _ in range(2):
        pieces.reset_state()
        found = np.concatenate([np.asarray(pieces(x[:, at : at + 4])) for at in (0, 4, 8)], axis=1)
        np.testing.assert_allclose(found, np.asarray(whole(x)), atol=1e-6)
    assert len(calls) == 8, "not the kernels, but Keras's loop"
    pieces.reset_state()
    for state in pieces.states:
        np.testing.assert_array_equal(np.asarray(state.value), np.zeros((3, 4)))


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_a_stack_without_sequences_is_refused(kind: str) -> None:
    """Course item 36: a layer above needs all time steps of the layer below, and says so."""
    layer = getattr(ours, kind)
    with pytest.raises(ValueError, match=r"expected ndim=3, found ndim=2"):
        keras.Sequential([keras.Input((10, 3)), layer(4), layer(2)])
    model = keras.Sequential([keras.Input((10, 3)), layer(4, return_sequences=True), layer(2)])
    assert model.layers[0].output.shape == (None, 10, 4)
    assert model.output_shape == (None, 2)
