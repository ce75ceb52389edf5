"""Which rows a search may see: computed without a value of the table, for every kind of split, task and clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from backmix.data.splitting.split import SplitPart
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError, PlanError
from backmix.tasks import tasks
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from backmix.tuning.setup import known_rows, set_up_search
from small import reading, small_batches, small_plan, small_table, small_task

MINUTE = 60 * 10**9


def batched(rows: int = 420, size: int = 30) -> Table:
    batch = (np.arange(rows) // size).astype(np.int32)
    return replace(small_table(rows), batch=batch, batch_names=tuple(f"B{n}" for n in range(batch[-1] + 1)))


SPLITS: dict[str, tuple[Table, dict[str, Any]]] = {
    "chronological": (small_table(), {}),
    "rows": (small_table(), {"train_rows": 200, "validation_rows": 280, "test_rows": 400}),
    "batches": (batched(), {"kind": "batch"}),
    "named": (batched(), {"kind": "named", "test_batches": ["B3", "B9"]}),
    "inside batches": (batched(840, 210), {"within": "batch"}),
    "blocked": (small_table(600), {"kind": "blocked", "blocks": 5}),
}


@pytest.mark.parametrize("name", SPLITS)
def test_the_rows_that_are_cut_are_those_that_a_run_judges_on(name: str) -> None:
    """An independent reference: the parts of the run itself, which purges where the search cuts."""
    table, cut = SPLITS[name]
    plan = small_plan(split=cut, tune={"folds": 2})
    known = known_rows(table, plan)
    parts = prepare(reading(table), plan).split
    assert not (known & parts.rows(SplitPart.TEST)).any()
    assert known[parts.rows(SplitPart.TRAIN) | parts.rows(SplitPart.VALIDATION)].all()
    if "test_rows" in cut:
        assert not known[cut["validation_rows"] :].any(), "what lies behind the test part is the future as well"
    ready = set_up_search(reading(table), plan)
    assert len(ready.table) == known.sum()
    assert ready.cut == (~known).sum()


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_value_of_the_test_part_takes_part_in_the_cut(data: st.DataObject) -> None:
    """Also with resampling, where rows of the plan's grid are made of several rows of the table."""
    rows = data.draw(st.integers(40, 120))
    steps = data.draw(st.lists(st.integers(1, 3), min_size=rows, max_size=rows))
    time = (np.datetime64("2026-03-01", "ns").view("int64") + np.cumsum(steps) * MINUTE).view("datetime64[ns]")
    batch = np.sort(np.array(data.draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows)), dtype=np.int32))
    codes = np.unique(batch, return_inverse=True)[1].astype(np.int32)
    table = Table(
        np.random.default_rng(0).normal(size=(rows, 2)),
        (Tag("T101"), Tag("quality", role="target")),
        time=time,
        batch=codes,
        batch_names=tuple("abc"[: codes.max() + 1]),
    )
    cut = data.draw(st.sampled_from([{}, {"within": "batch"}, {"train": 0.5, "validation": 0.2, "test": 0.3}]))
    step = data.draw(st.sampled_from(["5min", "7min", "12min"]))
    plan = Plan.check(
        {"task": {"kind": "soft_sensor", "target": "quality"}, "split": cut, "repair": {"resample": step}}
    )
    try:
        known = known_rows(table, plan)
    except InputError as fault:
        if fault.key != "windows.split_empty":
            raise
        reject()  # a coarse grid leaves a few rows, which make no three parts
    assert known.any()
    assert not known.all()
    garbage = replace(table, values=np.where(known[:, None], table.values, np.inf))
    np.testing.assert_array_equal(known_rows(garbage, plan), known)
    if not cut:
        assert (np.diff(known.astype(int)) <= 0).all(), "a cut in time order keeps the first rows"
    ends = -(-table.time.view("int64") // (int(step.removesuffix("min")) * MINUTE))  # type: ignore[union-attr]
    for code in range(codes.max() + 1):
        mine = codes == code
        both = set(ends[mine & known].tolist()) & set(ends[mine & ~known].tolist())
        assert not both, "a row of the grid is seen whole or not at all"


def test_where_there_is_no_clock_a_hole_is_not_crossed() -> None:
    table = replace(small_table(600), time=None)
    plan = small_plan(
        split={"kind": "blocked", "blocks": 5, "train": 0.4, "validation": 0.2, "test": 0.4}, tune={"folds": 2}
    )
    known = known_rows(table, plan)
    seen = set_up_search(reading(table), plan)
    pieces = 1 + int((np.diff(np.flatnonzero(known)) > 1).sum())
    assert pieces > 1
    assert seen.table.batch is not None
    assert seen.table.batch.max() + 1 == pieces
    for number in (1, 2):
        windows = seen.job(number, plan).prepared().test
        first = windows.origins - 5
        assert (seen.table.batch[first] == seen.table.batch[windows.origins]).all()


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_has_folds(name: str) -> None:
    table, plan = small_task(name)
    # folds ask for more rows than a run does
    classes = "state" in table.names
    table = small_batches(40) if table.batch is not None else small_table(1600, classes=classes)
    ready = set_up_search(reading(table), plan.merged({"tune": {"folds": 2}}))
    assert len(ready.judged) == 2
    assert all(len(rows) for rows in ready.judged)
    assert ready.validation.plan.kind == ("batch" if table.batch is not None else "expanding")
    for number, rows in enumerate(ready.judged, start=1):
        fold = ready.job(number, plan).prepared()
        taught = {*fold.train.target_rows.tolist(), *fold.validation.target_rows.tolist()}
        assert taught.isdisjoint(rows.tolist())
    if table.batch is not None:
        code = np.asarray(ready.table.batch)
        assert {*code[ready.judged[0]]}.isdisjoint({*code[ready.judged[1]]})


def test_inside_batches_every_batch_is_cut_into_the_same_folds() -> None:
    table = batched(1200, 300)
    plan = small_plan(split={"within": "batch"}, tune={"folds": 3})
    ready = set_up_search(reading(table), plan)
    code = np.asarray(ready.table.batch)
    for number, rows in enumerate(ready.judged):
        assert {*code[rows]} == {0, 1, 2, 3}
        place = rows % 240
        assert place.min() >= 60 * (number + 1)
        assert place.max() < 60 * (number + 2)


def test_a_split_that_cuts_batches_which_only_know_their_target_at_the_end_is_refused() -> None:
    plan = Plan.check({"task": {"kind": "batch_end_time"}})
    with pytest.raises(PlanError) as fault:
        set_up_search(reading(small_batches()), plan)
    assert fault.value.key == "prepare.cut_batches"
