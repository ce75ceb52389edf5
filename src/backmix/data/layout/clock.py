"""Which columns are the clock.

This module looks for the columns that say when a row was: one of dates, a date beside a time of day or an hour,
year, month and day apart, or numbers that can be nothing but times; and makes one column of them (`one_clock`).
A column that looks like a clock is never anything else: it is the clock, it is left out by name, or it is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.layout.layout import TimeForm
from backmix.data.layout.together import PARTS, called, first_cell, together
from backmix.data.ledger import Note
from backmix.data.notation.column_times import as_numbers
from backmix.data.notation.dates import looks_like_dates, looks_like_hours, without_hours
from backmix.data.notation.ticks import counts_rows, forms_of, moves_evenly, moves_on, time_of_day
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import ReadPlan, TagPlan
from backmix.data.table import missing_column

if TYPE_CHECKING:
    pass

_SAMPLE = 100_000
_TIME_NAMES = (
    r"(?:sample |sampling |local |utc |unix |epoch )?(?:date ?time|time ?stamps?|time|date|epoch|ts|t|unix(?: ?time)?)"
    r"(?: ?(?:utc|local))?|zeit(?:stempel|punkt)?|datum|fecha|hora|horodatage|heure|"
    r"日期|時間|時刻|日期時間|時間戳記?|取樣時間|时间|日期时间"
)
_ELAPSED_NAMES = r"elapsed(?: time)?|relative time|time elapsed|經過時間|累計時間"


@dataclass(frozen=True)
class ClockColumns:
    """The columns of a clock, and why they are taken for it."""

    names: tuple[str, ...]
    form: TimeForm | None
    evidence: Evidence


def one_clock(raw: RawTable, plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """The table with at most one column of times, and the plan that names it.

    Raises InputError (data.missing_column) for a column that the plan names and the source does not have, and
    OpenQuestion where several columns may be the clock.
    """
    for name in plan.clock:
        if name not in raw.names:
            raise missing_column(name, raw.names, raw.where)
    names, form = plan.clock, plan.time_form
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[Note, ...] = ()
    if not names:
        clock = _look(raw, plan)
        if clock is None:
            return _elapsed(raw, plan)
        names, evidence = clock.names, (clock.evidence,)
        if form is None and clock.form is not None:
            evidence = (clock.evidence, replace(clock.evidence, key="time_form", value=clock.form))
        form = form if form is not None else clock.form
        notes = (Note("converted", "read.reason_time_found", raw.rows, tag=names[0]),) if len(names) == 1 else ()
    raw = replace(raw, notes=(*raw.notes, *notes), evidence=(*raw.evidence, *evidence))
    if len(names) == 1:
        return raw, plan.model_copy(update={"time": names[0], "time_form": form})
    return together(raw, plan, names, form)


def looks_like_clock(column: RawColumn) -> bool:
    """Whether a column beside the clock is itself one: dates, times of day, or numbers that grow like a time."""
    column = as_numbers(column)
    if column.times is not None:
        return True
    if column.texts is not None:
        return column.numbers is None and (looks_like_dates(column.texts) or looks_like_hours(column.texts))
    return numbers_like_times(column)


def hours_of_day(column: RawColumn) -> bool:
    """Whether a column holds times of day: 08:00, or hours that are called so and go up to 23 or 24."""
    if column.texts is not None and column.numbers is None:
        return looks_like_hours(column.texts)
    if column.numbers is None or column.texts is not None:
        return False
    known = column.numbers[np.isfinite(column.numbers)]
    return len(known) > 0 and bool(known.min() >= 0) and bool(known.max() <= 24)


def _look(raw: RawTable, plan: ReadPlan) -> ClockColumns | None:
    """The clock that the plan does not name. Raises OpenQuestion when several columns may be it."""
    free = _free(raw, plan)
    dates = [column for column in free if _is_dates(column)]
    if not dates:
        return _of_parts(free) or _of_numbers(free, raw)
    clocks: list[tuple[str, ...]] = [(column.name,) for column in dates]
    why = Evidence("time", dates[0].name, "clock.only_dates", {"column": dates[0].name})
    if len(dates) == 1:
        beside = _hours_beside(dates[0], free, raw) if _whole_days(dates[0]) else []
        if not beside:
            return ClockColumns(clocks[0], None, why)
        clocks = [(dates[0].name, *names) for names in beside]
    if len(clocks) > 1:
        raise _which(clocks, raw, plan)
    names = clocks[0]
    values = {"date": names[0], "hours": ", ".join(names[1:])}
    return ClockColumns(names, None, Evidence("time", names, "clock.two_columns", values))


def clocks_in_parts(raw: RawTable) -> list[tuple[str, ...]]:
    """The clocks that stand in several columns: each date without hours with the hours behind it, or a date in parts.

    A table may have several, such as the sample and the report of a result.
    """
    columns = [as_numbers(column) for column in raw.columns]
    dates = [place for place, column in enumerate(columns) if _is_dates(column)]
    if not dates:
        clock = _of_parts(columns)
        return [] if clock is None else [clock.names]
    days = [place for place in dates if _whole_days(columns[place])]
    if len(dates) == len(days) == 1:
        date = columns[days[0]]
        beside = _hours_beside(date, columns, raw)
        return [(date.name, *beside[0])] if len(beside) == 1 else []
    pairs: list[tuple[str, ...]] = []
    for place in days:
        until = next((other for other in dates if other > place), len(columns))
        hours = [column for column in columns[place + 1 : until] if column.numbers is None and column.texts is not None]
        hours = [column for column in hours if column.texts is not None and looks_like_hours(column.texts)]
        pairs += [(columns[place].name, hours[0].name)] if len(hours) == 1 else []
    return pairs


def _free(raw: RawTable, plan: ReadPlan) -> list[RawColumn]:
    """The columns that the plan has no other use for; texts that are numbers as numbers."""
    named = {tag.name for tag in plan.tags} | {plan.batch} | set(plan.status or ())
    if plan.lab is not None and plan.lab.file is None:
        named |= {*plan.lab.named, *plan.lab.reports}
    return [as_numbers(column) for column in raw.columns if column.name not in named]


def _is_dates(column: RawColumn) -> bool:
    return column.numbers is None and (
        column.times is not None or (column.texts is not None and looks_like_dates(column.texts))
    )


def _whole_days(column: RawColumn) -> bool:
    """Whether a column of dates says nothing of the time of day."""
    if column.times is not None:
        known = column.times[~np.isnat(column.times)]
        return column.texts is None and bool((known == known.astype("datetime64[D]")).all())
    return column.texts is not None and without_hours(column.texts)


def _hours_beside(date: RawColumn, free: list[RawColumn], raw: RawTable) -> list[tuple[str, ...]]:
    """The columns that give the days of ``date`` their hours: one of times, or hours (minutes, seconds) apart."""
    others = [column for column in free if column.name != date.name]
    words = [column for column in others if column.numbers is None and column.texts and looks_like_hours(column.texts)]
    if words:
        return [(column.name,) for column in words]
    parts = _parts(others, ("hour", "minute", "second"))
    if "hour" in parts:
        whole = [parts[name] for name in ("hour", "minute", "second") if name in parts]
        return [tuple(whole)] if "second" not in parts or "minute" in parts else [(parts["hour"],)]
    named = [
        column
        for column in others
        if column.numbers is not None
        and column.texts is None
        and called(column.name, _TIME_NAMES)
        and time_of_day(column.numbers) is not None
    ]
    return [(column.name,) for column in named]


def _parts(columns: list[RawColumn], wanted: tuple[str, ...]) -> dict[str, str]:
    """Part of a date -> the column that holds it, by name and by value."""
    reach = {
        "year": (60, 2261),
        "month": (1, 12),
        "day": (1, 31),
        "day_of_year": (1, 366),
        "quarter": (1, 4),
        "week": (1, 53),
        "hour": (0, 24),
        "minute": (0, 59),
        "second": (0, 60),
    }
    parts: dict[str, str] = {}
    for part in wanted:
        low, high = reach[part]
        for column in columns:
            if column.numbers is None or column.texts is not None or not called(column.name, PARTS[part]):
                continue
            known = column.numbers[~np.isnan(column.numbers)]
            whole = part == "second" or bool((known == np.floor(known)).all())
            if len(known) and whole and known.min() >= low and known.max() <= high and part not in parts:
                parts[part] = column.name
    return parts


def _of_parts(free: list[RawColumn]) -> ClockColumns | None:
    parts = _parts(free, tuple(PARTS))
    ways = (("month", "day"), ("day_of_year",), ("month",), ("quarter",), ("week",))
    days = next((way for way in ways if {"year", *way} <= set(parts)), None)
    if days is None:
        return None
    order = ["year", *days]
    if days in ways[:2]:
        for part in ("hour", "minute", "second"):
            if part not in parts:
                break
            order.append(part)
    names = tuple(parts[part] for part in order)
    if days not in ways[:2] and not _a_row_each(free, names):
        return None  # the rows of a month: its days are not said
    return ClockColumns(names, "parts", Evidence("time", names, "clock.parts", {"columns": ", ".join(names)}))


def _a_row_each(free: list[RawColumn], names: tuple[str, ...]) -> bool:
    """Whether years, and the numbers of their months (quarters, weeks), are others from row to row, and go one way."""
    columns = {column.name: column.numbers for column in free}
    year, number = (columns[name] for name in names)
    assert year is not None
    assert number is not None
    steps = np.diff(100 * year + number)
    return bool((steps > 0).all() or (steps < 0).all()) and len(steps) > 0


def _of_numbers(free: list[RawColumn], raw: RawTable) -> ClockColumns | None:
    columns = [column for column in free if numbers_like_times(column)]
    if not columns:
        return None
    if len(columns) > 1:
        called = [column for column in columns if called(column.name, _TIME_NAMES)]
        if len(called) != 1:
            raise _which([(column.name,) for column in columns], raw, None)
        columns = called
    date = columns[0]
    assert date.numbers is not None
    names: tuple[str, ...] = (date.name,)
    if (
        forms_of(date.numbers[~np.isnan(date.numbers)]) == ("date",)
        and date.numbers[~np.isnan(date.numbers)].max() < 1e8
    ):
        beside = _hours_beside(date, free, raw)
        names = (date.name, *beside[0]) if len(beside) == 1 else names
    value = names if len(names) > 1 else date.name
    return ClockColumns(names, None, Evidence("time", value, "clock.numbers", {"columns": ", ".join(names)}))


def numbers_like_times(column: RawColumn) -> bool:
    """Whether numbers are times by what they are and how they move, and by their name where that leaves a doubt."""
    if column.numbers is None or column.texts is not None:
        return False
    numbers = column.numbers[:_SAMPLE]
    numbers = numbers[~np.isnan(numbers)]
    forms = forms_of(numbers)
    named = called(column.name, _TIME_NAMES)
    if named and forms == ("date",) and bool((np.diff(numbers) >= 0).all()):
        return True  # a day may fill the file
    if not forms or len(numbers) < 2 or not moves_on(numbers):
        return False
    if named or (len(numbers) >= 5 and forms == ("date",)):
        return True
    fractions = bool((numbers != np.floor(numbers)).any())
    serial = "excel_1900" in forms
    return len(numbers) >= 5 and moves_evenly(numbers) and (fractions if serial else not counts_rows(numbers))


def _which(clocks: list[tuple[str, ...]], raw: RawTable, plan: ReadPlan | None) -> OpenQuestion:
    """Several columns may be the clock: each with what its first row says."""
    columns = {column.name: column for column in raw.columns}
    first = {name: first_cell(columns[name], raw) for names in clocks for name in names}
    readings = tuple(
        Interpretation(names if len(names) > 1 else names[0], " ".join(first[name] for name in names))
        for names in clocks
    )
    question = LayoutQuestion("time", readings, row=tuple(first.values()), where=f"{raw.where}:{raw.number(0)}")
    named = ", ".join(" + ".join(names) for names in clocks)
    return OpenQuestion("read.which_time", question=question, where=raw.where, names=named)


def _elapsed(raw: RawTable, plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """No clock; a column that counts time since a start is named, and is no input unless batches begin anew."""
    for column in _free(raw, plan):
        if column.texts is not None and column.numbers is None and looks_like_hours(column.texts):
            note = Note("converted", "clock.reason_no_day", raw.rows, tag=column.name)
            return replace(raw, notes=(*raw.notes, note)), plan
        if column.numbers is None or column.texts is not None:
            continue
        known = column.numbers[~np.isnan(column.numbers)]
        bare = re.sub(r"\s*[\[(/,].*$", "", column.name)
        if called(bare, f"{_TIME_NAMES}|{_ELAPSED_NAMES}") and len(known) > 1 and known[0] >= 0 and moves_on(known):
            note = Note("converted", "clock.reason_elapsed", raw.rows, tag=column.name, example=f"{known[1]:.6g}")
            tags = plan.tags if plan.batch is not None else (*plan.tags, TagPlan(name=column.name, role="ignored"))
            return replace(raw, notes=(*raw.notes, note)), plan.model_copy(update={"tags": tags})
    return raw, plan
