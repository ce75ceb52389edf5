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

from backmix.data.reading.columns import RawTable, from_objects, header
from backmix.data.reading.reading import ReadPlan
from backmix.data.sources import Example, Source, sources
from backmix.data.sources.packing import take
from backmix.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PIECE = 1 << 20
UNPACKED_MB = 2000
"""Megabytes that a workbook may have unpacked; its cells take about ten times that in memory."""


def read_excel(plan: ReadPlan, path: Path) -> RawTable:
    """The raw columns of a sheet whose first row with content is the header.

    Raises InputError: read.too_large, read.damaged, read.locked, read.which_sheet, read.no_sheet,
    read.no_rows.
    """
    import python_calamine as calamine

    where = plan.file or str(path)
    raw = take(path, plan, where)
    if raw.startswith(_ZIP):
        _weigh(raw, min(plan.limit, UNPACKED_MB * 1_000_000), where)
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))
        name = _sheet(book, plan, where)
        sheet = book.get_sheet_by_name(name)
        rows = sheet.to_python(skip_empty_area=True)
    except calamine.PasswordError:
        raise InputError("read.locked", where=where) from None
    except (calamine.CalamineError, ValueError, OSError) as fault:
        raise InputError("read.damaged", where=where, kind="Excel", fault=str(fault).split("\n")[0][:160]) from None
    return _table(rows, (sheet.start or (0, 0))[0], f"{where}[{name}]")


def _table(rows: list[list[Any]], above: int, where: str) -> RawTable:
    """Columns from rows of cells; ``above`` empty rows precede them in the sheet."""
    filled = [at for at, row in enumerate(rows) if any(cell not in ("", None) for cell in row)]
    if not filled:
        raise InputError("read.empty_file", where=where)
    names = header(rows[filled[0]], f"{where}:{above + filled[0] + 1}")
    body = filled[1:]
    if not body:
        raise InputError("read.no_rows", where=where)

    def number(row: int) -> int:
        return above + body[row] + 1

    def column(at: int, name: str) -> Any:
        return from_objects(name, [_cell(rows[row][at]) for row in body], lambda row: f"{where}:{number(row)}:{name}")

    return RawTable(tuple(column(at, name) for at, name in enumerate(names)), len(body), where, number)


def _cell(cell: Any) -> Any:
    """A duration counts as hours, a time of day as its text: neither is a moment."""
    if isinstance(cell, timedelta):
        return cell.total_seconds() / 3600
    return cell.isoformat() if isinstance(cell, time) else cell


def _sheet(book: Any, plan: ReadPlan, where: str) -> str:
    from backmix.data.table import missing_column

    names = list(book.sheet_names)
    if plan.sheet is not None:
        if plan.sheet not in names:
            near = missing_column(plan.sheet, names, where).values["near"]
            raise InputError("read.no_sheet", where=where, sheet=plan.sheet, near=near, names=", ".join(names))
        return plan.sheet
    filled = [name for name in names if book.get_sheet_by_name(name).total_height > 0] if len(names) > 1 else names
    if len(filled) > 1:
        raise InputError("read.which_sheet", where=where, names=", ".join(filled), first=filled[0])
    if not filled:
        raise InputError("read.empty_file", where=where)
    return str(filled[0])


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
