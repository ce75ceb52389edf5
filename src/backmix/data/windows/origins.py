"""Where windows can be made, and why not elsewhere.

This module finds the rows of a table at which a window of the wanted form exists, and accounts for
every row at which there is none. A window with L rows of lookback, a dead time of d rows and a
horizon of h rows, made at the origin o, holds the rows o - d - L + 1 ... o - d; its target is row
o + h. From the first of these rows to the last it lies in one segment: one batch, no gap, one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backmix.data.reported import shown_rows
from backmix.data.segments import Mask, Rows, blocks, finite_rows, row_type, segment_starts
from backmix.data.splitting.split import Split, SplitPart, batch_runs
from backmix.data.table import Table
from backmix.data.windows.form import WindowSpec
from backmix.errors import InputError
from backmix.text import say


class Dropped(NamedTuple):
    """How many rows (or whole batches) have no window, and the catalogue key of the reason."""

    reason: str
    number: int


REASONS = ("short_batch", "run_up", "unusable", "no_label", "no_plan", "no_known", "stride")
"""In this order: a row is counted under the first reason that applies."""


@dataclass(frozen=True, eq=False)
class Place:
    """Which rows of a table windows may be scored on, and which they may look at.

    part, owner: (N,) codes, see `Split`; code: the part that is wanted; None for a whole table
    name: the part in words, for messages
    """

    part: NDArray[np.uint8] | None = None
    owner: NDArray[np.uint8] | None = None
    code: int = 1
    name: str = ""

    @classmethod
    def of(cls, split: Split | None, part: SplitPart | Mask | None) -> Place:
        """The place of one part of a split, of a mask (N,) of rows, or of all rows."""
        if isinstance(part, np.ndarray):
            codes = np.asarray(part, dtype=np.uint8)
            return cls(part=codes, owner=codes)
        if split is None:
            return cls()
        code = SplitPart.TRAIN if part is None else part
        return cls(part=split.part, owner=split.owner, code=int(code), name=say(f"windows.part_{code.name.lower()}"))

    def scored(self, first: int, end: int) -> Rows:
        """The rows of a block that this part scores."""
        if self.part is None:
            return np.arange(first, end)
        return np.flatnonzero(self.part[first:end] == self.code) + first


WHOLE = Place()
"""All rows of a table."""


@dataclass(frozen=True, eq=False)
class Found:
    """The windows of a table: see the fields of `Windows` that have the same names."""

    origins: Rows
    lengths: Rows | None
    target_rows: Rows
    reported: tuple[Rows, ...]
    dropped: tuple[Dropped, ...]
    excluded: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Ground:
    """What is known of every row before windows are looked for; all arrays (N,)."""

    segment: Rows  # first row of the stretch of one batch and part without a gap
    history: Rows  # the same, interrupted by unusable rows too
    labelled: Mask | None  # rows on which all targets (with a path: of this and the rows before) are reported
    planned: Mask | None  # rows at which all that is known ahead is there for the whole path that ends here
    reported: tuple[Rows, ...]  # per known target: the last row so far on which it was reported
    # (with report times: the row of the newest sample reported so far, -1 for none)


def survey(table: Table, spec: WindowSpec, place: Place) -> Ground:
    """Look at every row of the table once."""
    labelled, planned = None, None
    groups = (spec.inputs, *((spec.targets,) if spec.need_target else ()), *((spec.future,) if spec.future else ()))
    usable, *others = finite_rows(table, *groups)
    if spec.need_target:
        labelled = others[0]
        if spec.answer == "path":
            labelled = _all_of_last(labelled, spec.horizon)
    if spec.future:
        planned = _all_of_last(others[-1], spec.horizon)
    segment = segment_starts(table, max_gap=spec.max_gap, part=place.owner)
    history = segment
    if not usable.all():
        history = segment_starts(table, max_gap=spec.max_gap, part=place.owner, unusable=~usable)
    reported: tuple[Rows, ...] = ()
    if spec.known is not None:
        if spec.known.report is not None:
            reported = tuple(
                shown_rows(table, name, times, segment)
                for name, times in zip(spec.targets, spec.known.report, strict=True)
            )
        else:
            reported = tuple(last_reported(table, name) for name in spec.targets)
    return Ground(segment, history, labelled, planned, reported)


def _ahead(spec: WindowSpec) -> int:
    """Rows behind the moment of prediction that a window needs: for its answer, or for what is planned."""
    return spec.horizon if spec.need_target or spec.future else 0


def _all_of_last(mask: Mask, rows: int) -> Mask:
    """(N,) whether a row and the ``rows - 1`` before it are all True.

    >>> _all_of_last(np.array([True, True, False, True, True]), 2).tolist()
    [False, True, False, False, True]
    """
    count = np.cumsum(np.concatenate([[0], mask]))
    found = np.zeros(len(mask), dtype=bool)
    found[rows - 1 :] = count[rows:] - count[:-rows] == rows
    return found


def last_reported(table: Table, name: str) -> Rows:
    """For every row, the last row up to it on which the tag has a value; 0 before the first."""
    values = table.column(name)
    last = np.zeros(len(table), dtype=row_type(len(table)))
    carried = 0
    for first, end in blocks(len(table)):
        block = last[first:end]
        np.multiply(np.arange(first, end), np.isfinite(values[first:end]), out=block, casting="unsafe")
        block[0] = max(int(block[0]), carried)
        np.maximum.accumulate(block, out=block)
        carried = int(block[-1])
    return last


def find_origins(table: Table, spec: WindowSpec, place: Place) -> Found:
    """The windows of fixed length.

    Raises InputError when there is none: with the reason, the minimum needed and what would fit.
    """
    lookback = spec.lookback
    assert lookback is not None
    ground = survey(table, spec, place)
    ahead = _ahead(spec)
    span = lookback + spec.dead_time + ahead
    least = 1 + spec.dead_time + ahead if spec.padded else span
    begins = batch_begins(table) if spec.padded else None
    sizes = None if table.batch is None else np.bincount(table.batch, minlength=len(table.batch_names))
    shorts = None if sizes is None else sizes < least
    short_codes: set[int] = set()
    counts = dict.fromkeys(REASONS, 0)
    origins = np.empty(
        len(table) if place.part is None else int(np.count_nonzero(place.part == place.code)),
        dtype=row_type(len(table)),
    )
    made, total, bucket = 0, 0, -1
    for low, high in blocks(len(table)):
        row = place.scored(low, high)
        total += len(row)
        if shorts is not None:
            assert table.batch is not None
            codes = np.asarray(table.batch)[row]
            short = shorts[codes]
            if short.any():
                short_codes.update(np.unique(codes[short]).tolist())
                row = _keep(row, ~short, counts, "short_batch")
        begun = row - span + 1 if begins is None else np.maximum(begins[row], row - span + 1)
        row = _keep(row, (ground.segment[row] <= begun) & (row - begun + 1 >= least), counts, "run_up")
        end = row - ahead - spec.dead_time
        if ground.history is not ground.segment:
            oldest = end - lookback + 1 if begins is None else np.maximum(begins[row], end - lookback + 1)
            row = _keep(row, ground.history[end] <= oldest, counts, "unusable")
        if ground.labelled is not None:
            row = _keep(row, ground.labelled[row], counts, "no_label")
        if ground.planned is not None:
            row = _keep(row, ground.planned[row], counts, "no_plan")
        if spec.known is not None:
            row = _keep(row, _knows(table, spec, ground, row, ahead), counts, "no_known")
        if spec.stride > 1:
            # the first window of every stretch of `stride` rows, counted from the segment's first window
            offset = row - ground.segment[row] - (least - 1)
            mine = (row - offset % spec.stride).astype(np.int64)
            fresh = np.diff(mine, prepend=bucket) != 0
            bucket = int(mine[-1]) if len(mine) else bucket
            row = _keep(row, fresh, counts, "stride")
        origins[made : made + len(row)] = row - ahead
        made += len(row)
    if made == 0:
        raise _nothing(table, spec, place, ground, total)
    origins = origins[:made] if made > 0.9 * len(origins) else origins[:made].copy()
    names = tuple(table.batch_names[code] for code in sorted(short_codes))
    targets = origins if spec.horizon == 0 else origins + origins.dtype.type(spec.horizon)
    lengths = None
    if begins is not None:
        lengths = np.minimum(lookback, origins - spec.dead_time - begins[origins] + 1).astype(origins.dtype)
    return Found(origins, lengths, targets, ground.reported, _account(counts), names)


def batch_begins(table: Table) -> Rows:
    """(N,) the first row of the batch in which each row lies; row 0 for a table without batches.

    >>> from backmix.data.tag import Tag
    >>> batch = np.array([0, 0, 1, 1, 1], np.int32)
    >>> batch_begins(Table(np.zeros((5, 1)), (Tag("T"),), batch=batch, batch_names=("A", "B"))).tolist()
    [0, 0, 2, 2, 2]
    """
    begins = np.zeros(len(table), dtype=row_type(len(table)))
    if table.batch is not None and len(table):
        change = np.flatnonzero(np.diff(np.asarray(table.batch)) != 0) + 1
        begins[change] = change
    firsts: Rows = np.maximum.accumulate(begins) if len(table) else begins
    return firsts


def find_elapsed(table: Table, spec: WindowSpec, place: Place) -> Found:
    """One window at every ``stride``-th row of every batch, from the batch's first row to this one."""
    ground = survey(table, spec, place)
    counts = dict.fromkeys(("short_batch", "broken_batch", "unusable", "no_label", "stride"), 0)
    ends: list[Rows] = []
    lengths: list[Rows] = []
    excluded = []
    runs = batch_runs(table)
    mine = [run for run in runs if len(place.scored(*run))]
    kind = row_type(len(table))
    for first, end in mine:
        row: Rows = np.arange(first, end, dtype=kind)
        if end - first < 2:
            row = _keep(row, row < first, counts, "short_batch")
        elif ground.segment[end - 1] != first or (place.part is not None and place.part[end - 1] != place.code):
            row = _keep(row, row < first, counts, "broken_batch")
        row = _keep(row, ground.history[row] == first, counts, "unusable")
        if ground.labelled is not None:
            row = _keep(row, ground.labelled[row], counts, "no_label")
        # the last row of a batch always counts: there the whole of it is known
        row = _keep(row, ((row - first) % spec.stride == spec.stride - 1) | (row == end - 1), counts, "stride")
        if len(row) == 0:
            assert table.batch is not None
            excluded.append(table.batch_names[table.batch[first]])
        ends.append(row)
        lengths.append(row - first + 1)
    if not sum(map(len, ends)):
        raise _no_batch(table, place, counts, len(mine))
    rows = np.concatenate(ends)
    return Found(rows, np.concatenate(lengths), rows, (), _account(counts), tuple(excluded))


def find_batches(table: Table, spec: WindowSpec, place: Place) -> Found:
    """The windows that are one whole batch each: the target is the last value the batch reports."""
    ground = survey(table, spec, place)
    counts = dict.fromkeys(("short_batch", "broken_batch", "unusable", "no_label"), 0)
    ends, lengths, targets, excluded = [], [], [], []
    runs = batch_runs(table)
    mine = [run for run in runs if len(place.scored(*run))]
    for first, end in mine:
        last = end - 1
        label = last
        if ground.labelled is not None:
            labels = np.flatnonzero(ground.labelled[first:end])
            label = first + int(labels[-1]) if len(labels) else -1
        if end - first < 2:
            reason = "short_batch"
        elif ground.segment[last] != first or (place.part is not None and place.part[last] != place.code):
            reason = "broken_batch"
        elif ground.history[last] != first:
            reason = "unusable"
        elif label < first:
            reason = "no_label"
        else:
            ends.append(last)
            lengths.append(end - first)
            targets.append(label)
            continue
        counts[reason] += 1
        assert table.batch is not None
        excluded.append(table.batch_names[table.batch[first]])
    if not ends:
        raise _no_batch(table, place, counts, len(mine))
    kind = row_type(len(table))
    return Found(
        np.array(ends, kind), np.array(lengths, kind), np.array(targets, kind), (), _account(counts), tuple(excluded)
    )


def _no_batch(table: Table, place: Place, counts: dict[str, int], batches: int) -> InputError:
    listed = ", ".join(f"{found.number} × {say(found.reason)}" for found in _account(counts)) or "-"
    return InputError("windows.no_whole_batch", where=_where(table, place), batches=batches, reasons=listed)


def _keep(row: Rows, fine: Mask, counts: dict[str, int], reason: str) -> Rows:
    kept = int(np.count_nonzero(fine))
    if kept == len(row):
        return row
    counts[reason] += len(row) - kept
    return row[fine]


def _knows(table: Table, spec: WindowSpec, ground: Ground, row: Rows, ahead: int) -> Mask:
    """Whether every known-target feature of the windows scored on these rows has a value."""
    assert spec.known is not None
    assert spec.lookback is not None
    carried = min(spec.known.count or spec.lookback, spec.lookback)
    sampled = row - ahead - spec.dead_time - carried + 1 - spec.known.offset
    start = ground.segment[row]
    fine: Mask = sampled >= start
    for name, last in zip(spec.targets, ground.reported, strict=True):
        at = last[np.maximum(sampled, 0)]
        fine &= (at >= start) & np.isfinite(table.column(name)[at])
    return fine


def _account(counts: dict[str, int]) -> tuple[Dropped, ...]:
    return tuple(Dropped(f"windows.reason_{name}", count) for name, count in counts.items() if count)


def _where(table: Table, place: Place) -> str:
    return f"{table.source}, {place.name}" if place.name else table.source


def _nothing(table: Table, spec: WindowSpec, place: Place, ground: Ground, total: int) -> InputError:
    """The error for a part without a single window: the nearest cause, and what would fit."""
    where, lookback = _where(table, place), spec.lookback
    assert lookback is not None
    extra = spec.dead_time + _ahead(spec)
    if total == 0:
        return InputError("windows.no_rows", where=where)
    row = np.concatenate([place.scored(low, high) for low, high in blocks(len(table))])
    stretch = row - ground.segment[row] + 1
    longest = int(stretch.max())
    fit = longest - extra
    if fit < lookback:
        if table.batch is not None and (short := _short_batches(table, row, lookback, extra)):
            return short
        key = "windows.too_little" if fit >= 1 else "windows.far_too_little"
        return InputError(key, where=where, lookback=lookback, needed=lookback + extra, longest=longest, fit=fit)
    used = row[stretch > extra] - extra
    run = int((used - ground.history[used] + 1).max())
    if run < lookback:
        tag, missing = _most_missing(table, spec.inputs)
        key = "windows.holes" if run >= 1 else "windows.all_holes"
        return InputError(key, where=where, lookback=lookback, longest=run, tag=tag, missing=missing)
    labels = None if ground.labelled is None else int(np.count_nonzero(ground.labelled[row]))
    if spec.known is not None and labels != 0:
        return InputError(
            "windows.no_known",
            where=where,
            delay=spec.known.delay,
            needed=spec.reach + 1,
            longest=longest,
            targets=", ".join(spec.targets),
        )
    if spec.answer == "path" and np.isfinite(table.column(spec.targets[0])[row]).any():
        return InputError("windows.no_paths", where=where, targets=", ".join(spec.targets), horizon=spec.horizon)
    return InputError("windows.no_labels", where=where, targets=", ".join(spec.targets), labels=labels or 0, rows=total)


def _short_batches(table: Table, row: Rows, lookback: int, extra: int) -> InputError | None:
    """The error when every batch of the part is shorter than a window."""
    assert table.batch is not None
    codes = np.unique(np.asarray(table.batch)[row])
    sizes = np.bincount(table.batch, minlength=len(table.batch_names))[codes]
    if int(sizes.max()) >= lookback + extra:
        return None
    least, most = int(np.argmin(sizes)), int(np.argmax(sizes))
    named = {
        "lookback": lookback,
        "rows": int(sizes[least]),
        "batch": table.batch_names[codes[least]],
        "most": int(sizes[most]),
        "longest": table.batch_names[codes[most]],
        "fit": int(sizes[least]) - extra,
        "fit_longest": int(sizes[most]) - extra,
    }
    if named["fit"] >= 1:
        return InputError("windows.short_batches" if least != most else "windows.short_batch", **named)
    return InputError("windows.tiny_batches", needed=lookback + extra, **named)


def _most_missing(table: Table, names: Sequence[str]) -> tuple[str, int]:
    """The tag with the most missing values among these, and how many those are."""
    missing = np.zeros(len(names), dtype=np.int64)
    at = np.array([table.index(name) for name in names])
    values: NDArray[Any] = np.asarray(table.values)
    for first, end in blocks(len(table)):
        missing += np.count_nonzero(~np.isfinite(values[first:end][:, at]), axis=0)
    worst = int(np.argmax(missing))
    return names[worst], int(missing[worst])
