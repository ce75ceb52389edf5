"""The lines of a text table.

This module takes the first lines of a file apart: lines, then rows of cells, and finds the mark that divides them.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from backmix.data.layout.evidence import Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.layout.frame import Row, cell_kind
from backmix.errors import InputError

DELIMITERS = (",", ";", "\t", "|")
MOST_LINES = 200
_HEAD = 1 << 18
LONGEST_ROW = 1 << 22
"""Bytes that one row may have: a table of 50,000 columns has less."""


class Line(NamedTuple):
    """A line of the file: its number from 0, where it begins and ends, and its text."""

    number: int
    start: int
    end: int
    text: str


class Record(NamedTuple):
    """A row of cells, which may take several lines."""

    start: int
    end: int
    row: Row


def first_lines(raw: bytes, where: str) -> list[Line]:
    """The first lines, as they stand."""
    lines: list[Line] = []
    start = 0
    while start < len(raw) and len(lines) < MOST_LINES and (start < _HEAD or len(lines) < 20) and start < LONGEST_ROW:
        end = line_end(raw, start)
        if end - start > LONGEST_ROW:
            raise InputError("read.long_row", where=f"{where}:{len(lines) + 1}", limit=LONGEST_ROW >> 20)
        lines.append(Line(len(lines), start, end, raw[start:end].decode()))
        start = end
    return lines


def records(lines: list[Line], mark: str) -> Iterator[Record]:
    """Rows of cells; a cell between quotation marks may go on in the next lines."""
    start = 0
    while start < len(lines):
        text, last = lines[start].text, start
        while text.count('"') % 2 and last + 1 < len(lines) and last - start < 30:
            last += 1
            text += lines[last].text
        if text.count('"') % 2:
            text, last = lines[start].text, start  # a mark that stands alone, as for inches
        cells = next(split_rows(text, mark), [])
        yield Record(lines[start].start, lines[last].end, Row(lines[start].number, cells))
        start = last + 1


def line_end(raw: bytes, start: int) -> int:
    """Where the line that begins at ``start`` ends, line break included."""
    ends = [spot for spot in (raw.find(b"\n", start), raw.find(b"\r", start, start + (1 << 20))) if spot >= 0]
    if not ends:
        return len(raw)
    end = min(ends) + 1
    return end + 1 if raw[end - 1 : end + 1] == b"\r\n" else end


def split_rows(text: str, mark: str) -> Iterator[list[str]]:
    """Rows of cells by the standard library: slow, and the judge of what a row is."""
    csv.field_size_limit(1 << 30)
    return csv.reader(io.StringIO(text, newline=None), delimiter=mark)


def find_delimiter(lines: list[str], where: str) -> str:
    """The mark that divides most of the first rows into equally many cells."""
    shares, parts = {}, {}
    for mark in DELIMITERS:
        rows = [cells for line in lines for cells in split_rows(line, mark) if any(cell.strip() for cell in cells)]
        widths = Counter(map(len, rows))
        width = max(widths, key=lambda width: (widths[width], width), default=1)
        if width > 1:
            shares[mark], parts[mark] = widths[width] / len(rows), [row for row in rows if len(row) == width]
    if not shares:
        return " " if _apart_by_blanks(lines) else ","  # a single column
    best = max(shares.values())
    marks = [mark for mark, share in shares.items() if share == best]
    if len(marks) > 1:  # the one under which every cell of the last rows says something
        clear = [
            mark
            for mark in marks
            if all(cell_kind(cell) != "word" for row in parts[mark][len(parts[mark]) // 2 :] for cell in row)
        ]
        marks = clear if len(clear) == 1 else marks
    if len(marks) > 1:
        row = parts[marks[0]][-1]
        readings = tuple(
            Interpretation({"\t": "tab"}.get(mark, mark), " | ".join(parts[mark][-1])[:80]) for mark in marks
        )
        question = LayoutQuestion("delimiter", readings, (marks[0].join(row),), where)
        raise OpenQuestion(
            "read.delimiter_unclear", question=question, where=where, marks=" ".join(map(repr, marks)), first=marks[0]
        )
    return marks[0]


_WORD = re.compile(rb'"[^"]*"|\'[^\']*\'|[^ \t\r\n]+')
_BLANKS = re.compile(rb'("[^"]*"|\'[^\']*\')|[ \t]+')


def _apart_by_blanks(lines: list[str]) -> bool:
    """Whether blanks alone part every row into equally many cells, with a column of numbers among them."""
    rows = [_WORD.findall(line.encode()) for line in lines if line.strip()]
    width = len(rows[0]) if rows else 0
    if width < 2 or len(rows) < 2 or any(len(row) != width for row in rows):
        return False
    return any(all(cell_kind(row[column].decode()) == "number" for row in rows[1:]) for column in range(width))


def with_tabs(raw: bytes) -> bytes:
    """A text whose cells stand apart by blanks, one tab between two cells and none at the ends of a line.

    >>> with_tabs(b" 1.5   2.5 \\n'a b' 3\\n")
    b"1.5\\t2.5\\n'a b'\\t3\\n"
    """
    bare = re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)", b"", raw)
    return _BLANKS.sub(lambda found: found[1] or b"\t", bare)
