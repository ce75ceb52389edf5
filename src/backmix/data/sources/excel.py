"""Excel workbooks and OpenDocument sheets.

This module reads one sheet of a workbook. Workbooks are zip files: every member is unpacked once
against the limit, counting bytes, before a library sees the file. A formula counts with the value
that was last computed; an error such as #N/A is an empty cell.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from datetime import time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.layout.footer import find_footer
from backmix.data.layout.frame import Row, find_frame
from backmix.data.layout.header import cell_text
from backmix.data.ledger import Note
from backmix.data.reading.appending import append
from backmix.data.reading.columns import RawTable, from_objects
from backmix.data.reading.reading import ReadPlan
from backmix.data.sources import Example, Source, sources
from backmix.data.sources.packing import source_name, take
from backmix.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PIECE = 1 << 20
_SAMPLE_ROWS = 200
UNPACKED_MB = 2000
"""Megabytes that a workbook may have unpacked; its cells take about ten times that in memory."""


def read_excel(plan: ReadPlan, path: Path) -> RawTable:
    """The raw columns of a sheet, or of several sheets one below the other.

    Raises InputError: read.too_large, read.damaged, read.locked, read.which_sheet, read.no_sheet,
    read.no_rows, and those of `layout.frame`.
    """
    import python_calamine as calamine

    where = source_name(plan, path)
    raw = take(path, plan, where)
    if raw.startswith(_ZIP):
        _weigh(raw, min(plan.limit, UNPACKED_MB * 1_000_000), where)
    tables: list[tuple[str, RawTable]] = []
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))
        names = _sheets(book, plan, where)
        sheets = [(name, book.get_sheet_by_name(name)) for name in names]
        cells = [(name, sheet.to_python(skip_empty_area=True), sheet) for name, sheet in sheets]
    except calamine.PasswordError:
        raise InputError("read.locked", where=where) from None
    except (calamine.CalamineError, ValueError, OSError) as fault:
        raise InputError("read.damaged", where=where, kind="Excel", fault=str(fault).split("\n")[0][:160]) from None
    for name, rows, sheet in cells:
        place = f"{where}[{name}]"
        tables.append((name, _table(rows, (sheet.start or (0, 0))[0], place, plan, _merged(sheet))))
    return append(tables, where, "sheet")


def _table(rows: list[list[Any]], above: int, where: str, plan: ReadPlan, merged: frozenset[int]) -> RawTable:
    """Columns from rows of cells; ``above`` empty rows precede them in the sheet."""
    filled = [Row(above + index, row) for index, row in enumerate(rows) if any(map(cell_text, row))]
    if not filled:
        raise InputError("read.empty_file", where=where)
    frame = find_frame(filled[:_SAMPLE_ROWS], plan, where, merged)
    mark = frame.comment
    body = [row for row in filled[frame.body :] if not (mark and cell_text(row.cells[0]).startswith(mark))]
    notes = [Note("dropped", "read.reason_comment", len(filled) - frame.body - len(body), example=mark or "")]
    evidence = list(frame.evidence)
    footer = find_footer(body[-_SAMPLE_ROWS:], frame.kinds, plan)
    if footer.rows:
        body = body[: len(body) - footer.rows]
        notes.append(Note("dropped", "read.reason_footer", footer.rows, example=footer.text))
        if plan.footer is None:
            values = {"rows": footer.rows, "text": footer.text}
            evidence.append(Evidence("footer", footer.rows, "layout.footer", values))
    if not body:
        raise InputError("read.no_rows", where=where)

    def number(row: int) -> int:
        return body[row].line + 1

    def column(index: int, name: str) -> Any:
        cells = [_cell(row.cells[index]) for row in body]
        return from_objects(name, cells, lambda row: f"{where}:{number(row)}:{name}")

    columns = tuple(column(index, name) for index, name in enumerate(frame.names))
    kept = tuple(note for note in notes if note.count)
    return RawTable(columns, len(body), where, number, kept, frame.units, frame.descriptions, tuple(evidence))


def _merged(sheet: Any) -> frozenset[int]:
    """Rows with a cell over several columns; not every kind of workbook says so."""
    try:
        ranges = sheet.merged_cell_ranges or []
    except Exception:
        return frozenset()
    width = sheet.total_width
    return frozenset(top for (top, left), (_, right) in ranges if left < right < left + width - 1)


def _cell(cell: Any) -> Any:
    """A duration counts as hours, a time of day as its text: neither is a moment."""
    if isinstance(cell, timedelta):
        return cell.total_seconds() / 3600
    return cell.isoformat() if isinstance(cell, time) else cell


def _sheets(book: Any, plan: ReadPlan, where: str) -> list[str]:
    """The names of the sheets that are to be read."""
    from backmix.data.table import missing_column

    names = list(map(str, book.sheet_names))
    wanted = [plan.sheet] if isinstance(plan.sheet, str) else list(plan.sheet or ())
    for sheet in wanted:
        if sheet not in names and sheet != "*":
            near = missing_column(sheet, names, where).values["near"]
            raise InputError("read.no_sheet", where=where, sheet=sheet, near=near, names=", ".join(names))
    if wanted and wanted != ["*"]:
        return wanted
    filled = [name for name in names if book.get_sheet_by_name(name).total_height > 0] if len(names) > 1 else names
    if not filled:
        raise InputError("read.empty_file", where=where)
    if len(filled) > 1 and not wanted:
        first = [tuple(map(cell_text, next(book.get_sheet_by_name(name).iter_rows(), []))) for name in filled]
        shown = [(name, ", ".join(filter(None, row))[:60]) for name, row in zip(filled, first, strict=True)]
        readings = [Interpretation(name, row) for name, row in shown[:6]]
        readings.insert(len(readings), Interpretation("*", ", ".join(filled)[:60]))
        question = LayoutQuestion("sheet", tuple(readings), first[0], where)
        raise OpenQuestion("read.which_sheet", question=question, where=where, names=", ".join(filled), first=filled[0])
    return filled


def _weigh(raw: bytes, limit: int, where: str) -> None:
    """Unpack every member and count; what the directory of the zip claims is not believed."""
    total = 0
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    while piece := file.read(_PIECE):
                        total += len(piece)
                        if total > limit:
                            raise InputError("read.too_large", where=where, limit=f"{limit / 1e6:g}")
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError) as fault:
        raise InputError("read.damaged", where=where, kind="Excel", fault=str(fault).split("\n")[0][:160]) from None


def example(frame: pd.DataFrame, folder: Path) -> Example:
    """The table as a sheet, its clock without a zone as Excel has it; needs openpyxl."""
    frame.assign(time=frame["time"].dt.tz_localize(None)).to_excel(folder / "table.xlsx", index=False)
    return Example(ReadPlan(file=str(folder / "table.xlsx"), time_zone="UTC"))


sources.register("excel")(
    Source(
        "excel", read_excel, suffixes=(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), magic=(_ZIP, _OLE), example=example
    )
)
