"""Splits and folds by example; the laws are in tests/laws/test_windows_laws.py."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from backmix.data import segments
from backmix.data.splitting.folds import FoldPlan, folds
from backmix.data.splitting.split import Split, SplitPart, SplitPlan, purge, rejoined, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError, PlanError

P, T, V, E = SplitPart.PURGED, SplitPart.TRAIN, SplitPart.VALIDATION, SplitPart.TEST


def rows(count: int) -> Table:
    return Table(np.zeros((count, 1)), (Tag("T101"),))


def batches(*sizes: int) -> Table:
    """Batches A, B, C, ... of these sizes."""
    code = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    names = tuple("ABCDEFGHIJ"[: len(sizes)])
    return Table(np.zeros((sum(sizes), 1)), (Tag("T101"),), batch=code, batch_names=names)


@st.composite
def stretches(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """The part and the batch of each row: stretches of 1 to 8 rows, also shorter than a gap."""
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=8))
    codes = draw(st.lists(st.sampled_from([T, V, E]), min_size=len(sizes), max_size=len(sizes)))
    part = np.repeat(np.array(codes, np.uint8), sizes)
    cuts = sorted(draw(st.lists(st.integers(0, len(part)), max_size=2)))
    return part, np.searchsorted(cuts, np.arange(len(part)), side="right").astype(np.int32)


@settings(max_examples=100, deadline=None)
@given(stretches(), st.integers(0, 6), st.booleans())
def test_law_a_row_is_purged_where_a_row_that_judges_more_is_near(
    rows_of: tuple[np.ndarray, np.ndarray], gap: int, batches: bool
) -> None:
    """Against the definition: within ``gap`` rows of one of a part that judges more, in the same batch; no other."""
    part, batch = rows_of
    want = part.copy()
    for row, code in enumerate(part):
        near = range(max(0, row - gap), min(len(part), row + gap + 1))
        if any(part[other] > code and (not batches or batch[other] == batch[row]) for other in near):
            want[row] = P
    found = purge(part, gap=gap, batch=batch if batches else None)
    assert found.tolist() == want.tolist()
    assert (found == E).tolist() == (part == E).tolist()  # the part that judges keeps every row it was promised


@settings(max_examples=100, deadline=None)
@given(stretches(), st.integers(0, 4), st.data())
def test_law_rejoined_takes_back_what_was_purged_between_training_and_validation(
    rows_of: tuple[np.ndarray, np.ndarray], gap: int, data: Any
) -> None:
    """Row by row: validation trains, and so does what lies between the two in one batch; nothing else changes."""
    whole, batch = rows_of
    part = purge(whole, gap=gap, batch=batch)
    left_out = data.draw(st.lists(st.integers(0, len(part) - 1), max_size=3))
    part[left_out] = P
    want = np.where(part == V, T, part)
    for row in np.flatnonzero(part == P):
        before = next((r for r in range(row, -1, -1) if part[r] != P), None)
        after = next((r for r in range(row, len(part)) if part[r] != P), None)
        if before is not None and after is not None and batch[before] == batch[after]:
            want[row] = T if {part[before], part[after]} == {T, V} else P
    assert rejoined(part, batch=batch).tolist() == want.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_law_a_purged_row_serves_the_next_row_that_has_a_part(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row by row, also across the borders of blocks."""
    monkeypatch.setattr(segments, "BLOCK", 3)
    part = np.random.default_rng(seed).choice([P, P, P, T, V, E], size=30).astype(np.uint8)
    want = [next((code for code in part[row:] if code != P), P) for row in range(30)]
    assert Split(part).owner.tolist() == want


def test_chronological_parts_follow_one_another() -> None:
    """Course items 60 and 61: train, then validation, then test; the gap comes out of the earlier part."""
    found = split(rows(20), SplitPlan(), gap=2)
    assert found.part.tolist() == [T] * 10 + [P] * 2 + [V] * 2 + [P] * 2 + [E] * 4
    assert found.count(SplitPart.TEST) == 4
    assert found.rows(SplitPart.TRAIN).sum() == 10


def test_purged_rows_serve_the_part_behind_them() -> None:
    """Trap J: a run-up belongs to one part only; rows purged at the very end to none."""
    found = Split(np.array([T, P, V, P, P, E, P], np.uint8))
    assert found.owner.tolist() == [T, V, V, E, E, E, P]


def test_exact_cuts_of_a_published_protocol() -> None:
    """The debutanizer's 1-1200 / -1600 / -2390 of 2394 rows, counted from 1."""
    plan = SplitPlan(train_rows=1200, validation_rows=1600, test_rows=2390)
    found = split(rows(2394), plan, gap=0)
    assert [found.count(part) for part in SplitPart] == [4, 1200, 400, 790]
    assert np.flatnonzero(found.rows(SplitPart.TEST))[[0, -1]].tolist() == [1600, 2389]
    open_end = split(rows(2394), SplitPlan(train_rows=1200, validation_rows=1600), gap=0)
    assert open_end.count(SplitPart.TEST) == 794


def test_the_gap_of_the_plan_wins() -> None:
    """A plan may purge more, or nothing; windows keep apart all the same."""
    assert split(rows(20), SplitPlan(gap=0), gap=5).count(SplitPart.PURGED) == 0
    assert split(rows(50), SplitPlan(gap="3 rows"), gap=5).count(SplitPart.PURGED) == 6


def test_whole_batches_are_dealt_in_their_order() -> None:
    """Course item 16: no batch is cut, nothing is purged between batches."""
    found = split(batches(3, 3, 3, 3, 3), SplitPlan(kind="batch"), gap=9)
    assert found.part.tolist() == [T] * 9 + [V] * 3 + [E] * 3
    tiny = split(batches(2, 2, 2), SplitPlan(kind="batch", train=0.9, validation=0.05, test=0.05), gap=0)
    assert tiny.part.tolist() == [T, T, V, V, E, E]


def test_named_batches_judge() -> None:
    """The rest trains; validation is named too, or the last batches, or the tail of every batch."""
    table = batches(4, 4, 4, 4)
    named = split(table, SplitPlan(kind="named", test_batches=("B",), validation_batches=("A",)), gap=1)
    assert named.part.tolist() == [V] * 4 + [E] * 4 + [T] * 8
    last = split(table, SplitPlan(kind="named", test_batches=("B",)), gap=1)
    assert last.part.tolist() == [T] * 4 + [E] * 4 + [T] * 4 + [V] * 4
    tails = split(table, SplitPlan(kind="named", test_batches=("D",), within="batch"), gap=1)
    assert tails.part.tolist() == [T, T, P, V] * 3 + [E] * 4
    with pytest.raises(InputError, match="no batch is called 'Z'"):
        split(table, SplitPlan(kind="named", test_batches=("Z",)), gap=0)


def test_patterns_name_batches() -> None:
    table = replace(batches(4, 4, 4, 4), batch_names=("test_1", "train_1", "test_2", "[a]"))
    for section in (
        {"test": "test_*", "validation": "train_?"},
        {"kind": "named", "test_batches": ["test_*"], "validation_batches": ["train_1"]},
    ):
        part = split(table, SplitPlan.model_validate(section), gap=0).part
        assert part.tolist() == [E] * 4 + [V] * 4 + [E] * 4 + [T] * 4
    exact = split(table, SplitPlan.model_validate({"test": "[a]"}), gap=0)
    assert exact.part.tolist()[-4:] == [E] * 4
    with pytest.raises(InputError, match=r"'tets_\*' or matches it as a pattern. Did you mean 'test_"):
        split(table, SplitPlan.model_validate({"test": "tets_*"}), gap=0)
    with pytest.raises(PlanError, match="test_1, test_2 are named for validation and for test"):
        split(table, SplitPlan.model_validate({"test": "test_*", "validation": "t*_*"}), gap=0)
    with pytest.raises(ValidationError, match="belong together"):
        SplitPlan.model_validate({"kind": "batch", "test": "test_*"})


def test_every_batch_can_be_cut_in_itself() -> None:
    """A fault that runs in a single file is trained on, chosen on and tested on in its own time."""
    found = split(batches(10, 5), SplitPlan(within="batch"), gap=1)
    assert found.part.tolist() == [T] * 5 + [P, V, P, E, E] + [T, T, P, P, E]


def test_blocks_are_spread_over_time() -> None:
    """A plant that drifts: every part has stretches from all of the time, purged on both sides."""
    found = split(rows(100), SplitPlan(kind="blocked"), gap=2)
    order = [SplitPart(code) for code in found.part[5::10]]
    assert order == [T, V, T, E, T, T, V, T, E, T]
    assert found.count(SplitPart.TEST) == 20
    assert found.part[40:42].tolist() == [P, P]  # behind a test block the training part gives way


def test_time_that_does_not_run_forward_cannot_be_cut_by_rows() -> None:
    """Course item 60: batches that overlap in time are no chronological table."""
    table = batches(5, 5)
    time = np.datetime64("2024-01-01", "ns") + np.tile(np.arange(5), 2) * np.timedelta64(60, "s")
    table = Table(table.values, table.tags, time=time, batch=table.batch, batch_names=table.batch_names)
    with pytest.raises(PlanError) as caught:
        split(table, SplitPlan(), gap=0)
    assert str(caught.value) == (
        "table — time does not run forward over the whole table (batches overlap), so a cut by rows would "
        'not be a cut in time. Use [split] kind = "batch", or within = "batch"'
    )
    with pytest.raises(PlanError, match="time does not run forward"):
        folds(table, FoldPlan(folds=2), gap=0)
    assert split(table, SplitPlan(within="batch"), gap=0).count(SplitPart.TEST) == 2


@pytest.mark.parametrize("back", range(1, 12))
def test_time_that_runs_back_is_seen_on_every_row(back: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where two blocks of rows meet."""
    monkeypatch.setattr(segments, "BLOCK", 4)
    clock = np.arange(12)
    clock[back:] -= 2
    time = np.datetime64("2024-01-01", "ns") + clock * np.timedelta64(60, "s")
    with pytest.raises(PlanError, match="time does not run forward"):
        split(Table(np.zeros((12, 1)), (Tag("T101"),), time=time), SplitPlan(), gap=0)


@pytest.mark.parametrize("part", ["training", "validation", "test"])
def test_a_part_without_rows_is_refused(part: str) -> None:
    """A share above 0 is a promise."""
    shares = {"training": (0.02, 0.49, 0.49), "validation": (0.6, 0.02, 0.38), "test": (0.6, 0.38, 0.02)}[part]
    plan = SplitPlan(train=shares[0], validation=shares[1], test=shares[2])
    with pytest.raises(InputError, match=f"{part} part"):
        split(rows(20), plan, gap=0)
    nothing = SplitPlan(train=0.6, validation=0.4, test=0)
    assert split(rows(20), nothing, gap=0).count(SplitPart.TEST) == 0


def test_expanding_folds() -> None:
    """Course item 62: each fold trains on all that came before its test stretch."""
    found = folds(rows(12), FoldPlan(folds=3, validation=0), gap=1)
    assert [fold.part.tolist() for fold in found] == [
        [T, T, P, E, E, E] + [P] * 6,
        [T] * 5 + [P, E, E, E] + [P] * 3,
        [T] * 8 + [P, E, E, E],
    ]


def test_blocked_folds() -> None:
    """Course item 62: training before and behind each test stretch, purged on both sides."""
    found = folds(rows(9), FoldPlan(kind="blocked", folds=3, validation=0), gap=1)
    assert [fold.part.tolist() for fold in found] == [
        [E, E, E, P, T, T, T, T, T],
        [T, T, P, E, E, E, P, T, T],
        [T, T, T, T, T, P, E, E, E],
    ]


def test_leave_one_batch_out() -> None:
    """Course item 62: as many folds as batches."""
    found = folds(batches(2, 2, 2), FoldPlan(kind="batch", folds=3, validation=0.4), gap=5)
    assert [fold.part.tolist() for fold in found] == [[E, E, T, T, V, V], [T, T, E, E, V, V], [T, T, V, V, E, E]]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"train": 0.5}, "train + validation + test is 0.9. Make the shares add up to 1"),
        (
            {"train_rows": 10, "validation_rows": 5},
            "train_rows, validation_rows and test_rows are the last row of each part and must rise, got 10, 5",
        ),
        ({"validation_rows": 5}, "row cuts start with train_rows. Name the last training row: train_rows = 1200"),
        ({"kind": "named"}, 'kind "named" and test_batches belong together. Give both, or neither'),
        ({"kind": "named", "test_batches": ["A", "A"]}, "a batch is named twice among A, A. Name each once"),
        (
            {"kind": "named", "test_batches": ["A"], "validation_batches": ["A"]},
            "batches A are named for validation and for test. A batch belongs to one part",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(section: dict[str, object], message: str) -> None:
    """The fault says how to mend it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        SplitPlan.model_validate(section)


def test_cuts_beyond_the_table() -> None:
    """The message names the last cut that fits."""
    with pytest.raises(PlanError) as caught:
        split(rows(100), SplitPlan(train_rows=50, validation_rows=120), gap=0)
    assert str(caught.value) == ("table — the split is cut at row 120, but the table has 100 rows. Use a cut <= 100")
