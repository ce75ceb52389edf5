"""However a training ends, it goes on as if it had not.

The reference is one training that nobody disturbed; killed, interrupted and resumed ones must end
with the same bits: weights, dropout masks, optimiser, learning rate, history, best epoch.
"""

from __future__ import annotations

import inspect
import os
import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import children
from backmix.errors import Interrupted, TrainingError
from backmix.training.fitting.checkpoint import CHECKPOINT, load_snapshot
from backmix.training.fitting.feed import Feed
from backmix.training.fitting.fit import FittedNetwork

STEPS = 20


def train(folder: Path | None, **changes: Any) -> Any:
    """The training that is disturbed; a process of its own gets the source of this function."""
    from dataclasses import replace

    import numpy as np

    from backmix.data.windows.windows import Windows
    from backmix.models.architecture import Architecture
    from backmix.training.fitting.fit import FitSettings, fit_network

    x = np.random.default_rng(0).normal(size=(220, 6, 3)).astype(np.float32)
    windows = Windows.from_arrays(x, 2.0 * x[:, :, 0].mean(axis=1))
    shape = Architecture(features=3, lookback=6, cell="simple_rnn", units=(4,), dropout=0.2, head_dropout=0.1)
    settings = FitSettings(epochs=6, batch_size=8, learning_rate=0.3, plateau_patience=1, patience=50, metrics=("mae",))
    train, validation = windows.subset(np.arange(157)), windows.subset(np.arange(157, 220))
    return fit_network(shape, train, validation, folder=folder, settings=replace(settings, **changes))


@pytest.fixture(scope="module")
def undisturbed() -> FittedNetwork:
    made: FittedNetwork = train(None)
    rates = made.history["learning_rate"]
    assert rates[-1] < rates[0], "the plateau rule must have something to remember"
    assert made.best_epoch < 6
    return made


def ends_alike(made: FittedNetwork, undisturbed: FittedNetwork) -> None:
    assert made.history == undisturbed.history
    assert (made.best_epoch, made.stopped) == (undisturbed.best_epoch, undisturbed.stopped)
    for ours, theirs in zip(made.model.variables, undisturbed.model.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours.value), np.asarray(theirs.value))


def disturb(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> None:
    """Do something when batch ``number`` of the whole training is gathered."""
    true, seen = Feed.batch, iter(range(10**6))

    def batch(self: Feed, place: int) -> Any:
        if self.epoch * STEPS + place == number and len(self) == STEPS and next(seen) == 0:
            act()
        return true(self, place)

    monkeypatch.setattr(Feed, "batch", batch)


def test_epoch_by_epoch_is_the_same_as_at_once(undisturbed: FittedNetwork, tmp_path: Path) -> None:
    """Law: resume equals uninterrupted, at the end of any epoch."""
    for epochs in (1, 2, 5):
        part: FittedNetwork = train(tmp_path, epochs=epochs)
        assert (part.stopped, len(part.history["loss"])) == ("epochs", epochs)
    made: FittedNetwork = train(tmp_path)
    assert made.resumed == 5
    ends_alike(made, undisturbed)


def test_a_finished_training_is_not_trained_again(undisturbed: FittedNetwork, tmp_path: Path) -> None:
    train(tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    began = time.monotonic()
    made: FittedNetwork = train(tmp_path)
    assert time.monotonic() - began < 60
    assert made.resumed == 6
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    ends_alike(made, undisturbed)


def test_a_training_can_start_anew(undisturbed: FittedNetwork, tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    made: FittedNetwork = train(tmp_path, resume=False)
    assert made.resumed == 0
    ends_alike(made, undisturbed)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"learning_rate": 0.1}, {"batch_size": 9}, {"loss": "mae"}])
def test_a_folder_of_another_training_is_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "other"
    if not folder.exists():
        train(folder, epochs=1)
    with pytest.raises(TrainingError) as caught:
        train(folder, **changes)
    assert str(caught.value) == (
        f"{folder} — this folder holds a training of other data or settings. Choose "
        "another folder, or start anew without --resume"
    )


@pytest.mark.parametrize("number", [0, 7, 2 * STEPS - 2, 3 * STEPS])
def test_row_42_ctrl_c_finishes_the_step_and_saves(
    undisturbed: FittedNetwork, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real SIGINT within an epoch: the step is finished, the moment saved, the rest comes later."""
    before = signal.getsignal(signal.SIGINT)  # a shell's background jobs begin with it ignored
    with monkeypatch.context() as patch:
        disturb(patch, number, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted) as caught:
            train(tmp_path)
    epoch, step = divmod(number, STEPS)
    assert caught.value.exit_code == 130
    assert str(caught.value) == (
        f"{tmp_path} — training was interrupted in epoch {epoch + 1} after batch "
        f"{step + 1} of {STEPS}, and saved. Go on with: backmix run --resume"
    )
    moment = load_snapshot(tmp_path)
    assert moment is not None
    assert (moment.epoch, moment.step) == (epoch, step + 1)
    assert signal.getsignal(signal.SIGINT) is before
    ends_alike(train(tmp_path), undisturbed)


def test_row_42_ctrl_c_in_the_last_step_of_an_epoch_ends_the_epoch(
    undisturbed: FittedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        disturb(patch, 2 * STEPS - 1, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted, match=f"epoch 2 after batch {STEPS} of {STEPS}"):
            train(tmp_path)
    moment = load_snapshot(tmp_path)
    assert moment is not None
    assert (moment.epoch, moment.step) == (2, 0)
    ends_alike(train(tmp_path), undisturbed)


def test_row_42_without_a_folder_nothing_can_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        disturb(patch, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted) as caught:
            train(None)
    assert str(caught.value) == (
        f"training was interrupted in epoch 1 after batch 4 of {STEPS}; without a "
        "run folder nothing was saved. Give it one to be able to resume"
    )


def test_row_42_the_second_ctrl_c_does_not_wait(
    undisturbed: FittedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

    with monkeypatch.context() as patch:
        disturb(patch, STEPS + 3, twice)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    ends_alike(train(tmp_path), undisturbed)


HEAD = """
import os, signal, sys, time
from pathlib import Path
from typing import Any
from backmix import storage
from backmix.errors import Interrupted
from backmix.training.fitting.feed import Feed
batch = Feed.batch
Feed.batch = lambda self, place: (time.sleep(0.004), batch(self, place))[1]  # a training of some seconds
"""


def process(folder: Path, *, before: str = "") -> children.Child:
    """The same training in a process of its own."""
    text = (
        HEAD
        + textwrap.dedent(inspect.getsource(train))
        + textwrap.dedent(before)
        + textwrap.dedent(f"""
        try:
            train(Path({str(folder)!r}))
        except Interrupted as end:
            print(end)
            sys.exit(end.exit_code)
    """)
    )
    return children.start(text)


def wait_for_epoch(folder: Path, epoch: int, child: children.Child) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and child.poll() is None:
        moment = load_snapshot(folder)
        if moment is not None and moment.epoch >= epoch:
            return
        time.sleep(0.005)
    child.kill()
    raise AssertionError(f"no epoch {epoch} in time: {child.communicate()}")


def test_row_41_killed_at_any_moment_it_ends_bit_equal(undisturbed: FittedNetwork, tmp_path: Path) -> None:
    """kill -9 in the middle of steps, and within the writing of a checkpoint."""
    moments = np.random.default_rng()
    for epoch in (1, 2):
        child = process(tmp_path)
        wait_for_epoch(tmp_path, epoch, child)
        time.sleep(moments.uniform(0, 0.1))
        child.kill()
        child.communicate()
        assert load_snapshot(tmp_path) is not None
    before = load_snapshot(tmp_path)
    child = process(
        tmp_path,
        before="""
        true, seen = os.replace, iter(range(100))
        def cut(source, target):
            if str(target).endswith("checkpoint.safetensors") and next(seen) == 1:
                os.truncate(source, os.path.getsize(source) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            true(source, target)
        storage.os.replace = cut
    """,
    )
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    after = load_snapshot(tmp_path)
    assert before is not None
    assert after is not None
    assert after.epoch == before.epoch + 1
    assert list(tmp_path.glob(".partial-*")), "the torn draft is there, beside the old checkpoint"
    made: FittedNetwork = train(tmp_path)
    assert made.resumed == after.epoch
    assert not list(tmp_path.glob(".partial-*"))
    ends_alike(made, undisturbed)


def test_row_42_ctrl_c_ends_a_process_with_130(undisturbed: FittedNetwork, tmp_path: Path) -> None:
    child = process(tmp_path)
    wait_for_epoch(tmp_path, 1, child)
    time.sleep(np.random.default_rng().uniform(0, 0.1))
    child.send_signal(signal.SIGINT)
    said, noise = child.communicate(timeout=120)
    assert child.returncode == 130
    assert noise == ""
    assert said.startswith(f"{tmp_path} — training was interrupted in epoch ")
    assert said.endswith(f"of {STEPS}, and saved. Go on with: backmix run --resume\n")
    ends_alike(train(tmp_path), undisturbed)


def test_a_users_callback_with_a_state_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backmix.training.fitting import fit
    from backmix.training.fitting.callbacks import Callback

    class Count(Callback):
        def __init__(self) -> None:
            self.epochs = 0

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.epochs += 1

        def state(self) -> dict[str, int]:
            return {"epochs": self.epochs}

        def restore(self, state: dict[str, int]) -> None:
            self.epochs = state["epochs"]

    true = fit.fit_network
    for epochs in (2, 6):
        count = Count()
        with monkeypatch.context() as patch:
            patch.setattr(fit, "fit_network", lambda *a, count=count, **named: true(*a, **named, callbacks=[count]))
            train(tmp_path, epochs=epochs)
        assert count.epochs == epochs


def test_an_engine_that_keeps_its_steps_to_itself_trains_the_same(
    undisturbed: FittedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other engines are watched by a callback; an epoch cut short is repeated from its beginning."""
    from backmix.models.engine import use_engine
    from backmix.training.fitting import fit

    class Another:
        """Keras, as if its engine were not JAX: the layers go on as they are."""

        backend = type("Backend", (), {"backend": staticmethod(lambda: "another")})

        def __getattr__(self, name: str) -> Any:
            return getattr(use_engine(), name)

    monkeypatch.setattr(fit, "use_engine", lambda: Another())
    with monkeypatch.context() as patch:
        disturb(patch, 2 * STEPS + 5, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted):
            train(tmp_path)
    moment = load_snapshot(tmp_path)
    assert moment is not None
    assert (moment.epoch, moment.step) == (2, 0)
    ends_alike(train(tmp_path), undisturbed)
