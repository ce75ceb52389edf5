"""Words in dates: months and zones.

This module knows the names of the months in five languages and what the abbreviations of time zones mean. One with
several meanings (CST is Taipei's clock and Chicago's) has none of its own: the zone of the plan decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

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
