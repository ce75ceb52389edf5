"""What a cell of text says: a number, in whose notation, or the state of an instrument.

This module surveys the texts of a column (`Survey`), decides the decimal mark (`decimal_mark`) and
reads the numbers (`read_numbers`). Nothing is guessed: a text that could be two numbers is an
error that asks, and a text that is no number is a bad value, counted under its own words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.reading.columns import RawColumn
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Decimal = Literal[".", ","]
_SAMPLE = 1000
DISTINCT = 10_000
"""Distinct texts that a column of states may have; a column with more is free text."""

PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INFINITE = r"^[+-]?(?i:inf|infinity)$"
_MISSING = r"^(?i:nan)?$"
_THREE = r"^[+-]?[1-9]\d{0,2}%s\d{3}$"
FORMS: Mapping[str, str] = {  # the first that fits counts
    "comma_or_thousands": _THREE % ",",
    "comma": r"^[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?$",
    "grouped_by_comma": r"^[+-]?[1-9]\d{0,2}((,\d{3}){2,}(\.\d*)?|,\d{3}\.\d*)$",
    "grouped_by_dot": r"^[+-]?[1-9]\d{0,2}((\.\d{3}){2,}(,\d*)?|\.\d{3},\d*)$",
    "grouped_by_space_comma": r"^[+-]?[1-9]\d{0,2}([ '’]\d{3})+,\d*$",
    "grouped_by_space": r"^[+-]?[1-9]\d{0,2}([ '’]\d{3})+(\.\d*)?$",
}
"""How a number may be written besides ``-1.5e3``. 1,234 is 1.234 or 1234; 0,123 can only be 0.123."""
_SAYS_COMMA = ("comma", "grouped_by_dot", "grouped_by_space_comma")
_SAYS_DOT = ("dot", "grouped_by_comma")

_STATES = """
bad, bad input, bad output, bad data, bad quality, bad total, i/o timeout, io timeout, no data,
no result, no sample, no lab data, inp outrange, inp out of range, out of range, over range,
under range, overrange, underrange, scan timeout, scan off, pt created, point created, intf shut,
intf shutdown, intf down, comm fail, comm failure, comm error, calc failed, calc timeout, calc off,
calc overflow, calc crash, configure, not connect, not connected, out of serv, out of service,
arc off-line, arc offline, equip fail, set to bad, trace input, access denied, no input, no output,
dcs failed, sample bad, filter failed, doubtful, undefined, invalid, invalid data, invalid float,
unit down, n/a, na, #n/a, #n/a n/a, #value!, #div/0!, #ref!, #num!, #name?, #null!, #getting_data,
null, none, nil, <na>, -, --, ---, ?, *, 1.#inf, -1.#ind, 1.#qnan, 1.#ind, 壞值, 不良, 不良輸入,
輸入不良, 輸入錯誤, 壞輸入, 輸入/輸出逾時, 輸出入逾時, i/o 逾時, i/o逾時, 逾時, 掃描逾時, 掃描停止,
無資料, 沒有資料, 無數據, 無數值, 資料不良, 品質不良, 超出範圍, 輸入超出範圍, 超出量程, 超量程,
通訊失敗, 通訊異常, 通訊中斷, 斷訊, 斷線, 未連線, 未連接, 無效, 無效資料, 計算失敗, 計算逾時,
點已建立, 介面停止, 未檢測, 未分析, 缺值, 缺測
"""
_STATES_OR_CLASSES = """
shutdown, error, fail, failed, active, inactive, manual, off-line, offline, on-line, online, normal, running,
stopped, 停機, 關機, 停車, 錯誤, 失敗, 離線, 連線, 維修, 維修中, 校正中, 停用, 異常, 故障
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.replace("\n", ",").split(",") if word.strip())


STATES = _words(_STATES)
"""Words a historian writes in place of a value; never the name of a class."""
STATES_OR_CLASSES = _words(_STATES_OR_CLASSES)
"""Words that are a state among numbers, but may well be classes where no number is."""


def is_state(text: str, *, among_numbers: bool = True) -> bool:
    """Whether a text is what a historian writes in place of a value.

    >>> is_state("Bad  Input"), is_state("Shutdown"), is_state("Shutdown", among_numbers=False)
    (True, True, False)
    """
    word = " ".join(text.split()).casefold()
    return word in STATES or (among_numbers and word in STATES_OR_CLASSES)


@dataclass
class Survey:
    """What the cells of one column look like; grows block by block.

    numbers: cells that are numbers in plain notation, or were no text from the start
    infinite, widened: cells that say "inf"; plain numbers in full-width digits
    forms: name of `FORMS`, "dot", "dot_or_thousands" -> cells; ``first`` -> (row, text) of the first one
    others: cells that are no number; ``words`` tells the first 10 000 different ones apart, text ->
        cells, ``first_word`` text -> row
    """

    numbers: int = 0
    missing: int = 0
    infinite: int = 0
    widened: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)
    words: Counter[str] = field(default_factory=Counter)
    first_word: dict[str, int] = field(default_factory=dict)
    others: int = 0

    def add(self, column: RawColumn, rows: int, start: int = 0) -> None:
        """Look at one block of ``rows`` cells that begins at row ``start``."""
        known = 0
        if column.numbers is not None:
            known = int(np.count_nonzero(~np.isnan(column.numbers)))
            self.numbers += known
        if column.texts is None:
            self.missing += rows - known
            return
        row = start
        for chunk in column.texts.chunks:
            self._look(chunk, row)
            row += len(chunk)
        self.missing += rows - known - (len(column.texts) - column.texts.null_count)

    @property
    def all_numbers(self) -> int:
        """Cells that are numbers in any notation."""
        return self.numbers + self.infinite + sum(self.forms[name] for name in FORMS)

    def states(self) -> int:
        """Cells with a known state of an instrument."""
        return sum(count for word, count in self.words.items() if is_state(word))

    def _look(self, chunk: pa.Array, start: int) -> None:
        import pyarrow.compute as pc

        clean, widened = normal(chunk)
        if not widened and (numbers := _all_plain(clean)) is not None:
            known = int(np.count_nonzero(~np.isnan(numbers)))
            self.numbers += known
            self.missing += len(chunk) - chunk.null_count - known
            self._look_for_points(clean, chunk, start)
            return
        plain = pc.match_substring_regex(clean, PLAIN)
        self.numbers += pc.sum(plain).as_py() or 0
        if widened:
            changed = pc.and_(plain, pc.not_equal(clean, trim(chunk)))
            self.widened += pc.sum(changed).as_py() or 0
        self._look_for_points(pc.if_else(plain, clean, ""), chunk, start)
        rest = pc.fill_null(pc.invert(plain), False)
        for name, form in FORMS.items():
            if not pc.any(rest).as_py():
                return
            fits = pc.and_(rest, pc.match_substring_regex(clean, form))
            self._count(name, fits, chunk, start)
            rest = pc.and_not(rest, pc.fill_null(fits, False))
        infinite = pc.and_(rest, pc.match_substring_regex(clean, _INFINITE))
        self.infinite += pc.sum(infinite).as_py() or 0
        empty = pc.and_(rest, pc.match_substring_regex(clean, _MISSING))
        self.missing += pc.sum(empty).as_py() or 0
        self._hear(pc.and_not(pc.and_not(rest, infinite), empty), chunk, start)

    def _look_for_points(self, clean: pa.Array, chunk: pa.Array, start: int) -> None:
        """Whether decimal points are among plain numbers; once there is one that can be nothing else, no more."""
        import pyarrow.compute as pc

        for stop in (_SAMPLE, len(clean)):  # a sample is enough nearly always
            if self.forms["dot"] or not pc.any(pc.match_substring(clean[:stop], ".")).as_py():
                continue
            dotted = pc.match_substring(clean[:stop], ".")
            three = pc.match_substring_regex(clean[:stop], _THREE % r"\.")
            certain = pc.and_not(dotted, three)
            if stop >= len(clean) or pc.any(certain).as_py():
                self._count("dot_or_thousands", three, chunk[:stop], start)
                self._count("dot", certain, chunk[:stop], start)

    def _count(self, name: str, mask: pa.Array, chunk: pa.Array, start: int) -> None:
        import pyarrow.compute as pc

        count = pc.sum(mask).as_py() or 0
        if count and name not in self.first:
            row = pc.index(pc.fill_null(mask, False), True).as_py()
            self.first[name] = (start + row, chunk[row].as_py().strip())
        self.forms[name] += count

    def _hear(self, mask: pa.Array, chunk: pa.Array, start: int) -> None:
        import pyarrow.compute as pc

        if not pc.any(mask).as_py():
            return
        words = trim(chunk)
        self.others += pc.sum(mask).as_py()
        for entry in pc.value_counts(words.filter(mask))[: 2 * DISTINCT].to_pylist():
            word = entry["values"]
            if word not in self.words:
                if len(self.words) > DISTINCT:
                    continue
                self.first_word[word] = start + pc.index(words, word).as_py()
            self.words[word] += entry["counts"]


def trim(chunk: pa.Array) -> pa.Array:
    """Texts without blanks at their ends."""
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(chunk)


def normal(chunk: pa.Array) -> tuple[pa.Array, bool]:
    """Texts for the eye of a program: full-width digits, hard blanks and the minus sign made plain.

    Also says whether there was any character beyond ASCII.
    """
    import pyarrow.compute as pc

    if pc.all(pc.string_is_ascii(chunk)).as_py() is not False:
        return trim(chunk), False
    plain = pc.utf8_normalize(chunk, form="NFKC")
    plain = pc.replace_substring(plain, pattern="−", replacement="-")
    return trim(plain), True


def decimal_mark(surveys: Mapping[str, Survey], stated: Decimal | None, at: Callable[[int, str], str]) -> Decimal:
    """The decimal mark of a file, from all its columns of numbers (name -> survey).

    ``at`` places (row, column) in messages. Raises InputError: read.decimal_unclear when a cell
    may be read in two ways and nothing decides, read.decimal_mixed when both marks occur.
    """
    comma = _first(surveys, _SAYS_COMMA)
    dot = _first(surveys, _SAYS_DOT)
    if stated is not None:
        other = dot if stated == "," else comma
        if other is not None:
            column, row, text = other
            raise InputError("read.decimal_told", where=at(row, column), text=text, decimal=stated)
        return stated
    if comma and dot:
        raise InputError(
            "read.decimal_mixed",
            where=at(comma[1], comma[0]),
            text=comma[2],
            other=at(dot[1], dot[0]),
            other_text=dot[2],
        )
    if comma:
        _ask(surveys, "dot_or_thousands", ".", at)
        return ","
    # a column with 12.5 in it settles its own 1,234; another column's notation does not
    _ask(
        {name: s for name, s in surveys.items() if not any(s.forms[form] for form in _SAYS_DOT)},
        "comma_or_thousands",
        ",",
        at,
    )
    return "."


def _first(surveys: Mapping[str, Survey], forms: tuple[str, ...]) -> tuple[str, int, str] | None:
    return next(
        ((name, *survey.first[form]) for name, survey in surveys.items() for form in forms if form in survey.first),
        None,
    )


def _ask(surveys: Mapping[str, Survey], form: str, mark: Decimal, at: Callable[[int, str], str]) -> None:
    if unclear := _first(surveys, (form,)):
        column, row, text = unclear
        as_decimal, as_thousands = text.replace(mark, "."), text.replace(mark, "")
        dot, comma = (as_decimal, as_thousands) if mark == "." else (as_thousands, as_decimal)
        raise InputError("read.decimal_unclear", where=at(row, column), text=text, dot=dot, comma=comma)


def read_numbers(column: RawColumn, rows: int, decimal: Decimal) -> NDArray[np.float64]:
    """The numbers of a column, (N,) float64; NaN where a cell is empty or is no number."""
    if column.texts is None:
        return np.full(rows, np.nan) if column.numbers is None else column.numbers
    numbers = np.concatenate([_cast(chunk, decimal) for chunk in column.texts.chunks] or [np.empty(0)])
    if column.numbers is not None:
        numbers = np.where(np.isnan(column.numbers), numbers, column.numbers)
    return numbers


def _all_plain(clean: pa.Array) -> NDArray[np.float64] | None:
    """The numbers of a block in which every cell is a finite plain number or empty, else None."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pc.if_else(pc.equal(clean, ""), pa.scalar(None, clean.type), clean)
    try:
        cast = pc.cast(cells, pa.float64())
    except pa.ArrowInvalid:
        return None
    numbers: NDArray[np.float64] = cast.to_numpy(zero_copy_only=False)
    return numbers if np.count_nonzero(np.isfinite(numbers)) == len(cast) - cast.null_count else None


def _cast(chunk: pa.Array, decimal: Decimal) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    clean, widened = normal(chunk)
    if decimal == "." and not widened and (numbers := _all_plain(clean)) is not None:
        return numbers
    plain = pc.match_substring_regex(clean, PLAIN)
    number = pc.or_(plain, pc.match_substring_regex(clean, _INFINITE))
    if pc.all(plain).as_py() is not True or decimal == ",":
        # groups go, the decimal mark becomes a dot; texts that are no numbers are left out by the mask
        grouped = re.sub(r"\^|\$", "", "|".join(f"({form})" for form in FORMS.values()))
        number = pc.or_(number, pc.match_substring_regex(clean, f"^({grouped})$"))
        groups = "[ '’.]" if decimal == "," else "[ '’,]"
        clean = pc.replace_substring_regex(clean, pattern=groups, replacement="")
        clean = pc.replace_substring(clean, pattern=",", replacement=".")
    kept = pc.if_else(pc.fill_null(number, False), clean, pa.scalar(None, clean.type))
    values: NDArray[np.float64] = pc.cast(kept, pa.float64()).to_numpy(zero_copy_only=False)
    return values


def has_commas(cells: pa.ChunkedArray) -> bool:
    """Whether some cell looks like a number with a comma."""
    import pyarrow.compute as pc

    if not pc.any(pc.match_substring(cells, ",")).as_py():  # by far the quicker question
        return False
    return bool(pc.any(pc.match_substring_regex(cells, r"^\s*[+-]?\d*[\d .']*,[\d.]*\s*$")).as_py())
