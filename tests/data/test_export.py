"""Export: nothing runs in a spreadsheet, and numbers come back bit by bit."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.export import guarded, write_csv
from backmix.data.sources import ReadPlan, read
from backmix.errors import StorageError


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@cmd", "\tx", "\rx", "＝1", "＋1", "－1", "＠x"])
def test_row_23_text_that_would_run_gets_an_apostrophe(cell: str) -> None:
    stream = io.StringIO()
    write_csv(pd.DataFrame({"name": [cell, "T101"], "value": [-1.5, 2.0], cell: [1, -1]}), stream)
    back = pd.read_csv(io.StringIO(stream.getvalue()))
    assert back["name"].tolist() == [f"'{cell}", "T101"]
    assert list(back.columns)[2] == f"'{cell}"
    assert back["value"].tolist() == [-1.5, 2.0]
    assert guarded(-3) == -3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_come_back_bit_by_bit(values: list[float]) -> None:
    stream = io.StringIO()
    frame = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=len(values), tz="UTC"), "x": values})
    write_csv(frame, stream)
    lines = stream.getvalue().splitlines()[1:]
    assert [float(line.split(",")[1]) for line in lines] == values


def test_a_file_with_chinese_is_marked_and_read_back(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "時間": pd.date_range("2024-01-01", periods=3),
            "溫度": [1.5, np.nan, -2.0],
            "模式": pd.Categorical(["開", "關", "開"]),
        }
    )
    write_csv(frame, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    table = read(ReadPlan(file="a.csv"), base=tmp_path).table
    np.testing.assert_array_equal(table.column("溫度"), [1.5, np.nan, -2.0])
    assert table.tag("模式").categories == ("開", "關")


def test_many_rows_have_one_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backmix.data.export._ROWS", 7)
    write_csv(pd.DataFrame({"a": range(50)}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "a\n" + "".join(f"{at}\n" for at in range(50))
    write_csv(pd.DataFrame({"a": []}), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == "a\n"


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_csv(pd.DataFrame({"a": [1]}), tmp_path / "file" / "a.csv")
