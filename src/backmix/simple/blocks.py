"""Which windows are held out in turn.

This module deals the windows of training and validation into blocks for cross-validation: the validation
part is first of them, the training part is cut into the others, whole batches where there are enough, else
stretches of time. Windows that share a row with a block that is held out teach nothing meanwhile. (Blocked
cross-validation: Bergmeir & Benítez, Information Sciences 191 (2012) 192.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.reach import apart
from backmix.data.windows.windows import Windows

BLOCKS = 5
"""Blocks unless the plan says otherwise; the last of them is the validation part."""
LEAST = 10
"""Windows that each block needs."""
TEACHING = 0.2
"""Share of all windows that must be left to teach while a block is held out."""


@dataclass(frozen=True, eq=False)
class Block:
    """A block that is held out, and what teaches meanwhile.

    indices: (n,) which windows of the pool are held out; taught: (m,) which teach
    teach, held_out: the windows themselves
    """

    indices: NDArray[np.int64]
    taught: NDArray[np.int64]
    teach: Windows
    held_out: Windows


@dataclass(frozen=True, eq=False)
class Blocks:
    """All windows that may teach, and the blocks that they are held out in.

    pool: W windows, those of training first; every first of them is held out once
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
        codes_of_windows = np.empty(len(self.pool), np.int64)
        for number, block in enumerate(self.blocks):
            codes_of_windows[block.indices] = number
        return codes_of_windows


def joined(first: Windows, second: Windows) -> Windows:
    """The windows of two parts of one split, those of the second behind those of the first."""
    lengths = None
    if first.lengths is not None and second.lengths is not None:
        lengths = np.concatenate([first.lengths, second.lengths])
    return replace(
        first,
        origins=np.concatenate([first.origins, second.origins]),
        target_rows=np.concatenate([first.target_rows, second.target_rows]),
        lengths=lengths,
    )


def block_windows(train: Windows, validation: Windows, *, count: int = BLOCKS) -> Blocks | None:
    """The blocks of two parts; fewer than ``count`` where windows or batches are few, None below two."""
    pool = joined(train, validation)
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
            indices = np.flatnonzero(codes == code)
            held_out = pool.subset(indices)
            teach = np.flatnonzero((codes != code) & apart(pool, held_out))
            blocks.append(Block(indices, teach, pool.subset(teach), held_out))
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
    codes_of_windows = np.empty(count, np.int64)
    for code in range(len(first)):
        mine = np.flatnonzero(place == code)
        mine = mine[np.argsort(train.origins[mine], kind="stable")]
        codes_of_windows[mine] = np.arange(len(mine)) * parts // len(mine)
    return codes_of_windows, False


def _enough(train: Windows, batch: NDArray[np.int64], parts: int) -> bool:
    """Whether batches, and batches of every class, are enough to be dealt whole."""
    if batch.max(initial=-1) + 1 < 2 * parts:
        return False
    if not train.classes:
        return True
    labels = train.truth()[:, 0]
    return all(len(np.unique(batch[labels == code])) >= parts for code in np.unique(labels))
