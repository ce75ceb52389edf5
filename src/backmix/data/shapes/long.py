"""Long form: a row a value, with the name of its tag in a column.

This module finds out whether a table is in long form, asks where it may be something else, and takes it apart into one
series a tag. Each tag keeps its own times; texts among the values stay texts of their tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.layout.layout import LongForm
from backmix.data.ledger import Note
from backmix.data.notation.dates import looks_like_dates
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.shapes import words
from backmix.data.shapes.clocks import labels, utc
from backmix.data.shapes.joining import Parts
from backmix.data.shapes.series import Ints, TagSeries, filled, shown, taken
from backmix.data.shapes.status import qualities
from backmix.data.table import missing_column
from backmix.errors import InputError
from backmix.text import say

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE = 5_000
MOST_TAGS = 20_000
_REPEATS = 2
"""A tag comes at least so often, on average; a text that comes once is a remark."""
_FEW = 4


@dataclass(frozen=True)
class LikelyLong:
    """Columns that look like long form: certain, or to be asked for."""

    form: LongForm
    clock: str
    certain: bool
    tags: tuple[str, ...]


def look(raw: RawTable, plan: ReadPlan) -> LikelyLong | None:
    """Whether a table looks like long form; None when it cannot be."""
    clock = _clock(raw, plan)
    if clock is None or not 3 <= len(raw.columns) <= 3 + 2 * _FEW or not raw.rows:
        return None
    described = {tag.name for tag in plan.tags}
    sample = _sample(raw)
    rest = [c for c in sample.columns if c.name not in (clock, plan.batch) and c.name not in described]
    units = [c for c in rest if words.plain(c.name) in words.UNIT and c.numbers is None]
    doubts = [c for c in rest if words.plain(c.name) in words.QUALITY]
    counted = [
        c for c in rest if words.plain(c.name) in words.TAG and (_are_numbers_of_tags(c) or _names_tags(c, sample.rows))
    ]
    numbers = [c for c in rest if c not in doubts and c not in counted and _has_numbers(c, sample.rows)]
    texts = [c for c in rest if c not in units and c not in doubts and c not in numbers and c.texts is not None]
    if len(doubts) > 1 or len(units) > 1:
        return None
    tags = counted or [c for c in texts if _names_tags(c, sample.rows)]
    by_name = [c for c in tags if words.plain(c.name) in words.TAG]
    values = [c for c in numbers if words.plain(c.name) in words.VALUE] or numbers
    if not numbers and len(by_name) == 1:  # every tag is a tag of states
        values = [c for c in texts if c not in by_name and words.plain(c.name) in words.VALUE]
    chosen = by_name if len(by_name) == 1 else tags
    if len(chosen) != 1 or len(values) != 1 or (len(numbers) > 1 and not by_name):
        return None
    tag, value = chosen[0], values[0]
    known = labels(tag, sample.rows)
    named = tag in by_name
    if named and words.plain(value.name) in words.VALUE and len(numbers) <= 1:
        certain = True
    elif words.plain(tag.name) in words.BATCH:
        return None
    else:
        repeated = _repeated(sample, clock, known.codes)
        like = all(map(words.looks_like_tag, known.names)) or named
        if not repeated and not like:
            return None  # a column of states beside one number
        certain = repeated and like
    form = LongForm(
        tag=tag.name,
        value=value.name,
        quality=doubts[0].name if doubts else None,
        unit=units[0].name if units else None,
    )
    return LikelyLong(form, clock, certain, known.names)


def ask(raw: RawTable, likely: LikelyLong) -> OpenQuestion:
    """Stop with both readings of a row that may be a value of a tag, or a row of a table with states."""
    row = 0
    columns = {column.name: column for column in raw.columns}
    cells = tuple(shown(columns[name], row) for name in raw.names)
    names = ", ".join(likely.tags[:_FEW]) + (" …" if len(likely.tags) > _FEW else "")
    question = LayoutQuestion(
        "shape",
        (
            Interpretation("long", say("shape.is_long", names=names, value=likely.form.value)),
            Interpretation("wide", say("shape.is_wide", column=likely.form.tag, value=likely.form.value)),
        ),
        row=cells,
        where=raw.at(row, likely.form.tag),
    )
    return OpenQuestion(
        "shape.which_shape", question=question, where=raw.where, column=likely.form.tag, value=likely.form.value
    )


def take_apart(raw: RawTable, plan: ReadPlan, form: LongForm, clock: str) -> Parts:
    """One series a tag of a table in long form.

    Raises InputError: data.missing_column, shape.no_tag, read.no_time, shape.too_many_tags, shape.two_units.
    """
    columns = {column.name: column for column in raw.columns}
    wanted = (form.tag, form.value, form.quality, form.unit, clock, plan.batch)
    for name in wanted:
        if name is not None and name not in columns:
            raise missing_column(name, raw.names, raw.where)
    value = columns[form.value]
    tag = labels(columns[form.tag], raw.rows)
    if len(tag.names) > MOST_TAGS:
        raise InputError("shape.too_many_tags", where=raw.where, column=form.tag, count=len(tag.names), limit=MOST_TAGS)
    batch = labels(columns[plan.batch], raw.rows) if plan.batch is not None else None
    groups = tag.codes if batch is None else tag.codes * (len(batch.names) + 1) + batch.codes
    times, notes = utc(raw, clock, plan, groups)
    filled_rows = filled(value, raw.rows)
    without = tag.codes < 0
    if (without & filled_rows).any():
        raise InputError("shape.no_tag", where=raw.at(int(np.argmax(without & filled_rows)), form.tag))
    lost = np.isnat(times) & ~without
    if lost.any():
        raise InputError("read.no_time", where=raw.at(int(np.argmax(lost)), clock))
    kept = ~without
    if batch is not None:
        notes.append(Note("converted", "shape.reason_no_batch", int((kept & (batch.codes < 0)).sum())))
        kept &= batch.codes >= 0
    if not kept.any():
        raise InputError("read.no_rows", where=raw.where)
    if form.quality is not None:
        quality = qualities(columns[form.quality], raw.rows, plan, raw)
        value, marked = quality.applied(value, raw.rows, "")
        notes += _by_tag(marked, quality.quality, tag.codes, tag.names)
    extra = [name for name in raw.names if name not in wanted]
    notes += [Note("converted", "shape.reason_long_extra", raw.rows, tag=name) for name in extra]
    series = _series(raw, value, tag.names, tag.codes, times, None if batch is None else batch.codes, kept)
    units = _units(raw, columns[form.unit], tag.codes, tag.names) if form.unit is not None else {}
    return Parts(
        series,
        clock,
        raw.where,
        raw.rows,
        batch=plan.batch,
        batch_names=() if batch is None else batch.names,
        units=units,
        notes=(*raw.notes, *notes),
        evidence=raw.evidence,
    )


def evidence(likely: LikelyLong, plan: ReadPlan) -> tuple[Evidence, ...]:
    """Why the table is in long form."""
    names = ", ".join(likely.tags[:_FEW]) + (" …" if len(likely.tags) > _FEW else "")
    values = {"column": likely.form.tag, "names": names, "value": likely.form.value}
    return (
        Evidence("shape", "long", "shape.evidence_long", values),
        Evidence("long", likely.form.model_dump(exclude_none=True), "shape.evidence_long", values),
        *(
            (Evidence("time", likely.clock, "shape.evidence_clock", {"column": likely.clock}),)
            if not plan.clock
            else ()
        ),
    )


def _series(
    raw: RawTable,
    value: RawColumn,
    names: Sequence[str],
    tags: Ints,
    times: NDArray[np.datetime64],
    batches: Ints | None,
    kept: NDArray[np.bool_],
) -> list[TagSeries]:
    """The cells of each tag in order of batch and time: sorted once for all tags."""
    ns = times.astype("datetime64[ns]").view("int64")
    rows = np.flatnonzero(kept)
    tag, time = tags[rows], ns[rows]
    batch = np.zeros(len(rows), np.int64) if batches is None else batches[rows]
    order = np.argsort(tag, kind="stable")  # timestamps within a tag are nearly always in order already
    rows, tag, time, batch = rows[order], tag[order], time[order], batch[order]
    bounds = np.searchsorted(tag, np.arange(len(names) + 1))
    number = raw.number
    made = []
    if value.texts is not None and value.texts.num_chunks != 1:
        value = replace(value, texts=_whole(value.texts))
    for code, name in enumerate(names):
        part = slice(bounds[code], bounds[code + 1])
        own, clock, of = rows[part], time[part], batch[part]
        ahead = (np.diff(of) > 0) | ((np.diff(of) == 0) & (np.diff(clock) >= 0))
        if not ahead.all():
            sorting = np.lexsort((clock, of))
            own, clock, of = own[sorting], clock[sorting], of[sorting]
        cells = _plain(replace(taken(value, own), name=name), len(own))
        made.append(TagSeries(cells, clock, of, raw.where, lambda row, own=own: number(int(own[row]))))  # type: ignore[misc]
    return [trend for trend in made if len(trend)]


def _whole(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([texts.combine_chunks()])


def _plain(cells: RawColumn, rows: int) -> RawColumn:
    """Cells without the arrays that are empty for this tag."""
    if cells.texts is not None and cells.texts.null_count == rows:
        cells = replace(cells, texts=None)
    if cells.numbers is not None and (cells.texts is not None or cells.times is not None):
        cells = replace(cells, numbers=cells.numbers if not np.isnan(cells.numbers).all() else None)
    if cells.times is not None and np.isnat(cells.times).all():
        cells = replace(cells, times=None)
    return cells


def _clock(raw: RawTable, plan: ReadPlan) -> str | None:
    from backmix.data.reading.assembly import axes_of

    try:
        return axes_of(raw, plan)[0]
    except InputError:
        return None


def _sample(raw: RawTable) -> RawTable:
    """The first rows, enough to see every tag a few times in most exports; all rows of a small table."""
    if raw.rows <= _SAMPLE:
        return raw
    spots = np.unique(np.concatenate([np.arange(_SAMPLE), np.linspace(0, raw.rows - 1, _SAMPLE).astype(np.intp)]))
    number = raw.number
    return replace(
        raw,
        columns=tuple(taken(column, spots) for column in raw.columns),
        rows=len(spots),
        number=lambda row: number(int(spots[row])),
    )


def _has_numbers(column: RawColumn, rows: int) -> bool:
    """Whether a column holds numbers, or numbers with texts in between."""
    from backmix.data.notation.cells import Survey

    if column.numbers is not None and not np.isnan(column.numbers).all():
        return True
    if column.texts is None or column.times is not None:
        return False
    survey = Survey()
    survey.add(column, rows)
    return survey.all_numbers > 0 and survey.all_numbers >= survey.others / 20


def _are_numbers_of_tags(column: RawColumn) -> bool:
    """Whether a column of whole numbers that come again may number the tags."""
    if column.numbers is None or column.texts is not None or column.times is not None:
        return False
    known = column.numbers[~np.isnan(column.numbers)]
    return (
        bool(len(known)) and bool((known == np.floor(known)).all()) and len(np.unique(known)) * _REPEATS <= len(known)
    )


def _names_tags(column: RawColumn, rows: int) -> bool:
    """Whether the texts of a column may be names of tags: few, without holes, no dates."""
    if column.texts is None or column.numbers is not None or column.times is not None:
        return False
    known = labels(column, rows)
    holes = 0.5 if words.plain(column.name) in words.TAG else 0.01
    return (
        bool((known.codes < 0).mean() <= holes)
        and 0 < len(known.names) * _REPEATS <= rows
        and not looks_like_dates(column.texts)
    )


def _repeated(raw: RawTable, clock: str, tags: Ints) -> bool:
    """Whether times come again with another tag, but (nearly) never with the same one."""
    column = next(column for column in raw.columns if column.name == clock)
    if column.times is not None:
        _, times = np.unique(column.times, return_inverse=True)
    else:
        times = labels(column, raw.rows).codes
    distinct = len(np.unique(times))
    both = len(np.unique(times.astype(np.int64) * (int(tags.max()) + 2) + tags))
    restarts = len(np.unique(tags)) > 1 and both > distinct
    return restarts and both >= 0.98 * raw.rows and distinct <= 0.8 * raw.rows


def _by_tag(marked: list[Note], quality: NDArray[np.uint8], tags: Ints, names: Sequence[str]) -> list[Note]:
    """The notes of a quality column, tag by tag."""
    if not marked:
        return []
    notes = []
    for note in marked:
        level = 2 if note.reason == "shape.reason_bad" else 1
        counts = np.bincount(tags[(quality == level) & (tags >= 0)], minlength=len(names))
        notes += [replace(note, tag=name, count=int(count)) for name, count in zip(names, counts, strict=True)]
    return notes


def _units(raw: RawTable, column: RawColumn, tags: Ints, names: Sequence[str]) -> dict[str, str]:
    """The unit of each tag. Raises InputError (shape.two_units) for a tag in two units."""
    known = labels(column, raw.rows)
    known_rows = (known.codes >= 0) & (tags >= 0)
    pairs = np.unique(tags[known_rows] * (len(known.names) + 1) + known.codes[known_rows])
    units: dict[str, str] = {}
    for pair in pairs:
        name, unit = names[pair // (len(known.names) + 1)], known.names[pair % (len(known.names) + 1)]
        if name in units:
            raise InputError("shape.two_units", where=raw.where, tag=name, unit=units[name], other=unit)
        units[name] = unit
    return units
