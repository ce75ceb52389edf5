"""Windows by example; the laws are in tests/laws/test_windows_laws.py."""

from __future__ import annotations

import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from backmix.data.quality import Quality
from backmix.data.scaling import fit_scaler
from backmix.data.splitting.split import SplitPart, SplitPlan, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.doubt import Doubts
from backmix.data.windows.windows import Known, WindowPlan, Windows, WindowSpec, build_windows, fit_scalers, window_spec
from backmix.errors import InputError, PlanError


def ramp(rows: int, **axes: object) -> Table:
    """T101 counts 0, 1, 2, ...; T102 is a hundred more; Q ten times as much."""
    count = np.arange(float(rows))
    tags = (Tag("T101", unit="degC"), Tag("T102", unit="degC"), Tag("Q", unit="%", role="target"))
    return Table(np.stack([count, count + 100, 10 * count], axis=1), tags, **axes)  # type: ignore[arg-type]


def spec(**changes: object) -> WindowSpec:
    return replace(WindowSpec(inputs=("T101", "T102"), targets=("Q",), lookback=3), **changes)  # type: ignore[arg-type]


def minutes(rows: int) -> np.ndarray:
    return np.datetime64("2024-01-01", "ns") + np.arange(rows) * np.timedelta64(60, "s")


def test_a_window_has_three_axes_and_ends_at_its_origin() -> None:
    """Course items 14, 15 and 23, trap N: (batch, time, feature), the newest row included."""
    windows = build_windows(ramp(6), spec())
    batch = windows.gather(np.array([0, 3]))
    assert batch.x.shape == (2, 3, 2)
    assert batch.x[:, :, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert batch.x[1, -1].tolist() == [5, 105]
    assert batch.y is not None
    assert batch.y.tolist() == [[20], [50]]
    assert batch.at.tolist() == [0, 3]
    assert windows.origins.tolist() == [2, 3, 4, 5]
    assert windows.steps == 3
    assert not windows.masked


def test_dead_time_and_horizon_move_the_window_away_from_its_target() -> None:
    """Course item 31, trap W: counted in rows from the origin, on both sides."""
    windows = build_windows(ramp(8), spec(dead_time=1, horizon=2))
    assert windows.origins.tolist() == [3, 4, 5]
    assert windows.target_rows.tolist() == [5, 6, 7]
    assert windows.gather(np.array([0])).x[0, :, 0].tolist() == [0, 1, 2]
    assert windows.truth()[:, 0].tolist() == [50, 60, 70]


def test_prediction_keeps_windows_whose_target_is_not_known_yet() -> None:
    """The last rows of a table are those a plant wants predictions for."""
    table = ramp(5).select(("T101", "T102"))
    windows = build_windows(table, spec(horizon=2).without_target())
    assert windows.origins.tolist() == [2, 3, 4]
    assert windows.gather(windows.all_indices).y is None


def test_known_past_targets_are_those_reported_by_then() -> None:
    """Bad input 25: the value of ``delay`` rows ago, on the newest ``count`` rows only."""
    windows = build_windows(ramp(9), spec(known=Known(delay=4, count=2)))
    assert windows.feature_names == ("T101", "T102", "Q (reported)")
    batch = windows.gather(np.array([0]))
    origin = int(windows.origins[0])
    assert origin == 5  # one row before the origin needs the label of four rows before: row 0
    assert batch.x[0, :, 2].tolist() == [0, 10 * (origin - 1 - 4), 10 * (origin - 4)]


def test_between_sparse_labels_the_last_reported_value_is_held() -> None:
    """Laboratory labels are sparse and late: no value is shown before it was reported."""
    values = np.array(ramp(20).values)
    values[:, 2] = np.where(np.arange(20) % 5 == 0, values[:, 2], np.nan)
    table = Table(values, ramp(20).tags)
    windows = build_windows(table, spec(known=Known(delay=2), need_target=False))
    last = windows.gather(np.array([len(windows) - 1])).x[0, :, 2]
    assert last.tolist() == [150, 150, 150]  # rows 17, 18, 19 see rows 15, 16, 17: the label of row 15
    assert windows.origins[0] == 4  # its first row, 2, sees the label of row 0
    labelled = build_windows(table, spec())
    assert labelled.target_rows.tolist() == [5, 10, 15]


def test_stride_counts_from_the_first_window_of_each_segment() -> None:
    """Course item 15: every fourth window; a batch starts afresh."""
    batch = np.repeat(np.array([0, 1], np.int32), 11)
    windows = build_windows(ramp(22, batch=batch, batch_names=("A", "B")), spec(stride=4))
    assert windows.origins.tolist() == [2, 6, 10, 13, 17, 21]
    assert dict(windows.dropped) == {"windows.reason_run_up": 4, "windows.reason_stride": 12}


def test_stride_keeps_a_sparse_label_that_falls_between() -> None:
    """A stride of five does not lose labels on rows 3, 13, 23 that no multiple of five hits."""
    values = np.array(ramp(30).values)
    values[:, 2] = np.where(np.arange(30) % 10 == 3, values[:, 2], np.nan)
    assert build_windows(Table(values, ramp(30).tags), spec(stride=5)).origins.tolist() == [3, 13, 23]


def test_several_targets_and_their_units() -> None:
    """Course items 19 and 65: K columns, scaled for the network, physical in the truth."""
    table = ramp(30).retag({"T102": Tag("T102", role="target")})
    form = WindowSpec(inputs=("T101",), targets=("Q", "T102"), lookback=4)
    scalers = fit_scalers(table, form, rows=np.arange(30) < 20)
    windows = build_windows(table, form).scaled(*scalers)
    batch = windows.gather(np.array([5]))
    assert batch.y is not None
    assert batch.y.shape == (1, 2)
    assert windows.truth()[5].tolist() == [80.0, 108.0]
    assert scalers[1] is not None
    assert np.allclose(scalers[1].inverse(batch.y), windows.truth()[[5]], rtol=1e-6)
    assert np.allclose(windows.scaled_targets()[5], batch.y[0], rtol=1e-6)


def test_class_targets_are_codes() -> None:
    """Course item 26: int32 codes, never scaled."""
    values = np.stack([np.arange(8.0), np.array([0, 0, 0, 1, 1, 2, 2, np.nan])], axis=1)
    table = Table(values, (Tag("T101"), Tag("fault", role="target", categories=("none", "leak", "fouling"))))
    form = WindowSpec(inputs=("T101",), targets=("fault",), lookback=2)
    scaler, target_scaler = fit_scalers(table, form, rows=np.ones(8, bool))
    assert target_scaler is None
    windows = build_windows(table, form).scaled(scaler)
    batch = windows.gather(windows.all_indices)
    assert batch.y is not None
    assert batch.y.dtype == np.int32
    assert batch.y.tolist() == [0, 0, 1, 1, 2, 2]
    assert windows.classes == ("none", "leak", "fouling")
    assert dict(windows.dropped)["windows.reason_no_label"] == 1


def test_inputs_that_are_not_neighbours_in_the_table() -> None:
    """Columns come in the order of the spec, wherever they stand in the table."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 13)).astype(np.float32)
    table = Table(values, tuple(Tag(f"T{i}") for i in range(13)))
    for names in (("T5", "T1"), tuple(f"T{i}" for i in range(0, 13, 2))):
        form = WindowSpec(inputs=names, targets=(), lookback=7, need_target=False)
        got = build_windows(table, form).gather(np.array([3, 0])).x
        at = [int(name[1:]) for name in names]
        assert np.array_equal(got, np.stack([values[3:10, at], values[0:7, at]]))


def test_names_times_and_batches_of_windows() -> None:
    """Every window can be found again in the plant."""
    batch = np.repeat(np.array([0, 1], np.int32), 4)
    windows = build_windows(ramp(8, time=minutes(8), batch=batch, batch_names=("A", "B")), spec())
    assert windows.batches is not None
    assert windows.batches.tolist() == ["A", "A", "B", "B"]
    assert windows.times is not None
    assert windows.times[0] == np.datetime64("2024-01-01T00:02")
    assert build_windows(ramp(8), spec()).times is None
    assert build_windows(ramp(8), spec()).batches is None


def test_a_doubt_that_was_there_before_repair_is_its_sources() -> None:
    quality = np.zeros((8, 3), np.uint8)
    quality[3, 1] = Quality.UNCERTAIN
    table = ramp(8, quality=quality)
    doubts = Doubts.of(build_windows(table, spec()))
    assert doubts.quality.tolist() == ["good", "uncertain", "uncertain", "uncertain", "good", "good"]
    assert doubts.tag.tolist() == [None, *[table.names[1]] * 3, None, None]
    assert doubts.reason.tolist() == [None, *["windows.doubt_source"] * 3, None, None]


def test_worst_quality_of_each_window() -> None:
    """One uncertain input value makes its windows uncertain, and no other."""
    quality = np.zeros((8, 3), np.uint8)
    quality[3, 1] = Quality.UNCERTAIN
    quality[7, 2] = Quality.BAD  # the target is no input
    windows = build_windows(ramp(8, quality=quality), spec())
    assert windows.worst_quality().tolist() == [0, 1, 1, 1, 0, 0]
    assert build_windows(ramp(8), spec()).worst_quality().tolist() == [0] * 6


@pytest.mark.parametrize(("lookback", "dead_time"), [(1, 0), (4, 0), (4, 2), (None, 0)])
def test_law_the_quality_of_a_window_is_the_worst_of_all_its_values(lookback: int | None, dead_time: int) -> None:
    """Against looking at every value of every window; what lies beside the window does not count."""
    rng = np.random.default_rng(0)
    quality = rng.choice(3, p=[0.92, 0.05, 0.03], size=(200, 3)).astype(np.uint8)
    batch = np.repeat(np.arange(25, dtype=np.int32), 8)
    table = ramp(200, quality=quality, batch=batch, batch_names=tuple(f"B{n}" for n in range(25)))
    form = spec(lookback=lookback, dead_time=dead_time, need_target=False)
    windows = build_windows(table, form)
    ends = windows.origins - form.dead_time
    sizes = windows.lengths if windows.lengths is not None else np.full(len(windows), lookback)
    want = [quality[end - size + 1 : end + 1, :2].max() for end, size in zip(ends, sizes, strict=True)]
    assert windows.worst_quality().tolist() == want
    assert set(want) == {0, 1, 2}


def test_law_some_windows_are_those_of_all() -> None:
    """By index or mask, in any order: what they show, what they answer, how long they are."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 7, size=9)
    batch = np.repeat(np.arange(9, dtype=np.int32), sizes)
    table = ramp(len(batch), batch=batch, batch_names=tuple(f"B{n}" for n in range(9)))
    told = replace(build_windows(ramp(20), spec(horizon=2)), told=rng.normal(size=(16, 1)))
    for windows in (told, build_windows(table, spec(lookback=None))):
        mask = rng.random(len(windows)) < 0.5
        for at in (rng.permutation(len(windows))[:5], mask):
            some = windows.subset(at)
            assert np.array_equal(some.truth(), windows.truth()[at])
            whole, cut = windows.gather(windows.all_indices[at]), some.gather(some.all_indices)
            assert np.array_equal(cut.x, whole.x[:, : some.steps])
            assert np.array_equal(cut.y, whole.y)  # type: ignore[arg-type]


@pytest.mark.parametrize("relative", ["none", "answers", "window"])
@pytest.mark.parametrize("answer", ["row", "path"])
def test_law_answers_come_back_in_plant_units(relative: str, answer: str) -> None:
    """What is told relative to the newest known value, scaled, and beside what another model says, is told back."""
    rng = np.random.default_rng(0)
    table = Table(rng.normal(50, 9, size=(30, 3)), ramp(1).tags)
    form = spec(horizon=2, known=Known(1), relative=relative, answer=answer)
    windows = build_windows(table, form).scaled(*fit_scalers(table, form, rows=np.ones(30, bool)))
    truth, known = windows.truth(), table.column("Q")[windows.origins - 1]
    scaler = windows.target_scaler
    assert scaler is not None
    away = scaler.center if relative == "none" else known[:, None]
    np.testing.assert_allclose(windows.scaled_targets(), (truth - away) / scaler.scale)
    np.testing.assert_allclose(windows.unscaled(windows.scaled_targets()), truth)
    batch = windows.gather(windows.all_indices)
    np.testing.assert_allclose(batch.y, windows.scaled_targets(), rtol=1e-5, atol=1e-6)
    told = replace(windows, told=rng.normal(size=truth.shape))
    np.testing.assert_allclose(told.unscaled(told.scaled_targets()), truth)


def test_law_every_row_of_a_path_has_its_label_and_its_plan() -> None:
    """Against trying every row: from the window's first row to the end of its path nothing is missing."""
    values = np.array(ramp(80).values)
    rng = np.random.default_rng(1)
    values[rng.choice(80, 6, replace=False), 2] = np.nan
    values[rng.choice(80, 4, replace=False), 1] = np.nan
    form = spec(horizon=3, answer="path", future=("T102",))
    fine = np.isfinite(values)
    want = [
        row
        for row in range(2, 77)
        if fine[row - 2 : row + 1, :2].all() and fine[row + 1 : row + 4, 1].all() and fine[row + 1 : row + 4, 2].all()
    ]
    assert build_windows(Table(values, ramp(1).tags), form).origins.tolist() == want
    assert 20 < len(want) < 70


def test_law_what_has_passed_of_a_batch_ends_at_its_first_hole() -> None:
    """One window at every row from the batch's first row to this one, as long as nothing is missing in it."""
    values = np.array(ramp(24).values)
    values[[3, 16], [0, 1]] = np.nan
    batch = np.repeat(np.arange(4, dtype=np.int32), 6)
    table = Table(values, ramp(1).tags, batch=batch, batch_names=("A", "B", "C", "D"))
    windows = build_windows(table, spec(lookback=None, growing=True))
    want = [row for row in range(24) if np.isfinite(values[row // 6 * 6 : row + 1, :2]).all()]
    assert windows.origins.tolist() == want
    assert windows.lengths is not None
    assert windows.lengths.tolist() == [row % 6 + 1 for row in want]


@pytest.mark.parametrize("lookback", [3, None])
def test_law_an_answer_on_every_row_counts_where_it_is_known(lookback: int | None) -> None:
    """Neither padding nor a row without a label has a weight, and what stands there is 0."""
    values = np.array(ramp(14).values)
    values[[2, 6, 7], 2] = np.nan
    sizes = [3, 6, 5]
    batch = np.repeat(np.arange(3, dtype=np.int32), sizes)
    table = Table(values, ramp(1).tags, batch=batch, batch_names=("A", "B", "C"))
    windows = build_windows(table, spec(lookback=lookback, answer="every"))
    got = windows.gather(windows.all_indices)
    assert got.y is not None
    assert got.weight is not None
    for place, end in enumerate(windows.origins):
        size = lookback or sizes[batch[end]]
        truth = np.append(values[end - size + 1 : end + 1, 2], np.full(windows.steps - size, np.nan))
        assert got.weight[place].tolist() == np.isfinite(truth).tolist()
        assert got.y[place, :, 0].tolist() == np.nan_to_num(truth).tolist()


def test_what_is_planned_are_the_rows_behind_the_origin() -> None:
    """As many as the path has, none of them known from the past."""
    windows = build_windows(ramp(9), spec(horizon=3, answer="path", future=("T102",)))
    batch = windows.gather(windows.all_indices)
    assert batch.future is not None
    assert batch.future[:, :, 0].tolist() == [[100 + row + k for k in (1, 2, 3)] for row in windows.origins]


def test_arrays_are_windows_too() -> None:
    """Course item 14: samples somebody has cut, in the same shape as windows of a table."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4, 3)).astype(np.float32), rng.normal(size=(5, 2))
    windows = Windows.from_arrays(x, y)
    batch = windows.gather(np.array([4, 1]))
    assert np.array_equal(batch.x, x[[4, 1]])
    assert np.array_equal(windows.truth(), y)
    assert build_windows(windows.table, windows.spec).origins.tolist() == windows.origins.tolist()
    scaler = fit_scaler("standard", windows.table.values, windows.spec.inputs, columns=(0, 1, 2))
    assert np.allclose(windows.scaled(scaler).gather(windows.all_indices).x.mean(axis=(0, 1)), 0, atol=1e-6)
    assert Windows.from_arrays(x).gather(np.array([0])).y is None
    coded = Windows.from_arrays(x, np.array([0, 1, 1, 0, 1]), categories=("ok", "bad"))
    codes = coded.gather(coded.all_indices).y
    assert codes is not None
    assert codes.tolist() == [0, 1, 1, 0, 1]


def test_arrays_of_unequal_length_are_masked() -> None:
    """Course item 17: what stands in the padding changes nothing."""
    x = np.arange(24.0).reshape(3, 4, 2)
    padded = x.copy()
    padded[0, 2:] = np.nan
    windows = Windows.from_arrays(padded, np.array([1.0, 2.0, 3.0]), lengths=np.array([2, 4, 3]))
    batch = windows.gather(np.array([0, 2]))
    assert batch.mask is not None
    assert batch.mask.tolist() == [[True, True, False, False], [True, True, True, False]]
    assert batch.x[0].tolist() == [[0, 1], [2, 3], [0, 0], [0, 0]]
    assert windows.truth()[:, 0].tolist() == [1, 2, 3]


def test_padding_changes_nothing_whatever_the_company() -> None:
    """Bad input 27: a batch gives the same numbers beside short and beside long ones."""
    sizes = [3, 6, 2]
    batch = np.repeat(np.arange(3, dtype=np.int32), sizes)
    table = ramp(11, batch=batch, batch_names=("A", "B", "C"))
    windows = build_windows(table, spec(lookback=None))
    scaler, target_scaler = fit_scalers(table, windows.spec, rows=np.ones(11, bool))
    windows = windows.scaled(scaler, target_scaler)
    together = windows.gather(np.array([0, 1, 2]))
    for index, size in enumerate(sizes):
        alone = windows.subset(np.array([index])).gather(np.array([0]))
        assert alone.x.shape == (1, size, 2)
        assert np.array_equal(alone.x[0], together.x[index, :size])
        assert not together.x[index, size:].any()
    assert windows.masked
    assert windows.lengths is not None
    assert windows.lengths.tolist() == sizes


def test_batch_windows_return_the_final_quality_and_not_the_next_sample() -> None:
    """Course item 75, letter F: the target of a whole batch is its own last reported value."""
    batch = np.repeat(np.arange(2, dtype=np.int32), 4)
    values = np.array(ramp(8).values)
    values[:, 2] = [np.nan, np.nan, np.nan, 77, np.nan, 5, 88, np.nan]
    table = Table(values, ramp(8).tags, batch=batch, batch_names=("A", "B"))
    windows = build_windows(table, spec(lookback=None))
    assert windows.truth()[:, 0].tolist() == [77, 88]
    assert windows.target_rows.tolist() == [3, 6]
    assert windows.origins.tolist() == [3, 7]


def test_shuffled_windows_are_the_same_windows() -> None:
    """Trap I: what must be chronological is the split; whole windows may change places."""
    windows = build_windows(ramp(20), spec())
    order = np.random.default_rng(0).permutation(len(windows))
    straight, shuffled = windows.gather(windows.all_indices), windows.gather(order)
    assert np.array_equal(shuffled.x, straight.x[order])
    assert np.array_equal(shuffled.y, straight.y[order])  # type: ignore[index, arg-type]


def test_gathering_twice_gives_fresh_arrays() -> None:
    """A framework may keep what it is given: no buffer is used again."""
    windows = build_windows(ramp(20), spec())
    one = windows.gather(np.array([1]))
    two = windows.gather(np.array([2]))
    assert not np.shares_memory(one.x, two.x)
    assert not np.shares_memory(one.x, windows.table.values)
    assert windows.gather(np.array([], dtype=np.int64)).x.shape == (0, 3, 2)


def test_windows_travel_to_another_process() -> None:
    """Folds and trials run in parallel processes."""
    windows = build_windows(ramp(20), spec(known=Known(1)))
    there = pickle.loads(pickle.dumps(windows))  # noqa: S301
    assert np.array_equal(there.gather(np.array([3])).x, windows.gather(np.array([3])).x)


def test_bytes_are_those_of_the_arrays() -> None:
    """Bad input 31: the estimate before allocation equals what is then allocated."""
    windows = build_windows(ramp(50), spec(known=Known(2)))
    batch = windows.gather(np.arange(8))
    assert batch.y is not None
    need = windows.bytes(8)
    assert need.batch == batch.x.nbytes + batch.y.nbytes
    assert need.all == need.batch // 8 * len(windows)
    whole = build_windows(
        ramp(8, batch=np.repeat(np.arange(2, dtype=np.int32), 4), batch_names=("A", "B")), spec(lookback=None)
    )
    got = whole.gather(whole.all_indices)
    assert got.y is not None
    assert got.mask is not None
    assert whole.bytes(99).batch == got.x.nbytes + got.y.nbytes + got.mask.nbytes


def test_a_memory_mapped_table_is_not_copied(tmp_path: Path) -> None:
    """Course item 15: windows of a file, equal to those of the same numbers in memory."""
    rng = np.random.default_rng(0)
    held = rng.normal(size=(500, 3)).astype(np.float32)
    held.tofile(tmp_path / "values.f32")
    mapped = np.memmap(tmp_path / "values.f32", np.float32, mode="r", shape=(500, 3))
    one, two = (build_windows(Table(values, ramp(1).tags), spec(lookback=9)) for values in (held, mapped))
    assert np.array_equal(one.origins, two.origins)
    got = two.gather(np.arange(0, 400, 7))
    assert type(got.x) is np.ndarray
    assert np.array_equal(got.x, one.gather(np.arange(0, 400, 7)).x)


def test_a_plan_in_hours_becomes_rows() -> None:
    """A plan speaks plant; the spec counts rows, and fixes what a gap is."""
    plan = WindowPlan.model_validate({"lookback": "5min", "horizon": "2min", "stride": 2, "dead_time": "60s"})
    found = window_spec(plan, ramp(30, time=minutes(30)), inputs=("T101",), targets=("Q",))
    assert (found.lookback, found.horizon, found.stride, found.dead_time) == (5, 2, 2, 1)
    assert found.max_gap == 180.0
    assert found.reach == 8
    whole = window_spec(WindowPlan(lookback="batch"), ramp(5), inputs=("T101",), targets=("Q",))
    assert whole.lookback is None
    assert whole.reach == 0
    assert WindowSpec(**{**asdict(found), "known": None}) == found


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"lookback": 0}, "lookback must be at least one row"),
        ({"stride": "0s"}, "stride must be at least one row"),
        (
            {"lookback": "batch", "horizon": 2},
            'lookback "batch" and "elapsed" look back to the start of a batch; horizon',
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(section: dict[str, object], message: str) -> None:
    """The fault names the field."""
    with pytest.raises(ValueError, match=message):
        WindowPlan.model_validate(section)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lookback": 0}, "lookback is 0 rows. Use 1 or more"),
        ({"horizon": -1}, "horizon is -1 rows. Use 0 or more"),
        ({"inputs": ()}, 'windows have no inputs. Give at least one tag the role "input", or name past_targets'),
        ({"targets": ()}, 'windows have no target. Name one: [task] target = "..."'),
        (
            {"lookback": None, "stride": 3},
            "windows of whole batches take no horizon, stride, dead_time or past "
            "targets. Remove them, or give lookback in rows",
        ),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(changes: dict[str, object], message: str) -> None:
    """The message says how to mend it."""
    with pytest.raises(PlanError) as caught:
        spec(**changes)
    assert str(caught.value) == message


def test_classes_cannot_be_inputs_or_one_of_several_targets() -> None:
    """Codes of classes are names, not amounts."""
    table = ramp(9).retag({"T101": Tag("T101", categories=("a", "b"))})
    with pytest.raises(PlanError) as caught:
        build_windows(table, spec())
    assert str(caught.value) == (
        "table — input 'T101' holds classes, not numbers. Leave it out: [[data.tags]] name = \"T101\", role = "
        '"ignored" (or name it: [data] batch = "T101"), or give it as numbers'
    )
    with pytest.raises(PlanError, match="target 'T101' holds classes: it must be the only target"):
        build_windows(table, spec(inputs=("T102",), targets=("Q", "T101")))


def test_a_scaler_for_other_tags_is_a_fault_of_the_program() -> None:
    """Trap X: a scaler belongs to its features, by name and order."""
    scaler = fit_scaler("standard", np.ones((3, 2)), ("T102", "T101"))
    with pytest.raises(ValueError, match="the scaler is for"):
        build_windows(ramp(9), spec()).scaled(scaler)


def test_a_mask_of_rows_is_a_part() -> None:
    """Rows outside the mask are not looked at, not even as a run-up."""
    mask = np.arange(12) >= 5
    assert build_windows(ramp(12), spec(), part=mask).origins.tolist() == [7, 8, 9, 10, 11]
    with pytest.raises(InputError, match="there are no rows to make windows from"):
        build_windows(ramp(12), spec(), part=np.zeros(12, bool))


def test_the_test_part_is_predicted_from_its_first_row_on() -> None:
    """Trap J: purged rows are the run-up of the part behind them, so no test row is lost."""
    table = ramp(100)
    form = spec(horizon=1, known=Known(2))
    parts = split(table, SplitPlan(), gap=form.reach)
    windows = {part: build_windows(table, form, split=parts, part=part) for part in list(SplitPart)[1:]}
    assert windows[SplitPart.TEST].target_rows.tolist() == list(range(80, 100))
    assert windows[SplitPart.VALIDATION].target_rows.max() == 79 - form.reach
    assert windows[SplitPart.TRAIN].target_rows.max() == 59 - form.reach
