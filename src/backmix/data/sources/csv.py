"""CSV and other text tables.

This module reads text tables: bytes, then characters, then cells. The quick way lets Arrow turn
columns of clean numbers into numbers while it splits; as soon as a cell is anything else every
column is read as text and judged cell by cell.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.data.ledger import Note
from backmix.data.notation.encoding import Encoding, decode, detect
from backmix.data.reading.columns import RawColumn, RawTable, header
from backmix.data.reading.reading import ReadPlan
from backmix.data.sources import Example, Source, sources
from backmix.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_ROWS = 100
_BLOCK = 1 << 23
_EXCEL_HINT = "sep="


@dataclass(frozen=True)
class TextTable:
    """The text of a table as UTF-8, and how it is divided.

    raw, start: the bytes, and where the first data row begins; before it lie ``skipped`` rows
    wordy: columns in which the first rows have something else than numbers
    """

    raw: bytes
    start: int
    delimiter: str
    names: tuple[str, ...]
    skipped: int
    wordy: frozenset[str]
    where: str
    notes: tuple[Note, ...]

    def number(self, row: int) -> int:
        """The row of the sheet, counted from 1 with the header, in which data row ``row`` stands."""
        for at, cells in self.rows():
            if cells and row == 0:
                return at
            row -= bool(cells)
        return self.skipped + row + 1

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The data rows with their numbers, by the slow reader."""
        return enumerate(_rows(self.raw[self.start :].decode(), self.delimiter), self.skipped + 1)

    @property
    def quoted(self) -> bool:
        """Whether there is any quotation mark in the data rows."""
        return self.raw.find(b'"', self.start) >= 0


def read_csv(plan: ReadPlan, path: Path) -> RawTable:
    """The raw columns of a text table.

    Raises InputError: read.too_large, read.empty_file, read.no_rows, read.ragged, read.delimiter_unclear,
    read.open_quote and those of `encoding`.
    """
    where = plan.file or str(path)
    table = open_text(plan, take(path, plan, where), where)
    text = {name for name in (*plan.clock, plan.batch) if name is not None} | {
        tag.name for tag in plan.tags if tag.type == "text"
    }
    # with a decimal comma every point is in question, so that no column may go the quick way
    columns, rows = _split(table, set(table.names) if plan.decimal == "," else text)
    return RawTable(columns, rows, where, table.number, table.notes)


def csv_blocks(plan: ReadPlan, path: Path) -> Iterator[RawTable]:
    """The raw columns of a UTF-8 text table in blocks of rows, all cells as text.

    Raises InputError as `read_csv`, and read.mapped_encoding for another encoding.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    where = plan.file or str(path)
    if path.stat().st_size > plan.limit:
        raise InputError("read.too_large", where=where, limit=f"{plan.limit_mb:g}")
    with path.open("rb") as file:
        head = file.read(_BLOCK)
        head = head if len(head) < _BLOCK else head[: head.rfind(b"\n") + 1]
        table = open_text(plan, head, where)
        mark = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        if not head[mark:].startswith(table.raw[: table.start]):
            raise InputError("read.mapped_encoding", where=where)
        file.seek(mark + table.start)
        read, parse, convert = _options(table, dict.fromkeys(table.names, pa.large_string()), quoted=True)
        try:
            with arrow_csv.open_csv(file, read, parse, convert) as stream:
                for batch in stream:
                    columns = tuple(
                        RawColumn(name, texts=pa.chunked_array([batch.column(name)])) for name in table.names
                    )
                    yield RawTable(columns, batch.num_rows, where, lambda row: row + table.skipped + 1, table.notes)
        except pa.ArrowInvalid as fault:
            if widths := re.search(r"Expected (\d+) columns, got (\d+)", str(fault)):
                raise InputError("read.ragged", where=where, got=widths[2], columns=widths[1]) from None
            raise InputError("read.undecodable_as", where=where, encoding="utf-8", byte="-") from None


def take(path: Path, plan: ReadPlan, where: str) -> bytes:
    """The bytes of a file, at most as many as the plan allows."""
    try:
        with path.open("rb") as file:
            raw = file.read(plan.limit + 1)
    except OSError as fault:
        raise InputError("read.unreadable", where=where, fault=fault.strerror or str(fault)) from None
    if len(raw) > plan.limit:
        raise InputError("read.too_large", where=where, limit=f"{plan.limit_mb:g}")
    return raw


def open_text(plan: ReadPlan, raw: bytes, where: str) -> TextTable:
    """Decode a text table, find its delimiter and its header."""
    encoding = detect(raw, where, plan.encoding)
    notes: list[Note] = []
    if not encoding.plain or encoding.marked:
        raw = _utf8(raw, encoding, where)
    start, skipped, mark = 0, 0, plan.delimiter
    while True:  # blank rows before the header, and the line that names the delimiter for spreadsheets
        end = _line_end(raw, start)
        line = raw[start:end].decode()
        if line.strip() and not line.lower().startswith(_EXCEL_HINT):
            break
        if line.strip():
            mark = mark or line[len(_EXCEL_HINT) :].strip("\r\n") or None
        start, skipped = end, skipped + 1
        if start >= len(raw):
            raise InputError("read.empty_file", where=where)
    mark = mark or _delimiter(raw[start:], where)
    first = next(_rows(_head(raw, start, 50), mark))
    names = header(first, f"{where}:{skipped + 1}")
    start = _header_end(raw, start, mark)
    sample = [cells for cells in _rows(_head(raw, start, _SAMPLE_ROWS), mark) if cells]
    if not sample:
        raise InputError("read.no_rows", where=where)
    wordy = frozenset(
        name for at, name in enumerate(names) if not all(_quick(row[at]) for row in sample if at < len(row))
    )
    if not encoding.plain:
        cells = max(1, raw.count(b"\n", start)) * len(names)
        notes.append(Note("converted", "read.reason_encoding", cells, example=encoding.name))
    return TextTable(raw, start, mark, names, skipped + 1, wordy, where, tuple(notes))


def _utf8(raw: bytes, encoding: Encoding, where: str) -> bytes:
    return decode(raw, encoding, where).removeprefix("\ufeff").encode()


def _line_end(raw: bytes, start: int) -> int:
    """Where the line that begins at ``start`` ends, line break included."""
    ends = [at for at in (raw.find(b"\n", start), raw.find(b"\r", start, start + (1 << 20))) if at >= 0]
    if not ends:
        return len(raw)
    end = min(ends) + 1
    return end + 1 if raw[end - 1 : end + 1] == b"\r\n" else end


def _head(raw: bytes, start: int, lines: int) -> str:
    """About the next ``lines`` lines, whole characters only."""
    end = start
    for _ in range(lines):
        end = _line_end(raw, end)
        if end >= len(raw):
            break
    return raw[start:end].decode()


def _header_end(raw: bytes, start: int, mark: str) -> int:
    """Where the header row ends; it may hold line breaks between quotation marks."""
    text = io.StringIO(_head(raw, start, 50), newline=None)
    reader = csv.reader(text, delimiter=mark)
    next(reader)
    for _ in range(reader.line_num):
        start = _line_end(raw, start)
    return start


def _rows(text: str, mark: str) -> Iterator[list[str]]:
    """Rows of cells by the standard library: slow, and the judge of what a row is."""
    csv.field_size_limit(1 << 30)
    return csv.reader(io.StringIO(text, newline=None), delimiter=mark)


def _quick(cell: str) -> bool:
    """Whether Arrow would read this cell as a number or as empty, and rightly so."""
    cell = cell.strip(" \t")
    if cell in ("", "NaN", "nan"):
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell


def _delimiter(raw: bytes, where: str) -> str:
    """The mark that divides the header and the first rows into equally many cells."""
    text = _head(raw, 0, _SAMPLE_ROWS)
    widths = {}
    for mark in DELIMITERS:
        rows = [len(cells) for cells in _rows(text, mark) if cells]
        if rows and rows[0] > 1:
            widths[mark] = (sum(width == rows[0] for width in rows) / len(rows), rows[0])
    if not widths:
        return ","  # a single column
    best = max(share for share, _ in widths.values())
    marks = [mark for mark, (share, _) in widths.items() if share == best]
    if len(marks) > 1:
        raise InputError("read.delimiter_unclear", where=where, marks=" ".join(map(repr, marks)), first=marks[0])
    return marks[0]


def _split(table: TextTable, text: set[str]) -> tuple[tuple[RawColumn, ...], int]:
    """Split the body into columns; first with numbers where the sample has them, then all as text."""
    import pyarrow as pa

    wordy = table.wordy | text
    _check_quotes(table)
    for quick in (True, False):
        kinds = {name: pa.large_string() if name in wordy or not quick else pa.float64() for name in table.names}
        try:
            found = _arrow(table, kinds)
        except pa.ArrowInvalid as fault:
            if quick and "conversion error" in str(fault):
                continue
            raise _ragged(table) from None
        if quick and any(_has_commas(found.column(name)) for name in wordy if name in table.names):
            continue  # a decimal comma anywhere puts every point in the file into question
        break
    if found.num_rows == 0:
        raise InputError("read.no_rows", where=table.where)
    return tuple(
        _column(found.column(name), name) for name in table.names if not _empty_tail(found, table.names, name)
    ), found.num_rows


def _arrow(table: TextTable, kinds: dict[str, Any]) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    body = pa.BufferReader(pa.py_buffer(table.raw).slice(table.start))
    return arrow_csv.read_csv(body, *_options(table, kinds, quoted=table.quoted))


def _options(table: TextTable, kinds: dict[str, Any], *, quoted: bool) -> tuple[Any, Any, Any]:
    from pyarrow import csv as arrow_csv

    return (
        arrow_csv.ReadOptions(column_names=list(table.names), block_size=_BLOCK),
        arrow_csv.ParseOptions(delimiter=table.delimiter, newlines_in_values=quoted),
        arrow_csv.ConvertOptions(column_types=kinds, null_values=["", "NaN", "nan"], strings_can_be_null=False),
    )


def _has_commas(cells: Any) -> bool:
    """Whether some cell looks like a number with a comma."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(cells.type):
        return False
    return bool(pc.any(pc.match_substring_regex(cells, r"^\s*[+-]?\d*[\d .']*,[\d.]*\s*$")).as_py())


def _column(cells: Any, name: str) -> RawColumn:
    import pyarrow as pa

    if pa.types.is_floating(cells.type):
        return RawColumn(name, numbers=cells.to_numpy())
    return RawColumn(name, texts=cells)


def _empty_tail(found: Any, names: tuple[str, ...], name: str) -> bool:
    """Whether this is the nameless, empty last column that a delimiter at the line's end makes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name != names[-1] or name != f"column {len(names)}" or len(names) == 1:
        return False
    cells = found.column(name)
    if pa.types.is_floating(cells.type):
        return bool(cells.null_count == len(cells))
    return bool(pc.all(pc.equal(cells, "")).as_py())


def _check_quotes(table: TextTable) -> None:
    """A quotation mark that is never closed swallows the rest of the file: refuse it."""
    if not table.quoted or table.raw.count(b'"', table.start) % 2 == 0:
        return
    reader = csv.reader(
        io.StringIO(table.raw[table.start :].decode(), newline=None), delimiter=table.delimiter, strict=True
    )
    row = table.skipped
    try:
        for _ in reader:
            row += 1
    except csv.Error as fault:
        if "unexpected end" in str(fault):
            raise InputError("read.open_quote", where=f"{table.where}:{row + 1}") from None


def _ragged(table: TextTable) -> InputError:
    """The first row with too many or too few cells."""
    wanted = len(table.names)
    for at, cells in table.rows():
        if cells and len(cells) != wanted:
            return InputError("read.ragged", where=f"{table.where}:{at}", got=len(cells), columns=wanted)
    return InputError("read.open_quote", where=table.where)


def example(frame: pd.DataFrame, folder: Path) -> Example:
    """The table as a CSV file."""
    from backmix.data.export import write_csv

    write_csv(frame, folder / "table.csv")
    return Example(ReadPlan(file=str(folder / "table.csv")))


sources.register("csv")(Source("csv", read_csv, suffixes=(".csv", ".tsv", ".txt", ".tab"), example=example))
