"""Which windows are held out in turn.

This module deals the windows of training and validation into blocks for cross-validation: the validation
part is one of them, the training part is cut into the others, whole batches where there are enough, else
stretches of time. Windows that share a row with a block that is held out teach nothing meanwhile. (Blocked
cross-validation: Bergmeir & Benítez, Information Sciences 191 (2012) 192.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.reach import apart
from backmix.data.split import Split, SplitPart, rejoined
from backmix.data.windows import Windows, build_windows
from backmix.training.prepared import Prepared

BLOCKS = 5
"""Blocks unless the plan says otherwise; the last of them is the validation part."""
LEAST = 10
"""Windows that each block needs."""
TEACHING = 0.2
"""Share of all windows that must be left to teach while a block is held out."""


@dataclass(frozen=True, eq=False)
class Block:
    """A block that is held out, and what teaches meanwhile.

    at: (n,) which windows of the pool are held out; teach, held: the windows themselves
    """

    at: NDArray[np.int64]
    teach: Windows
    held: Windows


@dataclass(frozen=True, eq=False)
class Blocks:
    """All windows that may teach, and the blocks that they are held out in.

    pool: W windows, those of training first; every one of them is held out once
    whole: whether blocks are whole batches
    """

    pool: Windows
    blocks: tuple[Block, ...]
    whole: bool

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def code(self) -> NDArray[np.int64]:
        """(W,) the number of the block that each window is held out in, from 0."""
        found = np.empty(len(self.pool), np.int64)
        for number, block in enumerate(self.blocks):
            found[block.at] = number
        return found


def pool(prepared: Prepared) -> tuple[Windows, Windows]:
    """All windows that may teach, in two: those of training and those that were purged before validation; validation.

    What was purged kept the two parts apart; where both teach, only a block that is held out is kept apart. The
    windows are made anew from both parts as one: what was reported in the one is known in the other.
    """
    every = pooled(prepared)
    judged = np.isin(every.origins, prepared.validation.origins)
    return every.subset(~judged), every.subset(judged)


def pooled(prepared: Prepared) -> Windows:
    """The same as one, in the order of time."""
    preprocessing = prepared.preprocessing
    both = Split(rejoined(prepared.split.part, batch=prepared.table.batch))
    every = build_windows(prepared.table, prepared.train.spec, split=both, part=SplitPart.TRAIN)
    return prepared.task.target.training_windows(every.scaled(preprocessing.scaler, preprocessing.target_scaler))


def _joined(one: Windows, other: Windows) -> Windows:
    """Windows of one table, those of the second behind those of the first."""
    lengths = None
    if one.lengths is not None and other.lengths is not None:
        lengths = np.concatenate([one.lengths, other.lengths])
    return replace(
        one,
        origins=np.concatenate([one.origins, other.origins]),
        target_rows=np.concatenate([one.target_rows, other.target_rows]),
        lengths=lengths,
    )


def block_windows(train: Windows, validation: Windows, *, count: int = BLOCKS) -> Blocks | None:
    """The blocks of two parts; fewer than ``count`` where windows or batches are few, None below two."""
    pool = _joined(train, validation)
    for parts in range(count - 1, 0, -1):
        dealt, whole = _dealt(train, parts)
        if dealt is None:
            continue
        codes = np.concatenate([dealt, np.full(len(validation), parts)])
        sizes = np.bincount(codes, minlength=parts + 1)
        if sizes.min() < (LEAST if train.spec.lookback is not None else 1):
            continue
        blocks = []
        for code in range(parts + 1):
            at = np.flatnonzero(codes == code)
            held = pool.subset(at)
            teach = np.flatnonzero((codes != code) & apart(pool, held))
            blocks.append(Block(at, pool.subset(teach), held))
        if min(len(block.teach) for block in blocks) >= TEACHING * len(pool):
            return Blocks(pool, tuple(blocks), whole)
    return None


def _dealt(train: Windows, parts: int) -> tuple[NDArray[np.int64] | None, bool]:
    """The block of every training window, and whether blocks are whole batches."""
    count = len(train)
    if train.table.batch is None:
        order = np.argsort(np.argsort(train.origins, kind="stable"))
        return order * parts // max(1, count), False
    batch = np.asarray(train.table.batch)[train.origins]
    _, place = np.unique(batch, return_inverse=True)
    first = np.full(place.max(initial=-1) + 1, count)
    np.minimum.at(first, place, np.arange(count))
    order = np.argsort(np.argsort(first))  # batches in the order of their first window
    if _enough(train, order[place], parts):
        return order[place] % parts, True
    if train.spec.lookback is None:
        return None, True
    found = np.empty(count, np.int64)
    for code in range(len(first)):
        mine = np.flatnonzero(place == code)
        mine = mine[np.argsort(train.origins[mine], kind="stable")]
        found[mine] = np.arange(len(mine)) * parts // len(mine)
    return found, False


def _enough(train: Windows, batch: NDArray[np.int64], parts: int) -> bool:
    """Whether batches, and batches of every class, are enough to be dealt whole."""
    if batch.max(initial=-1) + 1 < 2 * parts:
        return False
    if not train.classes:
        return True
    labels = train.truth()[:, 0]
    return all(len(np.unique(batch[labels == code])) >= parts for code in np.unique(labels))
