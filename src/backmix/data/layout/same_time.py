"""Why rows share a time.

This module looks for the cause when rows of one time have different values: the hours stand in another column, a row
holds one value of one tag, several units share the clock, or the clock was cut to the hour. Only true duplicates are
left to "first", "last" or "mean", which would destroy the data of all the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.clock import hours_of_day
from backmix.data.layout.evidence import Interpretation, LayoutQuestion, OpenQuestion, toml
from backmix.data.notation.clock import shown
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.meaning import names_of
from backmix.data.reading.row_order import UNITS, Clash, cut_to, spread
from backmix.data.table import Table
from backmix.errors import InputError
from backmix.text import say

if TYPE_CHECKING:
    from backmix.data.reading.reading import ReadPlan

_LOOKS = 20_000
_MOSTLY = 0.5
_SEVERAL = 0.8
_NAMES = ("day", "hour", "minute", "second")


def cause(clash: Clash, raw: RawTable, kept: NDArray[np.intp], plan: ReadPlan) -> InputError:
    """The error that says why rows share a time and which line of the plan mends it.

    kept: row of the table as it was read -> row of ``raw``
    """
    rows = kept[clash.order]
    where = raw.at(int(rows[clash.row]), clash.table.names[clash.column])
    assert clash.table.time is not None
    time = shown(clash.table.time[clash.row], clash.table.time_zone)
    if _share_of_rows(clash) >= _MOSTLY:
        apart = [column for column in _others(raw, clash, plan) if _tells_apart(column, raw, rows, clash.again)]
        if (reason := _of_column(apart, raw, clash, plan, where, time)) is not None:
            return reason
        if (question := _cut(clash, raw, rows, where, time)) is not None:
            return question
    name = clash.table.names[clash.column]
    column = next((column for column in raw.columns if column.name == name), None)
    cells = [f"{clash.table.values[row, clash.column]:g}" for row in (clash.row, clash.other)]
    if column is not None:
        words = names_of(column, raw.rows)
        cells = [str(words[int(rows[row])].as_py() or "-") for row in (clash.row, clash.other)]
    return InputError(
        "read.same_time",
        where=where,
        time=time,
        value=cells[0][:60],
        other=cells[1][:60],
        other_row=raw.number(int(rows[clash.other])),
    )


def _share_of_rows(clash: Clash) -> float:
    """The share of the rows whose time another row has too."""
    several = clash.again.copy()
    several[:-1] |= clash.again[1:]
    return float(several.mean())


def _others(raw: RawTable, clash: Clash, plan: ReadPlan) -> list[RawColumn]:
    """Columns of words or whole numbers that might tell rows of one time apart."""
    others = []
    for column in raw.columns:
        if column.name in (clash.clock, plan.batch) or column.times is not None:
            continue
        numbers = None if column.numbers is None else column.numbers[np.isfinite(column.numbers)]
        if numbers is None or bool((numbers == np.floor(numbers)).all()):
            others.append(column)
    return others


def _tells_apart(column: RawColumn, raw: RawTable, rows: NDArray[np.intp], again: NDArray[np.bool_]) -> bool:
    """Whether the few names in a column never occur twice at one time, each at many times."""
    import pyarrow as pa
    import pyarrow.compute as pc

    look = min(len(rows), _LOOKS)
    words = names_of(column, raw.rows).take(pa.array(rows[:look]))
    if words.null_count:
        return False
    codes = np.asarray(pc.dictionary_encode(words).indices)
    group = np.cumsum(~again[:look]) - 1
    kinds = int(codes.max()) + 1
    pairs = np.unique(group.astype(np.int64) * kinds + codes)
    return len(pairs) == look and kinds >= 2 and kinds <= max(2, look // 2) and bool(np.bincount(codes).min() >= 2)


def _of_column(
    apart: list[RawColumn], raw: RawTable, clash: Clash, plan: ReadPlan, where: str, time: str
) -> InputError | None:
    """The error about a column that tells rows of one time apart."""
    stated = {"where": where, "time": time, "clock": clash.clock}
    hours = [column for column in apart if hours_of_day(column)]
    if hours and cut_to(clash.table) == UNITS[0]:
        line = "time = " + toml((*(plan.clock or (clash.clock,)), hours[0].name))
        return InputError("clock.hours_elsewhere", column=hours[0].name, line=line, **stated)
    words = [column for column in apart if column.numbers is None and not hours_of_day(column)]
    names = set(clash.table.names) - {column.name for column in words}
    values = [tag.name for tag in clash.table.tags if tag.name in names and not tag.categories]
    if words and len(values) == 1:
        line = "long = " + toml({"tag": words[0].name, "value": values[0]})
        return InputError("clock.long_form", column=words[0].name, line=line, **stated)
    units = words or [column for column in apart if column not in hours]
    if units:
        return InputError("clock.several_units", column=units[0].name, line=f"batch = {toml(units[0].name)}", **stated)
    return None


def _cut(clash: Clash, raw: RawTable, rows: NDArray[np.intp], where: str, time: str) -> OpenQuestion | None:
    """The question what to do with a clock that was cut to the hour, or None when it was not."""
    table: Table = clash.table
    unit = cut_to(table)
    first = np.flatnonzero(~clash.again)
    count = np.diff(np.append(first, len(table)))
    if unit is None or (count >= 2).mean() < _SEVERAL:
        return None
    word = say(f"clock.unit_{_NAMES[UNITS.index(unit)]}")
    usual = int(np.median(count))
    apart, _ = spread(table, clash.again, [])
    assert apart.time is not None
    again = int(first[np.searchsorted(first, clash.row, side="right") - 1])
    two = [shown(apart.time[row], table.time_zone) for row in (again, again + 1)]
    readings = (
        Interpretation("spread", say("clock.cut_spread", first=two[0], second=two[1])),
        Interpretation("mean", say("clock.cut_mean", unit=word)),
        Interpretation("last", say("clock.cut_last", unit=word)),
    )
    question = LayoutQuestion("duplicates", readings, row=(time,), where=where)
    return OpenQuestion("clock.cut", question=question, where=where, unit=word, rows=usual, time=time)
