"""TagSeries on one clock.

This module decides whether several clocks are one, asks for a grid where they are not, and makes one raw table in
wide form of all series. TagSeries may come from one table in long form, from pairs, or from several tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.ledger import Note
from backmix.data.notation.cells import Survey, decimal_mark, read_numbers
from backmix.data.reading.columns import RawColumn, RawTable, RowNumber
from backmix.data.reading.reading import ReadPlan
from backmix.data.shapes.clocks import clock_column
from backmix.data.shapes.grid import on_grid, own_step, written
from backmix.data.shapes.series import Instants, TagSeries, instants, settled, spread
from backmix.errors import InputError

_CLOSER = 0.9
"""Rows closer together than this share of the fastest tag's step belong to clocks that are not one."""
_SHARE = 0.5
"""Tags that each have a cell at more than this share of all times have one clock with holes in it."""
_BYTES = 8


@dataclass(frozen=True, eq=False)
class Parts:
    """A table taken apart.

    series: of each tag; clock, batch: what the axes are called; batch_names: codes of the series -> names
    units, descriptions: of the tags; notes, evidence: what was seen while it was taken apart
    rows: how many rows the source has
    """

    series: Sequence[TagSeries]
    clock: str
    where: str
    rows: int
    batch: str | None = None
    batch_names: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def joined(parts: Parts, plan: ReadPlan) -> RawTable:
    """One raw table in wide form, its clock in UTC.

    Raises InputError (shape.same_time) for two values of a tag at one time, OpenQuestion (shape.which_grid) for
    clocks that are not one, shape.union_too_large.
    """
    notes = list(parts.notes)
    series = []
    for trend in parts.series:
        clean, settling = settled(trend, plan.duplicates)
        series.append(clean)
        notes += settling
    rows, spots = instants(series)
    if plan.grid in (None, "union"):
        if plan.grid is None and not _agree(series, rows):
            raise _which_grid(series, parts)
        if len(rows) * len(series) * _BYTES > plan.limit:
            raise InputError(
                "shape.union_too_large", where=parts.where, rows=len(rows), tags=len(series), limit=f"{plan.limit_mb:g}"
            )
        columns = [spread(trend.cells, places, len(rows)) for trend, places in zip(series, spots, strict=True)]
    else:
        rows, columns, settling = on_grid(series, plan, _numbers(series, plan))
        notes += settling
    notes.append(Note("converted", "shape.reason_cells", sum(map(len, series))))
    axes = [clock_column(parts.clock, rows.time.view("datetime64[ns]"))]
    if parts.batch is not None:
        axes.append(_names(parts.batch, rows, parts.batch_names))
    return RawTable(
        (*axes, *columns),
        len(rows),
        parts.where,
        _numbering(series, rows),
        notes=tuple(note for note in notes if note.count),
        units=parts.units,
        descriptions=parts.descriptions,
        evidence=parts.evidence,
    )


def _names(name: str, rows: Instants, names: tuple[str, ...]) -> RawColumn:
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pc.take(pa.array(names, pa.large_string()), pa.array(rows.batch))
    return RawColumn(name, texts=pa.chunked_array([words]))


def _numbering(series: Sequence[TagSeries], rows: Instants) -> RowNumber:
    """Row of the joined table -> number of a row of the source that stands on it, or the last one before."""

    def number(row: int) -> int | str:
        time, batch = rows.time[row], rows.batch[row]
        before = None
        for trend in series:
            low, high = np.searchsorted(trend.batch, [batch, batch + 1])
            index = int(low + np.searchsorted(trend.time[low:high], time, side="right")) - 1
            if index >= low and (before is None or trend.time[index] > before[0]):
                before = (trend.time[index], trend.number(index))
                if trend.time[index] == time:
                    break
        return before[1] if before is not None else row + 1

    return number


def _agree(series: Sequence[TagSeries], rows: Instants) -> bool:
    """Whether the clocks of all tags are one: with holes, or with slower tags on every nth row."""
    known = [trend for trend in series if len(trend)]
    if len(known) < 2 or len(rows) == max(map(len, known)):
        return True
    if all(len(trend) > _SHARE * len(rows) for trend in known):
        return True
    fastest = min((step for trend in known if (step := own_step(trend))), default=0)
    gaps = np.diff(rows.time)[np.diff(rows.batch) == 0]
    return bool(fastest and (gaps >= _CLOSER * fastest).all())


def _which_grid(series: Sequence[TagSeries], parts: Parts) -> OpenQuestion:
    """Stop with the grids that there are: the step of the fastest tag, or every time there is."""
    from backmix.text import say

    step, fastest = min((own_step(trend) or 2**62, trend.name) for trend in series)
    text = written(step) if step < 2**62 else "1min"
    first, other = _two_clocks(series)
    shown = tuple(
        f"{trend.name} {np.datetime64(int(trend.time[0]), 'ns').astype('datetime64[s]')}" for trend in (first, other)
    )
    question = LayoutQuestion(
        "grid",
        (
            Interpretation(text, say("shape.grid_step", tag=fastest, step=text)),
            Interpretation("union", say("shape.grid_union")),
        ),
        row=shown,
        where=parts.where,
    )
    return OpenQuestion(
        "shape.which_grid", question=question, where=parts.where, tag=first.name, other=other.name, grid=text
    )


def _two_clocks(series: Sequence[TagSeries]) -> tuple[TagSeries, TagSeries]:
    known = [trend for trend in series if len(trend)]
    first = known[0]
    for other in known[1:]:
        if len(other) != len(first) or (other.time != first.time).any():
            return first, other
    return first, known[-1]


def _numbers(series: Sequence[TagSeries], plan: ReadPlan) -> list[NDArray[np.float64] | None]:
    """The cells of each series as numbers; None for a tag of states, and where only the last cell counts anyway."""
    from backmix.data.reading.meaning import meaning

    described = {tag.name: tag for tag in plan.tags}
    hows = [
        (described[trend.name].align if trend.name in described else None) or plan.align or "last" for trend in series
    ]
    if all(how == "last" for how in hows):
        return [None] * len(series)
    surveys: dict[str, Survey] = {}
    for trend in series:
        surveys[trend.name] = Survey()
        surveys[trend.name].add(trend.cells, len(trend))
    by_name = {trend.name: trend for trend in series}

    def place(row: int, name: str) -> str:
        return by_name[name].at(row)

    numeric = {
        name: survey
        for name, survey in surveys.items()
        if by_name[name].cells.times is None and meaning(name, survey, described.get(name), place).kind == "number"
    }
    decimal = decimal_mark(numeric, plan.decimal, place)
    columns: list[NDArray[np.float64] | None] = []
    for trend, how in zip(series, hows, strict=True):
        if how == "last" or trend.name not in numeric:
            columns.append(None)
            continue
        numbers = read_numbers(trend.cells, len(trend), decimal)
        columns.append(np.where(np.isinf(numbers), np.nan, numbers))
    return columns
