"""The training steps of an epoch.

This module runs Keras's training step several times per call, because Keras's bookkeeping costs as much as a small
network. It checks the loss of every step, stops after the call in which Ctrl-C came, and finds the likely cause of a
loss that exploded.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.errors import TrainingError
from backmix.text import say
from backmix.training.fitting.callbacks import Callback
from backmix.training.fitting.feed import AnyFeed, answer_name, gathered, moment, row_name
from backmix.training.fitting.progress import ProgressListener
from backmix.training.sections.settings import FitSettings

STEPS_PER_CALL = 16
"""Steps per call of a compiled program: with so many, dispatch is a few per cent of the time."""
MOST_BYTES = 4 * 2**20
"""Bytes of the batches of one call: for larger batches dispatch does not matter, and they go in one by one without a
copy."""
EXPLODED = 1e4
"""A mean loss this many times the first losses of the training has exploded."""
FIRST = 10
"""Steps whose largest loss is the measure for an explosion."""
HUGE = 50.0
"""A scaled value above this is no measurement: 50 standard deviations."""


class Interruption:
    """Whether Ctrl-C was pressed: the first one ends training after the step, the second one at once."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def finishing_steps() -> Iterator[Interruption]:
    """Inside this block the first Ctrl-C only sets a flag; outside the main thread signals are left alone."""
    pressed = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(_signal: int, _frame: FrameType | None) -> None:
        pressed.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, ask)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class StepInterrupted(Exception):
    """Leaves Keras's loop after a step; ``step`` batches of the epoch are done, ``state`` is theirs."""

    def __init__(self, step: int, state: Any) -> None:
        super().__init__(step)
        self.step, self.state = step, state


class Diverged(TrainingError):
    """The loss became NaN, infinite or enormous; ``fitted`` has the last good weights, if any."""

    fitted: Any = None


class DivergenceGuard:
    """Watches the running mean loss of every step and stops a training that has diverged."""

    def __init__(self, feed: AnyFeed, settings: FitSettings, watch: ProgressListener | None) -> None:
        self._feed, self._settings, self._watch = feed, settings, watch
        self.measure = 0.0
        self._seen = 0

    def see(self, step: int, loss: float) -> None:
        """Check the mean loss after batch ``step`` of the current epoch.

        Raises Diverged (training.diverged) naming the batch and the likely cause.
        """
        if self._seen < FIRST and math.isfinite(loss):
            self.measure = max(self.measure, loss)
            self._seen += 1
        if not math.isfinite(loss) or loss > EXPLODED * self.measure > 0:
            raise self.diverged(step, loss)
        if self._watch is not None:
            self._watch.step(self._feed.epoch, step, loss)

    def diverged(self, step: int, loss: float) -> Diverged:
        """The error for a loss that is NaN, infinite or enormous at a batch."""
        # the step that spoils the weights has a finite loss itself: check the one before, too
        suspects = [(step - back, *extreme(self._feed, step - back)) for back in (0, 1) if step >= back]
        step, size, tag, place = max(suspects, key=lambda suspect: suspect[1])
        s = self._settings
        if size > HUGE:
            cause, values = "training.cause_huge", {"tag": tag, "place": place, "size": f"{size:.3g}"}
        elif s.clipnorm is None and s.clipvalue is None:
            cause, values = "training.cause_no_clipping", {}
        else:
            rate = s.learning_rate
            cause, values = "training.cause_rate", {"rate": f"{rate:g}", "lower": f"{rate / 10:g}"}
        return Diverged(
            "training.diverged",
            epoch=self._feed.epoch + 1,
            batch=step + 1,
            loss=f"{loss:.4g}",
            first=moment_of(self._feed, step, 0),
            last=moment_of(self._feed, step, -1),
            cause=say(cause, **values),
        )

    def state(self) -> dict[str, float]:
        """What a resumed training must know."""
        return {"measure": self.measure, "seen": self._seen}

    def restore(self, state: Any) -> None:
        """Go on from a state."""
        self.measure, self._seen = float(state["measure"]), int(state["seen"])


class BatchCallback(Callback):
    """The same checks as a callback, for engines other than JAX; an interrupted epoch is repeated."""

    def __init__(self, guard: DivergenceGuard, pressed: Interruption) -> None:
        self._guard, self._pressed = guard, pressed

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._guard.see(batch, float((logs or {})["loss"]))
        if self._pressed.asked:
            raise StepInterrupted(0, None)


class Steps:
    """Keras's training step for JAX, several times per call: a loop inside one compiled program.

    During an epoch Keras keeps the weights outside the model: ``state`` is (trainable, non-trainable, optimizer,
    metrics), known after every call. The number of steps per call is an argument of the program, so an interrupted
    epoch can be resumed from any step with the same bits.
    """

    def __init__(self, model: Any, guard: DivergenceGuard, pressed: Interruption, *, steps: int, together: int) -> None:
        self._program = _looped(model.train_step)
        self._guard, self._pressed, self._together = guard, pressed, together
        self._steps = steps
        model.train_function = self
        model.steps_per_execution = together
        self._done = 0
        self._skip = 0
        self._metrics: list[NDArray[Any]] | None = None

    def begin_epoch(self, *, skip: int = 0, metrics: list[NDArray[Any]] | None = None) -> None:
        """An epoch begins; its first ``skip`` batches were done before, with these metrics."""
        self._done, self._skip, self._metrics = 0, skip, metrics

    def __call__(self, state: Any, iterator: Iterator[Any]) -> tuple[Any, Any]:
        if self._metrics is not None:
            import jax.numpy as jnp

            state = (*state[:3], [jnp.asarray(array) for array in self._metrics])
            self._metrics = None
        batches, skipped = self._take(iterator)
        if not batches and not skipped:
            raise StopIteration
        logs: Any = {}
        for first in range(0, len(batches), (most := self._most(batches))):
            chunk = batches[first : first + most]
            logs, losses, state = self._program(state, _stacked(chunk, most), len(chunk))
            for loss in np.asarray(losses)[: len(chunk)]:
                self._guard.see(self._done, float(loss))
                self._done += 1
            if self._pressed.asked and self._done < self._steps:
                raise StepInterrupted(self._done, state)
        return logs, state

    def _take(self, iterator: Iterator[Any]) -> tuple[list[Any], int]:
        """The next batches, and how many were passed over because they are done already."""
        batches: list[Any] = []
        skipped = 0
        while len(batches) + skipped < self._together:
            batch = next(iterator, None)
            if batch is None:
                break
            if self._done < self._skip:
                self._done += 1
                skipped += 1
            else:
                batches.append(batch)
            if self._pressed.asked:
                break  # train on this batch, but on no further one
        return batches, skipped

    def _most(self, batches: list[Any]) -> int:
        """How many batches are stacked for one call; the same number throughout a training."""
        size = sum(np.asarray(array).nbytes for array in _leaves(batches[0])) if batches else 1
        return max(1, min(self._together, MOST_BYTES // max(1, size)))


def _looped(step: Any) -> Any:
    """A program (state, batches (K, ...), count) -> (logs, losses (K,), state) of ``count`` steps."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    def program(state: Any, batches: Any, count: Any) -> Any:
        together = _leaves(batches)[0].shape[0]

        def body(turn: Any, carried: Any) -> Any:
            state, _, losses = carried
            batch = jax.tree.map(lambda array: lax.dynamic_index_in_dim(array, turn, keepdims=False), batches)
            logs, state = step(state, batch)
            return state, logs, losses.at[turn].set(logs["loss"])

        first = jax.tree.map(lambda array: array[0], batches)
        shapes = jax.eval_shape(step, state, first)[0]
        logs = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        state, logs, losses = lax.fori_loop(0, count, body, (state, logs, jnp.zeros(together, jnp.float32)))
        return logs, losses, state

    return jax.jit(program, donate_argnums=0)


def _stacked(batches: list[Any], most: int) -> Any:
    """Stacked batches, (K, B, ...); places after the last batch are uninitialised, and no step is made with them."""
    import jax

    def stack(*arrays: Any) -> NDArray[Any]:
        first = np.asarray(arrays[0])
        if most == 1:
            return first[None]
        side = np.empty((most, *first.shape), first.dtype)
        for place, array in enumerate(arrays):
            side[place] = array
        return side

    return jax.tree.map(stack, *batches)


def _leaves(batch: Any) -> list[Any]:
    import jax

    leaves: list[Any] = jax.tree.leaves(batch)
    return leaves


def listens_to_batches(callback: Any) -> bool:
    """Whether a callback has a hook for single batches."""
    for name in ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"):
        method = getattr(type(callback), name, None)
        if method is not getattr(Callback, name) and not getattr(method, "_is_default", False):
            return True
    return False


def extreme(feed: AnyFeed, number: int) -> tuple[float, str, str]:
    """The largest absolute scaled value of a batch, its tag and when it was measured."""
    positions = feed.positions(number)
    batch = gathered(feed.windows, positions)
    window, row, column = (int(i) for i in np.unravel_index(np.argmax(np.abs(batch.x)), batch.x.shape))
    size, tag = float(abs(batch.x[window, row, column])), feed.windows.feature_names[column]
    place = row_name(feed.windows, int(positions[window]), row)
    if batch.y is not None and batch.y.dtype.kind == "f":
        y = np.abs(batch.y.reshape(len(batch.y), -1))
        if float(y.max()) > size:
            window, column = (int(i) for i in np.unravel_index(np.argmax(y), y.shape))
            size, tag = float(y.max()), answer_name(feed.windows, column)
            place = moment(feed.windows, int(feed.windows.target_rows[positions[window]]))
    return size, tag, place


def moment_of(feed: AnyFeed, number: int, which: int) -> str:
    """When the earliest (0) or latest (-1) window of a batch was due."""
    rows = np.sort(feed.windows.origins[feed.positions(number)])
    return moment(feed.windows, int(rows[which]))
