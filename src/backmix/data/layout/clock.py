"""Which columns are the clock.

This module looks for the columns that say when a row was: one of dates, a date beside a time of day or an hour,
year, month and day apart, or numbers that can be nothing but times; and makes one column of them (`one_clock`).
A column that looks like a clock is never anything else: it is the clock, it is left out by name, or it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.layout.layout import TimeForm
from backmix.data.ledger import Note
from backmix.data.notation.column_times import TICKS, column_times, numbers_of
from backmix.data.notation.dates import Dates, looks_like_dates, looks_like_hours, read_dates, without_hours
from backmix.data.notation.ticks import counts_rows, forms_of, moves_evenly, moves_on, time_of_day
from backmix.data.reading.columns import RawColumn, RawTable, Times
from backmix.data.reading.meaning import names_of
from backmix.data.reading.reading import ReadPlan, TagPlan
from backmix.data.table import missing_column
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE = 100_000
_TIME_NAMES = (
    r"(?:sample |sampling |local |utc |unix |epoch )?(?:date ?time|time ?stamps?|time|date|epoch|ts|t|unix(?: ?time)?)"
    r"(?: ?(?:utc|local))?|zeit(?:stempel|punkt)?|datum|fecha|hora|horodatage|heure|"
    r"日期|時間|時刻|日期時間|時間戳記?|取樣時間|时间|日期时间"
)
_ELAPSED_NAMES = r"elapsed(?: time)?|relative time|time elapsed|經過時間|累計時間"
PARTS: Mapping[str, str] = {
    "year": r"year|yyyy|yr|jahr|ann[eé]e|a[nñ]o|年|年份|西元年?|民國年?",
    "month": r"month|mon|mm|mo|monat|mois|mes|月|月份",
    "day": r"day|dd|dy|tag|jour|d[ií]a|日|day of month",
    "day_of_year": r"doy|day of year|julian day|yday",
    "hour": r"hour|hours|hh|hr|stunde|heure|hora|時|小時|點|he|hb|hour ?(?:no|nr|number)"
    r"|(?:hour|hr) ?(?:ending|ended|end|beginning|begin|start|of day)",
    "minute": r"minutes?|min|mi|minuto|分|分鐘",
    "second": r"seconds?|sec|ss|s|sekunde|seconde|segundo|秒",
}
"""Part of a date -> what its column may be called."""


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
        found = _look(raw, plan)
        if found is None:
            return _elapsed(raw, plan)
        names, evidence = found.names, (found.evidence,)
        form = form if form is not None else found.form
        notes = (Note("converted", "read.reason_time_found", raw.rows, tag=names[0]),) if len(names) == 1 else ()
    raw = replace(raw, notes=(*raw.notes, *notes), evidence=(*raw.evidence, *evidence))
    if len(names) == 1:
        return raw, plan.model_copy(update={"time": names[0], "time_form": form})
    return _together(raw, plan, names, form)


def looks_like_clock(column: RawColumn) -> bool:
    """Whether a column beside the clock is itself one: dates, times of day, or numbers that grow like a time."""
    if column.times is not None:
        return True
    if column.texts is not None:
        return column.numbers is None and (looks_like_dates(column.texts) or looks_like_hours(column.texts))
    return _numbers_like_times(column)


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
    said = {"date": names[0], "hours": ", ".join(names[1:])}
    return ClockColumns(names, None, Evidence("time", names, "clock.two_columns", said))


def _free(raw: RawTable, plan: ReadPlan) -> list[RawColumn]:
    """The columns that the plan has no other use for."""
    named = {tag.name for tag in plan.tags} | {plan.batch} | set(plan.status or ())
    if plan.lab is not None and plan.lab.file is None:
        named |= {*plan.lab.named, *plan.lab.reports}
    return [column for column in raw.columns if column.name not in named]


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
        and _called(column.name, _TIME_NAMES)
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
        "hour": (0, 24),
        "minute": (0, 59),
        "second": (0, 60),
    }
    found: dict[str, str] = {}
    for part in wanted:
        low, high = reach[part]
        for column in columns:
            if column.numbers is None or column.texts is not None or not _called(column.name, PARTS[part]):
                continue
            known = column.numbers[~np.isnan(column.numbers)]
            whole = part == "second" or bool((known == np.floor(known)).all())
            if len(known) and whole and known.min() >= low and known.max() <= high and part not in found:
                found[part] = column.name
    return found


def _of_parts(free: list[RawColumn]) -> ClockColumns | None:
    parts = _parts(free, tuple(PARTS))
    days = ("month", "day") if {"month", "day"} <= set(parts) else ("day_of_year",)
    if not {"year", *days} <= set(parts):
        return None
    order = ["year", *days]
    for part in ("hour", "minute", "second"):
        if part not in parts:
            break
        order.append(part)
    names = tuple(parts[part] for part in order)
    return ClockColumns(names, "parts", Evidence("time", names, "clock.parts", {"columns": ", ".join(names)}))


def _of_numbers(free: list[RawColumn], raw: RawTable) -> ClockColumns | None:
    found = [column for column in free if _numbers_like_times(column)]
    if not found:
        return None
    if len(found) > 1:
        called = [column for column in found if _called(column.name, _TIME_NAMES)]
        if len(called) != 1:
            raise _which([(column.name,) for column in found], raw, None)
        found = called
    date = found[0]
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


def _numbers_like_times(column: RawColumn) -> bool:
    """Whether numbers are times by what they are and how they move, and by their name where that leaves a doubt."""
    if column.numbers is None or column.texts is not None:
        return False
    numbers = column.numbers[:_SAMPLE]
    numbers = numbers[~np.isnan(numbers)]
    forms = forms_of(numbers)
    named = _called(column.name, _TIME_NAMES)
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
    first = {name: _first(columns[name], raw) for names in clocks for name in names}
    readings = tuple(
        Interpretation(names if len(names) > 1 else names[0], " ".join(first[name] for name in names))
        for names in clocks
    )
    question = LayoutQuestion("time", readings, row=tuple(first.values()), where=f"{raw.where}:{raw.number(0)}")
    named = ", ".join(" + ".join(names) for names in clocks)
    return OpenQuestion("read.which_time", question=question, where=raw.where, names=named)


def _first(column: RawColumn, raw: RawTable) -> str:
    words = names_of(column, raw.rows)
    return next((str(word) for word in words[:100].to_pylist() if word is not None), "")


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
        if _called(bare, f"{_TIME_NAMES}|{_ELAPSED_NAMES}") and len(known) > 1 and known[0] >= 0 and moves_on(known):
            note = Note("converted", "clock.reason_elapsed", raw.rows, tag=column.name, example=f"{known[1]:.6g}")
            tags = plan.tags if plan.batch is not None else (*plan.tags, TagPlan(name=column.name, role="ignored"))
            return replace(raw, notes=(*raw.notes, note)), plan.model_copy(update={"tags": tags})
    return raw, plan


def _together(raw: RawTable, plan: ReadPlan, names: tuple[str, ...], form: str | None) -> tuple[RawTable, ReadPlan]:
    """The columns of a clock as one column of times, where the first of them stood."""
    columns = {column.name: column for column in raw.columns}
    parts = [columns[name] for name in names]
    if form == "parts" or (form is None and len(names) > 2 and not any(map(_is_day, parts))):
        dates = Dates(_from_parts(raw, parts), aware=False)
    elif (date := next((column for column in parts if _is_day(column)), None)) is not None:
        dates = _with_hours(raw, plan, date, [column for column in parts if column is not date], form)
    else:
        dates = _side_by_side(raw, plan, parts)
    clock = RawColumn(" ".join(names), times=dates.times, aware=dates.aware)
    kept = [clock if column.name == names[0] else column for column in raw.columns]
    kept = [column for column in kept if column.name not in names[1:]]
    note = Note("converted", "clock.reason_together", raw.rows, tag=clock.name)
    made = replace(
        raw, columns=tuple(kept), notes=(*raw.notes, note, *dates.notes), evidence=(*raw.evidence, *dates.evidence)
    )
    return made, plan.model_copy(update={"time": clock.name, "time_form": None})


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
    found = time_of_day(cells[0])
    known = np.isfinite(cells[0])
    if found is None:
        row = int(np.argmax(known & ~((cells[0] >= 0) & (cells[0] <= 24)))) if known.any() else 0
        raise InputError("clock.no_hour", where=raw.at(row, hours[0].name), text=f"{cells[0][row]:g}")
    spent_of_day, kind = found
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
    said = {"column": column.name, "low": low, "high": high}
    if low >= 1 and (high == 24 or re.search(r"(?i)end|\bhe\b", column.name)):
        return (Evidence("time_form", "hour_ending", "clock.hour_ending", said),)
    if low == 0 or re.search(r"(?i)begin|start|\bhb\b", column.name):
        return (Evidence("time_form", "hour_beginning", "clock.hour_beginning", said),)
    if form is not None:
        return ()
    row = int(np.flatnonzero(np.isfinite(hours))[0])
    cells = (_first(date, raw), f"{hours[row]:g}")
    readings = (
        Interpretation("hour_ending", f"{hours[row] - 1:g}:00 – {hours[row]:g}:00"),
        Interpretation("hour_beginning", f"{hours[row]:g}:00 – {hours[row] + 1:g}:00"),
    )
    question = LayoutQuestion("time_form", readings, row=cells, where=raw.at(row, column.name))
    raise OpenQuestion("clock.which_hour", question=question, where=raw.at(row, column.name), column=column.name)


def _from_parts(raw: RawTable, columns: list[RawColumn]) -> Times:
    """Times from year, month, day (or the day of the year), hour, minute and second."""
    named = {part: column for column in columns for part, names in PARTS.items() if _called(column.name, names)}
    if len(named) != len(columns) or "year" not in named:
        named = dict(zip(("year", "month", "day", "hour", "minute", "second"), columns, strict=False))
    cells = {part: numbers_of(column, raw) for part, column in named.items()}
    gone = np.isnan(list(cells.values())).any(axis=0)
    part = {name: np.where(gone, 1, numbers) for name, numbers in cells.items()}
    year = part["year"]
    year = np.where((year >= 60) & (year < 200), year + 1911, year)  # of the Republic of China
    month, day = part.get("month", np.ones(raw.rows)), part.get("day", np.ones(raw.rows))
    day_of_year = part.get("day_of_year", np.ones(raw.rows))
    hour, minute, second = (part.get(name, np.zeros(raw.rows)) for name in ("hour", "minute", "second"))
    hour, minute, second = (np.where(gone, 0, numbers) for numbers in (hour, minute, second))
    wrong = (year < 1700) | (year > 2260) | (month < 1) | (month > 12) | (day < 1) | (day > 31)
    wrong |= (day_of_year < 1) | (day_of_year > 366)
    wrong |= (hour < 0) | (hour > 24) | (minute < 0) | (minute > 59) | (second < 0) | (second >= 61)
    wrong |= sum(numbers != np.floor(numbers) for numbers in (year, month, day, day_of_year, hour, minute)) > 0
    wrong &= ~gone
    months = (np.where(wrong | gone, 0, year * 12 + month - 1 - 1970 * 12)).astype(np.int64).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day + day_of_year - 2).astype(np.int64).astype("timedelta64[D]")
    wrong |= ~gone & ("day_of_year" not in part) & (days.astype("datetime64[M]") != months)
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


def _called(name: str, pattern: str) -> bool:
    plain = re.sub(r"[\s_\-.]+", " ", name).strip()
    return re.fullmatch(pattern, plain, re.IGNORECASE) is not None
