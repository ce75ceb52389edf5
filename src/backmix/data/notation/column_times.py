"""The times of one column, whatever they are written in.

This module reads a column of times, of texts, or of numbers (20240502, seconds since 1970, days of a spreadsheet).
Numbers that could be two kinds of time are a question.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.notation.cells import PLAIN
from backmix.data.notation.dates import Dates, read_dates
from backmix.data.notation.ticks import COMPACT_WIDTHS, ELAPSED, EPOCHS, SERIALS, forms_of, read_ticks
from backmix.data.reading.columns import NAT, RawColumn, RawTable, Times
from backmix.data.reading.meaning import names_of
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

TICKS = (*EPOCHS, *SERIALS, *ELAPSED)


def column_times(
    column: RawColumn, raw: RawTable, *, day_first: bool | None, form: str | None = None, zone: str | None = None
) -> Dates:
    """The times of a column; ``form`` as in ``[data] time_form``.

    Raises InputError for a cell that is no time, OpenQuestion for a column that may be read in two ways.
    """
    place: Callable[[int], str] = lambda row: raw.at(row, column.name)  # noqa: E731
    if column.times is None and (form in TICKS or _all_numbers(column)):
        numbers = numbers_of(column, raw)
        compact = _digits_alone(numbers)
        certain = form in TICKS or (form is not None and "date" in forms_of(numbers[~np.isnan(numbers)]))
        known = form if certain or (compact and form is not None) else _form(numbers, column, place, compact)
        if known in TICKS:
            evidence = () if form is not None else (_why(numbers, column, known),)
            return Dates(_ticks(column, numbers, known, raw), known in EPOCHS, (), evidence)
        words = _chunked(names_of(column, raw.rows))
        return read_dates(words, tag=column.name, day_first=day_first, at=place, form=form, zone=zone)
    if column.numbers is not None:
        row = int(np.argmax(~np.isnan(column.numbers)))
        raise InputError("read.time_is_number", where=place(row), column=column.name)
    if column.texts is None:
        times = column.times if column.times is not None else np.full(raw.rows, NAT)
        return Dates(times, column.aware)
    try:
        written = read_dates(column.texts, tag=column.name, day_first=day_first, at=place, form=form, zone=zone)
    except InputError as fault:
        if fault.key == "read.bad_date" and re.match(PLAIN, fault.values["text"]):
            raise InputError("read.time_is_number", where=fault.values["where"], column=column.name) from None
        raise
    if column.times is None:
        return written
    if written.aware != column.aware and not np.isnat(written.times).all():
        raise InputError("read.mixed_clocks", where=place(int(np.argmax(~np.isnat(written.times)))), text="")
    times = np.where(np.isnat(column.times), written.times, column.times)
    return Dates(times, column.aware, written.notes, written.evidence)


def numbers_of(column: RawColumn, raw: RawTable) -> NDArray[np.float64]:
    """The cells of a column as numbers, NaN where there is none; texts such as "45364,5" count.

    Raises InputError (read.bad_date) for a text that is no number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.texts is None:
        return column.numbers if column.numbers is not None else np.full(raw.rows, np.nan)
    words = pc.replace_substring(names_of(column, raw.rows), ",", ".")
    fits = pc.fill_null(pc.match_substring_regex(words, PLAIN), True)
    if not pc.all(fits).as_py():
        row = fits.to_pylist().index(False)
        raise InputError("read.bad_date", where=raw.at(row, column.name), text=str(words[row].as_py())[:60])
    numbers: NDArray[np.float64] = pc.fill_null(pc.cast(words, pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return numbers


def as_numbers(column: RawColumn, most: int = 100_000) -> RawColumn:
    """A column of texts that are all numbers as one of numbers, its first ``most`` rows; any other column as it is."""
    import pyarrow.compute as pc

    if column.texts is None or column.numbers is not None or column.times is not None:
        return column
    few = replace(column, texts=column.texts[:64])
    if not _all_numbers(few) or not _all_numbers(few := replace(column, texts=column.texts[:most])):
        return column
    assert few.texts is not None
    words = pc.replace_substring(pc.utf8_trim_whitespace(few.texts), ",", ".")
    numbers = pc.cast(pc.if_else(pc.equal(words, ""), None, words), "float64")
    return replace(column, texts=None, numbers=pc.fill_null(numbers, np.nan).to_numpy())


def _all_numbers(column: RawColumn) -> bool:
    import pyarrow.compute as pc

    if column.texts is None:
        return column.numbers is not None
    number = r"^(?:\d+(?:[.,]\d*)?(?:[eE][+]?\d+)?)?$"
    if pc.all(pc.match_substring_regex(pc.utf8_trim_whitespace(column.texts[:64]), number)).as_py() is False:
        return False  # the first cells settle it nearly always
    words = pc.utf8_trim_whitespace(column.texts)
    fits = pc.match_substring_regex(words, number)
    worded = pc.any(pc.match_substring_regex(words, r"\d")).as_py()
    return bool(worded) and bool(pc.all(fits).as_py())


def _digits_alone(numbers: NDArray[np.float64]) -> bool:
    known = numbers[~np.isnan(numbers)]
    if not len(known) or not np.isfinite(known).all() or (known != np.floor(known)).any() or known.max() >= 1e15:
        return False
    return bool(np.isin(np.char.str_len(known.astype("int64").astype(str)), COMPACT_WIDTHS).all())


def _form(numbers: NDArray[np.float64], column: RawColumn, place: Callable[[int], str], compact: bool) -> str:
    """The one form under which all numbers are times of our age."""
    forms = forms_of(numbers[~np.isnan(numbers)])
    if len(forms) == 1:
        return forms[0]
    row = int(np.argmax(~np.isnan(numbers)))
    if not forms:
        if compact:
            return "date"  # and the cell that is none will be named
        raise InputError("read.time_is_number", where=place(row), column=column.name)
    text = f"{numbers[row]:.15g}"
    readings = tuple(Interpretation(form, _shown(numbers[row], form)) for form in forms)
    question = LayoutQuestion("time_form", readings, row=(text,), where=place(row))
    lines = " / ".join(question.lines())
    raise OpenQuestion("clock.which_form", question=question, where=place(row), text=text, lines=lines)


def _shown(number: float, form: str) -> str:
    if form in TICKS:
        return str(read_ticks(np.array([number]), form)[0].astype("datetime64[s]")).replace("T", " ")
    digits = f"{number:.0f}"
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:]}".strip()


def _why(numbers: NDArray[np.float64], column: RawColumn, form: str) -> Evidence:
    first = float(numbers[np.argmax(~np.isnan(numbers))])
    values = {"column": column.name, "text": f"{first:.15g}", "time": _shown(first, form)}
    return Evidence("time_form", form, "clock.only_form", values)


def _ticks(column: RawColumn, numbers: NDArray[np.float64], form: str, raw: RawTable) -> Times:
    """Times of numbers; whole nanoseconds in text are read exactly, which a float cannot."""
    if form == "epoch_ns" and column.texts is not None and column.numbers is None:
        import pyarrow as pa
        import pyarrow.compute as pc

        words = names_of(column, raw.rows)
        if pc.all(pc.fill_null(pc.match_substring_regex(words, r"^\d{1,18}\d$"), True)).as_py():
            whole = pc.fill_null(pc.cast(words, pa.int64()), 0).to_numpy(zero_copy_only=False)
            return np.where(np.isnan(numbers), NAT, whole.astype("datetime64[ns]"))
    low, high = _reach(form)
    known = numbers[~np.isnan(numbers)]
    if len(known) and not (np.isfinite(known).all() and low <= known.min() and known.max() <= high):
        with np.errstate(invalid="ignore"):
            wrong = ~np.isnan(numbers) & ~((numbers >= low) & (numbers <= high))
        raise InputError("read.time_range", where=raw.at(int(np.argmax(wrong)), column.name))
    return read_ticks(numbers, form)


def _reach(form: str) -> tuple[float, float]:
    """The smallest and largest number that datetime64[ns] can hold (1678 to 2261)."""
    if form in EPOCHS:
        return -9.2e9 * EPOCHS[form], 9.2e9 * EPOCHS[form]
    if form in SERIALS:
        return 0.0, 1e5
    return -9.2e9 / ELAPSED[form], 9.2e9 / ELAPSED[form]


def _chunked(words: pa.Array) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([words])
