"""The clock in every form: it comes back equal, or a question is asked; never a third thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backmix.data.auditing.audit import audit
from backmix.data.export import readable
from backmix.data.layout.detect import Detection, detect
from backmix.data.layout.evidence import OpenQuestion
from backmix.data.notation.dates import looks_like_dates, read_dates
from backmix.data.reading.columns import texts
from backmix.data.reading.mapped import map_file
from backmix.data.repairing.repair import RepairPlan
from backmix.data.repairing.resample import check_clock
from backmix.data.runs import place
from backmix.data.sources import ReadPlan, read
from backmix.errors import InputError
from backmix.text import speak
from backmix.text.numbers import time_ticks

Form = tuple[str, tuple[str, ...]]

MONTHS = {
    "de": [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    "fr": [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    "es": [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
}


def half(t: datetime, before: str, after: str) -> tuple[str, int]:
    return (before if t.hour < 12 else after), t.hour % 12 or 12


WRITTEN = {
    "iso": lambda t: f"{t:%Y-%m-%d %H:%M:%S}",
    "month name": lambda t: f"{t:%d-%b-%y %H:%M:%S}",
    "prefix": lambda t: f"D-{t.day}/{t.month}/{t:%y} {t:%H:%M:%S}",
    "dots": lambda t: f"{t:%d.%m.%y} {t.hour}:{t:%M:%S}",
    "half days": lambda t: f"{t.month}/{t.day}/{t.year} {half(t, 'AM', 'PM')[1]}:{t:%M:%S} {half(t, 'AM', 'PM')[0]}",
    "chinese": lambda t: f"{t.year}/{t.month}/{t.day} {half(t, '上午', '下午')[0]} {half(t, '', '')[1]}:{t:%M:%S}",
    "republic": lambda t: f"民國{t.year - 1911}年{t.month}月{t.day}日 {t:%H:%M:%S}",
    "compact": lambda t: f"{t:%Y%m%dT%H%M%S}",
    "digits": lambda t: f"{t:%Y%m%d%H%M%S}",
    "weekday": lambda t: f"{t:%a, %d %b %Y %H:%M:%S}",
    "c": lambda t: f"{t:%a %b %d %H:%M:%S %Y}",
    "comma": lambda t: f"{t:%Y-%m-%d %H:%M:%S},000",
    "colon": lambda t: f"{t:%Y-%m-%d %H:%M:%S}:000",
    "utc": lambda t: f"{t:%Y-%m-%d %H:%M:%S} UTC",
    "time first": lambda t: f"{t:%H:%M:%S %Y/%m/%d}",
    "german": lambda t: f"{t.day}. {MONTHS['de'][t.month - 1]} {t.year} {t:%H:%M:%S} Uhr",
    "french": lambda t: f"{t.day} {MONTHS['fr'][t.month - 1]} {t.year} {t:%H:%M:%S}",
    "spanish": lambda t: f"{t.day} de {MONTHS['es'][t.month - 1]} de {t.year} {t:%H:%M:%S}",
    "epoch": lambda t: f"{int((t - datetime(1970, 1, 1)).total_seconds())}",
    "epoch ms": lambda t: f"{int((t - datetime(1970, 1, 1)).total_seconds()) * 1000}",
    "epoch us": lambda t: f"{int((t - datetime(1970, 1, 1)).total_seconds()) * 1000000}",
    "epoch ns": lambda t: f"{int((t - datetime(1970, 1, 1)).total_seconds()) * 1000000000}",
    "excel": lambda t: f"{(t - datetime(1899, 12, 30)).total_seconds() / 86400:.8f}",
}
COLUMNS = {
    "date and time": (("Date", "Time"), lambda t: f"{t:%Y-%m-%d},{t:%H:%M:%S}"),
    "time and date": (("時間", "日期"), lambda t: f"{t:%H:%M:%S},{t:%Y/%m/%d}"),
    "parts": (
        ("year", "month", "day", "hour", "minute", "second"),
        lambda t: f"{t.year},{t.month},{t.day},{t.hour},{t.minute},{t.second}",
    ),
    "date and parts": (("Date", "Hour", "Min", "Sec"), lambda t: f"{t:%Y-%m-%d},{t.hour},{t.minute},{t.second}"),
}
moments = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)).map(lambda t: t.replace(microsecond=0))
steps = st.sampled_from([1, 30, 60, 600, 3600])


def found_in(folder: Path, header: str, rows: list[str], **plan: object) -> Detection:
    path = folder / "plant.csv"
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return detect(ReadPlan.model_validate({"file": str(path), **plan}))


def equal_or_asked(found: Detection, truth: list[datetime]) -> None:
    """The times as they were written; or a question of which one answer gives them."""
    if found.questions:
        question = found.questions[0]
        plan = ReadPlan(file=found.plan.file, time=found.plan.time)
        answers = [detect(plan.model_copy(update={question.key: answer.value})) for answer in question.readings]
        times = [answer.reading.table.time for answer in answers if answer.reading is not None]
        assert any(np.array_equal(found, np.array(truth, "datetime64[ns]")) for found in times if found is not None)
        return
    assert found.fault is None
    assert found.reading is not None
    assert found.reading.table.names == ("T101",)
    np.testing.assert_array_equal(found.reading.table.time, np.array(truth, "datetime64[ns]"))


@pytest.mark.parametrize("form", WRITTEN)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=moments, step=steps)
def test_any_table_of_times_comes_back_or_a_question_is_asked(
    tmp_path: Path, form: str, start: datetime, step: int
) -> None:
    truth = [start + timedelta(seconds=step * at) for at in range(12)]
    rows = [f'"{WRITTEN[form](t)}",{at}.5' for at, t in enumerate(truth)]
    equal_or_asked(found_in(tmp_path, "time,T101", rows, time="time"), truth)


@pytest.mark.parametrize("form", COLUMNS)
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=moments, step=steps)
def test_a_clock_in_several_columns_is_put_together(tmp_path: Path, form: str, start: datetime, step: int) -> None:
    names, write = COLUMNS[form]
    truth = [start + timedelta(seconds=step * at) for at in range(12)]
    rows = [f"{write(t)},{at}.5" for at, t in enumerate(truth)]
    found = found_in(tmp_path, ",".join((*names, "T101")), rows)
    equal_or_asked(found, truth)
    again = read(found.plan)  # and what was found reads the same without looking
    np.testing.assert_array_equal(again.table.time, np.array(truth, "datetime64[ns]"))


def test_the_answer_to_a_question_gives_the_times(tmp_path: Path) -> None:
    rows = [f"{WRITTEN['excel'](datetime(2024, 3, 13, 0, at))},{at}.5" for at in range(12)]
    found = found_in(tmp_path, "time,T101", rows)
    (question,) = found.questions
    assert question.lines()[0] == 'time_form = "excel_1900"  # 2024-03-13 00:00:00'
    assert found.reading is not None
    assert found.reading.table.names == ("T101",)
    assert str(found.reading.table.time[11])[:19] == "2024-03-13T00:11:00"  # type: ignore[index]


def test_hours_that_end_go_to_24(tmp_path: Path) -> None:
    rows = [f"2014-01-{6 + at // 24:02d},{at % 24 + 1},{at}.5" for at in range(30)]
    found = found_in(tmp_path, "Date,Hour Ending,T101", rows)
    assert (found.layout.time, found.layout.time_form) == (("Date", "Hour Ending"), "hour_ending")
    truth = [datetime(2014, 1, 6, 1) + timedelta(hours=at) for at in range(30)]
    equal_or_asked(found, truth)
    few = found_in(tmp_path, "Date,Hour,T101", [f"2014-01-06,{at},{at}.5" for at in range(1, 8)])
    assert [question.key for question in few.questions] == ["time_form"]


def test_an_hour_alone_behind_a_date(tmp_path: Path) -> None:
    found = found_in(tmp_path, "DATETIME,T101", [f"06/01/14 {at:02d},{at}.5" for at in range(6)])
    assert [question.key for question in found.questions] == ["day_first"]
    assert str(found.reading.table.time[5])[:16] == "2014-01-06T05:00"  # type: ignore[union-attr, index]


def test_a_date_that_may_begin_with_its_year_is_asked_for(tmp_path: Path) -> None:
    rows = [f"13.03.24 7:{at:02d},{at}.5" for at in range(6)]
    (question,) = found_in(tmp_path, "time,T101", rows).questions
    assert question.lines() == ('time_form = "date"  # 2024-03-13', 'time_form = "year_first"  # 2013-03-24')
    told = found_in(tmp_path, "time,T101", rows, time_form="year_first")
    assert str(told.reading.table.time[0])[:10] == "2013-03-24"  # type: ignore[union-attr, index]


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2024-07-02 08:00 CEST", None, "2024-07-02T06:00"),
        ("2024-07-02 08:00 EDT", None, "2024-07-02T12:00"),
        ("2024-07-02 08:00 JST", None, "2024-07-01T23:00"),
        ("2024-07-02 08:00 GMT+8", None, "2024-07-02T00:00"),
        ("2024-07-02 08:00 UTC+08:00", None, "2024-07-02T00:00"),
        ("2024-07-02 08:00 CST", "Asia/Taipei", "2024-07-02T00:00"),
        ("2024-01-02 08:00 CST", "America/Chicago", "2024-01-02T14:00"),
        ("2024-07-02 08:00 BST", "Europe/London", "2024-07-02T07:00"),
        ("2024-07-02 08:00 IST", "Asia/Kolkata", "2024-07-02T02:30"),
    ],
)
def test_abbreviations_of_zones(text: str, zone: str | None, utc: str) -> None:
    found = read_dates(texts([text]), tag="t", day_first=None, at=str, zone=zone)
    assert found.aware
    assert str(found.times[0])[:16] == utc


def test_an_abbreviation_with_several_meanings_is_asked_for() -> None:
    with pytest.raises(OpenQuestion, match="Asia/Taipei, America/Chicago") as asked:
        read_dates(texts(["2024-07-02 08:00 CST"]), tag="t", day_first=None, at=str)
    assert asked.value.question.key == "time_zone"
    with pytest.raises(InputError, match=r"'XYZ'.*\[data\] time_zone"):
        read_dates(texts(["2024-07-02 08:00 XYZ"]), tag="t", day_first=None, at=str)


def test_two_clocks_are_a_question_and_never_inputs(tmp_path: Path) -> None:
    rows = [f"2024-05-02 0{at}:00,2024-05-02 0{at}:30,{at}.5" for at in range(6)]
    found = found_in(tmp_path, "sampled,reported,T101", rows)
    assert [reading.value for reading in found.questions[0].readings] == ["sampled", "reported"]
    assert found.reading is not None
    assert found.reading.table.names == ("T101",)


def test_what_looks_like_a_clock_beside_the_clock_is_named_and_left_out(tmp_path: Path) -> None:
    rows = [f"2024-05-02 0{at}:00,{1714608000 + 3600 * at},0{at}:00,{at}.5" for at in range(6)]
    found = found_in(tmp_path, "when,unix,clock,T101", rows)
    assert found.reading is not None
    assert found.reading.table.names == ("T101",)
    left_out = [note.tag for note in found.reading.ledger.notes if note.reason == "read.reason_dates_left_out"]
    assert left_out == ["unix", "clock"]


@pytest.mark.parametrize("start", [0, 1, 30000, 1_000_000_000])
def test_a_row_counter_is_no_clock(tmp_path: Path, start: int) -> None:
    found = found_in(tmp_path, "No,T101", [f"{start + at},{at}.5" for at in range(12)])
    assert found.questions == ()
    assert found.reading is not None
    assert found.reading.table.time is None


def test_elapsed_time_is_no_clock_unless_the_plan_says_so(tmp_path: Path) -> None:
    rows = [f"{at / 10},{at}.5" for at in range(12)]
    found = found_in(tmp_path, "time,T101", rows)
    assert found.reading is not None
    assert found.reading.table.time is None
    assert found.reading.table.tag("time").role == "ignored"
    assert "clock.reason_elapsed" in [note.reason for note in found.reading.ledger.notes]
    told = found_in(tmp_path, "time,T101", rows, time="time", time_form="elapsed_h").reading
    assert told is not None
    assert told.table.step == 360.0


def test_cut_times_are_a_question_that_offers_to_spread_them(tmp_path: Path) -> None:
    rows = [f"2024-05-02 {at // 6:02d}:00,{at}.5" for at in range(6 * 4 + 3)]
    found = found_in(tmp_path, "time,T101", rows)
    (question,) = found.questions
    assert [reading.value for reading in question.readings] == ["spread", "mean", "last"]
    assert question.readings[0].shown == "evenly spread: 2024-05-02 00:00:00, 2024-05-02 00:10:00 …"
    truth = [datetime(2024, 5, 2) + timedelta(minutes=10 * at) for at in range(27)]
    assert found.reading is not None
    np.testing.assert_array_equal(found.reading.table.time, np.array(truth, "datetime64[ns]"))
    with pytest.raises(OpenQuestion, match="6 rows share 2024-05-02 00:00:00: the clock is cut to the hour"):
        read(ReadPlan(file=str(tmp_path / "plant.csv")))


def test_uneven_hours_are_spread_within_each_hour_and_each_batch(tmp_path: Path) -> None:
    counts = [("A", 0, 4), ("A", 1, 2), ("A", 2, 3), ("B", 0, 3), ("B", 1, 3)]
    rows = [f"{batch},2024-05-02 0{hour}:00,{n}.5" for batch, hour, count in counts for n in range(count)]
    found = found_in(tmp_path, "batch,time,T101", rows, batch="batch", duplicates="spread").reading
    assert found is not None
    assert found.table.time is not None
    minutes = (found.table.time - np.datetime64("2024-05-02", "ns")) / np.timedelta64(1, "m")
    assert minutes.tolist() == [0, 15, 30, 45, 60, 90, 120, 140, 160, 0, 20, 40, 60, 80, 100]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Taipei"])
def test_cut_local_times_go_through_the_end_of_daylight_saving(tmp_path: Path, zone: str) -> None:
    start = datetime(2024, 10, 26, 20, tzinfo=ZoneInfo("UTC"))
    hours = [start + timedelta(hours=at) for at in range(10)]
    rows = [f"{hour.astimezone(ZoneInfo(zone)):%Y-%m-%d %H}:00,{n}.5" for hour in hours for n in range(4)]
    found = found_in(tmp_path, "time,T101", rows, time_zone=zone, duplicates="spread").reading
    assert found is not None
    truth = [hour.replace(tzinfo=None) + timedelta(minutes=15 * n) for hour in hours for n in range(4)]
    np.testing.assert_array_equal(found.table.time, np.array(truth, "datetime64[ns]"))
    if zone == "Europe/Berlin":
        with pytest.raises(InputError, match="goes back by one hour"):
            read(ReadPlan(file=str(tmp_path / "plant.csv"), duplicates="spread"))


@pytest.mark.parametrize(
    ("header", "row", "line"),
    [
        ("day,h1,T101,P103", lambda at: f"2024-05-0{2 + at // 20},{at % 20},{at}.5,{at}.25", 'time = ["day", "h1"]'),
        ("time,tag,value", lambda at: f"2024-05-02 00:0{at // 5},T{at % 5},{at}.5", 'long = { tag = "tag", value ='),
        ("time,unit,T101,P103", lambda at: f"2024-05-02 00:0{at // 5},U{at % 5},{at}.5,{at}.25", 'batch = "unit"'),
    ],
)
def test_the_cause_of_equal_times_is_found(tmp_path: Path, header: str, row: object, line: str) -> None:
    found = found_in(tmp_path, header, [row(at) for at in range(40)], shape="wide")  # type: ignore[operator]
    assert line in str(found.fault)
    assert "mean" not in str(found.fault)
    with speak("zh_TW"):
        assert line in str(found.fault)


def test_true_duplicates_show_what_the_file_says(tmp_path: Path) -> None:
    rows = [f"2024-05-02 0{at}:00,{'OPEN' if at % 2 else 'CLOSED'},{at}.5" for at in range(8)]
    found = found_in(tmp_path, "time,valve,T101", [*rows, "2024-05-02 03:00,CLOSED,3.5"], time_zone="Asia/Taipei")
    assert "CLOSED at 2024-05-02 03:00:00, but row 5 of the same time has OPEN" in str(found.fault)


def test_times_are_shown_in_the_zone_of_the_plan(tmp_path: Path) -> None:
    rows = [f"2024-05-02 {at:02d}:00,{at}.5" for at in range(8)]
    found = found_in(tmp_path, "time,T101", rows, time_zone="Asia/Taipei").reading
    assert found is not None
    table = found.table.rows(slice(0, 4)).select(["T101"])
    assert table.time_zone == "Asia/Taipei"
    assert str(table.to_frame().index[0]) == "2024-05-02 00:00:00+08:00"
    assert str(table.time[0])[:16] == "2024-05-01T16:00"  # type: ignore[index]


def test_a_table_on_disk_has_the_clock_and_the_zone_of_the_plan(tmp_path: Path) -> None:
    rows = [f"2024-05-0{2 + at // 24},{at % 24 + 1},{at}.5" for at in range(30)]
    (tmp_path / "plant.csv").write_text("Date,Hour Ending,T101\n" + "\n".join(rows) + "\n", "utf-8")
    plan = ReadPlan(file="plant.csv", time=("Date", "Hour Ending"), time_form="hour_ending", time_zone="Asia/Taipei")
    table = map_file(plan, tmp_path / "mapped", base=tmp_path).table
    np.testing.assert_array_equal(table.time, read(plan, base=tmp_path).table.time)
    assert (table.names, table.time_zone) == (("T101",), "Asia/Taipei")


def test_marks_of_a_time_axis_are_round_in_the_zone_of_the_plan() -> None:
    taipei = ZoneInfo("Asia/Taipei")
    midnight = datetime(2024, 5, 2, tzinfo=taipei).timestamp()
    assert time_ticks(midnight, midnight + 86400, 6, taipei)[1] == (midnight + 6 * 3600, "05-02 06:00")


def test_predictions_for_people_have_units_and_six_digits() -> None:
    frame = pd.DataFrame({"target": ["C_A", "T"], "prediction": [1.23456789, 350.123456]})
    assert readable(frame, {"C_A": "mol/l", "T": "mol/l"})["prediction [mol/l]"].tolist() == [1.23457, 350.123]
    assert list(readable(frame, {"C_A": "mol/l", "T": "degC"})) == ["target", "prediction"]


def test_places_of_findings_have_the_offset_of_the_zone(tmp_path: Path) -> None:
    rows = [f"2024-05-02 {at:02d}:00,{at}.5" for at in range(8)]
    found = found_in(tmp_path, "time,T101", rows, time_zone="Asia/Taipei").reading
    assert found is not None
    assert place(found.table, 3) == "2024-05-02T03:00:00+08:00"


# Orders that only the steps of the rows tell, and times that are no days


def _found(tmp_path: Path, stamps: Iterable[str], name: str = "t") -> Detection:
    lines = [f"{stamp},{row / 8}" for row, stamp in enumerate(stamps)]
    (tmp_path / "steps.csv").write_text(f"{name},FI101\n" + "\n".join(lines))
    return detect(ReadPlan(file=str(tmp_path / "steps.csv")))


def _clock(found: Detection) -> pd.DatetimeIndex:
    assert found.reading is not None
    return pd.DatetimeIndex(found.reading.table.time)


SHORT = ("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%y.%m.%d", "%d-%m-%y", "%d.%m.%Y", "%m/%d/%Y")


@pytest.mark.parametrize("form", SHORT)
@pytest.mark.parametrize("start", ["2024-03-28", "2024-03-03", "2024-12-10"])
def test_steps_that_are_even_under_one_order_alone_settle_it(tmp_path: Path, form: str, start: str) -> None:
    truth = pd.date_range(start, periods=120, freq="h")
    for times in (truth, truth[::-1]):
        found = _found(tmp_path, times.strftime(f"{form} %H:%M"))
        assert found.questions == ()
        assert (_clock(found) == truth).all(), "rows come in the order of time"
        assert any("evenly" in entry.sentence("en") or "first" in entry.sentence("en") for entry in found.evidence)
        assert all("?" not in entry.sentence("zh_TW") for entry in found.evidence)
    # the plan that is written reads the same, and says it no more
    again = read(found.plan)
    assert (pd.DatetimeIndex(again.table.time) == truth).all()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.datetimes(datetime(2001, 1, 1), datetime(2031, 12, 1)),
    minutes=st.sampled_from([1, 10, 60, 240, 480, 1440, 10080]),
    rows=st.integers(5, 300),
    gone=st.sets(st.integers(0, 299), max_size=20),
    form=st.sampled_from(SHORT),
)
def test_whatever_the_steps_the_order_is_right_or_asked(
    tmp_path: Path, start: datetime, minutes: int, rows: int, gone: set[int], form: str
) -> None:
    start = start.replace(minute=0, second=0, microsecond=0)
    times = [start + timedelta(minutes=minutes * row) for row in range(rows) if row not in gone]
    if len(times) < 2:
        return
    found = _found(tmp_path, [f"{time:{form} %H:%M}" for time in times])
    if not {"day_first", "time_form"} & {question.key for question in found.questions}:
        assert found.fault is None
        assert _clock(found).to_pydatetime().tolist() == times


def test_days_that_step_evenly_in_both_orders_are_asked_for(tmp_path: Path) -> None:
    """1 to 10 March a day each may be the third of each month."""
    found = _found(tmp_path, pd.date_range("2024-03-01", periods=10).strftime("%d/%m/%Y"))
    assert [question.key for question in found.questions] == ["day_first"]
    quarters = pd.date_range("2023-01-01", periods=8, freq="QS").strftime("%d/%m/%Y")
    assert [question.key for question in _found(tmp_path, quarters).questions] == ["day_first"]
    # rows of a laboratory, at no even times, prove nothing
    times = pd.to_datetime("2024-03-01") + pd.to_timedelta(np.cumsum(np.arange(30) % 7 * 37 + 41), "min")
    found = _found(tmp_path, times.strftime("%d/%m/%Y %H:%M"))
    assert [question.key for question in found.questions] == ["day_first"]


PERIODS = {
    "quarter": ("QS", lambda t: f"{t.year}Q{t.quarter}"),
    "quarter_dash": ("QS", lambda t: f"{t.year}-Q{t.quarter}"),
    "quarter_first": ("QS", lambda t: f"Q{t.quarter} {t.year}"),
    "quarter_number": ("QS", lambda t: f"{t.quarter}Q{t.year}"),
    "quarter_chinese": ("QS", lambda t: f"{t.year}年第{t.quarter}季"),
    "week": ("W-MON", lambda t: f"{t:%G-W%V}"),
    "week_bare": ("W-MON", lambda t: f"{t:%GW%V}"),
    "week_chinese": ("W-MON", lambda t: f"{t:%G}年第{int(f'{t:%V}')}週"),
    "week_day": ("D", lambda t: f"{t:%G-W%V-%u}"),
    "month": ("MS", lambda t: f"{t:%Y-%m}"),
    "month_slash": ("MS", lambda t: f"{t:%Y/%m}"),
    "month_first": ("MS", lambda t: f"{t:%m/%Y}"),
    "month_chinese": ("MS", lambda t: f"{t.year}年{t.month}月"),
    "month_name": ("MS", lambda t: f"{t:%b %Y}"),
    "month_full": ("MS", lambda t: f"{t:%B %Y}"),
    "month_short": ("MS", lambda t: f"{t:%b-%y}"),
}


@pytest.mark.parametrize("name", PERIODS)
def test_quarters_months_and_weeks_stand_on_their_first_day(tmp_path: Path, name: str) -> None:
    freq, write = PERIODS[name]
    truth = pd.date_range("1994-01-01", periods=48, freq=freq)
    found = _found(tmp_path, map(write, truth))
    assert found.questions == ()
    assert (_clock(found) == truth).all()
    assert found.reading is not None
    assert found.reading.table.names == ("FI101",)
    assert any("first day" in note.sentence("en") for note in found.reading.ledger.notes)
    audited = audit(found.reading.table, ledger=found.reading.ledger)
    assert not {"irregular", "gaps", "order"} & {finding.kind for finding in audited.findings}
    check_clock(found.reading.table, RepairPlan())  # a run takes them as they are: the step is the period


@pytest.mark.parametrize(
    ("columns", "freq", "parts"),
    [
        ("year,quarter", "QS", lambda t: (t.year, t.quarter)),
        ("Year,Qtr", "QS", lambda t: (f"{t.year}.0", f"{t.quarter}.0")),
        ("年,季", "QS", lambda t: (t.year, t.quarter)),
        ("year,month", "MS", lambda t: (t.year, t.month)),
        ("年,月", "MS", lambda t: (t.year, t.month)),
        ("year,week", "W-MON", lambda t: (f"{t:%G}", int(f"{t:%V}"))),
    ],
)
def test_a_year_and_the_number_of_its_quarter_month_or_week(
    tmp_path: Path, columns: str, freq: str, parts: Callable[[pd.Timestamp], tuple[Any, Any]]
) -> None:
    truth = pd.date_range("1994-01-01", periods=48, freq=freq)
    found = _found(tmp_path, (f"{year},{number}" for year, number in map(parts, truth)), columns)
    assert (_clock(found) == truth).all()
    assert found.layout.time == tuple(columns.split(","))
    assert found.layout.time_form == "parts"
    assert (pd.DatetimeIndex(read(found.plan).table.time) == truth).all()


def test_rows_that_share_a_month_have_no_clock_in_year_and_month(tmp_path: Path) -> None:
    rows = [f"2024,{1 + row // 30}" for row in range(90)]
    found = _found(tmp_path, rows, "year,month")
    assert found.reading is not None
    assert found.reading.table.time is None
    assert found.reading.table.names == ("year", "month", "FI101")


@pytest.mark.parametrize("text", ["2024-W54", "2023-W53", "1974Q5", "2024-13"])
def test_a_period_that_does_not_exist_is_no_time(tmp_path: Path, text: str) -> None:
    stamps = [f"2022-W{week:02d}" for week in range(1, 20)]
    stamps.insert(9, text)
    (tmp_path / "a.csv").write_text("t,x\n" + "\n".join(f"{stamp},1.5" for stamp in stamps))
    with pytest.raises(InputError, match=text):
        read(ReadPlan(file=str(tmp_path / "a.csv"), time="t"))


@pytest.mark.parametrize("cells", [["Batch 2001", "Batch 2002"], ["Mark 2001", "Mark 2002"], ["Q5 2001", "Q6 2001"]])
def test_words_before_a_number_are_no_months(cells: list[str]) -> None:
    assert not looks_like_dates(texts(cells))
