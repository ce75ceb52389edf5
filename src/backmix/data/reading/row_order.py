"""The order of the rows, and rows that occur twice.

This module puts the rows of a table in order of time inside each batch, keeps one of identical
rows, and settles rows that share a time but not their values as the plan says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.auditing.lost_decimals import find_lost_decimals
from backmix.data.ledger import Note
from backmix.data.notation.clock import on_wall
from backmix.data.notation.clock import shown as time_shown
from backmix.data.quality import Quality
from backmix.data.reading.columns import RowNumber
from backmix.data.reported import is_report
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError

Policy = Literal["refuse", "first", "last", "mean", "spread"]


UNITS = (86_400_000_000_000, 3_600_000_000_000, 60_000_000_000, 1_000_000_000)
"""Nanoseconds of a day, an hour, a minute and a second."""


@dataclass(frozen=True, eq=False)
class Clash:
    """Two rows of one time with different values, in a table in order.

    again: (N,) whether a row has the time of the row before; order: (N,) the row of the table as it was read
    row, other: the rows; column: the first in which they differ
    """

    table: Table
    again: NDArray[np.bool_]
    order: NDArray[np.intp]
    row: int
    other: int
    column: int
    clock: str


def settle_rows(
    table: Table, policy: Policy, number: RowNumber, clock: str, cause: Callable[[Clash], InputError] | None = None
) -> tuple[Table, list[Note]]:
    """The rows in order, each time once per batch, and what was done to get there.

    number: row of ``table`` -> the number by which a person finds it in the source
    clock: the name of the time column
    cause: why rows share a time, where the source can say more than that they do
    Raises InputError (read.same_time, or what ``cause`` finds) for rows of one time with different values, unless
    ``policy`` says which of them counts.
    """
    notes: list[Note] = []
    order = _order(table)
    if order is not None:
        notes.append(Note("converted", "read.reason_sorted", _late(table), tag=clock or None))
        table = table.rows(order)
    if table.time is None:
        return table, notes
    same = table.time[1:] == table.time[:-1]
    if table.batch is not None:
        same &= table.batch[1:] == table.batch[:-1]
    if not same.any():
        return table, notes
    rows = np.arange(len(table)) if order is None else order
    again = np.concatenate([[False], same])
    if policy == "spread":
        return spread(table, again, notes)
    if policy == "refuse" and cause is not None and (clash := _clash(table, again, rows, clock)) is not None:
        raise cause(clash)
    return _merge(table, again, policy, lambda row: number(int(rows[row])), notes)


def spread(table: Table, again: NDArray[np.bool_], notes: list[Note]) -> tuple[Table, list[Note]]:
    """Rows of one time, evenly over the time until the next one, inside each batch.

    No stretch is longer than the usual distance of two times, and in the last one of a batch the rows are as far
    apart as they usually are.
    """
    assert table.time is not None
    first = np.flatnonzero(~again)
    count = np.diff(np.append(first, len(table)))
    start = table.time[first].view("int64")
    ends = np.ones(len(first), bool)  # the last time of a batch
    ends[:-1] = np.zeros(len(first) - 1, bool) if table.batch is None else np.diff(table.batch[first]) != 0
    gap = np.append(np.diff(start), 0)
    usual = int(np.median(gap[~ends])) if not ends.all() else cut_to(table) or 0
    length = np.where(ends, usual, np.minimum(gap, usual))
    share = np.where(ends, np.maximum(count, int(np.median(count))), count)
    group = np.cumsum(~again) - 1
    place = np.arange(len(table)) - first[group]
    time = start[group] + place * length[group] // share[group]
    several = count[group] > 1
    notes.append(
        Note("converted", "clock.reason_spread", int(several.sum()), example=_shown(table, int(np.argmax(several))))
    )
    return replace(table, time=time.view("datetime64[ns]")), notes


def cut_to(table: Table) -> int | None:
    """The nanoseconds of the largest of day, hour, minute and second of which every time is a whole number."""
    assert table.time is not None
    wall = on_wall(np.unique(table.time), table.time_zone).view("int64")
    return next((unit for unit in UNITS if not (wall % unit).any()), None)


def _clash(table: Table, again: NDArray[np.bool_], order: NDArray[np.intp], clock: str) -> Clash | None:
    """The first two rows of one time that differ."""
    values = np.asarray(table.values)
    at = np.flatnonzero(again)
    first = np.flatnonzero(~again)[(np.cumsum(~again) - 1)[at]]
    equal = (values[at] == values[first]) | (np.isnan(values[at]) & np.isnan(values[first]))
    unlike = np.flatnonzero(~equal.all(axis=1))
    if not len(unlike):
        return None
    k = unlike[0]
    return Clash(table, again, order, int(at[k]), int(first[k]), int(np.argmin(equal[k])), clock)


def _order(table: Table) -> NDArray[np.intp] | None:
    """The order in which the rows should stand; None when they already do."""
    if table.batch is None:
        if table.time is None or bool((table.time[1:] >= table.time[:-1]).all()):
            return None
        return np.argsort(table.time, kind="stable")
    change = np.diff(table.batch)
    forward = table.time is None or bool((table.time[1:] >= table.time[:-1])[change == 0].all())
    if forward and np.count_nonzero(change) + 1 == len(np.unique(table.batch)):
        return None
    keys = (table.batch,) if table.time is None else (table.time, table.batch)
    return np.lexsort(keys)


def _late(table: Table) -> int:
    """Rows that come after one that they should precede."""
    batch = np.zeros(len(table), np.int64) if table.batch is None else table.batch.astype(np.int64)
    late = batch < np.maximum.accumulate(batch)
    if table.time is not None:
        for code in np.unique(batch):
            at = np.flatnonzero(batch == code)
            times = table.time[at].view("int64")
            late[at] |= times < np.maximum.accumulate(times)
    return int(np.count_nonzero(late))


def _merge(
    table: Table, again: NDArray[np.bool_], policy: Policy, number: RowNumber, notes: list[Note]
) -> tuple[Table, list[Note]]:
    """Keep one row of each time. ``again`` marks rows whose time is that of the row before."""
    first = np.flatnonzero(~again)
    group = np.cumsum(~again) - 1
    values = np.asarray(table.values)
    at = np.flatnonzero(again)
    equal = values[at] == values[first[group[at]]]
    equal |= np.isnan(values[at]) & np.isnan(values[first[group[at]]])
    unlike = at[~equal.all(axis=1)]
    if not len(unlike):
        notes.append(Note("dropped", "read.reason_duplicate_row", len(at), example=_shown(table, int(at[0]))))
        return table.rows(first), notes
    _refuse_lost_decimals(table, at, number)
    if policy == "refuse":
        row, other = int(unlike[0]), int(first[group[unlike[0]]])
        column = int(np.argmin(equal[np.searchsorted(at, row)]))
        raise InputError(
            "read.same_time",
            where=f"{table.source}:{number(row)}:{table.names[column]}",
            time=_shown(table, row),
            value=f"{values[row, column]:g}",
            other=f"{values[other, column]:g}",
            other_row=number(other),
        )
    clashing = np.isin(group, group[unlike])
    alike = int(np.count_nonzero(again & ~clashing))
    if alike:
        notes.append(
            Note(
                "dropped", "read.reason_duplicate_row", alike, example=_shown(table, int(np.argmax(again & ~clashing)))
            )
        )
    notes.append(
        Note("dropped", f"read.reason_same_time_{policy}", len(at) - alike, example=_shown(table, int(unlike[0])))
    )
    if policy == "last":
        last = np.flatnonzero(np.concatenate([~again[1:], [True]]))
        return table.rows(np.where(clashing[first], last, first)), notes
    if policy == "first":
        return table.rows(first), notes
    return _mean(table, first, group, clashing, notes)


def _refuse_lost_decimals(table: Table, again: NDArray[np.intp], number: Callable[[int], int | str]) -> None:
    """InputError (read.lost_decimals) where rows of one time differ because some lost their decimal mark.

    Limits of the tag that keep such values out settle it: they are never averaged.
    """
    for lost in find_lost_decimals(table):
        high = table.tag(lost.tag).high
        if high is None or high >= abs(lost.lost):
            raise InputError(
                "read.lost_decimals",
                where=f"{table.source}:{number(int(lost.rows[0]))}:{lost.tag}",
                tag=lost.tag,
                count=len(lost.rows),
                sound=f"{lost.sound:.7g}",
                lost=f"{lost.lost:.15g}",
                high=f"{lost.below:g}",
                again=len(again),
            )


def _mean(
    table: Table, first: NDArray[np.intp], group: NDArray[np.intp], clashing: NDArray[np.bool_], notes: list[Note]
) -> tuple[Table, list[Note]]:
    """Means of the numbers; a class has no mean, so the first one that is there counts."""
    merged = table.rows(first)
    values = merged.values.copy()
    quality = (
        np.where(np.isnan(values), Quality.BAD, Quality.GOOD).astype(np.uint8)
        if merged.quality is None
        else merged.quality.copy()
    )
    made = np.zeros(values.shape, bool)
    ends = np.append(first, len(table))
    for target in np.unique(group[clashing]):
        cells = np.asarray(table.values[ends[target] : ends[target + 1]])
        for column, tag in enumerate(table.tags):
            there = cells[_possible(cells[:, column], tag), column]
            if len(there):
                # a mean of results is known when the last of them is
                mean = there.max() if is_report(tag.name) else there.mean()
                values[target, column] = there[0] if tag.categories else mean
                made[target, column] = len(there) < len(cells) or bool((there != there[0]).any())
    quality[made] = Quality.UNCERTAIN
    notes += [
        Note("repaired", "read.reason_mean", int(made[:, column].sum()), tag=tag.name)
        for column, tag in enumerate(table.tags)
    ]
    return replace(merged, values=values, quality=quality), notes


def _possible(cells: NDArray[np.floating[Any]], tag: Tag) -> NDArray[np.bool_]:
    """The numbers within the limits of a tag: what cannot have been measured is in no mean."""
    low, high = (-np.inf if tag.low is None else tag.low), (np.inf if tag.high is None else tag.high)
    return (cells >= low) & (cells <= high)


def _shown(table: Table, row: int) -> str:
    assert table.time is not None
    return time_shown(table.time[row], table.time_zone)
