"""The stretch of rows that is shown.

This module chooses a stretch of the test part without a gap: around a given moment, else where the target
changes most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.notation.clock import shown, zone
from backmix.data.windows.windows import Windows
from backmix.errors import InputError, PlanError

ROWS = 240
"""Rows that are shown by default."""
MOST_ROWS = 5000
LEAST_ROWS = 2


@dataclass(frozen=True)
class Stretch:
    """``count`` consecutive windows from window ``first`` on, one for each row.

    When one window is one whole batch, the stretch is that single window.
    """

    first: int
    count: int

    @property
    def indices(self) -> NDArray[np.int64]:
        """The indices of the windows."""
        return np.arange(self.first, self.first + self.count)


def choose(
    windows: Windows,
    truth: NDArray[np.float64],
    *,
    classes: bool,
    place: str | int | None = None,
    rows: int | None = None,
) -> Stretch:
    """A stretch of windows that lie at every row of one part.

    truth: (W,) the target of each window (a code for classes), NaN where it is not known
    place: a time ("2026-03-01 12:00", in the zone of the table), the name of a batch, or a row of the table counted
        from 1; None takes the place where the target changes most
    rows: how many rows are shown, None for `ROWS`

    Raises PlanError (insight.bad_rows, insight.rows_of_batch, insight.bad_at), InputError
    (insight.no_time, insight.outside).
    """
    if rows is not None and not LEAST_ROWS <= rows <= MOST_ROWS:
        raise PlanError("insight.bad_rows", rows=rows, least=LEAST_ROWS, most=MOST_ROWS)
    if windows.lengths is not None:
        if rows is not None:
            raise PlanError("insight.rows_of_batch", rows=rows)
        window = _unusual(truth) if place is None else locate(windows, place)
        return Stretch(window, 1)
    count = rows or ROWS
    if place is None:
        return _busiest(windows, truth, count, classes=classes)
    window = locate(windows, place)
    starts, ends = runs(windows)
    run = int(np.searchsorted(starts, window, side="right")) - 1
    low, high = int(starts[run]), int(ends[run])
    first = max(low, min(window - count // 2, high - count))
    return Stretch(first, min(count, high - first))


def runs(windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where uninterrupted runs of windows begin, and where they end (behind the last)."""
    cut = np.diff(windows.origins) != 1
    batch, time, gap = windows.table.batch, windows.table.time, windows.spec.max_gap
    if batch is not None:
        cut |= np.diff(batch[windows.origins]) != 0
    if time is not None and gap is not None:
        cut |= np.diff(time[windows.origins].astype(np.int64)) > int(gap * 1e9)
    edges = np.flatnonzero(cut) + 1
    return np.concatenate([[0], edges]), np.concatenate([edges, [len(windows)]])


def locate(windows: Windows, place: str | int) -> int:
    """The index of the window at a time, row or batch."""
    table = windows.table
    text = str(place).strip()
    if table.batch is not None and text in table.batch_names:
        mine = np.flatnonzero(table.batch[windows.origins] == table.batch_names.index(text))
        if not len(mine):
            raise InputError("insight.outside", at=text, first=_name(windows, 0), last=_name(windows, -1))
        return int(mine[len(mine) // 2])
    if text.isdecimal():
        row = int(text) - 1
        inside = int(np.searchsorted(windows.origins, row))
        starts = windows.origins if windows.lengths is None else windows.origins - windows.lengths + 1
        if inside < len(windows) and starts[inside] <= row:
            return inside
        raise InputError("insight.outside", at=text, first=_name(windows, 0), last=_name(windows, -1))
    if table.time is None:
        raise InputError("insight.no_time", at=text)
    return _at_time(windows, table.time, text)


def _at_time(windows: Windows, time: NDArray[np.datetime64], text: str) -> int:
    """The window whose prediction is made at a moment, or next to it within the allowed gap."""
    import pandas as pd

    try:
        stamp = pd.Timestamp(text)
        if stamp.tzinfo is None and windows.table.time_zone is not None:
            stamp = stamp.tz_localize(zone(windows.table.time_zone), ambiguous=True, nonexistent="shift_forward")
        moment = (stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo else stamp).to_datetime64()
    except (ValueError, OverflowError):
        raise PlanError("insight.bad_at", at=text) from None
    if np.isnat(moment):
        raise PlanError("insight.bad_at", at=text)
    moment = moment.astype("datetime64[ns]")
    ends = time[windows.origins]
    if windows.lengths is not None:
        inside = np.flatnonzero((time[windows.origins - windows.lengths + 1] <= moment) & (moment <= ends))
        if len(inside):
            return int(inside[0])
    else:
        away = np.abs((ends - moment).astype(np.int64))
        near = int(away.argmin())
        step = windows.table.step or 0.0
        if away[near] <= max(windows.spec.max_gap or 0.0, step) * 1e9:
            return near
    raise InputError("insight.outside", at=text, first=_name(windows, 0), last=_name(windows, -1))


def _busiest(windows: Windows, truth: NDArray[np.float64], count: int, *, classes: bool) -> Stretch:
    """The stretch in which the target has its largest range, or its most changes of class."""
    best, stretch = -1.0, Stretch(0, 1)
    for low, high in zip(*runs(windows), strict=True):
        size = min(count, int(high - low))
        for first in dict.fromkeys([*range(int(low), int(high) - size + 1, max(1, size // 4)), int(high) - size]):
            moved = _movement(truth[first : first + size], classes)
            # a longer stretch is better than a short one that moves as much
            if moved + 1e-12 * size > best:
                best, stretch = moved + 1e-12 * size, Stretch(first, size)
    return stretch


def _movement(truth: NDArray[np.float64], classes: bool) -> float:
    known = truth[np.isfinite(truth)]
    if len(known) < 2:
        return 0.0
    return float((np.diff(known) != 0).sum()) if classes else float(np.ptp(known))


def _unusual(truth: NDArray[np.float64]) -> int:
    """The batch whose target lies furthest from the middle."""
    away = np.abs(truth - np.nanmedian(truth)) if np.isfinite(truth).any() else np.zeros(len(truth))
    return int(np.nan_to_num(away, nan=-1.0).argmax())


def _name(windows: Windows, which: int) -> str:
    """A window by its batch, time or row, for messages."""
    origin = int(windows.origins[which])
    if windows.lengths is not None and windows.table.batch is not None:
        return windows.table.batch_names[int(windows.table.batch[origin])]
    if windows.table.time is not None:
        return shown(windows.table.time[origin].astype("datetime64[s]"), windows.table.time_zone)
    return f"{origin + 1}"
