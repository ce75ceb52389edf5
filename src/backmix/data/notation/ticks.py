"""Times written as numbers.

This module reads days of a spreadsheet, seconds since 1970 and time since a start, and says which of these a column
of numbers can be: each reading must put every number between 1980 and 2100.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.reading.columns import Times

Floats = NDArray[np.float64]

EPOCHS = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000, "epoch_ns": 1_000_000_000}
"""Ticks in a second."""
SERIALS = {"excel_1900": np.datetime64("1899-12-30", "ns"), "excel_1904": np.datetime64("1904-01-01", "ns")}
ELAPSED = {"elapsed_s": 1, "elapsed_min": 60, "elapsed_h": 3_600, "elapsed_d": 86_400}
"""Seconds in a unit."""
_FROM, _TO = 315_532_800, 4_133_980_800  # 1980 to 2100, in seconds since 1970
_SERIAL = (20_000, 60_000)
COMPACT_WIDTHS = (7, 8, 12, 14)
"""Digits of 1130502, 20240502, 202405021030 and 20240502103000."""
_EVEN = 0.5
_LEAST_STEPS = 3
_DAY = 86_400_000_000_000


def forms_of(numbers: Floats) -> tuple[str, ...]:
    """The forms under which every number is a time between 1980 and 2100.

    >>> forms_of(np.array([1710288000.0])), forms_of(np.array([45364.5])), forms_of(np.array([20240313.0]))
    (('epoch_s',), ('excel_1900', 'excel_1904'), ('date',))
    """
    if not len(numbers) or not np.isfinite(numbers).all():
        return ()
    forms = ["date"] if _compact(numbers) else []
    forms += [
        form
        for form, ticks in EPOCHS.items()
        if numbers.min() >= _FROM * float(ticks) and numbers.max() < _TO * float(ticks)
    ]
    if numbers.min() >= _SERIAL[0] and numbers.max() <= _SERIAL[1]:
        forms += SERIALS
    return tuple(forms)


def _compact(numbers: Floats) -> bool:
    """Whether all are days (and hours …) of the calendar, written in digits alone."""
    if (numbers != np.floor(numbers)).any() or numbers.min() < 1e6 or numbers.max() >= 1e14:
        return False
    width = np.floor(np.log10(numbers)).astype(int) + 1
    if not np.isin(width, (*COMPACT_WIDTHS, 10)).all():
        return False
    digits = np.where(width == 7, numbers * 10_000_000, numbers * 10.0 ** (14 - width)).astype(np.int64)
    year, month, day = digits // 10**10, digits // 10**8 % 100, digits // 10**6 % 100
    hour, minute, second = digits // 10_000 % 100, digits // 100 % 100, digits % 100
    year = np.where(width == 7, year + 1911, year)
    good = (year >= 1900) & (year < 2101) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return bool((good & (hour <= 24) & (minute < 60) & (second < 60)).all())


def moves_on(numbers: Floats) -> bool:
    """Whether the numbers go up, or stay, from row to row, a batch that begins anew aside."""
    steps = np.diff(numbers)
    return len(steps) > 0 and bool((steps >= 0).mean() >= 0.9) and bool((steps > 0).any())


def moves_evenly(numbers: Floats) -> bool:
    """Whether most steps from row to row are the same, and upward."""
    steps = np.diff(numbers)
    forward = steps[steps > 0]
    if not moves_on(numbers) or not len(forward):
        return False
    usual = float(np.median(forward))
    return bool((np.abs(steps - usual) <= 0.1 * usual).mean() >= _EVEN)


def counts_rows(numbers: Floats) -> bool:
    """Whether the numbers only count: whole, each one more than the one before."""
    return bool((numbers == np.floor(numbers)).all()) and bool((np.diff(numbers) == 1).mean() >= 0.9)


def even_steps(times: Times) -> bool:
    """Whether times (N,) go one way by steps that are mostly one: so long, or so many months; also from day to day.

    Equal times, and NaT, count for nothing.

    >>> hours = np.arange("2024-03-01", "2024-03-04", dtype="datetime64[h]").astype("datetime64[ns]")
    >>> swapped = hours + np.repeat(np.array([0, 30, 58]), 24).astype("timedelta64[D]")
    >>> even_steps(hours), even_steps(swapped), even_steps(hours[:2])
    (True, False, False)
    """
    times = times[~np.isnat(times)].astype("datetime64[ns]")
    steps = np.diff(times.view(np.int64))
    moved = steps != 0
    steps, before, after = steps[moved], times[:-1][moved], times[1:][moved]
    if len(steps) < _LEAST_STEPS or not (np.all(steps > 0) or np.all(steps < 0)):
        return False
    months: NDArray[np.int64] = np.append(before, after[-1:]).astype("datetime64[M]").view(np.int64)
    within = before - before.astype("datetime64[M]"), after - after.astype("datetime64[M]")
    if np.all(within[0] == within[1]):
        return _mostly(np.diff(months), np.ones(len(steps), bool))
    return _mostly(steps, before.astype("datetime64[D]") != after.astype("datetime64[D]"))


def _mostly(steps: NDArray[np.int64], where: NDArray[np.bool_]) -> bool:
    """Whether most steps are the same, those at some places, too."""
    lengths, counts = np.unique(steps, return_counts=True)
    usual = steps == lengths[np.argmax(counts)]
    return bool(where.any()) and bool(usual.mean() > _EVEN) and bool(usual[where].mean() > _EVEN)


def read_ticks(numbers: Floats, form: str) -> Times:
    """The times that numbers mean under a form, (N,), NaT for NaN.

    >>> str(read_ticks(np.array([45364.00069444]), "excel_1900")[0])
    '2024-03-13T00:01:00.000000000'
    """
    known = np.isfinite(numbers)
    filled = np.where(known, numbers, 0.0)
    if form in EPOCHS:
        ticks = EPOCHS[form]
        whole = np.floor(filled)
        # a float holds nanoseconds since 1970 to about 100 of them, so that what is finer is noise
        nanoseconds = (
            np.round(filled / 1000).astype(np.int64) * 1000
            if form == "epoch_ns"
            else whole.astype(np.int64) * (1_000_000_000 // ticks)
            + np.round((filled - whole) * (1e6 / ticks)).astype(np.int64) * 1000
        )
        times = nanoseconds.astype("datetime64[ns]")
    elif form in SERIALS:
        times = SERIALS[form] + read_days(filled)
    else:
        times = np.datetime64(0, "ns") + read_days(filled * ELAPSED[form] / 86_400, digits=_digits(filled))
    return np.where(known, times, np.datetime64("NaT", "ns"))


def read_days(days: Floats, digits: int | None = None) -> NDArray[np.timedelta64]:
    """Days as time, on whole hours, minutes or seconds where the written digits allow no finer grid."""
    half = 0.5 * 10.0 ** -(_digits(days) if digits is None else digits) * 86_400 + 1e-6
    whole = np.floor(days)
    seconds = (days - whole) * 86_400
    for unit in (3_600.0, 60.0, 1.0) if digits is None else ():
        on_grid = np.round(seconds / unit) * unit
        if 4 * half <= unit and (np.abs(on_grid - seconds) <= half).all():
            seconds = on_grid
            break
    nanoseconds = np.round(seconds * 1_000).astype(np.int64) * 1_000_000
    return (whole.astype(np.int64) * _DAY + nanoseconds).astype("timedelta64[ns]")


def _digits(numbers: Floats) -> int:
    """How many digits stand behind the mark, at most 10."""
    for digits in range(11):
        if (np.abs(np.round(numbers, digits) - numbers) <= 1e-11 * np.maximum(1.0, np.abs(numbers))).all():
            return digits
    return 10


def time_of_day(numbers: Floats) -> tuple[NDArray[np.timedelta64], str] | None:
    """Numbers as times of day and what they are: "days", "hours", "hhmm" or "hhmmss"; None when they are none.

    >>> [time_of_day(np.array(cells))[1] for cells in ([830.0, 2355.0], [0.5], [7.0, 24.0])]
    ['hhmm', 'days', 'hours']
    """
    known = numbers[np.isfinite(numbers)]
    if not len(known) or known.min() < 0:
        return None
    filled = np.where(np.isfinite(numbers), numbers, 0.0)
    whole = bool((known == np.floor(known)).all())
    if not whole and known.max() <= 1:
        return read_days(filled), "days"
    if known.max() <= 24:
        return read_days(filled / 24, digits=8), "hours"
    if not whole:
        return None
    for kind, parts in (("hhmm", (filled * 100)), ("hhmmss", filled)):
        digits = parts.astype(np.int64)
        hour, minute, second = digits // 10_000, digits // 100 % 100, digits % 100
        if ((hour <= 24) & (minute < 60) & (second < 60)).all():
            return _seconds(hour * 3600 + minute * 60 + second), kind
    return None


def _seconds(seconds: Any) -> NDArray[np.timedelta64]:
    times: NDArray[np.timedelta64] = (np.asarray(seconds).astype(np.int64) * 1_000_000_000).astype("timedelta64[ns]")
    return times
