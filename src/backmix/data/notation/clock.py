"""From the clock on the wall to UTC.

This module turns local times into UTC. Where daylight saving makes an hour happen twice the order
of the rows decides; where nothing decides, or no zone is named although the clock plainly jumps,
it is an error that asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.reading.columns import Times
from backmix.errors import InputError

Place = Callable[[int], str]
_HOUR = 3_600_000_000_000
_WATCHED = (
    "Europe/Berlin",
    "Europe/London",
    "Europe/Athens",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Santiago",
    "America/Asuncion",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Africa/Cairo",
    "Asia/Jerusalem",
    "Asia/Taipei",
    "Asia/Tehran",
)
"""Zones whose springs and autumns tell a clock with daylight saving from a gap of an hour."""
_LOOKS = 200
_FITS = 0.1
"""Steps by which the gaps beside an hour that happened twice may differ from one step."""


def zone(name: str) -> tzinfo:
    """The zone called ``name``: of the IANA data base, or a fixed offset such as ``+08:00``.

    Raises ValueError that names the nearest zone.

    >>> str(zone("+08:00"))
    'UTC+08:00'
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    if match := re.fullmatch(r"([+-])(\d{2}):?(\d{2})", name):
        minutes = int(match[2]) * 60 + int(match[3])
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=minutes if match[1] == "+" else -minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = get_close_matches(name, available_timezones(), n=1, cutoff=0.0)
        raise ValueError(near[0] if near else "UTC") from None


def on_wall(times: Any, name: str | None) -> Any:
    """UTC times as the clock of zone ``name`` shows them; one time or many. None leaves them as they are.

    >>> str(on_wall(np.datetime64("2024-05-02T00:00", "ns"), "Asia/Taipei"))[:16]
    '2024-05-02T08:00'
    """
    if name is None:
        return times
    import pandas as pd

    many = np.atleast_1d(np.asarray(times)).astype("datetime64[ns]")
    wall = pd.DatetimeIndex(many, tz="UTC").tz_convert(zone(name)).tz_localize(None).as_unit("ns").to_numpy()
    return wall if np.ndim(times) else wall[0]


def shown(time: Any, name: str | None) -> str:
    """A UTC time in words, on the clock of zone ``name``: 2024-05-02 08:00:00, with milliseconds where it has some.

    >>> shown(np.datetime64("2024-05-02T00:00", "ns"), "+08:00")
    '2024-05-02 08:00:00'
    """
    return str(on_wall(time, name).astype("datetime64[ms]")).replace("T", " ").removesuffix(".000")


def iso(time: Any, name: str | None) -> str:
    """A UTC time with the offset of zone ``name``, or with Z: 2024-05-02T08:00:00+08:00.

    >>> iso(np.datetime64("2024-05-02T00:00", "ns"), "Asia/Taipei"), iso(np.datetime64("2024-05-02T00:00", "ns"), None)
    ('2024-05-02T08:00:00+08:00', '2024-05-02T00:00:00Z')
    """
    wall = on_wall(time, name)
    text = shown(wall, None).replace(" ", "T")
    if name is None:
        return text + "Z"
    minutes = int((wall - np.datetime64(time, "ns")) / np.timedelta64(1, "m"))
    return f"{text}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def to_utc(wall: Times, name: str, *, groups: NDArray[np.int32] | None, at: Place) -> Times:
    """Local times of zone ``name`` as UTC, (N,); ``groups`` numbers the sequences (batches) of rows.

    Raises InputError: read.clock_hole for a time that was skipped, read.clock_fold_unclear for one
    that happened twice when the neighbouring rows do not tell which.
    """
    import pandas as pd

    index, place = pd.DatetimeIndex(wall), zone(name)
    first = index.tz_localize(place, ambiguous=np.ones(len(index), bool), nonexistent="NaT")
    hole = np.isnat(_plain(first)) & ~np.isnat(wall)
    if hole.any():
        row = int(np.argmax(hole))
        raise InputError("read.clock_hole", where=at(row), time=_shown(wall[row]), zone=name)
    early = _plain(first)
    late = _plain(index.tz_localize(place, ambiguous=np.zeros(len(index), bool), nonexistent="NaT"))
    twice = np.isnat(_plain(index.tz_localize(place, ambiguous="NaT", nonexistent="NaT"))) & ~np.isnat(wall)
    if not twice.any():
        return early
    return np.where(_second_time(wall, early, late, twice, groups, name, at), late, early)


def _second_time(
    wall: Times,
    early: Times,
    late: Times,
    twice: NDArray[np.bool_],
    groups: NDArray[np.int32] | None,
    name: str,
    at: Place,
) -> NDArray[np.bool_]:
    """Which of the rows whose time happened twice belong to the second time."""
    starts = _runs(wall, groups, twice)
    if len(starts) < len(wall):  # a clock that is cut to the hour shows every time several times
        grouped = None if groups is None else groups[starts]
        where: Place = lambda run: at(int(starts[run]))  # noqa: E731
        later = _second_time(wall[starts], early[starts], late[starts], twice[starts], grouped, name, where)
        return np.repeat(later, np.diff(np.append(starts, len(wall))))
    second = np.zeros(len(wall), bool)
    step = np.diff(wall.view("int64"))
    typical = np.median(step[step > 0]) if (step > 0).any() else _HOUR
    edges = np.flatnonzero(np.diff(np.concatenate([[False], twice, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        cuts = [start, *(start + 1 + np.flatnonzero(_breaks(wall[start:stop], groups, start, stop))), stop]
        for a, b in pairwise(cuts):
            # times that do not grow tell where the second time begins
            turns = np.flatnonzero(np.diff(wall[a:b].view("int64")) <= 0)
            certain = len(turns) == 1
            first_ends = a + turns[0] + 1 if certain else b
            if not certain:
                first, last = (_misfit(times, a, b, typical, groups) for times in (early, late))
                if len(turns) or first is None or last is None or min(first, last) > _FITS or first == last:
                    raise InputError("read.clock_fold_unclear", where=at(int(a)), time=_shown(wall[a]), zone=name)
                first_ends = b if first < last else a
            second[first_ends:b] = True
    return second


def _runs(wall: Times, groups: NDArray[np.int32] | None, twice: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Where another time begins, in a clock that usually shows each time several times; else every row.

    A run of ``twice`` the rows in an hour that happened twice begins twice.
    """
    ticks = wall.view("int64")
    change = ticks[1:] != ticks[:-1]
    if groups is not None:
        change |= np.diff(groups) != 0
    if change.all():
        return np.arange(len(wall))
    starts = np.concatenate([[0], np.flatnonzero(change) + 1]).astype(np.intp)
    lengths = np.diff(np.append(starts, len(wall)))
    usual = float(np.median(lengths))
    if usual < 2:
        return np.arange(len(wall))
    if twice is not None:
        double = twice[starts] & (lengths >= 1.5 * usual)
        starts = np.sort(np.concatenate([starts, starts[double] + lengths[double] // 2]))
    return starts


def _misfit(times: Times, a: int, b: int, typical: float, groups: NDArray[np.int32] | None) -> float | None:
    """How far, in steps, the gaps beside rows a to b are from one step; None without neighbours."""
    gaps = []
    if a > 0 and _same(groups, a - 1, a):
        gaps.append(times[a] - times[a - 1])
    if b < len(times) and _same(groups, b - 1, b):
        gaps.append(times[b] - times[b - 1])
    return float(sum(abs(int(gap.astype("int64")) - typical) for gap in gaps) / typical) if gaps else None


def _breaks(wall: Times, groups: NDArray[np.int32] | None, start: int, stop: int) -> NDArray[np.bool_]:
    """Where another night, or another batch, begins inside a stretch of rows."""
    other = np.abs(np.diff(wall.view("int64"))) > 12 * _HOUR
    return other if groups is None else other | (np.diff(groups[start:stop]) != 0)


def _same(groups: NDArray[np.int32] | None, a: int, b: int) -> bool:
    return groups is None or bool(groups[a] == groups[b])


def check_unzoned(wall: Times, *, groups: NDArray[np.int32] | None, at: Place) -> None:
    """Refuse times without a zone that show daylight saving (read.clock_fold, read.clock_gap).

    Back by an hour less one step is a fold in any zone; ahead by an hour and one step is a hole
    when some zone of the world really skipped that hour.
    """
    if not len(wall):
        return None
    starts = _runs(wall, groups)
    if len(starts) < len(wall):
        return _check_runs(wall, starts, groups, at)
    del starts  # a clock of many millions of rows: each such array counts
    step = np.diff(wall.view("int64"))
    inside = np.ones(len(step), bool) if groups is None else np.diff(groups) == 0
    forward = step[inside & (step > 0)]
    if not len(forward):
        return None
    typical = int(np.median(forward, overwrite_input=True))
    if typical > _HOUR:
        return None
    back = inside & (step < 0)
    if back.any() and (step[back] == typical - _HOUR).all():
        row = int(np.argmax(back)) + 1
        raise InputError("read.clock_fold", where=at(row), time=_shown(wall[row]))
    if typical == _HOUR:
        for row in np.flatnonzero(inside & (step == 0))[:_LOOKS] + 1:
            if _jumps(wall[row], "fold"):
                raise InputError("read.clock_fold", where=at(int(row)), time=_shown(wall[row]))
    for row in np.flatnonzero(inside & (step == typical + _HOUR))[:_LOOKS] + 1:
        if _jumps(wall[row - 1] + np.timedelta64(typical, "ns"), "hole"):
            raise InputError("read.clock_gap", where=at(int(row)), time=_shown(wall[row]))
    return None


def _check_runs(wall: Times, starts: NDArray[np.intp], groups: NDArray[np.int32] | None, at: Place) -> None:
    """The same for a clock that shows each time several times; ``starts``: where another time begins."""
    lengths = np.diff(np.append(starts, len(wall)))
    for run in np.flatnonzero(lengths >= 1.5 * np.median(lengths))[:_LOOKS]:
        if np.median(np.diff(wall[starts].view("int64"))) == _HOUR and _jumps(wall[starts[run]], "fold"):
            row = int(starts[run])
            raise InputError("read.clock_fold", where=at(row), time=_shown(wall[row]))
    where: Place = lambda run: at(int(starts[run]))  # noqa: E731
    return check_unzoned(wall[starts], groups=None if groups is None else groups[starts], at=where)


def _jumps(wall: Any, kind: str) -> bool:
    """Whether some watched zone skips (hole) or repeats (fold) this time."""
    moment = datetime.fromisoformat(str(wall.astype("datetime64[us]")))
    for name in _WATCHED:
        place = zone(name)
        first, second = moment.replace(tzinfo=place, fold=0), moment.replace(tzinfo=place, fold=1)
        if first.utcoffset() == second.utcoffset():
            continue
        exists = first.astimezone(UTC).astimezone(place).replace(tzinfo=None) == moment
        if exists == (kind == "fold"):
            return True
    return False


def _plain(index: Any) -> Times:
    """An aware pandas index as UTC datetime64[ns]."""
    times: Times = index.tz_convert("UTC").tz_localize(None).as_unit("ns").to_numpy()
    return times


def _shown(time: Any) -> str:
    return str(time.astype("datetime64[s]")).replace("T", " ")
