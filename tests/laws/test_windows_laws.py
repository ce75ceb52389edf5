"""Laws of windows, splits and scalers, for any table: checked against slow, obvious oracles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backmix.data import segments
from backmix.data.scaling import Scaler, fit_scaler, scalers
from backmix.data.segments import segment_starts
from backmix.data.splitting.folds import FoldPlan, folds
from backmix.data.splitting.split import Split, SplitPart, SplitPlan, purge, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Known, Windows, WindowSpec, build_windows, fit_scalers
from backmix.errors import InputError

LAWS = settings(max_examples=40, deadline=None)
PARTS = (SplitPart.TRAIN, SplitPart.VALIDATION, SplitPart.TEST)
GAP = 120
"""Seconds that two neighbouring rows may lie apart: a pause of this length itself is no gap."""


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    """Tables are worked on in blocks of 7 rows, so that every law also holds across their borders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "BLOCK", 7)
        yield


@dataclass(frozen=True)
class Case:
    table: Table
    spec: WindowSpec
    split: Split | None


def make_table(
    rng: np.random.Generator, rows: int, *, width: int = 3, holes: float = 0.05, labels: float = 0.6
) -> Table:
    """Rows with batches, pauses, holes in the inputs and a target that is not always reported."""
    values = rng.normal(size=(rows, width + 1)).astype(rng.choice([np.float32, np.float64]))
    values[:, :width][rng.random((rows, width)) < holes] = rng.choice([np.nan, np.inf])
    values[:, width][rng.random(rows) > labels] = np.nan
    batch, names = None, ()
    if rng.random() < 0.6:
        batch = np.cumsum(rng.random(rows) < 0.05).astype(np.int32)
        names = tuple(f"B{i}" for i in range(int(batch[-1]) + 1))
    time = None
    if rng.random() < 0.7:
        pauses = np.where(rng.random(rows) < 0.05, rng.choice([GAP, GAP + 1, 10_000, -100]), 60)
        time = np.datetime64("2024-01-01", "ns") + np.cumsum(pauses) * np.timedelta64(1, "s")
    tags = (*(Tag(f"T{i}") for i in range(width)), Tag("Q", role="target"))
    return Table(values, tags, time=time, batch=batch, batch_names=names)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = make_table(
        rng,
        draw(st.integers(1, 90)),
        holes=draw(st.sampled_from([0.0, 0.02, 0.1])),
        labels=draw(st.sampled_from([1.0, 0.3])),
    )
    known = Known(draw(st.integers(1, 4)), draw(st.sampled_from([None, 1, 3])))
    spec = WindowSpec(
        inputs=draw(st.sampled_from([("T0", "T1", "T2"), ("T2", "T0"), ("T1",)])),
        targets=("Q",),
        lookback=draw(st.integers(1, 6)),
        horizon=draw(st.integers(0, 3)),
        stride=draw(st.sampled_from([1, 1, 2, 5])),
        dead_time=draw(st.integers(0, 2)),
        known=known if draw(st.booleans()) else None,
        max_gap=float(GAP) if table.time is not None else None,
        need_target=draw(st.booleans()),
    )
    parts = None
    if draw(st.booleans()):
        codes = np.repeat(rng.integers(1, 4, size=40), rng.integers(1, 30, size=40))[: len(table)]
        codes = np.resize(codes, len(table)).astype(np.uint8)
        parts = Split(purge(codes, gap=draw(st.sampled_from([0, 1, spec.reach])), batch=table.batch))
    return Case(table, spec, parts)


def neighbours(case: Case, row: int) -> bool:
    """Whether a window may go from row - 1 to row."""
    table = case.table
    if table.batch is not None and table.batch[row] != table.batch[row - 1]:
        return False
    if table.time is not None:
        pause = (table.time[row] - table.time[row - 1]) / np.timedelta64(1, "s")
        if pause < 0 or pause > case.spec.max_gap:
            return False
    return True


def owner_of(split: Split, row: int) -> int:
    """The part a row serves: its own, or that of the next row that has one."""
    while row < len(split.part) and split.part[row] == SplitPart.PURGED:
        row += 1
    return int(split.part[row]) if row < len(split.part) else 0


def oracle(case: Case, part: SplitPart) -> dict[int, tuple[list[int], list[int], int]]:
    """All windows of stride 1 by trying every row: scored row -> (input rows, label rows, target row)."""
    table, spec = case.table, case.spec
    x = table.select(spec.inputs).values
    q = table.column("Q")
    ahead = spec.horizon if spec.need_target else 0
    found = {}
    for scored in range(len(table)):
        if case.split is not None and case.split.part[scored] != part:
            continue
        origin = scored - ahead
        rows = list(range(origin - spec.dead_time - spec.lookback + 1, origin - spec.dead_time + 1))

        def joined(first: int, last: int) -> bool:
            if first < 0:
                return False
            rows = range(first, last + 1)
            if case.split is not None and any(owner_of(case.split, row) != part for row in rows):
                return False
            return all(neighbours(case, r) for r in range(first + 1, last + 1))

        if not joined(rows[0], scored) or not np.isfinite(x[rows]).all():
            continue
        if spec.need_target and not np.isfinite(q[scored]):
            continue
        labels = []
        if spec.known is not None:
            for row in rows[-min(spec.known.count or spec.lookback, spec.lookback) :]:
                at = row - spec.known.delay
                while at >= 0 and not np.isfinite(q[at]):
                    at -= 1
                labels.append(at)
            if any(at < 0 or not joined(at, scored) for at in labels):
                continue
        found[scored] = (rows, labels, scored)
    return found


def windows_of(case: Case, part: SplitPart) -> Windows | None:
    try:
        return build_windows(case.table, case.spec, split=case.split, part=part)
    except InputError:
        return None


@LAWS
@given(case=cases(), part=st.sampled_from(PARTS))
def test_no_window_crosses_a_batch_a_gap_a_hole_or_a_split(case: Case, part: SplitPart) -> None:
    """Course items 15 and 16, traps J and O, bad inputs 6 and 26: exactly the windows of the oracle."""
    expected = oracle(case, part)
    windows = windows_of(case, part)
    if windows is None:
        assert not expected
        return
    ahead = case.spec.horizon if case.spec.need_target else 0
    scored = (windows.origins + ahead).tolist()
    assert scored == sorted(scored)
    if case.spec.stride == 1:
        assert scored == list(expected)
    else:
        assert set(scored) <= set(expected)
    if case.spec.need_target:
        assert (windows.target_rows == windows.origins + case.spec.horizon).all()


@LAWS
@given(case=cases(), part=st.sampled_from(PARTS), seed=st.integers(0, 99))
def test_gather_equals_the_window_cut_by_hand(case: Case, part: SplitPart, seed: int) -> None:
    """Course items 14, 18 and 19: (B, T, F) in plant order, scaled; the newest row last (trap N)."""
    windows = windows_of(case, part)
    assume(windows is not None)
    assert windows is not None
    rng = np.random.default_rng(seed)
    table, spec = case.table, case.spec
    width = len(spec.inputs)
    scaler = Scaler("standard", spec.inputs, rng.normal(size=width), rng.random(width) + 0.5)
    target_scaler = Scaler("standard", ("Q",), np.array([0.3]), np.array([1.7]))
    windows = windows.scaled(scaler, target_scaler)
    at = rng.permutation(len(windows))  # trap I: whole windows in any order
    batch = windows.gather(at)
    assert batch.x.shape == (len(at), spec.lookback, len(windows.feature_names))
    assert batch.x.dtype == np.float32
    assert batch.mask is None
    expected = oracle(case, part)
    q = np.asarray(table.column("Q"), dtype=np.float64)
    ahead = spec.horizon if spec.need_target else 0
    for place, index in enumerate(at):
        rows, labels, target = expected[int(windows.origins[index]) + ahead]
        assert rows[-1] == windows.origins[index] - spec.dead_time
        values = np.asarray(table.select(spec.inputs).values[rows], dtype=np.float64)
        wanted = scaler.transform(values).astype(np.float32)
        assert np.array_equal(batch.x[place, :, : len(spec.inputs)], wanted)
        if spec.known is not None:
            feature = np.zeros(spec.lookback)
            feature[spec.lookback - len(labels) :] = target_scaler.transform(q[labels][:, None])[:, 0]
            assert np.array_equal(batch.x[place, :, -1], feature.astype(np.float32))
        if spec.need_target:
            assert batch.y is not None
            assert batch.y[place, 0] == np.float32(target_scaler.transform(q[[target]])[0])
            assert windows.truth()[index, 0] == q[target]
    if not spec.need_target:
        assert batch.y is None


@LAWS
@given(case=cases(), part=st.sampled_from(PARTS))
def test_every_row_of_a_part_is_a_window_or_has_a_reason(case: Case, part: SplitPart) -> None:
    """Bad input 26: nothing disappears without being counted."""
    windows = windows_of(case, part)
    assume(windows is not None)
    assert windows is not None
    rows = len(case.table) if case.split is None else case.split.count(part)
    assert rows == len(windows) + sum(dropped.number for dropped in windows.dropped)


@LAWS
@given(case=cases())
def test_no_raw_row_is_shared_between_windows_of_two_parts(case: Case) -> None:
    """Course item 60, trap J: whatever the gap, parts share no input row, label row or target row."""
    assume(case.split is not None)
    seen: dict[int, SplitPart] = {}
    for part in PARTS:
        windows = windows_of(case, part)
        if windows is None:
            continue
        expected = oracle(case, part)
        ahead = case.spec.horizon if case.spec.need_target else 0
        for origin in windows.origins.tolist():
            rows, labels, target = expected[origin + ahead]
            for row in (*rows, *labels, target):
                assert seen.setdefault(row, part) is part


@LAWS
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 120))
def test_segments_are_those_of_a_walk_along_the_rows(seed: int, rows: int) -> None:
    """Trap O: a segment starts where the row before is no neighbour, and behind an unusable row."""
    rng = np.random.default_rng(seed)
    table = make_table(rng, rows)
    unusable = rng.random(rows) < 0.1
    part = rng.integers(0, 3, size=rows).astype(np.uint8) if rng.random() < 0.3 else None
    spec = WindowSpec(inputs=("T0",), targets=(), lookback=1, max_gap=float(GAP), need_target=False)
    case = Case(table, spec, None)
    start, expected = 0, []
    for row in range(rows):
        other_part = part is not None and part[row] != part[row - 1]
        if row and (not neighbours(case, row) or unusable[row - 1] or other_part):
            start = row
        expected.append(row + 1 if unusable[row] else start)
    assert segment_starts(table, max_gap=float(GAP), part=part, unusable=unusable).tolist() == expected


@pytest.mark.parametrize("kind", scalers.names())
@LAWS
@given(seed=st.integers(0, 2**32 - 1))
def test_scaler_knows_nothing_but_the_training_rows(kind: str, seed: int) -> None:
    """Course items 18 and 20, trap P: byte-identical whatever the other rows hold."""
    rng = np.random.default_rng(seed)
    values = rng.normal(scale=10.0 ** rng.integers(-3, 6), size=(200, 4)) + rng.normal(scale=1e3, size=4)
    values[rng.random(values.shape) < 0.1] = np.nan
    rows = rng.random(200) < rng.random()
    rows[:2] = True
    values[0] = 1.0
    other = values.copy()
    other[~rows] = rng.choice([np.nan, np.inf, -1e300, 0.0, 7.0], size=(int((~rows).sum()), 4))
    names = ("a", "b", "c", "d")
    one, two = (fit_scaler(kind, v, names, rows=rows) for v in (values, other))
    assert one.center.tobytes() == two.center.tobytes()
    assert one.scale.tobytes() == two.scale.tobytes()
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())


@pytest.mark.parametrize("kind", scalers.names())
@LAWS
@given(values=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40), probe=st.floats(-1e12, 1e12))
def test_inverse_undoes_transform(kind: str, values: list[float], probe: float) -> None:
    """Course item 19: predictions come back in plant units."""
    scaler = fit_scaler(kind, np.array(values)[:, None], ("T101",))
    x = np.array([[probe], *[[v] for v in values]])
    back = scaler.inverse(scaler.transform(x))
    size = np.abs(x).max() + abs(scaler.center[0])
    assert np.allclose(back, x, rtol=1e-12, atol=1e-12 * size)
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert again.center.tobytes() == scaler.center.tobytes()
    assert again.scale.tobytes() == scaler.scale.tobytes()
    assert (again.kind, again.names) == (scaler.kind, scaler.names)


@LAWS
@given(rows=st.integers(60, 400), count=st.integers(2, 6), gap=st.integers(0, 4))
def test_blocked_folds_test_every_row_once(rows: int, count: int, gap: int) -> None:
    """Course item 62: together the test parts are the table; the purged rows are never tested rows."""
    made = folds(Table(np.zeros((rows, 1)), (Tag("T101"),)), FoldPlan(kind="blocked", folds=count), gap=gap)
    tested = sum(fold.rows(SplitPart.TEST).astype(int) for fold in made)
    assert (tested == 1).all()
    for fold in made:
        check_distance(fold, gap)


@LAWS
@given(rows=st.integers(200, 400), count=st.integers(2, 6), gap=st.integers(0, 4))
def test_expanding_folds_run_forward_in_time(rows: int, count: int, gap: int) -> None:
    """Course items 60 and 62: training before validation before test, with ever more training rows."""
    made = folds(Table(np.zeros((rows, 1)), (Tag("T101"),)), FoldPlan(folds=count), gap=gap)
    trained = 0
    for fold in made:
        train, validation, test = (np.flatnonzero(fold.rows(part)) for part in PARTS)
        assert train.max() < validation.min() <= validation.max() < test.min()
        assert len(train) > trained
        trained = len(train)
        check_distance(fold, gap)


def check_distance(fold: Split, gap: int) -> None:
    """At least ``gap`` purged rows lie between rows of different parts."""
    named = np.flatnonzero(fold.part != SplitPart.PURGED)
    changes = np.flatnonzero(np.diff(fold.part[named].astype(int)))
    assert (np.diff(named)[changes] > gap).all()


@LAWS
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(30, 300), gap=st.integers(0, 12))
def test_purge_keeps_parts_apart_and_spares_the_judge(seed: int, rows: int, gap: int) -> None:
    """Trap J: the distance between parts is the gap, and no test row is given up."""
    rng = np.random.default_rng(seed)
    stretches = np.repeat(rng.integers(1, 4, size=60), rng.integers(1, 40, size=60))
    codes = np.resize(stretches, rows).astype(np.uint8)
    found = Split(purge(codes, gap=gap))
    check_distance(found, gap)
    assert np.array_equal(found.rows(SplitPart.TEST), codes == SplitPart.TEST)
    assert ((found.part == codes) | (found.part == SplitPart.PURGED)).all()


@LAWS
@given(seed=st.integers(0, 2**32 - 1))
def test_scaling_happens_inside_every_fold(seed: int) -> None:
    """Course item 63: the scalers of a fold do not change when its other rows do."""
    rng = np.random.default_rng(seed)
    table = make_table(rng, 120, holes=0.0, labels=1.0)
    table = Table(table.values.astype(np.float64), table.tags)
    spec = WindowSpec(inputs=("T0", "T1", "T2"), targets=("Q",), lookback=3)
    for fold in folds(table, FoldPlan(folds=3), gap=spec.reach):
        rows = fold.rows(SplitPart.TRAIN)
        wild = table.values.copy()
        wild[~rows] = 1e9
        for one, two in zip(
            fit_scalers(table, spec, rows=rows), fit_scalers(Table(wild, table.tags), spec, rows=rows), strict=True
        ):
            assert one is not None
            assert two is not None
            assert one.center.tobytes() + one.scale.tobytes() == two.center.tobytes() + two.scale.tobytes()


@LAWS
@given(case=cases(), cut=st.integers(0, 89))
def test_the_future_changes_no_window_of_the_past(case: Case, cut: int) -> None:
    """Windows for prediction up to a row are bit-identical whatever comes later."""
    spec = case.spec.without_target()
    cut = min(cut, len(case.table) - 1)
    future = case.table.values.copy()
    future[cut + 1 :] = np.nan
    both = []
    for values in (case.table.values, future):
        table = Table(
            values, case.table.tags, time=case.table.time, batch=case.table.batch, batch_names=case.table.batch_names
        )
        found = windows_of(Case(table, spec, None), SplitPart.TRAIN)
        past = None if found is None else np.flatnonzero(found.origins <= cut)
        both.append(
            b"" if past is None or found is None else found.origins[past].tobytes() + found.gather(past).x.tobytes()
        )
    assert both[0] == both[1]


@LAWS
@given(seed=st.integers(0, 2**32 - 1), holes=st.sampled_from([0.0, 0.05]))
def test_whole_batches_end_with_their_final_quality(seed: int, holes: float) -> None:
    """Course item 17, letter F: one window per whole batch, masked; its target is the last one reported."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, size=12)
    batch = np.repeat(np.arange(12, dtype=np.int32), sizes)
    values = rng.normal(size=(len(batch), 3))
    values[:, :2][rng.random((len(batch), 2)) < holes] = np.nan
    values[rng.random(len(batch)) < 0.6, 2] = np.nan
    table = Table(
        values,
        (Tag("T1"), Tag("T2"), Tag("Q", role="target")),
        batch=batch,
        batch_names=tuple(f"B{i}" for i in range(12)),
    )
    spec = WindowSpec(inputs=("T1", "T2"), targets=("Q",), lookback=None)
    expected = {}
    for code in range(12):
        rows = np.flatnonzero(batch == code)
        labels = rows[np.isfinite(values[rows, 2])]
        if len(rows) > 1 and np.isfinite(values[rows, :2]).all() and len(labels):
            expected[f"B{code}"] = (rows, labels[-1])
    try:
        windows = build_windows(table, spec)
    except InputError:
        assert not expected
        return
    assert windows.batches is not None
    assert windows.batches.tolist() == list(expected)
    assert set(windows.excluded) == set(table.batch_names) - set(expected)
    assert len(windows) + sum(dropped.number for dropped in windows.dropped) == 12
    got = windows.gather(windows.all_indices)
    assert got.mask is not None
    for place, (rows, label) in enumerate(expected.values()):
        assert got.mask[place].tolist() == [True] * len(rows) + [False] * (windows.steps - len(rows))
        assert np.array_equal(got.x[place, : len(rows)], values[rows, :2].astype(np.float32))
        assert not got.x[place, len(rows) :].any()
        assert windows.truth()[place, 0] == values[label, 2]


@LAWS
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(40, 200),
    gap=st.integers(0, 6),
    kind=st.sampled_from(["chronological", "blocked", "batch", "named", "within"]),
)
def test_splits_keep_parts_apart(seed: int, rows: int, gap: int, kind: str) -> None:
    """Course items 60 and 61: every part is there, purged from the others; whole batches stay whole."""
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.choice(np.arange(1, rows), size=7, replace=False))
    batch = np.searchsorted(edges, np.arange(rows), side="right").astype(np.int32)
    table = Table(np.zeros((rows, 1)), (Tag("T101"),), batch=batch, batch_names=tuple("ABCDEFGH"))
    plans = {
        "chronological": SplitPlan(),
        "blocked": SplitPlan(kind="blocked"),
        "batch": SplitPlan(kind="batch"),
        "within": SplitPlan(within="batch"),
        "named": SplitPlan(kind="named", test_batches=("B", "G")),
    }
    try:
        found = split(table, plans[kind], gap=gap)
    except InputError:
        assert gap > 0
        return
    for part in PARTS:
        assert found.count(part)
    named = np.flatnonzero(found.part)
    for left, right in pairwise(named.tolist()):
        if found.part[left] != found.part[right] and batch[left] == batch[right]:
            assert right - left > gap
    if kind in ("batch", "named"):
        assert all(len(set(found.part[batch == code])) == 1 for code in range(8))
        assert found.count(SplitPart.PURGED) == 0
