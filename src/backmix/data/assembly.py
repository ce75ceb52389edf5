"""From raw columns to a table.

This module gives raw columns their meaning, by the same rules for every source: which column is
the clock, which names the batches, which hold numbers and which classes, in what order rows stand,
and what becomes of rows that occur twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.cells import DISTINCT, FORMS, Decimal, Survey, decimal_mark, is_state, read_numbers, trim
from backmix.data.clock import check_unzoned, to_utc
from backmix.data.columns import RawColumn, RawTable, Times
from backmix.data.dates import Dates, looks_like_dates, read_dates
from backmix.data.ledger import Ledger, Note
from backmix.data.quality import Quality
from backmix.data.reading import Reading, ReadPlan, TagPlan
from backmix.data.row_order import settle_rows
from backmix.data.table import Table, missing_column
from backmix.data.tag import Tag
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS_AT_LEAST = 0.75
"""A column is one of numbers when at least this share of its cells, known states aside, is numbers."""
CLASSES = 100
"""So many classes at most, unless the plan says type = "text"; more different texts are free text."""
_BLOCK = 1 << 15

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Meaning:
    """What a column holds; ``classes`` are its names in alphabetical order."""

    kind: Literal["number", "classes", "left out"]
    classes: tuple[str, ...] = ()


def assemble(raw: RawTable, plan: ReadPlan) -> Reading:
    """The table of a source, with the ledger of what was done to it.

    Raises InputError with ``source:row:column`` for what cannot be used as it is.
    """
    if raw.rows == 0:
        raise InputError("read.no_rows", where=raw.where)
    notes = list(raw.notes)
    if len(set(raw.names)) < len(raw.names):
        twice = next(name for name in raw.names if raw.names.count(name) > 1)
        raise InputError("data.duplicate_column", where=raw.where, column=twice)
    for tag in plan.tags:
        _find(raw, tag.name)
    clock = _find(raw, plan.time) if plan.time is not None else _only_clock(raw, plan)
    batch = _find(raw, plan.batch) if plan.batch is not None else None
    if clock is not None and plan.time is None:
        notes.append(Note("converted", "read.reason_time_found", raw.rows, tag=clock.name))
    rest = [column for column in raw.columns if column is not clock and column is not batch]
    told = {tag.name: tag for tag in plan.tags}
    rest = _without_dates(rest, told, notes)

    surveys = {column.name: Survey() for column in rest}
    for column in rest:
        surveys[column.name].add(column, raw.rows)
    meanings = {name: meaning(name, survey, told.get(name), raw) for name, survey in surveys.items()}
    numeric = {name: survey for name, survey in surveys.items() if meanings[name].kind == "number"}
    decimal = decimal_mark(numeric, plan.decimal, raw.at)
    notes += _notes(surveys, meanings, raw, decimal)

    kept = [column for column in rest if meanings[column.name].kind != "left out"]
    values, bad = _values(kept, meanings, raw.rows, decimal)
    notes += [Note("marked", "read.reason_infinite", int(bad[name].sum()), tag=name) for name in bad]
    for column in kept:
        plain = column.name in told and "role" in told[column.name].model_fields_set
        if plain and told[column.name].role == "input" and np.isnan(values[:, kept.index(column)]).all():
            raise InputError("read.all_missing", where=raw.where, column=column.name)
    tags = tuple(_tag(column.name, meanings[column.name], told.get(column.name)) for column in kept)
    return _with_axes(raw, plan, clock, batch, values, tags, notes)


def meaning(name: str, survey: Survey, told: TagPlan | None, raw: RawTable) -> Meaning:
    """Whether a column holds numbers or classes, from what its cells look like and what the plan says.

    Raises InputError (read.mixed) for a mixture that could be either.
    """
    wish = told.type if told is not None else None
    numbers, states = survey.all_numbers, survey.states()
    others = survey.others - states
    if wish == "number" or (wish is None and numbers and numbers >= NUMBERS_AT_LEAST * (numbers + others)):
        return Meaning("number")
    if wish is None and numbers:
        word = next(word for word in survey.words if not is_state(word))
        raise InputError(
            "read.mixed",
            where=raw.at(survey.first_word[word], name),
            column=name,
            numbers=numbers,
            texts=others,
            text=word[:60],
        )
    classes = [word for word in survey.words if wish == "text" or not is_state(word, among_numbers=False)]
    if wish == "text":
        return Meaning("classes")  # numbers count as classes too, so the cells decide
    if not others:
        return Meaning("number")  # nothing but states, or nothing at all
    few = len(classes) <= 10 or len(classes) <= min(CLASSES, survey.others / 2)
    return Meaning("classes", tuple(sorted(classes))) if few else Meaning("left out")


def _find(raw: RawTable, name: str) -> RawColumn:
    for column in raw.columns:
        if column.name == name:
            return column
    raise missing_column(name, raw.names, raw.where)


def _only_clock(raw: RawTable, plan: ReadPlan) -> RawColumn | None:
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
    return found[0] if found else None


def _without_dates(
    columns: list[RawColumn], told: Mapping[str, TagPlan], notes: list[Note]
) -> list[RawColumn]:
    """Leave out further columns of dates: a date is neither a number nor a class."""
    kept = []
    for column in columns:
        if column.times is None:
            dates = column.numbers is None and column.texts is not None and looks_like_dates(column.texts)
            if not dates or (column.name in told and told[column.name].type is not None):
                kept.append(column)
                continue
        rows = len(column.times) if column.times is not None else len(column.texts or ())
        notes.append(Note("converted", "read.reason_dates_left_out", rows, tag=column.name))
    return kept


def _notes(
    surveys: Mapping[str, Survey], meanings: Mapping[str, Meaning], raw: RawTable, decimal: Decimal
) -> list[Note]:
    """What was understood beyond the plain: notation, states in place of values, free text."""
    notes = []
    for name, survey in surveys.items():
        kind = meanings[name].kind
        if kind == "left out":
            word = next(iter(survey.words))
            notes.append(
                Note("converted", "read.reason_free_text", survey.others, tag=name, example=word[:60])
            )
            continue
        if kind == "number":
            commas = [
                form
                for form in FORMS
                if "comma" in form
                and "by_comma" not in form
                and (form != "comma_or_thousands" or decimal == ",")
            ]
            notes += _notation(name, survey, commas, "read.reason_decimal_comma")
            notes += _notation(
                name, survey, [form for form in FORMS if form not in commas], "read.reason_thousands"
            )
            if decimal == "," and survey.forms["dot_or_thousands"]:
                notes += _notation(name, survey, ["dot_or_thousands"], "read.reason_thousands")
            if survey.widened:
                notes.append(Note("converted", "read.reason_full_width", survey.widened, tag=name))
        states = (
            survey.words
            if kind == "number"
            else {
                word: count
                for word, count in survey.words.items()
                if word not in meanings[name].classes and meanings[name].classes
            }
        )
        notes += [
            Note("marked", "read.reason_status_text", count, tag=name, example=word)
            for word, count in states.items()
        ]
        told_apart = sum(survey.words.values())
        if kind == "number" and survey.others > told_apart:
            notes.append(
                Note("marked", "read.reason_status_text", survey.others - told_apart, tag=name, example="…")
            )
    return notes


def _notation(name: str, survey: Survey, forms: list[str], reason: str) -> list[Note]:
    found = [form for form in forms if survey.forms[form]]
    if not found:
        return []
    return [
        Note(
            "converted",
            reason,
            sum(survey.forms[form] for form in found),
            tag=name,
            example=survey.first[found[0]][1],
        )
    ]


def _values(
    columns: list[RawColumn], meanings: dict[str, Meaning], rows: int, decimal: Decimal
) -> tuple[NDArray[np.float64], dict[str, Bools]]:
    """The values (N, F), and per column where an infinite number was taken out."""
    read: list[NDArray[np.float64]] = []
    infinite = {}
    for column in columns:
        if meanings[column.name].kind == "classes":
            codes, names = _codes(column, meanings[column.name].classes, rows)
            meanings[column.name] = Meaning("classes", names)
            read.append(codes)
            continue
        numbers = read_numbers(column, rows, decimal)
        endless = np.isinf(numbers)
        if endless.any():
            numbers[endless] = np.nan
            infinite[column.name] = endless
        read.append(numbers)
    values = np.empty((rows, len(columns)))
    for start in range(0, rows, _BLOCK):  # blocks that fit the cache: columns come in, rows go out
        stop = min(rows, start + _BLOCK)
        values[start:stop] = np.array([column[start:stop] for column in read]).T.reshape(stop - start, -1)
    return values, infinite


def _codes(
    column: RawColumn, classes: tuple[str, ...], rows: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Codes of the cells into the classes, and the classes: those given, else every word there is."""
    import pyarrow.compute as pc

    words = names_of(column, rows)
    found = set(pc.unique(words).to_pylist()) - {None}
    names = classes or tuple(sorted(found))
    if len(names) > DISTINCT:
        raise InputError("read.too_many_classes", where=column.name, count=len(names), limit=DISTINCT)
    import pyarrow as pa

    codes = pc.index_in(words, value_set=pa.array(names, words.type))
    return pc.cast(codes, pa.float64()).to_numpy(zero_copy_only=False), names


def names_of(column: RawColumn, rows: int) -> pa.Array:
    """The cells of a column as words; numbers as people write them (7 rather than 7.0)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pa.nulls(rows, pa.large_string())
    if column.texts is not None:
        words = trim(pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in column.texts.chunks]))
        words = pc.if_else(pc.equal(words, ""), pa.scalar(None, words.type), words)
    if column.numbers is not None:
        written = np.array(
            [None if np.isnan(number) else f"{number:.15g}" for number in column.numbers], object
        )
        words = pc.coalesce(words, pa.array(written, pa.large_string()))
    if column.times is not None:
        written = np.datetime_as_string(column.times, unit="s").astype(object)
        written[np.isnat(column.times)] = None
        words = pc.coalesce(words, pa.array(written, pa.large_string()))
    return words


def _tag(name: str, meant: Meaning, told: TagPlan | None) -> Tag:
    if told is None:
        return Tag(name, categories=meant.classes)
    return Tag(
        name,
        unit=told.unit,
        role=told.role,
        low=told.low,
        high=told.high,
        description=told.description,
        categories=meant.classes,
    )


def _with_axes(
    raw: RawTable,
    plan: ReadPlan,
    clock: RawColumn | None,
    batch: RawColumn | None,
    values: NDArray[np.float64],
    tags: tuple[Tag, ...],
    notes: list[Note],
) -> Reading:
    """Give the values their clock and batches, and the rows their order."""
    kept = np.arange(raw.rows)
    dates = _dates(clock, raw, plan.day_first) if clock is not None else None
    codes, names = _batches(batch, raw) if batch is not None else (None, ())
    if dates is not None or codes is not None:
        gone = np.isnan(values).all(axis=1)
        lost = np.isnat(dates.times) if dates is not None else codes < 0  # type: ignore[operator]
        blank = gone & lost
        without = ~blank & (codes < 0) if codes is not None else np.zeros(raw.rows, bool)
        notes += [
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
        values = values[kept]
    if codes is not None:
        codes = codes[kept]
    time = None
    if dates is not None:
        assert clock is not None
        time = _utc(dates, kept, codes, plan.time_zone, lambda row: raw.at(int(kept[row]), clock.name))
        notes += dates.notes
        if not dates.aware:
            reason = "read.reason_no_zone" if plan.time_zone is None else "read.reason_zone"
            notes.append(Note("converted", reason, len(kept), tag=clock.name, example=plan.time_zone or ""))
    # no quality where everything is good exactly where it is a number, which is what None means
    doubt = (
        np.where(np.isnan(values), Quality.BAD, Quality.GOOD).astype(np.uint8)
        if any(note.action == "marked" for note in notes)
        else None
    )
    table = Table(values, tags, time=time, batch=codes, batch_names=names, quality=doubt, source=raw.where)
    table, settled = settle_rows(
        table,
        plan.duplicates,
        lambda row: raw.number(int(kept[row])),
        clock.name if clock is not None else "",
    )
    return Reading(table, Ledger(read=raw.rows).add(*notes, *settled))


def _dates(clock: RawColumn, raw: RawTable, day_first: bool | None) -> Dates:
    """The times of the clock column, from cells that are times, texts, or digits such as 20240502."""
    place: Callable[[int], str] = lambda row: raw.at(row, clock.name)  # noqa: E731
    if clock.numbers is not None:
        numbers = clock.numbers[~np.isnan(clock.numbers)]
        whole = np.isfinite(numbers).all() and bool((numbers == np.floor(numbers)).all())
        digits = np.char.str_len(numbers.astype("int64").astype(str)) if whole else np.zeros(1, int)
        if clock.times is not None or not np.isin(digits, (7, 8, 12, 14)).all():
            raise InputError(
                "read.time_is_number",
                where=place(int(np.argmax(~np.isnan(clock.numbers)))),
                column=clock.name,
            )
        return read_dates(_chunked(names_of(clock, raw.rows)), tag=clock.name, day_first=day_first, at=place)
    if clock.texts is None:
        times = clock.times if clock.times is not None else np.full(raw.rows, np.datetime64("NaT", "ns"))
        return Dates(times, clock.aware)
    written = read_dates(clock.texts, tag=clock.name, day_first=day_first, at=place)
    if clock.times is None:
        return written
    if written.aware != clock.aware and not np.isnat(written.times).all():
        raise InputError("read.mixed_clocks", where=place(int(np.argmax(~np.isnat(written.times)))), text="")
    return Dates(np.where(np.isnat(clock.times), written.times, clock.times), clock.aware, written.notes)


def _chunked(words: pa.Array) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([words])


def _utc(
    dates: Dates,
    kept: NDArray[np.intp],
    codes: NDArray[np.int32] | None,
    zone: str | None,
    place: Callable[[int], str],
) -> Times:
    wall = dates.times[kept]
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
