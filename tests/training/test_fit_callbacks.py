"""What happens at the end of an epoch: stopping, saving, slowing down, and whose turn it is."""

from __future__ import annotations

import importlib.util
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.data.windows.windows import Windows
from backmix.errors import TrainingError
from backmix.models.architecture import Architecture
from backmix.models.engine import use_engine
from backmix.training.fitting.callbacks import (
    Callback,
    EarlyStop,
    ImprovementRule,
    Plateau,
    Resumable,
    SaveBest,
    TensorBoard,
    recommended,
)
from backmix.training.fitting.checkpoint import values
from backmix.training.fitting.fit import FitSettings, fit_network
from backmix.training.fitting.progress import Progress, ScoreToBeat

T, F = 6, 3
SHAPE = Architecture(features=F, lookback=T, cell="simple_rnn", units=(4,))
QUICK = FitSettings(epochs=3, batch_size=16, learning_rate=0.01)
DOWN = ImprovementRule("val_loss", higher=False)


@pytest.fixture(scope="module")
def parts() -> tuple[Windows, Windows]:
    def some(count: int, seed: int) -> Windows:
        x = np.random.default_rng(seed).normal(size=(count, T, F)).astype(np.float32)
        return Windows.from_arrays(x, 2.0 * x[:, :, 0].mean(axis=1))

    return some(48, 0), some(32, 1)


class Stub:
    """A model as far as callbacks look at it."""

    def __init__(self) -> None:
        self.variables: list[Any] = []
        self.weights: list[Any] = []
        self.stop_training = False
        self.optimizer = type("Optimizer", (), {"learning_rate": 0.1})()


def play(callback: Callback, series: list[float]) -> tuple[Stub, list[dict[str, float]]]:
    """Show a callback a series of validation losses, as a training would."""
    model = Stub()
    callback.set_model(model)
    callback.on_train_begin()
    logs = []
    for epoch, value in enumerate(series):
        logs.append({"loss": 1.0, "val_loss": value})
        callback.on_epoch_end(epoch, logs[-1])
        if model.stop_training:
            break
    return model, logs


@pytest.mark.parametrize(
    ("series", "patience", "epochs", "best"),
    [([3, 2, 1, 1, 1, 1], 2, 5, 2), ([3, 4, 2, 3, 1], 2, 5, 4), ([1, 2, 3], 1, 2, 0), ([3, 2, 1], 1, 3, 2)],
)
def test_training_stops_when_nothing_gets_better(series: list[float], patience: int, epochs: int, best: int) -> None:
    """Course item 55."""
    stop = EarlyStop(DOWN, patience=patience)
    _, logs = play(stop, series)
    assert (len(logs), stop.best_epoch) == (epochs, best)


def test_early_stopping_agrees_with_keras() -> None:
    """Independent reference, on random series."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        series = rng.integers(0, 6, size=12).astype(float).tolist()
        patience = int(rng.integers(1, 4))
        theirs = use_engine().callbacks.EarlyStopping(patience=patience, restore_best_weights=False)
        model = Stub()
        theirs.set_model(use_engine().Sequential())
        theirs._model = model
        theirs._set_monitor_op = lambda t=theirs: setattr(t, "monitor_op", np.less)
        theirs.on_train_begin()
        for epoch, value in enumerate(series):
            theirs.on_epoch_end(epoch, {"val_loss": value})
            if model.stop_training:
                break
        ours = EarlyStop(DOWN, patience=patience)
        _, logs = play(ours, series)
        assert len(logs) == epoch + 1
        assert ours.best == theirs.best


def test_the_learning_rate_falls_on_a_plateau() -> None:
    """Course item 57, with the numbers of the lesson: halved after every 2 epochs, down to the floor."""
    slow = Plateau(DOWN, patience=2, factor=0.5, least=0.02)
    model, logs = play(slow, [1.0] + [2.0] * 9)
    assert [row["learning_rate"] for row in logs] == pytest.approx(
        [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.02, 0.02, 0.02]
    )
    assert model.optimizer.learning_rate == pytest.approx(0.02)


@pytest.mark.parametrize("higher", [False, True])
def test_law_better_is_by_more_than_the_least_difference(higher: bool) -> None:
    """Up or down alike: a difference of ``min_delta`` itself, or a step in the wrong direction, is none."""
    rule, sign = ImprovementRule("val_loss", higher=higher, min_delta=0.25), 1 if higher else -1
    assert rule.better(1.0 + sign * 0.5, than=1.0)
    assert not any(rule.better(1.0 + sign * step, than=1.0) for step in (0.25, 0.125, 0.0, -0.125, -0.5))
    assert rule.better(7.0, than=None)


def test_a_higher_metric_can_be_watched() -> None:
    stop = EarlyStop(ImprovementRule("val_loss", higher=True), patience=1)
    _, logs = play(stop, [1.0, 2.0, 1.5])
    assert (len(logs), stop.best) == (3, 2.0)
    assert FitSettings(monitor="val_auc").higher_is_better
    assert not FitSettings().higher_is_better


def test_nan_is_never_the_best() -> None:
    """Trap U."""
    stop = EarlyStop(DOWN, patience=5)
    play(stop, [float("nan"), 3.0, float("nan"), float("-inf"), 4.0])
    assert (stop.best, stop.best_epoch) == (3.0, 1)


def test_the_best_weights_come_back(parts: tuple[Windows, Windows]) -> None:
    """Course item 55: after wild epochs the network has the weights of the best one."""
    seen: list[list[Any]] = []

    class Keep(Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            seen.append(values(self.model))

    wild = replace(QUICK, learning_rate=0.5, epochs=10, plateau_patience=99)
    made = fit_network(SHAPE, *parts, settings=wild, callbacks=[Keep()])
    best = int(np.argmin(made.history["val_loss"]))
    assert made.best_epoch == best + 1 < 10
    for ours, kept in zip(values(made.model), seen[best], strict=True):
        np.testing.assert_array_equal(ours, kept)


def test_early_stopping_restores_the_best_weights_by_itself() -> None:
    """As a callback of any Keras model, without our training around it."""
    keras = use_engine()
    model = keras.Sequential([keras.layers.Dense(2)])
    model.build((None, 3))
    stop = EarlyStop(DOWN, patience=1)
    stop.set_model(model)
    seen = []
    for epoch, loss in enumerate((2.0, 1.0, 3.0)):
        for variable in model.weights:
            variable.assign(variable.value + 1.0)
        seen.append(values(model))
        stop.on_epoch_end(epoch, {"val_loss": loss})
    stop.on_train_end()
    for ours, best, last in zip(values(model), seen[1], seen[2], strict=True):
        np.testing.assert_array_equal(ours, best)
        assert not np.array_equal(ours, last)


def test_patience_ends_a_training(parts: tuple[Windows, Windows]) -> None:
    made = fit_network(SHAPE, *parts, settings=replace(QUICK, learning_rate=0.3, epochs=50, patience=2))
    assert made.stopped == "patience"
    assert len(made.history["loss"]) == made.best_epoch + 2


def test_weights_are_saved_only_when_they_are_the_best(parts: tuple[Windows, Windows], tmp_path: Path) -> None:
    """Course item 56: weights only, best only, under templated names."""
    from safetensors.numpy import load_file

    wild = replace(QUICK, learning_rate=0.3, epochs=5, checkpoint="{epoch:03d}-{val_loss:.4f}")
    made = fit_network(SHAPE, *parts, settings=wild, folder=tmp_path / "a")
    series = made.history["val_loss"]
    better = [epoch for epoch, value in enumerate(series) if value == min(series[: epoch + 1])]
    names = [f"{epoch + 1:03d}-{series[epoch]:.4f}.safetensors" for epoch in better]
    assert sorted(path.name for path in (tmp_path / "a").glob("0*")) == names
    saved = load_file(tmp_path / "a" / names[-1])
    assert set(saved) == {variable.path for variable in made.model.weights}
    for variable in made.model.weights:
        np.testing.assert_array_equal(saved[variable.path], np.asarray(variable.value))
    fit_network(SHAPE, *parts, settings=replace(wild, checkpoint="best"), folder=tmp_path / "b")
    assert (tmp_path / "b" / "best.safetensors").exists()


def test_a_name_with_an_unknown_blank_is_refused(parts: tuple[Windows, Windows], tmp_path: Path) -> None:
    save = SaveBest(DOWN, tmp_path, "{accuracy}")
    with pytest.raises(TrainingError) as caught:
        play(save, [1.0])
    assert str(caught.value) == (
        "checkpoint name '{accuracy}' asks for something that is not measured. Known here: epoch, loss, val_loss"
    )


def test_what_is_watched_must_be_measured() -> None:
    with pytest.raises(TrainingError) as caught:
        play(EarlyStop(ImprovementRule("val_mae", higher=False), patience=1), [1.0])
    assert str(caught.value) == (
        "'val_mae' was not measured in this epoch, so nothing can be stopped or "
        "saved by it. Watch one of: loss, val_loss"
    )


def test_callbacks_run_in_the_order_of_their_list(parts: tuple[Windows, Windows]) -> None:
    """Letter E: the lesson gives them a fixed order; the order is that of the list, for every hook."""
    heard: list[tuple[str, str]] = []

    class Voice(use_engine().callbacks.Callback):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def on_train_begin(self, logs: Any = None) -> None:
            heard.append(("begin", self.name))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            heard.append((f"batch {batch}", self.name))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            heard.append((f"epoch {epoch}", self.name))
            logs["from " + self.name] = float(len(heard))

        def on_train_end(self, logs: Any = None) -> None:
            heard.append(("end", self.name))

    for names in (("first", "second", "third"), ("third", "first", "second")):
        heard.clear()
        made = fit_network(SHAPE, *parts, settings=replace(QUICK, epochs=2), callbacks=[Voice(name) for name in names])
        hooks = list(dict.fromkeys(hook for hook, _ in heard))
        assert hooks == ["begin", "batch 0", "batch 1", "batch 2", "epoch 0", "epoch 1", "end"]
        assert all(
            [n for h, n in heard if h == hook] == list(names) * (2 if hook.startswith("batch") else 1) for hook in hooks
        )
        assert {f"from {name}" for name in names} <= set(made.history)


def test_the_order_of_the_list_decides_the_outcome() -> None:
    """Letter E: a plateau rule before or after one that corrects the logs sees other numbers."""

    class Correct(Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            assert logs is not None
            logs["val_loss"] = -float(epoch)

    outcomes = []
    for turn in (0, 1):
        slow, correct = Plateau(DOWN, patience=1, factor=0.5, least=0.0), Correct()
        model = Stub()
        both = [correct, slow][:: 1 if turn == 0 else -1]
        for callback in both:
            callback.set_model(model)
        for epoch in range(3):
            logs = {"val_loss": 1.0}
            for callback in both:
                callback.on_epoch_end(epoch, logs)
        outcomes.append(model.optimizer.learning_rate)
    assert outcomes == [0.1, 0.025]


def test_the_recommended_combination(tmp_path: Path) -> None:
    """Course item 59."""
    names = [type(callback).__name__ for callback in recommended(FitSettings(tensorboard=True), tmp_path)]
    assert names == ["Plateau", "SaveBest", "EarlyStop", "TensorBoard"]
    assert all(isinstance(callback, Resumable) for callback in recommended(FitSettings(), tmp_path))


def test_callbacks_of_keras_are_accepted(parts: tuple[Windows, Windows]) -> None:
    keras = use_engine()
    heard: list[float] = []
    log = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: heard.append(logs["val_loss"]))
    chosen = [keras.callbacks.TerminateOnNaN(), log]
    made = fit_network(SHAPE, *parts, settings=QUICK, callbacks=chosen)
    assert heard == made.history["val_loss"]


def test_a_users_callback_may_end_the_training(parts: tuple[Windows, Windows]) -> None:
    class Enough(Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.model.stop_training = epoch == 1

    made = fit_network(SHAPE, *parts, settings=QUICK, callbacks=[Enough()])
    assert (made.stopped, len(made.history["loss"])) == ("callback", 2)


def test_tensorboard_reads_what_was_written(parts: tuple[Windows, Windows], tmp_path: Path) -> None:
    """Course item 58, without TensorFlow."""
    if importlib.util.find_spec("tensorboard") is None:
        pytest.skip("the extra tensorboard is not installed")
    made = fit_network(SHAPE, *parts, settings=replace(QUICK, tensorboard=True), folder=tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for part, name in (("train", "loss"), ("validation", "val_loss")):
        events = EventAccumulator(str(tmp_path / "tensorboard" / part))
        events.Reload()
        points = events.Scalars("loss")
        assert [point.step for point in points] == [1, 2, 3]
        assert [point.value for point in points] == pytest.approx(made.history[name])
    assert "tensorflow" not in sys.modules


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("backmix.training.fitting.callbacks.find_spec", lambda name: None)
    with pytest.raises(TrainingError) as caught:
        TensorBoard(tmp_path)
    assert str(caught.value) == (
        'events for TensorBoard need the package tensorboard. Install it: pip install "backmix[tensorboard]"'
    )


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_one_line_and_a_terminal_a_bar(parts: tuple[Windows, Windows]) -> None:
    """Course item 54: loss, best, the baseline to beat, time left; in the end one line."""
    pipe, screen = io.StringIO(), Terminal()
    mark = ScoreToBeat("ridge", 0.0123)
    fit_network(SHAPE, *parts, settings=QUICK, watch=Progress(mark=mark, title="GRU 32", stream=pipe))
    assert pipe.getvalue().count("\n") == 1
    assert pipe.getvalue().startswith("GRU 32: 3 epochs in ")
    assert pipe.getvalue().endswith("(all epochs done) · to beat: ridge 0.0123\n")
    bar = Progress(mark=mark, stream=screen)
    bar.begin(10, 5, 0)
    bar.step(0, 0, 0.5)
    bar.epoch(0, {"loss": 0.4, "val_loss": 0.3}, 0.3)
    bar.end(1, 0.3, "patience")
    assert "epoch 1/10 · loss 0.4 · best 0.3 · to beat: ridge 0.0123" in screen.getvalue()
    assert screen.getvalue().endswith("best 0.3 (no improvement any more) · to beat: ridge 0.0123\n")
