"""From raw columns to a table.

This module gives raw columns their meaning, by the same rules for every source: which column is
the clock, which names the batches, which hold numbers and which classes, in what order rows stand,
and what becomes of rows that occur twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.clock import looks_like_clock
from backmix.data.layout.same_time import cause
from backmix.data.ledger import Ledger, Note
from backmix.data.notation.cells import Decimal, Survey, decimal_mark
from backmix.data.notation.clock import check_unzoned, to_utc
from backmix.data.notation.column_times import TICKS, as_numbers, column_times
from backmix.data.notation.dates import Dates, looks_like_dates
from backmix.data.quality import Quality
from backmix.data.reading.columns import RawColumn, RawTable, Times
from backmix.data.reading.meaning import Meaning, meaning, names_of, tag_of, understood, values, without_words
from backmix.data.reading.reading import Reading, ReadPlan, TagPlan
from backmix.data.reading.row_order import settle_rows
from backmix.data.table import Table, missing_column
from backmix.data.tag import Tag
from backmix.errors import InputError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class ColumnRoles:
    """What the columns of a source are for, and how the cells of the tags are to be read.

    clock, batch: names of the columns that become axes
    tags: names of the columns that become tags, with their meaning
    """

    clock: str | None
    batch: str | None
    tags: Mapping[str, Meaning]
    decimal: Decimal
    notes: tuple[Note, ...]


def assemble(raw: RawTable, plan: ReadPlan, needed: Collection[str] | None = None) -> Reading:
    """The table of a source, with the ledger of what was done to it.

    needed: the described tags that must be there; None for all of them
    Raises InputError with ``source:row:column`` for what cannot be used as it is.
    """
    found = lay_out([raw], plan, needed)
    made, tags, marked = cells_of(raw, found, plan)
    if not tags:
        raise InputError("read.no_tags", where=raw.where, names=", ".join(raw.names[:12]))
    inputs = {tag.name for tag in plan.tags if tag.role == "input"}
    for index, tag in enumerate(tags):
        if tag.name in inputs and np.isnan(made[:, index]).all():
            raise InputError("read.all_missing", where=raw.where, column=tag.name)
    return with_axes(raw, plan, found, cells=made, tags=tags, notes=marked)


def lay_out(blocks: Iterable[RawTable], plan: ReadPlan, needed: Collection[str] | None = None) -> ColumnRoles:
    """Look at every cell of a source, block by block, and decide what its columns are."""
    told = {tag.name: tag for tag in plan.tags}
    clock = batch = None
    surveys: dict[str, Survey] = {}
    found: list[Note] = []
    start, first = 0, None
    for raw in blocks:
        if first is None:
            first = raw
            _check_names(raw, plan, needed)
            clock, batch = axes_of(raw, plan)
            rest = [column for column in raw.columns if column.name not in (clock, batch)]
            surveys = {column.name: Survey() for column in _without_dates(rest, told, raw.rows, found)}
        for column in raw.columns:
            if column.name in surveys:
                surveys[column.name].add(without_words(column, plan.missing, numbers=True), raw.rows, start)
        start += raw.rows
    if first is None or start == 0:
        raise InputError("read.no_rows", where=first.where if first is not None else plan.file)
    found = [*first.notes, *found]
    if clock is not None and plan.time is None:
        found.append(Note("converted", "read.reason_time_found", start, tag=clock))
    meanings = {name: meaning(name, survey, told.get(name), first.at) for name, survey in surveys.items()}
    numeric = {name: survey for name, survey in surveys.items() if meanings[name].kind == "number"}
    decimal = decimal_mark(numeric, plan.decimal, first.at)
    found += understood(surveys, meanings, decimal)
    kept = {name: meant for name, meant in meanings.items() if meant.kind != "left out"}
    return ColumnRoles(clock, batch, kept, decimal, tuple(found))


def cells_of(
    raw: RawTable, found: ColumnRoles, plan: ReadPlan
) -> tuple[NDArray[np.float64], tuple[Tag, ...], list[Note]]:
    """The values (N, F) of the tags, the tags, and how many infinite numbers were taken out."""
    told = {tag.name: tag for tag in plan.tags}
    meanings = dict(found.tags)
    made, infinite, coded = values(
        [column for column in raw.columns if column.name in meanings], meanings, raw.rows, found.decimal, plan.missing
    )
    tags = tuple(
        tag_of(column.name, meanings[column.name], told.get(column.name), raw)
        for column in raw.columns
        if column.name in meanings
    )
    for at, tag in enumerate(tags):
        if tag.name in told and told[tag.name].same:
            tags, made[:, at], merged = _merged(tags, at, made[:, at], told[tag.name].same)
            coded.append(merged)
    return (
        made,
        tags,
        [Note("marked", "read.reason_infinite", int(mask.sum()), tag=name) for name, mask in infinite.items()] + coded,
    )


def _merged(
    tags: tuple[Tag, ...], at: int, codes: NDArray[np.float64], same: Mapping[str, str]
) -> tuple[tuple[Tag, ...], NDArray[np.float64], Note]:
    """The tags and the codes of one of them with the names of states that mean the same made one."""
    tag = tags[at]
    names = tuple(sorted({same.get(name, name) for name in tag.categories}))
    place = np.array([names.index(same.get(name, name)) for name in tag.categories] + [np.nan])
    moved = np.array([name in same for name in tag.categories] + [False])
    known = np.where(np.isnan(codes), len(tag.categories), codes).astype(np.intp)
    shown = next((f"{name} → {same[name]}" for name in tag.categories if name in same), "")
    note = Note("converted", "read.reason_same_state", int(moved[known].sum()), tag=tag.name, example=shown)
    return (*tags[:at], replace(tag, categories=names), *tags[at + 1 :]), place[known], note


def axes_of(raw: RawTable, plan: ReadPlan) -> tuple[str | None, str | None]:
    """The names of the clock and the batch column, as told or, for the clock, as found."""
    return (plan.clock[0] if plan.clock else _only_clock(raw, plan)), plan.batch


class ColumnTimes(NamedTuple):
    """The times of a column in UTC, (N,), NaT where a cell is empty; and how they were read."""

    utc: Times
    notes: tuple[Note, ...]


def moments(raw: RawTable, name: str, plan: ReadPlan) -> ColumnTimes:
    """The times of a column that is not the clock of its table; they may come in any order.

    Raises InputError for cells that are no times, as for the clock.
    """
    column = next(column for column in raw.columns if column.name == name)
    form = plan.time_form if plan.time_form in (*TICKS, "date", "year_first", "republic") else None
    if form in TICKS and as_numbers(column).texts is not None:
        form = None
    dates = column_times(column, raw, day_first=plan.day_first, form=form, zone=plan.time_zone)
    if dates.aware:
        return ColumnTimes(dates.times, dates.notes)
    reason = "read.reason_no_zone" if plan.time_zone is None else "read.reason_zone"
    note = Note("converted", reason, raw.rows, tag=name, example=plan.time_zone or "")
    times = dates.times
    if plan.time_zone is not None:
        times = to_utc(times, plan.time_zone, groups=None, at=lambda row: raw.at(row, name))
    return ColumnTimes(times, (*dates.notes, note))


def _check_names(raw: RawTable, plan: ReadPlan, needed: Collection[str] | None) -> None:
    """Every column once, and every column that the plan names."""
    for name, count in Counter(raw.names).items():
        if count > 1:
            raise InputError("data.duplicate_column", where=raw.where, column=name)
    described = [tag.name for tag in plan.tags if needed is None or tag.name in needed]
    for wanted in (*plan.clock, plan.batch, *described):
        if wanted is not None and wanted not in raw.names:
            raise missing_column(wanted, raw.names, raw.where)


def _only_clock(raw: RawTable, plan: ReadPlan) -> str | None:
    """The only column of dates, when the plan names none."""
    named = {tag.name for tag in plan.tags} | {plan.batch}
    found = [
        column
        for column in raw.columns
        if column.name not in named
        and column.numbers is None
        and (column.times is not None or (column.texts is not None and looks_like_dates(column.texts)))
    ]
    if len(found) > 1:
        raise InputError("read.which_time", where=raw.where, names=", ".join(column.name for column in found))
    return found[0].name if found else None


def _without_dates(
    columns: list[RawColumn], told: Mapping[str, TagPlan], rows: int, notes: list[Note]
) -> list[RawColumn]:
    """Leave out further columns of dates: a date is neither a number nor a class."""
    kept = []
    for column in columns:
        if column.times is None:
            dates = looks_like_clock(column)
            if not dates or (column.name in told and (told[column.name].type is not None or column.texts is None)):
                kept.append(column)
                continue
        notes.append(Note("converted", "read.reason_dates_left_out", rows, tag=column.name))
    return kept


def with_axes(
    raw: RawTable,
    plan: ReadPlan,
    layout: ColumnRoles,
    *,
    cells: NDArray[np.float64],
    tags: tuple[Tag, ...],
    notes: Iterable[Note],
) -> Reading:
    """Give the cells (N, F) of the tags their clock and batches, and the rows their order."""
    columns = {column.name: column for column in raw.columns}
    clock = columns[layout.clock] if layout.clock is not None else None
    batch = columns[layout.batch] if layout.batch is not None else None
    found = [*layout.notes, *notes]
    kept = np.arange(raw.rows)
    dates = (
        column_times(clock, raw, day_first=plan.day_first, form=plan.time_form, zone=plan.time_zone)
        if clock is not None
        else None
    )
    codes, names = _batches(batch, raw) if batch is not None else (None, ())
    if dates is not None or codes is not None:
        gone = np.isnan(cells).all(axis=1)
        lost = np.isnat(dates.times) if dates is not None else codes < 0  # type: ignore[operator]
        blank = gone & lost
        without = ~blank & (codes < 0) if codes is not None else np.zeros(raw.rows, bool)
        found += [
            Note("dropped", "read.reason_blank_row", int(blank.sum())),
            Note("dropped", "read.reason_no_batch", int(without.sum())),
        ]
        if dates is not None and (lost & ~blank & ~without).any():
            row = int(np.argmax(lost & ~blank & ~without))
            raise InputError("read.no_time", where=raw.at(row, clock.name))  # type: ignore[union-attr]
        kept = np.flatnonzero(~blank & ~without)
        if not len(kept):
            raise InputError("read.no_rows", where=raw.where)
    if len(kept) < raw.rows:
        cells = cells[kept]
    if codes is not None:
        codes = codes[kept]
    time = None
    if dates is not None:
        assert clock is not None
        time = _utc(dates, kept, codes, plan.time_zone, lambda row: raw.at(int(kept[row]), clock.name))
        found += dates.notes
        if not dates.aware:
            reason = "read.reason_no_zone" if plan.time_zone is None else "read.reason_zone"
            found.append(Note("converted", reason, len(kept), tag=clock.name, example=plan.time_zone or ""))
    doubt = _doubt(cells, [columns[tag.name].quality for tag in tags], kept, found)
    table = Table(
        cells,
        tags,
        time=time,
        batch=codes,
        batch_names=names,
        quality=doubt,
        source=raw.where,
        time_zone=plan.time_zone if time is not None else None,
    )
    table, settled = settle_rows(
        table,
        plan.duplicates,
        lambda row: raw.number(int(kept[row])),
        clock.name if clock is not None else "",
        lambda clash: cause(clash, raw, kept, plan),
    )
    evidence = (*raw.evidence, *(dates.evidence if dates is not None else ()))
    above = sum(note.count for note in raw.notes if note.action == "dropped")  # rows that the source left out itself
    return Reading(table, Ledger(read=raw.rows + above).add(*found, *settled), evidence)


def _doubt(
    cells: NDArray[np.float64], said: list[NDArray[np.uint8] | None], kept: NDArray[np.intp], notes: list[Note]
) -> NDArray[np.uint8] | None:
    """The quality of the cells (N, F), what the source itself ``said`` of each tag included.

    None where everything is good exactly where it is a number, which is what None means.
    """
    own = [quality is not None and bool((quality[kept] == Quality.UNCERTAIN).any()) for quality in said]
    if not any(own) and not any(note.action == "marked" for note in notes):
        return None
    doubt = np.zeros(cells.shape, np.uint8)
    for at, quality in enumerate(said):
        if own[at] and quality is not None:
            doubt[:, at] = quality[kept]
    doubt[np.isnan(cells)] = Quality.BAD
    return doubt


def _utc(
    dates: Dates, kept: NDArray[np.intp], codes: NDArray[np.int32] | None, zone: str | None, place: Callable[[int], str]
) -> Times:
    wall = dates.times[kept] if len(kept) < len(dates.times) else dates.times
    if dates.aware:
        return wall
    if zone is not None:
        return to_utc(wall, zone, groups=codes, at=place)
    check_unzoned(wall, groups=codes, at=place)
    return wall


def _batches(batch: RawColumn, raw: RawTable) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Codes of the batches in order of appearance, -1 for a row without; and their names."""
    import pyarrow.compute as pc

    words = names_of(batch, raw.rows)
    names = [name for name in pc.unique(words).to_pylist() if name is not None]
    if not names:
        raise InputError("read.all_missing", where=raw.where, column=batch.name)
    import pyarrow as pa

    codes = pc.fill_null(pc.index_in(words, value_set=pa.array(names, words.type)), -1)
    return codes.to_numpy(zero_copy_only=False).astype(np.int32), tuple(names)
