"""Batches on the rows of a table.

This module gives each row its batch, from intervals or from the states of a tag, adds the properties of the batch and
its phase as tags, accounts for rows outside, and lists the batches so that they are seen before they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.batches.batches_plan import BatchesPlan
from backmix.data.batches.intervals import Intervals, read_intervals
from backmix.data.layout.evidence import Evidence
from backmix.data.ledger import Note
from backmix.data.reading.columns import RawTable
from backmix.data.reading.reading import Reading, ReadPlan, TagPlan
from backmix.data.runs import stretches
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError

PHASE = "phase"


@dataclass(frozen=True)
class BatchSpan:
    """One batch as a list shows it; start and end are the times of its first and last row, in UTC."""

    batch: str
    start: str
    end: str
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def spans(table: Table) -> tuple[BatchSpan, ...]:
    """The batches of a table, in the order of its rows."""
    if table.batch is None or not len(table):
        return ()
    first = np.flatnonzero(np.concatenate([[True], np.diff(table.batch) != 0]))
    last = np.append(first[1:], len(table)) - 1
    times = [""] * len(table) if table.time is None else np.datetime_as_string(table.time, unit="s")
    return tuple(
        BatchSpan(table.batch_names[table.batch[a]], str(times[a]), str(times[b]), int(b - a + 1))
        for a, b in zip(first, last, strict=True)
    )


def read_with_batches(
    plan: ReadPlan,
    base: Path,
    read_table: Callable[[ReadPlan], Reading],
    read_raw: Callable[[ReadPlan, Path], RawTable],
) -> Reading:
    """The table of a plan with the batches that ``[data.batches]`` describes.

    Raises InputError: batches.no_clock, batches.have_already, batches.mixed_clocks, batches.none, batches.tag_twice,
    batches.no_state, and those of `read_intervals`.
    """
    batching = plan.batches
    assert batching is not None
    plain = plan.model_copy(update={"batches": None})
    if batching.file is None:
        reading = read_table(plain)
        _check(reading.table)
        return _from_states(reading, batching, plan.time_zone)
    intervals = read_intervals(read_raw(plan.for_side_file(batching), base), plan, batching)
    own = {tag.name for tag in intervals.tags} | ({PHASE} if intervals.phases else set())
    described = {tag.name: tag for tag in plan.tags if tag.name in own}
    kept = tuple(tag for tag in plan.tags if tag.name not in own)
    reading = read_table(plain.model_copy(update={"tags": kept}))
    _check(reading.table)
    zoned = not any(note.reason == "read.reason_no_zone" for note in reading.ledger.notes)
    if zoned != intervals.zoned:
        raise InputError("batches.mixed_clocks", where=intervals.where)
    return _from_intervals(reading, intervals, batching, described)


def _check(table: Table) -> None:
    if table.time is None:
        raise InputError("batches.no_clock", where=table.source)
    if table.batch is not None:
        raise InputError("batches.have_already", where=table.source)


def _from_intervals(
    reading: Reading, intervals: Intervals, batching: BatchesPlan, described: dict[str, TagPlan]
) -> Reading:
    table = reading.table
    assert table.time is not None
    index = intervals.of(table.time)
    codes = np.where(index >= 0, intervals.batch[index], -1)
    columns = [np.where(codes >= 0, column[codes], np.nan) for column in intervals.properties.T]
    tags = [_described(tag, described) for tag in intervals.tags]
    if intervals.phases:
        order = tuple(sorted(intervals.phases))
        place = np.array([*(order.index(name) for name in intervals.phases), np.nan])
        columns.append(np.where(index >= 0, place[intervals.phase[index]], np.nan))
        tags.append(_described(Tag(PHASE, categories=order), described))
    for tag in tags:
        if tag.name in table.names:
            raise InputError("batches.tag_twice", where=intervals.where, name=tag.name)
    if tags:
        table = table.with_columns(tags, np.column_stack(columns))
    empty = len(set(intervals.names)) - len(np.unique(codes[codes >= 0]))
    notes = [*intervals.notes, Note("converted", "batches.reason_empty", empty)]
    return _with_codes(reading, table, codes, intervals.names, batching, notes, intervals.where)


def _described(tag: Tag, described: dict[str, TagPlan]) -> Tag:
    given = described.get(tag.name)
    if given is None:
        return tag
    return replace(tag, **given.model_dump(exclude_defaults=True, exclude={"name", "type", "align"}))


def _from_states(reading: Reading, batching: BatchesPlan, zone: str | None) -> Reading:
    """Each run of rows in which the tag is in one of the running states is a batch."""
    table = reading.table
    assert table.time is not None
    assert batching.tag is not None
    on = _running(table, batching)
    seconds = table.time.view("int64") / 1e9
    if batching.bridge is not None:
        for start, length in zip(*stretches(~on), strict=True):
            stop = start + length
            if start > 0 and stop < len(on) and _long(seconds, start, stop, batching.bridge, table.step) <= 0:
                on[start:stop] = True
    starts, lengths = stretches(on)
    codes = np.full(len(table), -1)
    names: list[str] = []
    short = 0
    for start, length in zip(starts, lengths, strict=True):
        if (
            batching.min_length is not None
            and _long(seconds, start, start + length, batching.min_length, table.step) < 0
        ):
            short += int(length)
            continue
        codes[start : start + length] = len(names)
        names.append(f"{len(names) + 1:03d} {_local(table.time[start], zone)}")
    notes = [Note("converted", "batches.reason_short", short, tag=batching.tag)]
    return _with_codes(reading, table, codes, tuple(names), batching, notes, table.source)


def _running(table: Table, batching: BatchesPlan) -> NDArray[np.bool_]:
    """Where the tag is in a running state. Raises InputError for a state that it never has."""
    assert batching.tag is not None
    tag, column = table.tag(batching.tag), table.column(batching.tag)
    running = np.zeros(len(table), bool)
    for state in batching.running:
        if tag.categories:
            if str(state) not in tag.categories:
                states = ", ".join(tag.categories[:12])
                raise InputError("batches.no_state", where=table.source, tag=tag.name, state=state, names=states)
            running |= column == tag.categories.index(str(state))
            continue
        try:
            running |= column == float(state)
        except ValueError:
            raise InputError(
                "batches.no_state", where=table.source, tag=tag.name, state=state, names="0, 1 …"
            ) from None
    return running


def _long(seconds: NDArray[np.float64], start: int, stop: int, limit: Any, step: float | None) -> float:
    """How much longer than the limit a stretch of rows lasts, its last row counted as one step."""
    if limit.count is not None:
        return float(stop - start - limit.count)
    return float(seconds[stop - 1] - seconds[start] + (step or 0.0) - limit.seconds)


def _local(time: np.datetime64, zone: str | None) -> str:
    """A time as the plan's zone shows it."""
    import pandas as pd

    from backmix.data.notation.clock import zone as zone_of

    moment = pd.Timestamp(time, tz="UTC").tz_convert(zone_of(zone or "UTC"))
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _with_codes(
    reading: Reading,
    table: Table,
    codes: NDArray[np.int64],
    names: tuple[str, ...],
    batching: BatchesPlan,
    notes: list[Note],
    where: str,
) -> Reading:
    """The table with a batch on each row; rows without one go, or make batches of their own."""
    outside = codes < 0
    if outside.all():
        raise InputError("batches.none", where=where, rows=len(table))
    if batching.outside == "keep":
        codes, names = _kept(codes, names)
        notes.append(Note("converted", "batches.reason_kept", int(outside.sum())))
    else:
        notes.append(Note("dropped", "batches.reason_outside", int(outside.sum())))
        rows = np.flatnonzero(~outside)
        table, codes = table.rows(rows), codes[rows]
    used = np.unique(codes)
    first = [int(np.argmax(codes == code)) for code in used]
    order = used[np.argsort(first)]
    place = np.full(len(names), -1)
    place[order] = np.arange(len(order))
    table = replace(table, batch=place[codes].astype(np.int32), batch_names=tuple(names[code] for code in order))
    pieces = spans(table)
    key = "batches.evidence_file" if batching.file is not None else "batches.evidence_tag"
    values = {"count": len(pieces), "where": where, "tag": batching.tag, "first": pieces[0].batch, "rows": len(table)}
    listed = Evidence("batches.found", [span.to_dict() for span in pieces], key, values)
    return replace(reading, table=table, ledger=reading.ledger.add(*notes), evidence=(*reading.evidence, listed))


def _kept(codes: NDArray[np.int64], names: tuple[str, ...]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Each stretch of rows between two batches as a batch of its own."""
    codes, kept_names = codes.copy(), list(names)
    for number, (start, length) in enumerate(zip(*stretches(codes < 0), strict=True), 1):
        codes[start : start + length] = len(kept_names)
        kept_names.append(f"outside {number}")
    return codes, tuple(kept_names)
