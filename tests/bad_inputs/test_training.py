"""What can go wrong while a network trains: each row of the list with its exact sentence."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix import storage
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows, WindowSpec, build_windows
from backmix.errors import BusyError, StorageError, TrainingError
from backmix.models.architecture import Architecture
from backmix.storage import hold
from backmix.training.fitting.checkpoint import CHECKPOINT, load_snapshot, values
from backmix.training.fitting.feed import Feed
from backmix.training.fitting.fit import Diverged, FitSettings, FittedNetwork, fit_network, predict_network
from backmix.training.fitting.memory import estimate

ROWS = 80
SHAPE = Architecture(features=2, lookback=4, cell="simple_rnn", units=(4,))
QUICK = FitSettings(epochs=2, batch_size=16, learning_rate=0.01)


@pytest.fixture(scope="module")
def undisturbed() -> FittedNetwork:
    values, time = plant()
    part = cut(values, time)
    return fit_network(SHAPE, part, part, settings=QUICK)


def plant(*, clock: bool = True) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    values = np.random.default_rng(0).normal(size=(ROWS, 3))
    start = np.datetime64("2024-05-01T00:00:00", "ns")
    return values, start + np.arange(ROWS) * np.timedelta64(60, "s") if clock else None


def cut(values: np.ndarray[Any, Any], time: np.ndarray[Any, Any] | None = None) -> Windows:
    tags = (Tag("T101"), Tag("F102"), Tag("quality", role="target"))
    spec = WindowSpec(inputs=("T101", "F102"), targets=("quality",), lookback=4)
    return build_windows(Table(values, tags, time=time), spec)


@pytest.mark.parametrize("clock", [True, False])
def test_row_30_a_number_that_is_none_is_found_before_it_is_trained_on(clock: bool) -> None:
    """Trap U: 1e39 is a number in the table and infinite in the network's float32."""
    values, time = plant(clock=clock)
    good = cut(values, time)
    spoiled = values.copy()
    spoiled[40, 1] = 1e39
    place = "2024-05-01 00:40:00Z" if clock else "row 41"
    with pytest.raises(TrainingError) as caught:
        fit_network(SHAPE, cut(spoiled, time), good, settings=replace(QUICK, shuffle=False))
    assert str(caught.value) == (
        f"F102 at {place} — batch 3 of epoch 1 holds inf, found before it was trained on. Repair this value "
        "([repair] limits, outliers), or leave the row out"
    )
    assert caught.value.exit_code == 5


def test_row_30_a_target_that_is_none_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backmix.training.fitting.fit.KEEP", 0)
    values, time = plant()
    spoiled = values.copy()
    spoiled[79, 2] = -1e39
    with pytest.raises(TrainingError) as caught:
        fit_network(SHAPE, cut(values, time), cut(spoiled, time), settings=QUICK)
    assert str(caught.value) == (
        "quality at 2024-05-01 01:19:00Z — batch 1 of epoch 1 holds -inf, found before it was trained on. "
        "Repair this value ([repair] limits, outliers), or leave the row out"
    )


def test_row_30_a_huge_value_is_the_likely_cause(tmp_path: Path) -> None:
    """The loss overflows in the batch that holds the value; the weights of epoch 1 are kept."""
    values, time = plant()
    spoiled = values.copy()
    spoiled[20, 2] = 1e25
    first = fit_network(SHAPE, cut(values, time), cut(values, time), settings=QUICK, folder=tmp_path)
    with pytest.raises(Diverged) as caught:
        fit_network(SHAPE, cut(spoiled, time), cut(values, time), settings=replace(QUICK, shuffle=False))
    assert str(caught.value) == (
        "epoch 1, batch 2 (2024-05-01 00:19:00Z … 2024-05-01 00:34:00Z) — the loss became inf; training has "
        "stopped and the last good weights are kept. Likely cause: quality at 2024-05-01 00:20:00Z lies "
        '1e+25 standard deviations away. Give the tag limits (low, high), or [repair] outliers = "hampel"'
    )
    assert caught.value.exit_code == 5
    assert caught.value.fitted is None, "no epoch was good"
    assert load_snapshot(tmp_path) is not None
    assert first.stopped == "epochs"


class Sudden:
    """A callback that raises the learning rate beyond reason after the first epoch."""

    def __new__(cls) -> Any:
        from backmix.training.fitting.callbacks import Callback

        class Raise(Callback):
            def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
                self.model.optimizer.learning_rate = 1e30

        return Raise()


@pytest.mark.parametrize(
    ("clipnorm", "cause"),
    [
        (None, "gradients may grow without bound. Set [training] clipnorm = 1.0"),
        (1.0, "the learning rate 0.01 is too high. Try [training] learning_rate = 0.001"),
    ],
)
def test_row_30_an_exploding_loss_leaves_the_last_good_weights(
    tmp_path: Path, clipnorm: float | None, cause: str
) -> None:
    """Course item 7."""
    values_, time = plant()
    part = cut(values_, time)
    chosen = replace(QUICK, optimizer="sgd", clipnorm=clipnorm, epochs=5)
    good = fit_network(SHAPE, part, part, settings=replace(chosen, epochs=1))
    with pytest.raises(Diverged, match="epoch 2, batch ") as caught:
        fit_network(SHAPE, part, part, settings=chosen, folder=tmp_path, callbacks=[Sudden()])
    assert str(caught.value).endswith(
        f"; training has stopped and the last good weights are kept. Likely cause: {cause}"
    )
    kept = caught.value.fitted
    assert (kept.stopped, kept.best_epoch, len(kept.history["loss"])) == ("diverged", 1, 1)
    for ours, theirs in zip(values(kept.model), values(good.model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(predict_network(kept.model, part)).all()
    moment = load_snapshot(tmp_path)
    assert moment is not None
    assert moment.epoch == 1
    assert (tmp_path / "best.safetensors").exists()


def test_row_31_what_does_not_fit_is_refused_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Course item 51: the estimate comes first, with a batch size that would fit."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr("backmix.training.fitting.fit.build", never)
    values, time = plant()
    part = cut(values, time)
    wide = replace(SHAPE, cell="lstm", units=(256,))
    with pytest.raises(TrainingError) as caught:
        fit_network(wide, part, part, settings=replace(QUICK, batch_size=64, memory_limit=6_000_000))
    need, fits = caught.value.values["need"], caught.value.values["fits"]
    assert str(caught.value) == (
        f"training on batches of 64 windows of 4 rows needs about {need}, but 5.7 MB may be used. Use "
        f"[training] batch_size = {fits}, a shorter lookback, or fewer units"
    )
    with pytest.raises(AssertionError, match="a network was built"):
        fit_network(wide, part, part, settings=replace(QUICK, batch_size=fits, memory_limit=6_000_000))
    with pytest.raises(TrainingError) as caught:
        fit_network(wide, part, part, settings=replace(QUICK, batch_size=64, memory_limit=100_000))
    assert str(caught.value) == (
        f"training on even 1 window of 4 rows needs more than the 97.7 kB that may be used (batches of 64: "
        f"{need}). Use a shorter lookback or fewer units"
    )
    assert caught.value.exit_code == 5


def test_row_31_windows_that_are_too_many_to_keep_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Feed] = []
    monkeypatch.setattr(Feed, "keep", lambda self: kept.append(self))
    values, time = plant()
    part = cut(values, time)
    step = estimate(SHAPE, 16, rows=4)
    plenty = fit_network(SHAPE, part, part, settings=replace(QUICK, memory_limit=10**9))
    assert len(kept) == 2
    kept.clear()
    little = fit_network(SHAPE, part, part, settings=replace(QUICK, memory_limit=step + 1000))
    assert kept == []
    assert little.history == plenty.history


def test_row_31_a_prediction_that_cannot_fit_is_refused() -> None:
    values, time = plant()
    part = cut(values, time)
    made = fit_network(SHAPE, part, part, settings=replace(QUICK, epochs=1))
    with pytest.raises(TrainingError) as caught:
        predict_network(made.model, part, memory_limit=100)
    need = caught.value.values["need"]
    assert str(caught.value) == (
        f"predicting one window of 4 rows needs about {need}, "
        "but 100 B may be used. Free memory, or use a model with a shorter lookback"
    )
    whole = predict_network(made.model, part)
    np.testing.assert_allclose(predict_network(made.model, part, memory_limit=10_000), whole, atol=1e-6)


def test_row_39_the_second_process_on_a_run_folder_is_refused(tmp_path: Path) -> None:
    script = (
        f"from backmix.storage import hold\nwith hold({str(tmp_path)!r}):\n    print('held', flush=True)\n    input()"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    values, time = plant()
    part = cut(values, time)
    with pytest.raises(BusyError) as caught:
        fit_network(SHAPE, part, part, settings=QUICK, folder=tmp_path)
    named = caught.value.values
    assert str(caught.value) == (
        f"{tmp_path} — another process holds this folder: pid {holder.pid} on {named['host']} since "
        f"{named['since']}. Wait for it, stop it, or choose another folder"
    )
    assert caught.value.exit_code == 7
    assert not (tmp_path / CHECKPOINT).exists()
    holder.communicate("\n")
    fit_network(SHAPE, part, part, settings=replace(QUICK, epochs=1), folder=tmp_path)
    with hold(tmp_path):
        pass


@pytest.mark.parametrize("index", range(7))
def test_row_40_a_disk_that_fills_up_during_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: FittedNetwork, index: int
) -> None:
    """Whichever write fails: loud, and the folder can be resumed from what was saved before."""
    values_, time = plant()
    part = cut(values_, time)
    true, seen = os.fsync, iter(range(100))

    def fsync(handle: int) -> None:
        if next(seen) == index:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        true(handle)

    with monkeypatch.context() as patch:
        patch.setattr(storage.os, "fsync", fsync)
        with pytest.raises(StorageError) as caught:
            fit_network(SHAPE, part, part, settings=QUICK, folder=tmp_path)
    path = tmp_path / ("best.safetensors", CHECKPOINT)[index // 2 % 2]
    early, late = (
        f"{path} — cannot be written: the disk is full. What was there before is intact; mend that and start again",
        f"{path} — the new file is in its place, but the disk has not confirmed it: the disk is full. Mend "
        "that and start again",
    )
    assert str(caught.value) == (late if index % 2 else early)
    assert caught.value.exit_code == 8
    made = fit_network(SHAPE, part, part, settings=QUICK, folder=tmp_path)
    assert made.history == undisturbed.history
    for ours, theirs in zip(values(made.model), values(undisturbed.model), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_row_40_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    values, time = plant()
    part = cut(values, time)
    with pytest.raises(StorageError) as caught:
        fit_network(SHAPE, part, part, settings=QUICK, folder=tmp_path / "run")
    assert str(caught.value) == (
        f"{tmp_path / 'run'} — cannot be written: a file stands where a folder is "
        "needed. What was there before is intact; mend that and start again"
    )
