"""Blocks that are held out: every window once, no row on both sides, the validation part one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.ledger import Ledger
from backmix.data.reading.reading import Reading
from backmix.data.splitting.split import SplitPart, rejoined
from backmix.data.windows.reach import reaches
from backmix.data.windows.windows import Windows
from backmix.simple.blocks import block_windows
from backmix.training.blocks import pool, pooled
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from small import small_batches, small_plan, small_table, small_task


def ready(table: object, plan: object) -> Prepared:
    return prepare(Reading(table=table, ledger=Ledger(read=len(table))), plan)  # type: ignore[arg-type]


def rows_of(windows: Windows) -> set[int]:
    """All rows that windows look at, counted one by one."""
    low, last = reaches(windows)
    found = set(np.asarray(windows.target_rows).tolist())
    for first, end in zip(low.tolist(), last.tolist(), strict=True):
        found |= set(range(first, end + 1))
    return found


@settings(max_examples=15, deadline=None)
@given(lookback=st.integers(1, 12), dead=st.integers(0, 3), delay=st.integers(1, 5), count=st.integers(3, 7))
def test_every_window_is_held_out_once_and_shares_no_row_with_what_teaches(
    lookback: int, dead: int, delay: int, count: int
) -> None:
    plan = small_plan(
        windows={"lookback": lookback, "dead_time": dead},
        task={"kind": "soft_sensor", "target": "quality", "past_targets": {"delay": delay}},
    )
    train, validation = pool(ready(small_table(), plan))
    blocks = block_windows(train, validation, count=count)
    assert blocks is not None
    held = np.concatenate([block.indices for block in blocks.blocks])
    assert sorted(held.tolist()) == list(range(len(blocks.pool)))
    np.testing.assert_array_equal(blocks.blocks[-1].held_out.origins, validation.origins)
    for block in blocks.blocks:
        assert not rows_of(block.teach) & rows_of(block.held_out)
        assert len(block.teach) >= 0.2 * len(blocks.pool)


def test_blocks_are_fewer_where_they_would_be_small_or_leave_little_to_teach() -> None:
    """Ten windows in each, and a fifth of all windows that share no row with the one that is held out."""
    few = ready(small_table(90), small_plan(windows={"lookback": 3}))
    blocks = block_windows(*pool(few), count=12)
    assert blocks is not None
    assert 3 < len(blocks) < 12
    assert min(len(block.held_out) for block in blocks.blocks) >= 10
    halves = {"train": 0.5, "validation": 0.4, "test": 0.1}
    for lookback, enough in ((60, True), (90, False)):
        long = ready(small_table(), small_plan(windows={"lookback": lookback}, split=halves))
        assert (block_windows(*pool(long), count=12) is not None) == enough


def test_what_was_purged_between_training_and_validation_teaches_too_and_nothing_near_the_test_part() -> None:
    prepared = ready(small_table(), small_plan())
    every = pooled(prepared)
    assert len(every) > len(prepared.train) + len(prepared.validation)
    assert not rows_of(every) & rows_of(prepared.test)
    targets = np.asarray(every.target_rows)
    assert len(set(targets.tolist())) == len(targets)
    assert sorted(targets.tolist()) == list(range(targets.min(), targets.max() + 1))


def test_batches_are_held_out_whole_where_there_are_enough() -> None:
    _, plan = small_task("batch_quality")
    train, validation = pool(ready(small_batches(24), plan))
    blocks = block_windows(train, validation, count=4)
    assert blocks is not None
    assert blocks.whole
    assert len(blocks) == 4
    batch = np.asarray(train.table.batch)
    for block in blocks.blocks:
        assert not set(batch[block.teach.origins]) & set(batch[block.held_out.origins])


def test_few_batches_make_fewer_blocks_or_none() -> None:
    _, plan = small_task("batch_quality")
    train, validation = pool(ready(small_batches(15), plan))
    blocks = block_windows(train, validation, count=9)
    assert blocks is not None
    assert len(blocks) < 9
    assert block_windows(train.subset(np.arange(1)), validation, count=5) is None


def test_runs_of_one_class_each_are_cut_in_time_so_that_no_class_is_missing() -> None:
    """As many runs as classes, one class a run: held out whole, a class would have nothing to learn from."""
    table = small_table(rows=420, classes=True)
    run = (np.arange(420) // 35).astype(np.int32)
    names = tuple(f"R{n}" for n in range(12))
    from dataclasses import replace

    split = {"kind": "chronological", "within": "batch"}
    prepared = ready(
        replace(table, batch=run, batch_names=names), small_plan(classes=True, split=split, windows={"lookback": 2})
    )
    train, validation = pool(prepared)
    blocks = block_windows(
        train.subset(np.isin(run[train.origins], [0, 1, 2])),
        validation.subset(np.isin(run[validation.origins], [0, 1, 2])),
        count=3,
    )
    assert blocks is not None
    assert not blocks.whole
    assert all(len(np.unique(block.teach.truth())) == 3 for block in blocks.blocks)
    enough, few = block_windows(train, validation, count=5), block_windows(train, validation, count=6)
    assert enough is not None
    assert few is not None
    assert enough.whole  # twelve runs, four of each class, for four blocks beside the validation part
    assert not few.whole  # but not for five


@pytest.mark.parametrize(
    ("part", "batch", "wanted"),
    [
        ([1, 0, 2, 0, 3], None, [1, 1, 1, 0, 3]),
        ([1, 0, 0, 2], [0, 0, 1, 1], [1, 0, 0, 1]),
        ([0, 1, 0, 1, 0], None, [0, 1, 0, 1, 0]),
        ([1, 0, 2, 0, 2], None, [1, 1, 1, 0, 1]),
        ([2, 0, 3, 0, 1], None, [1, 0, 3, 0, 1]),
        ([], None, []),
    ],
)
def test_rejoined_parts(part: list[int], batch: list[int] | None, wanted: list[int]) -> None:
    codes = None if batch is None else np.array(batch, np.int32)
    found = rejoined(np.array(part, np.uint8), batch=codes)
    assert found.tolist() == wanted
    assert not (found == SplitPart.VALIDATION).any()
