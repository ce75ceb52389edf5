"""The columns of a clock as one column of times.

This module puts a date and its hours together, whether they are texts or numbers, and year, month and day apart; a year
with a quarter, a month or a week.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.ledger import Note
from backmix.data.notation.column_times import TICKS, column_times, numbers_of
from backmix.data.notation.dates import Dates, looks_like_dates, read_dates
from backmix.data.notation.ticks import forms_of, time_of_day
from backmix.data.notation.words_of_time import first_of_week
from backmix.data.reading.columns import RawColumn, RawTable, Times
from backmix.data.reading.meaning import names_of
from backmix.data.reading.reading import ReadPlan
from backmix.data.side_file import ColumnNames, one_name, several
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


PARTS: Mapping[str, str] = {
    "year": r"year|yyyy|yr|jahr|ann[eé]e|a[nñ]o|年|年份|西元年?|民國年?",
    "month": r"month|mon|mm|mo|monat|mois|mes|月|月份",
    "day": r"day|dd|dy|tag|jour|d[ií]a|日|day of month",
    "day_of_year": r"doy|day of year|julian day|yday",
    "quarter": r"quarter|qtr|q|quartal|trimestre|季|季別|季度",
    "week": r"(?:iso ?|calendar )?week(?: ?(?:no|nr|number))?|wk|kw|woche|semaine|semana|週|周|週次|週別|周次",
    "hour": r"hour|hours|hh|hr|stunde|heure|hora|時|小時|點|he|hb|hour ?(?:no|nr|number)"
    r"|(?:hour|hr) ?(?:ending|ended|end|beginning|begin|start|of day)",
    "minute": r"minutes?|min|mi|minuto|分|分鐘",
    "second": r"seconds?|sec|ss|s|sekunde|seconde|segundo|秒",
}
"""Part of a date -> what its column may be called."""


def together(raw: RawTable, plan: ReadPlan, names: tuple[str, ...], form: str | None) -> tuple[RawTable, ReadPlan]:
    """The columns of a clock as one column of times, where the first of them stood."""
    columns = {column.name: column for column in raw.columns}
    parts = [columns[name] for name in names]
    years = [column for column in parts if called(column.name, PARTS["year"])]
    if form == "parts" or (form is None and (len(names) > 2 or years) and not any(map(_is_day, parts))):
        dates = Dates(_from_parts(raw, parts), aware=False)
    elif (date := next((column for column in parts if _is_day(column)), None)) is not None:
        dates = _with_hours(raw, plan, date, [column for column in parts if column is not date], form)
    else:
        dates = _side_by_side(raw, plan, parts)
    clock = RawColumn(one_name(names), times=dates.times, aware=dates.aware)
    kept = [clock if column.name == names[0] else column for column in raw.columns]
    kept = [column for column in kept if column.name not in names[1:]]
    note = Note("converted", "clock.reason_together", raw.rows, tag=clock.name)
    made = replace(
        raw, columns=tuple(kept), notes=(*raw.notes, note, *dates.notes), evidence=(*raw.evidence, *dates.evidence)
    )
    return made, plan.model_copy(update={"time": clock.name, "time_form": None})


def with_clocks_together(raw: RawTable, plan: ReadPlan, *clocks: ColumnNames | None) -> RawTable:
    """The table with each of several clocks as one column of times, called by `one_name`."""
    for names in clocks:
        if len(several(names)) > 1:
            raw, _ = together(raw, plan, several(names), plan.time_form)
    return raw


def _is_day(column: RawColumn) -> bool:
    """Whether a column is the date in a clock of several columns."""
    if column.times is not None:
        days = column.times[~np.isnat(column.times)].astype("datetime64[D]")
        return bool(len(days)) and bool(days.max() > np.datetime64("1904-01-02"))
    if column.texts is not None and column.numbers is None and looks_like_dates(column.texts):
        return True
    numbers = _known(column)
    return numbers is not None and bool(forms_of(numbers))


def _known(column: RawColumn) -> NDArray[np.float64] | None:
    """The numbers of a column, whether they stand as numbers or as texts."""
    import pyarrow.compute as pc

    if column.texts is None:
        return None if column.numbers is None else column.numbers[~np.isnan(column.numbers)]
    words = pc.utf8_trim_whitespace(column.texts)
    words = words.filter(pc.fill_null(pc.not_equal(words, ""), False))
    if not len(words) or not pc.all(pc.match_substring_regex(words, r"^\d+(\.\d*)?$")).as_py():
        return None
    numbers: NDArray[np.float64] = pc.cast(words, "double").to_numpy()
    return numbers


def _with_hours(raw: RawTable, plan: ReadPlan, date: RawColumn, hours: list[RawColumn], form: str | None) -> Dates:
    """A date, and the hours of it."""
    whole = form if form in TICKS else _date_form(plan)
    days = column_times(date, raw, day_first=plan.day_first, form=whole, zone=plan.time_zone)
    if all(_known(column) is not None for column in hours):
        spent, evidence = _numbers_of_day(raw, hours, form, date)
        return Dates(days.times + spent, days.aware, days.notes, (*days.evidence, *evidence))
    if len(hours) == 1 and hours[0].times is not None:
        times = hours[0].times
        return Dates(days.times + (times - times.astype("datetime64[D]")), days.aware, days.notes, days.evidence)
    clock = _side_by_side(raw, plan, hours, before="2000-01-01 ")
    times = days.times + (clock.times - np.datetime64("2000-01-01", "ns"))
    return Dates(times, days.aware or clock.aware, (*days.notes, *clock.notes), days.evidence)


def _numbers_of_day(
    raw: RawTable, hours: list[RawColumn], form: str | None, date: RawColumn
) -> tuple[NDArray[np.timedelta64], tuple[Evidence, ...]]:
    """Hours, minutes and seconds in columns of numbers; or one column of hours, of 0830, or of parts of a day."""
    cells = [numbers_of(column, raw) for column in hours]
    if len(hours) > 1:
        spent = np.zeros(raw.rows, np.int64)
        for part, seconds in zip(cells, (3600, 60, 1), strict=False):
            spent += np.round(np.nan_to_num(part) * seconds * 1e6).astype(np.int64)
        return _nothing(spent * 1000, cells), ()
    times = time_of_day(cells[0])
    known = np.isfinite(cells[0])
    if times is None:
        row = int(np.argmax(known & ~((cells[0] >= 0) & (cells[0] <= 24)))) if known.any() else 0
        raise InputError("clock.no_hour", where=raw.at(row, hours[0].name), text=f"{cells[0][row]:g}")
    spent_of_day, kind = times
    evidence = _which_hour(raw, hours[0], cells[0], form, date) if kind == "hours" else ()
    return _nothing(spent_of_day.astype(np.int64), cells), evidence


def _nothing(nanoseconds: NDArray[np.int64], cells: list[NDArray[np.float64]]) -> NDArray[np.timedelta64]:
    gone = np.isnan(cells).any(axis=0)
    return np.where(gone, np.timedelta64("NaT", "ns"), nanoseconds.astype("timedelta64[ns]"))


def _which_hour(
    raw: RawTable, column: RawColumn, hours: NDArray[np.float64], form: str | None, date: RawColumn
) -> tuple[Evidence, ...]:
    """Whether hours are numbered 1 to 24 as they end, or 0 to 23 as they begin."""
    known = hours[np.isfinite(hours)]
    low, high = int(known.min()), int(known.max())
    wrong = {"hour_ending": known < 1, "hour_beginning": known > 24}.get(form or "", np.zeros(0, bool))
    if wrong.any():
        row = int(np.flatnonzero(np.isfinite(hours))[np.argmax(wrong)])
        raise InputError("clock.not_hour_ending", where=raw.at(row, column.name), text=f"{hours[row]:g}")
    if form in ("hour_ending", "hour_beginning"):
        return ()
    values = {"column": column.name, "low": low, "high": high}
    if low >= 1 and (high == 24 or re.search(r"(?i)end|\bhe\b", column.name)):
        return (Evidence("time_form", "hour_ending", "clock.hour_ending", values),)
    if low == 0 or re.search(r"(?i)begin|start|\bhb\b", column.name):
        return (Evidence("time_form", "hour_beginning", "clock.hour_beginning", values),)
    if form is not None:
        return ()
    row = int(np.flatnonzero(np.isfinite(hours))[0])
    cells = (first_cell(date, raw), f"{hours[row]:g}")
    readings = (
        Interpretation("hour_ending", f"{hours[row] - 1:g}:00 – {hours[row]:g}:00"),
        Interpretation("hour_beginning", f"{hours[row]:g}:00 – {hours[row] + 1:g}:00"),
    )
    question = LayoutQuestion("time_form", readings, row=cells, where=raw.at(row, column.name))
    raise OpenQuestion("clock.which_hour", question=question, where=raw.at(row, column.name), column=column.name)


def _from_parts(raw: RawTable, columns: list[RawColumn]) -> Times:
    """Times from year, month, day (or quarter, ISO week, day of the year), hour, minute and second.

    A year with a month, a quarter or a week alone is its first day.
    """
    named = {part: column for column in columns for part, names in PARTS.items() if called(column.name, names)}
    if len(named) != len(columns) or "year" not in named:
        named = dict(zip(("year", "month", "day", "hour", "minute", "second"), columns, strict=False))
    cells = {part: numbers_of(column, raw) for part, column in named.items()}
    gone = np.isnan(list(cells.values())).any(axis=0)
    part = {name: np.where(gone, 1, numbers) for name, numbers in cells.items()}
    year = part["year"]
    year = np.where((year >= 60) & (year < 200), year + 1911, year)  # of the Republic of China
    month, day = part.get("month", np.ones(raw.rows)), part.get("day", np.ones(raw.rows))
    month, week = (3 * part["quarter"] - 2 if "quarter" in part else month), part.get("week", np.ones(raw.rows))
    day_of_year = part.get("day_of_year", np.ones(raw.rows))
    hour, minute, second = (part.get(name, np.zeros(raw.rows)) for name in ("hour", "minute", "second"))
    hour, minute, second = (np.where(gone, 0, numbers) for numbers in (hour, minute, second))
    wrong = (year < 1700) | (year > 2260) | (month < 1) | (month > 12) | (day < 1) | (day > 31)
    wrong |= (day_of_year < 1) | (day_of_year > 366)
    wrong |= (hour < 0) | (hour > 24) | (minute < 0) | (minute > 59) | (second < 0) | (second >= 61)
    wrong |= sum(numbers != np.floor(numbers) for numbers in (year, month, week, day, day_of_year, hour, minute)) > 0
    if "week" in part:
        monday = first_of_week(*(np.where(wrong | gone, 1, numbers).astype(np.int64) for numbers in (year, week)))
        wrong |= np.isnat(monday)
    wrong &= ~gone
    months = (np.where(wrong | gone, 0, year * 12 + month - 1 - 1970 * 12)).astype(np.int64).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day + day_of_year - 2).astype(np.int64).astype("timedelta64[D]")
    if "week" in part:
        days = np.where(wrong, days, monday)
    wrong |= ~gone & (not {"day_of_year", "week"} & set(part)) & (days.astype("datetime64[M]") != months)
    if wrong.any():
        row = int(np.argmax(wrong))
        text = "-".join(f"{numbers[row]:g}" for numbers in cells.values())
        raise InputError("read.bad_date", where=raw.at(row, columns[0].name), text=text)
    spent = np.round((hour * 3600 + minute * 60 + second) * 1e6).astype(np.int64) * 1000
    times = days.astype("datetime64[ns]") + spent.astype("timedelta64[ns]")
    return np.where(gone, np.datetime64("NaT", "ns"), times)


def _side_by_side(raw: RawTable, plan: ReadPlan, parts: list[RawColumn], before: str = "") -> Dates:
    """The texts of several columns, read as one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts: list[pa.Array] = [names_of(column, raw.rows) for column in parts]
    space = pa.scalar(" ", pa.large_string())
    whole = pc.binary_join_element_wise(*texts, space, null_handling="emit_null")
    whole = pc.binary_join_element_wise(pa.scalar(before, pa.large_string()), whole, pa.scalar("", pa.large_string()))
    name = parts[-1].name
    return read_dates(
        pa.chunked_array([whole]),
        tag=name,
        day_first=plan.day_first,
        at=lambda row: raw.at(row, name),
        form=_date_form(plan),
        zone=plan.time_zone,
    )


def _date_form(plan: ReadPlan) -> str | None:
    return plan.time_form if plan.time_form in ("date", "year_first", "republic") else None


def called(name: str, pattern: str) -> bool:
    plain = re.sub(r"[\s_\-.]+", " ", name).strip()
    return re.fullmatch(pattern, plain, re.IGNORECASE) is not None


def first_cell(column: RawColumn, raw: RawTable) -> str:
    words = names_of(column, raw.rows)
    return next((str(word) for word in words[:100].to_pylist() if word is not None), "")
