"""Several clocks on one grid.

This module puts series with times of their own on the grid of ``[data] grid``. The grid stands at whole multiples of
its step since 1970-01-01 UTC. The row at time t knows nothing later than t: "last" takes the last cell at or before
t, the aggregates take the cells of (t - step, t]. Every tag is aligned by itself, as ``align`` says; nothing is ever
averaged across tags. A cell that the source marks as bad, or that is no number, is not covered up by an older one.

"last" holds a value for at most ``max_hold`` (twice the tag's own step when left out, at least one step of the grid).
A value older than the tag's own step, or the step of the grid, is uncertain; one older than ``max_hold`` is missing.
"interpolate" draws a line to the next cell, which is known later than the row: it looks ahead, so that it needs
``look_ahead = true``, and makes uncertain values.

How this differs from ``[repair] resample``: this step brings tags of different rates together while the table is
read, each by its own times. The resampling of ``[repair]`` comes later, on a table that has one clock already, works on
all of its tags alike, and never holds a value beyond its stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.ledger import Note
from backmix.data.quality import Quality
from backmix.data.reading.columns import RawColumn
from backmix.data.shapes.series import Instants, Ints, TagSeries, taken
from backmix.duration import Duration
from backmix.errors import InputError, PlanError

if TYPE_CHECKING:
    from backmix.data.layout.layout import Align
    from backmix.data.reading.reading import ReadPlan

_BYTES = 8
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Places:
    """Where one series stands towards the rows of the grid.

    key: (n,) of each cell: batch, and the row of the grid at or after it; rows: (M,) the same of each row
    end: (M,) ns of each row; last: (M,) the last cell at or before each row, -1 where there is none
    """

    key: Ints
    rows: Ints
    end: Ints
    last: NDArray[np.intp]
    width: int


def nanoseconds(text: str) -> int:
    """A duration of the plan in ns."""
    seconds = Duration.parse(text).seconds
    assert seconds is not None
    return round(seconds * 1e9)


def own_step(series: TagSeries) -> int:
    """ns between the cells of a series: the most frequent distance, the median when none is frequent; 0 unknown."""
    gaps = np.diff(series.time)[np.diff(series.batch) == 0]
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return 0
    steps, counts = np.unique(gaps, return_counts=True)
    most = int(np.argmax(counts))
    return int(steps[most]) if counts[most] * 5 >= len(gaps) else int(np.median(gaps))


def on_grid(
    series: Sequence[TagSeries], plan: ReadPlan, numbers: Sequence[Floats | None]
) -> tuple[Instants, list[RawColumn], list[Note]]:
    """The rows of the grid, the cells of each series on them, and what was done.

    numbers: of each series its cells as numbers, None for a tag of states, of which always the last counts
    Raises InputError (shape.grid_too_large) for a grid that the limit of the plan forbids.
    """
    assert plan.grid is not None
    step = nanoseconds(plan.grid)
    described = {tag.name: tag for tag in plan.tags}
    hows: list[Align] = []
    for trend, cells in zip(series, numbers, strict=True):
        how = (described[trend.name].align if trend.name in described else None) or plan.align or "last"
        if how == "interpolate" and not plan.look_ahead:
            raise PlanError("shape.looks_ahead", tag=trend.name)
        hows.append("last" if cells is None else how)
    holds = [_hold(trend, plan, step) for trend in series]
    first = min((int(trend.time.min()) for trend in series if len(trend)), default=0)
    start = -(-first // step)
    ticks = [-(-trend.time // step) - start for trend in series]
    width = 2 + max((int(tick.max()) for tick in ticks if len(tick)), default=0) + max(holds) // step
    keys = [trend.batch * width + tick for trend, tick in zip(series, ticks, strict=True)]
    rows = _covered(series, keys, hows, holds, step=step, start=start, width=width, limit=plan.limit)
    end = (rows % width + start) * step
    columns, notes = [], []
    for trend, key, how, hold, cells in zip(series, keys, hows, holds, numbers, strict=True):
        last = np.searchsorted(key, rows, side="right") - 1
        last[(last >= 0) & (key[last] // width != rows // width)] = -1
        places = _Places(key, rows, end, last, width)
        column, note = _aligned(trend, places, how, step=step, hold=hold, numbers=cells)
        columns.append(column)
        notes += note
    return Instants(end, rows // width), columns, notes


def _hold(series: TagSeries, plan: ReadPlan, step: int) -> int:
    return nanoseconds(plan.max_hold) if plan.max_hold is not None else max(step, 2 * own_step(series))


def _covered(
    series: Sequence[TagSeries],
    keys: Sequence[Ints],
    hows: Sequence[str],
    holds: Sequence[int],
    *,
    step: int,
    start: int,
    width: int,
    limit: int,
) -> Ints:
    """The rows of the grid that at least one tag has a cell for: of the stretch, or held. No later cell decides."""
    begins, ends = [], []
    for trend, key, how, hold in zip(series, keys, hows, holds, strict=True):
        reach = (trend.time + hold) // step - start + trend.batch * width if how in ("last", "time_mean") else key
        begins.append(key)
        ends.append(np.maximum(key, reach))
    begin, end = np.concatenate(begins), np.concatenate(ends)
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], np.maximum.accumulate(end[order])
    fresh = np.concatenate([[True], begin[1:] > end[:-1] + 1])
    spots = np.flatnonzero(fresh)
    lows, highs = begin[spots], end[np.append(spots[1:] - 1, len(end) - 1)]
    lengths = highs - lows + 1
    total = int(lengths.sum())
    if total * len(series) * _BYTES > limit:
        raise InputError(
            "shape.grid_too_large", where=series[0].where, rows=total, tags=len(series), limit=f"{limit / 1e6:g}"
        )
    return np.repeat(lows - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths) + np.arange(total)


def _aligned(
    series: TagSeries, places: _Places, how: Align, *, step: int, hold: int, numbers: Floats | None
) -> tuple[RawColumn, list[Note]]:
    """The cells of one series on the rows of the grid."""
    rows = len(places.rows)
    if how == "last" or numbers is None:
        age = places.end - series.time[places.last] if len(series) else np.zeros(rows, np.int64)
        fresh = (places.last >= 0) & (age <= hold)
        column = taken(series.cells, np.where(fresh, places.last, -1))
        stale = fresh & (age >= max(step, own_step(series) + step // 10))
        quality = np.zeros(rows, np.uint8) if column.quality is None else column.quality
        quality = np.where(stale, np.maximum(quality, Quality.UNCERTAIN), quality).astype(np.uint8)
        skipped = len(series) - len(np.unique(places.last[fresh]))
        return replace(column, quality=quality if quality.any() else None), [
            Note("marked", "shape.reason_held", int(stale.sum()), tag=series.name, example=written(hold)),
            Note("converted", "shape.reason_skipped", skipped, tag=series.name),
        ]
    bad = np.isnan(numbers) if series.cells.quality is None else np.isnan(numbers) | (series.cells.quality == 2)
    values = np.where(bad, np.nan, numbers)
    if how == "interpolate":
        return _interpolated(series, places, values, hold)
    value, count = (
        _of_stretches(places, values, how) if how != "time_mean" else _time_mean(series, places, values, step, hold)
    )
    quality = np.zeros(rows, np.uint8)
    doubt = series.cells.quality
    if doubt is not None and len(series):
        stretch, first = np.unique(places.key, return_index=True)
        worst = np.maximum.reduceat(np.where(bad, 0, doubt).astype(np.uint8), first)
        quality[np.searchsorted(places.rows, stretch)] = worst
    column = RawColumn(series.name, numbers=value, quality=quality if quality.any() else None)
    return column, [Note("converted", f"shape.reason_{how}", count, tag=series.name)]


def _of_stretches(places: _Places, values: Floats, how: str) -> tuple[Floats, int]:
    """The aggregate of the good cells of each (t - step, t], and how many cells went into one with others."""
    numbers = np.full(len(places.rows), np.nan)
    good = ~np.isnan(values)
    key, x = places.key[good], values[good]
    if not len(key):
        return numbers, 0
    stretch, first, counts = np.unique(key, return_index=True, return_counts=True)
    add = {"mean": np.add, "sum": np.add, "min": np.minimum, "max": np.maximum}[how]
    made = add.reduceat(x, first)
    numbers[np.searchsorted(places.rows, stretch)] = made / counts if how == "mean" else made
    return numbers, int(counts[counts > 1].sum())


def _time_mean(series: TagSeries, places: _Places, values: Floats, step: int, hold: int) -> tuple[Floats, int]:
    """The mean over (t - step, t] in which each value counts as long as it stands, at most ``hold``."""
    if not len(series):
        return np.full(len(places.rows), np.nan), 0
    good = ~np.isnan(values)
    until = np.append(series.time[1:], series.time[-1] + hold)
    ends_batch = np.append(np.diff(series.batch) != 0, True)
    until = np.where(ends_batch, series.time + hold, np.minimum(until, series.time + hold))
    length = np.where(good, until - series.time, 0) / 1e9
    x = np.where(good, values, 0.0)
    area, span = (np.concatenate([[0.0], np.cumsum(y)]) for y in (length * x, length))

    def so_far(at: NDArray[np.intp], moment: Ints) -> tuple[Floats, Floats]:
        """Area and time up to a moment, whose last cell is ``at``."""
        inside = np.clip(moment - series.time[at], 0, until[at] - series.time[at]) / 1e9 * good[at]
        return area[at] + x[at] * inside, span[at] + inside

    before = np.searchsorted(places.key, places.rows - 1, side="right") - 1
    alone = (before < 0) | (places.key[before] // places.width != places.rows // places.width)
    area_end, span_end = so_far(places.last, places.end)
    area_start, span_start = so_far(before, places.end - step)
    begin = np.clip(before + 1, 0, len(series))
    area_start, span_start = np.where(alone, area[begin], area_start), np.where(alone, span[begin], span_start)
    covered = span_end - span_start
    value = np.full(len(places.rows), np.nan)
    known = (places.last >= 0) & (covered > 0)
    np.divide(area_end - area_start, covered, out=value, where=known)
    instant = (places.last >= 0) & ~known & (places.end == series.time[places.last])  # its time begins with the row
    value[instant] = values[places.last[instant]]
    return value, int(np.count_nonzero(known))


def _interpolated(series: TagSeries, places: _Places, values: Floats, hold: int) -> tuple[RawColumn, list[Note]]:
    """On the line between the cells before and after each row, when both are good and not further apart than hold."""
    made = np.full(len(places.rows), np.nan)
    quality = np.zeros(len(places.rows), np.uint8)
    rows = np.flatnonzero(places.last >= 0)
    before = places.last[rows]
    after = np.minimum(before + 1, len(series) - 1)
    exact = series.time[before] == places.end[rows]
    gap = series.time[after] - series.time[before]
    between = ~exact & (gap > 0) & (gap <= hold) & (series.batch[after] == series.batch[before])
    share = np.where(between, (places.end[rows] - series.time[before]) / np.maximum(gap, 1), 0.0)
    line = values[before] + share * (values[after] - values[before])
    made[rows] = np.where(exact, values[before], np.where(between, line, np.nan))
    quality[rows[between]] = Quality.UNCERTAIN
    column = RawColumn(series.name, numbers=made, quality=quality)
    return column, [Note("marked", "shape.reason_interpolate", int(between.sum()), tag=series.name)]


def written(step: int) -> str:
    """ns as a plan writes a duration, exactly.

    >>> written(60_000_000_000), written(7_000_000_000), written(1_500_000_000), written(1_000)
    ('1min', '7s', '1500ms', '0.001ms')
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if step and step % (length * 1_000_000_000) == 0:
            return f"{step // (length * 1_000_000_000)}{unit}"
    return f"{step / 1e6:.6f}".rstrip("0").rstrip(".") + "ms"
