"""CSV and other text tables.

This module reads text tables: bytes, then characters, then cells. The quick way lets Arrow turn
columns of clean numbers into numbers while it splits; as soon as a cell is anything else every
column is read as text and judged cell by cell.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.evidence import Evidence
from backmix.data.layout.footer import find_footer
from backmix.data.layout.frame import COMMENTS, Frame, Row, find_frame
from backmix.data.layout.lines import find_delimiter, first_lines, line_end, records, split_rows, with_tabs
from backmix.data.ledger import Note
from backmix.data.notation.cells import has_commas
from backmix.data.notation.encoding import Encoding, decode, detect
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.sources import Example, Source, sources
from backmix.data.sources.packing import Span, source_name, take
from backmix.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_SAMPLE_ROWS = 100
BLOCK = 1 << 23
_EXCEL_HINT = "sep="
TAIL = 1 << 16
_FILL = 1 << 13


@dataclass(frozen=True)
class TextTable:
    """The text of a table as UTF-8, and how it is divided.

    raw, start, end: the bytes, and where the data rows begin and end; before them lie ``skipped`` lines
    wordy: columns in which the first rows have something else than numbers
    """

    raw: bytes
    start: int
    end: int
    delimiter: str
    frame: Frame
    skipped: int
    wordy: frozenset[str]
    where: str
    notes: tuple[Note, ...]
    evidence: tuple[Evidence, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.frame.names

    def number(self, row: int) -> int:
        """The row of the sheet, counted from 1 with the header, in which data row ``row`` stands."""
        for line, cells in self.rows():
            if cells and row == 0:
                return line
            row -= bool(cells)
        return self.skipped + row + 1

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The data rows with their numbers, by the slow reader; a comment has no cells."""
        mark = self.frame.comment
        for line, cells in enumerate(csv.reader(self.text(), delimiter=self.delimiter), self.skipped + 1):
            yield line, [] if mark and cells and cells[0].startswith(mark) else cells

    def text(self) -> io.TextIOWrapper:
        """The data rows as text, line by line: a whole file of text may take four times its bytes."""
        csv.field_size_limit(1 << 30)
        file = io.BytesIO(self.raw)
        file.seek(self.start)
        return io.TextIOWrapper(io.BufferedReader(Span(file, self.end - self.start)), "utf-8")

    @property
    def body(self) -> bytes:
        """The bytes of the data rows."""
        return self.raw[self.start : self.end]

    @property
    def quoted(self) -> bool:
        """Whether there is any quotation mark in the data rows."""
        return self.raw.find(b'"', self.start, self.end) >= 0


def read_csv(plan: ReadPlan, path: Path) -> RawTable:
    """The raw columns of a text table.

    Raises InputError: read.too_large, read.empty_file, read.no_rows, read.ragged, read.delimiter_unclear,
    read.open_quote, read.long_row, read.zero_bytes, and those of `encoding` and of `layout.frame`.
    """
    from backmix.data.sources.csv_pieces import read_pieces

    where = source_name(plan, path)
    table = read_pieces(plan, path, where)
    return table if table is not None else read_text(plan, take(path, plan, where), where)


def read_text(plan: ReadPlan, raw: bytes, where: str) -> RawTable:
    """The raw columns of a text table from its bytes. Raises InputError as `read_csv`."""
    table = open_text(plan, raw, where)
    del raw
    text = texts_of(table, plan)
    try:
        columns, rows = _split(table, text)
    except InputError as fault:
        mark = _comment_within(table, fault)
        if mark is None:
            raise
        note = Evidence("comment", mark, "layout.comment", {"mark": mark})
        table = replace(table, frame=replace(table.frame, comment=mark), evidence=(*table.evidence, note))
        columns, rows = _split(table, text)
    return RawTable(
        columns,
        rows,
        where,
        _numbering(table),
        (*table.notes, *_comments(table)),
        table.frame.units,
        table.frame.descriptions,
        table.evidence,
    )


def texts_of(table: TextTable, plan: ReadPlan) -> frozenset[str]:
    """The columns that are to be split as text, because of what the plan or the first rows say."""
    if plan.decimal == ",":  # every point is in question, so that no column may go the quick way
        return frozenset(table.names)
    named = {name for name in (*plan.clock, plan.batch) if name is not None}
    return table.wordy | named | {tag.name for tag in plan.tags if tag.type == "text"}


def open_text(plan: ReadPlan, raw: bytes, where: str, *, whole: bool = True) -> TextTable:
    """Decode a text table, find its delimiter and its frame. ``whole``: the bytes go to the end of the table."""
    encoding = detect(raw, where, plan.encoding)
    notes: list[Note] = []
    if not encoding.plain or encoding.marked:
        raw = _utf8(raw, encoding, where)
    if (zero := raw.find(b"\0")) >= 0:
        line = raw.count(b"\n", 0, zero) + 1
        raise InputError("read.zero_bytes", where=f"{where}:{line}")
    lines, mark = first_lines(raw, where), plan.delimiter
    if not any(line.text.strip() for line in lines):
        raise InputError("read.empty_file", where=where)
    first = next(index for index, line in enumerate(lines) if line.text.strip())
    if lines[first].text.lower().startswith(_EXCEL_HINT):  # the line that names the delimiter for spreadsheets
        mark = mark or lines[first].text[len(_EXCEL_HINT) :].strip("\r\n") or None
        lines = lines[first + 1 :]
    if not any(line.text.strip() for line in lines):
        raise InputError("read.empty_file", where=where)
    evidence = []
    if plan.encoding is None:
        evidence.append(Evidence("encoding", encoding.name, "layout.encoding", {"encoding": encoding.name}))
    if mark is None:
        mark = find_delimiter([line.text for line in lines], where)
        values = {"mark": {"\t": "tab", " ": "space"}.get(mark, mark), "rows": len(lines)}
        evidence.append(Evidence("delimiter", mark, "layout.delimiter", values))
    if mark == " ":
        raw, mark = with_tabs(raw), "\t"
        lines = first_lines(raw, where)
    shown = [record for record in records(lines, mark) if any(cell.strip() for cell in record.row.cells)]
    frame = find_frame([record.row for record in shown], plan, where)
    if frame.body < len(shown):
        start, skipped = shown[frame.body].start, shown[frame.body].row.line
    else:
        start, skipped = shown[-1].end, shown[-1].row.line + 1
    sample = [record.row.cells for record in shown[frame.body : frame.body + _SAMPLE_ROWS]]
    wordy = frozenset(
        name
        for index, name in enumerate(frame.names)
        if not all(_quick(row[index]) for row in sample if index < len(row))
    )
    if not encoding.plain:
        cells = max(1, raw.count(b"\n", start)) * len(frame.names)
        notes.append(Note("converted", "read.reason_encoding", cells, example=encoding.name))
    table = TextTable(
        raw, start, len(raw), mark, frame, skipped, wordy, where, tuple(notes), (*evidence, *frame.evidence)
    )
    table = without_footer(table, plan) if whole else table
    if table.end - table.start < BLOCK and not table.body.strip():
        raise InputError("read.no_rows", where=where)
    return table


def _numbering(table: TextTable) -> Callable[[int], int]:
    """The number of a data row. Where no line is blank and no cell has several lines, the file is not needed for it."""
    odd = any(table.raw.find(mark, table.start, table.end) >= 0 for mark in (b"\n\n", b"\r\n\r", b"\r\r", b'"'))
    skipped = table.skipped
    return table.number if odd or table.frame.comment is not None else lambda row: skipped + row + 1


def without_footer(table: TextTable, plan: ReadPlan) -> TextTable:
    """The table without the rows at its end that are no data."""
    size = table.end - table.start
    start = table.end - min(size, TAIL)
    if size > TAIL:
        start = line_end(table.raw, start)
    rows: list[Row] = []
    ends = {}
    spot = start
    for line in range(TAIL):
        if spot >= table.end:
            break
        end = line_end(table.raw, spot)
        text = table.raw[spot:end].decode("utf-8", "replace")
        comment = table.frame.comment is not None and text.startswith(table.frame.comment)
        if text.strip(" \t\r\n" + table.delimiter) and not comment:
            rows.append(Row(line, next(split_rows(text, table.delimiter))))
            ends[line] = spot
        spot = end
    footer = find_footer(rows, table.frame.kinds, plan)
    if footer.rows == 0:
        return table
    note = Note("dropped", "read.reason_footer", footer.rows, example=footer.text)
    values = {"rows": footer.rows, "text": footer.text}
    why = [Evidence("footer", footer.rows, "layout.footer", values)] if plan.footer is None else []
    return replace(table, end=ends[footer.place], notes=(*table.notes, note), evidence=(*table.evidence, *why))


def _comment_within(table: TextTable, fault: InputError) -> str | None:
    """The sign of a comment that made a row ragged."""
    if fault.key != "read.ragged" or table.frame.comment is not None:
        return None
    for _, cells in table.rows():
        if cells and len(cells) != len(table.names):
            marks = [mark for mark in COMMENTS if mark != table.delimiter and cells[0].startswith(mark)]
            return marks[0] if marks else None
    return None


def _comments(table: TextTable) -> list[Note]:
    """How many rows of comment stand among the data rows."""
    if table.frame.comment is None:
        return []
    count = len(_comment_lines(table.frame.comment).findall(table.body))
    return [Note("dropped", "read.reason_comment", count, example=table.frame.comment)] if count else []


def _comment_lines(mark: str) -> re.Pattern[bytes]:
    return re.compile(rb"^" + re.escape(mark.encode()) + rb"[^\r\n]*(?:\r\n|\n|\r|\Z)", re.MULTILINE)


def _utf8(raw: bytes, encoding: Encoding, where: str) -> bytes:
    return decode(raw, encoding, where).removeprefix("\ufeff").encode()


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


def _split(table: TextTable, text: frozenset[str]) -> tuple[tuple[RawColumn, ...], int]:
    """Split the body into columns; first with numbers where the sample has them, then all as text."""
    import pyarrow as pa

    _check_quotes(table)
    for quick in (True, False):
        kinds = {name: pa.large_string() if name in text or not quick else pa.float64() for name in table.names}
        try:
            parts = _arrow(table, kinds)
        except pa.ArrowInvalid as fault:
            if quick and "conversion error" in str(fault):
                continue
            if "straddling" in str(fault):
                raise InputError("read.long_row", where=table.where, limit=BLOCK >> 20) from None
            raise _ragged(table) from None
        if quick and any(map(has_commas, parts.texts.values())):
            continue  # a decimal comma anywhere puts every point in the file into question
        break
    if parts.rows == 0:
        raise InputError("read.no_rows", where=table.where)
    return parts.columns(table.names), parts.rows


class SplitText(NamedTuple):
    """The cells of a body: numbers side by side in one block (N, F), which the finished table takes over as it is."""

    numbers: NDArray[np.float64]
    places: dict[str, int]
    texts: dict[str, pa.ChunkedArray]
    rows: int

    def columns(self, names: tuple[str, ...]) -> tuple[RawColumn, ...]:
        """The columns in their order, less an empty one at the end."""
        return tuple(self.column(name) for name in names if not self.empty_tail(names, name))

    def column(self, name: str) -> RawColumn:
        """The cells of one column."""
        if name in self.texts:
            return RawColumn(name, texts=self.texts[name])
        return RawColumn(name, numbers=self.numbers[:, self.places[name]])

    def empty_tail(self, names: tuple[str, ...], name: str) -> bool:
        """Whether this is the nameless, empty last column that a delimiter at the line's end makes."""
        import pyarrow.compute as pc

        if name != names[-1] or name != f"column {len(names)}" or len(names) == 1:
            return False
        if name in self.texts:
            return bool(pc.all(pc.equal(self.texts[name], "")).as_py())
        return bool(np.isnan(self.numbers[:, self.places[name]]).all())


def _arrow(table: TextTable, kinds: dict[str, Any]) -> SplitText:
    """Split by Arrow, block by block, so that the cells are never in memory twice."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    mark = table.frame.comment
    if mark is not None and (table.raw.find(b"\n" + mark.encode(), table.start, table.end) >= 0):
        body = pa.py_buffer(_comment_lines(mark).sub(b"", table.body))
    else:
        body = pa.py_buffer(table.raw).slice(table.start, table.end - table.start)
    quick = [name for name, kind in kinds.items() if pa.types.is_floating(kind)]
    texts: dict[str, list[Any]] = {name: [] for name in kinds if name not in quick}
    ends = table.raw.count(b"\n", table.start, table.end) or table.raw.count(b"\r", table.start, table.end)
    numbers = np.empty((ends + 1, len(quick)))  # as many rows at most; what is not filled takes no memory
    rows = 0
    with arrow_csv.open_csv(pa.BufferReader(body), *options(table, kinds, quoted=table.quoted)) as stream:
        for batch in stream:
            fill(numbers[rows : rows + batch.num_rows], batch, quick)
            rows += batch.num_rows
            for name, chunks in texts.items():
                chunks.append(batch.column(name))
    whole = {name: pa.chunked_array(chunks, pa.large_string()) for name, chunks in texts.items()}
    return SplitText(numbers[:rows], {name: index for index, name in enumerate(quick)}, whole, rows)


def fill(numbers: NDArray[np.float64], batch: pa.RecordBatch, names: list[str]) -> None:
    """Write the columns ``names`` of a batch side by side into ``numbers`` (N, F)."""
    for start in range(0, batch.num_rows if names else 0, _FILL):  # pieces that fit the cache
        piece = batch.slice(start, _FILL)
        columns = [piece.column(name).to_numpy(zero_copy_only=False) for name in names]
        numbers[start : start + piece.num_rows] = np.array(columns).T


def options(table: TextTable, kinds: dict[str, Any], *, quoted: bool) -> tuple[Any, Any, Any]:
    from pyarrow import csv as arrow_csv

    return (
        arrow_csv.ReadOptions(column_names=list(table.names), block_size=BLOCK),
        arrow_csv.ParseOptions(delimiter=table.delimiter, newlines_in_values=quoted),
        arrow_csv.ConvertOptions(column_types=kinds, null_values=["", "NaN", "nan"], strings_can_be_null=False),
    )


def _check_quotes(table: TextTable) -> None:
    """A quotation mark that is never closed swallows the rest of the file: refuse it."""
    if not table.quoted or table.raw.count(b'"', table.start, table.end) % 2 == 0:
        return
    reader = csv.reader(table.text(), delimiter=table.delimiter, strict=True)
    csv.field_size_limit(BLOCK)
    row = table.skipped
    try:
        for _ in reader:
            row += 1
    except csv.Error as fault:
        if "unexpected end" in str(fault) or "field larger" in str(fault):
            raise InputError("read.open_quote", where=f"{table.where}:{row + 1}") from None
    finally:
        csv.field_size_limit(1 << 30)


def _ragged(table: TextTable) -> InputError:
    """The first row with too many or too few cells."""
    wanted = len(table.names)
    for line, cells in table.rows():
        if cells and len(cells) != wanted:
            return InputError("read.ragged", where=f"{table.where}:{line}", got=len(cells), columns=wanted)
    return InputError("read.open_quote", where=table.where)


def example(frame: pd.DataFrame, folder: Path) -> Example:
    """The table as a CSV file."""
    from backmix.data.export import write_csv

    write_csv(frame, folder / "table.csv")
    return Example(ReadPlan(file=str(folder / "table.csv")))


sources.register("csv")(Source("csv", read_csv, suffixes=(".csv", ".tsv", ".txt", ".tab"), example=example))
