"""From windows to a trained network.

This module trains a network with Keras's ``fit``. Batches are gathered as they are needed, every step is watched,
every epoch is saved, and a resumed training ends bit-equal to an uninterrupted one.

    fit_network(architecture, train, validation, settings=...)  ->  Fitted
    predict_network(model, windows)                             ->  (W, O)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.windows.windows import Windows
from backmix.errors import Interrupted, TrainingError
from backmix.models.architecture import Architecture
from backmix.models.engine import use_engine
from backmix.models.heads import heads
from backmix.models.losses import losses
from backmix.models.network import build
from backmix.models.shape.size import memory_predict
from backmix.storage import hold, remove
from backmix.training.fitting.callbacks import recommended
from backmix.training.fitting.checkpoint import CHECKPOINT, Snapshot, arrays_of, load_snapshot, put
from backmix.training.fitting.feed import AnyFeed, Feed, dataset, gathered
from backmix.training.fitting.lanes import LaneFeed
from backmix.training.fitting.memory import KEEP, budget, check_memory
from backmix.training.fitting.outer_callbacks import FirstCallback, LastCallback
from backmix.training.fitting.progress import ProgressListener
from backmix.training.fitting.steps import (
    STEPS_PER_CALL,
    BatchCallback,
    Diverged,
    DivergenceGuard,
    StepInterrupted,
    Steps,
    finishing_steps,
    listens_to_batches,
)
from backmix.training.predict import predict_network
from backmix.training.sections.settings import METRICS, FitSettings, TrainingPlan, check_metric, resolve

if TYPE_CHECKING:
    from backmix.training.fitting.warm import Start

__all__ = ["Diverged", "FitSettings", "FittedNetwork", "TrainingPlan", "fit_network", "predict_network", "resolve"]

CHECK_BATCH = 1024
"""Windows per validation step at most; validation needs no memory for backpropagation."""
CHECK_BYTES = 64 * 2**20
"""What a validation step may take even where a training step takes less."""
FREE = ("epochs", "memory_limit", "resume", "tensorboard", "checkpoint")
"""Settings that may change between a training and its resumption, because they do not change its numbers."""


@dataclass(frozen=True)
class FittedNetwork:
    """A trained network and how it came about.

    model: the Keras model with the best weights
    history: a value per epoch, by name: loss, val_loss, learning_rate, metrics
    best_epoch: the epoch of the weights, counted from 1; 0 for those that training started with
    seconds: time spent training, earlier parts of a resumed training included
    stopped: "patience", "epochs", "callback" or "diverged"
    resumed: how many epochs had been finished before this process went on
    """

    model: Any
    history: dict[str, list[float]]
    best_epoch: int
    seconds: float
    stopped: str
    resumed: int = 0


def fit_network(
    architecture: Architecture,
    train: Windows,
    validation: Windows,
    *,
    settings: FitSettings,
    folder: Path | None = None,
    watch: ProgressListener | None = None,
    callbacks: Sequence[Any] = (),
    start: Start | None = None,
) -> FittedNetwork:
    """Train a network on one part of the windows and watch it on another.

    The same arguments give the same network, bit for bit. With a ``folder`` (held by this call
    alone) every finished epoch is saved, and a later call goes on where this one ended.
    ``callbacks``: Keras callbacks, run after `recommended` ones in their order; one that has
    ``state()`` and ``restore()`` is resumed, too. With ``start`` the network begins with its weights,
    and keeps them when no epoch is better: ``best_epoch`` is 0 then.

    Raises TrainingError: training.no_windows, training.no_validation, training.memory,
    training.not_a_number (before the batch is trained on), training.diverged (as `Diverged`),
    training.other_run, training.damaged_checkpoint, training.no_tensorboard. BusyError when
    another process holds the folder, StorageError when it cannot be written, Interrupted after
    Ctrl-C.
    """
    if not len(train):
        raise TrainingError("training.no_windows", where=train.table.source)
    if not len(validation):
        raise TrainingError("training.no_validation", where=validation.table.source)
    feed, check = _feeds(architecture, train, validation, settings)
    job = _FitJob(architecture, settings, feed, check, folder, watch, start)
    if folder is None:
        return _fit(job, callbacks)
    with hold(folder):
        return _fit(job, callbacks)


@dataclass(frozen=True)
class _FitJob:
    architecture: Architecture
    settings: FitSettings
    feed: AnyFeed
    check: AnyFeed
    folder: Path | None
    watch: ProgressListener | None
    start: Start | None


def _fit(job: _FitJob, callbacks: Sequence[Any]) -> FittedNetwork:
    settings, folder = job.settings, job.folder
    others = (*recommended(settings, folder), *callbacks)
    guard = DivergenceGuard(job.feed, settings, job.watch)
    keeper = LastCallback(
        others,
        guard,
        epochs=settings.epochs,
        folder=folder,
        watch=job.watch,
        fingerprint=fingerprint(job.architecture, settings, job.feed, job.check, start=job.start),
    )
    snapshot = _earlier(job, keeper.fingerprint)
    model = compiled(job.architecture, settings, steps=len(job.feed))
    keeper.set_model(model)
    if job.start is not None:
        _begin(job, model, job.start)
        if snapshot is None:
            _measure_start(job, keeper)
    if snapshot is not None:
        keeper.resume(snapshot)
        more = snapshot.stopped == "epochs" and snapshot.epoch < settings.epochs
        if snapshot.stopped is not None and not more:
            return _fitted(job, keeper, snapshot.stopped)
    with finishing_steps() as pressed:
        keeper.pressed = pressed
        steps = None
        if use_engine().backend.backend() == "jax":
            steps = Steps(model, guard, pressed, steps=len(job.feed), together=_together(callbacks))
        gate = FirstCallback(job.feed, job.check, guard, steps=steps, cut=snapshot)
        first = (gate, BatchCallback(guard, pressed)) if steps is None else (gate,)
        job.feed.begin_epoch(keeper.done)
        if job.watch is not None:
            job.watch.begin(settings.epochs, len(job.feed), keeper.done)
        why = "error"
        try:
            model.fit(
                dataset(job.feed),
                validation_data=dataset(job.check),
                verbose=0,
                shuffle=False,
                epochs=settings.epochs,
                initial_epoch=keeper.done,
                callbacks=[*first, *others, keeper],
            )
            why = keeper.stopped or "epochs"
        except StepInterrupted as cut:
            why = "interrupted"
            if cut.state is not None:
                keeper.save(step=cut.step, state=cut.state)
            key = "training.interrupted" if folder is not None else "training.interrupted_unsaved"
            raise Interrupted(
                key,
                epoch=keeper.done + (cut.step > 0),
                step=cut.step or len(job.feed),
                steps=len(job.feed),
                where=folder,
            ) from None
        except Diverged as fault:
            fault.fitted = _fitted(job, keeper, "diverged") if keeper.best_epoch is not None else None
            raise
        finally:
            # Keras's own step again: ours holds the feed, and with it the table
            model.train_function, model.steps_per_execution = None, 1
            if job.watch is not None:
                job.watch.end(keeper.done, keeper.best, why)
    return _fitted(job, keeper, why)


def _measure_start(job: _FitJob, keeper: LastCallback) -> None:
    """Count the initial weights as the best so far, so that training does not end with worse ones."""
    model = keeper.model
    fixed = arrays_of(model.non_trainable_variables)
    ahead = job.settings.monitor.startswith("val_")
    feed = job.check if ahead else job.feed
    feed.begin_epoch(0)
    logs = model.evaluate(dataset(feed), verbose=0, return_dict=True)
    model.test_function = None  # it was made for one step per call, training may take several
    logs["loss"] /= feed.share
    put(model.non_trainable_variables, fixed)
    keeper.begin_with({f"{'val_' * ahead}{name}": float(value) for name, value in logs.items()})


def compiled(architecture: Architecture, settings: FitSettings, *, steps: int = 1) -> Any:
    """A new network with its optimiser, loss and metrics, ready to be trained in epochs of so many steps."""
    kind = heads.get(architecture.head).kind
    model = _network(architecture, settings)
    model.compile(
        optimizer=optimizer(settings, steps=steps),
        loss=losses.get(settings.loss).make(),
        weighted_metrics=[metric(name, kind) for name in settings.metrics],
    )
    # the variables must be there before a checkpoint is put into them
    model.optimizer.build(model.trainable_variables)
    return model


def _network(architecture: Architecture, settings: FitSettings) -> Any:
    """The network to train: the plain one, or its stateful twin."""
    if settings.stretch is None:
        return build(architecture, seed=settings.seed)
    from backmix.models.body.carried import build_stateful

    return build_stateful(architecture, lanes=settings.batch_size, rows=settings.stretch, seed=settings.seed)


def _begin(job: _FitJob, model: Any, start: Start) -> None:
    """Give the network to train the weights of an earlier model."""
    assert start.give is not None  # without weights to go on from there is no start
    if job.settings.stretch is None:
        start.give(model)
        return
    from backmix.models.body.carried import copy_weights

    plain = build(job.architecture, seed=0)
    start.give(plain)
    copy_weights(plain, model)


def optimizer(settings: FitSettings, *, steps: int = 1) -> Any:
    """The Keras optimiser of these settings, for epochs of so many steps."""
    keras = use_engine()
    more: dict[str, Any] = {"clipnorm": settings.clipnorm, "clipvalue": settings.clipvalue}
    if settings.weight_decay:
        more["weight_decay"] = settings.weight_decay
    if settings.average:
        more |= {"use_ema": True, "ema_momentum": settings.average, "ema_overwrite_frequency": steps}
    rate = settings.learning_rate
    if settings.optimizer == "adam":
        chosen = keras.optimizers.Adam(rate, **more)
    elif settings.optimizer == "rmsprop":
        chosen = keras.optimizers.RMSprop(rate, **more)
    else:
        chosen = keras.optimizers.SGD(rate, momentum=settings.momentum, **more)
    if settings.weight_decay:
        chosen.exclude_from_weight_decay(var_names=["bias"])
    return chosen


def metric(name: str, kind: str) -> Any:
    """A Keras metric by the name that it has in a plan, and in the history.

    Raises PlanError (training.metric_kind) when it does not fit the outputs: precision, recall and
    AUC are for two classes.
    """
    check_metric(name, kind)
    return getattr(use_engine().metrics, METRICS[kind][name])(name=name)


def fingerprint(architecture: Architecture, settings: FitSettings, *feeds: AnyFeed, start: Start | None = None) -> str:
    """A hash of network, settings and windows; a checkpoint with another one is not resumed.

    Of the windows it takes the number, the features and the content of 256 of them.
    """
    fixed = {name: value for name, value in asdict(settings).items() if name not in FREE}
    if settings.answer_scale is None:
        del fixed["answer_scale"]  # what was begun before this setting goes on
    if settings.schedule == "cosine":  # the wave is as long as the training
        fixed["epochs"] = settings.epochs
    mark = hashlib.sha256(json.dumps([architecture.to_dict(), fixed], sort_keys=True, default=str).encode())
    mark.update(start.mark.encode() if start is not None else b"")
    for feed in feeds:
        windows = feed.windows
        sample = gathered(windows, np.unique(np.linspace(0, len(windows) - 1, 256).astype(np.int64)))
        mark.update(f"{len(windows)} {windows.feature_names} {feed.batch_size}".encode())
        mark.update(np.ascontiguousarray(sample.x).tobytes())
        mark.update(b"" if sample.y is None else np.ascontiguousarray(sample.y).tobytes())
        mark.update(feed.digest.encode())
    return mark.hexdigest()[:32]


def _feeds(
    architecture: Architecture, train: Windows, validation: Windows, settings: FitSettings
) -> tuple[AnyFeed, AnyFeed]:
    """Batches of both parts that fit into memory; small parts are gathered once and kept."""
    if settings.stretch is not None:
        return _lanes(architecture, (train, validation), settings)
    batch_size = min(settings.batch_size, len(train))
    rows = architecture.lookback or max(train.steps, validation.steps)
    free = budget(settings.memory_limit)
    need = check_memory(architecture, batch_size, rows=rows, free=free)
    many = min(CHECK_BATCH, len(validation))
    # a fixed limit, not the free memory: the rounding of val_loss must not change from run to run
    while many > batch_size and memory_predict(architecture, many, rows=rows) > max(need, CHECK_BYTES):
        many //= 2
    feed = Feed(
        train,
        architecture,
        batch_size=batch_size,
        class_weights=settings.class_weights,
        seed=settings.seed if settings.shuffle else None,
        answer_scale=settings.answer_scale,
    )
    check = Feed(
        validation,
        architecture,
        batch_size=many,
        class_weights=settings.class_weights,
        answer_scale=settings.answer_scale,
    )
    for part in (feed, check):
        if part.bytes() <= KEEP and need + 2 * part.bytes() <= free:
            part.keep()
            need += part.bytes()
    return feed, check


def _lanes(
    architecture: Architecture, parts: tuple[Windows, Windows], settings: FitSettings
) -> tuple[AnyFeed, AnyFeed]:
    """Both parts as the same number of lanes for a carried state."""
    assert settings.stretch is not None
    free = budget(settings.memory_limit)
    need = check_memory(architecture, settings.batch_size, rows=settings.stretch, free=free)
    feeds = []
    for part, seed in zip(parts, (settings.seed if settings.shuffle else None, None), strict=True):
        feed = LaneFeed(
            part,
            architecture,
            lanes=settings.batch_size,
            stretch=settings.stretch,
            seed=seed,
            class_weights=settings.class_weights,
        )
        if feed.bytes() <= KEEP and need + 2 * feed.bytes() <= free:
            feed.keep()
            need += feed.bytes()
        feeds.append(feed)
    return feeds[0], feeds[1]


def _earlier(job: _FitJob, mark: str) -> Snapshot | None:
    """The checkpoint to resume from, if there is one; TrainingError when it belongs to another training."""
    if job.folder is None:
        return None
    if not job.settings.resume:
        remove(job.folder / CHECKPOINT)
        return None
    snapshot = load_snapshot(job.folder)
    if snapshot is not None and snapshot.fingerprint != mark:
        raise TrainingError("training.other_run", where=job.folder)
    return snapshot


def _fitted(job: _FitJob, keeper: LastCallback, why: str) -> FittedNetwork:
    keeper.restore_best()
    best, model = -1 if keeper.best_epoch is None else keeper.best_epoch, keeper.model
    if job.settings.stretch is not None:
        from backmix.models.body.carried import copy_weights

        model = build(job.architecture, seed=job.settings.seed)
        copy_weights(keeper.model, model)
    if job.settings.answer_scale is not None:
        _give_back(model, job.settings.answer_scale)
    return FittedNetwork(
        model=model,
        history=keeper.history,
        best_epoch=best + 1,
        seconds=keeper.seconds,
        stopped=why,
        resumed=keeper.resumed,
    )


def _give_back(model: Any, scale: tuple[float, ...]) -> None:
    """Let the linear head of a network answer in the targets' own scale again."""
    head = model.get_layer("head")
    for variable in (head.kernel, head.bias):
        factor = np.resize(np.array(scale, np.float32), variable.shape[-1])
        variable.assign(np.asarray(variable.value) * factor)


def _together(callbacks: Sequence[Any]) -> int:
    """Steps per call: one when a callback listens to batches."""
    return 1 if any(listens_to_batches(callback) for callback in callbacks) else STEPS_PER_CALL
