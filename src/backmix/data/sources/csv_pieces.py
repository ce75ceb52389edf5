"""Large text tables, piece by piece.

This module reads a plain file of UTF-8 straight into the block of numbers that the table takes over, several pieces at
once, and never has the whole text in memory. It says None of every file that is anything but plain, such as one with
quotation marks, empty lines, commas in texts, a byte-order mark or another encoding: `csv` then reads the whole text.
"""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.lines import MOST_LINES
from backmix.data.notation.cells import has_commas
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.sources.csv import (
    BLOCK,
    TAIL,
    SplitText,
    TextTable,
    fill,
    open_text,
    options,
    texts_of,
    without_footer,
)
from backmix.data.sources.packing import Span, check_regular, source_name
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

LARGE = 1 << 23
"""Files of more bytes are read piece by piece."""
_HEAD = 1 << 22
_PIECE = 1 << 20


class _Piece(NamedTuple):
    """Whole lines of a file: where they begin, their bytes, and the table's row at which they begin."""

    start: int
    size: int
    row: int


def read_pieces(plan: ReadPlan, path: Path, where: str) -> RawTable | None:
    """The raw columns of a large plain text table; None where the text has to be read as a whole.

    Raises InputError (read.not_regular). Every other fault is for the reader of the whole text to name.
    """
    check_regular(path, where)
    try:
        size = path.stat().st_size
        if not LARGE < size <= plan.limit or plan.encoding not in (None, "utf-8") or plan.decimal == ",":
            return None
        with path.open("rb") as file:
            return _read(plan, file, size, where)
    except (InputError, OSError):
        return None


def csv_blocks(plan: ReadPlan, path: Path) -> Iterator[RawTable]:
    """The raw columns of a UTF-8 text table in blocks of rows, all cells as text.

    Raises InputError as `read_csv`, and read.mapped_encoding for another encoding.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    where = source_name(plan, path)
    size = path.stat().st_size
    if size > plan.limit:
        raise InputError("read.too_large", where=where, limit=f"{plan.limit_mb:g}")
    with path.open("rb") as file:
        head = file.read(BLOCK)
        whole = len(head) == size
        head = head if len(head) < BLOCK else head[: head.rfind(b"\n") + 1]
        table = open_text(plan, head, where, whole=whole)
        mark = len(BOM_UTF8) if head.startswith(BOM_UTF8) else 0
        if not head[mark:].startswith(table.raw[: table.start]) or table.frame.comment is not None:
            raise InputError("read.mapped_encoding", where=where)
        end = mark + table.end
        if not whole:
            table, end = _without_last_rows(table, plan, file, size, mark + table.start)
        file.seek(mark + table.start)
        read, parse, convert = options(table, dict.fromkeys(table.names, pa.large_string()), quoted=True)
        try:
            with arrow_csv.open_csv(Span(file, end - mark - table.start), read, parse, convert) as stream:
                notes = table.notes
                for batch in stream:
                    columns = tuple(
                        RawColumn(name, texts=pa.chunked_array([batch.column(name)])) for name in table.names
                    )
                    yield RawTable(
                        columns,
                        batch.num_rows,
                        where,
                        lambda row: row + table.skipped + 1,
                        notes,
                        table.frame.units,
                        table.frame.descriptions,
                        table.evidence,
                    )
                    notes = ()
        except pa.ArrowInvalid as fault:
            if widths := re.search(r"Expected (\d+) columns, got (\d+)", str(fault)):
                raise InputError("read.ragged", where=where, got=widths[2], columns=widths[1]) from None
            raise InputError("read.undecodable_as", where=where, encoding="utf-8", byte="-") from None


def _read(plan: ReadPlan, file: IO[bytes], size: int, where: str) -> RawTable | None:
    head = file.read(_HEAD)
    head = head[: head.rfind(b"\n") + 1]
    if head.count(b"\n") < MOST_LINES:
        return None
    table = open_text(plan, head, where, whole=False)
    if table.raw != head or table.notes or table.frame.comment is not None:
        return None
    table, end = _without_last_rows(table, plan, file, size, table.start)
    pieces = _pieces(file, table.start, end)
    parts = _split(table, plan, file, pieces) if pieces else None
    if parts is None:
        return None
    skipped = table.skipped
    return RawTable(
        parts.columns(table.names),
        parts.rows,
        where,
        lambda row: skipped + row + 1,
        table.notes,
        table.frame.units,
        table.frame.descriptions,
        table.evidence,
    )


def _without_last_rows(
    table: TextTable, plan: ReadPlan, file: IO[bytes], size: int, first: int
) -> tuple[TextTable, int]:
    """The table of a file without its footer, and where its rows end; ``first``: the byte at which they begin."""
    file.seek(max(first, size - TAIL))
    last = file.read(TAIL)
    cut = last.find(b"\n") + 1 if size - TAIL > first else 0
    shorter = without_footer(replace(table, raw=last, start=cut, end=len(last)), plan)
    return replace(shorter, start=table.start), size - len(last) + shorter.end


def _pieces(file: IO[bytes], start: int, end: int) -> list[_Piece] | None:
    """Where to cut a file, with one more piece without bytes for the end; None where it is not plain."""
    pieces: list[_Piece] = []
    row = 0
    while start < end:
        file.seek(start)
        text = file.read(min(_PIECE, end - start))
        last = start + len(text) >= end
        size = len(text) if last else text.rfind(b"\n") + 1
        if size == 0 or b'"' in text or b"\0" in text:
            return None
        if b"\r" in text and text.count(b"\r", 0, size) != text.count(b"\r\n", 0, size):
            return None
        if not text.isascii() and not _is_utf8(text[:size]):
            return None
        pieces.append(_Piece(start, size, row))
        row += text.count(b"\n", 0, size) + (last and not text.endswith(b"\n"))
        start += size
    return [*pieces, _Piece(end, 0, row)]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _split(table: TextTable, plan: ReadPlan, file: IO[bytes], pieces: list[_Piece]) -> SplitText | None:
    """The cells of all pieces; None where a cell or a line is not what the first rows promise."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    text = texts_of(table, plan)
    quick = [name for name in table.names if name not in text]
    kinds = {name: pa.large_string() if name in text else pa.float64() for name in table.names}
    numbers: NDArray[np.float64] = np.empty((pieces[-1].row, len(quick)))
    read, parse, convert = options(table, kinds, quoted=False)
    read.use_threads = False

    lock, memory = Lock(), pa.system_memory_pool()

    def cells(piece: int) -> dict[str, pa.ChunkedArray] | None:
        """The texts of one piece, whose numbers go to their rows; None where it is not plain after all."""
        with lock:
            file.seek(pieces[piece].start)
            raw = file.read(pieces[piece].size)
        try:
            part = arrow_csv.read_csv(pa.BufferReader(raw), read, parse, convert, memory_pool=memory)
        except pa.ArrowInvalid:
            return None
        texts = {name: part.column(name) for name in table.names if name in text}
        if part.num_rows != pieces[piece + 1].row - pieces[piece].row or any(map(has_commas, texts.values())):
            return None
        row = pieces[piece].row
        for batch in part.to_batches():
            fill(numbers[row : row + batch.num_rows], batch, quick)
            row += batch.num_rows
        return texts

    chunks: dict[str, list[pa.Array]] = {name: [] for name in table.names if name in text}
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    try:
        for texts in pool.map(cells, range(len(pieces) - 1)):
            if texts is None:
                return None
            for name, column in texts.items():
                chunks[name] += column.chunks
    finally:
        pool.shutdown(cancel_futures=True)
    whole = {name: pa.chunked_array(column, pa.large_string()) for name, column in chunks.items()}
    return SplitText(numbers, {name: piece for piece, name in enumerate(quick)}, whole, len(numbers))
