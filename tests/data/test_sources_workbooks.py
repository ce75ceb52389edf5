"""Workbooks of every kind with equal content give equal tables."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from backmix.data.layout.detect import detect
from backmix.data.sources import ReadPlan, read
from backmix.data.table import Table
from files import refused, take
from workbooks import KINDS, Cell, ErrorCell, Sheet, locked, locked_zip, workbook

START = dt.datetime(2024, 5, 2, 8)
HEADER = ("time", "FI101", "槽位", "valve", "pump")
UNITS = (None, "m3/h", "%", None, None)


def rows_from(start: dt.datetime, count: int = 60) -> list[tuple[Cell, ...]]:
    """Rows of every kind of cell: a date, numbers, nothing, a state, a truth value, two errors."""
    return [
        (
            start + row * dt.timedelta(seconds=90),
            ErrorCell("#N/A") if row == 7 else ErrorCell("#DIV/0!") if row == 9 else 50 + row / 8,
            None if row == 11 else row * 1.25,
            "OPEN" if row % 3 else "CLOSED",
            row % 2 == 0,
        )
        for row in range(count)
    ]


DATA = [HEADER, *rows_from(START)]
CONFIG = Sheet("Settings", [("server", "PI01"), ("points", 4.0)], hidden=True)


def truth(table: Table, count: int = 60) -> None:
    rows = np.arange(count)
    assert table.names == HEADER[1:]
    assert np.array_equal(table.time, np.datetime64(START, "ns") + rows * np.timedelta64(90, "s"))
    assert np.array_equal(
        table.column("FI101"), np.where((rows == 7) | (rows == 9), math.nan, 50 + rows / 8), equal_nan=True
    )
    assert np.array_equal(table.column("槽位"), np.where(rows == 11, math.nan, rows * 1.25), equal_nan=True)
    assert table.tag("valve").categories == ("CLOSED", "OPEN")
    assert np.array_equal(table.column("valve"), np.minimum(rows % 3, 1))
    assert np.array_equal(table.column("pump"), rows % 2 == 0)


@pytest.mark.parametrize("since_1904", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_dates_truth_values_states_and_errors(tmp_path: Path, kind: str, since_1904: bool) -> None:
    raw = workbook(kind, [Sheet("Data", DATA)], since_1904=since_1904)
    truth(take(tmp_path, raw, f"plant.{kind}").table)


@pytest.mark.parametrize("kind", KINDS)
def test_titles_merged_groups_units_and_a_footer(tmp_path: Path, kind: str) -> None:
    header = ("time", "Flow", "Level", "Flow", "Level")
    groups = (None, "Tank 1", None, "Tank 2", None)
    body = [(row[0], row[2], row[2], row[2], row[2]) for row in DATA[1:]]
    footer = ("Average", 36.9, 36.9, 36.9, 36.9)
    rows = [("Report of unit 100",), (), groups, header, (None, "m3/h", "%", "m3/h", "%"), *body, footer]
    sheet = Sheet("Data", rows, merged=[(2, 1, 2), (2, 3, 4)])
    reading = take(tmp_path, workbook(kind, [sheet]), f"plant.{kind}")
    assert reading.table.names == ("Tank 1 Flow", "Tank 1 Level", "Tank 2 Flow", "Tank 2 Level")
    assert [tag.unit for tag in reading.table.tags] == ["m3/h", "%", "m3/h", "%"]
    assert len(reading.table) == 60
    assert [note.count for note in reading.ledger.notes if note.reason == "read.reason_footer"] == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_only_visible_sheet_is_read_and_the_hidden_one_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"plant.{kind}").write_bytes(workbook(kind, [CONFIG, Sheet("Data", DATA), Sheet("Empty", [])]))
    found = detect(ReadPlan(file=f"plant.{kind}"), tmp_path)
    assert found.reading is not None
    truth(found.reading.table)
    assert "hidden sheets are not read: Settings. [data] sheet may name one" in [
        entry.sentence("en") for entry in found.evidence
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_hidden_sheet_is_read_when_it_is_named_or_alone(tmp_path: Path, kind: str) -> None:
    two = [Sheet("Data", DATA, hidden=True), Sheet("Other", [("a", "b"), (1.0, 2.0)])]
    (tmp_path / f"two.{kind}").write_bytes(workbook(kind, two))
    (tmp_path / f"one.{kind}").write_bytes(workbook(kind, [two[0], Sheet("Empty", [])]))
    for plan in (ReadPlan(file=f"two.{kind}", sheet="Data"), ReadPlan(file=f"one.{kind}")):
        truth(read(plan, base=tmp_path).table)


@pytest.mark.parametrize("kind", KINDS)
def test_several_sheets_are_asked_about_and_appended(tmp_path: Path, kind: str) -> None:
    months = [Sheet("May", [HEADER, *DATA[1:31]]), Sheet("June", [HEADER, *DATA[31:]]), CONFIG]
    raw = workbook(kind, months)
    assert refused(tmp_path, raw, f"plant.{kind}") == (
        f'plant.{kind} — has several sheets: May, June. Name one: [data] sheet = "May"'
    )
    truth(take(tmp_path, raw, f"plant.{kind}", sheet="*").table)
    truth(take(tmp_path, raw, f"plant.{kind}", sheet=("May", "June")).table)
    truth(take(tmp_path, raw, f"plant.{kind}", sheet="May").table, 30)
    assert refused(tmp_path, raw, f"plant.{kind}", sheet="Jun\0e") == (
        f"plant.{kind} — there is no sheet 'Jun\\x00e'. Did you mean 'June'? Found: May, June, Settings"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_ending_and_a_packed_workbook(tmp_path: Path, kind: str) -> None:
    raw = workbook(kind, [Sheet("Data", DATA)])
    other = "xls" if kind != "xls" else "xlsx"
    truth(take(tmp_path, raw, f"plant.{other}").table)
    truth(take(tmp_path, raw, "plant").table)
    truth(take(tmp_path, gzip.compress(raw), f"plant.{kind}.gz").table)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(f"daily/plant.{kind}", raw)
    truth(take(tmp_path, archive.getvalue(), "daily.zip").table)


@pytest.mark.parametrize("kind", KINDS)
def test_a_password_is_asked_for_in_one_line(tmp_path: Path, kind: str) -> None:
    sentence = "the workbook is protected by a password. Save a copy without one"
    assert refused(tmp_path, locked(kind), f"plant.{kind}") == f"plant.{kind} — {sentence}"
    (tmp_path / f"plant.{kind}").unlink()
    assert refused(tmp_path, locked(kind), "plant") == f"plant — {sentence}"
    (tmp_path / "plant").unlink()
    assert refused(tmp_path, gzip.compress(locked(kind)), f"plant.{kind}.gz") == f"plant.{kind}.gz — {sentence}"


def test_a_locked_archive(tmp_path: Path) -> None:
    raw = locked_zip("plant.csv", b"time,a\n2024-05-02,1\n2024-05-03,2\n")
    assert refused(tmp_path, raw, "plant.zip") == (
        "plant.zip — the archive is protected by a password. Unpack it first"
    )


@pytest.mark.parametrize(
    ("kind", "row", "column"), [("xlsx", 1_048_575, 16_383), ("xlsb", 1_048_575, 16_383), ("ods", 9_000, 9_999)]
)
def test_a_cell_far_from_the_table_does_not_take_all_memory(tmp_path: Path, kind: str, row: int, column: int) -> None:
    """The rows and columns between are empty, and a library makes room for each of their cells."""
    message = refused(tmp_path, workbook(kind, [Sheet("Data", DATA, far=(row, column))]), f"plant.{kind}")
    assert message.startswith(f"plant.{kind} — a sheet needs more than 80")
    assert message.endswith("delete all rows and columns outside the table, or export the sheet as CSV")
