"""What a row may know of the past of its target, against a loop that asks every result one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backmix.data.laboratory.lab_plan import LabPlan
from backmix.data.laboratory.lab_rows import Labels, join
from backmix.data.ledger import Ledger
from backmix.data.reading.columns import RawTable
from backmix.data.repairing.filled import with_missing
from backmix.data.repairing.repair import RepairPlan
from backmix.data.repairing.resample import resample
from backmix.data.reported import learned, report_name, report_tag, seconds, shown_rows
from backmix.data.segments import segment_starts
from backmix.data.sources import Reading
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.reach import rows_used
from backmix.data.windows.windows import Known, WindowSpec, build_windows
from backmix.errors import InputError, LeakageError

STEP = 60.0


def plant(seed: int, rows: int, *, batches: bool = False, gaps: bool = False) -> Table:
    """Two inputs, a label now and then that is reported late, out of order, at once, or never."""
    rng = np.random.default_rng(seed)
    pauses = np.where(rng.random(rows) < 0.06, 900, 60) if gaps else np.full(rows, 60)
    clock = np.cumsum(pauses).astype(float)
    label = np.where(rng.random(rows) < 0.4, rng.normal(size=rows), np.nan)
    report = clock + rng.choice([0.0, 30, 60, 61, 150, 400], rows)
    report[rng.random(rows) < 0.1] = np.nan
    report[np.isnan(label)] = np.nan
    codes = np.cumsum(rng.random(rows) < 0.08).astype(np.int32) if batches else None
    names = () if codes is None else tuple(f"B{i}" for i in range(int(codes[-1]) + 1))
    time = (clock * 1e9).astype("int64").view("datetime64[ns]")
    return Table(
        np.column_stack([rng.normal(size=(rows, 2)), label, report]),
        (Tag("T1"), Tag("T2"), Tag("Q", role="target"), report_tag("Q")),
        time=time,
        batch=codes,
        batch_names=names,
        source="plant",
    )


def newest(table: Table, row: int, start: int) -> int:
    """The newest sample from ``start`` on, before ``row``, that was reported by the time of ``row``; -1 for none."""
    assert table.time is not None
    now = table.time[row].astype("int64") / 1e9
    label, report = table.column("Q"), table.column(report_name("Q"))
    known = [at for at in range(start, row) if np.isfinite(label[at]) and report[at] <= now]
    return known[-1] if known else -1


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_row_is_shown_the_newest_sample_reported_by_its_time(seed: int, rows: int, batches: bool, gaps: bool) -> None:
    """Law: never a value whose report is later than the row, never the row's own, newest sample first."""
    table = plant(seed, rows, batches=batches, gaps=gaps)
    segment = segment_starts(table, max_gap=180.0)
    found = shown_rows(table, "Q", report_name("Q"), segment)
    assert found.tolist() == [newest(table, row, int(segment[row])) for row in range(rows)]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.sampled_from([None, 1, 3]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_windows_show_values_and_ages_of_reported_samples(
    seed: int, lookback: int, count: int | None, dead: int, horizon: int, need: bool, batches: bool
) -> None:
    """Law: value and age of every row shown, and the windows there are, are those of the loop."""
    table = plant(seed, 80, batches=batches)
    known = learned(Known(1, count, report=(report_name("Q"),), age=True), table, ["Q"])
    spec = WindowSpec(
        inputs=("T1",),
        targets=("Q",),
        lookback=lookback,
        dead_time=dead,
        horizon=horizon,
        known=known,
        max_gap=180.0,
        need_target=need,
    )
    segment = segment_starts(table, max_gap=180.0)
    carried = min(count or lookback, lookback)
    expected = {}
    for origin in range(80):
        last, scored = origin - dead, origin + (horizon if need else 0)
        first = last - lookback + 1
        if scored >= 80 or first < 0 or segment[scored] > first:
            continue
        if need and not np.isfinite(table.column("Q")[scored]):
            continue
        at = [newest(table, row, int(segment[row])) for row in range(last - carried + 1, last + 1)]
        if min(at) >= 0:
            expected[origin] = at
    try:
        windows = build_windows(table, spec)
    except InputError:
        assert expected == {}
        return
    assert windows.origins.tolist() == list(expected)
    assert windows.feature_names == ("T1", "Q (reported)", "Q (age)")
    x = windows.gather(windows.all_indices).x
    assert not x[:, : lookback - carried, 1:].any()
    for made, (origin, at) in zip(x, expected.items(), strict=True):
        rows = np.arange(origin - dead - carried + 1, origin - dead + 1)
        np.testing.assert_allclose(made[lookback - carried :, 1], table.column("Q")[at].astype(np.float32))
        np.testing.assert_allclose(made[lookback - carried :, 2], np.log1p(rows - np.array(at)), rtol=1e-6)
    used = rows_used(windows)
    assert all(used[row] for at in expected.values() for row in at)


@given(st.integers(0, 2**32 - 1), st.integers(20, 60))
@settings(max_examples=60, deadline=None)
def test_a_result_that_is_not_yet_reported_changes_nothing(seed: int, now: int) -> None:
    """Law: changing every value that is reported after a row leaves all windows up to it as they are."""
    table = plant(seed, 80)
    spec = WindowSpec(
        inputs=("T1",),
        targets=("Q",),
        lookback=3,
        known=Known(9, report=(report_name("Q"),), age=True),
        need_target=False,
        max_gap=180.0,
    )
    assert table.time is not None
    values = np.array(table.values)
    later = values[:, 3] > table.time[now].astype("int64") / 1e9
    later[now:] = True
    values[later, 2] += 5.0

    def seen(one: Table) -> bytes:
        try:
            windows = build_windows(one, spec)
        except InputError:
            return b""
        return windows.gather(np.flatnonzero(windows.origins <= now)).x.tobytes()

    assume(seen(table))  # else there is no window yet in which a value could be seen
    assert seen(table) == seen(replace(table, values=values))


def test_the_purge_covers_the_latest_report() -> None:
    """Row 25: window + horizon + dead time + the longest time from sample to report, in rows."""
    table = plant(3, 60)
    values = np.array(table.values)
    assert table.time is not None
    label = int(np.flatnonzero(np.isfinite(values[:, 2]))[4])
    values[label, 3] = table.time[label].astype("int64") / 1e9 + 17 * STEP + 1
    known = learned(Known(1, report=(report_name("Q"),)), replace(table, values=values), ["Q"])
    assert known is not None
    assert known.delay == 18
    spec = WindowSpec(inputs=("T1",), targets=("Q",), lookback=4, horizon=2, dead_time=1, known=known)
    assert spec.reach == 4 + 2 + 1 + 18


def test_which_inputs_were_filled_is_shown_unscaled() -> None:
    table = plant(1, 20)
    filled = np.zeros((20, 2), bool)
    filled[7, 1] = filled[9, 0] = True
    spec = WindowSpec(inputs=("T1", "T2"), targets=(), lookback=3, need_target=False, missing=True)
    windows = build_windows(with_missing(table, ("T1", "T2"), filled), spec)
    assert windows.feature_names == ("T1", "T2", "T1 (missing)", "T2 (missing)")
    x = windows.gather(windows.all_indices).x
    for at, origin in enumerate(windows.origins):
        assert x[at, :, 2:].tolist() == filled[origin - 2 : origin + 1].tolist()


def test_report_times_need_a_clock_and_a_column() -> None:
    table = plant(1, 20)
    with pytest.raises(InputError) as fault:
        learned(Known(1, report=(report_name("Q"),)), table.select(["T1", "Q"]), ["Q"])
    assert str(fault.value) == (
        "plant — Q is shown to the model only once it was reported, and column 'Q (report time)' (seconds since "
        "1970 UTC), which says when, is missing. Give the report times: [data.lab] report, or report_delay"
    )
    with pytest.raises(InputError) as fault:
        learned(Known(1, report=(report_name("Q"),)), replace(table, time=None), ["Q"])
    assert str(fault.value) == (
        "plant — laboratory results have times of their own, but this table has no clock. Give it one: [data] time "
        '= "...", or use [task] past_targets = { delay = ... } in rows'
    )


def test_a_fixed_delay_may_not_be_shorter_than_the_reports_say() -> None:
    """Row 25: a result is not an input before it is reported, whatever the plan calls its delay."""
    table = plant(3, 60)
    known = learned(Known(7), table, ["Q"])
    assert known == Known(7)
    with pytest.raises(LeakageError) as fault:
        learned(Known(6), table, ["Q"])
    assert str(fault.value) == (
        "plant — past_targets shows Q 6 rows after its sample, but some results were reported only after 7 rows. Use "
        '[task] past_targets = { known = "reported" }, or a delay of 7 rows or more'
    )
    assert fault.value.exit_code == 4


def test_two_results_stand_beside_each_other() -> None:
    """The features in order: inputs, what is known of each target, how old each of them is."""
    one, two = plant(1, 60), plant(2, 60)
    tags = (*one.tags[:3], Tag("P", role="target"), report_tag("Q"), report_tag("P"))
    values = np.column_stack([one.values[:, :3], two.values[:, 2], one.values[:, 3], two.values[:, 3]])
    table = replace(one, values=values, tags=tags)
    known = Known(7, report=(report_name("Q"), report_name("P")), age=True)
    spec = WindowSpec(inputs=("T1",), targets=("Q", "P"), lookback=2, known=known, need_target=False, missing=False)
    windows = build_windows(table, spec)
    assert windows.feature_names == ("T1", "Q (reported)", "P (reported)", "Q (age)", "P (age)")
    x = windows.gather(windows.all_indices).x
    for made, row in zip(x, windows.origins.tolist(), strict=True):
        at = [newest(table.select(["T1", "T2", "Q", report_name("Q")]), row, 0), newest(two, row, 0)]
        np.testing.assert_allclose(made[-1, 1:3], [values[at[0], 2], values[at[1], 3]], rtol=1e-6)
        np.testing.assert_allclose(made[-1, 3:], np.log1p(row - np.array(at)), rtol=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_grid_row_shows_what_was_reported_after_it(seed: int) -> None:
    """Law, over joining and resampling: what a row shows was sampled and reported by its time, and is one result."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2024-05-13", "ns")
    time = start + np.arange(90) * np.timedelta64(60, "s")
    minutes = np.sort(rng.uniform(0, 89, 25))
    told = minutes + rng.choice([0.0, 0.5, 3, 11, 40], 25)
    table = Table(rng.normal(size=(90, 1)), (Tag("T1"),), time=time, source="plant")
    raw = RawTable((), 25, "lab.csv", lambda row: row + 2)
    cells = np.arange(25.0)[:, None]

    def moments(values: np.ndarray) -> np.ndarray:
        return start + np.round(values * 60e9).astype("int64").astype("timedelta64[ns]")

    labels = Labels(
        raw, "taken", (Tag("Q", role="target"),), cells, moments(minutes), moments(told)[:, None], None, (), zoned=True
    )
    lab = LabPlan(file="lab.csv", report="told", duplicates="last")
    joined = join(Reading(table, Ledger(90)), labels, lab).table
    grid, _ = resample(joined, RepairPlan(resample="5min"))
    assert grid.time is not None
    shown = shown_rows(grid, "Q", report_name("Q"), segment_starts(grid))
    for row, at in enumerate(shown.tolist()):
        if at >= 0:
            result = int(grid.column("Q")[at])  # the value of a result is its number: an average would be another
            now = grid.time[row]
            assert grid.column("Q")[at] == result
            assert moments(minutes)[result] <= now
            assert moments(told)[result] <= now
            assert grid.column(report_name("Q"))[at] == seconds(moments(told)[result : result + 1])[0]
