"""Repair rules: laws first, against slow references, then each rule."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from backmix.data.ledger import Ledger, account
from backmix.data.quality import Quality
from backmix.data.repairing.repair import Repair, RepairPlan, fit_repair
from backmix.data.repairing.resample import resample
from backmix.data.repairing.rules import RepairColumn
from backmix.data.repairing.spikes import find_spikes, learn_scale, steady
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError, PlanError

few = settings(max_examples=25, deadline=None)
CELLS = st.sampled_from([np.nan, np.nan, np.inf, -np.inf, -3.0, 0.0, 0.5, 1.0, 1.0, 2.0, 7.0, 50.0])
PLANS = [
    RepairPlan(),
    RepairPlan(max_fill=2, outliers="mask", outlier_window=5, outlier_factor=2, frozen=3),
    RepairPlan(outliers="mark", outlier_rule="rate", outlier_factor=1.5, frozen="4 rows", clamp=False),
    RepairPlan(fill="none", limits=False, outliers="none"),
]


def clock(rows: int, gaps: list[int], step: int = 60) -> np.ndarray:
    """Times ``step`` seconds apart, with a pause of an hour before the rows ``gaps``."""
    steps = np.full(rows, step)
    steps[[g for g in gaps if 0 < g < rows]] = 3600
    return np.datetime64("2024-05-13", "ns") + np.cumsum(steps).astype("timedelta64[s]")


@st.composite
def tables(draw: Any, least: int = 4, most: int = 40) -> Table:
    """Any table: two inputs (one with limits), a class, a lab value; holes, infinities, batches, gaps."""
    rows = draw(st.integers(least, most))
    values = np.array(
        draw(
            st.lists(st.tuples(CELLS, CELLS, st.sampled_from([0.0, 1.0, np.nan]), CELLS), min_size=rows, max_size=rows)
        )
    )
    values[:2, :3] = [[0.0, 1.0, 0.0], [1.0, 2.0, 1.0]]
    tags = (Tag("a", low=-1.0, high=40.0), Tag("b"), Tag("c", categories=("x", "y")), Tag("y", role="lab"))
    time = clock(rows, draw(st.lists(st.integers(3, rows), max_size=2))) if draw(st.booleans()) else None
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=2)))
    batch = np.searchsorted(cuts, np.arange(rows), side="right").astype(np.int32)
    quality = None
    if draw(st.booleans()):
        quality = np.array(
            draw(st.lists(st.sampled_from([0, 0, 0, 1, 2]), min_size=rows * 4, max_size=rows * 4)), np.uint8
        ).reshape(rows, 4)
        quality[:2] = 0
    table = Table(values, tags, time=time, batch=batch, batch_names=("A", "B", "C"), quality=quality)
    if time is not None:  # batches and gaps may leave the training rows no two neighbours to learn the step from
        inside = np.diff(time)[(np.diff(batch) == 0) & training(table)[1:]]
        assume(len(inside) == 0 or np.quantile(inside.astype(float), 0.5, method="lower") == 60e9)
    return table


def training(table: Table, rows: int | None = None) -> np.ndarray:
    return np.arange(len(table)) < (len(table) * 2 // 3 if rows is None else rows)


def same(a: Table, b: Table) -> bool:
    """Bit for bit the same values, and the same qualities."""
    return np.array_equal(_bits(a.values), _bits(b.values)) and np.array_equal(trust(a), trust(b))


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.uint64)


def trust(table: Table) -> np.ndarray:
    if table.quality is not None:
        return table.quality
    return np.where(np.isnan(table.values), Quality.BAD, Quality.GOOD).astype(np.uint8)


def changed(table: Table, rows: np.ndarray) -> Table:
    values = np.array(table.values)
    values[rows, :2] = 1e6
    values[rows, 3] = -5.0
    return Table(values, table.tags, table.time, table.batch, table.batch_names, table.quality)


@few
@given(tables(), st.sampled_from(PLANS), st.data())
def test_the_future_does_not_change_the_past(table: Table, plan: RepairPlan, data: Any) -> None:
    repair = fit_repair(table, plan, rows=training(table))
    now = data.draw(st.integers(0, len(table) - 1))
    other = changed(table, np.arange(len(table)) > now)
    assert same(repair.apply(table).table.rows(slice(0, now + 1)), repair.apply(other).table.rows(slice(0, now + 1)))


@few
@given(tables(), st.sampled_from(PLANS))
def test_only_training_rows_teach(table: Table, plan: RepairPlan) -> None:
    """Trap P, for repair rules: what is later validated or tested leaves them byte-identical."""
    rows = training(table)
    learned = json.dumps(fit_repair(table, plan, rows=rows).to_dict())
    assert json.dumps(fit_repair(changed(table, ~rows), plan, rows=rows).to_dict()) == learned


@few
@given(tables(), st.sampled_from(PLANS))
def test_rules_survive_json(table: Table, plan: RepairPlan) -> None:
    repair = fit_repair(table, plan, rows=training(table))
    again = Repair.from_dict(json.loads(json.dumps(repair.to_dict(), allow_nan=False)))
    assert again == repair
    assert same(again.apply(table).table, repair.apply(table).table)


@few
@given(tables(), st.sampled_from(PLANS))
def test_rows_always_add_up(table: Table, plan: RepairPlan) -> None:
    if table.time is not None:
        plan = plan.model_copy(update={"resample": RepairPlan(resample="2min").resample})
    ready, resampled = resample(table, plan)
    repair = fit_repair(ready, plan, rows=np.ones(len(ready), bool))
    done, notes = repair.apply(ready)
    found = account(Ledger(len(table)).add(*resampled, *notes), done)
    assert found.read == len(table) == found.used + found.repaired + found.dropped
    assert (found.repaired > 0) == any(note.action == "repaired" for note in notes)


@few
@given(tables(least=8), st.sampled_from(PLANS), st.data())
def test_piece_by_piece_equals_the_whole(table: Table, plan: RepairPlan, data: Any) -> None:
    """Streaming form: with `Repair.history` rows before it, a block is repaired as in the whole."""
    repair = fit_repair(table, plan, rows=training(table))
    whole = repair.apply(table).table
    size = data.draw(st.integers(2, len(table)))
    for a in range(0, len(table), size):
        first = max(0, a - repair.history)
        block = repair.apply(table.rows(slice(first, a + size))).table
        assert same(block.rows(slice(a - first, None)), whole.rows(slice(a, a + size)))


@few
@given(
    tables(),
    st.sampled_from(
        [RepairPlan(outliers="none", frozen=4, max_fill=3), RepairPlan(outliers="none", fill="interpolate", max_fill=2)]
    ),
)
def test_repairing_twice_is_repairing_once(table: Table, plan: RepairPlan) -> None:
    repair = fit_repair(table, plan, rows=training(table))
    once = repair.apply(table).table
    twice, notes = repair.apply(once)
    assert same(once, twice)
    assert not [note for note in notes if note.action == "repaired"]


@few
@given(tables(), st.integers(0, 4), st.booleans())
def test_filling_equals_a_slow_reference(table: Table, longest: int, hold: bool) -> None:
    """Never across a batch, a gap in time, or farther than allowed; only good values are used."""
    plan = RepairPlan(fill="hold" if hold else "interpolate", max_fill=longest, outliers="none", clamp=False)
    repair = fit_repair(table, plan, rows=training(table))
    out = repair.apply(table).table
    for name in ("a", "b"):
        if name in repair.dropped_tags:
            continue
        x = np.where(np.isinf(table.column(name)), np.nan, table.column(name))
        at = table.index(name)
        if name == "a":
            x[(x < -1) | (x > 40)] = np.nan
        x[trust(table)[:, at] == Quality.BAD] = np.nan
        good = ~np.isnan(x) & (trust(table)[:, at] == Quality.GOOD)
        want = x.copy()
        for row in np.flatnonzero(np.isnan(x)):
            before = next((r for r in range(row, -1, -1) if not np.isnan(x[r])), None)
            after = next((r for r in range(row, len(x)) if not np.isnan(x[r])), None)
            if before is None or not good[before] or not _joined(table, before, row):
                continue
            if hold and row - before <= longest:
                want[row] = x[before]
            if (
                not hold
                and after is not None
                and after - before - 1 <= longest
                and good[after]
                and _joined(table, row, after)
            ):
                time = np.arange(len(x), dtype=float)
                if table.time is not None:
                    time = (table.time - table.time[0]) / np.timedelta64(1, "s")
                want[row] = np.interp(time[row], time[[before, after]], x[[before, after]])
        np.testing.assert_allclose(out.column(name), want, rtol=1e-12)


def _joined(table: Table, a: int, b: int) -> bool:
    """No batch and no gap of more than three steps between two rows."""
    for row in range(a + 1, b + 1):
        if table.batch is not None and table.batch[row] != table.batch[row - 1]:
            return False
        if table.time is not None and (table.time[row] - table.time[row - 1]) > np.timedelta64(180, "s"):
            return False
    return True


@pytest.mark.parametrize(("window", "factor"), [(7, 4.0), (3, 1.0), (4, 1.0), (6, 1.3)])
@pytest.mark.parametrize("rule", ["hampel", "rate"])
def test_spikes_equal_a_slow_reference(rule: Any, window: int, factor: float) -> None:
    """Hampel (1974): distance to the median of the last rows, in 1.4826 median absolute deviations; rate: to each of
    the last two rows. Near limits that many rows come close to, so that a row more or less in the window is noticed."""
    rng = np.random.default_rng(3)
    x = np.cumsum(rng.normal(size=600)) * 0.1 + rng.normal(size=600)
    x[rng.random(600) < 0.2] = np.nan
    x[rng.integers(0, 600, 12)] += 15
    start = np.arange(600) // 4 * 4 if factor == 1.0 else np.where(np.arange(600) < 250, 0, 250)
    scale = 0.7
    found = find_spikes(x, start, scale, rule=rule, window=window, factor=factor)
    for row in range(600):
        near = x[max(start[row], row - window + 1) : row + 1]
        near = near[~np.isnan(near)]
        want = False
        if rule == "hampel" and len(near) >= 3 and not np.isnan(x[row]):
            sigma = max(1.4826 * np.median(np.abs(near - np.median(near))), scale)
            want = abs(x[row] - np.median(near)) > factor * sigma
        elif rule == "rate" and not np.isnan(x[row]):
            before = x[max(start[row], row - 2) : row]
            before = before[~np.isnan(before)]
            want = len(before) > 0 and bool((np.abs(x[row] - before) > factor * scale).all())
        assert found[row] == want
    assert found.sum() >= 5


@given(st.lists(st.sampled_from([0.0, 1.0, 1.0, 2.0, 9.0, np.nan]), min_size=1, max_size=20), st.data())
@few
def test_law_spikes_know_nothing_of_later_rows(values: list[float], data: Any) -> None:
    x, now = np.array(values), data.draw(st.integers(1, len(values)))
    for rule, window, factor in (("hampel", 4, 1.0), ("hampel", 3, 0.5), ("rate", 3, 1.0)):
        form = {"rule": rule, "window": window, "factor": factor}
        whole = find_spikes(x, np.zeros(len(x), int), 0.5, **form)  # type: ignore[arg-type]
        past = find_spikes(x[:now], np.zeros(now, int), 0.5, **form)  # type: ignore[arg-type]
        assert whole[:now].tolist() == past.tolist()


@pytest.mark.parametrize("rule", ["hampel", "rate"])
def test_the_scale_of_spikes_equals_a_slow_reference(rule: Any) -> None:
    """The typical distance in standard deviations of normal noise, raised until 1 % of the values lie outside."""
    rng = np.random.default_rng(5)
    x = np.where(rng.random(300) < 0.2, np.nan, rng.standard_t(2, size=300))
    start = np.arange(300) // 5 * 5
    off = []
    for row in range(300):
        near = x[max(start[row], row - 3) : row + 1]
        if rule == "hampel" and np.count_nonzero(~np.isnan(near)) >= 3:
            off.append(abs(x[row] - np.nanmedian(near)))
        elif rule == "rate" and row > start[row]:
            off.append(abs(x[row] - x[row - 1]))
    known = np.array(off)[~np.isnan(off)]
    for factor in (2.0, 50.0):
        want = max(1.4826 * np.median(known), np.quantile(known, 0.99) / factor)
        assert learn_scale(x, start, rule=rule, window=4, factor=factor) == pytest.approx(want)


def test_a_tag_is_steady_when_more_than_half_of_its_steps_are_none() -> None:
    """Steps across the end of a segment, and those of missing values, are no steps."""
    joined = np.zeros(5, int)
    assert not steady(np.array([1.0, 1, 2, 2, 3]), joined)  # two of four
    assert steady(np.array([1.0, 1, 2, 2, 2]), joined)
    assert steady(np.array([1.0, 1, np.nan, 2, 2]), joined)
    assert not steady(np.array([1.0, 1, 1, 2, 3]), np.array([0, 1, 2, 2, 2]))
    assert steady(np.full(3, np.nan), joined[:3])


def test_the_rate_rule_marks_a_jump_once_and_not_the_way_back() -> None:
    x = np.array([0, 1, 0, 1, 50, 1, 0, 1, 90, 91, 90, 91.0])
    found = find_spikes(x, np.zeros(12, int), 2.0, rule="rate", window=7, factor=3)
    assert np.flatnonzero(found).tolist() == [4, 8]


def test_a_tag_that_mostly_stands_still_has_no_spikes() -> None:
    x = np.repeat(np.array([10.0, 60.0, 20.0, 90.0]), 25)
    assert learn_scale(x, np.zeros(100, int), rule="hampel", window=7, factor=6) is None


def test_what_happens_in_every_hundredth_row_is_no_spike() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000)
    x[::40] += 30
    start = np.zeros(5000, int)
    scale = learn_scale(x, start, rule="hampel", window=7, factor=6)
    assert scale is not None
    assert find_spikes(x, start, scale, rule="hampel", window=7, factor=6).mean() <= 0.01


def test_a_masked_spike_is_held_over() -> None:
    values = [1.0, 2.0, 1.0, 3.0, 2.0, 1.0, 2.0, 500.0, 2.0, 1.0] + [1.0, 2.0] * 100
    table = Table(np.array(values)[:, None], (Tag("T"),))
    done, notes = fit_repair(table, RepairPlan(outliers="mask"), rows=training(table, 210)).apply(table)
    assert done.values[7, 0] == 2.0
    assert [(note.reason, note.count) for note in notes] == [
        ("repair.reason_spike_masked", 1),
        ("repair.reason_held", 1),
    ]
    assert done.quality is not None
    assert done.quality[7, 0] == Quality.UNCERTAIN


def test_targets_and_classes_are_never_filled() -> None:
    values = np.array([[0, 1.0, 5], [1, np.nan, np.nan], [0, 2.0, 7]])
    tags = (Tag("c", categories=("x", "y")), Tag("t", role="target"), Tag("l", role="lab", high=6))
    table = Table(values, tags)
    repair = fit_repair(table, RepairPlan(), rows=training(table, 3))
    done, notes = repair.apply(table)
    np.testing.assert_array_equal(done.values, [[0, 1, 5], [1, np.nan, np.nan], [0, 2, np.nan]])
    assert [note.reason for note in notes] == ["repair.reason_limit_high"]


def test_a_clean_table_comes_back_as_it_is() -> None:
    table = Table(np.array([[1.0], [2.0], [1.5]]), (Tag("T"),))
    assert fit_repair(table, RepairPlan(), rows=training(table, 3)).apply(table).table is table


def test_a_tag_that_training_did_not_know_stays_as_it_is() -> None:
    table = Table(np.array([[1.0], [2.0]]), (Tag("T"),))
    repair = fit_repair(table, RepairPlan(), rows=training(table, 2))
    other = Table(np.array([[np.nan, 9.0]]), (Tag("U"), Tag("T")))
    assert np.isnan(repair.apply(other).table.values[0, 0])
    assert repair.apply(other).table.values[0, 1] == pytest.approx(2.001)


def test_single_precision_stays_single() -> None:
    table = Table(np.array([[1.1], [2.2], [np.nan]], np.float32), (Tag("T"),))
    done = fit_repair(table, RepairPlan(), rows=training(table, 3)).apply(table).table
    assert done.values.dtype == np.float32
    assert done.values[2, 0] == np.float32(2.2)


def test_another_step_than_that_of_training_is_refused() -> None:
    values = np.arange(6.0)[:, None]
    repair = fit_repair(Table(values, (Tag("T"),), time=clock(6, [])), RepairPlan(), rows=np.ones(6, bool))
    with pytest.raises(InputError) as fault:
        repair.apply(Table(values, (Tag("T"),), time=clock(6, [], step=300), source="new.csv"))
    assert str(fault.value) == (
        "new.csv — rows are 300 s apart, but the model was trained on rows 60 s apart. Export the table with "
        "the step of training, or train with [repair] resample"
    )
    with pytest.raises(InputError) as fault:
        repair.apply(Table(values, (Tag("T"),), source="new.csv"))
    assert str(fault.value) == (
        "new.csv — the model was trained on a table with a clock, this table has none. Name the time column: "
        '[data] time = "..."'
    )


@pytest.mark.parametrize(("step", "fine"), [(53, False), (54, True), (60, True), (66, True), (67, False)])
def test_rows_may_lie_a_tenth_of_a_step_off_the_clock_of_training(step: int, fine: bool) -> None:
    """STEP_TOLERANCE: a tenth itself is let pass, on either side."""
    values = np.arange(6.0)[:, None]
    repair = fit_repair(Table(values, (Tag("T"),), time=clock(6, [])), RepairPlan(), rows=np.ones(6, bool))
    other = Table(values, (Tag("T"),), time=clock(6, [], step=step))
    if fine:
        assert repair.apply(other).table is other
    else:
        with pytest.raises(InputError, match="trained on rows 60 s apart"):
            repair.apply(other)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(2, 7))
@few
def test_law_a_value_is_doubted_after_half_the_limit_and_bad_after_all_of_it(runs: list[int], limit: int) -> None:
    """Against counting: of a value that stands still for n rows those beyond limit // 2 are uncertain, beyond limit BAD."""
    x = np.repeat(np.arange(float(len(runs))), runs)
    column = RepairColumn(x=x.copy(), quality=np.zeros(len(x), np.uint8), start=np.zeros(len(x), int))
    column.freeze(limit)
    still = np.concatenate([np.arange(1, run + 1) for run in runs])
    want = np.where(still > limit, Quality.BAD, np.where(still > limit // 2, Quality.UNCERTAIN, Quality.GOOD))
    assert column.quality.tolist() == want.tolist()
    assert np.isnan(column.x).tolist() == (still > limit).tolist()


@given(
    st.lists(st.tuples(st.sampled_from([np.nan, np.nan, 1.0, 2.0, 5.0]), st.booleans()), min_size=1, max_size=14),
    st.lists(st.integers(1, 13), max_size=3),
    st.integers(0, 3),
)
@example([(1.0, True), (np.nan, True), (np.nan, True), (5.0, True)], [], 2)
@settings(max_examples=100, deadline=None)
def test_law_holes_are_filled_inside_their_segment_from_good_values(
    cells: list[tuple[float, bool]], cuts: list[int], longest: int
) -> None:
    """Against looking from every hole to the known values on either side of it."""
    x, sure = (np.array(part) for part in zip(*cells, strict=True))
    rows = len(x)
    start = np.maximum.accumulate(np.where(np.isin(np.arange(rows), cuts), np.arange(rows), 0))
    clock = np.cumsum(np.arange(rows) % 3 + 1.0)
    held, joined = x.copy(), x.copy()
    for row in np.flatnonzero(np.isnan(x)):
        before = next((r for r in range(row, -1, -1) if not np.isnan(x[r])), -1)
        after = next((r for r in range(row, rows) if not np.isnan(x[r])), rows)
        inside = before >= start[row] and bool(sure[before])
        if inside and row - before <= longest:
            held[row] = x[before]
        if inside and after < rows and start[after] == start[row] and sure[after] and after - before - 1 <= longest:
            joined[row] = np.interp(clock[row], clock[[before, after]], x[[before, after]])
    for want, fill in ((held, lambda c: c.hold(longest)), (joined, lambda c: c.interpolate(longest, clock))):
        quality = np.where(sure, Quality.GOOD, Quality.UNCERTAIN).astype(np.uint8)
        column = RepairColumn(x=x.copy(), quality=quality, start=start)
        column.settle()
        fill(column)
        np.testing.assert_allclose(column.x, want)
        filled = np.isnan(x) & ~np.isnan(want)
        assert (column.quality[filled] == Quality.UNCERTAIN).all()
        assert (column.quality[np.isnan(want)] == Quality.BAD).all()


def test_a_frozen_sensor_is_bad_and_a_setpoint_is_not() -> None:
    """The rule is for tags that move: one that mostly stands still is not watched."""
    moving = np.concatenate([np.arange(10.0), np.full(7, 4.0), np.arange(10.0)])
    setpoint = np.repeat([1.0, 2.0, 3.0], 9)
    table = Table(np.column_stack([moving, setpoint]), (Tag("T"), Tag("SP")))
    repair = fit_repair(table, RepairPlan(fill="none", outliers="none", frozen=4), rows=training(table, 10))
    done, notes = repair.apply(table)
    assert np.flatnonzero(np.isnan(done.values[:, 0])).tolist() == [14, 15, 16]
    assert not np.isnan(done.values[:, 1]).any()
    assert [note.reason for note in notes if note.tag == "T" and "frozen" in note.reason] == [
        "repair.reason_frozen",
        "repair.reason_frozen_bad",
    ]


@pytest.mark.parametrize(
    "plan",
    [
        RepairPlan(fill="none", outliers="none", frozen=6),
        RepairPlan(fill="hold", outliers="none", max_fill=5),
        RepairPlan(fill="none", outliers="mask", outlier_window=7, outlier_factor=1),
    ],
)
def test_each_rule_needs_the_rows_of_its_own_history(plan: RepairPlan) -> None:
    """Row by row: with `Repair.history` rows before it, a row is repaired as in the whole, whichever rule is on."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=40), rng.integers(1, 9, size=40))
    x[rng.random(len(x)) < 0.2] = np.nan
    x[:60] = rng.normal(size=60)
    table = Table(x[:, None], (Tag("T"),))
    repair = fit_repair(table, plan, rows=training(table, 60))
    whole = repair.apply(table).table
    for row in range(len(x)):
        piece = table.rows(slice(max(0, row - repair.history), row + 1))
        assert same(repair.apply(piece).table.rows(slice(len(piece) - 1, None)), whole.rows(slice(row, row + 1)))
    assert not same(whole, table)


def test_the_clock_is_learned_between_neighbouring_training_rows() -> None:
    """Not from the pause between two batches, and not from rows that only validate or test."""
    values, rows = np.arange(12.0)[:, None], np.arange(12)
    later = np.datetime64("2024-05-13", "ns") + np.cumsum(np.where(rows < 4, 60, 300)).astype("timedelta64[s]")
    assert fit_repair(Table(values, (Tag("T"),), time=later), RepairPlan(), rows=rows < 4).step == 60
    batch = np.array([0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8], np.int32)
    pauses = np.where(np.diff(batch, prepend=-1) == 0, 60, 7200)
    short = np.datetime64("2024-05-13", "ns") + np.cumsum(pauses).astype("timedelta64[s]")
    table = Table(values, (Tag("T"),), time=short, batch=batch, batch_names=tuple("ABCDEFGHI"))
    assert fit_repair(table, RepairPlan(), rows=np.ones(12, bool)).step == 60
    alternate = fit_repair(Table(values, (Tag("T"),), time=later), RepairPlan(), rows=rows % 2 == 0)
    assert alternate.step is None  # no two training rows are neighbours


def test_doubt_is_for_good_values_only() -> None:
    """What is bad stays bad, and what was in doubt before is not counted again."""
    column = RepairColumn(x=np.array([1.0, 2, np.nan]), quality=np.array([0, 1, 2], np.uint8), start=np.zeros(3, int))
    column.doubt_spikes(np.ones(3, bool))
    assert column.quality.tolist() == [Quality.UNCERTAIN, Quality.UNCERTAIN, Quality.BAD]
    assert [(entry.reason, entry.count) for entry in column.log] == [("repair.reason_spike", 1)]


def test_a_value_at_its_limit_is_a_good_one() -> None:
    column = RepairColumn(x=np.array([-1.0, 0, 5, 10, 11]), quality=np.zeros(5, np.uint8), start=np.zeros(5, int))
    column.limit(0.0, 10.0)
    assert column.quality.tolist() == [Quality.BAD, 0, 0, 0, Quality.BAD]


def test_a_plan_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError, match="resample must be a time, got 5 rows"):
        RepairPlan(resample=5)
    with pytest.raises(ValidationError, match="frozen = 1 rows is shorter than 2 rows"):
        RepairPlan(frozen=1)
    with pytest.raises(ValidationError):
        RepairPlan(outlier_factor=float("nan"))
    table = Table(np.arange(4.0)[:, None], (Tag("T"),), time=clock(4, []))
    with pytest.raises(PlanError, match="frozen = 30s is shorter than 2 rows"):
        fit_repair(table, RepairPlan(frozen="30s"), rows=np.ones(4, bool))
    with pytest.raises(PlanError, match="the table has no time axis"):
        fit_repair(Table(table.values, table.tags), RepairPlan(max_fill="5min"), rows=np.ones(4, bool))


@pytest.mark.parametrize(
    "damage",
    [
        {"max_fill": -1},
        {"max_fill": None},
        {"max_fill": 1.5},
        {"step": float("inf")},
        {"step": "60"},
        {"frozen": True},
        {"dropped_tags": "T"},
        {"dropped_tags": [1]},
        {"plan": {"fill": "guess"}},
        {"more": 1},
        {"tags": [{"name": "T"}]},
        {"tags": {"name": "T"}},
        {"plan": None},
        {"max_gap": 1e300},
    ],
)
def test_malformed_rules_are_refused(damage: dict[str, Any]) -> None:
    table = Table(np.arange(4.0)[:, None], (Tag("T"),))
    data = fit_repair(table, RepairPlan(), rows=np.ones(4, bool)).to_dict() | damage
    with pytest.raises((ValueError, KeyError, TypeError)):
        Repair.from_dict(data)


@pytest.mark.parametrize("damage", [{"low": float("nan")}, {"scale": True}, {"name": 3}, {"filled": 1}])
def test_malformed_rules_of_a_tag_are_refused(damage: dict[str, Any]) -> None:
    table = Table(np.arange(4.0)[:, None], (Tag("T"),))
    data = fit_repair(table, RepairPlan(), rows=np.ones(4, bool)).to_dict()
    data["tags"][0] |= damage
    with pytest.raises((ValueError, KeyError, TypeError)):
        Repair.from_dict(data)


def test_a_value_hardly_beyond_the_training_range_is_inside() -> None:
    """Less than 0.1 % of the span is no news; beyond it the value is brought to the edge, with doubt."""
    values = np.concatenate([np.linspace(0.0, 10.0, 100), [10.0099, -0.0099, 10.02, -0.5]])
    table = Table(values[:, None], (Tag("T"),))
    training = np.arange(len(values)) < 100
    plan = RepairPlan(outliers="none", frozen="50 rows")
    repair = fit_repair(table, plan, rows=training)
    repaired, _ = repair.apply(table)
    np.testing.assert_allclose(repaired.values[100:, 0], [10.0099, -0.0099, 10.01, -0.01])
    quality = repaired.quality
    assert quality is not None
    assert quality[100:, 0].tolist() == [Quality.GOOD, Quality.GOOD, Quality.UNCERTAIN, Quality.UNCERTAIN]
