"""The callbacks of every training.

This module stops early and keeps the best weights, writes the best weights to a file, lowers the learning rate on a
plateau, and, as an extra, writes events for TensorBoard. The callbacks have Keras's hooks without importing Keras,
and each can save and restore its state for a resumed training. They run in the order of their list.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from backmix.errors import TrainingError
from backmix.storage import loud, write_atomic
from backmix.training.fitting.checkpoint import assign, named_weights, values
from backmix.training.sections.settings import FitSettings

Logs = dict[str, float]
HOOKS = (
    *(f"on_{what}_{when}" for what in ("epoch", "train", "test", "predict") for when in ("begin", "end")),
    *(f"on_{what}batch_{when}" for what in ("", "train_", "test_", "predict_") for when in ("begin", "end")),
)
"""The methods that Keras calls on a callback."""


@runtime_checkable
class Resumable(Protocol):
    """A callback whose state is saved with every checkpoint; callbacks of the user may have these methods, too."""

    def state(self) -> Mapping[str, Any]:
        """The state, ready for JSON."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; called after `on_train_begin`."""


class Callback:
    """Base of our callbacks: a hook (`HOOKS`) that a subclass does not define does nothing."""

    model: Any = None
    params: Mapping[str, Any] | None = None

    def set_model(self, model: Any) -> None:
        """Called once before training."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called once before training with the number of epochs and steps."""
        self.params = params

    def _ignore(self, *_: Any, **__: Any) -> None:
        """What a hook does unless a subclass defines it."""


for _hook in HOOKS:
    setattr(Callback, _hook, Callback._ignore)


@dataclass(frozen=True)
class ImprovementRule:
    """When a watched value counts as better: by more than ``min_delta``, up or down.

    >>> ImprovementRule("val_loss", higher=False, min_delta=0.1).better(0.85, than=1.0)
    True
    """

    monitor: str
    higher: bool
    min_delta: float = 0.0

    def better(self, value: float, *, than: float | None) -> bool:
        """Whether ``value`` improves on the best so far; any finite one improves on None."""
        if not math.isfinite(value):
            return False
        if than is None:
            return True
        return value - self.min_delta > than if self.higher else value + self.min_delta < than

    def read(self, logs: Logs | None) -> float:
        """The watched value of an epoch.

        Raises TrainingError (training.no_monitor) when it is not among the logs.
        """
        if not logs or self.monitor not in logs:
            raise TrainingError("training.no_monitor", monitor=self.monitor, names=", ".join(logs or {}))
        return float(logs[self.monitor])


class EarlyStop(Callback):
    """Ends training when nothing has become better for ``patience`` epochs; restores the best.

    best_epoch: counted from 0; None before the first epoch has ended
    """

    def __init__(self, rule: ImprovementRule, *, patience: int) -> None:
        self.rule, self.patience = rule, patience
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.wait = 0
        self.stopped = False
        self.weights: list[NDArray[Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.rule.read(logs)
        if self.rule.better(value, than=self.best):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            self.weights = values(self.model)
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped = True
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.weights is not None:
            assign(self.model, self.weights)

    def state(self) -> Mapping[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait, "stopped": self.stopped}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.wait, self.stopped = state["wait"], state["stopped"]


class Plateau(Callback):
    """Multiplies the learning rate by ``factor`` after ``patience`` epochs without a better value.

    Writes the learning rate of the epoch into the logs.
    """

    def __init__(self, rule: ImprovementRule, *, patience: int, factor: float, least: float) -> None:
        self.rule, self.patience, self.factor, self.least = rule, patience, factor, least
        self.best: float | None = None
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.rule.read(logs)
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        if logs is not None:
            logs["learning_rate"] = rate
        if self.rule.better(value, than=self.best):
            self.best, self.wait = value, 0
            return
        self.wait += 1
        if self.wait >= self.patience and rate > np.float32(self.least):
            self.model.optimizer.learning_rate = max(rate * self.factor, self.least)
            self.wait = 0

    def state(self) -> Mapping[str, Any]:
        return {"best": self.best, "wait": self.wait}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best, self.wait = state["best"], state["wait"]


class Cosine(Callback):
    """Lowers the learning rate from epoch to epoch along half a cosine wave.

    Writes the learning rate of the epoch into the logs.
    """

    def __init__(self, *, first: float, least: float, epochs: int) -> None:
        self.first, self.least, self.epochs = first, min(first, least), epochs

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        share = 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
        self.model.optimizer.learning_rate = self.least + (self.first - self.least) * share

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))


class SaveBest(Callback):
    """Writes the weights alone, and only when they are the best so far.

    name: file name without its ending; ``{epoch}`` (counted from 1) and logged metrics may stand in
    it: ``"{epoch:03d}-{val_loss:.4f}"``. Each name is written whole or not at all.
    """

    def __init__(self, rule: ImprovementRule, folder: Path, name: str = "best") -> None:
        self.rule, self.folder, self.name = rule, folder, name
        self.best: float | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.rule.read(logs)
        if not self.rule.better(value, than=self.best):
            return
        from safetensors.numpy import save

        self.best = value
        try:
            name = self.name.format(epoch=epoch + 1, **(logs or {}))
        except (KeyError, IndexError, ValueError):
            raise TrainingError(
                "training.checkpoint_name", name=self.name, names=", ".join(["epoch", *(logs or {})])
            ) from None
        about = {"epoch": str(epoch + 1), "monitor": self.rule.monitor, "value": repr(value)}
        write_atomic(self.folder / f"{name}.safetensors", save(named_weights(self.model), about))

    def state(self) -> Mapping[str, Any]:
        return {"best": self.best}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]


class TensorBoard(Callback):
    """Writes every epoch's logs for TensorBoard; needs the package tensorboard, not TensorFlow.

    Raises TrainingError (training.no_tensorboard) when it is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if find_spec("tensorboard") is None:
            raise TrainingError("training.no_tensorboard")
        self.folder = folder
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for name, value in (logs or {}).items():
            point = Summary.Value(tag=name.removeprefix("val_"), simple_value=float(value))
            event = Event(wall_time=time.time(), step=epoch + 1, summary=Summary(value=[point]))
            self._writer("validation" if name.startswith("val_") else "train").add_event(event)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, part: str) -> Any:
        """The event file of one part; training and validation have two folders, so that they share a chart."""
        if part not in self._writers:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            with loud(self.folder):
                self._writers[part] = EventFileWriter(str(self.folder / part))
        return self._writers[part]


def recommended(settings: FitSettings, folder: Path | None) -> tuple[Callback, ...]:
    """The callbacks of every training: plateau, best weights to a file, early stopping.

    >>> [type(callback).__name__ for callback in recommended(FitSettings(), None)]
    ['Plateau', 'EarlyStop']
    """
    rule = ImprovementRule(settings.monitor, settings.higher_is_better, settings.min_delta)
    chosen: list[Callback] = [
        Cosine(first=settings.learning_rate, least=settings.min_learning_rate, epochs=settings.epochs)
        if settings.schedule == "cosine"
        else Plateau(
            rule, patience=settings.plateau_patience, factor=settings.plateau_factor, least=settings.min_learning_rate
        )
    ]
    if folder is not None:
        chosen.append(SaveBest(rule, folder, settings.checkpoint))
    chosen.append(EarlyStop(rule, patience=settings.patience))
    if settings.tensorboard:
        chosen.append(TensorBoard((folder or Path()) / "tensorboard"))
    return tuple(chosen)
