"""Pairs: a clock beside each value, as PI DataLink writes them.

This module finds blocks of (time, value) or (time, value, status) side by side, and takes them apart into one series a
tag. Blocks may be of different length: what is empty at the bottom is no row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.ledger import Note
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.shapes import words
from backmix.data.shapes.clocks import is_clock, utc
from backmix.data.shapes.joining import Parts
from backmix.data.shapes.series import TagSeries, filled, in_order, shown, taken
from backmix.data.shapes.status import qualities
from backmix.errors import InputError
from backmix.text import say


@dataclass(frozen=True)
class Pair:
    """One block: the names of its columns, and of the tag."""

    clock: str
    value: str
    status: str | None
    tag: str


def look(raw: RawTable) -> tuple[Pair, ...]:
    """The blocks of a table that looks like pairs; none when it does not."""
    clocks = [is_clock(column) for column in raw.columns]
    if not clocks or not clocks[0] or sum(clocks) < 2:
        return ()
    starts = [*np.flatnonzero(clocks), len(clocks)]
    blocks = [_without_empty(raw.columns[a:b], raw.rows) for a, b in pairwise(starts)]
    if any(not 2 <= len(block) <= 3 for block in blocks):
        return ()
    if any(len(block) == 3 and not _may_be_status(block[2]) for block in blocks):
        return ()
    names = _tags(blocks)
    return tuple(
        Pair(block[0].name, block[1].name, block[2].name if len(block) == 3 else None, tag)
        for block, tag in zip(blocks, names, strict=True)
    )


def certain(pairs: Sequence[Pair]) -> bool:
    """Whether the names say that every clock is that of the value beside it, and not a time among the columns."""
    if len(pairs) > 3 and len({pair.status is None for pair in pairs}) == 1:
        return True
    return all(
        words.plain(pair.clock) in words.TIME
        or words.nameless(pair.clock)
        or _stem(pair.clock) in (pair.tag.casefold(), pair.value.casefold())
        or pair.tag == pair.clock
        for pair in pairs
    )


def ask(raw: RawTable, pairs: Sequence[Pair]) -> OpenQuestion:
    """Stop with both readings of a table that has several columns of times."""
    row = tuple(shown(column, 0) for column in raw.columns)
    names = ", ".join(f"{pair.tag} ({pair.clock})" for pair in pairs[:4]) + (" …" if len(pairs) > 4 else "")
    question = LayoutQuestion(
        "shape",
        (
            Interpretation("pairs", say("shape.is_pairs", names=names)),
            Interpretation("wide", say("shape.is_one_clock", clock=pairs[0].clock)),
        ),
        row=row,
        where=raw.at(0, pairs[0].clock),
    )
    return OpenQuestion(
        "shape.which_pairs", question=question, where=raw.where, names=", ".join(pair.clock for pair in pairs[:4])
    )


def evidence(pairs: Sequence[Pair]) -> tuple[Evidence, ...]:
    """Why the table holds pairs."""
    values = {"count": len(pairs), "clock": pairs[0].clock, "value": pairs[0].value}
    return (Evidence("shape", "pairs", "shape.evidence_pairs", values),)


def take_apart(raw: RawTable, plan: ReadPlan, pairs: Sequence[Pair]) -> Parts:
    """One series a block. Raises InputError: shape.no_pairs, read.no_time for a value beside an empty time."""
    if not pairs:
        raise InputError("shape.no_pairs", where=raw.where)
    columns = {column.name: column for column in raw.columns}
    series, notes, units = [], list(raw.notes), {}
    for pair in pairs:
        value, number = columns[pair.value], raw.number
        if pair.status is not None:
            quality = qualities(
                columns[pair.status], raw.rows, plan, raw, [columns[p.status] for p in pairs if p.status is not None]
            )
            value, marked = quality.applied(value, raw.rows, pair.tag)
            notes += marked
        times, clock_notes = utc(raw, pair.clock, plan)
        notes += clock_notes
        filled_rows = filled(columns[pair.value], raw.rows)
        lost = np.isnat(times)
        if (lost & filled_rows).any():
            raise InputError("read.no_time", where=raw.at(int(np.argmax(lost & filled_rows)), pair.clock))
        rows = np.flatnonzero(~lost)
        if len(rows) and len(rows) <= rows[-1]:
            notes.append(Note("converted", "shape.reason_pair_hole", int(rows[-1]) + 1 - len(rows), tag=pair.tag))
        time = times[rows].astype("datetime64[ns]").view("int64")
        batch = np.zeros(len(rows), np.int64)
        order = in_order(time, batch)
        if order is not None:
            rows, time = rows[order], time[order]
        cells = taken(RawColumn(pair.tag, value.numbers, value.texts, value.times, value.aware, value.quality), rows)
        series.append(TagSeries(cells, time, batch, raw.where, lambda row, rows=rows, n=number: n(int(rows[row]))))  # type: ignore[misc]
        unit = raw.units.get(pair.value) or raw.units.get(pair.clock)
        if unit:
            units[pair.tag] = unit
    if not any(map(len, series)):
        raise InputError("read.no_rows", where=raw.where)
    clock = pairs[0].clock if words.plain(pairs[0].clock) in words.TIME else "time"
    return Parts(series, clock, raw.where, raw.rows, units=units, notes=tuple(notes), evidence=raw.evidence)


def _without_empty(block: Sequence[RawColumn], rows: int) -> list[RawColumn]:
    """A block without the empty column that divides it from the next one; its value stays even when empty."""
    kept = [column for column_index, column in enumerate(block) if column_index < 2 or filled(column, rows).any()]
    return kept


def _may_be_status(column: RawColumn) -> bool:
    plain = words.plain(column.name)
    return plain in words.QUALITY or words.nameless(column.name) or any(plain.endswith(word) for word in words.QUALITY)


def _tags(blocks: Sequence[Sequence[RawColumn]]) -> list[str]:
    """The name of each tag: over its value when that says something, else over its clock; told apart when equal."""
    names = []
    for number, block in enumerate(blocks, 1):
        clock, value = block[0].name, block[1].name
        if not words.nameless(value) and words.plain(value) not in words.VALUE:
            names.append(_without_ending(value))
        elif not words.nameless(clock) and words.plain(clock) not in words.TIME:
            names.append(_without_ending(clock))
        else:
            names.append(f"tag {number}")
    twice = {name for name, count in Counter(names).items() if count > 1}
    return [f"{name} ({number})" if name in twice else name for number, name in enumerate(names, 1)]


def _without_ending(name: str) -> str:
    """ "FI101 time" and "FI101.Value" are both FI101."""
    import re

    bare = re.sub(r"(?i)[\s._\-/:|(\[]+(?:time ?stamp|time|date|value|val|時間|時刻|數值|值)[)\]]?$", "", name.strip())
    return bare or name


def _stem(clock: str) -> str:
    return _without_ending(clock).casefold()
