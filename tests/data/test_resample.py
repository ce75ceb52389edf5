"""The clock of a table, and how it is made regular."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backmix.data.ledger import Ledger, account
from backmix.data.quality import Quality
from backmix.data.repairing.repair import RepairPlan
from backmix.data.repairing.resample import check_clock, nice_duration, resample, usual_step
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.duration import Duration
from backmix.errors import InputError

few = settings(max_examples=30, deadline=None)
START = np.datetime64("2024-05-13", "ns")
PLAN = RepairPlan(resample="5min", max_gap="20min", how="mean")


@st.composite
def irregular(draw: Any) -> Table:
    """Rows at any times in up to two batches, two numbers and a class, with holes."""
    rows = draw(st.integers(3, 40))
    pauses = draw(st.lists(st.sampled_from([20, 60, 150, 300, 301, 540, 2000]), min_size=rows, max_size=rows))
    cells = st.tuples(st.sampled_from([np.nan, 1.0, 2.0, 9.0]), st.floats(-9, 9), st.sampled_from([0.0, 1.0, np.nan]))
    values = np.array(draw(st.lists(cells, min_size=rows, max_size=rows)))
    cut = draw(st.integers(0, rows))
    return Table(
        values,
        (Tag("a"), Tag("b"), Tag("c", categories=("x", "y"))),
        time=START + np.cumsum(pauses).astype("timedelta64[s]"),
        batch=(np.arange(rows) >= cut).astype(np.int32),
        batch_names=("A", "B"),
    )


def _try(table: Table, plan: RepairPlan = PLAN) -> Table | None:
    try:
        return resample(table, plan).table
    except InputError:  # mostly pauses: nothing to resample
        return None


@few
@given(irregular(), st.booleans())
def test_every_row_equals_a_slow_reference(table: Table, last: bool) -> None:
    """The row at t holds (t - step, t] of its own batch; a class is the last of it."""
    plan = PLAN.model_copy(update={"how": "last"}) if last else PLAN
    out = _try(table, plan)
    assume(out is not None)
    assert out is not None
    assert out.time is not None
    assert out.batch is not None
    assert out.quality is not None
    assert table.time is not None
    five = np.timedelta64(300, "s")
    for row in range(len(out)):
        inside = (table.time > out.time[row] - five) & (table.time <= out.time[row])
        inside &= table.batch == out.batch[row]
        for column in range(3):
            x = table.values[inside, column]
            x = x[~np.isnan(x)]
            want = np.nan if not len(x) else x[-1] if last or column == 2 else x.mean()
            np.testing.assert_allclose(out.values[row, column], want, rtol=1e-12)
            assert (out.quality[row, column] == Quality.BAD) == (not len(x))
    joined = np.diff(out.batch) == 0
    steps = np.diff(out.time)[joined]
    assert ((steps == five) | (steps > np.timedelta64(1200, "s"))).all()
    assert (out.time.astype("int64") % (300 * 10**9) == 0).all()


@few
@given(irregular(), st.data())
def test_the_grid_is_causal(table: Table, data: Any) -> None:
    """What stands in a row at time t is the same when all later rows are cut off."""
    whole = _try(table)
    now = data.draw(st.integers(1, len(table)))
    past = _try(table.rows(slice(0, now)))
    assume(whole is not None and past is not None)
    assert whole is not None
    assert past is not None
    assert table.time is not None
    assert past.time is not None
    known = past.time <= table.time[now - 1]
    at = np.flatnonzero(known)
    assert whole.time is not None
    np.testing.assert_array_equal(whole.time[at], past.time[at])
    np.testing.assert_array_equal(whole.values[at], past.values[at])


@few
@given(irregular())
def test_rows_add_up_and_the_grid_is_regular(table: Table) -> None:
    assume(_try(table) is not None)
    out, notes = resample(table, PLAN)
    found = account(Ledger(len(table)).add(*notes), out)
    assert found.read == len(table) == found.used + found.repaired + found.dropped
    again, more = resample(out, PLAN)
    np.testing.assert_array_equal(again.values, out.values)
    assert more == ()


def _table(seconds: list[float], values: list[float] | None = None, **more: Any) -> Table:
    x = np.arange(len(seconds), dtype=float) if values is None else np.array(values)
    time = START + (np.array(seconds) * 1e9).astype("timedelta64[ns]")
    return Table(x[:, None], more.pop("tags", (Tag("T"),)), time=time, source="plant.csv", **more)


def test_a_regular_table_passes_and_stays_itself() -> None:
    table = _table([60.0 * i for i in range(50)])
    assert resample(table, RepairPlan()).table is table


def test_small_jitter_and_single_odd_steps_are_tolerated() -> None:
    jitter = np.random.default_rng(0).uniform(-2.9, 2.9, 500)
    check_clock(_table(list(60.0 * np.arange(500) + jitter)), RepairPlan())
    check_clock(_table([60.0 * i for i in range(100) if i not in (40, 70)]), RepairPlan())


@pytest.mark.parametrize(("share", "fine"), [(0.09, True), (0.11, False), (0.2, False)])
def test_rows_are_even_when_they_come_within_a_tenth_of_a_step(share: float, fine: bool) -> None:
    """Three distances out of ten longer, three shorter, so that the usual one is the step."""
    gaps = 60.0 * (1 + share * np.tile([0, 0, 0, 0, 1, -1, 1, -1, 1, -1], 20))
    table = _table(list(np.cumsum(gaps)))
    if fine:
        assert resample(table, RepairPlan()).table is table
    else:
        with pytest.raises(InputError, match="are not even"):
            check_clock(table, RepairPlan())


@pytest.mark.parametrize(("pause", "key"), [(0.0, "repair.same_time"), (-5.0, "repair.time_order")])
def test_two_rows_of_one_time_and_time_that_runs_back_are_refused(pause: float, key: str) -> None:
    """Whether or not the rows are to be put on a grid; at the first row already."""
    table = _table([0.0, pause, 60, 120, 180, 240])
    for plan in (RepairPlan(), RepairPlan(resample="5min")):
        with pytest.raises(InputError) as fault:
            resample(table, plan)
        assert (fault.value.key, fault.value.values["row"]) == (key, 2)


def test_gaps_split_but_do_not_stop() -> None:
    check_clock(_table([60.0 * i for i in range(50)] + [9e4 + 60.0 * i for i in range(50)]), RepairPlan())


def test_an_irregular_table_is_never_taken_for_regular() -> None:
    """Trap Z: irregular timestamps silently treated as regular."""
    rng = np.random.default_rng(1)
    for gaps in (rng.exponential(60, 300) + 1, np.tile([60, 90], 100), np.tile([60, 60, 60, 60, 600], 60)):
        with pytest.raises(InputError, match="are not even"):
            check_clock(_table(list(np.cumsum(gaps))), RepairPlan())
        resample(_table(list(np.cumsum(gaps))), RepairPlan(resample="10min"))


def test_a_mend_that_is_named_does_mend() -> None:
    table = _table(list(np.cumsum(np.random.default_rng(2).uniform(20, 100, 300))))
    with pytest.raises(InputError) as fault:
        check_clock(table, RepairPlan())
    resample(table, RepairPlan(resample=fault.value.values["mend"]))


@pytest.mark.parametrize("missing", [0.05, 0.1, 0.3, 0.5, 0.7])
def test_missing_minutes_leave_the_grid_a_minute(missing: float) -> None:
    """The grid has the step that rows have, and not one that hides the rows that are not there."""
    there = np.flatnonzero(np.random.default_rng(7).random(1500) > missing)
    table = _table((60.0 * there).tolist())
    with pytest.raises(InputError) as fault:
        check_clock(table, RepairPlan())
    assert fault.value.values["mend"] == "1min"
    found = resample(table, RepairPlan(resample="1min")).table
    assert np.isnan(found.values[:, 0]).sum() > 0
    assert np.isfinite(found.values[:, 0]).sum() == len(table)


@pytest.mark.parametrize(("noise", "least", "most"), [(0.0, 60, 60), (2.0, 60, 60), (25.0, 60, 120)])
def test_the_usual_step_is_near_what_most_steps_are(noise: float, least: float, most: float) -> None:
    steps = 60.0 + np.random.default_rng(0).uniform(-noise, noise, 400)
    assert least <= usual_step(steps) <= most


def test_a_grid_finer_than_the_rows_is_refused() -> None:
    table = _table([600.0 * i for i in range(20)])
    with pytest.raises(InputError) as fault:
        resample(table, RepairPlan(resample="1min"))
    assert str(fault.value) == (
        'plant.csv — resample = "1min" is finer than the rows, which are about 10min apart: most of the grid '
        'would be empty. Use resample = "10min" or longer, or allow longer holes with [repair] max_gap'
    )
    out = resample(table, RepairPlan(resample="1min", max_gap="10min")).table
    assert len(out) == 191
    assert out.step == 60


def test_resampling_needs_a_clock() -> None:
    with pytest.raises(InputError) as fault:
        resample(Table(np.zeros((2, 1)), (Tag("T"),), source="plant.csv"), RepairPlan(resample="5min"))
    assert str(fault.value) == (
        "plant.csv — [repair] resample needs a clock, the table has none. Name the "
        'time column: [data] time = "...", or remove resample'
    )


def test_values_beyond_limits_are_left_out_of_the_mean() -> None:
    tags = (Tag("T", low=0, high=100),)
    seconds = [60, 120, 180, 360, 420, 480, 540]
    table = _table(seconds, [10, -9999, 20, 30, np.inf, 50, 40], tags=tags)
    out, notes = resample(table, RepairPlan(resample="5min"))
    np.testing.assert_array_equal(out.values[:, 0], [15, 40])
    assert [(note.reason, note.count) for note in notes] == [
        ("repair.reason_infinite", 1),
        ("repair.reason_limit_low", 1),
        ("repair.reason_merged", 5),
    ]


def test_a_stretch_with_few_values_is_uncertain() -> None:
    out = resample(_table([60, 120, 180], [1, np.nan, np.nan]), RepairPlan(resample="5min")).table
    assert out.quality is not None
    assert out.quality[0, 0] == Quality.UNCERTAIN
    half = resample(_table([60, 120, 180, 240], [1, np.nan, np.nan, 2]), RepairPlan(resample="5min")).table
    assert half.quality is not None
    assert half.quality[0, 0] == Quality.GOOD  # fewer than half is few
    lab = resample(
        _table([60, 120, 180], [1, np.nan, np.nan], tags=(Tag("y", role="lab"),)), RepairPlan(resample="5min")
    ).table
    assert lab.quality is not None
    assert lab.quality[0, 0] == Quality.GOOD


@given(st.floats(1e-3, 1e6))
def test_nice_durations_are_read_back_and_not_shorter(seconds: float) -> None:
    back = Duration.parse(nice_duration(seconds)).seconds
    assert back is not None
    assert back >= seconds * 0.66
    assert seconds < 1 or back >= seconds * (1 - 1e-6)
