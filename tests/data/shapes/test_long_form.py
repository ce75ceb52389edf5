"""Long form: found, asked for, taken apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backmix.data.layout.detect import detect
from backmix.data.layout.evidence import OpenQuestion
from backmix.data.layout.layout import LongForm
from backmix.data.sources import ReadPlan, read
from backmix.errors import InputError

CASE = """timestamp,tag,value
2024-03-13 00:00:00,FI101,49.422
2024-03-13 00:00:00,TI102,82.73
2024-03-13 00:00:00,PI103,2.5049
2024-03-13 00:01:00,FI101,49.443
2024-03-13 00:01:00,TI102,83.06
2024-03-13 00:01:00,PI103,2.4861
"""


def table(text: str, folder: Path, **plan: object):  # type: ignore[no-untyped-def]
    (folder / "plant.csv").write_text(text, "utf-8")
    return read(ReadPlan(file="plant.csv", **plan), base=folder).table


def test_the_case_is_found_with_its_evidence(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text(CASE, "utf-8")
    found = detect(ReadPlan(file="long.csv"), tmp_path)
    assert found.questions == ()
    assert found.layout.shape == "long"
    assert found.layout.long == LongForm(tag="tag", value="value")
    assert found.layout.time == "timestamp"
    (shape,) = [entry for entry in found.evidence if entry.key == "shape"]
    assert "names the tags (FI101, TI102, PI103)" in shape.sentence()
    assert found.reading is not None
    assert found.reading.table.names == ("FI101", "TI102", "PI103")
    again = read(found.plan, base=tmp_path)  # the layout alone reads it again, and next month's file with it
    np.testing.assert_array_equal(again.table.values, found.reading.table.values)
    assert not {"shape", "long", "time"} & {entry.key for entry in again.evidence}


def test_texts_among_the_values_stay_texts_of_their_tag(tmp_path: Path) -> None:
    text = "time,tag,value\n" + "".join(
        f"2024-03-13 00:{minute:02d},FI101,{'Bad Input' if minute == 3 else minute + 0.5}\n"
        f"2024-03-13 00:{minute:02d},MODE,{'RUN' if minute % 2 else 'STOP'}\n"
        for minute in range(8)
    )
    found = table(text, tmp_path)
    assert found.tag("MODE").categories == ("RUN", "STOP")
    assert list(found.column("MODE")) == [1, 0] * 4
    assert np.isnan(found.column("FI101")[3])
    assert found.column("FI101")[4] == 4.5


def test_a_tag_may_be_a_path_and_a_slower_one_stands_on_its_own_rows(tmp_path: Path) -> None:
    rows = [(f"2024-03-13 00:{minute:02d}", "Plant/A|FI101", minute) for minute in range(12)]
    rows += [(f"2024-03-13 00:{minute:02d}", "Plant/A|AI7", minute * 10) for minute in range(0, 12, 5)]
    found = table("time,tag,value\n" + "".join(f"{t},{n},{v}\n" for t, n, v in rows), tmp_path)
    assert found.names == ("Plant/A|FI101", "Plant/A|AI7")
    assert len(found) == 12
    assert np.flatnonzero(~np.isnan(found.column("Plant/A|AI7"))).tolist() == [0, 5, 10]


@pytest.mark.parametrize(
    ("column", "value", "words", "key"),
    [
        ("grade", "FI101", ("A", "B"), None),  # a wide table with a state: times do not come again
        ("batch", "T101", ("B1", "B2"), None),
    ],
)
def test_a_state_beside_one_number_is_no_long_form(
    tmp_path: Path, column: str, value: str, words: tuple[str, str], key: None
) -> None:
    rows = "".join(f"2024-03-13 00:{minute:02d},{words[minute > 5]},{minute}.5\n" for minute in range(12))
    found = table(f"time,{column},{value}\n{rows}", tmp_path)
    assert set(found.names) == {column, value}


def test_what_may_be_both_is_asked(tmp_path: Path) -> None:
    rows = "".join(f"2024-03-13 00:{m:02d},{w},{m}.5\n" for m in range(6) for w in ("inlet", "outlet"))
    with pytest.raises(OpenQuestion, match='shape = "long" or shape = "wide"') as asked:
        table(f"time,where,T\n{rows}", tmp_path)
    assert [reading.value for reading in asked.value.question.readings] == ["long", "wide"]
    assert table(f"time,where,T\n{rows}", tmp_path, shape="long").names == ("inlet", "outlet")
    with pytest.raises(InputError, match="long form"):  # why rows of a wide table share their times
        table(f"time,where,T\n{rows}", tmp_path, shape="wide")


def test_tags_may_be_numbers(tmp_path: Path) -> None:
    rows = "".join(f"2024-03-13 00:{m:02d},{n},{m}.5\n" for m in range(6) for n in (101, 102))
    assert table(f"time,tag_id,value\n{rows}", tmp_path).names == ("101", "102")


def test_a_batch_column_is_no_column_of_tags(tmp_path: Path) -> None:
    rows = "".join(f"{b},2024-03-13 00:{m:02d},{m}.5\n" for b in ("B1", "B2") for m in range(6))
    found = table(f"batch,time,T101\n{rows}", tmp_path, batch="batch")
    assert found.names == ("T101",)
    assert found.batch_names == ("B1", "B2")


@pytest.mark.parametrize(("policy", "value"), [("first", 1.0), ("last", 2.0), ("mean", 1.5)])
def test_two_values_of_one_tag_at_one_time(tmp_path: Path, policy: str, value: float) -> None:
    twice = CASE + "2024-03-13 00:02:00,FI101,1\n2024-03-13 00:02:00,FI101,2\n2024-03-13 00:02:00,FI101,\n"
    with pytest.raises(InputError, match=r"plant.csv:9:FI101 — tag 'FI101' has 2 and 1 \(at plant.csv:8:FI101\)"):
        table(twice, tmp_path)
    assert table(twice, tmp_path, duplicates=policy).column("FI101")[-1] == value


def test_units_become_units_and_a_tag_has_one(tmp_path: Path) -> None:
    from backmix.data.reading.shaping import shape
    from backmix.data.sources import of_file

    text = CASE.replace("value\n", "value,unit\n").replace("49.422", "49.422,m3/h").replace("82.73", "82.73,degC")
    lines = [line if line.count(",") == 3 else line + "," for line in text.splitlines()]
    (tmp_path / "long.csv").write_text("\n".join(lines) + "\n", "utf-8")
    plan = ReadPlan(file="long.csv")
    raw = of_file(tmp_path / "long.csv", "long.csv").read(plan, tmp_path / "long.csv")
    assert shape(raw, plan)[0].units == {"FI101": "m3/h", "TI102": "degC"}
    (tmp_path / "long.csv").write_text("\n".join(lines).replace("49.443,", "49.443,kg/h") + "\n", "utf-8")
    with pytest.raises(InputError, match="two units, 'm3/h' and 'kg/h'"):
        read(plan, base=tmp_path)


def test_the_quality_column_of_long_form(tmp_path: Path) -> None:
    lines = CASE.replace("value", "value,quality").splitlines()
    words = ["quality", "192", "192", "0", "192", "64", "192"]
    text = "\n".join([lines[0], *(f"{a},{b}" for a, b in zip(lines[1:], words[1:], strict=True))]) + "\n"
    found = table(text, tmp_path)
    assert np.isnan(found.column("PI103")).tolist() == [True, False]
    assert found.quality is not None
    assert found.quality.tolist() == [[0, 0, 2], [0, 1, 0]]


def test_a_repeated_hour_of_daylight_saving_is_told_apart_tag_by_tag(tmp_path: Path) -> None:
    hours = ["01:00", "01:30", "02:00", "02:30", "02:00", "02:30", "03:00", "03:30"]
    rows = "".join(f"2024-10-27 {hour},{tag},{at}\n" for at, hour in enumerate(hours) for tag in ("FI101", "TI102"))
    found = table("time,tag,value\n" + rows, tmp_path, time_zone="Europe/Berlin")
    assert len(found) == 8
    assert np.diff(found.time).astype("timedelta64[m]").astype(int).tolist() == [30] * 7  # type: ignore[arg-type]
    assert found.column("TI102").tolist() == list(range(8))


@pytest.mark.parametrize(
    ("text", "message"),
    [(CASE + "2024-03-13 00:02:00,,3\n", "without the name of its tag"), (CASE + ",FI101,3\n", "long.*8:timestamp")],
)
def test_faulty_rows_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("long.*", "plant.csv:")):
        table(text, tmp_path)


def test_half_a_million_rows_are_quick() -> None:
    import time

    rows, tags = 10_000, 50
    clock = pd.date_range("2024-01-01", periods=rows, freq="1min")
    frame = pd.DataFrame(
        {
            "time": np.repeat(clock, tags),
            "tag": np.tile([f"TI{at:03d}" for at in range(tags)], rows),
            "value": np.arange(rows * tags, dtype=float),
        }
    )
    begin = time.process_time()
    assert read(ReadPlan(), frame).table.values.shape == (rows, tags)
    assert time.process_time() - begin < 5
