"""What the columns of a source mean.

This module decides whether a column holds numbers or classes, turns its cells into values or codes,
and says what was understood beyond the plain: notation, states in place of values, free text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.ledger import Note
from backmix.data.notation.cells import DISTINCT, FORMS, Decimal, Survey, is_state, read_numbers, trim
from backmix.data.notation.missing import Code, numbers_of, plain, taken_out, words_of
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import TagPlan
from backmix.data.tag import Tag
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS_AT_LEAST = 0.75
"""A column is one of numbers when at least this share of its cells, known states aside, is numbers."""
CLASSES = 100
"""So many classes at most, unless the plan says type = "text"; more different texts are free text."""
TRUTH = {"true": 1.0, "false": 0.0}
"""Truth values as texts: numbers 0 and 1, as a source with a type of its own for them delivers them."""
_BLOCK = 1 << 15

Bools = NDArray[np.bool_]
Place = Callable[[int, str], str]


@dataclass(frozen=True)
class Meaning:
    """What a column holds; ``classes`` are its names in alphabetical order, () for all that its cells show.

    words: whether even what a historian writes in place of a value is the name of a class
    """

    kind: Literal["number", "classes", "left out"]
    classes: tuple[str, ...] = ()
    truth: bool = False
    """The numbers are written as true (1) and false (0)."""
    words: bool = True
    """Every text is a class; else a state that a historian writes in place of a value is none."""


def meaning(name: str, survey: Survey, told: TagPlan | None, at: Place) -> Meaning:
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
            where=at(survey.first_word[word], name),
            column=name,
            numbers=numbers,
            texts=others,
            text=word[:60],
        )
    classes = [word for word in survey.words if wish == "text" or not is_state(word, among_numbers=False)]
    if wish in ("text", "state"):
        return Meaning("classes", words=wish == "text")  # numbers count as classes too, so the cells decide
    if others and wish is None and all(word.casefold() in TRUTH for word in survey.words if not is_state(word)):
        return Meaning("number", truth=True)
    if not others and len(classes) < 2:
        return Meaning("number")  # nothing but states, or nothing at all
    few = len(classes) <= 10 or len(classes) <= min(CLASSES, survey.others / 2)
    return Meaning("classes", tuple(sorted(classes))) if few else Meaning("left out")


def understood(surveys: Mapping[str, Survey], meanings: Mapping[str, Meaning], decimal: Decimal) -> list[Note]:
    """What was understood beyond the plain: notation, states in place of values, free text."""
    found: list[Note] = []
    for name, survey in surveys.items():
        kind = meanings[name].kind
        if kind == "left out":
            word = next(iter(survey.words))
            found.append(Note("converted", "read.reason_free_text", survey.others, tag=name, example=word[:60]))
            continue
        if kind == "number":
            commas = [
                form
                for form in FORMS
                if "comma" in form and "by_comma" not in form and (form != "comma_or_thousands" or decimal == ",")
            ]
            found += _notation(name, survey, commas, "read.reason_decimal_comma")
            found += _notation(name, survey, [form for form in FORMS if form not in commas], "read.reason_thousands")
            if decimal == "," and survey.forms["dot_or_thousands"]:
                found += _notation(name, survey, ["dot_or_thousands"], "read.reason_thousands")
            if meanings[name].truth:
                truths = {word: count for word, count in survey.words.items() if word.casefold() in TRUTH}
                found.append(
                    Note("converted", "read.reason_truth", sum(truths.values()), tag=name, example=next(iter(truths)))
                )
            if survey.widened:
                found.append(Note("converted", "read.reason_full_width", survey.widened, tag=name))
        states = (
            {word: count for word, count in survey.words.items() if not truth_of(meanings[name], word)}
            if kind == "number"
            else {
                word: count
                for word, count in survey.words.items()
                if (word not in meanings[name].classes and meanings[name].classes)
                or (not meanings[name].words and is_state(word, among_numbers=False))
            }
        )
        found += [
            Note("marked", "read.reason_status_text", count, tag=name, example=word) for word, count in states.items()
        ]
        told_apart = sum(survey.words.values())
        if kind == "number" and survey.others > told_apart:
            found.append(Note("marked", "read.reason_status_text", survey.others - told_apart, tag=name, example="…"))
    return found


def _notation(name: str, survey: Survey, forms: list[str], reason: str) -> list[Note]:
    found = [form for form in forms if survey.forms[form]]
    if not found:
        return []
    return [
        Note(
            "converted", reason, sum(survey.forms[form] for form in found), tag=name, example=survey.first[found[0]][1]
        )
    ]


def values(
    columns: list[RawColumn],
    meanings: dict[str, Meaning],
    rows: int,
    decimal: Decimal,
    missing: Sequence[Code] | None = None,
) -> tuple[NDArray[np.float64], dict[str, Bools], list[Note]]:
    """The values (N, F), per column where an infinite number was taken out, and which codes for "no value" were.

    missing: the codes that the plan names
    """
    read: list[NDArray[np.float64]] = []
    notes: list[Note] = []
    infinite = {}
    for whole in columns:
        column = without_words(whole, missing, numbers=meanings[whole.name].kind == "classes")
        if missing and (words := _filled(whole) - _filled(column)):
            notes.append(Note("marked", "read.reason_missing_code", words, tag=column.name, example=_example(missing)))
        if meanings[column.name].kind == "classes":
            codes, names = _codes(column, meanings[column.name], rows)
            meanings[column.name] = Meaning("classes", names, words=meanings[column.name].words)
            read.append(codes)
            continue
        if meanings[column.name].truth:
            read.append(_truths(column, rows))
            continue
        numbers, counts = taken_out(read_numbers(column, rows, decimal), numbers_of(missing))
        notes += [
            Note("marked", "read.reason_missing_code", count, tag=column.name, example=f"{code:.15g}")
            for code, count in counts.items()
        ]
        endless = np.isinf(numbers)
        if endless.any():
            numbers = np.where(endless, np.nan, numbers)
            infinite[column.name] = endless
        read.append(numbers)
    if (block := _block(read, rows)) is not None:
        return block, infinite, notes
    made = np.empty((rows, len(columns)))
    for start in range(0, rows, _BLOCK):  # blocks that fit the cache: columns come in, rows go out
        stop = min(rows, start + _BLOCK)
        made[start:stop] = np.array([column[start:stop] for column in read]).T.reshape(stop - start, -1)
    return made, infinite, notes


def truth_of(meant: Meaning, word: str) -> bool:
    """Whether a word is a truth value of a column that holds such."""
    return meant.truth and word.casefold() in TRUTH


def _truths(column: RawColumn, rows: int) -> NDArray[np.float64]:
    """1 where a cell says true, 0 where it says false, NaN elsewhere."""
    import pyarrow.compute as pc

    words = pc.utf8_lower(names_of(column, rows))
    true, false = (pc.fill_null(pc.equal(words, word), False).to_numpy(zero_copy_only=False) for word in TRUTH)
    return np.where(true, 1.0, np.where(false, 0.0, np.nan))


def _block(columns: list[NDArray[np.float64]], rows: int) -> NDArray[np.float64] | None:
    """The block (N, F) whose columns these already are, in this order."""
    base = columns[0].base if columns else None
    if not isinstance(base, np.ndarray) or base.ndim != 2 or base.dtype != np.float64 or base.shape[1] != len(columns):
        return None
    first = base.__array_interface__["data"][0]
    there = [column.base is base and column.__array_interface__["data"][0] for column in columns]
    if there != [first + 8 * index for index in range(len(columns))] or any(
        column.strides != base.strides[:1] for column in columns
    ):
        return None
    return base[:rows]


def without_words(column: RawColumn, missing: Sequence[Code] | None, *, numbers: bool) -> RawColumn:
    """A column less the texts that the plan calls codes for "no value".

    numbers: whether codes that are numbers go, too, where they are written plainly
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = words_of([code for code in missing or () if isinstance(code, str)])
    written = words_of([code for code in missing or () if numbers and not isinstance(code, str)])
    if not (texts or written) or column.texts is None:
        return column
    chunks = []
    for chunk in column.texts.chunks:
        cells = trim(chunk)
        gone = [word for word in pc.unique(cells).to_pylist() if word and plain(word) in texts] if texts else []
        found = pc.is_in(cells, value_set=pa.array([*gone, *written], cells.type))
        chunks.append(pc.if_else(found, pa.scalar(None, chunk.type), chunk))
    return replace(column, texts=pa.chunked_array(chunks, column.texts.type))


def _filled(column: RawColumn) -> int:
    """How many cells hold a text."""
    return 0 if column.texts is None else len(column.texts) - column.texts.null_count


def _example(missing: Sequence[Code]) -> str:
    return ", ".join(str(code) for code in missing[:4])


def _codes(column: RawColumn, meant: Meaning, rows: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Codes of the cells into the classes, and the classes: those given, else every word there is."""
    import pyarrow.compute as pc

    words = names_of(_spoken(column), rows)
    found = set(pc.unique(words).to_pylist()) - {None}
    names = meant.classes or tuple(
        sorted(name for name in found if meant.words or not is_state(name, among_numbers=False))
    )
    if len(names) > DISTINCT:
        raise InputError("read.too_many_classes", where=column.name, count=len(names), limit=DISTINCT)
    import pyarrow as pa

    codes = pc.index_in(words, value_set=pa.array(names, words.type))
    return pc.cast(codes, pa.float64()).to_numpy(zero_copy_only=False), names


def _spoken(column: RawColumn) -> RawColumn:
    """A column of truth values in words, as files of text have them."""
    import pyarrow as pa

    if not column.truth or column.numbers is None:
        return column
    written = [None if np.isnan(number) else str(bool(number)) for number in column.numbers]
    return RawColumn(column.name, texts=pa.chunked_array([pa.array(written, pa.large_string())]))


def names_of(column: RawColumn, rows: int) -> pa.Array:
    """The cells of a column as words; numbers as people write them (7 rather than 7.0)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pa.nulls(rows, pa.large_string())
    if column.texts is not None:
        words = trim(pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in column.texts.chunks]))
        words = pc.if_else(pc.equal(words, ""), pa.scalar(None, words.type), words)
    if column.numbers is not None:
        written = np.array([None if np.isnan(number) else f"{number:.15g}" for number in column.numbers], object)
        words = pc.coalesce(words, pa.array(written, pa.large_string()))
    if column.times is not None:
        written = np.datetime_as_string(column.times, unit="s").astype(object)
        written[np.isnat(column.times)] = None
        words = pc.coalesce(words, pa.array(written, pa.large_string()))
    return words


def tag_of(name: str, meant: Meaning, told: TagPlan | None, raw: RawTable) -> Tag:
    """The tag of a column: what the plan says of it counts before what the header says."""
    unit, description = raw.units.get(name, ""), raw.descriptions.get(name, "")
    if told is None:
        return Tag(name, unit=unit, description=description, categories=meant.classes)
    return Tag(
        name,
        unit=told.unit or unit,
        role=told.role or "input",
        low=told.low,
        high=told.high,
        description=told.description or description,
        categories=meant.classes,
    )
