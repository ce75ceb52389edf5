"""Words in dates: months, quarters, weeks, halves of a day and zones.

This module knows the names of the months in five languages, reads quarters, months and weeks (1974Q1, 2024-05,
2024-W05) as their first day, and knows what the abbreviations of time zones mean. One with several meanings (CST is
Taipei's clock and Chicago's) has none of its own: the zone of the plan decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.notation.clock import zone

_NAMES = """
january januar jaenner janner janvier enero gennaio
february februar feber fevrier febrero febbraio
march marz maerz mrz mars marzo
april avril abril aprile
may mai mayo maggio
june juni juin junio giugno
july juli juillet julio luglio
august aout agosto
september septembre septiembre settembre
october oktober octobre octubre ottobre
november novembre noviembre
december dezember decembre diciembre dicembre
"""
_MONTHS = [line.split() for line in _NAMES.strip().splitlines()]
_ACCENTED = "février fév févr märz mär août décembre déc jänner jän"
_SHORT = {name[:length] for line in _MONTHS for name in line for length in (3, 4)}
_MONTH = "|".join(sorted({*_SHORT, *(name for line in _MONTHS for name in line), *_ACCENTED.split()}, reverse=True))
_YEAR = r"(?P<y>(?:19|20)\d{2})"
PERIODS = {
    "quarter": rf"^{_YEAR}[-/.: ]?(?:[Qq]|第)(?P<u>[1-4])(?:季度?)?$",
    "quarter_first": rf"^[Qq](?P<u>[1-4])[-/.: ]?{_YEAR}$",
    "quarter_number": rf"^(?P<u>[1-4])[Qq][-/.: ]?{_YEAR}$",
    "week": rf"^{_YEAR}[- ]?[Ww](?P<w>\d{{2}})(?:-?(?P<k>[1-7]))?$",
    "week_number": rf"^{_YEAR}/?第(?P<w>\d{{1,2}})[週周]$",
    "month": rf"^{_YEAR}[-/](?P<m>0[1-9]|1[0-2])/?$",
    "month_number": rf"^{_YEAR}/(?P<m>[1-9])/$",  # 2024年5月 in plain separators
    "month_first": rf"^(?P<m>0[1-9]|1[0-2])[-/]{_YEAR}$",
    "month_and_year": rf"^(?P<n>(?i:{_MONTH}))\.?[-/ ]{{1,2}}{_YEAR}$",
    "month_and_short_year": rf"^(?P<n>(?i:{_MONTH}))-(?P<y>\d{{2}})$",
}
"""Texts that say a quarter, a week or a month, and no day of it."""

HALF_DAYS = "AM|PM|am|pm|Am|Pm|上午|下午|凌晨|早上|晚上|中午"

_HOURS: Mapping[str, float] = {
    **dict.fromkeys(("Z", "UTC", "GMT", "WET"), 0),
    **dict.fromkeys(("WEST", "CET", "MEZ"), 1),
    **dict.fromkeys(("CEST", "MESZ", "EET", "SAST"), 2),
    **dict.fromkeys(("EEST", "MSK"), 3),
    **dict.fromkeys(("SGT", "HKT", "AWST"), 8),
    **dict.fromkeys(("JST", "KST"), 9),
    **{"NPT": 5.75, "WIB": 7, "ACST": 9.5, "ACDT": 10.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13},
    **{"EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8},
    **{"HST": -10, "BRT": -3, "ADT": -3},
}
"""Hours east of UTC of abbreviations that mean one thing in plants around the world."""
AMBIGUOUS: Mapping[str, Mapping[str, int]] = {
    "CST": {"Asia/Taipei": 480, "America/Chicago": -360},
    "IST": {"Asia/Kolkata": 330, "Asia/Jerusalem": 120, "Europe/Dublin": 60},
    "BST": {"Europe/London": 60, "Asia/Dhaka": 360},
    "AST": {"America/Halifax": -240, "Asia/Riyadh": 180},
    "GST": {"Asia/Dubai": 240, "Atlantic/South_Georgia": -120},
}
"""Abbreviations with several meanings -> a zone for each, and its minutes east of UTC."""


@cache
def month_number(name: str) -> int:
    """1 to 12 for the name of a month or its beginning, in English, German, French, Spanish or Italian; else 0.

    >>> month_number("Mar"), month_number("Okt"), month_number("août"), month_number("Foo")
    (3, 10, 8, 0)
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    numbers = {
        number for number, names in enumerate(_MONTHS, 1) if len(plain) >= 3 for full in names if full.startswith(plain)
    }
    return numbers.pop() if len(numbers) == 1 else 0


def first_days(parts: Mapping[str, Sequence[str]]) -> NDArray[np.datetime64]:
    """The first day of each period, (N,): ``parts`` are the named groups of one of `PERIODS`; NaT for a week 54.

    >>> first_days({"y": ["2024"], "w": ["05"], "k": [""]}), first_days({"y": ["1974"], "u": ["3"]})
    (array(['2024-01-29'], dtype='datetime64[D]'), array(['1974-07-01'], dtype='datetime64[D]'))
    """
    year = np.array(parts["y"], np.int64)
    year = np.where(year < 100, century(year), year)
    if "w" in parts:
        day = [int(text or 1) for text in parts.get("k", ["1"] * len(year))]
        monday = first_of_week(year, np.array(parts["w"], np.int64))
        return np.asarray(monday + (np.array(day) - 1).astype("timedelta64[D]"))
    if "u" in parts:
        month = 3 * np.array(parts["u"], np.int64) - 2
    elif "n" in parts:
        known = {name: month_number(name) for name in set(parts["n"])}
        month = np.array([known[name] for name in parts["n"]], np.int64)
    else:
        month = np.array(parts["m"], np.int64)
    days: NDArray[np.datetime64] = (year * 12 + month - 1 - 1970 * 12).astype("datetime64[M]").astype("datetime64[D]")
    return days


def first_of_week(year: NDArray[np.int64], week: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """The Monday of weeks that are numbered by ISO 8601, (N,), where the first one has 4 January; NaT for no week."""
    fourth = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]") + np.timedelta64(3, "D")
    monday = fourth - ((fourth.astype(np.int64) + 3) % 7).astype("timedelta64[D]")
    first = monday + (7 * (week - 1)).astype("timedelta64[D]")
    thursday = first + np.timedelta64(3, "D")  # a week belongs to the year of its Thursday
    known = (week >= 1) & (thursday.astype("datetime64[Y]").astype(np.int64) + 1970 == year)
    return np.where(known, first, np.datetime64("NaT", "D"))


def offset(text: str, place: str | None) -> int | None:
    """Minutes east of UTC for what stands behind a time; ``place`` is the zone of the plan. None: several or none.

    >>> offset("GMT+8", None), offset("CEST", None), offset("CST", None), offset("CST", "Asia/Taipei"), offset("", None)
    (480, 120, None, 480, 0)
    """
    if match := re.fullmatch(r"(?:UTC|GMT|)([+-])(\d{1,2})(?::?(\d{2}))?", text, re.IGNORECASE):
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        return minutes if match[1] == "+" else -minutes
    word = text.upper()
    if not word:
        return 0
    if place is not None and (shift := _of_place(word, place)) is not None:
        return shift
    return round(_HOURS[word] * 60) if word in _HOURS else None


@cache
def _of_place(word: str, place: str) -> int | None:
    """What an abbreviation means in a zone: as the zone itself calls its clock, else as its clock may stand."""
    clock = zone(place)
    moments = [datetime(2024, month, 15, tzinfo=UTC).astimezone(clock) for month in range(1, 13)]
    minutes = {(moment.utcoffset() or timedelta()) // timedelta(minutes=1): moment.tzname() for moment in moments}
    named = [offset for offset, name in minutes.items() if name == word]
    if named:
        return named[0]
    known = set(AMBIGUOUS.get(word, {}).values()) & set(minutes)
    return known.pop() if len(known) == 1 else None


def half_days(hour: NDArray[np.int64], parts: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Hours of 24 from hours of 12, and where that makes no sense."""
    pairs = zip(parts["p"].to_pylist(), parts["q"].to_pylist(), strict=True)
    word = np.array([(before + behind).upper() for before, behind in pairs], dtype=object)
    after = np.isin(word, ("PM", "下午", "晚上", "中午"))
    before = np.isin(word, ("AM", "上午", "凌晨", "早上"))
    wrong = (word != "") & ~after & ~before
    # 下午 13:00 is written too: an hour beyond 12 stands as it is
    wrong |= before & (hour > 12)
    hour = np.where(after & (hour < 12), hour + 12, np.where(before & (hour == 12), 0, hour))
    return hour, wrong


def century(year: Any) -> Any:
    """The year that two digits mean: 1970 to 2069."""
    return year + 2000 - 100 * (year >= 70)


def days_of(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Dates, NaT for a 30 February."""
    months = (year * 12 + month - 1 - 1970 * 12).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    return np.where(days.astype("datetime64[M]") == months, days, np.datetime64("NaT", "D"))
