"""The frame around the values of a table: what stands above them.

In: rows of cells, from a text file or a sheet. Out: `Frame`: where the values begin, what each row of the header
holds, the names, units and descriptions.
This module finds the first row that looks like the rows below it, and reads upwards from there. The plan counts first.
What stands below the values is found by `footer`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.layout.header import Titles, cell_text, holds_units, roles_of, titles
from backmix.data.layout.layout import HeaderRow, Layout
from backmix.data.layout.units import is_unit
from backmix.data.notation.cells import is_state
from backmix.errors import InputError

CellKind = Literal["", "number", "time", "state", "word"]
COMMENTS = ("#", "//", ";", "%", "'")
"""How a row of comment may begin."""
MOST_COLUMNS = 50_000
LONGEST_NAME = 1000
_NUMBER = re.compile(r"[<>≤≥~≈]?\s*[+\-−]?\s*(?:\d[\d.,'’\s]*|[.,]\d+)(?:[eE][+-]?\d+)?\s*(?P<unit>[^\d\s].{0,11})?")
_DATE = re.compile(
    r"(?:民國|D-?)?\s*\d{1,4}\s*[-/.年]\s*(?:\d{1,2}|[A-Za-z]{3,9}|\d{1,2}月)\s*(?:[-/.月]\s*\d{1,4}日?)?(?!\d)"
    r"(?P<rest>\D?.*)|(?:\w{2,5},?\s+)?[A-Za-z]{3,9}\.?\s+\d{1,2},?\s+\d{4}.*|(?:[上下]午\s*)?\d{1,2}:\d{2}(?::\d{2})?.*"
    r"|(?:19|20)\d{6}(?:[T ]?\d{4,6})?|\d{4}-\d{2}-\d{2}T.*"
    r"|(?:19|20)\d{2}\s*[-/.:]?\s*(?:[Qq][1-4]|[Ww]\d{2})|(?:[Qq][1-4]|[1-4][Qq])\s*[-/.:]?\s*(?:19|20)\d{2}"
)
_FULL_WIDTH = str.maketrans("０１２３４５６７８９．，－＋：／", "0123456789.,-+:/")


class Row(NamedTuple):
    """One row that is not blank: the number of rows above it in the file, and its cells."""

    line: int
    cells: Sequence[Any]


@dataclass(frozen=True)
class Frame:
    """What stands around the values.

    body: the row at which the values begin, among those that were given
    preamble: rows of the file above the header; header: what each row of it holds
    kinds: what the cells of each column mostly are; comment: how rows begin that are left out
    """

    body: int
    preamble: int
    header: tuple[HeaderRow, ...]
    names: tuple[str, ...]
    kinds: tuple[CellKind, ...]
    comment: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()


def cell_kind(cell: Any) -> CellKind:
    """What a cell looks like.

    >>> [cell_kind(cell) for cell in (" ", "1,5", "13-Mar-24 00:00", "Bad Input", "<0.5", "12.3 bar", "FI101", 7)]
    ['', 'number', 'time', 'state', 'number', 'number', 'word', 'number']
    """
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return "time" if isinstance(cell, dt.date | dt.time) else "number"
    text = cell.strip()
    if not text:
        return ""
    if text[0].isalpha() and text.isascii() and not any(map(str.isdigit, text)):  # by far the most words
        if text.lower() in ("nan", "inf", "infinity"):
            return "number"
        return "state" if is_state(text) else "word"
    if len(text) > 60:
        return "word"
    text = text.translate(_FULL_WIDTH)
    if (number := _NUMBER.fullmatch(text)) and (number["unit"] is None or is_unit(number["unit"])):
        plain = text.replace(".", "", 1)
        if text.count(".") < 2 or text.count(",") or not _DATE.fullmatch(text):
            return "time" if plain.isdigit() and len(plain) in (12, 14) and plain[:2] in ("19", "20") else "number"
    if _DATE.fullmatch(text):
        return "time"
    return "state" if is_state(text) else "word"


def kinds_of(rows: Iterable[Sequence[Any]], width: int) -> tuple[CellKind, ...]:
    """What the cells of each column mostly are."""
    counts: list[Counter[CellKind]] = [Counter() for _ in range(width)]
    for cells in rows:
        for count, cell in zip(counts, cells, strict=False):
            count[cell_kind(cell)] += 1
    return tuple(map(_mostly, counts))


def _mostly(count: Counter[CellKind]) -> CellKind:
    filled = count["number"] + count["time"] + count["word"]
    if not filled:
        return "state" if count["state"] else ""
    best: CellKind = "time" if count["time"] > count["number"] else "number"
    return best if 2 * count[best] >= filled else "word"


def find_frame(rows: Sequence[Row], plan: Layout, where: str, merged: Collection[int] = ()) -> Frame:
    """The frame of a table whose first rows are ``rows``, blank ones left out.

    merged: rows of the file that have a cell over several columns
    Raises InputError: read.ragged, read.too_many_columns, read.long_name, data.duplicate_column; OpenQuestion on the
    key "header".
    """
    if plan.preamble is not None and plan.header is not None:
        return _told(rows, plan, where, merged)
    shown = [row for row in rows if not _commented(row, plan.comment)]
    width = _width(shown)
    if width > MOST_COLUMNS:
        raise InputError("read.too_many_columns", where=where, columns=width, most=MOST_COLUMNS)
    full = [row for row in shown if len(row.cells) == width]
    kinds = kinds_of((row.cells for row in full[len(full) // 2 :]), width)
    start = max(plan.preamble or 0, 0)
    body = _first_values(rows, kinds, start, plan.comment)
    block: list[Row] = []
    comment = plan.comment
    if plan.header is not None:
        body = _below(rows, plan, body, len(plan.header))
        block = [row for row in rows[:body] if not _commented(row, comment)][-len(plan.header) or body :]
    elif body is None:
        block, body = _only_words(rows, full, start, comment)
    else:
        block, comment = _above(rows[:body], kinds, start, comment)
        if not block and body < len(rows):
            block, body = _first_row(rows, body, kinds, where)
    if comment is None:
        comment = next((mark for row in rows[:body] if (mark := _mark(row, width)) and row not in block), None)
    return _frame(rows, block, body, kinds, comment, plan, where, merged)


def _told(rows: Sequence[Row], plan: Layout, where: str, merged: Collection[int]) -> Frame:
    """The frame as the plan has it."""
    assert plan.preamble is not None
    assert plan.header is not None
    below = [
        index
        for index, row in enumerate(rows)
        if row.line >= plan.preamble and (row.line == plan.preamble or not _commented(row, plan.comment))
    ]
    if len(below) < len(plan.header) or not below:
        raise InputError("read.no_rows", where=where)
    block = [rows[index] for index in below[: len(plan.header)]]
    body = below[len(plan.header)] if len(below) > len(plan.header) else len(rows)
    width = len(block[0].cells) if block else len(rows[body].cells)
    if width > MOST_COLUMNS:
        raise InputError("read.too_many_columns", where=where, columns=width, most=MOST_COLUMNS)
    kinds = kinds_of((row.cells for row in rows[body:] if not _commented(row, plan.comment)), width)
    return _frame(rows, block, body, kinds, plan.comment, plan, where, merged)


def _width(rows: Sequence[Row]) -> int:
    """How many cells most rows have; of equally frequent widths the larger one."""
    counts = Counter(len(row.cells) for row in rows)
    return max(counts, key=lambda width: (counts[width], width), default=0)


def is_data(row: Row, kinds: Sequence[CellKind], comment: str | None) -> bool:
    """Whether a row looks like the rows of values."""
    if len(row.cells) != len(kinds) or _commented(row, comment):
        return False
    fits = breaks = 0
    for cell, kind in zip(row.cells, kinds, strict=True):
        if kind not in ("number", "time"):
            continue
        own = cell_kind(cell)
        if own == kind:
            fits += 1
        elif own == "word" or (kind == "time" and own in ("number", "state")):
            if kind == "time":
                return False
            breaks += 1
    return fits > 0 and fits >= breaks


def _first_values(rows: Sequence[Row], kinds: Sequence[CellKind], start: int, comment: str | None) -> int | None:
    """The first row that looks like the rows of values; a date without any number above a header is a title."""
    numbers = [spot for spot, kind in enumerate(kinds) if kind == "number"]
    for index, row in enumerate(rows):
        if row.line < start or not is_data(row, kinds, comment):
            continue
        filled = [spot for spot, cell in enumerate(row.cells) if cell_text(cell) != ""]
        alone = len(kinds) > 1 and (len(filled) == 1 or (numbers and not set(numbers) & set(filled)))
        if not alone or not any(
            _titled(other, kinds) and not is_data(other, kinds, comment) for other in rows[index + 1 : index + 12]
        ):
            return index
    return None


def _breaks(row: Row, kinds: Sequence[CellKind]) -> bool:
    return any(
        kind in ("number", "time") and cell_kind(cell) == "word" for cell, kind in zip(row.cells, kinds, strict=True)
    )


def _below(rows: Sequence[Row], plan: Layout, body: int | None, wanted: int) -> int:
    """Where the values begin below a header of so many rows."""
    spots = [index for index, row in enumerate(rows) if not _commented(row, plan.comment)]
    first = spots[wanted] if len(spots) > wanted else len(rows)
    return max(first, body if body is not None else first)


def _only_words(rows: Sequence[Row], full: Sequence[Row], start: int, comment: str | None) -> tuple[list[Row], int]:
    """The header of a table without a single number or time: its first row."""
    first = next((row for row in full if row.line >= start), None)
    if first is None:
        return [], len(rows)
    return [first], next(index for index, row in enumerate(rows) if row is first) + 1


def _above(
    rows: Sequence[Row], kinds: Sequence[CellKind], start: int, comment: str | None
) -> tuple[list[Row], str | None]:
    """The rows of the header, from the last one upwards; they end at a title, a blank row or a time."""
    block: list[Row] = []
    width = len(kinds)
    for row in reversed(rows):
        if row.line < start:
            break
        mark = comment if _commented(row, comment) else _mark(row, width)
        if mark:
            bare = _without_mark(row, mark)
            if not block and len(bare.cells) == width and _titled(bare, kinds):  # "# time,FI101"
                return [bare], mark
            if block and _named(block, width):
                break
            continue
        if block and _named(block, width) and (row.line < block[0].line - 1 or not _titled(row, kinds)):
            break
        if not _titled(row, kinds) and not _label_only(row, kinds):
            break
        block.insert(0, row)
        if len(block) == 6:
            break
    while block and not _titled(block[0], kinds):
        block.pop(0)
    return block, comment


def _titled(row: Row, kinds: Sequence[CellKind]) -> bool:
    """Whether a row may belong to a header: cells in several columns, none of them a time."""
    if len(row.cells) != len(kinds):
        return False
    own = [cell_kind(cell) for cell in row.cells]
    filled = sum(kind != "" for kind in own)
    if "time" in own or not filled:
        return False
    if len(kinds) > 2 and filled == 1:
        return False
    texts = [cell_text(cell) for cell in row.cells]
    return not (len(kinds) > 3 and filled == 2 and texts[0] and texts[1] and texts[0][-1] in ":：")


def _label_only(row: Row, kinds: Sequence[CellKind]) -> bool:
    """Whether only the clock's cell is filled: the name that pandas puts below the names of the columns."""
    filled = [column for column, cell in enumerate(row.cells) if cell_kind(cell)]
    return len(row.cells) == len(kinds) and filled == [0] and cell_kind(row.cells[0]) == "word"


def _named(block: Sequence[Row], width: int) -> bool:
    """Whether some row of the header could hold the names: nearly all of its cells are filled."""
    return any(
        2 * sum(cell_text(cell) != "" for cell in row.cells) > width
        and not holds_units([cell_text(cell) for cell in row.cells])
        for row in block
    )


def _first_row(rows: Sequence[Row], body: int, kinds: Sequence[CellKind], where: str) -> tuple[list[Row], int]:
    """No header stands above the first row of values: it may be one itself, or there is none."""
    row = rows[body]
    if body > 0 and len(rows[body - 1].cells) != len(kinds) and _nearly(rows[body - 1], len(kinds)):
        raise InputError(
            "read.ragged", where=f"{where}:{row.line + 1}", got=len(row.cells), columns=len(rows[body - 1].cells)
        )
    if _breaks(row, kinds):
        return [row], body + 1
    own = [cell_kind(cell) for cell in row.cells]
    numbers = [str(cell).strip() for cell, kind in zip(row.cells, own, strict=True) if kind == "number"]
    whole = len(numbers) > (1 if len(numbers) == len(own) else 2) and all(number.isdigit() for number in numbers)
    if whole and all(int(after) - int(before) == 1 for before, after in pairwise(numbers)):
        texts = tuple(cell_text(cell) for cell in row.cells)
        shown = ", ".join(texts[-4:])
        readings = (Interpretation(("name",), f"names {shown}"), Interpretation((), f"values {shown}"))
        place = f"{where}:{row.line + 1}"
        question = LayoutQuestion("header", readings, texts, place)
        raise OpenQuestion("layout.header_or_values", question=question, where=place, text=numbers[0])
    return [], body


def _nearly(row: Row, width: int) -> bool:
    """Whether a row of another width was meant as the header."""
    filled = [cell_kind(cell) for cell in row.cells if cell_text(cell)]
    return len(filled) >= 2 and set(filled) == {"word"} and 0.6 * width <= len(filled) <= 1.7 * width


def _commented(row: Row, comment: str | None) -> bool:
    return comment is not None and bool(row.cells) and cell_text(row.cells[0]).startswith(comment)


def _mark(row: Row, width: int) -> str | None:
    """The sign of a comment with which a row begins, when the row can hardly be anything else."""
    first = cell_text(row.cells[0]) if row.cells else ""
    mark = next((mark for mark in COMMENTS if first.startswith(mark) and len(first) > len(mark)), None)
    if mark is None or first.endswith("'"):
        return None
    return mark if mark in ("#", "//") or len(row.cells) != width or sum(map(bool, row.cells)) == 1 else None


def _without_mark(row: Row, mark: str) -> Row:
    first = cell_text(row.cells[0])
    return Row(row.line, [first[len(mark) :].strip() if first.startswith(mark) else first, *row.cells[1:]])


def _frame(
    rows: Sequence[Row],
    block: list[Row],
    body: int,
    kinds: tuple[CellKind, ...],
    comment: str | None,
    plan: Layout,
    where: str,
    merged: Collection[int],
) -> Frame:
    first = block[0].line if block else rows[body].line if body < len(rows) else 0
    if comment is not None:
        block = [_without_mark(row, comment) if _commented(row, comment) else row for row in block]
    width = max((len(row.cells) for row in block), default=len(kinds))
    if width > MOST_COLUMNS:
        raise InputError("read.too_many_columns", where=where, columns=width, most=MOST_COLUMNS)
    cells = [[cell_text(cell) for cell in row.cells] + [""] * (width - len(row.cells)) for row in block]
    for row, texts in zip(block, cells, strict=True):
        long = max(texts, key=len, default="")
        if len(long) > LONGEST_NAME:
            raise InputError(
                "read.long_name", where=f"{where}:{row.line + 1}", text=long[:40], length=len(long), most=LONGEST_NAME
            )
    lines = [row.line for row in block]
    stated = plan.header
    roles = stated if stated is not None else roles_of(cells, lines, kinds, plan.units or (), where, merged)
    made: Titles = titles(cells, lines, roles, kinds, where, stated=stated is not None)
    evidence: list[Evidence] = []
    if plan.preamble is None:
        above = [row for row in rows if row.line < first]
        text = " ".join(map(cell_text, above[0].cells)).strip()[:60] if above else ""
        evidence.append(
            Evidence("preamble", first, "layout.preamble", {"rows": first, "text": text})
            if above
            else Evidence("preamble", first, "layout.no_preamble", {"row": first + 1})
        )
    if plan.header is None and not block:
        text = cell_text(rows[body].cells[0])[:40] if body < len(rows) else ""
        evidence.append(Evidence("header", (), "layout.no_header", {"row": first + 1, "text": text}))
    elif plan.header is None:
        shown = ", ".join(made.names[:4]) + (", …" if len(made.names) > 4 else "")
        rows_of = ", ".join(f"{role} = {line + 1}" for role, line in zip(made.roles, lines, strict=True))
        values = {"rows": rows_of, "columns": len(made.names), "names": shown}
        evidence.append(Evidence("header", made.roles, "layout.header", values))
    if comment is not None and plan.comment is None:
        evidence.append(Evidence("comment", comment, "layout.comment", {"mark": comment}))
    return Frame(
        body,
        first if plan.preamble is None else plan.preamble,
        made.roles,
        made.names,
        kinds,
        comment,
        made.units,
        made.descriptions,
        (*evidence, *made.evidence),
    )
