"""The clock of a table: is it regular, and how is it made regular.

This module refuses rows that do not come at even times (nothing downstream could know what "60
rows" mean) unless the plan declares a resampling, and puts rows on a regular grid when it does.

The grid: rows stand at whole multiples of the step since 1970-01-01 UTC, whatever row comes first,
so that a table and any piece of it share one grid. The row at time t holds the values of
(t - step, t]: it is labelled by the end of its stretch and knows nothing later. A stretch without
a row becomes an empty row (then `Repair` may fill it), unless the pause is longer than the allowed
gap: that stays a gap. Batches do not mix. What stands in a row never depends on later rows; only
whether a pause is short enough to be filled up with empty rows is known when the pause is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backmix.data.ledger import Note
from backmix.data.quality import Quality
from backmix.data.repairing.repair import RepairPlan
from backmix.data.repairing.rules import RepairColumn
from backmix.data.reported import is_report, report_name
from backmix.data.runs import intervals, place
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError

JITTER = 0.1
"""A time between rows may differ from the step by this share of it and still count as even."""
ODD_SHARE, ODD_COUNT = 0.01, 2
"""So many uneven times between rows are let pass: 1 %, or 2 in a short table."""
GAP_SHARE = 0.1
"""More gaps than this share of all rows are not gaps but an irregular clock."""
MOSTLY, LEAST_USUAL = 0.9, 0.2
"""A step is the usual one when so many steps are whole multiples of it, and so many are it."""

_NICE = (
    1,
    2,
    5,
    10,
    15,
    20,
    30,
    60,
    120,
    300,
    600,
    900,
    1200,
    1800,
    3600,
    7200,
    10800,
    14400,
    21600,
    43200,
    86400,
    604800,
)


class Resampled(NamedTuple):
    """A table on a regular grid, and the notes on what became of its rows."""

    table: Table
    notes: tuple[Note, ...]


def check_clock(table: Table, plan: RepairPlan) -> None:
    """Refuse a table whose rows are out of order, or uneven in time without a declared resampling.

    Even are rows whose distance differs from the median step by at most 10 %. Up to 1 % of uneven
    distances (two in a short table) are let pass, they are in the audit; gaps longer than the
    allowed one only end a sequence, unless every tenth distance is one.

    Raises InputError with the line of the plan that mends it.
    """
    if table.time is None:
        if plan.resample is not None:
            raise InputError("repair.resample_no_clock", where=table.source)
        return
    gaps = intervals(table)
    if len(back := np.flatnonzero(gaps <= 0)):
        key = "repair.same_time" if gaps[back[0]] == 0 else "repair.time_order"
        raise InputError(key, where=table.source, row=back[0] + 2, time=place(table, int(back[0]) + 1))
    step = table.step
    if plan.resample is not None or step is None or not step > 0:
        return
    allowed = plan.gap(step)
    assert allowed is not None
    known = gaps[~np.isnan(gaps)]
    uneven = np.abs(gaps - step) > JITTER * step
    odd = np.flatnonzero(uneven & (gaps <= allowed))
    wide = np.flatnonzero(uneven & (gaps > allowed))
    found = odd if len(odd) > max(ODD_COUNT, ODD_SHARE * len(known)) else wide
    if found is wide and len(wide) <= max(ODD_COUNT, GAP_SHARE * len(known)):
        return
    raise InputError(
        "repair.irregular",
        where=table.source,
        count=len(found),
        total=len(known),
        step=f"{step:g} s",
        got=f"{gaps[found[0]]:g} s",
        place=place(table, int(found[0])),
        mend=nice_duration(usual_step(known[known <= allowed])),
    )


def resample(table: Table, plan: RepairPlan) -> Resampled:
    """The table on the grid that the plan declares; the table itself when it declares none.

    A number is the mean of the good values of its stretch ("mean") or the last of them ("last"); a
    class is always the last, and so is a result that has a report time, with that time. Infinite
    values, and values beyond the physical limits of their tag if the plan heeds them, are left out
    before. Where fewer than half of the rows of a stretch have a value for an input, it is uncertain.

    Raises InputError for an irregular clock without a declared resampling, no clock, times out of
    order, or a grid finer than the rows.
    """
    check_clock(table, plan)
    if plan.resample is None or not len(table):
        return Resampled(table, ())
    assert table.time is not None
    assert plan.resample.seconds is not None
    step = round(plan.resample.seconds * 1e9)
    grid = _grid(table, step, allowed=plan.gap(step / 1e9))
    pauses = np.diff(grid.time)[np.diff(grid.run) == 0]
    if np.count_nonzero(pauses > step) > max(ODD_COUNT, len(pauses) / 2):
        raise InputError(
            "repair.too_fine",
            where=table.source,
            got=plan.resample,
            step=nice_duration(table.step or plan.resample.seconds),
        )
    values = np.full((len(grid.time), len(table.tags)), np.nan, table.values.dtype)
    quality = np.full(values.shape, Quality.BAD, np.uint8)
    notes: list[Note] = []
    for at, tag in enumerate(table.tags):
        column = _column(table, at, tag, plan)
        reported = report_name(tag.name) in table.names
        if is_report(tag.name):  # the report of the very result that is taken
            label = tag.name.removesuffix(report_name(""))
            if label in table.names:
                result = _column(table, table.index(label), table.tag(label), plan)
                column.x[np.isnan(result.x)] = np.nan
                reported = True
        notes += [
            Note(entry.action, entry.reason, entry.count, tag=tag.name, example=place(table, entry.row))
            for entry in column.log
        ]
        last = plan.how == "last" or bool(tag.categories) or reported
        values[grid.at, at], quality[grid.at, at] = _gather(column, grid, tag, last=last)
    batch = None
    if table.batch is not None:
        batch = table.batch[grid.first][grid.source]
    merged, added = len(table) - len(grid.at), len(grid.time) - len(grid.at)
    notes += [
        Note("dropped", "repair.reason_merged", merged, example=place(table, 0)),
        Note("added", "repair.reason_grid_row", added),
    ]
    out = Table(
        values=values,
        tags=table.tags,
        time=grid.time.view("datetime64[ns]"),
        batch=batch,
        batch_names=table.batch_names,
        quality=quality,
        source=table.source,
        time_zone=table.time_zone,
    )
    return Resampled(out, tuple(note for note in notes if note.count))


def usual_step(steps: NDArray[np.float64]) -> float:
    """The seconds between rows that a grid for these steps (M,) should have.

    The most frequent step, when most steps are it or whole multiples of it: rows that are missing make a step longer,
    not the grid coarser. Where no step is frequent, nine of ten steps are at most the answer.

    >>> usual_step(np.array([60.0] * 6 + [120.0] * 3 + [180.0]))
    60.0
    """
    near = np.round(np.log(steps) / np.log1p(JITTER))  # steps that count as even fall together
    kinds, which, counts = np.unique(near, return_inverse=True, return_counts=True)
    mode = float(np.median(steps[which == np.argmax(counts)]))
    nice = min(_NICE, key=lambda length: abs(length - mode))
    mode = nice if abs(nice - mode) <= JITTER * nice else mode
    multiples = np.maximum(1, np.round(steps / mode))
    even = np.abs(steps - multiples * mode) <= JITTER * mode
    if len(kinds) and np.count_nonzero(even) >= MOSTLY * len(steps) and counts.max() >= LEAST_USUAL * len(steps):
        return float(mode)
    return float(np.quantile(steps, 0.9))


def nice_duration(seconds: float) -> str:
    """The round duration at or above a number of seconds, as a plan writes it.

    >>> nice_duration(290.0), nice_duration(0.2), nice_duration(3600)
    ('5min', '200ms', '1h')
    """
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))}ms"
    nice = next((n for n in _NICE if n >= seconds * (1 - 1e-9)), int(np.ceil(seconds)))
    for unit, length in (("w", 604800), ("d", 86400), ("h", 3600), ("min", 60)):
        if nice % length == 0:
            return f"{nice // length}{unit}"
    return f"{nice}s"


@dataclass(frozen=True)
class _Grid:
    """Where the rows go, M grid rows of which S have source rows.

    time: (M,) ns; run: (M,) number of the piece of one batch; source: (M,) the last of the S
    stretches at or before the row; first: (S,) first source row of each stretch; at: (S,) its grid row
    """

    time: NDArray[np.int64]
    run: NDArray[np.int64]
    source: NDArray[np.int64]
    first: NDArray[np.int64]
    at: NDArray[np.int64]
    rows: int


def _grid(table: Table, step: int, allowed: float | None) -> _Grid:
    assert table.time is not None
    assert allowed is not None
    ticks = -(-table.time.view("int64") // step)  # rounded up: the label is the end of the stretch
    run = np.zeros(len(table), np.int64)
    if table.batch is not None:
        run[1:] = np.cumsum(np.diff(table.batch) != 0)
    first = np.flatnonzero(np.concatenate([[True], (np.diff(ticks) != 0) | (np.diff(run) != 0)]))
    tick, run = ticks[first], run[first]
    ahead = np.where(np.diff(run) == 0, np.diff(tick), 1)
    ahead[ahead * (step / 1e9) > allowed * (1 + 1e-9)] = 1  # a gap stays a gap
    at = np.concatenate([[0], np.cumsum(ahead)])
    source = np.repeat(np.arange(len(first)), np.append(ahead, 1))
    time = (tick[source] + np.arange(len(source)) - at[source]) * step
    return _Grid(time=time, run=run[source], source=source, first=first, at=at, rows=len(table))


def _column(table: Table, at: int, tag: Tag, plan: RepairPlan) -> RepairColumn:
    x = table.values[:, at].astype(np.float64)
    quality = np.zeros(len(x), np.uint8) if table.quality is None else table.quality[:, at].copy()
    column = RepairColumn(x=x, quality=quality, start=np.zeros(len(x), np.int64))
    column.settle()
    if plan.limits and not tag.categories:
        column.limit(tag.low, tag.high)
    return column


def _gather(
    column: RepairColumn, grid: _Grid, tag: Tag, *, last: bool
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Value and quality of each stretch that has rows, (S,)."""
    known = ~np.isnan(column.x)
    count = np.add.reduceat(known.astype(np.int64), grid.first)
    if last:
        row = np.maximum.reduceat(np.where(known, np.arange(len(known)), -1), grid.first)
        value = np.where(count > 0, column.x[row], np.nan)
    else:
        total = np.add.reduceat(np.where(known, column.x, 0.0), grid.first)
        value = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    quality = np.maximum.reduceat(np.where(known, column.quality, Quality.GOOD).astype(np.uint8), grid.first)
    if tag.role == "input":
        rows = np.diff(np.append(grid.first, grid.rows))
        quality[2 * count < rows] = Quality.UNCERTAIN
    quality[count == 0] = Quality.BAD
    return value, quality
