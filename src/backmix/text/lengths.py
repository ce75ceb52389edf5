"""Lengths of time as a person says them.

This module writes seconds, and rows with the time that they take.
"""

from __future__ import annotations

from backmix.text import say
from backmix.text.numbers import number


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(0.25), duration(75), duration(7260), duration(864000)
    ('0.25 s', '1.25 min', '2.02 h', '10 d')
    """
    for unit, long in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= long:
            return f"{number(seconds / long)} {unit}"
    return f"{number(seconds)} s"


def rows_and_time(count: int, step: float | None) -> str:
    """So many rows, ``step`` seconds apart, and how long that is; None without a clock.

    >>> rows_and_time(15, 120.0), rows_and_time(4, None)
    ('15 rows (30 min)', '4 rows')
    """
    if step is None:
        return say("report.rows", rows=f"{count:,}")
    return say("report.rows_and_time", rows=f"{count:,}", time=duration(count * step))
