"""The clock of a table that is taken apart.

This module turns the clock column of a raw table into UTC once, in the order of the rows of each tag, so that the
hour that daylight saving repeats is kept distinct, and cuts wide tables into series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.clock import numbers_like_times
from backmix.data.ledger import Note
from backmix.data.notation.clock import check_unzoned, to_utc
from backmix.data.notation.column_times import as_numbers
from backmix.data.notation.dates import looks_like_dates
from backmix.data.reading.columns import RawColumn, RawTable, Times
from backmix.data.reading.reading import ReadPlan
from backmix.data.shapes.series import Ints, TagSeries, in_order, taken


@dataclass(frozen=True, eq=False)
class CellNames:
    """The cells of a column as (N,) codes into ``names``, in order of appearance; -1 where a cell is empty."""

    codes: NDArray[np.int64]
    names: tuple[str, ...]


def labels(column: RawColumn, rows: int) -> CellNames:
    """The cells of a column as codes and names; a number is named as people write it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from backmix.data.reading.meaning import names_of

    if column.texts is not None and column.numbers is None and column.times is None:
        coded = pc.dictionary_encode(column.texts.cast(pa.large_string()).combine_chunks())
        codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        words = [" ".join(word.split()) for word in coded.dictionary.to_pylist()]
    else:
        coded = pc.dictionary_encode(names_of(column, rows))
        codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        words = coded.dictionary.to_pylist()
    names = tuple(dict.fromkeys(word for word in words if word))
    place = {name: index for index, name in enumerate(names)}
    code_of = np.array([*(place.get(word, -1) for word in words), -1], np.int64)
    return CellNames(code_of[codes], names)


def utc(raw: RawTable, name: str, plan: ReadPlan, groups: Ints | None = None) -> tuple[Times, list[Note]]:
    """The times of the clock column in UTC, (N,), NaT where it is empty; a time without zone counts as UTC.

    groups: (N,) which rows follow one another (those of one tag)
    Raises InputError for cells that are no times.
    """
    from backmix.data.notation.column_times import column_times

    how: Any = {"day_first": plan.day_first, "form": plan.time_form, "zone": plan.time_zone}
    column = next(column for column in raw.columns if column.name == name)
    if column.texts is not None and column.numbers is None and column.times is None:  # read each text once
        known = labels(column, raw.rows)
        first = np.zeros(len(known.names), np.intp)
        backwards = np.flatnonzero(known.codes >= 0)[::-1]
        first[known.codes[backwards]] = backwards  # of equal texts the first is written last
        number = raw.number
        small = RawTable((taken(column, first),), len(first), raw.where, lambda row: number(int(first[row])))
        dates = column_times(small.columns[0], small, **how)
        wall = np.append(dates.times, np.datetime64("NaT", "ns"))[known.codes]
    else:
        dates = column_times(column, raw, **how)
        wall = dates.times
    notes = list(dates.notes)
    if dates.aware:
        return wall, notes
    reason = "read.reason_no_zone" if plan.time_zone is None else "read.reason_zone"
    notes.append(Note("converted", reason, int((~np.isnat(wall)).sum()), tag=name, example=plan.time_zone or ""))
    order = np.flatnonzero(~np.isnat(wall))
    codes = None
    if groups is not None:
        order = order[np.argsort(groups[order], kind="stable")]
        codes = groups[order].astype(np.int32)

    def at(row: int) -> str:
        return raw.at(int(order[row]), name)

    times = wall.copy()
    if plan.time_zone is not None:
        times[order] = to_utc(wall[order], plan.time_zone, groups=codes, at=at)
    else:
        check_unzoned(wall[order], groups=codes, at=at)
    return times, notes


def cut(
    raw: RawTable, clock: str, batch: str | None, plan: ReadPlan
) -> tuple[list[TagSeries], tuple[str, ...], list[Note]]:
    """A wide table as one series a column, the names of its batches, and what was noticed in the clock.

    Rows without a time are left out where nothing else stands in them. Raises InputError (read.no_time).
    """
    from backmix.data.shapes.series import filled
    from backmix.errors import InputError

    columns = {column.name: column for column in raw.columns}
    known = labels(columns[batch], raw.rows) if batch is not None else None
    times, notes = utc(raw, clock, plan, None if known is None else known.codes)
    rest = [column for column in raw.columns if column.name not in (clock, batch)]
    anything = np.zeros(raw.rows, bool)
    for column in rest:
        anything |= filled(column, raw.rows)
    lost = np.isnat(times)
    if (lost & anything).any():
        raise InputError("read.no_time", where=raw.at(int(np.argmax(lost & anything)), clock))
    kept = ~lost
    if known is not None:
        notes.append(Note("converted", "shape.reason_no_batch", int((kept & (known.codes < 0)).sum())))
        kept &= known.codes >= 0
    rows = np.flatnonzero(kept)
    time = times[rows].astype("datetime64[ns]").view("int64")
    codes = np.zeros(len(rows), np.int64) if known is None else known.codes[rows]
    order = in_order(time, codes)
    if order is not None:
        rows, time, codes = rows[order], time[order], codes[order]
    number = raw.number
    whole = len(rows) == raw.rows and order is None
    made = [
        TagSeries(column if whole else taken(column, rows), time, codes, raw.where, lambda row: number(int(rows[row])))
        for column in rest
    ]
    return made, known.names if known is not None else (), notes


def is_clock(column: RawColumn) -> bool:
    """Whether a column holds times: as such, as texts that are all dates, or as numbers that can be nothing else."""
    if numbers_like_times(as_numbers(column)):
        return True
    # the first cells settle it nearly always
    if column.numbers is not None and not (np.isnan(column.numbers[:64]).all() and np.isnan(column.numbers).all()):
        return False
    return column.times is not None or (column.texts is not None and looks_like_dates(column.texts))


def clock_column(name: str, times: Times) -> RawColumn:
    """A clock column of times in UTC."""
    return RawColumn(name, times=times, aware=True)
