"""Every source with the same content gives the same table."""

from __future__ import annotations

import math
import sqlite3
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from backmix.data.plants import plants
from backmix.data.sources import Reading, ReadPlan, TagPlan, read, sources
from backmix.data.table import Table
from backmix.errors import InputError, PlanError

PLAN = {"time": "t", "batch": "b"}
TIMES = [datetime(2024, 5, 2, 0, minute) for minute in range(4)]
COLUMNS = {
    "t": TIMES,
    "b": ["B1", "B1", "B2", "B2"],
    "T101": [1.5, None, 3.0, -4.25],
    "state": ["on", "off", "on", None],
    "n": [1, 2, 3, 4],
}


def truth(table: Table) -> None:
    """The table is the one that `COLUMNS` describes."""
    assert table.names == ("T101", "state", "n")
    np.testing.assert_array_equal(table.values, [[1.5, 1, 1], [math.nan, 0, 2], [3, 1, 3], [-4.25, math.nan, 4]])
    assert table.tag("state").categories == ("off", "on")
    assert table.batch_names == ("B1", "B2")
    assert list(table.batch) == [0, 0, 1, 1]
    np.testing.assert_array_equal(table.time, np.array(TIMES, "datetime64[ns]"))


def test_the_registered_sources() -> None:
    assert sources.names() == ["csv", "excel", "frame", "parquet", "sql"]


def test_csv(tmp_path: Path) -> None:
    pd.DataFrame(COLUMNS).to_csv(tmp_path / "a.csv", index=False)
    truth(read(ReadPlan(file="a.csv", **PLAN), base=tmp_path).table)


def test_parquet(tmp_path: Path) -> None:
    pd.DataFrame(COLUMNS).to_parquet(tmp_path / "a.parquet")
    truth(read(ReadPlan(file="a.parquet", **PLAN), base=tmp_path).table)


def test_parquet_known_by_its_first_bytes(tmp_path: Path) -> None:
    pd.DataFrame(COLUMNS).set_index("t").to_parquet(tmp_path / "a.dat")
    reading = read(ReadPlan(file="a.dat", batch="b"), base=tmp_path)
    assert reading.table.names == ("T101", "state", "n")


@pytest.mark.parametrize("rows_above", [0, 2])
def test_excel(tmp_path: Path, rows_above: int) -> None:
    pd.DataFrame(COLUMNS).to_excel(tmp_path / "a.xlsx", index=False, startrow=rows_above)
    truth(read(ReadPlan(file="a.xlsx", **PLAN), base=tmp_path).table)


def test_excel_with_text_among_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"時間": TIMES, "溫度": [1.0, "Bad Input", "3,5", 2.0]}, dtype=object)
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    reading = read(ReadPlan(file="a.xlsx"), base=tmp_path)
    np.testing.assert_array_equal(reading.table.values[:, 0], [1, math.nan, 3.5, 2])
    assert reading.ledger.status_texts() == {"溫度": {"Bad Input": 1}}


def test_sheets_are_named(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "a.xlsx") as book:
        for sheet in ("May", "June"):
            pd.DataFrame(COLUMNS).to_excel(book, sheet_name=sheet, index=False)
    truth(read(ReadPlan(file="a.xlsx", sheet="June", **PLAN), base=tmp_path).table)
    with pytest.raises(InputError) as fault:
        read(ReadPlan(file="a.xlsx"), base=tmp_path)
    assert str(fault.value) == 'a.xlsx — has several sheets: May, June. Name one: [data] sheet = "May"'
    with pytest.raises(InputError) as fault:
        read(ReadPlan(file="a.xlsx", sheet="Jun"), base=tmp_path)
    assert str(fault.value) == "a.xlsx — there is no sheet 'Jun'. Did you mean 'June'? Found: May, June"


@pytest.mark.parametrize(
    "make",
    [pd.DataFrame, pl.DataFrame, lambda c: pl.DataFrame(c).lazy(), lambda c: pl.DataFrame(c).to_arrow()],
    ids=["pandas", "polars", "lazy", "arrow"],
)
def test_frames(make) -> None:
    truth(read(ReadPlan(**PLAN), frame=make(COLUMNS)).table)


def test_a_pandas_index_of_times_is_the_clock() -> None:
    frame = pd.DataFrame(
        {"x": [1, 2]}, index=pd.DatetimeIndex(["2024-05-02 08:00", "2024-05-02 09:00"], tz="Asia/Taipei")
    )
    table = read(ReadPlan(), frame=frame).table
    assert str(table.time[0])[:16] == "2024-05-02T00:00"
    assert read(ReadPlan(), frame=frame.set_axis([1, 2])).table.time is None


def test_pandas_columns_of_every_type() -> None:
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None], "Int64"),
            "b": pd.array([True, None], "boolean"),
            "f": [True, False],
            "c": pd.Categorical(["x", "y"]),
            "d": [Decimal("1.5"), None],
            "s": pd.array(["on", None], "string"),
            5: [1.0, 2.0],
        }
    )
    table = read(ReadPlan(), frame=frame).table
    assert table.names == ("i", "b", "f", "c", "d", "s", "5")
    np.testing.assert_array_equal(
        table.values, [[1, 1, 1, 0, 1.5, 0, 1], [math.nan, math.nan, 0, 1, math.nan, math.nan, 2]]
    )


def sqlite(path: Path) -> Path:
    with sqlite3.connect(path / "plant.db") as base:
        pd.DataFrame(COLUMNS).to_sql("log", base, index=False)
    base.close()
    return path


def test_sqlite(tmp_path: Path) -> None:
    sqlite(tmp_path)
    truth(
        read(
            ReadPlan(sql="sqlite:///plant.db", query="select * from log where t > '2024-05-01 00:00:00'", **PLAN),
            base=tmp_path,
        ).table
    )


def test_a_query_only_reads(tmp_path: Path) -> None:
    sqlite(tmp_path)
    with pytest.raises(InputError) as fault:
        read(ReadPlan(sql="sqlite:///plant.db", query="drop table log"), base=tmp_path)
    assert str(fault.value).endswith("— 'drop table log' is not a query that only reads. Begin it with select or with")
    with pytest.raises(InputError, match="readonly database"):
        read(ReadPlan(sql="sqlite:///plant.db", query="with x as (select 1) delete from log"), base=tmp_path)
    with pytest.raises(InputError) as fault:
        read(ReadPlan(sql="sqlite:///other.db", query="select 1"), base=tmp_path)
    assert str(fault.value) == "other.db — there is no such file. Did you mean '-'?"
    assert not (tmp_path / "other.db").exists()


def test_the_address_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite(tmp_path)
    monkeypatch.setenv("PLANT_DB", "sqlite:///plant.db")
    truth(read(ReadPlan(sql="$PLANT_DB", query="select * from log", **PLAN), base=tmp_path).table)
    monkeypatch.delenv("PLANT_DB")
    with pytest.raises(PlanError) as fault:
        read(ReadPlan(sql="${PLANT_DB}", query="select * from log"), base=tmp_path)
    assert str(fault.value) == (
        "[data] sql — the environment variable PLANT_DB is not set. Set it to the address of the data base"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"file": "a.csv", "plant": "cstr"},
            "file, plant are named together, but data come from one source. Keep one of them",
        ),
        (
            {"sql": "postgresql://me:secret@host/db", "query": "select 1"},
            "the address holds a password, and plans are copied into reports and bundles. Put the address into an "
            'environment variable and write sql = "$PLANT_DB"',
        ),
        ({"sql": "sqlite://"}, 'sql needs a query. Add query = "select ..."'),
        (
            {"file": "a.csv", "time_zone": "Asia/Taipe"},
            'there is no time zone \'Asia/Taipe\'. Did you mean "Asia/Taipei"? An offset such as "+08:00" will do too',
        ),
        (
            {"file": "a.csv", "tags": [{"name": "x", "low": 2, "high": 1}]},
            "tag 'x' — low 2.0 is not below high 1.0. Give finite limits with low < high",
        ),
        (
            {"file": "a.csv", "delimiter": ",", "decimal": ","},
            "',' cannot be both the delimiter and the decimal mark. Change one of them",
        ),
    ],
)
def test_a_plan_that_cannot_be(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="validation error") as fault:
        ReadPlan.model_validate(settings)
    assert message in str(fault.value)


def test_sets_and_plants_take_what_the_plan_says_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    name = plants.get("cstr").columns[0].name
    reading: Reading = read(ReadPlan(plant="cstr", tags=(TagPlan(name=name, low=-1e9),)))
    assert reading.table.tag(name).low == -1e9
    assert reading.table.tag(name).unit
    with pytest.raises(PlanError) as fault:
        read(ReadPlan())
    assert str(fault.value) == "[data] — no source is named. Give one of file, set, plant or sql"
