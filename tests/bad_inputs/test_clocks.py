"""Clocks and dates that cannot be used as they are, with the exact answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from files import counts, refused, take


def clock(*times: str) -> str:
    return "t,a\n" + "".join(f"2024-{time},{at}\n" for at, time in enumerate(times))


def test_row_03_a_fold_without_a_zone(tmp_path: Path) -> None:
    text = clock("10-27 01:30", "10-27 02:00", "10-27 02:30", "10-27 02:00", "10-27 02:30", "10-27 03:00")
    assert refused(tmp_path, text) == (
        "plant.csv:5:t — the clock goes back by one hour at 2024-10-27 02:00:00, as at the end of daylight saving. "
        'Name its zone: [data] time_zone = "Europe/Berlin" for example, or "UTC" if it has no daylight saving'
    )
    table = take(tmp_path, text, time_zone="Europe/Berlin").table
    assert list(np.diff(table.time).astype("timedelta64[m]").astype(int)) == [30] * 5
    assert str(table.time[0])[:16] == "2024-10-26T23:30"


def test_row_03_a_fold_without_a_zone_in_hourly_rows(tmp_path: Path) -> None:
    text = clock("10-27 01:00", "10-27 02:00", "10-27 02:00", "10-27 03:00")
    assert "the clock goes back by one hour at 2024-10-27 02:00:00" in refused(tmp_path, text)
    assert len(take(tmp_path, text, time_zone="Europe/Berlin").table) == 4


def test_row_03_a_hole_without_a_zone(tmp_path: Path) -> None:
    text = clock("03-31 01:00", "03-31 01:30", "03-31 03:00", "03-31 03:30")
    assert refused(tmp_path, text) == (
        "plant.csv:4:t — the clock jumps ahead by one hour at 2024-03-31 03:00:00, as at the start of daylight saving. "
        'Name its zone: [data] time_zone = "Europe/Berlin" for example, or "UTC" if the hour is really missing'
    )
    assert take(tmp_path, text, time_zone="Europe/Berlin").table.step == 1800
    assert take(tmp_path, text, time_zone="UTC").ledger.read == 4


def test_row_03_a_time_that_its_zone_does_not_have(tmp_path: Path) -> None:
    assert refused(tmp_path, clock("03-31 01:30", "03-31 02:30"), time_zone="Europe/Berlin") == (
        "plant.csv:3:t — 2024-03-31 02:30:00 does not exist in Europe/Berlin: the clock is put forward past it. Name "
        "the zone in which the clock really runs: [data] time_zone"
    )


def test_row_03_an_hour_whose_turn_cannot_be_told(tmp_path: Path) -> None:
    text = clock("10-27 01:30", "10-27 02:00", "10-27 02:30", "10-27 03:00")
    assert refused(tmp_path, text, time_zone="Europe/Berlin") == (
        "plant.csv:3:t — 2024-10-27 02:00:00 happens twice in Europe/Berlin, and the neighbouring rows do not show "
        "which is meant. Export times in UTC or with their offset"
    )


def test_row_04_rows_out_of_order_are_sorted_and_counted(tmp_path: Path) -> None:
    reading = take(tmp_path, "t,a\n2024-01-03,3\n2024-01-01,1\n2024-01-02,2\n")
    assert list(reading.table.values[:, 0]) == [1, 2, 3]
    assert counts(reading)["sorted"] == 2


@pytest.mark.parametrize("cell", ["113/05/02", "民國113/05/02", "113年5月2日", "民國113年05月02日"])
def test_row_08_dates_of_the_republic(tmp_path: Path, cell: str) -> None:
    reading = take(tmp_path, f"日期,a\n{cell},1\n")
    assert str(reading.table.time[0])[:10] == "2024-05-02"
    assert counts(reading)["roc_calendar"] == 1


def test_row_08_day_and_month_that_could_be_exchanged(tmp_path: Path) -> None:
    assert refused(tmp_path, "t,a\n02/05/2024,1\n03/05/2024,2\n") == (
        "plant.csv:2:t — '02/05/2024' may be day-month or month-day, and no row shows which. Say it: [data] day_first "
        "= true or false"
    )


def test_row_08_day_and_month_in_both_orders(tmp_path: Path) -> None:
    assert refused(tmp_path, "t,a\n13/05/2024,1\n05/14/2024,2\n") == (
        "plant.csv:2:t — '13/05/2024' has the day first, but '05/14/2024' in plant.csv:3:t has the month first. Export "
        "the dates in one form"
    )


def test_row_08_a_year_of_two_digits(tmp_path: Path) -> None:
    assert refused(tmp_path, "t,a\n99/05/02,1\n") == (
        "plant.csv:2:t — '99/05/02' may begin with year, day or month. Write years with four digits, put 民國 before "
        'years of the Republic, or say [data] day_first = true or false, or time_form = "year_first"'
    )


def test_rows_without_a_time(tmp_path: Path) -> None:
    reading = take(tmp_path, "t,a\n2024-01-01,1\n,\n2024-01-02,2\n")
    assert counts(reading)["blank_row"] == 1
    assert reading.ledger.read == 3 == len(reading.table) + reading.ledger.dropped
    assert refused(tmp_path, "t,a\n2024-01-01,1\n,5\n") == (
        "plant.csv:3:t — the row has values but no time. Fill in the time or delete the row"
    )


def test_a_clock_of_numbers_and_several_clocks(tmp_path: Path) -> None:
    assert refused(tmp_path, "t,a\n0.1,1\n0.2,2\n", time="t") == (
        "plant.csv:2:t — column 't' holds numbers, not dates. Export dates, or leave [data] time out to count rows"
    )
    text = "t,sampled,a\n2024-01-01,2024-01-02,1\n"
    assert refused(tmp_path, text) == (
        'plant.csv — several columns hold dates: t, sampled. Name the clock: [data] time = "..."'
    )
    assert counts(take(tmp_path, text, time="t"))["dates_left_out"] == 1
    assert refused(tmp_path, text, time="T") == (
        "plant.csv — there is no column 'T'. Did you mean 't'? Found: t, sampled, a"
    )


def test_clocks_with_and_without_offset(tmp_path: Path) -> None:
    assert refused(tmp_path, "t,a\n2024-01-01 00:00Z,1\n2024-01-01 00:01,2\n") == (
        "plant.csv:3:t — some times have an offset to UTC and others, such as '2024-01-01 00:01', have none. Export "
        "them in one form"
    )
