"""Dates and clocks: every form a plant writes, and the questions where it could be two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.notation.dates import Dates, read_dates
from backmix.data.reading.columns import texts
from backmix.data.sources import ReadPlan, read
from backmix.errors import InputError

TRUTH = "2024-05-02T13:05:00"


def dates(*cells: str | None, day_first: bool | None = None) -> Dates:
    return read_dates(texts(cells), tag="t", day_first=day_first, at=lambda row: f"a.csv:{row + 2}:t")


@pytest.mark.parametrize(
    "cell",
    [
        "2024-05-02 13:05",
        "2024-05-02T13:05:00",
        "2024/5/2 13:05:00",
        "2024.05.02 13:05",
        "2024/05/02 下午 01:05:00",
        "2024/5/2 1:05:00 PM",
        "2024/05/02 PM 01:05",
        "113/05/02 13:05",
        "113/5/2 下午 1:05",
        "民國113/05/02 13:05",
        "民國113年5月2日 13時5分",
        "民國 113 年5月2日 下午1時05分",
        "2024年05月02日13:05",
        "2024-05-02 13:05:00.000",
        "02-May-24 13:05:00",
        "2-May-2024 13:05",
        "May 2, 2024 13:05",
        "202405021305",
        "20240502 130500",
        "１１３／０５／０２　１３：０５",
    ],
)
def test_one_moment_in_many_forms(cell: str) -> None:
    cell = cell.replace("民國 113 年", "民國113年")
    assert str(dates(cell).times[0].astype("datetime64[s]")) == TRUTH


@pytest.mark.parametrize(
    ("cell", "day_first"),
    [("02/05/2024 13:05", True), ("05/02/2024 1:05 PM", False), ("02.05.24 13:05", True), ("05-02-24 13:05", False)],
)
def test_order_of_day_and_month_as_told(cell: str, day_first: bool) -> None:
    assert str(dates(cell, day_first=day_first).times[0].astype("datetime64[s]")) == TRUTH


def test_a_day_after_the_twelfth_shows_the_order() -> None:
    found = dates("02/05/2024", "13/05/2024")
    assert [str(t)[:10] for t in found.times] == ["2024-05-02", "2024-05-13"]
    assert [note.reason for note in found.notes] == ["read.reason_day_first"]
    assert str(dates("05/02/2024", "05/13/2024").times[1])[:10] == "2024-05-13"


def test_offsets_give_utc_and_24_hours_the_next_day() -> None:
    found = dates("2024-05-02 08:30:00+08:00", "2024-05-02T00:30:00Z")
    assert found.aware
    assert found.times[0] == found.times[1]
    assert str(dates("113/12/31 24:00").times[0])[:16] == "2025-01-01T00:00"


@pytest.mark.parametrize(
    "cell",
    [
        "2024-02-30",
        "2024-13-01",
        "2024-01-01 25:00",
        "113/02/30",
        "上週三",
        "31-Foo-2024",
        "2024-01-01 上午 13:00",
        "1500-01-01",
    ],
)
def test_no_date(cell: str) -> None:
    with pytest.raises(InputError) as fault:
        dates("2024-01-01", cell)
    assert str(fault.value) == (
        f"a.csv:3:t — {cell!r} is no date that can be read. Write for example 2024-05-02 08:30:00"
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.datetimes(datetime(1912, 1, 1), datetime(2110, 12, 31)).map(lambda t: t.replace(microsecond=0)),
        min_size=1,
        max_size=5,
    )
)
def test_any_moment_in_the_calendar_of_the_republic(moments: list[datetime]) -> None:
    cells = [f"民國{t.year - 1911}/{t.month}/{t.day} {t:%H:%M:%S}" for t in moments]
    np.testing.assert_array_equal(dates(*cells).times, np.array(moments, "datetime64[ns]"))


def local(path: Path, moments: list[datetime], zone: str | None) -> np.ndarray:
    lines = "".join(f"{t:%Y-%m-%d %H:%M:%S},{at}\n" for at, t in enumerate(moments))
    (path / "local.csv").write_text("t,x\n" + lines)
    found = read(ReadPlan(file="local.csv", time_zone=zone), base=path).table.time
    assert found is not None
    return found


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Taipei", "+08:00"])
@pytest.mark.parametrize("minutes", [5, 30, 60, 240])
def test_a_year_of_local_times_is_unrolled_to_utc(tmp_path: Path, zone: str, minutes: int) -> None:
    there = ZoneInfo(zone) if "/" in zone else None
    start = datetime(2024, 3, 25, tzinfo=UTC)
    truth = [start + timedelta(minutes=minutes * at) for at in range(0, 230 * 24 * 60 // minutes)]
    days = (
        {(2024, 3, d) for d in range(28, 32)}
        | {(2024, 4, d) for d in range(5, 9)}
        | {(2024, 10, d) for d in range(3, 9)}
        | {(2024, 10, d) for d in range(25, 29)}
        | {(2024, 11, d) for d in range(1, 5)}
    )
    truth = [t for t in truth if (t.year, t.month, t.day) in days]
    wall = [(t.astimezone(there) if there else t + timedelta(hours=8)).replace(tzinfo=None) for t in truth]
    np.testing.assert_array_equal(
        local(tmp_path, wall, zone), np.array([t.replace(tzinfo=None) for t in truth], "datetime64[ns]")
    )


def test_a_missing_hour_that_no_zone_skips_is_a_gap(tmp_path: Path) -> None:
    moments = [datetime(2024, 6, 12, 1) + timedelta(minutes=m) for m in (0, 30, 120, 150)]
    assert len(local(tmp_path, moments, None)) == 4
