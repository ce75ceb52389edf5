"""Several files, sheets and packed files as one table; everything bounded, with the right reason."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backmix.data.layout.detect import detect
from backmix.data.layout.evidence import OpenQuestion
from backmix.data.sources import ReadPlan, read
from backmix.errors import InputError, PlanError
from files import take
from workbooks import Sheet, workbook


def day(number: int, *, columns: tuple[str, ...] = ("FI101", "TI102"), rows: int = 4) -> str:
    """One day of a historian."""
    lines = [
        f"2024-05-{number:02d} {hour:02d}:00:00," + ",".join(f"{number}.{hour}{at}" for at in range(len(columns)))
        for hour in range(rows)
    ]
    return "\n".join(["time," + ",".join(columns), *lines]) + "\n"


@pytest.fixture
def daily(tmp_path: Path) -> Path:
    """A folder of three days, the second of which lacks a column and the third of which has one more."""
    folder = tmp_path / "daily"
    folder.mkdir()
    (folder / "d1.csv").write_text(day(1))
    (folder / "d2.csv").write_text(day(2, columns=("FI101",)))
    (folder / "d10.csv").write_text(day(10, columns=("TI102", "FI101", "PI103")))
    return tmp_path


@pytest.mark.parametrize("file", ["daily", "daily/*.csv", ("daily/d10.csv", "daily/d1.csv", "daily/d2.csv")])
def test_files_of_one_layout_are_one_table(daily: Path, file: str | tuple[str, ...]) -> None:
    reading = read(ReadPlan(file=file), base=daily)
    table = reading.table
    assert len(table) == 12
    assert set(table.names) == {"FI101", "TI102", "PI103"}
    assert table.time is not None
    assert (np.diff(table.time) > np.timedelta64(0)).all()
    np.testing.assert_array_equal(np.isnan(table.column("TI102")), [False] * 4 + [True] * 4 + [False] * 4)
    assert np.isnan(table.column("PI103")).sum() == 8
    assert table.column("FI101")[8] == 10.01
    absent = {note.tag: note.count for note in reading.ledger.notes if note.reason == "read.reason_absent"}
    assert absent == {"TI102": 4, "PI103": 8}
    entry = next(entry for entry in reading.evidence if entry.key == "files")
    assert entry.sentence("en").startswith("3 files of one layout")


def test_the_same_row_in_two_files_counts_once(daily: Path) -> None:
    (daily / "daily" / "d1b.csv").write_text(day(1))
    reading = read(ReadPlan(file="daily/d1*.csv"), base=daily)
    assert len(reading.table) == 8
    assert reading.ledger.dropped == 4
    (daily / "daily" / "d1b.csv").write_text(day(1).replace("1.10", "7.77"))
    with pytest.raises(InputError, match=r"daily/d1\*\.csv:d1b\.csv:3:FI101 — 7.77 .* row d1\.csv:3 of the same time"):
        read(ReadPlan(file="daily/d1*.csv"), base=daily)


def test_a_place_names_the_right_file(daily: Path) -> None:
    (daily / "daily" / "d2.csv").write_text(day(2).replace("2024-05-02 02", "2024-15-02 02"))
    with pytest.raises(InputError, match=r"d2\.csv:4:time"):
        read(ReadPlan(file="daily", time="time"), base=daily)
    (daily / "daily" / "d2.csv").write_text(day(2) + "1,2,3,4,5\n")
    with pytest.raises(InputError, match=r"d2\.csv:6 — this row has 5 cells"):
        read(ReadPlan(file="daily"), base=daily)


def test_a_unit_must_not_change_between_files(daily: Path) -> None:
    for name, unit in (("a", "degC"), ("b", "°C"), ("c", "degF")):
        text = day(ord(name) - 96, columns=("TI102", "PI103")).replace("\n", f"\n,{unit},bar\n", 1)
        (daily / f"{name}.csv").write_text(text)
    assert read(ReadPlan(file=("a.csv", "b.csv")), base=daily).table.tag("TI102").unit == "degC"
    with pytest.raises(InputError, match=r"c\.csv — column 'TI102' is in degF here, but in degC in a\.csv"):
        read(ReadPlan(file="?.csv"), base=daily)


def test_files_of_different_tags_are_not_put_below_each_other(daily: Path) -> None:
    (daily / "x.csv").write_text(day(1, columns=("A1",)))
    (daily / "y.csv").write_text(day(1, columns=("B1",)))
    table = read(ReadPlan(file=("x.csv", "y.csv")), base=daily).table
    alone = read(ReadPlan(file="y.csv"), base=daily).table
    assert table.names == ("A1", "B1")
    assert table.column("B1").tolist() == alone.column("B1").tolist()  # beside, on one clock


def test_a_folder_or_pattern_without_tables(daily: Path) -> None:
    with pytest.raises(InputError, match="no file of tables"):
        read(ReadPlan(file="weekly/*.csv"), base=daily)
    with pytest.raises(InputError, match="Did you mean"):
        read(ReadPlan(file="daly.csv"), base=daily)


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["plant.csv{}", "plant{}", "plant.dat"])
def test_packed_files(tmp_path: Path, suffix: str, name: str) -> None:
    name = name.format(suffix)
    (tmp_path / name).write_bytes(PACKERS[suffix](day(1, rows=20).encode()))
    assert len(read(ReadPlan(file=name), base=tmp_path).table) == 20
    (tmp_path / name).write_bytes(PACKERS[suffix]((day(1, rows=20) + "2024-06-01 00:00:00,1\n").encode()))
    with pytest.raises(InputError, match=rf"{name}:22 — this row has 2 cells"):
        read(ReadPlan(file=name), base=tmp_path)
    cut = (tmp_path / name).read_bytes()[:-9]
    (tmp_path / name).write_bytes(cut)
    with pytest.raises(InputError, match="damaged or truncated"):
        read(ReadPlan(file=name), base=tmp_path)


def test_a_zip_of_days_is_several_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "may.zip", "w") as archive:
        for number in (2, 1):
            archive.writestr(f"may/d{number}.csv", day(number))
        archive.writestr("__MACOSX/d1.csv", b"\0\1")
        archive.writestr(".hidden", b"x")
    reading = read(ReadPlan(file="may.zip"), base=tmp_path)
    assert len(reading.table) == 8
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("d1.csv", day(1))
        archive.writestr("d2.csv", day(2) + "x\n,,,,,\n" + day(3))
    with pytest.raises(InputError, match=r"bad\.zip/d2\.csv:6 — this row has 1 cells"):
        read(ReadPlan(file="bad.zip"), base=tmp_path)
    buffer = io.BytesIO()
    pd.DataFrame({"time": pd.date_range("2024-01-01", periods=3), "a": [1.0, 2, 3]}).to_parquet(buffer)
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr("a.parquet", buffer.getvalue())
    assert read(ReadPlan(file="one.zip"), base=tmp_path).table.names == ("a",)
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as archive:
        archive.write(tmp_path / "may.zip", "may.zip")
    with pytest.raises(InputError, match="packed file within one"):
        read(ReadPlan(file="nested.zip"), base=tmp_path)
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    with pytest.raises(InputError, match="holds 0 files"):
        read(ReadPlan(file="empty.zip"), base=tmp_path)


def test_what_is_packed_is_known_by_what_it_holds(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("d1.csv", day(1))
    book = workbook(
        "xlsx", [Sheet("May", [("time", "a"), *((f"2024-05-0{date}", float(date)) for date in range(1, 5))])]
    )
    for name, raw in {"download": packed, "plant.csv": packed, "plant.xlsx": packed}.items():
        assert len(take(tmp_path, raw.getvalue(), name).table) == 4
    assert len(take(tmp_path, book, "plant.zip").table) == 4
    for name in ("plant.csv.gz", "plant.zip.gz", "plant.gz"):
        (tmp_path / name).write_bytes(gzip.compress(packed.getvalue()))
        with pytest.raises(InputError, match="is itself a packed file within one"):
            read(ReadPlan(file=name), base=tmp_path)


@pytest.mark.parametrize(
    ("name", "raw", "kind"),
    [
        ("plant.7z", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(100), "7z"),
        ("plant.csv", b"Rar!\x1a\7\1\0" + bytes(100), "rar"),
        ("plant.csv.zst", b"\x28\xb5\x2f\xfd\4\0" + bytes(100), "zst"),
        ("plant.tar.gz", gzip.compress(b"plant.csv".ljust(257, b"\0") + b"ustar\x0000" + bytes(1000)), "tar"),
    ],
)
def test_other_archives_are_named(tmp_path: Path, name: str, raw: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError) as fault:
        read(ReadPlan(file=name), base=tmp_path)
    assert str(fault.value) == (
        f"{name} — is an archive of kind {kind}, which is not read. Unpack it, or pack the tables as .zip or .gz"
    )


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"1,2\n" * 1_000_000))
    with pytest.raises(InputError, match="larger than the limit of 1 MB"):
        read(ReadPlan(file="a.csv.gz", limit_mb=1), base=tmp_path)
    monkeypatch.setattr("backmix.data.sources.packing.RATIO_FROM", 1_000_000)
    with pytest.raises(InputError, match="unpacks to more than 250 times"):
        read(ReadPlan(file="a.csv.gz"), base=tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for at in range(4):
            archive.writestr(f"{at}.csv", b"a,b\n" + b"1,2\n" * 250_000)
    with pytest.raises(InputError, match="unpacks to more than 250 times"):
        read(ReadPlan(file="a.zip"), base=tmp_path)
    pd.DataFrame({"a": np.zeros(1_000_000)}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="unpacks to more than 250 times"):
        read(ReadPlan(file="a.parquet"), base=tmp_path)


def test_a_limit_beyond_all_memory_asks_for_no_more_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(day(1))
    assert len(read(ReadPlan(file="a.csv", limit_mb=1e30), base=tmp_path).table) == 4


@pytest.mark.parametrize("source", ["a.csv", "a.xlsx", "a.parquet", "a.gz"])
def test_pipes_and_devices_are_no_files(tmp_path: Path, source: str) -> None:
    os.mkfifo(tmp_path / source)
    with pytest.raises(InputError, match="a device, a pipe or a folder"):
        read(ReadPlan(file=source), base=tmp_path)
    with pytest.raises(InputError, match="a device, a pipe or a folder"):
        read(ReadPlan(file="/dev/zero"))


@pytest.mark.parametrize(
    "name", ["rot13", "hex", "zlib", "base64", "bz2", "idna", "punycode", "undefined", "unicode_escape"]
)
def test_codecs_that_are_no_encodings(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text(day(1))
    with pytest.raises(PlanError, match="does not turn bytes into the text"):
        read(ReadPlan(file="a.csv", encoding=name), base=tmp_path)


@pytest.mark.parametrize("name", ["x" * 9, "utf-8\0", "壞"])
def test_encodings_that_do_not_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text(day(1))
    with pytest.raises(PlanError, match="there is no encoding"):
        read(ReadPlan(file="a.csv", encoding=name), base=tmp_path)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp950"]
)
def test_encodings_are_found(tmp_path: Path, encoding: str) -> None:
    text = "報表：一號機\n\n時間,溫度,流量\n,度C,公斤/小時\n" + day(1).split("\n", 1)[1] + "平均,1,2\n"
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    table = read(ReadPlan(file="a.csv"), base=tmp_path).table
    assert [(tag.name, tag.unit) for tag in table.tags] == [("溫度", "度C"), ("流量", "公斤/小時")]
    assert len(table) == 4


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman", "latin-1"])
def test_encodings_that_are_told(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes("time,Größe\n,°C\n2024-05-01 00:00:00,1\n2024-05-01 01:00:00,2\n".encode(encoding))
    table = read(ReadPlan(file="a.csv", encoding=encoding), base=tmp_path).table
    assert (table.tags[0].name, table.tags[0].unit) == ("Größe", "°C")


def test_zero_bytes_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(day(1).encode() + b"\0" * 100)
    with pytest.raises(InputError, match=r"a\.csv:6 — holds zero bytes"):
        read(ReadPlan(file="a.csv"), base=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,a\n2024-05-01,1\n" + "x" * 5_000_000, "longer than 4 MB|a row is longer"),
        ("x" * 5_000_000 + ",a\n1,2\n", "longer than 4 MB"),
        ("time," + "x" * 100_000 + "\n2024-05-01,1\n", "has 100000 characters"),
        (",".join(f"T{at}" for at in range(60_000)) + "\n" + ",".join(["1"] * 60_000) + "\n", "has 60000 columns"),
        ('time,a\n2024-05-01,"1\n' + "2024-05-02,1\n" * 700_000, "never closed|longer than"),
    ],
    ids=["cell", "line", "name", "columns", "quote"],
)
def test_absurd_sizes_end_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message) as fault:
        read(ReadPlan(file="a.csv"), base=tmp_path)
    assert len(str(fault.value)) < 400


def book(path: Path, sheets: dict[str, list[list[object]]], merge: tuple[str, ...] = ()) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
        for cells in merge:
            sheet.merge_cells(cells)
    made.save(path)


def rows(number: int) -> list[list[object]]:
    return [[pd.Timestamp(2024, 5, number, hour).to_pydatetime(), number + hour / 10, 80.0 + hour] for hour in range(4)]


def test_a_sheet_has_the_same_frame_as_a_text(tmp_path: Path) -> None:
    cells = [
        ["Report of unit 100", None, None],
        [None, None, None],
        ["Time", "Feed", None],
        [None, "FI101", "TI102"],
        [None, "m3/h", "°C"],
        *rows(1),
        [None, None, None],
        ["Average", 1.5, 81.5],
        ["Signature: Chen", None, None],
    ]
    book(tmp_path / "a.xlsx", {"Data": cells}, ("A1:C1", "B3:C3", "A3:A4"))
    found = detect(ReadPlan(file="a.xlsx"), tmp_path)
    assert found.reading is not None, found.fault
    assert (found.layout.preamble, found.layout.header) == (2, ("skip", "name", "unit"))
    assert found.layout.footer == 2
    assert [(tag.name, tag.unit) for tag in found.reading.table.tags] == [("FI101", "m3/h"), ("TI102", "°C")]
    assert len(found.reading.table) == 4
    assert found.reading.ledger.read == 6
    kept = read(ReadPlan(file="a.xlsx", header=("group", "name", "unit")), base=tmp_path).table
    assert kept.names == ("Feed FI101", "Feed TI102")


def test_sheets_of_equal_columns_are_appended(tmp_path: Path) -> None:
    head: list[list[object]] = [["Time", "FI101", "TI102"], [None, "m3/h", "°C"]]
    book(tmp_path / "a.xlsx", {"May": head + rows(1), "June": head + rows(2), "Empty": []})
    for sheet in ("*", ("May", "June")):
        table = read(ReadPlan(file="a.xlsx", sheet=sheet), base=tmp_path).table
        assert (len(table), table.names, table.tags[0].unit) == (8, ("FI101", "TI102"), "m3/h")
    with pytest.raises(OpenQuestion) as fault:
        read(ReadPlan(file="a.xlsx"), base=tmp_path)
    assert [line.split("  #")[0] for line in fault.value.question.lines()] == [
        'sheet = "May"',
        'sheet = "June"',
        'sheet = "*"',
    ]
    with pytest.raises(InputError, match="there is no sheet 'Jun'"):
        read(ReadPlan(file="a.xlsx", sheet=("May", "Jun")), base=tmp_path)
    other: list[list[object]] = [["Time", "AI9", "AI10"]]
    book(tmp_path / "b.xlsx", {"A": head + rows(1), "B": other + rows(1)})
    beside = read(ReadPlan(file="b.xlsx", sheet="*"), base=tmp_path).table
    assert (len(beside), beside.names) == (4, ("FI101", "TI102", "AI9", "AI10"))
    assert beside.values[:, :2].tolist() == beside.values[:, 2:].tolist()
