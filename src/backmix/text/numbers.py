"""Where an axis is marked, and how numbers and long names are written.

This module chooses round values for axes, on plain numbers, logarithms and the calendar, and
writes numbers and names the way a person reads them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

Tick = tuple[float, str]

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
_CLOCK = (
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
)


def brief(words: object, most: int = 60) -> str:
    """A name cut in the middle to a number of letters, for places that have no width.

    >>> brief("x" * 100, 11)
    'xxxxx…xxxxx'
    """
    shown = str(words)
    return shown if len(shown) <= most else f"{shown[: most // 2]}…{shown[len(shown) - most // 2 :]}"


def number(value: float | None, digits: int = 3) -> str:
    """A number with its significant digits, thousands apart; an en dash when there is none.

    >>> number(0.012345), number(1234567), number(-3.0), number(float("nan")), number(1.5e-7)
    ('0.0123', '1,234,567', '−3', '–', '1.5×10⁻⁷')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -4 or size > 9:
        base = f"{value / 10.0**size:.{digits - 1}f}".rstrip("0").rstrip(".")
        if base.lstrip("-") == "10":
            base, size = base.replace("10", "1"), size + 1
        power = str(size).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{base}×10{power}".replace("-", "−")
    shown = f"{value:,.{max(0, digits - 1 - size)}f}"
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return shown.replace("-", "−")


def numbers(values: Sequence[float | None], digits: int = 3) -> list[str]:
    """Numbers of one column with the same count of decimals, so that they can be compared by eye.

    >>> numbers([0.1, 0.0832, 12.3])
    ['0.100', '0.083', '12.300']
    """
    finite = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0]
    if not finite or max(finite) >= 1e9 or max(finite) < 1e-4:
        return [number(v, digits) for v in values]
    middle = sorted(finite)[len(finite) // 2]
    places = max(0, min(8, digits - 1 - math.floor(math.log10(max(middle, max(finite) / 100)))))
    return ["–" if v is None or not math.isfinite(v) else f"{v:,.{places}f}".replace("-", "−") for v in values]


def round_ticks(low: float, high: float, most: int = 6) -> list[Tick]:
    """Round numbers inside a range, at most about ``most`` and at least three.

    >>> [label for _, label in round_ticks(0.0, 1.0)]
    ['0', '0.2', '0.4', '0.6', '0.8', '1.0']
    """
    for wanted in (most, 3 * most // 2, 2 * most, 3 * most, 4 * most):
        raw = (high - low) / max(wanted - 1, 1)
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw * (1 - 1e-9))
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        values = [n * step for n in range(first, last + 1)]
        if len(values) >= 3:
            break
    largest = max((abs(v) for v in values), default=0.0)
    if largest >= 1e7 or largest < 1e-4:
        return [(v, number(v, 4)) for v in values]
    places = max(0, -math.floor(math.log10(step) + 1e-9), 1 if step < 10 and round(step % 1, 9) else 0)
    places += 1 if math.isclose(step / power, 2.5) and step < 1 else 0
    return [(v, "0" if v == 0 else f"{v:,.{places}f}".replace("-", "−")) for v in values]


def log_ticks(low: float, high: float) -> list[Tick]:
    """Ticks at powers of ten (and 2 and 5 times them on short axes) for an axis in log10."""
    factors = (1.0,) if high - low > 2.5 else (1.0, 2.0, 5.0)
    ticks = [
        (math.log10(f) + p, number(f * 10.0**p))
        for p in range(math.floor(low), math.ceil(high) + 1)
        for f in factors
        if low - 1e-9 <= math.log10(f) + p <= high + 1e-9
    ]
    return ticks or [(low, number(10**low)), (high, number(10**high))]


def time_ticks(low: float, high: float, most: int = 6, zone: tzinfo | None = None) -> list[Tick]:
    """Calendar marks between two moments in seconds since 1970 UTC, round on the clock of ``zone`` (None: UTC)."""
    if zone is not None:
        marks = time_ticks(low + _ahead(low, zone), high + _ahead(high, zone), most)
        in_utc = [(wall - _ahead(wall - _ahead(low, zone), zone), label) for wall, label in marks]
        return [(place, label) for place, label in in_utc if low <= place <= high]
    wanted = (high - low) / max(most, 1)
    step = next((s for s in _CLOCK if s >= wanted), None)
    if step is not None:
        first = math.ceil(low / step)
        places = [n * step for n in range(first, math.floor(high / step) + 1)]
    else:
        months = next((m for m in (1, 2, 3, 6, 12, 24, 60, 120) if m * 30.4 * DAY >= wanted), 600)
        start, end = (int(np.datetime64(int(v), "s").astype("datetime64[M]").astype(int)) for v in (low, high))
        whole = [m for m in range(start, end + 1) if m % months == 0]
        places = [float(np.datetime64(m, "M").astype("datetime64[s]").astype(int)) for m in whole]
        places = [v for v in places if low <= v <= high]
        step = months * 30.4 * DAY
    return [(v, _moment(v, step)) for v in places]


def _ahead(seconds: float, zone: tzinfo) -> float:
    """Seconds by which the clock of a zone is ahead of UTC at a moment."""
    offset = datetime.fromtimestamp(seconds, UTC).astimezone(zone).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def _moment(seconds: float, step: float) -> str:
    stamp = str(np.datetime64(int(seconds), "s"))  # 2024-05-02T14:00:00
    if step >= 28 * DAY:
        return stamp[:7]
    if step >= DAY:
        return stamp[:10]
    clock = stamp[11:19] if step < MINUTE else stamp[11:16]
    return f"{stamp[5:10]} {clock}" if step >= HOUR else clock


def spread(*values: NDArray[np.float64], room: float = 0.05, floor: float | None = None) -> tuple[float, float]:
    """The range of all finite values with some room; never empty. ``floor`` joins the range.

    >>> spread(np.array([2.0, np.nan, 2.0]))
    (1.9, 2.1)
    """
    finite = [v[np.isfinite(v)] for v in values]
    ends = [(float(v.min()), float(v.max())) for v in finite if len(v)]
    if floor is not None:
        ends.append((floor, floor))
    if not ends:
        return 0.0, 1.0
    low, high = min(a for a, _ in ends), max(b for _, b in ends)
    if high - low <= 1e-9 * max(abs(high), abs(low)):
        pad = 0.05 * abs(high) or 1.0
        return low - pad, high + pad
    pad = room * (high - low)
    return (low if floor == low else low - pad), (high if floor == high else high + pad)
