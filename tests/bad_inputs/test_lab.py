"""Laboratory files that cannot be used, each refused with one line that says how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backmix.data.sources import ReadPlan, read
from backmix.errors import InputError
from backmix.text import speak

TABLE = "time,T101\n" + "".join(f"2024-05-13 08:{m:02}:00,{20 + m}\n" for m in range(10))
HEAD = "taken,told,C_A\n"
ROW = "2024-05-13 08:03:00,2024-05-13 08:05:00,1.5\n"
LAB = {"file": "lab.csv", "sample": "taken", "report": "told"}


def refused(folder: Path, lab: str, *, table: str = TABLE, settings: dict[str, Any] | None = None, **plan: Any) -> str:
    """The sentence with which a laboratory file is refused."""
    (folder / "plant.csv").write_text(table, "utf-8")
    (folder / "lab.csv").write_text(lab, "utf-8")
    form = ReadPlan.model_validate({"file": "plant.csv", "time": "time", "lab": settings or LAB, **plan})
    with pytest.raises(InputError) as fault:
        read(form, base=folder)
    assert fault.value.exit_code == 3
    assert sorted(entry.name for entry in folder.iterdir()) == ["lab.csv", "plant.csv"]
    with speak("zh_TW"):
        assert "\n" not in str(fault.value)
    return str(fault.value)


@pytest.mark.parametrize(
    ("lab", "message"),
    [
        ("", "lab.csv — is empty. Export the table again with its header row"),
        (HEAD, "lab.csv — has a header but no data rows. Export the table again with its rows"),
        (
            "taken,told\n2024-05-13 08:03:00,2024-05-13 08:05:00\n",
            "lab.csv — has no column of numbers to take as result. Columns: taken, told. Name the results: [data.lab] "
            'columns = ["..."]',
        ),
        (
            HEAD + "2024-05-13 08:03:00,2024-05-13 08:02:00,1.5\n",
            "lab.csv:2:told — C_A was reported at 2024-05-13 08:02:00, before its sample at 2024-05-13 08:03:00. Correct the "
            "row, or the time zone and day order of the file: [data.lab]",
        ),
        (
            HEAD + ROW + "2024-05-13 08:03:30,2024-05-13 08:05:00,1.7\n",
            "lab.csv:3:C_A — C_A is 1.7 here and 1.5 in row 2, both for the row of 2024-05-13 08:03:00. Say which counts: "
            '[data.lab] duplicates = "first", "last" or "mean"',
        ),
        (
            HEAD + "2024-05-14 08:03:00,2024-05-14 08:05:00,1.5\n2024-05-15 08:03:00,2024-05-15 08:05:00,1.5\n",
            "lab.csv — no sample lies on a row of plant.csv: samples from 2024-05-14 08:03:00 to 2024-05-15 08:03:00, rows "
            "from 2024-05-13 08:00:00 to 2024-05-13 08:09:00 (UTC). Check the time zones: [data.lab] time_zone, or give the "
            "results of these rows",
        ),
        (
            HEAD + ROW + ",2024-05-13 08:05:00,1.7\n",
            "lab.csv:3:taken — the row has values but no time. Fill in the time or delete the row",
        ),
    ],
)
def test_a_laboratory_file_that_cannot_be_used(tmp_path: Path, lab: str, message: str) -> None:
    """Rows 2, 16, 21 and 25."""
    assert refused(tmp_path, lab) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {**LAB, "columns": ["C_B"]},
            "lab.csv — there is no column 'C_B'. Did you mean 'C_A'? Found: taken, told, C_A",
        ),
        (
            {**LAB, "report": "tell"},
            "lab.csv — there is no column 'tell'. Did you mean 'told'? Found: taken, told, C_A",
        ),
        (
            {**LAB, "sample": "take"},
            "lab.csv — there is no column 'take'. Did you mean 'taken'? Found: taken, told, C_A",
        ),
        (
            {**LAB, "time_zone": "Asia/Taipei"},
            "lab.csv — its times and those of plant.csv do not agree on a time zone: one says which it is, the other does "
            'not. Name both: [data] time_zone, [data.lab] time_zone = "Asia/Taipei"',
        ),
    ],
)
def test_row_33_names_that_are_not_in_the_file(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    assert refused(tmp_path, HEAD + ROW, settings=settings) == message


def test_results_that_are_nothing_but_texts(tmp_path: Path) -> None:
    said = refused(
        tmp_path, HEAD + "2024-05-13 08:03:00,2024-05-13 08:05:00,<0.01\n", settings={**LAB, "columns": ["C_A"]}
    )
    assert said == "lab.csv — has no usable number in C_A. Check the export of these columns"


def test_a_result_that_the_table_has_too(tmp_path: Path) -> None:
    assert refused(tmp_path, HEAD.replace("C_A", "T101") + ROW) == (
        "lab.csv — column 'T101' is in plant.csv too, and nobody knows which is meant. Rename one, or name the results "
        'to take: [data.lab] columns = ["..."]'
    )


def test_a_result_called_an_input(tmp_path: Path) -> None:
    assert refused(tmp_path, HEAD + ROW, tags=[{"name": "C_A", "role": "input"}]) == (
        "[[data.tags]] 'C_A' — a laboratory result cannot be an input as it stands: at the time of its sample nobody "
        'knows it. Remove role = "input"; [task] past_targets = { known = "reported" } shows it once it is reported'
    )


def test_a_table_without_a_clock(tmp_path: Path) -> None:
    assert refused(tmp_path, HEAD + ROW, table="T101,T102\n1,2\n3,4\n", time=None) == (
        "plant.csv — laboratory results have times of their own, but this table has no clock. Give it one: [data] time "
        '= "...", or use [task] past_targets = { delay = ... } in rows'
    )


def test_batches_that_overlap_need_the_batch_of_a_sample(tmp_path: Path) -> None:
    table = "time,run,T101\n" + "".join(f"2024-05-13 08:{m:02}:00,{b},{m}\n" for b in "AB" for m in range(5))
    assert refused(tmp_path, HEAD + ROW, table=table, batch="run") == (
        "lab.csv — batches of plant.csv overlap in time, so the time of a sample does not say to which it belongs. "
        'Name the column of the batch: [data.lab] batch = "..."'
    )


def test_a_file_without_times(tmp_path: Path) -> None:
    assert refused(tmp_path, "number,C_A\n1,2\n2,3\n", settings={"file": "lab.csv", "report_delay": "1h"}) == (
        "lab.csv — has no column of times, so nobody knows when samples were taken. Columns: number, C_A. Name it: "
        '[data.lab] sample = "..."'
    )


def test_a_report_before_its_sample_in_the_table_itself(tmp_path: Path) -> None:
    table = "time,T101,y,seen\n" + "".join(
        f"2024-05-13 08:{m:02}:00,{m},{m},2024-05-13 08:05:00\n" for m in range(3, 8)
    )
    assert refused(tmp_path, HEAD + ROW, table=table, settings={"report": {"y": "seen"}}) == (
        "plant.csv — y was reported at 2024-05-13T08:05:00Z, before its sample at 2024-05-13T08:06:00Z. Correct the "
        "row, or the time zone and day order of the file: [data.lab]"
    )
    assert refused(tmp_path, HEAD + ROW, table=table, settings={"report": {"y": "see"}}) == (
        "plant.csv — there is no column 'see'. Did you mean 'seen'? Found: time, T101, y, seen"
    )
