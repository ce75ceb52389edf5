"""The networks of an ensemble, one per block that is held out.

This module trains them, one after the other or side by side in worker processes, and keeps what each says of
its own block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.windows import Windows
from backmix.errors import PlanError
from backmix.models.architecture import Architecture
from backmix.models.members.paths import Paths
from backmix.models.network import build
from backmix.models.weights import put_weights, take_weights
from backmix.parallel import HERE, Workers, spread
from backmix.simple.blocks import Block, Blocks
from backmix.training.beside import answers_of
from backmix.training.design import Design
from backmix.training.fitting.fit import FittedNetwork, fit_network
from backmix.training.fitting.progress import ProgressListener
from backmix.training.predict import path_form, predict_network, roll
from backmix.training.prepared import Prepared
from backmix.training.sections.settings import FitSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Making:
    """How networks are made: where they are kept, what shows their progress, who hears of it, who works."""

    folder: Path | None = None
    watch: Callable[[str], ProgressListener] | None = None
    callbacks: Sequence[Any] = ()
    workers: Workers = HERE


@dataclass(frozen=True, eq=False)
class TrainedNetworks:
    """Trained networks, what each says of its own block (W, O), and the one that was stopped on the validation part."""

    members: tuple[Any, ...]
    out_of_fold: Floats
    last: FittedNetwork

    def joined(self, other: TrainedNetworks) -> TrainedNetworks:
        """The networks of both, which have as many of every block; out-of-fold answers are their mean."""
        return TrainedNetworks(self.members + other.members, (self.out_of_fold + other.out_of_fold) / 2, other.last)


@dataclass(frozen=True, eq=False)
class _NetworkJob:
    """One network to train: its training samples, the windows that are asked about it, and where it is kept.

    paths: how it is rolled on, where it looks one row ahead
    """

    architecture: Architecture
    training_samples: tuple[Windows, Windows]
    held_out: Windows
    settings: FitSettings
    folder: Path | None
    watch: ProgressListener | None = None
    callbacks: Sequence[Any] = ()
    paths: Paths | None = None


@dataclass(frozen=True, eq=False)
class TrainedMember:
    """A trained network, by its arrays where it was trained elsewhere, and what it says of its block."""

    fitted: FittedNetwork
    answers: NDArray[np.float32]
    weights: dict[str, NDArray[Any]] | None = None


def _train(job: _NetworkJob) -> TrainedMember:
    fitted = fit_network(
        job.architecture,
        *job.training_samples,
        settings=job.settings,
        folder=job.folder,
        watch=job.watch,
        callbacks=job.callbacks,
    )
    if job.paths is not None:
        return TrainedMember(fitted, roll(fitted.model, job.held_out, job.paths))
    return TrainedMember(fitted, predict_network(fitted.model, job.held_out))


def _train_away(job: _NetworkJob) -> TrainedMember:
    """The same in a process of its own; a Keras network stays where it is, its arrays travel."""
    made = _train(job)
    return replace(made, fitted=replace(made.fitted, model=None), weights=take_weights(made.fitted.model))


def train_networks(
    prepared: Prepared,
    chosen: Design,
    blocks: Blocks,
    offset: Floats | None,
    making: Making,
    *,
    first: int = 0,
    known: TrainedMember | None = None,
) -> TrainedNetworks:
    """A network per block, or the one of the last block alone.

    offset: (W, O) what another model says of the windows already, when networks learn the rest
    first: how many there are already; those that follow begin from other weights
    known: the network of the last block where it is trained already
    """
    task, here, folder = prepared.task, making.workers == HERE, making.folder
    if making.callbacks and not here:
        raise PlanError("ensemble.callbacks_here", workers=making.workers.count)
    taken = list(enumerate(blocks.blocks, first))
    if prepared.plan.model.members == 1:
        taken = taken[-1:]
    jobs = [
        _job(prepared, chosen, blocks, offset, making, number, title=f"{place}/{first + len(taken)}")
        for place, (number, _) in enumerate(taken[: len(taken) - (known is not None)], first + 1)
    ]
    made = [*spread(_train if here else _train_away, jobs, making.workers), *([known] if known else [])]
    out_of_fold = np.full((len(blocks.pool), answers_of(task, blocks.pool)), np.nan)
    for (_, block), member in zip(taken, made, strict=True):
        out_of_fold[block.indices] = member.answers
    members = [_rebuilt(chosen.architecture, member) for member in made]
    if offset is not None:
        out_of_fold = out_of_fold + offset
    if prepared.plan.model.taught == "all":
        epochs = max(1, round(float(np.median([member.fitted.best_epoch for member in made]))))
        members = _again(
            prepared, chosen, blocks, offset, epochs=epochs, folder=folder, numbers=range(first, first + len(members))
        )
    return TrainedNetworks(tuple(members), out_of_fold, replace(made[-1].fitted, model=members[-1]))


def try_states(
    prepared: Prepared,
    chosen: Design,
    blocks: Blocks,
    offset: Floats | None,
    making: Making,
    activations: Sequence[str],
) -> tuple[TrainedMember, ...]:
    """The network of the last block with each of these activations of its state, from the same first weights."""
    jobs = [
        _job(
            prepared,
            replace(chosen, architecture=replace(chosen.architecture, activation=name)),
            blocks,
            offset,
            making,
            len(blocks) - 1,
            title=name,
            kept="" if name == chosen.architecture.activation else f"_{name}",
        )
        for name in activations
    ]
    return tuple(spread(_train if making.workers == HERE else _train_away, jobs, making.workers))


def _job(
    prepared: Prepared,
    chosen: Design,
    blocks: Blocks,
    offset: Floats | None,
    making: Making,
    number: int,
    *,
    title: str,
    kept: str = "",
) -> _NetworkJob:
    """What trains network ``number``; its block is held out."""
    task, block = prepared.task, blocks.blocks[number % len(blocks)]
    teach, stop = _samples(blocks, block, offset)
    watched = making.watch and making.workers == HERE
    return _NetworkJob(
        chosen.architecture,
        (task.target.training_samples(teach), task.target.training_samples(stop)),
        block.held_out,
        replace(chosen.settings, seed=_seed(chosen.settings.seed, number)),
        None if making.folder is None else making.folder / f"network_{number + 1}{kept}",
        making.watch(f"{chosen.architecture.called} {title}") if making.watch and watched else None,
        making.callbacks,
        path_form(prepared) if task.answer.recursive else None,
    )


def _rebuilt(architecture: Architecture, made: TrainedMember) -> Any:
    """The Keras network of a member."""
    if made.weights is None:
        return made.fitted.model
    model = build(architecture, seed=0)
    put_weights(model, made.weights)
    return model


def _again(
    prepared: Prepared,
    chosen: Design,
    blocks: Blocks,
    offset: Floats | None,
    *,
    epochs: int,
    numbers: Iterable[int],
    folder: Path | None,
) -> list[Any]:
    """Networks on all windows, for so many epochs."""
    everything = blocks.pool if offset is None else replace(blocks.pool, told=offset)
    teach = prepared.task.target.training_samples(everything)
    members = []
    for number in numbers:
        settings = replace(
            chosen.settings,
            seed=_seed(chosen.settings.seed, number),
            epochs=epochs,
            patience=epochs,
            plateau_patience=epochs,
            monitor="loss",
        )
        fitted = fit_network(
            chosen.architecture,
            teach,
            prepared.task.target.training_samples(blocks.blocks[-1].held_out),
            settings=settings,
            folder=None if folder is None else folder / f"all_{number + 1}",
        )
        members.append(fitted.model)
    return members


def _samples(blocks: Blocks, block: Block, offset: Floats | None) -> tuple[Windows, Windows]:
    """What a network learns from and is stopped on; with ``offset`` only what is left of the targets."""
    if offset is None:
        return block.teach, block.held_out
    if blocks.pool.spec.lookback is None:
        raise PlanError("ensemble.residual_rows")
    pool = replace(blocks.pool, told=offset)
    place = np.full(len(blocks.pool.table), -1)
    place[np.asarray(blocks.pool.target_rows)] = np.arange(len(blocks.pool))
    return pool.subset(place[np.asarray(block.teach.target_rows)]), pool.subset(block.indices)


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] % 2**31)
