"""The callbacks that run before and after all others.

`FirstCallback` sets the order of the windows and corrects the logged losses for padding; `LastCallback` keeps the
history and saves the checkpoint. This module defines both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.training.fitting.callbacks import Callback, EarlyStop, Logs, Resumable
from backmix.training.fitting.checkpoint import Snapshot, arrays_of, assign, put, save_snapshot, values
from backmix.training.fitting.feed import AnyFeed
from backmix.training.fitting.progress import ProgressListener
from backmix.training.fitting.steps import DivergenceGuard, Interruption, StepInterrupted, Steps


class FirstCallback(Callback):
    """Runs before all other callbacks.

    cut: the checkpoint from which training is resumed, possibly within an epoch
    """

    def __init__(
        self, feed: AnyFeed, check: AnyFeed, guard: DivergenceGuard, *, steps: Steps | None, cut: Snapshot | None
    ) -> None:
        self._feed, self._check, self._guard, self._steps = feed, check, guard, steps
        self._cut = cut if cut is not None and cut.step and steps is not None else None
        self._fixed: list[NDArray[Any]] = []

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        cut, self._cut = self._cut, None
        done = cut.step if cut else 0
        self._feed.begin_epoch(epoch, first=done)
        if self._steps is not None:
            self._steps.begin_epoch(skip=done, metrics=cut.arrays["metrics"] if cut else None)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        # Keras draws dropout seeds in validation, too: without this, training would depend on the number of
        # validation batches
        self._fixed = arrays_of(self.model.non_trainable_variables)

    def on_test_end(self, logs: Logs | None = None) -> None:
        put(self.model.non_trainable_variables, self._fixed)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        # Keras divides by the batch size, which includes the windows of weight 0
        logs["loss"] /= self._feed.share
        logs["val_loss"] /= self._check.share
        if not math.isfinite(logs["val_loss"]):
            raise self._guard.diverged(len(self._feed) - 1, logs["val_loss"])


class LastCallback(Callback):
    """Runs after all other callbacks."""

    def __init__(
        self,
        others: Sequence[Any],
        guard: DivergenceGuard,
        *,
        epochs: int,
        folder: Path | None,
        fingerprint: str,
        watch: ProgressListener | None,
    ) -> None:
        self._others, self._guard, self._epochs = tuple(others), guard, epochs
        self._folder, self._watch = folder, watch
        self._early = next(o for o in others if isinstance(o, EarlyStop))
        self._start = monotonic()
        self._before: Snapshot | None = None
        self.fingerprint = fingerprint
        self.history: dict[str, list[float]] = {}
        self.pressed: Interruption | None = None
        self.done = 0
        self.stopped: str | None = None

    @property
    def resumed(self) -> int:
        """Epochs that an earlier process had finished."""
        return 0 if self._before is None else self._before.epoch

    @property
    def best(self) -> float | None:
        """The best monitored value so far."""
        return self._early.best

    @property
    def best_epoch(self) -> int | None:
        """The epoch of that value, counted from 0."""
        return self._early.best_epoch

    @property
    def seconds(self) -> float:
        """Time spent training so far, before and after a resumption."""
        return (0.0 if self._before is None else self._before.seconds) + monotonic() - self._start

    def resume(self, snapshot: Snapshot) -> None:
        """Go on from a checkpoint; the callbacks get their states when training begins."""
        put(self.model.variables, snapshot.arrays["model"])
        put(self.model.optimizer.variables, snapshot.arrays["optimizer"])
        self._before, self.done = snapshot, snapshot.epoch
        self.history = {name: list(entries) for name, entries in snapshot.history.items()}
        self._early.weights = list(snapshot.arrays["best"]) if "best" in snapshot.arrays else None
        self._guard.restore(snapshot.callbacks["guard"])
        # the others are restored when training begins, because Keras's own callbacks reset themselves then
        self._early.restore(snapshot.callbacks[self._name(self._early)])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self._before is not None:
            for callback in self._others:
                if isinstance(callback, Resumable) and self._name(callback) in self._before.callbacks:
                    callback.restore(self._before.callbacks[self._name(callback)])

    def begin_with(self, logs: Mapping[str, float]) -> None:
        """Count the initial weights, with these values, as the best so far."""
        self._early.set_model(self.model)
        self._early.on_epoch_end(-1, dict(logs))

    def restore_best(self) -> None:
        """Give the network its best weights."""
        if self._early.weights is not None:
            assign(self.model, self._early.weights)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        self.done = epoch + 1
        if self._early.stopped:
            self.stopped = "patience"
        elif self.model.stop_training:
            self.stopped = "callback"
        elif self.done >= self._epochs:
            self.stopped = "epochs"
        self.save()
        if self._watch is not None:
            self._watch.epoch(epoch, dict(logs or {}), self._early.best)
        if self.pressed is not None and self.pressed.asked and self.stopped is None:
            raise StepInterrupted(0, None)

    def save(self, *, step: int = 0, state: Any = None) -> None:
        """Write a checkpoint; within an epoch ``state`` is what Keras keeps outside the model."""
        if self._folder is None:
            return
        arrays: dict[str, list[NDArray[Any]]] = {}
        if state is None:
            arrays["model"] = values(self.model)
            arrays["optimizer"] = arrays_of(self.model.optimizer.variables)
        else:
            arrays["model"] = arrays_of(_in_order(self.model, state))
            arrays["optimizer"], arrays["metrics"] = arrays_of(state[2]), arrays_of(state[3])
        if self._early.weights is not None:
            arrays["best"] = self._early.weights
        states: dict[str, Mapping[str, Any]] = {
            self._name(callback): dict(callback.state()) for callback in self._others if isinstance(callback, Resumable)
        }
        states["guard"] = self._guard.state()
        save_snapshot(
            self._folder,
            Snapshot(
                epoch=self.done,
                step=step,
                arrays=arrays,
                history=self.history,
                callbacks=states,
                fingerprint=self.fingerprint,
                stopped=self.stopped,
                seconds=self.seconds,
            ),
        )

    def _name(self, callback: Any) -> str:
        return f"{self._others.index(callback)}:{type(callback).__name__}"


def _in_order(model: Any, state: Any) -> list[Any]:
    """The arrays of a step's state in the order of ``model.variables``."""
    trainable = {id(v): array for v, array in zip(model.trainable_variables, state[0], strict=True)}
    fixed = {id(v): array for v, array in zip(model.non_trainable_variables, state[1], strict=True)}
    known = trainable | fixed
    return [np.asarray(known[id(variable)]) for variable in model.variables]
