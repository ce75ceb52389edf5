"""Intervals of batches and phases from a file or a sheet.

This module reads a list of (batch, start, end) with properties, refuses intervals that overlap, and says for each
time of a table which interval it falls into.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.batches.batches_plan import BatchesPlan
from backmix.data.layout.together import with_clocks_together
from backmix.data.ledger import Note
from backmix.data.reading.assembly import cells_of, lay_out
from backmix.data.reading.columns import RawTable, Times
from backmix.data.reading.reading import ReadPlan
from backmix.data.shapes.clocks import is_clock, labels, utc
from backmix.data.shapes.words import BATCH, plain, several
from backmix.data.side_file import one_name
from backmix.data.side_file import several as several_columns
from backmix.data.table import missing_column
from backmix.data.tag import Tag
from backmix.errors import InputError

_START = several("""start start_time starttime begin begin_time from started
開始 開始時間 起始 起始時間 开始 开始时间""")
_END = several("""end end_time endtime stop stop_time finish finished to until
結束 結束時間 終了 结束 结束时间""")
_PHASE = several("phase step stage operation 階段 步驟 相 阶段")


@dataclass(frozen=True, eq=False)
class Intervals:
    """L intervals in order of their starts.

    batch, phase: (L,) code of each into ``names``, ``phases``; no phases where ``phases`` is empty, -1 for none
    start, end: (L,) in UTC; an open end is that of the next start, the last one NaT
    tags, properties: of the batches, (B, K) by code of the batch
    where: for messages; zoned: the times were written with a zone, or the plan names one
    """

    batch: NDArray[np.int64]
    phase: NDArray[np.int64]
    start: Times
    end: Times
    names: tuple[str, ...]
    phases: tuple[str, ...]
    tags: tuple[Tag, ...]
    properties: NDArray[np.float64]
    where: str
    zoned: bool
    notes: tuple[Note, ...] = ()

    def of(self, time: Times) -> NDArray[np.int64]:
        """The interval of each time, (N,), -1 outside all of them."""
        index = np.searchsorted(self.start, time, side="right") - 1
        inside = (index >= 0) & (np.isnat(self.end[index]) | (time <= self.end[index]))
        return np.where(inside, index, -1)


def read_intervals(raw: RawTable, plan: ReadPlan, batching: BatchesPlan) -> Intervals:
    """The intervals of a raw table.

    Raises InputError: data.missing_column, batches.which_column, batches.no_start, batches.backwards,
    batches.overlap, batches.twice, batches.two_values.
    """
    form = plan.for_side_file(batching)
    for name in (*several_columns(batching.start), *several_columns(batching.end)):
        if name not in raw.names:
            raise missing_column(name, raw.names, raw.where)
    raw = with_clocks_together(raw, form, batching.start, batching.end)
    batch = _column(raw, batching.batch, BATCH, "batch")
    start = _column(raw, None if batching.start is None else one_name(batching.start), _START, "start")
    end = _column(raw, None if batching.end is None else one_name(batching.end), _END, "end")
    phase = batching.phase or next((name for name in raw.names if plain(name) in _PHASE and name != batch), None)
    if phase is not None and phase not in raw.names:
        raise missing_column(phase, raw.names, raw.where)
    columns = {column.name: column for column in raw.columns}
    known = labels(columns[batch], raw.rows)
    begins, clock_notes = utc(raw, start, form)
    ends, more = utc(raw, end, form)
    kept = known.codes >= 0
    lost = kept & np.isnat(begins)
    if lost.any():
        raise InputError("batches.no_start", where=raw.at(int(np.argmax(lost)), start))
    back = kept & (ends < begins)
    if back.any():
        row = int(np.argmax(back))
        raise InputError("batches.backwards", where=raw.at(row, end), batch=known.names[known.codes[row]])
    stages = labels(columns[phase], raw.rows) if phase is not None else None
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise InputError("read.no_rows", where=raw.where)
    rows = rows[np.argsort(begins[rows], kind="stable")]
    codes, begins, ends = known.codes[rows], begins[rows], ends[rows].copy()
    open_end = np.isnat(ends)
    ends[:-1] = np.where(open_end[:-1], begins[1:], ends[:-1])
    _check(raw, start, rows, codes, begins, ends, known.names, phases=phase is not None)
    axes = {batch, start, end, phase}
    tags, properties, marked = _properties(raw, form, batching, axes, known.codes, len(known.names))
    notes = [*raw.notes, *clock_notes, *more, *marked]
    notes.append(Note("converted", "batches.reason_open_end", int(open_end.sum())))
    return Intervals(
        batch=codes,
        phase=np.full(len(rows), -1) if stages is None else stages.codes[rows],
        start=begins,
        end=ends,
        names=known.names,
        phases=() if stages is None else stages.names,
        tags=tags,
        properties=properties,
        where=raw.where,
        zoned=not any(note.reason == "read.reason_no_zone" for note in notes),
        notes=tuple(note for note in notes if note.count),
    )


def _column(raw: RawTable, given: str | None, known: frozenset[str], key: str) -> str:
    """The column that the plan names, else the only one that is called so."""
    if given is not None:
        if given not in raw.names:
            raise missing_column(given, raw.names, raw.where)
        return given
    matches = [name for name in raw.names if plain(name) in known]
    if len(matches) != 1:
        raise InputError("batches.which_column", where=raw.where, what=key, names=", ".join(raw.names[:12]))
    return matches[0]


def _check(
    raw: RawTable,
    column: str,
    rows: NDArray[np.intp],
    codes: NDArray[np.int64],
    begins: Times,
    ends: Times,
    names: tuple[str, ...],
    *,
    phases: bool,
) -> None:
    """Refuse intervals that overlap, and a batch that stands there twice."""
    over = np.flatnonzero(begins[1:] < np.maximum.accumulate(ends)[:-1])
    if len(over):
        index = int(over[0]) + 1
        other = int(np.argmax(ends[:index]))
        raise InputError(
            "batches.overlap",
            where=raw.at(int(rows[index]), column),
            batch=names[codes[index]],
            other=names[codes[other]],
            start=_shown(begins[index]),
            end=_shown(ends[other]),
        )
    first = np.concatenate([[True], np.diff(codes) != 0]) if phases else np.ones(len(codes), bool)
    runs = codes[first]
    _, counts = np.unique(runs, return_counts=True)
    if (counts > 1).any():
        again = int(np.unique(runs)[np.argmax(counts > 1)])
        index = int(np.flatnonzero(first & (codes == again))[1])
        raise InputError("batches.twice", where=raw.at(int(rows[index]), column), batch=names[again])


def _properties(
    raw: RawTable, form: ReadPlan, batching: BatchesPlan, axes: set[str | None], codes: NDArray[np.int64], batches: int
) -> tuple[tuple[Tag, ...], NDArray[np.float64], list[Note]]:
    """The further columns as tags, and their values by batch, (B, K)."""
    for name in batching.properties or ():
        if name not in raw.names:
            raise missing_column(name, raw.names, raw.where)
    wanted = set(raw.names) - axes if batching.properties is None else set(batching.properties)
    columns = tuple(column for column in raw.columns if column.name in wanted and not is_clock(column))
    if not columns:
        return (), np.empty((batches, 0)), []
    rest = replace(raw, columns=columns, notes=())
    laid = lay_out([rest], form.model_copy(update={"time": None}))
    values, tags, marked = cells_of(rest, laid, form)
    made = np.full((batches, len(tags)), np.nan)
    for row in range(raw.rows - 1, -1, -1):
        if codes[row] >= 0:
            known = ~np.isnan(values[row])
            made[codes[row], known] = values[row, known]
    named = codes >= 0
    other = ~np.isnan(values[named]) & (values[named] != made[codes[named]])
    if other.any():
        row, place = np.argwhere(other)[0]
        raise InputError(
            "batches.two_values", where=raw.at(int(np.flatnonzero(named)[row]), tags[place].name), name=tags[place].name
        )
    return tags, made, [*laid.notes, *marked]


def _shown(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]")).replace("T", " ")
