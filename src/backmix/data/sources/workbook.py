"""A workbook, opened by a process of its own.

    python workbook.py FILE MEGABYTES '["SHEET", ...]'

A damaged or absurd workbook may end the process that opens it or ask for all memory there is: one cell in the last row
and column is enough. This module is that process, which may take so much memory and no more, and imports nothing of
the package. It prints JSON line by line: the sheets, then each that is read, then its rows, some at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import Any

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ROWS = 500
_LOCKED = "EncryptedPackage".encode("utf-16-le").ljust(64, b"\0") + b"\x22\0"
"""The entry of a compound file that holds an encrypted workbook: its name in 64 bytes, and how many of them count."""


def main(file: str, megabytes: int, wanted: list[str]) -> None:
    """Print the sheets of a workbook, and the rows of those ``wanted`` ("*": all) or of the only one filled."""
    import python_calamine as calamine

    with contextlib.suppress(ImportError):  # there is no such limit on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    try:
        with _by_its_kind(Path(file)) as path:
            book = calamine.CalamineWorkbook.from_path(path)
            sheets = _sheets(book, wanted)
            _tell({"sheets": sheets})
            for sheet in sheets:
                if sheet["read"]:
                    _rows(book.get_sheet_by_name(sheet["name"]))
    except calamine.PasswordError:
        _tell({"fault": "locked"})
    except MemoryError:
        _tell({"fault": "memory"})
    except BaseException as fault:  # what the library did not expect comes as an exception of its own kind
        _tell({"fault": "damaged", "text": str(fault).split("\n")[0][:160] or type(fault).__name__})


def _sheets(book: Any, wanted: list[str]) -> list[dict[str, Any]]:
    """Each sheet of cells: its name, whether it is hidden, is read, and has any cells, and the first row."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    pages = [page for page in book.sheets_metadata if page.typ == SheetTypeEnum.WorkSheet]
    sheets = [{"name": page.name, "hidden": page.visible != SheetVisibleEnum.Visible, "read": False} for page in pages]
    if wanted and "*" not in wanted:
        return [sheet | {"read": sheet["name"] in wanted} for sheet in sheets]
    if len(sheets) == 1:
        return [sheets[0] | {"read": True}]
    shown = [sheet for sheet in sheets if not sheet["hidden"]]
    for some in (shown, sheets):  # hidden ones only where no other has cells
        for sheet in some:
            cells = book.get_sheet_by_name(sheet["name"])
            sheet["filled"] = cells.total_height > 0
            sheet["first"] = next(cells.iter_rows(), [])
        filled = [sheet for sheet in some if sheet["filled"]]
        if filled:
            for sheet in filled:
                sheet["read"] = bool(wanted) or len(filled) == 1
            break
    return sheets


def _rows(sheet: Any) -> None:
    """The rows of a sheet that have anything in them, each with the number of rows above it."""
    spans = [(top, last - first + 1) for (top, first), (_, last) in sheet.merged_cell_ranges or []]
    _tell({"sheet": sheet.name, "merged": sorted({top for top, span in spans if 1 < span < sheet.width})})
    some: list[Any] = []
    for line, row in enumerate(sheet.iter_rows()):
        if any(cell != "" for cell in row):
            some.append((line, row))
        if len(some) == _ROWS:
            _tell(some)
            some = []
    _tell(some)


@contextlib.contextmanager
def _by_its_kind(path: Path) -> Iterator[str]:
    """The file under a name with the ending of what it holds, which the library goes by."""
    with path.open("rb") as file:
        kind = ".xls" if file.read(8) == OLE else ".xlsx"
    if kind == ".xls":
        kind = ".xlsx" if _LOCKED in path.read_bytes() else kind
    else:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
        kind = ".ods" if "content.xml" in members else ".xlsb" if "xl/workbook.bin" in members else kind
    if path.suffix.lower() == kind:
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"workbook{kind}"
        try:
            link.symlink_to(path.resolve())
        except OSError:
            link.write_bytes(path.read_bytes())
        yield str(link)


def _plain(cell: Any) -> Any:
    """A time of day as its text and a duration in hours, as neither is a moment; a moment as its text, marked."""
    if isinstance(cell, timedelta):
        return cell.total_seconds() / 3600
    return cell.isoformat() if isinstance(cell, time) else {"moment": cell.isoformat()}


def _tell(what: Any) -> None:
    sys.stdout.buffer.write(json.dumps(what, default=_plain, ensure_ascii=False).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)  # the library's memory need not be given back cell by cell
