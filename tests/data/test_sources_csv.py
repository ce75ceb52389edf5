"""CSV: any encoding, delimiter and decimal mark give the same table, or an error that asks."""

from __future__ import annotations

import csv
import io
import math
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backmix.data.quality import Quality
from backmix.data.sources import ReadPlan, TagPlan, read
from backmix.errors import InputError
from files import counts, take

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# 許, 功, 育 and 黑 have \ or | as their second byte in Big5
NAMES = st.lists(
    st.text("許功蓋育黑T1a", min_size=2, max_size=5).map(lambda s: f"溫許{s}"), min_size=1, max_size=4, unique=True
)
NUMBERS = st.one_of(
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(float),
    st.integers(-(10**6), 10**6).map(float),
    st.sampled_from([1.234, 12.345, 1e-12, 1234567.5]),
)


@st.composite
def files(draw: st.DrawFn) -> tuple[list[str], list[list[float | None]], str, str, str]:
    names = draw(NAMES)
    row = st.lists(NUMBERS, min_size=len(names), max_size=len(names))
    return (
        names,
        draw(st.lists(row, min_size=1, max_size=6)),
        draw(st.sampled_from([",", ";", "\t", "|"])),
        draw(st.sampled_from([".", ","])),
        draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp950"])),
    )


def written(names: list[str], rows: list[list[float | None]], delimiter: str, decimal: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["時間", *names])
    for at, row in enumerate(rows):
        cells = ["" if cell is None else repr(cell).replace(".", decimal) for cell in row]
        writer.writerow([f"2024-05-02 00:{at:02}:00", *cells])
    return text.getvalue()


@FEW
@given(files())
def test_a_file_in_any_notation_reads_back_to_the_same_table(tmp_path: Path, case) -> None:
    names, rows, delimiter, decimal, encoding = case
    truth = np.array([[math.nan if cell is None else cell for cell in row] for row in rows])
    content = written(names, rows, delimiter, decimal).encode(encoding)
    reading = take(tmp_path, content, decimal=decimal)
    assert reading.table.names == tuple(names)
    np.testing.assert_array_equal(reading.table.values, truth)
    assert list(np.diff(reading.table.time).astype(int)) == [60_000_000_000] * (len(rows) - 1)
    assert reading.ledger.read == len(rows)
    assert ("encoding" in counts(reading)) == (encoding != "utf-8")


@FEW
@given(files())
def test_a_number_is_never_taken_for_another(tmp_path: Path, case) -> None:
    """Without a word about the notation the file is read rightly, or a question comes back."""
    names, rows, delimiter, decimal, encoding = case
    truth = np.array([[math.nan if cell is None else cell for cell in row] for row in rows])
    content = written(names, rows, delimiter, decimal).encode(encoding)
    try:
        found = take(tmp_path, content).table.values
    except InputError as question:
        asked = question.key
    else:
        asked = None
        np.testing.assert_array_equal(found, truth)
    assert asked in (None, "read.decimal_unclear", "read.delimiter_unclear")


def test_the_quick_way_and_the_slow_way_agree(tmp_path: Path) -> None:
    quick = take(tmp_path, "t,a,b\n2024-01-01,1.5, 2 \n2024-01-02,,1e3\n2024-01-03,NaN,+4\n")
    slow = take(tmp_path, "t,a,b,c\n2024-01-01,1.5, 2 ,x\n2024-01-02,,1e3,x\n2024-01-03,NaN,+4,y\n")
    np.testing.assert_array_equal(quick.table.values, slow.table.select(["a", "b"]).values)


def test_a_state_far_behind_the_sample_is_found(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01 {at // 60:02}:{at % 60:02},{at}\n" for at in range(500))
    reading = take(tmp_path, "t,a\n" + rows + "2024-01-02 00:00,I/O Timeout\n")
    assert reading.ledger.status_texts() == {"a": {"I/O Timeout": 1}}
    assert math.isnan(reading.table.values[-1, 0])
    assert reading.table.quality is not None
    assert reading.table.quality[-1, 0] == Quality.BAD


def test_a_real_historian_export_has_498_states_counted_by_text(shared_data: Path) -> None:
    reading = read(ReadPlan(file=str(shared_data / "bibmon" / "real_process_data.csv")))
    table, texts = reading.table, Counter()
    for found in reading.ledger.status_texts().values():
        texts.update(found)
    assert table.values.shape == (3169, 108)
    assert sum(texts.values()) == 498
    assert set(texts) == {"Bad", "Inp OutRange", "Scan Timeout"}
    assert np.count_nonzero(np.isnan(table.values)) == 498
    assert table.step == 300.0
    from backmix.data.sets import available, load

    if available("bibmon"):  # another reader of the same file
        np.testing.assert_array_equal(table.values, load("bibmon").values)


def test_classes_are_codes_in_alphabetical_order(tmp_path: Path) -> None:
    table = take(tmp_path, "t,state\n2024-01-01,Running\n2024-01-02,Shutdown\n2024-01-03,Bad Input\n").table
    assert table.tags[0].categories == ("Running", "Shutdown")
    np.testing.assert_array_equal(table.values[:, 0], [0, 1, math.nan])


def test_the_plan_decides_what_a_mixed_column_is(tmp_path: Path) -> None:
    text = "t,g\n2024-01-01,1\n2024-01-02,A\n2024-01-03,2\n"
    number = take(tmp_path, text, tags=(TagPlan(name="g", type="number"),))
    np.testing.assert_array_equal(number.table.values[:, 0], [1, math.nan, 2])
    assert number.ledger.status_texts() == {"g": {"A": 1}}
    classes = take(tmp_path, text, tags=(TagPlan(name="g", type="text"),)).table
    assert classes.tags[0].categories == ("1", "2", "A")


def test_free_text_is_left_out_and_noted(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-{at:02},{at},remark {at}\n" for at in range(1, 25))
    reading = take(tmp_path, "t,a,note\n" + rows)
    assert reading.table.names == ("a",)
    assert counts(reading)["free_text"] == 24


def test_a_sparse_target_is_nan_where_it_was_not_analysed(tmp_path: Path) -> None:
    reading = take(
        tmp_path,
        "t,x,lab\n2024-01-01,1,\n2024-01-02,2,0.95\n2024-01-03,3,\n",
        tags=(TagPlan(name="lab", role="target", unit="wt%", low=0, high=1),),
    )
    np.testing.assert_array_equal(reading.table.column("lab"), [math.nan, 0.95, math.nan])
    assert reading.table.tag("lab").label == "lab [wt%]"
    assert reading.table.tag("lab").role == "target"


def test_batches_stand_together_in_order_of_appearance(tmp_path: Path) -> None:
    table = take(
        tmp_path, "b,t,x\n007,2024-01-02,1\n12,2024-01-01,2\n007,2024-01-01,3\n,2024-01-09,9\n", batch="b", time="t"
    ).table
    assert table.batch_names == ("007", "12")
    assert list(table.batch) == [0, 0, 1]
    assert list(table.values[:, 0]) == [3, 1, 2]


def test_delimiter_hint_blank_lines_and_a_trailing_delimiter(tmp_path: Path) -> None:
    reading = take(tmp_path, "sep=;\r\n\r\nt;a;\r\n2024-01-01;1,5;\r\n\r\n2024-01-02;2,5;\r\n")
    assert reading.table.names == ("a",)
    assert list(reading.table.values[:, 0]) == [1.5, 2.5]
    with pytest.raises(InputError, match=r"^plant.csv:6:a — 'x' .*|^plant.csv:6:a — column 'a' mixes"):
        take(tmp_path, "sep=;\r\n\r\nt;a;\r\n2024-01-01;1,5;\r\n\r\n2024-01-02;x;\r\n")


def test_thousands_where_they_cannot_be_anything_else(tmp_path: Path) -> None:
    reading = take(tmp_path, 't,a\n2024-01-01,"1,234,567"\n2024-01-02,"1,234.5"\n2024-01-03,"2,000"\n')
    assert list(reading.table.values[:, 0]) == [1234567, 1234.5, 2000]
    assert counts(reading)["thousands"] == 3
    comma = take(tmp_path, "t;a\n2024-01-01;1.234.567\n2024-01-02;1 234,5\n2024-01-03;0,123\n")
    assert list(comma.table.values[:, 0]) == [1234567, 1234.5, 0.123]


def test_full_width_digits_and_the_minus_sign(tmp_path: Path) -> None:
    reading = take(tmp_path, "t,a\n2024-01-01,１２．５\n2024-01-02,−3\n")
    assert list(reading.table.values[:, 0]) == [12.5, -3]
    assert counts(reading)["full_width"] == 2


def test_columns_that_only_a_prediction_can_miss(tmp_path: Path) -> None:
    plan = ReadPlan(file="plant.csv", tags=(TagPlan(name="x"), TagPlan(name="y", role="target")))
    (tmp_path / "plant.csv").write_text("t,x\n2024-01-01,1\n")
    assert read(plan, base=tmp_path, needed=["x"]).table.names == ("x",)
    with pytest.raises(InputError) as fault:
        read(plan, base=tmp_path)
    assert str(fault.value) == "plant.csv — there is no column 'y'. Did you mean 'x'? Found: t, x"


def test_a_million_clean_rows_take_seconds(tmp_path: Path) -> None:
    """A tenth of it here; the bound is wide because test machines are shared."""
    rows = 100_000
    values = np.round(np.random.default_rng(0).normal(100, 10, (rows, 20)), 3)
    times = np.datetime64("2024-01-01") + np.arange(rows).astype("timedelta64[s]")
    lines = [",".join([str(t), *map(repr, row)]) for t, row in zip(times, values.tolist(), strict=True)]
    content = "time," + ",".join(f"T{at}" for at in range(20)) + "\n" + "\n".join(lines)
    begin = time.process_time()
    table = take(tmp_path, content).table
    assert time.process_time() - begin < 5
    np.testing.assert_array_equal(table.values, values)
