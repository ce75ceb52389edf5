"""Batches from a list of intervals and from the states of a tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from backmix.data.batches.joining import spans
from backmix.data.sources import Reading, ReadPlan, TagPlan, read
from backmix.errors import InputError

CLOCK = pd.date_range("2024-03-13", periods=30, freq="1min")
FRAME = pd.DataFrame({"time": CLOCK, "T101": np.arange(30.0)})
LIST = """Batch,Start,End,Charge,Recipe
B2,2024-03-13 00:12,2024-03-13 00:20,120.5,slow
B1,2024-03-13 00:02,2024-03-13 00:09,100.5,fast
B3,2024-03-13 00:20,,90.5,fast
"""


def take(folder: Path, text: str = LIST, frame: pd.DataFrame = FRAME, **told: Any) -> Reading:
    (folder / "batches.csv").write_text(text, "utf-8")
    tags = told.pop("tags", ())
    zone = told.pop("time_zone", None)
    return read(ReadPlan(batches={"file": "batches.csv", **told}, tags=tags, time_zone=zone), frame, folder)


def test_a_list_of_intervals_with_properties(tmp_path: Path) -> None:
    reading = take(tmp_path, tags=(TagPlan(name="Charge", unit="kg"),))
    table = reading.table
    assert table.batch_names == ("B1", "B2", "B3")
    assert [(span.batch, span.start[11:16], span.end[11:16], span.rows) for span in spans(table)] == [
        ("B1", "00:02", "00:09", 8),
        ("B2", "00:12", "00:19", 8),  # its last minute is the first one of B3
        ("B3", "00:20", "00:29", 10),
    ]
    assert table.names == ("T101", "Charge", "Recipe")
    assert table.tag("Charge").unit == "kg"
    assert table.column("Charge").tolist() == [100.5] * 8 + [120.5] * 8 + [90.5] * 10
    assert table.tag("Recipe").categories == ("fast", "slow")
    assert reading.ledger.dropped == 4
    assert reading.ledger.read == 30
    listed = reading.evidence[-1]
    assert listed.value[0] == {"batch": "B1", "start": "2024-03-13T00:02:00", "end": "2024-03-13T00:09:00", "rows": 8}
    assert "3 batches from batches.csv" in listed.sentence()


def test_properties_are_chosen_and_rows_outside_may_stay(tmp_path: Path) -> None:
    table = take(tmp_path, properties=["Recipe"], outside="keep").table
    assert table.names == ("T101", "Recipe")
    assert len(table) == 30
    assert table.batch_names == ("outside 1", "B1", "outside 2", "B2", "B3")


def test_phases_within_a_batch_become_a_state(tmp_path: Path) -> None:
    text = """批次,階段,開始,結束
B1,進料,2024-03-13 00:02,2024-03-13 00:04
B1,反應,2024-03-13 00:04,2024-03-13 00:09
B2,進料,2024-03-13 00:12,2024-03-13 00:20
"""
    table = take(tmp_path, text).table
    assert table.batch_names == ("B1", "B2")
    phase = [table.tag("phase").categories[int(code)] for code in table.column("phase")]
    assert phase == ["進料"] * 2 + ["反應"] * 6 + ["進料"] * 9


def test_the_zone_is_that_of_the_table(tmp_path: Path) -> None:
    local = FRAME.assign(time=CLOCK.astype(str))
    table = take(tmp_path, frame=local, time_zone="Asia/Taipei").table
    assert spans(table)[0].start == "2024-03-12T16:02:00"
    with pytest.raises(InputError, match="not both given with a zone"):
        take(tmp_path, frame=FRAME.assign(time=CLOCK.tz_localize("UTC")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LIST.replace("00:20,120", "00:25,120"), "'B3' starts at .*00:20:00, before 'B2' ends at .*00:25:00"),
        (LIST.replace("B3", "B1"), "batch 'B1' has two intervals"),
        (LIST.replace("00:09", "00:01"), "batches.csv:3:End — batch 'B1' ends before it starts"),
        (LIST.replace("B3,2024-03-13 00:20", "B3,"), "without its start"),
        (LIST.replace("Batch", "Wagon"), r"\[data.batches\] batch"),
        (LIST.replace("Charge", "T101"), "'T101' has the name of a tag"),
        (LIST.replace("00:20,,", "00:20,2024-03-13 00:30,").replace("2024-", "2023-"), "none of the 30 rows"),
    ],
)
def test_a_faulty_list_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        take(tmp_path, text)


def states(*runs: tuple[str, int]) -> pd.DataFrame:
    words = [word for word, count in runs for _ in range(count)]
    clock = pd.date_range("2024-03-13", periods=len(words), freq="1min")
    return pd.DataFrame({"time": clock, "STATE": words, "T101": np.arange(float(len(words)))})


RUNS = states(("IDLE", 3), ("RUN", 10), ("IDLE", 2), ("RUN", 2), ("IDLE", 8), ("HOLD", 4), ("RUN", 6), ("IDLE", 1))


@pytest.mark.parametrize(
    ("told", "rows"),
    [
        ({}, [10, 2, 6]),
        ({"min_length": "5min"}, [10, 6]),
        ({"bridge": "2min"}, [14, 6]),
        ({"bridge": "3 rows", "running": ["RUN", "HOLD"]}, [14, 10]),
        ({"min_length": "10min"}, [10]),
    ],
)
def test_runs_of_a_state_are_batches(told: dict[str, Any], rows: list[int]) -> None:
    reading = read(ReadPlan(batches={"tag": "STATE", "running": ["RUN"], **told}), RUNS)
    assert [span.rows for span in spans(reading.table)] == rows
    assert reading.table.batch_names[0] == "001 2024-03-13 00:03:00"
    assert reading.ledger.read - reading.ledger.dropped == len(reading.table)
    assert [entry["rows"] for entry in reading.evidence[-1].value] == rows


def test_a_flag_may_be_the_state_and_an_unknown_state_is_named() -> None:
    flagged = RUNS.assign(STATE=(RUNS["STATE"] == "RUN"))
    assert len(spans(read(ReadPlan(batches={"tag": "STATE", "running": [1]}), flagged).table)) == 3
    with pytest.raises(InputError, match="never 'ON'; its states are HOLD, IDLE, RUN"):
        read(ReadPlan(batches={"tag": "STATE", "running": ["ON"]}), RUNS)


@pytest.mark.parametrize(
    ("told", "message"),
    [({}, "one of file and tag"), ({"tag": "S"}, "running"), ({"file": "b.csv", "min_length": "1h"}, "min_length")],
)
def test_a_plan_that_makes_no_sense(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ReadPlan(batches=told)
    with pytest.raises(ValidationError, match="Keep one"):
        ReadPlan(batch="b", batches={"file": "x"})


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 4)), min_size=1, max_size=8), st.randoms())
@settings(max_examples=20, deadline=None)
def test_every_row_is_in_its_interval(tmp_path_factory: pytest.TempPathFactory, spaces: Any, random: Any) -> None:
    at, lines, wanted = 0, [], {}
    for number, (length, pause) in enumerate(spaces):
        lines.append(
            f"B{number},{CLOCK[0] + pd.Timedelta(at, 'min')},{CLOCK[0] + pd.Timedelta(at + length - 1, 'min')}"
        )
        wanted |= dict.fromkeys(range(at, at + length), f"B{number}")
        at += length + pause
    random.shuffle(lines)
    clock = pd.date_range(CLOCK[0], periods=at + 3, freq="1min")
    frame = pd.DataFrame({"time": clock, "T101": np.arange(float(at + 3))})
    table = take(tmp_path_factory.mktemp("b"), "Batch,Start,End\n" + "\n".join(lines) + "\n", frame).table
    assert table.batch is not None
    found = {int(row): table.batch_names[code] for row, code in zip(table.column("T101"), table.batch, strict=True)}
    assert found == wanted


def test_starts_and_ends_may_stand_in_several_columns(tmp_path: Path) -> None:
    """As a clock of the table may; the list is written as a table is."""
    plain = take(tmp_path)
    lines = [line.split(",") for line in LIST.splitlines()]
    rows = [["batch", "start day", "start hour", "end day", "end hour", *lines[0][3:]]]
    rows += [
        [cells[0], *cells[1].split(" "), *(cells[2].split(" ") if cells[2] else ["", ""]), *cells[3:]]
        for cells in lines[1:]
    ]
    text = "Batches of May\n" + "\n".join(map(",".join, rows))
    parted = take(tmp_path, text, preamble=1, start=["start day", "start hour"], end=["end day", "end hour"])
    assert parted.table.names == plain.table.names
    assert parted.table.batch_names == plain.table.batch_names
    assert np.array_equal(parted.table.values, plain.table.values, equal_nan=True)
    with pytest.raises(InputError, match="start week"):
        take(tmp_path, text, preamble=1, start=["start week", "start hour"])
