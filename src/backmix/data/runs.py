"""How long something lasts: the time between rows, a value that stands still, a stretch of rows.

This module measures lengths along the rows of a table, never across the end of a segment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.notation.clock import iso
from backmix.data.segments import Rows
from backmix.data.table import Table

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def intervals(table: Table) -> NDArray[np.float64]:
    """Seconds from each row to the next, (N-1,); NaN where the batch changes or there is no clock.

    >>> from backmix.data.tag import Tag
    >>> time = np.array(["2024-01-01T00:00", "2024-01-01T00:05"], dtype="datetime64[ns]")
    >>> intervals(Table(np.zeros((2, 1)), (Tag("T"),), time=time)).tolist()
    [300.0]
    """
    if table.time is None or len(table) < 2:
        return np.full(max(0, len(table) - 1), np.nan)
    gaps = np.diff(table.time.view("int64")) / 1e9
    if table.batch is not None:
        gaps[np.diff(table.batch) != 0] = np.nan
    return gaps


def standing(x: NDArray[Any], start: Rows) -> Ints:
    """For how many rows, itself included, each value has been exactly the same; 0 for NaN, (N,).

    ``start`` (N,) is the first row of each row's segment (`segments.segment_starts`).

    >>> standing(np.array([1.0, 1.0, 2.0, np.nan]), np.array([0, 0, 0, 0])).tolist()
    [1, 2, 1, 0]
    """
    fresh = np.ones(len(x), bool)
    fresh[1:] = (x[1:] != x[:-1]) | (start[1:] != start[:-1])
    row = np.arange(len(x))
    length = row - np.maximum.accumulate(np.where(fresh, row, 0)) + 1
    length[np.isnan(x)] = 0
    return length


def stretches(mask: Bools) -> tuple[Ints, Ints]:
    """Start and length of every stretch of True.

    >>> starts, lengths = stretches(np.array([False, True, True, False, True]))
    >>> starts.tolist(), lengths.tolist()
    ([1, 4], [2, 1])
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2] - edges[::2]


def place(table: Table, row: int) -> str:
    """Where a row is: its time in the zone of the table, else its number counted from 1 as ``#12``.

    It is the same in all languages.
    """
    if table.time is None:
        return f"#{row + 1}"
    return iso(table.time[row], table.time_zone)
