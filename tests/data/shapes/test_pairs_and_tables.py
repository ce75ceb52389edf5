"""Pairs of clock and value, and several tables as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backmix.data.layout.detect import detect
from backmix.data.layout.evidence import OpenQuestion
from backmix.data.reading.appending import append
from backmix.data.reading.assembly import assemble
from backmix.data.reading.shaping import shape
from backmix.data.sources import ReadPlan, read
from backmix.data.sources.frame import read_frame
from backmix.data.table import Table
from backmix.errors import InputError

DATALINK = """FI101,,TI102,,AI104,
2024-03-13 00:00:00,1.5,2024-03-13 00:00:00,80.5,2024-03-13 00:00:00,7.5
2024-03-13 00:01:00,2.5,2024-03-13 00:01:00,Bad Input,2024-03-13 00:03:00,8.5
2024-03-13 00:02:00,3.5,2024-03-13 00:02:00,82.5,,
2024-03-13 00:03:00,4.5,2024-03-13 00:03:00,83.5,,
"""


def test_datalink_names_stand_over_the_clocks(tmp_path: Path) -> None:
    (tmp_path / "pi.csv").write_text(DATALINK, "utf-8")
    found = detect(ReadPlan(file="pi.csv"), tmp_path)
    assert found.questions == ()
    assert found.layout.shape == "pairs"
    assert found.reading is not None
    table = found.reading.table
    assert table.names == ("FI101", "TI102", "AI104")
    np.testing.assert_array_equal(table.column("AI104"), [7.5, np.nan, np.nan, 8.5])
    np.testing.assert_array_equal(table.column("TI102"), [80.5, np.nan, 82.5, 83.5])
    np.testing.assert_array_equal(read(found.plan, base=tmp_path).table.values, table.values)


def test_laboratory_times_beside_a_result_are_asked_for() -> None:
    clock = pd.date_range("2024-03-13", periods=4, freq="1h")
    given = pd.DataFrame({"sampled": clock, "C_A": [1.0, 2, 3, 4], "reported": clock, "C_B": [1.0, 2, 3, 5]})
    with pytest.raises(OpenQuestion, match='shape = "pairs"') as asked:
        read(ReadPlan(), given)
    assert [reading.value for reading in asked.value.question.readings] == ["pairs", "wide"]
    assert read(ReadPlan(time="sampled"), given).table.names == ("C_A", "C_B")  # a clock that is named is the clock


def test_a_value_without_its_time_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pi.csv").write_text(DATALINK.replace("2024-03-13 00:03:00,8.5", ",8.5"), "utf-8")
    with pytest.raises(InputError, match=r"pi\.csv:3:AI104"):
        read(ReadPlan(file="pi.csv"), base=tmp_path)


def test_pairs_that_are_none() -> None:
    with pytest.raises(InputError, match="no pairs"):
        read(ReadPlan(shape="pairs"), pd.DataFrame({"time": pd.date_range("2024-03-13", periods=3), "x": 1.0}))


def both(*frames: pd.DataFrame, plan: ReadPlan | None = None) -> Table:
    plan = plan or ReadPlan()
    tables = [(f"sheet {at}", read_frame(plan, frame)) for at, frame in enumerate(frames)]
    raw, plan = shape(append(tables, "book", "sheet"), plan)
    return assemble(raw, plan).table


CLOCK = pd.date_range("2024-03-13", periods=5, freq="1min", name="time")
A = pd.DataFrame({"FI101": np.arange(5.0)}, index=CLOCK)
B = pd.DataFrame({"TI102": np.arange(5.0) + 80}, index=CLOCK.rename("Timestamp"))


def test_sheets_with_other_tags_are_put_beside_each_other() -> None:
    table = both(A, B)
    assert table.names == ("FI101", "TI102")
    np.testing.assert_array_equal(table.values, np.column_stack([np.arange(5.0), np.arange(5.0) + 80]))


def test_sheets_with_the_same_columns_follow_one_another() -> None:
    table = both(A[3:], A[:3])
    assert table.column("FI101").tolist() == [0, 1, 2, 3, 4]
    mixed = both(A[:3], B, A[3:])
    assert mixed.column("FI101").tolist() == [0, 1, 2, 3, 4]
    assert mixed.names == ("FI101", "TI102")


def test_sheets_of_different_forms_come_together() -> None:
    long = pd.DataFrame({"time": CLOCK.repeat(2), "tag": ["PI103", "AI104"] * 5, "value": np.arange(10.0)})
    table = both(A, long)
    assert table.names == ("FI101", "PI103", "AI104")
    assert table.column("AI104").tolist() == [1, 3, 5, 7, 9]


def test_a_tag_in_two_sheets_and_a_sheet_without_a_clock_are_refused() -> None:
    with pytest.raises(InputError, match="'FI101' stands in"):
        both(A, B.assign(FI101=1.0))
    with pytest.raises(InputError, match="no column of times"):
        both(A, pd.DataFrame({"x": [1.0, 2.0]}))


def test_sheets_on_other_clocks_are_asked_for_a_grid() -> None:
    late = B.set_axis(CLOCK + pd.Timedelta("25s"), axis=0)
    with pytest.raises(OpenQuestion) as asked:
        both(A, late)
    assert asked.value.question.key == "grid"
    assert len(both(A, late, plan=ReadPlan(grid="1min"))) == 7
