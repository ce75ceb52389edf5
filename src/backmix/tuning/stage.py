"""What a search works on: the rows before the test part, divided into folds.

This module cuts the test part off a table before anything else is done with it, so that no trial can see
it, and divides what is left into folds. Which rows are cut is computed from times, batches and the number
of rows alone: no value of the table takes part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.folds import FoldPlan, folds
from backmix.data.ledger import Ledger
from backmix.data.resample import check_clock, resample
from backmix.data.segments import Mask, Rows
from backmix.data.sources import Reading
from backmix.data.split import Codes, Split, SplitPart, batch_runs, purge, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.duration import Duration
from backmix.errors import BackmixError, InputError, PlanError
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.tasks import Task
from backmix.text import say
from backmix.training.design import design
from backmix.training.plan import Plan
from backmix.training.prepare import Prepared, check_target, check_uncut, prepare
from backmix.training.sections.space import GIVEN, Knob, Range, changed, label_of, open_space, starting_point

LOOKBACK = "windows.lookback"


@dataclass(frozen=True, eq=False)
class Stage:
    """Everything before the first trial.

    table: the rows that the search may see; cut: how many rows were kept from it
    dividing: how folds are cut; inside: whether every batch is cut by itself
    judged: per fold the rows that every trial is judged on
    space: what is searched; start: the labels of the plan as it is; left_out: lookbacks that a fold has no
        room for
    """

    plan: Plan
    table: Table
    cut: int
    dividing: FoldPlan
    inside: bool
    judged: tuple[Rows, ...]
    space: tuple[Knob, ...]
    start: Mapping[str, Any]
    left_out: tuple[Any, ...] = ()

    @property
    def mend(self) -> str:
        """What to do when a fold is too small."""
        return say("tune.fewer_folds" if self.dividing.kind == "expanding" else "tune.more_folds")

    def prepared(self, number: int, plan: Plan) -> Prepared:
        """The windows of fold ``number`` (from 0), prepared as this plan says, with scalers of its own."""
        return prepare_fold(self.table, plan, self.dividing, number, inside=self.inside)


def set_stage(reading: Reading, plan: Plan) -> Stage:
    """The stage for a plan and its table.

    Raises PlanError, InputError (also where a fold would be too small; a note says which), LeakageError.
    """
    if plan.training.warm_start is not None:
        raise PlanError("tune.warm_start", got=plan.training.warm_start)
    check_target(reading, plan.the_task.targets)
    table = reading.table
    check_uncut(table, plan, Task.of(plan.the_task))
    known = known_rows(table, plan)
    seen = _cut(table, known)
    dividing, inside = _dividing(plan)
    first = Stage(
        plan=plan,
        table=seen,
        cut=int(len(table) - known.sum()),
        dividing=dividing,
        inside=inside,
        judged=(),
        space=(),
        start={},
    )
    folds_now = [_noted(first, number, plan) for number in range(dividing.folds)]
    last = folds_now[-1]
    refuse(audit_run(last), acknowledged=plan.evaluation.acknowledged)
    chosen = design(last)
    space = open_space(plan, last, chosen)
    start = starting_point(space, plan, last, chosen)
    judged = [_judged_rows(fold) for fold in folds_now]
    return _reachable(replace(first, space=space, start=start, judged=tuple(judged)))


def known_rows(table: Table, plan: Plan) -> Mask:
    """(N,) the rows that a search may see: training and validation part, nothing of the test part or behind it.

    >>> from backmix.data.tag import Tag
    >>> known_rows(Table(np.zeros((10, 1)), (Tag("T101"),)), Plan()).astype(int).tolist()
    [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    """
    bare = Table(
        np.zeros((len(table), 1)),
        (Tag("row"),),
        time=table.time,
        batch=table.batch,
        batch_names=table.batch_names,
        source=table.source,
    )
    check_clock(bare, plan.repair)
    grid = resample(bare, plan.repair).table
    unpurged = plan.split.model_copy(update={"gap": Duration.parse(0)})
    part = split(grid, unpurged, gap=0).part
    known: Mask = (part == SplitPart.TRAIN) | (part == SplitPart.VALIDATION)
    if plan.repair.resample is None:
        return known
    return _of_rows(table, grid, known, plan.repair.resample)


def _of_rows(table: Table, grid: Table, known: Mask, step: Duration) -> Mask:
    """(N,) the rows whose stretch of the grid is known."""
    import pandas as pd

    def places(of: Table, time: NDArray[np.int64]) -> pd.MultiIndex:
        batch = np.zeros(len(of), np.int32) if of.batch is None else of.batch
        return pd.MultiIndex.from_arrays([np.asarray(batch), time])

    assert table.time is not None
    assert grid.time is not None
    assert step.seconds is not None
    length = round(step.seconds * 1e9)
    ends = -(-table.time.view("int64") // length) * length  # rows are labelled by the end of their stretch
    found: Mask = places(table, ends).isin(places(grid, np.asarray(grid.time.view("int64")))[known])
    return found


def _cut(table: Table, known: Mask) -> Table:
    """The known rows; where there is no clock to show a hole between them, every stretch is a batch of its own."""
    seen = table.rows(known)
    kept = np.flatnonzero(known)
    stretch = np.cumsum(np.diff(kept, prepend=kept[:1] - 1) != 1)
    if table.time is not None or table.batch is not None or not len(kept) or stretch[-1] == 0:
        return seen
    return replace(
        seen,
        batch=stretch.astype(np.int32),
        batch_names=tuple(str(number + 1) for number in range(int(stretch[-1]) + 1)),
    )


def _dividing(plan: Plan) -> tuple[FoldPlan, bool]:
    """How the folds are cut, and whether inside every batch."""
    kind, cut, inside = plan.tune.kind, plan.split, plan.split.within == "batch"
    if kind == "auto":
        by_batch = cut.kind in ("batch", "named") and not inside
        kind = "batch" if by_batch else "blocked" if cut.kind == "blocked" else "expanding"
    return FoldPlan(kind=kind, folds=plan.tune.folds), inside and kind == "expanding"


def prepare_fold(table: Table, plan: Plan, dividing: FoldPlan, number: int, *, inside: bool) -> Prepared:
    """The windows of one fold: repair rules, lookback and scalers are learned from its own training rows."""
    named = plan.split.gap

    def divide(table: Table, gap: int) -> Split:
        return _fold(dividing, number, inside, table, gap if named is None else named.rows(table.step))

    return prepare(Reading(table, Ledger(read=len(table))), plan, divide=divide)


def _fold(dividing: FoldPlan, number: int, inside: bool, table: Table, gap: int) -> Split:
    if not inside:
        return folds(table, dividing, gap=gap)[number]
    part: Codes = np.zeros(len(table), np.uint8)
    for first, end in batch_runs(table):
        part[first:end] = folds(table.rows(slice(first, end)), dividing, gap=0)[number].part
    return Split(purge(part, gap=gap, batch=table.batch))


def _noted(stage: Stage, number: int, plan: Plan) -> Prepared:
    """The windows of a fold; what is wrong with it is said with the number of the fold."""
    try:
        return stage.prepared(number, plan)
    except BackmixError as fault:
        key = "tune.in_fold" if plan is stage.plan else "tune.in_fold_lookback"
        fault.add_note(
            say(key, number=number + 1, folds=stage.dividing.folds, lookback=plan.windows.lookback, mend=stage.mend)
        )
        raise


def _judged_rows(fold: Prepared) -> Rows:
    return np.asarray(fold.test.target_rows, np.int64)


def _reachable(stage: Stage) -> Stage:
    """The stage less lookbacks that a fold has no room for, and with the rows that windows of all others answer for.

    Were every trial judged on the rows that it has windows for, a long lookback would leave out the first
    rows of every batch, and win or lose by that. A lookback that the plan names itself is not left out but
    refused.
    """
    knob = next((knob for knob in stage.space if knob.name == LOOKBACK), None)
    if knob is None:
        return stage
    judged, left_out = stage.judged, []
    for value in knob.values.samples() if isinstance(knob.values, Range) else knob.values:
        plan = changed(stage.plan, {LOOKBACK: value})
        try:
            folds_then = [_noted(stage, number, plan) for number in range(stage.dividing.folds)]
        except InputError:
            if knob.reason_key == GIVEN:
                raise
            left_out.append(value)
            continue
        judged = tuple(np.intersect1d(old, _judged_rows(new)) for old, new in zip(judged, folds_then, strict=True))
    kept = (
        [value for value in knob.values if value not in left_out or label_of(value) == stage.start[LOOKBACK]]
        if left_out
        else knob.values
    )
    space = tuple(replace(one, values=tuple(kept)) if one is knob and left_out else one for one in stage.space)
    return replace(stage, space=space, judged=judged, left_out=tuple(left_out))
