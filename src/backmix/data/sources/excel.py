"""Excel workbooks and OpenDocument sheets.

This module reads sheets of a workbook. Workbooks are zip files: every member is unpacked once against the limit,
counting bytes, before a library sees the file, and that library runs in a process of its own (`workbook`). A formula
counts with the value that was last computed; an error such as #N/A is an empty cell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
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
from backmix.data.sources import Example, Source, sources, workbook
from backmix.data.sources.packing import DAMAGED, check_ratio, check_regular, source_name
from backmix.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_PIECE = 1 << 20
_SAMPLE_ROWS = 200
UNPACKED_MB = 2000
"""Megabytes that a workbook may have unpacked."""
_MEMORY_MB, _MEMORY_ZIP, _MEMORY_OLE = 800, 8, 24
"""Megabytes for the process that opens it: so many, and so many times the unpacked size. Measured: 3 times for .xlsx;
the records of .xls are shorter."""


def read_excel(plan: ReadPlan, path: Path) -> RawTable:
    """The raw columns of a sheet, or of several sheets one below the other.

    Raises InputError: read.too_large, read.bomb, read.damaged, read.locked, read.sheet_memory, read.which_sheet,
    read.no_sheet, read.no_rows, and those of `layout.frame`.
    """
    where = source_name(plan, path)
    check_regular(path, where)
    wanted = [plan.sheet] if isinstance(plan.sheet, str) else list(plan.sheet or ())
    entries = _opened(path, _memory(path, plan, where), wanted, where)
    sheets = next(entries)["sheets"]
    _check_sheets(sheets, wanted, where)
    read: dict[str, tuple[frozenset[int], list[Row]]] = {}
    rows: list[Row] = []
    for entry in entries:
        if isinstance(entry, dict):
            rows = []
            read[entry["sheet"]] = frozenset(entry["merged"]), rows
        else:
            rows += [Row(line, cells) for line, cells in entry]
    order = wanted if wanted and "*" not in wanted else list(read)
    hidden = [sheet["name"] for sheet in sheets if sheet["hidden"] and not sheet["read"]]
    tables = [(name, _table(read[name][1], f"{where}[{name}]", plan, read[name][0])) for name in order]
    table = append(tables, where, "sheet")
    if not hidden or order == wanted:
        return table
    why = Evidence("hidden_sheets", hidden, "layout.hidden_sheets", {"names": ", ".join(hidden)})
    return replace(table, evidence=(*table.evidence, why))


def _opened(path: Path, megabytes: int, wanted: list[str], where: str) -> Iterator[Any]:
    """What the process says that opens the workbook, entry by entry."""
    program = [sys.executable, "-P", workbook.__file__, str(path.resolve()), str(megabytes), json.dumps(wanted)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryFile() as log:
        with subprocess.Popen(  # noqa: S603 our own program
            program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if not line.endswith(b"\n"):  # the process has ended within a line
                        break
                    entry = json.loads(line, object_hook=_moment)
                    if isinstance(entry, dict) and "fault" in entry:
                        raise _fault(entry["fault"], entry.get("text", ""), megabytes, where)
                    yield entry
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            log.seek(0)
            text = log.read(1000).decode("utf-8", "replace").split("\n")[0][:160]
            full = "memory" in text or process.returncode == -9  # the latter where all memory is used up
            raise _fault("memory" if full else "damaged", text, megabytes, where)


def _fault(kind: str, text: str, megabytes: int, where: str) -> InputError:
    if kind == "damaged":
        return InputError("read.damaged", where=where, kind="Excel", fault=text)
    return InputError("read.locked" if kind == "locked" else "read.sheet_memory", where=where, limit=megabytes)


def _moment(entry: dict[str, Any]) -> Any:
    """A date, or a date with a time; everything else as it is."""
    text = entry.get("moment")
    return entry if text is None else (date if len(text) == 10 else datetime).fromisoformat(text)


def _table(rows: list[Row], where: str, plan: ReadPlan, merged: frozenset[int]) -> RawTable:
    """Columns from rows of cells; ``merged``: rows with a cell over several columns."""
    filled = [row for row in rows if any(map(cell_text, row.cells))]
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
        cells = [row.cells[index] for row in body]
        return from_objects(name, cells, lambda row: f"{where}:{number(row)}:{name}")

    columns = tuple(column(index, name) for index, name in enumerate(frame.names))
    kept = tuple(note for note in notes if note.count)
    return RawTable(columns, len(body), where, number, kept, frame.units, frame.descriptions, tuple(evidence))


def _check_sheets(sheets: list[dict[str, Any]], wanted: list[str], where: str) -> None:
    """Say which sheets there are where those that are wanted are not, or none stands out."""
    from backmix.data.table import missing_column

    names = [sheet["name"] for sheet in sheets]
    for name in wanted:
        if name not in names and name != "*":
            near = missing_column(name, names, where).values["near"]
            raise InputError("read.no_sheet", where=where, sheet=name, near=near, names=", ".join(names))
    if any(sheet["read"] for sheet in sheets):
        return
    filled = [sheet for sheet in sheets if sheet.get("filled")]
    if not filled:
        raise InputError("read.empty_file", where=where)
    first = [tuple(map(cell_text, sheet["first"])) for sheet in filled]
    shown = [(sheet["name"], ", ".join(filter(None, row))[:60]) for sheet, row in zip(filled, first, strict=True)]
    listed = ", ".join(name for name, _ in shown)
    readings = [*(Interpretation(name, row) for name, row in shown[:6]), Interpretation("*", listed[:60])]
    question = LayoutQuestion("sheet", tuple(readings), first[0], where)
    raise OpenQuestion("read.which_sheet", question=question, where=where, names=listed, first=shown[0][0])


def _memory(path: Path, plan: ReadPlan, where: str) -> int:
    """Megabytes that the process may have that opens the workbook.

    Every member is unpacked and counted; what the directory of the zip claims is not believed.
    """
    packed = path.stat().st_size
    limit = min(plan.limit, UNPACKED_MB * 1_000_000)
    too_large = InputError("read.too_large", where=where, limit=f"{limit / 1e6:g}")
    if packed > limit:
        raise too_large
    with path.open("rb") as file:
        if file.read(8) == workbook.OLE:
            return _MEMORY_MB + _MEMORY_OLE * packed // 1_000_000
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    while piece := file.read(_PIECE):
                        total += len(piece)
                        if total > limit:
                            raise too_large
                        check_ratio(total, packed, where)
    except (*DAMAGED, RuntimeError) as fault:
        raise InputError("read.damaged", where=where, kind="Excel", fault=str(fault).split("\n")[0][:160]) from None
    return _MEMORY_MB + _MEMORY_ZIP * total // 1_000_000


def example(frame: pd.DataFrame, folder: Path) -> Example:
    """The table as a sheet, its clock without a zone as Excel has it; needs openpyxl."""
    frame.assign(time=frame["time"].dt.tz_localize(None)).to_excel(folder / "table.xlsx", index=False)
    return Example(ReadPlan(file=str(folder / "table.xlsx"), time_zone="UTC"))


sources.register("excel")(
    Source(
        "excel",
        read_excel,
        suffixes=(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
        magic=(workbook.ZIP, workbook.OLE),
        example=example,
    )
)
