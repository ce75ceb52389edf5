"""Where one uninterrupted stretch of rows ends and the next begins.

This module finds the segments of a table, inside which a window may lie: they end where the batch
changes, where time jumps, where the part of a split changes, and at rows that cannot be used. All
work is done block by block, so that a memory-mapped table is never loaded whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table

BLOCK = 1 << 16
"""Rows worked on at once: a block of 20 columns of float64 takes 10 MB."""

GAP_STEPS = 3.0
"""A pause of more than this many steps between two rows is a gap when nothing else is said."""

Rows = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]


def blocks(rows: int) -> Iterator[tuple[int, int]]:
    """The bounds (first, behind the last) of consecutive blocks of rows.

    >>> list(blocks(100_000))
    [(0, 65536), (65536, 100000)]
    """
    for first in range(0, rows, BLOCK):
        yield first, min(first + BLOCK, rows)


def row_type(rows: int) -> type[np.int32] | type[np.int64]:
    """The smaller integer type that can number the rows of a table."""
    return np.int32 if rows < 2**31 - 1 else np.int64


def allowed_gap(table: Table, max_gap: float | None) -> float | None:
    """Seconds two neighbouring rows may lie apart: ``max_gap``, or three steps of the table.

    None for a table without a clock: its rows follow one another without a gap.
    """
    if table.time is None:
        return None
    if max_gap is not None:
        return max_gap
    return None if table.step is None else GAP_STEPS * table.step


def segment_starts(
    table: Table, *, max_gap: float | None = None, part: NDArray[np.uint8] | None = None, unusable: Mask | None = None
) -> Rows:
    """The first row of the segment in which each row lies, (N,).

    max_gap: seconds; None for three steps of the table. Time that runs backwards always ends a segment.
    part: (N,) codes; a segment ends where the code changes
    unusable: (N,) True for rows that no segment may hold; they get the number of the next row, so
        that ``row - start + 1``, the rows a window ending here may have, is 0

    >>> from backmix.data.tag import Tag
    >>> batch = np.array([0, 0, 0, 1, 1], np.int32)
    >>> table = Table(np.zeros((5, 1)), (Tag("T101"),), batch=batch, batch_names=("A", "B"))
    >>> segment_starts(table, unusable=np.array([False, True, False, False, False])).tolist()
    [0, 2, 2, 3, 3]
    """
    rows = len(table)
    number = row_type(rows)
    starts = np.zeros(rows, dtype=number)
    gap = allowed_gap(table, max_gap)
    longest = None if gap is None else np.int64(min(gap * 1e9, 2.0**62))
    clock = None if table.time is None else np.asarray(table.time).view("int64")
    axes = [np.asarray(axis) for axis in (table.batch, part) if axis is not None]
    carried = 0
    for first, end in blocks(rows):
        here = np.arange(first, end, dtype=number)
        before = slice(max(first, 1) - 1, end - 1)
        after = slice(max(first, 1), end)
        cut = np.zeros(end - first, dtype=bool)
        tail = cut[1:] if first == 0 else cut
        for axis in axes:
            tail |= axis[after] != axis[before]
        if clock is not None:
            pause = clock[after] - clock[before]
            tail |= pause < 0
            if longest is not None:
                tail |= pause > longest
        block = starts[first:end]
        np.multiply(here, cut, out=block, casting="unsafe")
        if unusable is not None:
            bad = unusable[first:end]
            block[bad] = here[bad] + 1
        block[0] = max(int(block[0]), carried)
        np.maximum.accumulate(block, out=block)
        carried = int(block[-1])
    return starts


def finite_rows(table: Table, *groups: tuple[str, ...]) -> list[Mask]:
    """For each group of tags, the rows (N,) on which all of them are finite numbers; one pass.

    A weighted sum of a row is finite when all its values are; the weights (at most 1 / F) keep the
    sum of finite values from overflowing. Rows whose sum is not finite are looked at value by value.
    """
    values = np.asarray(table.values)
    columns = [np.array([table.index(name) for name in group], dtype=np.intp) for group in groups]
    runs = [contiguous(at) for at in columns]
    masks = [np.ones(len(values), dtype=bool) for _ in groups]
    weight = values.dtype.type(2.0 ** -np.ceil(np.log2(max(2, values.shape[1]))))
    weights = np.full(values.shape[1], weight, dtype=values.dtype)
    with np.errstate(all="ignore"):
        for first, end in blocks(len(values)):
            block = values[first:end]
            for mask, at, pieces in zip(masks, columns, runs, strict=True):
                fine = mask[first:end]
                for piece in pieces:
                    # einsum, not a BLAS product: as fast, and no threads that wait for a busy core
                    fine &= np.isfinite(np.einsum("nf,f->n", block[:, piece], weights[piece]))
                doubt = np.flatnonzero(~fine)
                if len(doubt) and len(at) > 1:
                    fine[doubt] = np.isfinite(block[doubt[:, None], at]).all(axis=1)
    return masks


def row_quality(table: Table, names: tuple[str, ...]) -> NDArray[np.uint8]:
    """(N,) the worst quality among these tags on every row; all good without qualities."""
    worst = np.zeros(len(table), dtype=np.uint8)
    if table.quality is None:
        return worst
    columns = [table.index(name) for name in names]
    for first, end in blocks(len(table)):
        worst[first:end] = np.max(table.quality[first:end][:, columns], axis=1, initial=0)
    return worst


def contiguous(columns: Rows) -> list[slice]:
    """Column numbers as slices of neighbours, in their order.

    >>> contiguous(np.array([0, 1, 2, 5, 4]))
    [slice(0, 3, None), slice(5, 6, None), slice(4, 5, None)]
    """
    if len(columns) == 0:
        return []
    breaks = np.flatnonzero(np.diff(columns) != 1) + 1
    return [slice(int(run[0]), int(run[-1]) + 1) for run in np.split(columns, breaks)]
