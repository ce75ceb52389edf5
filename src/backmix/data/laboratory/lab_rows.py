"""Which row of a table a laboratory result belongs to.

This module puts results on the rows of a table by the times of their samples, settles two results on
one row as the plan says, and accounts for every result that has no row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backmix.data.laboratory.lab_plan import LabPlan
from backmix.data.ledger import Note
from backmix.data.notation.clock import on_wall
from backmix.data.quality import Quality
from backmix.data.reading.columns import RawTable, Times
from backmix.data.reading.reading import Reading
from backmix.data.reported import report_tag, seconds
from backmix.data.splitting.split import batch_runs
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError

Floats = NDArray[np.float64]
OUTSIDE, GAP, NO_BATCH = -1, -2, -3
_REASONS = {OUTSIDE: "lab.reason_outside", GAP: "lab.reason_gap", NO_BATCH: "lab.reason_no_batch"}


@dataclass(frozen=True, eq=False)
class Labels:
    """L rows of a laboratory file with K results each.

    raw: the file, for the places of messages; clock: the name of its column of sample times
    values: (L, K), NaN where there is no usable number
    sample: (L,) UTC; report: (L, K) UTC, NaT where not reported; None for a fixed delay
    batch: (L,) names, or None; zoned: whether the times are known to be UTC
    """

    raw: RawTable
    clock: str
    tags: tuple[Tag, ...]
    values: Floats
    sample: Times
    report: Times | None
    batch: tuple[str | None, ...] | None
    notes: tuple[Note, ...]
    zoned: bool


def join(reading: Reading, labels: Labels, lab: LabPlan) -> Reading:
    """The table with the results, and the ledger of both: rows read are those of both files.

    Raises InputError: lab.no_clock, lab.same_column, lab.zones_differ, lab.report_before, lab.two_results,
    lab.none_inside, lab.which_batch, read.no_time.
    """
    table = reading.table
    if table.time is None:
        raise InputError("lab.no_clock", where=table.source)
    for tag in labels.tags:
        if tag.name in table.names:
            raise InputError("lab.same_column", where=labels.raw.where, tag=tag.name, table=table.source)
    if labels.zoned == any(note.reason == "read.reason_no_zone" for note in reading.ledger.notes):
        raise InputError("lab.zones_differ", where=labels.raw.where, table=table.source)
    there = np.isfinite(labels.values)
    _check_samples(labels, there)
    report = _report_seconds(labels, there, lab, table)
    row = _places(table, labels)
    usable = there.any(axis=1) & ~np.isnat(labels.sample)
    notes = [Note("dropped", "lab.reason_no_value", int((~usable).sum()))]
    for code, reason in _REASONS.items():
        lost = np.flatnonzero(usable & (row == code))
        example = _shown(labels.sample[lost[0]], table.time_zone) if len(lost) else ""
        notes.append(Note("dropped", reason, len(lost), example=example))
    at = np.flatnonzero(usable & (row >= 0))
    if not len(at):
        raise _nowhere(table, labels, usable)
    at = at[np.lexsort((at, labels.sample[at].view("int64"), row[at]))]
    sheet = _LabSheet(table, labels, report, row)
    used = np.zeros(len(row), bool)
    for k in range(len(labels.tags)):
        used[sheet.put(k, at[there[at, k]], lab)] = True
    notes += [
        Note("dropped", "lab.reason_same_row", int((~used[at]).sum())),
        Note("dropped", "lab.reason_put", int(used.sum())),
        *sheet.notes,
    ]
    ledger = replace(reading.ledger, read=reading.ledger.read + len(row))
    return replace(reading, table=sheet.table(), ledger=ledger.add(*labels.notes, *notes))


def _check_samples(labels: Labels, there: NDArray[np.bool_]) -> None:
    lost = np.flatnonzero(there.any(axis=1) & np.isnat(labels.sample))
    if len(lost):
        raise InputError("read.no_time", where=labels.raw.at(int(lost[0]), labels.clock))


def _report_seconds(labels: Labels, there: NDArray[np.bool_], lab: LabPlan, table: Table) -> Floats:
    """(L, K) when each result was reported, seconds since 1970, NaN where it was not."""
    sampled = seconds(labels.sample)
    if labels.report is None:
        return np.where(there, sampled[:, None] + lab.delay_seconds(table.step), np.nan)
    report = np.column_stack([seconds(labels.report[:, k]) for k in range(len(labels.tags))])
    early = np.argwhere(there & (report < sampled[:, None]))
    if len(early):
        row, k = (int(place) for place in early[0])
        name = labels.tags[k].name
        raise InputError(
            "lab.report_before",
            where=labels.raw.at(row, str(lab.report_of(name))),
            tag=name,
            report=_shown(labels.report[row, k], table.time_zone),
            sample=_shown(labels.sample[row], table.time_zone),
        )
    return np.where(there, report, np.nan)


def _places(table: Table, labels: Labels) -> NDArray[np.int64]:
    """The row of each result, (L,), or why it has none."""
    assert table.time is not None
    clock = np.asarray(table.time).view("int64")
    step = (table.step or 0.0) * 1e9 * (1 + 1e-9)
    sample = labels.sample.view("int64")
    found = np.full(len(sample), OUTSIDE, np.int64)
    if labels.batch is None:
        if np.any(clock[1:] < clock[:-1]):
            raise InputError("lab.which_batch", where=labels.raw.where, table=table.source)
        groups = [(0, len(clock), np.arange(len(sample)))]
    else:
        groups = []
        found[:] = NO_BATCH
        names = np.array([name or "" for name in labels.batch], dtype=object)
        for first, end in batch_runs(table):
            assert table.batch is not None
            groups.append((first, end, np.flatnonzero(names == table.batch_names[table.batch[first]])))
    for first, end, mine in groups:
        row = first + np.searchsorted(clock[first:end], sample[mine], side="right") - 1
        late = sample[mine] - clock[np.maximum(row, first)]
        row = np.where(late > step, np.where(row == end - 1, OUTSIDE, GAP), row)
        found[mine] = np.where(sample[mine] < clock[first], OUTSIDE, row)
    return found


class _LabSheet:
    """The columns of results and report times as they fill."""

    def __init__(self, table: Table, labels: Labels, report: Floats, row: NDArray[np.int64]) -> None:
        width = len(labels.tags)
        self._table, self._labels, self._report, self._row = table, labels, report, row
        self._values = np.full((len(table), width), np.nan)
        self._times = np.full((len(table), width), np.nan)
        self._doubt = np.zeros((len(table), width), bool)
        self.notes: list[Note] = []

    def put(self, k: int, at: NDArray[np.int64], lab: LabPlan) -> NDArray[np.int64]:
        """Put the results ``at``, ordered by row and sample time, on their rows; returns those that count."""
        values, report, row = self._labels.values[:, k], self._report[:, k], self._row[at]
        edges = [0, *(np.flatnonzero(row[1:] != row[:-1]) + 1).tolist(), len(at)]
        counted, averaged = [], 0
        for start, end in pairwise(edges) if len(at) else ():
            same, here = at[start:end], row[start]
            mine = same[:1]
            if len(same) > 1 and not self._alike(k, same):
                if lab.duplicates == "refuse":
                    raise self._refused(k, same)
                mine = {"first": same[:1], "last": same[-1:], "mean": same}[lab.duplicates]
            self._values[here, k] = values[mine].mean()
            # a mean is known when its last part is: NaN, never reported, if one of them was not
            self._times[here, k] = report[mine].max()
            if len(mine) > 1:
                self._doubt[here, k] = True
                averaged += 1
            counted.append(mine)
        name, put = self._labels.tags[k].name, np.isfinite(self._values[:, k])
        late = int((put & np.isnan(self._times[:, k])).sum())
        self.notes += [
            Note("repaired", "lab.reason_mean", averaged, tag=name),
            Note("marked", "lab.reason_not_reported", late, tag=name),
        ]
        return np.concatenate(counted) if counted else np.empty(0, np.int64)

    def table(self) -> Table:
        """The table with the results and, behind them, their report times."""
        made, quality = np.column_stack([self._values, self._times]), None
        if self._doubt.any():
            quality = np.where(np.isnan(made), Quality.BAD, Quality.GOOD).astype(np.uint8)
            quality[:, : self._doubt.shape[1]][self._doubt] = Quality.UNCERTAIN
        tags = self._labels.tags
        return self._table.with_columns([*tags, *(report_tag(tag.name) for tag in tags)], made, quality=quality)

    def _alike(self, k: int, same: NDArray[np.int64]) -> bool:
        """Whether these are one result that stands there several times."""
        labels = self._labels
        known = self._report[same, k]
        return bool(
            (labels.values[same, k] == labels.values[same[0], k]).all()
            and (labels.sample[same] == labels.sample[same[0]]).all()
            and ((known == known[0]) | (np.isnan(known) & np.isnan(known[0]))).all()
        )

    def _refused(self, k: int, same: NDArray[np.int64]) -> InputError:
        raw, name = self._labels.raw, self._labels.tags[k].name
        assert self._table.time is not None
        values = self._labels.values[:, k]
        other = next(int(one) for one in same[1:] if not self._alike(k, np.array([same[0], one])))
        return InputError(
            "lab.two_results",
            where=raw.at(other, name),
            tag=name,
            value=f"{values[other]:g}",
            other=f"{values[same[0]]:g}",
            other_row=raw.number(int(same[0])),
            row=_shown(self._table.time[self._row[other]], self._table.time_zone),
        )


def _nowhere(table: Table, labels: Labels, usable: NDArray[np.bool_]) -> InputError:
    """The error for results none of which has a row."""
    assert table.time is not None
    if not usable.any():
        return InputError("lab.no_values", where=labels.raw.where, names=", ".join(tag.name for tag in labels.tags))
    sampled = labels.sample[usable]
    return InputError(
        "lab.none_inside",
        where=labels.raw.where,
        table=table.source,
        first=_shown(sampled.min(), table.time_zone),
        last=_shown(sampled.max(), table.time_zone),
        start=_shown(table.time.min(), table.time_zone),
        end=_shown(table.time.max(), table.time_zone),
    )


def _shown(time: np.datetime64, zone: str | None) -> str:
    return str(on_wall(time, zone).astype("datetime64[s]")).replace("T", " ")
