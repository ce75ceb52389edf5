"""Which windows teach a simple model, and which are held out meanwhile.

This module defines `Trial`, all that the fit of a simple model sees. A trial has one fold per block of a
cross-validation, or a single one where the validation part alone is held out. It flattens windows once for all
models and folds that look at them in the same form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.slices import sampled, slices
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.simple.blocks import Blocks, joined
from backmix.simple.forms import Form, Singles
from backmix.simple.question import TaskQuestion

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

KEPT_NUMBERS = 10_000_000
"""Flat rows of more numbers than these (40 MB) are gathered each time anew."""


@dataclass(frozen=True, eq=False)
class WindowSubset:
    """Some windows; indices: (n,) which of all windows of ``base`` they are."""

    base: Windows
    indices: Rows

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def windows(self) -> Windows:
        """The windows themselves."""
        return self.base.subset(self.indices)

    def few(self, most: int) -> WindowSubset:
        """At most so many of them, evenly spread."""
        return self if len(self) <= most else WindowSubset(self.base, self.indices[sampled(len(self), most)])

    def sampling(self, few: WindowSubset) -> tuple[Decision, ...]:
        """The note that only ``few`` of the windows teach; none when those are all."""
        if len(few) == len(self):
            return ()
        values = {"used": f"{len(few):,}", "windows": f"{len(self):,}"}
        return (Decision(len(few), "evaluation.rows_sampled", values),)


@dataclass(frozen=True, eq=False)
class Fold:
    """What teaches while a block is held out, and the block."""

    taught: WindowSubset
    held_out: WindowSubset


@dataclass(frozen=True, eq=False)
class Trial:
    """What the fit of a simple model sees.

    folds: settings are chosen by what is said of their held-out windows; those of the validation part are the last
    final: the windows that teach the model in the end, those of training and validation
    kept: flat rows and sums that several models need, by what they are of
    """

    question: TaskQuestion
    folds: tuple[Fold, ...]
    final: WindowSubset
    seed: int = 0
    kept: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of_blocks(cls, blocks: Blocks, question: TaskQuestion, seed: int) -> Trial:
        """A fold per block; in the end all windows teach."""
        pool = blocks.pool
        folds = tuple(
            Fold(WindowSubset(pool, block.taught), WindowSubset(pool, block.indices)) for block in blocks.blocks
        )
        return cls(question, folds, WindowSubset(pool, pool.all_indices), seed)

    @classmethod
    def of_parts(cls, train: Windows, validation: Windows | None, question: TaskQuestion, seed: int) -> Trial:
        """The validation part is held out, and teaches in the end; both are of one table.

        Without one it is the last fifth of every batch.
        """
        if validation is not None:
            pool = joined(train, validation)
            last = np.arange(len(pool)) >= len(train)
        else:
            pool, last = train, _last_fifth(train)
        every = WindowSubset(pool, pool.all_indices)
        if last.all():  # a single window teaches and chooses
            return cls(question, (Fold(every, every),), every, seed)
        fold = Fold(WindowSubset(pool, np.flatnonzero(~last)), WindowSubset(pool, np.flatnonzero(last)))
        return cls(question, (fold,), every, seed)

    def rows(self, form: Form, sample: WindowSubset) -> Singles:
        """The flat rows (n, P) of a sample."""
        base = sample.base
        if len(base) * form.width > KEPT_NUMBERS:
            return _flat(form, sample.windows)
        key = ("rows", form, id(base))
        if key not in self.kept:
            self.kept[key] = _flat(form, base)
        rows: Singles = self.kept[key][sample.indices]
        return rows

    def targets(self, sample: WindowSubset) -> Floats:
        """(n, K) scaled targets."""
        key = ("targets", id(sample.base))
        if key not in self.kept:
            self.kept[key] = sample.base.scaled_targets()
        targets: Floats = self.kept[key][sample.indices]
        return targets

    def codes(self, sample: WindowSubset) -> Rows:
        """(n,) class codes."""
        return sample.windows.truth()[:, 0].astype(np.int64)

    def only(self, keep: Callable[[Windows], NDArray[np.bool_]]) -> Trial:
        """The same with some of the windows alone; flat rows are shared."""
        masks: dict[int, NDArray[np.bool_]] = {}

        def some(sample: WindowSubset) -> WindowSubset:
            mask = masks.setdefault(id(sample.base), keep(sample.base))
            return WindowSubset(sample.base, sample.indices[mask[sample.indices]])

        return self._with(some)

    def turned(self, turn: Callable[[Windows], Windows]) -> Trial:
        """The same with every window turned into another one."""
        bases: dict[int, Windows] = {}

        def other(sample: WindowSubset) -> WindowSubset:
            if id(sample.base) not in bases:
                bases[id(sample.base)] = turn(sample.base)
            return WindowSubset(bases[id(sample.base)], sample.indices)

        return replace(self._with(other), kept={})  # kept goes by the identity of windows, and these are new ones

    def _with(self, change: Callable[[WindowSubset], WindowSubset]) -> Trial:
        made: dict[int, WindowSubset] = {}

        def once(sample: WindowSubset) -> WindowSubset:
            if id(sample) not in made:
                made[id(sample)] = change(sample)
            return made[id(sample)]

        folds = tuple(Fold(once(fold.taught), once(fold.held_out)) for fold in self.folds)
        return replace(self, folds=folds, final=once(self.final))


def _flat(form: Form, windows: Windows) -> Singles:
    rows = np.empty((len(windows), form.width), np.float32)
    for block in slices(windows):
        rows[block] = form.of_batch(windows.gather(block))
    return rows


def _last_fifth(train: Windows) -> NDArray[np.bool_]:
    """(W,) which windows are the last fifth of their batch; whole batches where most of them have one window."""
    count = len(train)
    runs = np.zeros(count, dtype=np.int64)
    if train.table.batch is not None:
        runs = np.asarray(train.table.batch)[train.origins].astype(np.int64)
    starts = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1]]))
    sizes = np.diff([*starts, count])
    if len(starts) > count // 3:
        starts, sizes = np.zeros(1, dtype=np.int64), np.array([count])
    place = np.arange(count) - np.repeat(starts, sizes)
    last: NDArray[np.bool_] = place >= np.repeat(sizes - np.maximum(1, sizes // 5), sizes)
    return last
