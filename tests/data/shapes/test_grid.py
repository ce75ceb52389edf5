"""Several clocks on one grid: each tag by itself, nothing from later than the row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.layout.evidence import OpenQuestion
from backmix.data.quality import Quality
from backmix.data.sources import ReadPlan, TagPlan, read
from backmix.errors import PlanError


def rows(*cells: tuple[str, str, Any]) -> pd.DataFrame:
    """A frame in long form from (time of day, tag, value)."""
    times = pd.to_datetime([f"2024-03-13 {time}" for time, _, _ in cells])
    return pd.DataFrame({"time": times, "tag": [tag for _, tag, _ in cells], "value": [v for _, _, v in cells]})


TWO = rows(
    *((f"00:0{minute}:10", "FI101", float(minute)) for minute in range(8)),
    *((f"00:0{minute}:40", "TI102", 10.0 * minute) for minute in (0, 3, 6)),
)
LONG: dict[str, Any] = {"shape": "long", "long": {"tag": "tag", "value": "value"}, "time": "time"}


def column(plan: dict[str, Any], tag: str, frame: pd.DataFrame = TWO) -> list[float]:
    return list(read(ReadPlan(**(LONG | plan)), frame).table.column(tag))


def test_clocks_that_are_not_one_are_asked_for() -> None:
    with pytest.raises(OpenQuestion, match='grid = "1min", or keep every time') as asked:
        read(ReadPlan(**LONG), TWO)
    assert asked.value.question.key == "grid"
    assert [reading.value for reading in asked.value.question.readings] == ["1min", "union"]
    assert len(read(ReadPlan(**LONG, grid="union"), TWO).table) == 11


def test_the_last_value_is_held_for_a_while_and_no_longer() -> None:
    table = read(ReadPlan(**LONG, grid="1min", max_hold="2min"), TWO).table
    assert table.column("FI101")[:8].tolist() == list(range(8))
    assert str(table.time[0])[11:19] == "00:01:00"  # type: ignore[index]
    expected = [0, 0, np.nan, 30, 30, np.nan, 60, 60]
    np.testing.assert_array_equal(table.column("TI102")[:8], expected)
    assert table.quality is not None
    # a value that stands for less than the tag's own step (3 min) is as good as new
    assert table.quality[:3, 1].tolist() == [Quality.GOOD, Quality.GOOD, Quality.BAD]


def test_without_a_limit_a_tag_is_held_for_twice_its_own_step() -> None:
    cells = rows(
        ("00:00:10", "A1", 1.0), ("00:01:10", "A1", 2.0), *((f"00:{m:02d}:00", "B", float(m)) for m in range(9))
    )
    table = read(ReadPlan(**LONG, grid="1min"), cells).table
    np.testing.assert_array_equal(table.column("A1")[:9], [np.nan, 1, 2, 2, *[np.nan] * 5])
    assert table.quality[3, 0] == Quality.UNCERTAIN  # type: ignore[index]


@pytest.mark.parametrize(
    ("how", "value"), [("mean", 1.5), ("last", 2.0), ("min", 1.0), ("max", 2.0), ("sum", 3.0), ("time_mean", 1.75)]
)
def test_each_way_of_one_row(how: str, value: float) -> None:
    cells = rows(("00:00:30", "FI101", 1.0), ("00:01:00", "FI101", 2.0), ("00:00:10", "x", 0.0), ("00:01:10", "x", 0.0))
    if how == "time_mean":  # 15 s of 1, 45 s of 2
        cells = rows(
            ("00:00:00", "FI101", 1.0), ("00:00:15", "FI101", 2.0), ("00:00:10", "x", 0.0), ("00:01:00", "x", 0.0)
        )
    plan = {"grid": "1min", "tags": (TagPlan(name="FI101", align=how),)}
    found = read(ReadPlan(**(LONG | plan)), cells).table
    at = int(np.flatnonzero(found.time == np.datetime64("2024-03-13T00:01"))[0])  # type: ignore[arg-type]
    assert found.column("FI101")[at] == value


def test_interpolation_looks_ahead_and_must_be_allowed() -> None:
    plan = {"grid": "1min", "tags": (TagPlan(name="TI102", align="interpolate"),), "max_hold": "5min"}
    with pytest.raises(PlanError, match="look_ahead = true"):
        column(plan, "TI102")
    table = read(ReadPlan(**LONG, **plan, look_ahead=True), TWO).table
    np.testing.assert_allclose(table.column("TI102")[:6], [10 / 3, 40 / 3, 70 / 3, 100 / 3, 130 / 3, 160 / 3])
    assert set(table.quality[:6, 1]) == {Quality.UNCERTAIN}  # type: ignore[index]


def test_a_bad_value_is_not_covered_by_an_older_one() -> None:
    cells = TWO.assign(quality=["Bad" if at == 3 else "Good" for at in range(len(TWO))])
    assert np.isnan(column({"grid": "1min", "long": LONG["long"] | {"quality": "quality"}}, "FI101", cells)[3])


def test_states_are_taken_last_and_a_wide_table_goes_on_a_grid_too() -> None:
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-03-13", periods=60, freq="10s"),
            "FI101": np.arange(60.0),
            "MODE": ["RUN", *["STOP"] * 29, *["RUN"] * 30],
        }
    )
    table = read(ReadPlan(grid="1min", align="mean"), frame).table
    assert table.column("FI101")[1:4].tolist() == [3.5, 9.5, 15.5]
    assert table.tag("MODE").categories == ("RUN", "STOP")
    assert table.column("MODE")[:7].tolist() == [0, 1, 1, 1, 1, 0, 0]


@given(st.integers(0, 2**32 - 1), st.sampled_from(["last", "mean", "min", "max", "sum", "time_mean"]))
@settings(max_examples=8, deadline=None)
def test_what_comes_later_changes_nothing_before_it(seed: int, how: str) -> None:
    random = np.random.default_rng(seed)
    seconds = np.sort(random.choice(1800, 60, replace=False))
    frame = pd.DataFrame(
        {
            "time": np.datetime64("2024-03-13T00:00:00") + seconds.astype("timedelta64[s]"),
            "tag": random.choice(["FI101", "TI102", "PI103"], 60),
            "value": random.normal(size=60),
        }
    )
    plan = ReadPlan(**LONG, grid="1min", align=how, max_hold="4min")
    whole = read(plan, frame).table
    cut = np.datetime64("2024-03-13T00:15:00")
    early = read(plan, frame[frame["time"] <= cut]).table
    before, after = early.time <= cut, whole.time <= cut  # type: ignore[operator]
    shared = [name for name in whole.names if name in early.names]
    np.testing.assert_array_equal(early.time[before], whole.time[after])  # type: ignore[index]
    np.testing.assert_allclose(
        early.select(shared).values[before], whole.select(shared).values[after], rtol=1e-12, atol=1e-12
    )
    # against the plain definition, row by row
    for tag in shared:
        own = frame[frame["tag"] == tag]
        for row, time in enumerate(np.asarray(whole.time)):
            inside = own[(own["time"] > time - np.timedelta64(60, "s")) & (own["time"] <= time)]["value"]
            value = whole.column(tag)[row]
            if how in ("mean", "min", "max", "sum"):
                if inside.empty:
                    assert np.isnan(value)
                else:
                    np.testing.assert_allclose(value, getattr(inside, how)(), rtol=1e-9, atol=1e-12)
            elif how == "last":
                past = own[(own["time"] <= time) & (own["time"] >= time - np.timedelta64(240, "s"))]["value"]
                assert (np.isnan(value) and past.empty) or value == past.iloc[-1]
            else:
                np.testing.assert_allclose(value, _slow_time_mean(own, time), rtol=1e-9, atol=1e-12)


def _slow_time_mean(own: pd.DataFrame, time: Any) -> float:
    """Second by second: the value of the last cell, at most 4 min old, over the minute before ``time``."""
    seen = []
    for second in range(60):
        at = time - np.timedelta64(60 - second, "s")
        past = own[(own["time"] <= at) & (at - own["time"] < np.timedelta64(240, "s"))]
        if len(past):
            seen.append(past["value"].iloc[-1])
    if seen:
        return float(np.mean(seen))
    now = own[own["time"] == time]["value"]
    return float(now.iloc[-1]) if len(now) else np.nan
