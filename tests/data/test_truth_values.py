"""True and false are the numbers 1 and 0, whatever source they come from."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backmix.data.sources import Reading, ReadPlan, TagPlan, read

CLOCK = pd.date_range("2024-03-13", periods=4, freq="1min")
FRAME = pd.DataFrame({"time": CLOCK, "P101_ON": [True, False, True, True], "FI101": [1.5, 2.5, 3.5, 4.5]})


def of(source: str, folder: Path) -> Reading:
    path = folder / f"plant.{source}"
    if source == "csv":
        FRAME.to_csv(path, index=False)
    elif source == "parquet":
        FRAME.to_parquet(path)
    elif source == "xlsx":
        FRAME.to_excel(path, index=False)
    elif source == "sqlite":
        with sqlite3.connect(path) as connection:
            FRAME.astype({"time": str}).to_sql("plant", connection, index=False)
        connection.close()
        return read(ReadPlan(sql=f"sqlite:///{path}", query="select * from plant"))
    else:
        return read(ReadPlan(), FRAME)
    return read(ReadPlan(file=path.name), base=folder)


@pytest.mark.parametrize("source", ["csv", "parquet", "xlsx", "sqlite", "frame"])
def test_every_source_gives_the_same_tag(source: str, tmp_path: Path) -> None:
    table = of(source, tmp_path).table
    assert table.names == ("P101_ON", "FI101")
    np.testing.assert_array_equal(table.values, [[1, 1.5], [0, 2.5], [1, 3.5], [1, 4.5]])
    assert table.tags[0].categories == ()
    assert table.quality is None


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["TRUE", "FALSE", "TRUE", ""], [1, 0, 1, np.nan]),
        (["true", "false", "Bad Input", "true"], [1, 0, np.nan, 1]),
        (["True"] * 4, [1, 1, 1, 1]),
    ],
)
def test_every_spelling(cells: list[str], values: list[float]) -> None:
    reading = read(ReadPlan(), FRAME.assign(P101_ON=cells))
    np.testing.assert_array_equal(reading.table.column("P101_ON"), values)
    (note,) = [note for note in reading.ledger.notes if note.reason == "read.reason_truth"]
    assert note.count == sum(cell.lower() in ("true", "false") for cell in cells)


def test_words_beside_them_and_the_plan_make_classes() -> None:
    assert read(ReadPlan(), FRAME.assign(P101_ON=["true", "false", "maybe", "true"])).table.tags[0].categories
    told = ReadPlan(tags=(TagPlan(name="P101_ON", type="text"),))
    assert read(told, FRAME.assign(P101_ON=FRAME["P101_ON"].astype(str))).table.tags[0].categories == ("False", "True")


@pytest.mark.parametrize("source", ["csv", "parquet", "xlsx", "frame"])
def test_a_plan_may_ask_for_the_states_as_they_are_written(source: str, tmp_path: Path) -> None:
    """Every source gives the same classes, whether it holds words or truth values."""
    of(source, tmp_path)
    plan = ReadPlan(file=f"plant.{source}", tags=(TagPlan(name="P101_ON", type="state"),))
    plan = ReadPlan(tags=plan.tags) if source == "frame" else plan
    table = read(plan, FRAME if source == "frame" else None, tmp_path).table
    assert table.tag("P101_ON").categories == ("False", "True")
    np.testing.assert_array_equal(table.column("P101_ON"), [1, 0, 1, 1])
