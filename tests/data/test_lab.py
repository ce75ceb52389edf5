"""Laboratory results at their own times: on which row they come to lie, and when they are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backmix.data.auditing.audit import audit
from backmix.data.ledger import account
from backmix.data.reading.mapped import map_file
from backmix.data.repairing.repair import RepairPlan
from backmix.data.repairing.resample import resample
from backmix.data.reported import report_name
from backmix.data.sources import Reading, ReadPlan, read
from backmix.errors import InputError, PlanError
from backmix.training.plan import Plan, PlanFaults
from files import counts

START = np.datetime64("2024-05-13T08:00", "ns")
LAB = {"file": "lab.csv", "sample": "taken", "report": "told"}


def clock(minutes: float) -> str:
    return str((START + np.timedelta64(round(minutes * 60), "s")).astype("datetime64[s]")).replace("T", " ")


def plant(rows: int = 20, *, minutes: Any = None, extra: str = "") -> str:
    """A table of one row a minute."""
    at = range(rows) if minutes is None else minutes
    return f"time,T101{extra}\n" + "".join(f"{clock(m)},{20 + m}{',' * bool(extra)}\n" for m in at)


def results(*lines: tuple[Any, ...], names: str = "C_A") -> str:
    """A laboratory file: minutes of sample and report, then the cells."""

    def moment(minutes: Any) -> str:
        return "" if minutes is None else minutes if isinstance(minutes, str) else clock(minutes)

    return f"taken,told,{names}\n" + "".join(
        ",".join([moment(taken), moment(told), *map(str, cells)]) + "\n" for taken, told, *cells in lines
    )


def taken(folder: Path, table: str, lab: str, settings: dict[str, Any] | None = None, **plan: Any) -> Reading:
    (folder / "plant.csv").write_text(table, "utf-8")
    (folder / "lab.csv").write_text(lab, "utf-8")
    form = {"file": "plant.csv", "time": "time", "lab": settings or LAB, **plan}
    reading = read(Plan.check({"data": form}).data, base=folder)
    found = account(reading.ledger, reading.table)
    assert found.read == found.used + found.repaired + found.dropped
    assert found.read == len(table.splitlines()) + len([line for line in lab.splitlines() if line]) - 2
    return reading


def placed(reading: Reading, name: str = "C_A") -> dict[int, tuple[float, float]]:
    """Row -> value and minutes of its report."""
    values, times = reading.table.column(name), reading.table.column(report_name(name))
    start = START.astype("int64") / 1e9
    return {
        int(row): (float(values[row]), float((times[row] - start) / 60)) for row in np.flatnonzero(np.isfinite(values))
    }


def test_a_result_lies_on_the_last_row_not_later_than_its_sample(tmp_path: Path) -> None:
    reading = taken(tmp_path, plant(), results((3, 9, 1.5), (5.7, 8, 2.5), (8.99, 30, 3.5)))
    assert placed(reading) == {3: (1.5, 9.0), 5: (2.5, 8.0), 8: (3.5, 30.0)}
    table = reading.table
    assert table.names == ("T101", "C_A", "C_A (report time)")
    assert [tag.role for tag in table.tags] == ["input", "lab", "ignored"]


def test_every_result_without_a_row_is_counted_by_name(tmp_path: Path) -> None:
    """Row 25: outside the table, in a gap, without a number; rows read = used + repaired + dropped."""
    minutes = [*range(5), *range(15, 20)]
    reading = taken(
        tmp_path,
        plant(minutes=minutes),
        results(
            (-1, 2, 1),
            (2, 6, 2),
            (4.5, 6, 3),
            (9, 12, 4),
            (17, 18, "Bad"),
            (20, 25, 5),
            (20.5, 25, 6),
            (99, 100, 7),
            names="C_A",
        ),
    )
    assert placed(reading) == {2: (2.0, 6.0), 4: (3.0, 6.0), 9: (5.0, 25.0)}
    found = counts(reading)
    assert {key: found[key] for key in found if key.startswith("lab.")} == {
        "lab.reason_outside": 3,
        "lab.reason_gap": 1,
        "lab.reason_no_value": 1,
        "lab.reason_put": 3,
    }
    assert reading.ledger.status_texts() == {"C_A": {"Bad": 1}}


def test_texts_in_place_of_numbers_are_bad_and_counted(tmp_path: Path) -> None:
    """Row 9 for a laboratory: never 0, never half the limit of detection."""
    reading = taken(
        tmp_path,
        plant(),
        results((1, 2, 1.0), (2, 3, "<0.01"), (3, 4, "Bad"), (4, 5, "<0.01"), (5, 6, 2)),
        {**LAB, "columns": ["C_A"]},
    )
    assert placed(reading) == {1: (1.0, 2.0), 5: (2.0, 6.0)}
    assert reading.ledger.status_texts() == {"C_A": {"<0.01": 2, "Bad": 1}}


def test_a_result_is_described_as_any_tag_is(tmp_path: Path) -> None:
    reading = taken(
        tmp_path,
        plant(),
        results((3, 6, 3)),
        tags=[{"name": "T101", "unit": "degC"}, {"name": "C_A", "unit": "mol/L", "role": "target", "low": 0}],
    )
    assert [(tag.name, tag.unit, tag.role) for tag in reading.table.tags] == [
        ("T101", "degC", "input"),
        ("C_A", "mol/L", "target"),
        ("C_A (report time)", "s", "ignored"),
    ]
    assert reading.table.tag("C_A").low == 0


@pytest.mark.parametrize(("policy", "value", "told"), [("first", 1.0, 9.0), ("last", 3.0, 6.0), ("mean", 2.0, 9.0)])
def test_two_results_on_one_row(tmp_path: Path, policy: str, value: float, told: float) -> None:
    """A mean is known when its last part is."""
    lab = results((3.6, 6, 3), (3.1, 9, 1), (7, 8, 5))
    reading = taken(tmp_path, plant(), lab, {**LAB, "duplicates": policy})
    assert placed(reading) == {3: (value, told), 7: (5.0, 8.0)}
    assert counts(reading)["lab.reason_put"] == (3 if policy == "mean" else 2)


def test_the_same_result_twice_is_one(tmp_path: Path) -> None:
    """Row 1 for a laboratory."""
    reading = taken(tmp_path, plant(), results((3, 6, 3), (3, 6, 3)))
    assert placed(reading) == {3: (3.0, 6.0)}
    assert counts(reading)["lab.reason_same_row"] == 1


def test_results_of_one_sample_may_be_reported_one_by_one(tmp_path: Path) -> None:
    lab = "taken,A,A told,B,B told,by\n" + "".join(
        f"{clock(m)},{m},{clock(m + 2)},{m * 10},{clock(m + 5)},lin\n" for m in (2, 6)
    )
    reading = taken(
        tmp_path, plant(), lab, {"file": "lab.csv", "sample": "taken", "report": {"A": "A told", "B": "B told"}}
    )
    assert placed(reading, "A") == {2: (2.0, 4.0), 6: (6.0, 8.0)}
    assert placed(reading, "B") == {2: (20.0, 7.0), 6: (60.0, 11.0)}
    assert "by" not in reading.table.names


def test_a_fixed_delay_stands_for_a_column(tmp_path: Path) -> None:
    lab = "taken,C_A,note\n" + "".join(f"{clock(m)},{m},fine {m}\n" for m in (2, 6.5))
    form = {"file": "lab.csv", "report_delay": "30min"}
    assert placed(taken(tmp_path, plant(), lab, form)) == {2: (2.0, 32.0), 6: (6.5, 36.5)}
    assert placed(taken(tmp_path, plant(), lab, {**form, "report_delay": 3})) == {2: (2.0, 5.0), 6: (6.5, 9.5)}


@pytest.mark.parametrize("ending", ["parquet", "xlsx"])
def test_a_laboratory_file_is_any_file(tmp_path: Path, ending: str) -> None:
    """Columns of real times, one of texts, and a number now and then."""
    moments = [[START + np.timedelta64(m, "s") for m in seconds] for seconds in ((200, 420, 500), (600, 480, 900))]
    frame = pd.DataFrame({"taken": moments[0], "told": moments[1], "C_A": [1.5, np.nan, 2.5], "by": ["a", "b", "c"]})
    if ending == "parquet":
        frame.to_parquet(tmp_path / "lab.parquet")
    else:
        with pd.ExcelWriter(tmp_path / "lab.xlsx") as book:
            frame.to_excel(book, sheet_name="May", index=False)
            pd.DataFrame({"nothing": [1]}).to_excel(book, sheet_name="June")
    (tmp_path / "plant.csv").write_text(plant(), "utf-8")
    lab = {**LAB, "file": f"lab.{ending}", **({"sheet": "May", "columns": ["C_A"]} if ending == "xlsx" else {})}
    reading = read(ReadPlan.model_validate({"file": "plant.csv", "lab": lab}), base=tmp_path)
    assert placed(reading) == {3: (1.5, 10.0), 8: (2.5, 15.0)}
    assert reading.table.names == ("T101", "C_A", "C_A (report time)")


def test_time_zones_of_both_files_are_heeded(tmp_path: Path) -> None:
    lab = results((3 + 480, 5 + 480, 1.5))
    reading = taken(tmp_path, plant(), lab, {**LAB, "time_zone": "Asia/Taipei"}, time_zone="UTC")
    assert placed(reading) == {3: (1.5, 5.0)}


def test_results_in_the_table_itself(tmp_path: Path) -> None:
    """A column of report times becomes seconds beside its label, and the label a laboratory value."""
    table = "time,T101,y,y_reported_at\n" + "".join(
        f"{clock(m)},{m},{m / 2 if m % 4 == 0 else ''},{clock(m + 3) if m % 4 == 0 and m else ''}\n" for m in range(12)
    )
    (tmp_path / "plant.csv").write_text(table, "utf-8")
    plan = ReadPlan.model_validate({"file": "plant.csv", "lab": {"report": {"y": "y_reported_at"}}, "time": "time"})
    reading = read(plan, base=tmp_path)
    found = placed(reading, "y")
    assert {row: found[row] for row in (4, 8)} == {4: (2.0, 7.0), 8: (4.0, 11.0)}
    assert np.isnan(found[0][1])
    assert counts(reading)["lab.reason_not_reported"] == 1
    assert [tag.role for tag in reading.table.tags] == ["input", "lab", "ignored"]
    fixed = read(
        ReadPlan.model_validate(
            {"file": "plant.csv", "time": "time", "lab": {"columns": ["y"], "report_delay": "3min"}}
        ),
        base=tmp_path,
    )
    assert placed(fixed, "y") == {0: (0.0, 3.0), 4: (2.0, 7.0), 8: (4.0, 11.0)}


def test_results_find_their_batch_by_name_when_batches_overlap(tmp_path: Path) -> None:
    rows = "".join(f"{clock(m)},{b},{m}\n" for b in ("B1", "B2") for m in range(10))
    lab = f"taken,told,run,C_A\n{clock(3)},{clock(5)},B2,7\n{clock(4)},{clock(5)},B1,8\n{clock(4)},{clock(5)},B9,9\n"
    reading = taken(tmp_path, "time,run,T101\n" + rows, lab, {**LAB, "batch": "run"}, batch="run")
    assert {row: value for row, (value, _) in placed(reading).items()} == {4: 8.0, 13: 7.0}
    assert counts(reading)["lab.reason_no_batch"] == 1


def test_resampling_takes_the_last_result_with_its_own_report(tmp_path: Path) -> None:
    """Report times are never averaged, and a row never pairs the value of one sample with the report of another."""
    reading = taken(tmp_path, plant(), results((1, 19, 1.0), (3, 7, 3.0), (11, 12, 9.0), (13, 18, "Bad")))
    out, _ = resample(reading.table, RepairPlan(resample="5min"))
    assert out.time is not None
    start = START.astype("int64") / 1e9
    rows = np.flatnonzero(np.isfinite(out.column("C_A")))
    assert [
        (
            (out.time[row] - START) / np.timedelta64(1, "m"),
            float(out.column("C_A")[row]),
            (float(out.column(report_name("C_A"))[row]) - start) / 60,
        )
        for row in rows
    ] == [(5.0, 3.0, 7.0), (15.0, 9.0, 12.0)]


def test_resampling_leaves_out_an_impossible_result_together_with_its_report(tmp_path: Path) -> None:
    """A value beyond the limits of its tag is bad: the result before it counts, with the report before it."""
    reading = taken(
        tmp_path,
        plant(),
        results((1, 4, 1.0), (3, 18, -7.0), (8, 9, 2.0)),
        tags=[{"name": "C_A", "role": "target", "low": 0}],
    )
    out, _ = resample(reading.table, RepairPlan(resample="5min"))
    start = START.astype("int64") / 1e9
    assert out.column("C_A")[:3].tolist()[1:] == [1.0, 2.0]
    assert ((out.column(report_name("C_A"))[1:3] - start) / 60).tolist() == [4.0, 9.0]


@pytest.mark.parametrize(
    ("lab", "message"),
    [
        (
            {"file": "lab.csv"},
            '[data] lab — a label reported late is a mandatory setting: say when results are reported: report = "<column of '
            'report times>", or report_delay = "4h" (report_delay = "0min" if they are known at once)',
        ),
        (
            {"file": "lab.csv", "report": "told", "report_delay": "4h"},
            "[data] lab — report and report_delay are given together, but a result is reported once. Keep one of them",
        ),
        (
            {"file": "lab.csv", "report": {"A": "told"}, "columns": ["B"]},
            "[data] lab — report names A, columns names B. Name the same results in both, or leave columns out",
        ),
        (
            {"report": "told", "sample": "taken"},
            '[data] lab — sample describes a laboratory file, and none is given. Add file = "lab.csv", or leave sample out',
        ),
        (
            {"report_delay": "4h"},
            '[data] lab — the results are columns of the table itself, so they must be named: columns = ["C_A"], report = '
            '{ C_A = "C_A reported" }, or give their file = "lab.csv"',
        ),
    ],
)
def test_row_25_a_plan_must_say_when_results_are_known(lab: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanFaults) as fault:
        Plan.check({"data": {"file": "plant.csv", "lab": lab}})
    assert str(fault.value) == f"plan: {message}"
    assert fault.value.exit_code == PlanError.exit_code == 2


def test_a_table_larger_than_memory_takes_no_results(tmp_path: Path) -> None:
    (tmp_path / "plant.csv").write_text(plant(), "utf-8")
    form = {"file": "plant.csv", "time": "time"}
    map_file(ReadPlan.model_validate(form), tmp_path / "mapped", tmp_path)
    lab = {"file": "lab.csv", "report_delay": "1h"}
    with pytest.raises(PlanError) as fault:
        read(ReadPlan.model_validate({"file": "mapped", "lab": lab}), base=tmp_path)
    assert str(fault.value) == (
        "mapped — a table that is larger than memory takes no [data.lab]. Put the results into the table, with a fixed "
        "[task] past_targets = { delay = ... }, or read a part of it from a file"
    )
    with pytest.raises(PlanError, match="takes no"):
        map_file(ReadPlan.model_validate({**form, "lab": lab}), tmp_path / "again", tmp_path)


def test_the_audit_is_about_results_and_not_about_their_reports(tmp_path: Path) -> None:
    reading = taken(tmp_path, plant(), results((3, 6, 3), (4, 7, 5)))
    assert [tag.name for tag in audit(reading.table, ledger=reading.ledger).tags] == ["T101", "C_A"]


@pytest.mark.parametrize(
    "lab",
    [
        LAB,
        {"file": "lab.csv", "report": {"A": "A told"}, "duplicates": "mean"},
        {"columns": ["A"], "report_delay": "90min"},
        {"columns": ["A"], "report_delay": 0},
    ],
)
def test_a_plan_with_a_laboratory_is_written_and_read(lab: dict[str, Any]) -> None:
    plan = Plan.check({"data": {"file": "plant.csv", "lab": lab}})
    assert Plan.parse(plan.to_toml()) == plan


def test_a_frame_takes_its_results_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text(results((3, 6, 3), (4.5, 7, 5)), "utf-8")
    frame = pd.DataFrame({"time": START + np.arange(9) * np.timedelta64(1, "m"), "T101": np.arange(9.0)})
    reading = read(ReadPlan.model_validate({"lab": LAB}), frame=frame, base=tmp_path)
    assert placed(reading) == {3: (3.0, 6.0), 4: (5.0, 7.0)}


# A clock in several columns, and a file that is written in any way


def split(lab: str, *, report: bool = True) -> str:
    """A laboratory file whose sample (and report) stand in a date and a time of day."""
    rows = [line.split(",") for line in lab.splitlines()]
    made = [["day", "hour", *(["told day", "told hour"] if report else ["told"]), *rows[0][2:]]]
    for taken_at, told_at, *cells in rows[1:]:
        later = (told_at.split(" ") if told_at else ["", ""]) if report else [told_at]
        made.append([*taken_at.split(" "), *later, *cells])
    return "".join(",".join(cells) + "\n" for cells in made)


LINES = ((3.5, 9, 1.5), (8, 12.5, 2.5), (11, None, 3.5))


def test_sample_and_report_may_stand_in_two_columns_each(tmp_path: Path) -> None:
    plain = taken(tmp_path, plant(), results(*LINES))
    form = {"file": "lab.csv", "sample": ["day", "hour"], "report": ["told day", "told hour"]}
    parted = taken(tmp_path, plant(), split(results(*LINES)), form)
    assert parted.table.names == plain.table.names
    assert np.array_equal(parted.table.values, plain.table.values, equal_nan=True)
    form = {"file": "lab.csv", "sample": ["day", "hour"], "report": "told"}
    half = taken(tmp_path, plant(), split(results(*LINES), report=False), form)
    assert str(placed(half)) == str(placed(plain))
    # the only clock of the file is found when nobody names it
    rows = [line.split(",") for line in split(results(*LINES)).splitlines()]
    alone = "".join(f"{cells[0]},{cells[1]},{cells[-1]}\n" for cells in rows)
    found = taken(tmp_path, plant(), alone, {"file": "lab.csv", "report_delay": "30min"})
    assert placed(found) == {3: (1.5, 33.5), 8: (2.5, 38.0), 11: (3.5, 41.0)}
    assert set(found.table.names) == {"T101", "C_A", "C_A (report time)"}


def test_a_sample_in_year_month_day_hour_and_minute(tmp_path: Path) -> None:
    names = ["year", "month", "day", "hour", "minute"]
    lab = ",".join([*names, "C_A"]) + "\n2024,5,13,8,3,1.5\n2024,5,13,8,9,2.5\n"
    for form in ({"sample": names}, {}):
        reading = taken(tmp_path, plant(), lab, {"file": "lab.csv", "report_delay": "0min", **form})
        assert placed(reading) == {3: (1.5, 3.0), 9: (2.5, 9.0)}


def test_reports_that_are_columns_of_the_table_may_be_parted_too(tmp_path: Path) -> None:
    table = "time,T101,y,told day,told hour\n" + "".join(
        f"{clock(m)},{m},{m if m == 2 else ''},{clock(m + 5).replace(' ', ',') if m == 2 else ','}\n" for m in range(6)
    )
    (tmp_path / "plant.csv").write_text(table)
    lab = {"columns": ["y"], "report": ["told day", "told hour"]}
    reading = read(ReadPlan.model_validate({"file": "plant.csv", "time": "time", "lab": lab}), base=tmp_path)
    assert placed(reading, "y") == {2: (2.0, 7.0)}
    assert reading.table.names == ("T101", "y", "y (report time)")


def test_a_laboratory_file_is_written_in_as_many_ways_as_a_table(tmp_path: Path) -> None:
    """Titles, a row of units, a signature, codes for no value, and times as days of a spreadsheet."""
    days = [(START - np.datetime64("1899-12-30", "ns")) / np.timedelta64(1, "D") + m / 1440 for m in (3, 9, 11)]
    lab = (
        "Laboratory of unit 100\n\ntaken;C_A\nd;mol/l\n# calibrated\n"
        + "".join(
            f"{str(day).replace('.', ',')};{value}\n" for day, value in zip(days, ("1,5", "-999", "3,5"), strict=True)
        )
        + "Signed: jsmith;\n"
    )
    form = {"preamble": 2, "header": ["name", "unit"], "comment": "#", "footer": 1, "missing": [-999], "decimal": ","}
    settings = {
        "file": "lab.csv",
        "delimiter": ";",
        "time_form": "excel_1900",
        "sample": "taken",
        "report_delay": "0min",
        **form,
    }
    (tmp_path / "plant.csv").write_text(plant(), "utf-8")
    (tmp_path / "lab.csv").write_text(lab, "utf-8")
    plan = Plan.check({"data": {"file": "plant.csv", "time": "time", "lab": settings}}).data
    reading = read(plan, base=tmp_path)
    assert {row: value for row, (value, _) in placed(reading).items()} == {3: 1.5, 11: 3.5}
    assert reading.table.tag("C_A").unit == "mol/l"


def test_a_clock_that_names_a_column_too_many_is_refused(tmp_path: Path) -> None:
    form = {"file": "lab.csv", "sample": ["day", "minute"], "report": "told"}
    with pytest.raises(InputError, match="minute"):
        taken(tmp_path, plant(), split(results(*LINES), report=False), form)
