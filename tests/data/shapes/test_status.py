"""Status columns: found by name, place and content; the quality of their tag, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backmix.data.layout.detect import detect
from backmix.data.layout.evidence import OpenQuestion
from backmix.data.quality import Quality
from backmix.data.sources import ReadPlan, TagPlan, read
from backmix.errors import InputError

CLOCK = pd.date_range("2024-03-13", periods=6, freq="1min")


def frame(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"time": CLOCK, **columns})


X = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]


def test_the_case_in_a_file(tmp_path: Path) -> None:
    text = """time,FI101,FI101 quality,TI102,TI102 quality
2024-03-13 00:00:00,49.422,192,82.73,192
2024-03-13 00:01:00,49.443,192,0.0,0
2024-03-13 00:02:00,50.134,64,83.26,192
"""
    (tmp_path / "plant.csv").write_text(text, "utf-8")
    found = detect(ReadPlan(file="plant.csv"), tmp_path)
    assert found.layout.status == {"FI101 quality": "FI101", "TI102 quality": "TI102"}
    assert found.reading is not None
    table = found.reading.table
    assert table.names == ("FI101", "TI102")
    assert table.quality is not None
    assert table.quality.tolist() == [[0, 0], [0, 2], [1, 0]]
    assert np.isnan(table.values).tolist() == [[False, False], [False, True], [False, False]]
    notes = [note.sentence("en") for note in found.reading.ledger.notes]
    assert "TI102: cells marked: 1 — bad by its status column, so no value" in notes
    again = read(found.plan, base=tmp_path)
    np.testing.assert_array_equal(again.table.quality, table.quality)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "cells", "quality"),
    [
        ("FI101.Status", ["Good", "Bad", "Uncertain", "OK", "Questionable", None], [0, 2, 1, 0, 1, 0]),
        ("品質 FI101", ["良好", "不良", "可疑", "正常", "異常", "良好"], [0, 2, 1, 0, 2, 0]),
        ("FI101_Q", [192, 216, 64, 0, 24, 195], [0, 0, 1, 2, 2, 0]),
        ("FI101 Quality", ["0x00000000", "0x80000000", "0x40000000", "0x0", "0x0", "0x0"], [0, 2, 1, 0, 0, 0]),
        ("FI101 quality", [0, 2147483648, 1073741824, 0, 0, 0], [0, 2, 1, 0, 0, 0]),
        ("FI101 status", ["Good", "I/O Timeout", "Bad Input", "No Data", "Good", "Good"], [0, 2, 2, 2, 0, 0]),
        ("FI101 Status", [0, -313, 0, -11059, 0, 0], [0, 2, 0, 2, 0, 0]),
        ("FI101 questionable", [0, 1, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0]),
        ("FI101 Questionable", [False, True, False, False, False, False], [0, 2, 0, 0, 0, 0]),
        ("FI101 good", [1, 0, 1, 1, 1, 1], [0, 2, 0, 0, 0, 0]),
        ("FI101 (Quality)", ["Good, Non-Specific", "BadNoData", "UncertainLastUsableValue", "192 (Good)", "Good", "Bad [x]"], [0, 2, 1, 0, 0, 2]),
    ],
)  # fmt: skip
def test_every_vocabulary(name: str, cells: list[Any], quality: list[int]) -> None:
    for order in (("FI101", name), (name, "FI101")):
        columns = {"FI101": X, name: cells, "TI102": X}
        table = read(ReadPlan(), frame(**{key: columns[key] for key in (*order, "TI102")})).table
        assert table.names == ("FI101", "TI102")
        assert table.quality is not None
        assert table.quality[:, 0].tolist() == quality
        assert np.isnan(table.column("FI101")).tolist() == [level == Quality.BAD for level in quality]
        assert not table.quality[:, 1].any()


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("P101 status", ["RUN", "STOP", "RUN", "RUN", "STOP", "RUN"]),  # the state of a pump
        ("quality", [6.5, 7.1, 5.5, 6.0, 6.2, 6.8]),  # a measured quality
        ("IQ", [192, 0, 192, 192, 192, 192]),
        ("P101 status", [0, 50, 100, 30, 20, 10]),
    ],
)
def test_what_only_sounds_like_a_status_stays_a_tag(name: str, cells: list[Any]) -> None:
    table = read(ReadPlan(), frame(P101=X, I=X, **{name: cells})).table
    assert name in table.names
    assert table.quality is None


def test_unusual_words_are_asked_for() -> None:
    given = frame(FI101=X, **{"FI101 quality": ["A", "C", "A", "A", "A", "C"]})
    with pytest.raises(OpenQuestion, match="holds A, C") as asked:
        read(ReadPlan(), given)
    assert asked.value.question.lines()[0] == "good = [\"A\"]  # A in 'FI101 quality' means good, all else bad"
    table = read(ReadPlan(good=("A",)), given).table
    assert np.isnan(table.column("FI101")).tolist() == [False, True, False, False, False, True]


def test_flags_without_a_meaning_are_asked_for() -> None:
    given = frame(FI101=X, **{"FI101_Q": [0, 1, 0, 0, 0, 0]})
    with pytest.raises(OpenQuestion) as asked:
        read(ReadPlan(), given)
    assert asked.value.question.key == "status"
    plan = ReadPlan(status={"FI101_Q": "FI101"})
    with pytest.raises(OpenQuestion, match=r"\[data\] good") as asked:
        read(plan, given)
    assert [reading.value for reading in asked.value.question.readings] == [[0], [1]]
    table = read(plan.model_copy(update={"good": (0.0,)}), given).table
    assert np.isnan(table.column("FI101")).tolist() == [False, True, False, False, False, False]
    assert read(ReadPlan(status={}), given).table.names == ("FI101", "FI101_Q")


def test_one_status_for_the_row_is_asked_for() -> None:
    given = frame(FI101=X, TI102=X, Quality=["Good", "Bad", "Good", "Good", "Good", "Good"])
    with pytest.raises(OpenQuestion) as asked:
        read(ReadPlan(), given)
    values = [reading.value for reading in asked.value.question.readings]
    assert values == [{"Quality": "TI102"}, {"Quality": "*"}, {}]
    table = read(ReadPlan(status={"Quality": "*"}), given).table
    assert np.isnan(table.values[1]).all()
    assert table.names == ("FI101", "TI102")


def test_classes_called_good_and_bad_are_asked_for() -> None:
    given = frame(FI101=X, quality=["good", "bad", *["good"] * 4])
    with pytest.raises(OpenQuestion) as asked:
        read(ReadPlan(), given)
    assert [reading.value for reading in asked.value.question.readings] == [{"quality": "FI101"}, {}]
    told = read(ReadPlan(tags=(TagPlan(name="quality", role="target"),)), given).table
    assert told.names == ("FI101", "quality")


def test_a_status_behind_every_tag_needs_no_name() -> None:
    given = frame(FI101=X, Status=["Good", "Bad", *["Good"] * 4], TI102=X, **{"Status (2)": [*["Good"] * 5, "Bad"]})
    table = read(ReadPlan(), given).table
    assert np.argwhere(np.isnan(table.values)).tolist() == [[1, 0], [5, 1]]


def test_one_convention_for_all_columns() -> None:
    """All zeros mean bad where the others are OPC codes, and a described column is what the plan says."""
    given = frame(FI101=X, FI101_Q=[192] * 6, TI102=X, TI102_Q=[0] * 6)
    assert np.isnan(read(ReadPlan(), given).table.column("TI102")).all()
    told = read(ReadPlan(tags=(TagPlan(name="TI102_Q", role="input"),)), given).table
    assert told.names == ("FI101", "TI102", "TI102_Q")


def test_a_status_column_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="FI101 Q"):
        read(ReadPlan(status={"FI101 Q": "FI101"}), frame(FI101=X))
    words = {f"w{at}": at for at in range(6)}
    with pytest.raises(InputError, match=r"no known quality|not clear"):
        read(ReadPlan(status={"s": "FI101"}), frame(FI101=X, s=list(words)))


def test_german_words_are_qualities_too() -> None:
    from backmix.data.quality import Quality
    from backmix.data.shapes.status import _WORDS

    assert [_WORDS[word] for word in ("gut", "unsicher", "schlecht")] == [Quality.GOOD, Quality.UNCERTAIN, Quality.BAD]
