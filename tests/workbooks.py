"""Workbooks of every kind with the same cells, for the tests of reading.

openpyxl writes .xlsx; .xls, .xlsb and .ods are written here record by record, as no light library writes them all.
"""

from __future__ import annotations

import datetime as dt
import io
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

KINDS = ("xlsx", "xls", "xlsb", "ods")
ERRORS = {"#NULL!": 0x00, "#DIV/0!": 0x07, "#VALUE!": 0x0F, "#REF!": 0x17, "#NAME?": 0x1D, "#NUM!": 0x24, "#N/A": 0x2A}
_SECTOR = 512
_END, _FREE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


@dataclass(frozen=True)
class ErrorCell:
    """A cell whose formula has failed, such as #N/A."""

    code: str


Cell = float | str | bool | dt.datetime | ErrorCell | None


@dataclass(frozen=True)
class Sheet:
    """A sheet: its rows, and (row, first column, last column) of each merged cell. ``far``: where a 7 stands alone."""

    name: str
    rows: Sequence[Sequence[Cell]]
    hidden: bool = False
    merged: Sequence[tuple[int, int, int]] = ()
    far: tuple[int, int] | None = None

    def cells(self) -> Iterator[tuple[int, int, Cell]]:
        """Each cell with its row and column."""
        for row, cells in enumerate(self.rows):
            yield from ((row, column, cell) for column, cell in enumerate(cells) if cell is not None)
        if self.far is not None:
            yield (*self.far, 7.0)


def workbook(kind: str, sheets: Sequence[Sheet], *, since_1904: bool = False) -> bytes:
    """The bytes of a workbook. ``since_1904``: days count from 1904, as on old Macintoshes (not .ods)."""
    if kind == "xlsx":
        return _xlsx(sheets, since_1904)
    if kind == "ods":
        return _ods(sheets)
    return _xls(sheets, since_1904) if kind == "xls" else _xlsb(sheets, since_1904)


def locked(kind: str) -> bytes:
    """The bytes of a workbook that is protected by a password."""
    noise = bytes(range(256)) * 24
    if kind == "xls":
        return _xls([Sheet("Sheet1", [["time", "x"]])], since_1904=False, password=True)
    if kind == "ods":
        key = '<manifest:encryption-data manifest:checksum="AA=="/>'
        return _ods([], content=noise, encryption=key)
    return compound({"EncryptionInfo": struct.pack("<HHI", 4, 4, 0x40) + noise, "EncryptedPackage": noise})


def locked_zip(member: str, raw: bytes) -> bytes:
    """A zip file whose one member is marked as encrypted."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(member, raw)
    packed = bytearray(made.getvalue())
    packed[6] |= 1
    packed[packed.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def compound(streams: dict[str, bytes]) -> bytes:
    """A compound file (OLE) of large streams, in sectors of 512 bytes with at most one sector of table."""
    bodies = [
        raw + bytes(-len(raw) % _SECTOR) for raw in ((raw + bytes(max(0, 4096 - len(raw)))) for raw in streams.values())
    ]
    directory = 1 + len(streams) // 4
    table, starts = [_FAT, *range(2, directory + 1), _END], []
    for body in bodies:
        starts.append(len(table))
        table += [*range(len(table) + 1, len(table) + len(body) // _SECTOR), _END]
    assert len(table) <= _SECTOR // 4
    entries = [_entry("Root Entry", 5, _END, 0, child=1 if streams else _FREE)]
    for number, (name, start, body) in enumerate(zip(streams, starts, bodies, strict=True), 1):
        entries.append(_entry(name, 2, start, len(body), right=number + 1 if number < len(streams) else _FREE))
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<9I", 0, 1, 1, 0, 4096, _END, 0, _END, 0) + struct.pack("<109I", 0, *[_FREE] * 108)
    fat = struct.pack(f"<{_SECTOR // 4}I", *table, *[_FREE] * (_SECTOR // 4 - len(table)))
    return head + fat + b"".join(entries).ljust(directory * _SECTOR, b"\0") + b"".join(bodies)


def _entry(name: str, kind: int, start: int, size: int, *, right: int = _FREE, child: int = _FREE) -> bytes:
    text = (name + "\0").encode("utf-16-le")
    fixed = struct.pack("<HBB3I", len(text), kind, 1, _FREE, right, child) + bytes(36)
    return text.ljust(64, b"\0") + fixed + struct.pack("<IQ", start, size)


def _serial(moment: dt.datetime, since_1904: bool) -> float:
    return (moment - dt.datetime(1904, 1, 1) if since_1904 else moment - dt.datetime(1899, 12, 30)) / dt.timedelta(
        days=1
    )


def _xlsx(sheets: Sequence[Sheet], since_1904: bool) -> bytes:
    from openpyxl import Workbook
    from openpyxl.utils.datetime import CALENDAR_MAC_1904

    book = Workbook()
    book.remove(book.active)
    if since_1904:
        book.epoch = CALENDAR_MAC_1904
    for sheet in sheets:
        page = book.create_sheet(sheet.name)
        page.sheet_state = "hidden" if sheet.hidden else "visible"
        for row, column, cell in sheet.cells():
            page.cell(row + 1, column + 1, cell.code if isinstance(cell, ErrorCell) else cell)
        for row, first, last in sheet.merged:
            page.merge_cells(start_row=row + 1, end_row=row + 1, start_column=first + 1, end_column=last + 1)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _record(number: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", number, len(data)) + data


def _xls(sheets: Sequence[Sheet], since_1904: bool, *, password: bool = False) -> bytes:
    """BIFF8, the format of Excel 97 to 2003."""
    begin = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0))
    begin += _record(0x002F, struct.pack("<HHH", 1, 1, 1) + bytes(48)) if password else b""
    begin += _record(0x0042, struct.pack("<H", 1200)) + _record(0x0022, struct.pack("<H", since_1904))
    for form in (0, 22):  # General, and a date with a time
        begin += _record(0x00E0, struct.pack("<HHH", 0, form, 0) + bytes(14))
    names = [struct.pack("<BB", len(sheet.name), 1) + sheet.name.encode("utf-16-le") for sheet in sheets]
    spot = len(begin) + sum(len(name) + 10 for name in names) + 4
    bodies = [_biff_sheet(sheet, since_1904) for sheet in sheets]
    for sheet, name, body in zip(sheets, names, bodies, strict=True):
        begin += _record(0x0085, struct.pack("<IBB", spot, sheet.hidden, 0) + name)
        spot += len(body)
    return compound({"Workbook": begin + _record(0x000A) + b"".join(bodies)})


def _biff_sheet(sheet: Sheet, since_1904: bool) -> bytes:
    made = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0))
    for row, column, cell in sheet.cells():
        at = struct.pack("<HHH", row, column, isinstance(cell, dt.datetime))
        if isinstance(cell, ErrorCell):
            made += _record(0x0205, at + struct.pack("<BB", ERRORS[cell.code], 1))
        elif isinstance(cell, bool):
            made += _record(0x0205, at + struct.pack("<BB", cell, 0))
        elif isinstance(cell, str):
            made += _record(0x0204, at + struct.pack("<HB", len(cell), 1) + cell.encode("utf-16-le"))
        else:
            number = _serial(cell, since_1904) if isinstance(cell, dt.datetime) else cell
            made += _record(0x0203, at + struct.pack("<d", number))
    for row, first, last in sheet.merged:
        made += _record(0x00E5, struct.pack("<HHHHH", 1, row, row, first, last))
    return made + _record(0x000A)


def _part(number: int, data: bytes = b"") -> bytes:
    kind = bytes([number]) if number < 128 else bytes([number & 0x7F | 0x80, number >> 7])
    size, length = len(data), bytearray()
    while size > 127:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return kind + bytes([*length, size]) + data


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _xlsb(sheets: Sequence[Sheet], since_1904: bool) -> bytes:
    """BIFF12, the binary form of .xlsx."""
    office, relations = "http://schemas.openxmlformats.org", "/package/2006/relationships"
    kinds = office + "/officeDocument/2006/relationships"
    book = _part(131) + _part(153, struct.pack("<III", since_1904, 0, 0)) + _part(143)
    links = f'<Relationship Id="rId0" Type="{kinds}/styles" Target="styles.bin"/>'
    styles = _part(278) + _part(617, struct.pack("<I", 2))
    styles += b"".join(_part(47, struct.pack("<HH", 0, form) + bytes(12)) for form in (0, 22)) + _part(618) + _part(279)
    pages = {}
    for number, sheet in enumerate(sheets, 1):
        book += _part(156, struct.pack("<II", sheet.hidden, number) + _wide(f"rId{number}") + _wide(sheet.name))
        links += f'<Relationship Id="rId{number}" Type="{kinds}/worksheet" Target="worksheets/sheet{number}.bin"/>'
        pages[f"xl/worksheets/sheet{number}.bin"] = _binary_sheet(sheet, since_1904)
    main = f'<Relationship Id="rId1" Type="{kinds}/officeDocument" Target="xl/workbook.bin"/>'
    return _zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{office}/package/2006/content-types"/>',
            "_rels/.rels": f'<Relationships xmlns="{office}{relations}">{main}</Relationships>',
            "xl/_rels/workbook.bin.rels": f'<Relationships xmlns="{office}{relations}">{links}</Relationships>',
            "xl/workbook.bin": book + _part(144) + _part(157, bytes(26)) + _part(132),
            "xl/styles.bin": styles,
            **pages,
        }
    )


def _binary_sheet(sheet: Sheet, since_1904: bool) -> bytes:
    made = _part(129) + _part(148, struct.pack("<4I", 0, 0, 0, 0)) + _part(145)
    for row, cells in groupby(sheet.cells(), key=lambda cell: cell[0]):
        made += _part(0, struct.pack("<I", row) + bytes(21))
        for _, column, cell in cells:
            at = struct.pack("<II", column, isinstance(cell, dt.datetime))
            if isinstance(cell, ErrorCell):
                made += _part(3, at + bytes([ERRORS[cell.code]]))
            elif isinstance(cell, bool):
                made += _part(4, at + bytes([cell]))
            elif isinstance(cell, str):
                made += _part(6, at + _wide(cell))
            elif cell is not None:
                number = _serial(cell, since_1904) if isinstance(cell, dt.datetime) else cell
                made += _part(5, at + struct.pack("<d", number))
    made += _part(146)
    if sheet.merged:
        made += _part(177, struct.pack("<I", len(sheet.merged)))
        made += b"".join(_part(176, struct.pack("<4I", row, row, *span)) for row, *span in sheet.merged) + _part(178)
    return made + _part(130)


def _ods(sheets: Sequence[Sheet], *, content: bytes | None = None, encryption: str = "") -> bytes:
    """OpenDocument, as LibreOffice writes it."""
    names = {
        prefix: f"urn:oasis:names:tc:opendocument:xmlns:{prefix}:1.0" for prefix in ("office", "style", "table", "text")
    }
    spaces = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in names.items())
    styles = "".join(
        f'<style:style style:name="ta{hidden:d}" style:family="table">'
        f'<style:table-properties table:display="{str(not hidden).lower()}"/></style:style>'
        for hidden in (False, True)
    )
    pages = "".join(
        f'<table:table table:name={quoteattr(sheet.name)} table:style-name="ta{sheet.hidden:d}">'
        + "".join(
            f"<table:table-row>{''.join(_open_cell(sheet, row, column) for column in range(len(cells)))}</table:table-row>"
            for row, cells in enumerate(sheet.rows)
        )
        + _far_cell(sheet)
        + "</table:table>"
        for sheet in sheets
    )
    whole = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {spaces}>'
        f"<office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:spreadsheet>{pages}</office:spreadsheet></office:body></office:document-content>"
    )
    kind, space = "application/vnd.oasis.opendocument.spreadsheet", names["office"].replace("office", "manifest")
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{path}" manifest:media-type="{media}">{inside}</manifest:file-entry>'
        for path, media, inside in (("/", kind, ""), ("content.xml", "text/xml", encryption))
    )
    return _zipped(
        {
            "mimetype": kind,
            "content.xml": whole if content is None else content,
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{space}">{entries}</manifest:manifest>',
        }
    )


def _far_cell(sheet: Sheet) -> str:
    if sheet.far is None:
        return ""
    rows, columns = sheet.far
    empty = (
        f'<table:table-row table:number-rows-repeated="{rows - len(sheet.rows)}"><table:table-cell/></table:table-row>'
    )
    cell = f'<table:table-cell table:number-columns-repeated="{columns}"/><table:table-cell office:value="7"/>'
    return f"{empty}<table:table-row>{cell}</table:table-row>"


def _open_cell(sheet: Sheet, row: int, column: int) -> str:
    cell = sheet.rows[row][column]
    for line, first, last in sheet.merged:
        if line == row and first < column <= last:
            return "<table:covered-table-cell/>"
    span = next(
        (
            f' table:number-columns-spanned="{last - first + 1}"'
            for line, first, last in sheet.merged
            if (line, first) == (row, column)
        ),
        "",
    )
    if cell is None:
        return f"<table:table-cell{span}/>"
    if isinstance(cell, ErrorCell):
        kind, shown = 'string" office:string-value="', cell.code
    elif isinstance(cell, bool):
        kind, shown = f'boolean" office:boolean-value="{str(cell).lower()}', str(cell).upper()
    elif isinstance(cell, str):
        kind, shown = "string", escape(cell)
    elif isinstance(cell, dt.datetime):
        kind, shown = f'date" office:date-value="{cell.isoformat()}', f"{cell:%x}"
    else:
        kind, shown = f'float" office:value="{cell!r}', f"{cell:.2f}"
    return f'<table:table-cell{span} office:value-type="{kind}"><text:p>{shown}</text:p></table:table-cell>'


def _zipped(members: dict[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return made.getvalue()
