"""Files that cannot be used as they are: each row of the list of bad inputs with its exact answer.

A row that is repaired is shown with its count; a row that is refused with its whole sentence.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backmix.data.quality import Quality
from backmix.data.sources import ReadPlan, TagPlan, read
from backmix.errors import InputError, PlanError
from files import counts, refused, take


def test_row_01_identical_duplicate_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    reading = take(tmp_path, "t,a\n2024-01-01,1\n2024-01-01,1\n2024-01-02,2\n2024-01-02,2\n2024-01-02,2\n")
    assert list(reading.table.values[:, 0]) == [1, 2]
    assert counts(reading)["duplicate_row"] == 3
    assert reading.ledger.read == 5 == len(reading.table) + reading.ledger.dropped


CLASH = "t,a,b\n2024-01-01,1,5\n2024-01-01,2,5\n2024-01-02,2,7\n"


def test_row_02_one_time_with_two_values(tmp_path: Path) -> None:
    assert refused(tmp_path, CLASH) == (
        "plant.csv:3:a — 2 at 2024-01-01 00:00:00, but row 2 of the same time has 1. Say which counts: [data] "
        'duplicates = "first", "last" or "mean"'
    )


@pytest.mark.parametrize(("policy", "kept"), [("first", 1), ("last", 2), ("mean", 1.5)])
def test_row_02_a_named_policy_settles_it(tmp_path: Path, policy: str, kept: float) -> None:
    reading = take(tmp_path, CLASH, duplicates=policy)
    assert reading.table.values.tolist() == [[kept, 5], [2, 7]]
    assert counts(reading)[f"same_time_{policy}"] == 1
    if policy == "mean":
        assert reading.table.quality is not None
        assert reading.table.quality.tolist() == [[Quality.UNCERTAIN, Quality.GOOD], [Quality.GOOD, Quality.GOOD]]
        assert counts(reading)["mean"] == 1


STATES = [
    "Bad Input",
    "I/O Timeout",
    "No Data",
    "Shutdown",
    "Bad",
    "Inp OutRange",
    "Scan Timeout",
    "輸入錯誤",
    "無資料",
    "停機",
    "Fernbedienung aus",
]


@pytest.mark.parametrize("state", STATES)
def test_row_09_a_state_in_a_column_of_numbers_is_a_bad_value(tmp_path: Path, state: str) -> None:
    reading = take(tmp_path, f"t,a\n2024-01-01,1\n2024-01-02,{state}\n2024-01-03,3\n2024-01-04,0\n")
    np.testing.assert_array_equal(reading.table.values[:, 0], [1, np.nan, 3, 0])
    assert reading.table.quality is not None
    assert reading.table.quality[:, 0].tolist() == [0, Quality.BAD, 0, 0]
    assert reading.ledger.status_texts() == {"a": {state: 1}}


def test_row_10_a_decimal_comma_is_read(tmp_path: Path) -> None:
    reading = take(tmp_path, "t;a;b\n2024-01-01;1,5;1,234\n2024-01-02;-0,25;2,345\n")
    assert reading.table.values.tolist() == [[1.5, 1.234], [-0.25, 2.345]]
    assert counts(reading)["decimal_comma"] == 4


def test_row_10_a_comma_that_may_be_either(tmp_path: Path) -> None:
    text = "t;a\n2024-01-01;7\n2024-01-02;1,234\n"
    assert refused(tmp_path, text) == (
        "plant.csv:3:a — '1,234' may be 1234 or 1.234. Say which mark is decimal: [data] decimal = \".\" makes it "
        '1234, decimal = "," makes it 1.234'
    )
    assert take(tmp_path, text, decimal=",").table.values[1, 0] == 1.234
    assert take(tmp_path, text, decimal=".").table.values[1, 0] == 1234


def test_row_10_a_point_in_a_file_of_decimal_commas(tmp_path: Path) -> None:
    assert refused(tmp_path, "t;a;b\n2024-01-01;1,5;1.234\n") == (
        "plant.csv:2:b — '1.234' may be 1.234 or 1234. Say which mark is decimal: [data] decimal = \".\" makes it "
        '1.234, decimal = "," makes it 1234'
    )
    assert refused(tmp_path, "t;a;b\n2024-01-01;1,5;2.5\n") == (
        "plant.csv:2:a — '1,5' has a decimal comma, but '2.5' in plant.csv:2:b has a decimal point. Export the table "
        "with one of them"
    )
    assert refused(tmp_path, "t;a\n2024-01-01;2.5\n", decimal=",") == (
        "plant.csv:2:a — '2.5' does not fit [data] decimal = ','. Change the setting or mend the cell"
    )


def test_row_11_infinite_numbers_are_bad_and_counted(tmp_path: Path) -> None:
    reading = take(tmp_path, "t,a\n2024-01-01,inf\n2024-01-02,-Infinity\n2024-01-03,1e999\n2024-01-04,4\n")
    np.testing.assert_array_equal(reading.table.values[:, 0], [np.nan, np.nan, np.nan, 4])
    assert reading.table.quality is not None
    assert reading.table.quality[:, 0].tolist() == [Quality.BAD] * 3 + [Quality.GOOD]
    assert counts(reading)["infinite"] == 3
    frame = read(ReadPlan(), frame=pd.DataFrame({"a": [np.inf, 1.0]}))
    assert counts(frame)["infinite"] == 1


def test_row_12_a_mixture_of_numbers_and_texts(tmp_path: Path) -> None:
    assert refused(tmp_path, "t,g\n2024-01-01,1\n2024-01-02,A\n2024-01-03,B\n") == (
        "plant.csv:3:g — column 'g' mixes 1 numbers with 2 texts such as 'A'. Say what it is: [[data.tags]] name = 'g' "
        'with type = "number" (texts become bad values) or type = "text" (classes)'
    )


def test_row_16_an_input_without_any_value(tmp_path: Path) -> None:
    text = "t,a,b\n2024-01-01,1,\n2024-01-02,2,Bad\n"
    assert refused(tmp_path, text, tags=(TagPlan(name="b", role="input"),)) == (
        "plant.csv — column 'b' has no usable value in any row. Mend the export, or give the tag role = \"ignored\""
    )
    assert take(tmp_path, text, tags=(TagPlan(name="b", role="ignored"),)).table.tag("b").role == "ignored"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_row_19_byte_order_marks_and_wide_characters(tmp_path: Path, encoding: str) -> None:
    reading = take(tmp_path, "時間,溫度\n2024-01-01,1.5\n".encode(encoding))
    assert reading.table.names == ("溫度",)
    assert counts(reading)["encoding"] == 2


def test_row_20_a_big5_file_is_decoded_before_it_is_split(tmp_path: Path) -> None:
    text = "時間|許功蓋|育黑\n2024-01-01|1.5|關閉\n2024-01-02|Bad Input|開\n"
    assert b"\\" in text.encode("cp950")
    assert text.encode("cp950").count(b"|") > text.count("|")
    reading = take(tmp_path, text.encode("cp950"))
    assert reading.table.names == ("許功蓋", "育黑")
    assert reading.table.tag("育黑").categories == ("開", "關閉")
    note = next(note for note in reading.ledger.notes if note.reason == "read.reason_encoding")
    assert note.example == "cp950"


def test_row_20_an_undecodable_byte(tmp_path: Path) -> None:
    assert refused(tmp_path, "時間,溫度\n2024-01-01,1\n".encode("cp950") + b"2024-01-02,\xff\n") == (
        "plant.csv:3 — byte 0xff is neither UTF-8 nor Big5 (cp950). Say what the file is, for example [data] encoding "
        '= "cp1252", or export it as UTF-8'
    )
    assert refused(tmp_path, b"t,a\n2024-01-01,\xe9t\xe9\n", encoding="utf-8") == (
        "plant.csv:2 — byte 0xe9 does not fit encoding 'utf-8'. Change [data] encoding, or export the file as UTF-8"
    )


def test_row_20_western_symbols_that_may_be_big5(tmp_path: Path) -> None:
    raw = "t,T [°C]\n2024-01-01,1\n".encode("latin-1")
    assert refused(tmp_path, raw) == (
        "plant.csv:1 — the characters may be Western (a degree sign, say) or Big5. Say which: [data] encoding = "
        '"cp1252" or "cp950"'
    )
    assert take(tmp_path, raw, encoding="cp1252").table.names == ("T [°C]",)
    with pytest.raises(PlanError) as fault:
        take(tmp_path, raw, encoding="big6")
    assert str(fault.value) == (
        '[data] encoding — there is no encoding \'big6\'. Use for example "utf-8", "cp950", "utf-16" or "cp1252"'
    )


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_row_21_an_empty_file(tmp_path: Path, content: bytes) -> None:
    assert refused(tmp_path, content) == "plant.csv — is empty. Export the table again with its header row"


@pytest.mark.parametrize("content", ["t,a", "t,a\n", "t,a\r\n\r\n"])
def test_row_21_a_header_only(tmp_path: Path, content: str) -> None:
    assert refused(tmp_path, content) == (
        "plant.csv — has a header but no data rows. Export the table again with its rows"
    )


def test_row_21_numbers_where_the_names_should_be(tmp_path: Path) -> None:
    assert refused(tmp_path, "1,2\n3,4\n") == (
        "plant.csv:1 — the first row (1, …) may hold names or values. Say which: "
        '[data] header = ["name"] or header = []'
    )


def test_row_21_rows_of_unequal_length(tmp_path: Path) -> None:
    assert refused(tmp_path, "t,a\n2024-01-01,1\n\n2024-01-02,2,5\n") == (
        "plant.csv:4 — this row has 3 cells, the header has 2. Mend the row; a comma inside a cell needs quotation "
        "marks around the cell"
    )
    assert refused(tmp_path, 't,a\n2024-01-01,"1\n2024-01-02,2\n') == (
        "plant.csv:2 — a quotation mark is opened and never closed. Close it or delete it"
    )


def parquet(rows: int = 100) -> bytes:
    whole = io.BytesIO()
    pd.DataFrame({"t": pd.date_range("2024-01-01", periods=rows), "a": np.arange(rows) * 1.0}).to_parquet(whole)
    return whole.getvalue()


def test_row_21_a_truncated_parquet_file(tmp_path: Path) -> None:
    message = refused(tmp_path, parquet()[:-20], "plant.parquet")
    assert message.startswith("plant.parquet — damaged or truncated Parquet file (")
    assert message.endswith("). Copy or export it again")


@pytest.mark.parametrize(("name", "kind"), [("plant.parquet", "parquet"), ("plant.xlsx", "excel")])
def test_row_21_a_wrong_beginning(tmp_path: Path, name: str, kind: str) -> None:
    assert refused(tmp_path, "t,a\n2024-01-01,1\n", name) == (
        f"{name} — does not begin like a file of kind {kind}. Export it again, or rename it to its true ending"
    )


def test_row_21_a_damaged_workbook(tmp_path: Path) -> None:
    book = io.BytesIO()
    pd.DataFrame({"a": [1.0]}).to_excel(book, index=False)
    for content in (
        book.getvalue()[:-400],
        b"PK\x03\x04" + b"\x00" * 100,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600,
    ):
        assert refused(tmp_path, content, "plant.xlsx").startswith("plant.xlsx — damaged or truncated Excel file (")


def test_row_21_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "plant.csv").write_text("t,a\n")
    with pytest.raises(InputError) as fault:
        read(ReadPlan(file="plan.csv"), base=tmp_path)
    assert str(fault.value) == "plan.csv — there is no such file. Did you mean 'plant.csv'?"


def test_row_22_a_file_beyond_the_limit(tmp_path: Path) -> None:
    text = "t,a\n" + "2024-01-01,1\n" * 200_000
    assert refused(tmp_path, text, limit_mb=1) == (
        "plant.csv — is larger than the limit of 1 MB. Take fewer rows, or raise [data] limit_mb"
    )


def test_row_22_a_zip_bomb_in_a_workbook(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 30_000_000)
    # the directory claims that the member is small
    raw = bomb.getvalue().replace((30_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert len(raw) < 100_000
    message = refused(tmp_path, raw, "plant.xlsx", limit_mb=5)
    assert message in ("plant.xlsx — is larger than the limit of 5 MB. Take fewer rows, or raise [data] limit_mb",) or (
        message.startswith("plant.xlsx — damaged or truncated Excel file")
    )
    assert refused(tmp_path, bomb.getvalue(), "plant.xlsx", limit_mb=5) == (
        "plant.xlsx — is larger than the limit of 5 MB. Take fewer rows, or raise [data] limit_mb"
    )


def test_row_22_a_parquet_file_that_unpacks_to_too_much(tmp_path: Path) -> None:
    whole = io.BytesIO()
    pd.DataFrame({"a": np.zeros(2_000_000)}).to_parquet(whole)
    assert len(whole.getvalue()) < 100_000
    assert refused(tmp_path, whole.getvalue(), "plant.parquet", limit_mb=10) == (
        "plant.parquet — is larger than the limit of 10 MB. Take fewer rows, or raise [data] limit_mb"
    )


def test_a_column_that_occurs_twice(tmp_path: Path) -> None:
    assert refused(tmp_path, "t,a,a\n2024-01-01,1,2\n") == (
        "plant.csv:1 — columns 2 and 3 are both called 'a'. Rename one of them"
    )


def test_a_delimiter_that_cannot_be_told(tmp_path: Path) -> None:
    assert refused(tmp_path, "t;x,y\n2024-01-01;1,5\n") == (
        "plant.csv — cells may be divided by any of ',' ';'. Say which: [data] delimiter = ','"
    )
