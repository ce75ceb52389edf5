"""What a search works on: the rows before the test part, divided into folds.

This module cuts the test part off a table before anything else is done with it, so that no trial can see
it, and divides what is left into folds. Which rows are cut is computed from times, batches and the number
of rows alone: no value of the table takes part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.repairing.resample import check_clock, resample
from backmix.data.segments import Mask, Rows
from backmix.data.sources import Reading
from backmix.data.splitting.folds import FoldPlan, folds
from backmix.data.splitting.split import Codes, Split, SplitPart, batch_runs, purge, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.duration import Duration
from backmix.errors import InputError, PlanError
from backmix.folds import noted
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.tasks import Task
from backmix.text import say
from backmix.training.design import design
from backmix.training.plan import Plan
from backmix.training.prepare import check_target, check_uncut
from backmix.training.prepared import Prepared
from backmix.training.sections.space import Range
from backmix.tuning.space import GIVEN, Knob, changed, label_of, open_space, starting_point
from backmix.tuning.trial import TrialJob

LOOKBACK = "windows.lookback"


@dataclass(frozen=True)
class CrossValidation:
    """How the rows of a search are divided again and again.

    inside: whether every batch is divided by itself
    gap: rows between two parts, where the plan names them; else as many as a window reaches over
    """

    plan: FoldPlan
    inside: bool
    gap: Duration | None

    @classmethod
    def of(cls, plan: Plan) -> CrossValidation:
        """As the plan says; "auto" takes whole batches, blocks or an expanding origin as its split does."""
        kind, divided, inside = plan.tune.kind, plan.split, plan.split.within == "batch"
        if kind == "auto":
            by_batch = divided.kind in ("batch", "named") and not inside
            kind = "batch" if by_batch else "blocked" if divided.kind == "blocked" else "expanding"
        return cls(
            FoldPlan(kind=kind, folds=plan.tune.folds, validation=plan.tune.validation),
            inside and kind == "expanding",
            divided.gap,
        )

    @property
    def count(self) -> int:
        """How many folds there are."""
        return self.plan.folds

    @property
    def mend(self) -> str:
        """What to do when a fold is too small."""
        return say("tune.fewer_folds" if self.plan.kind == "expanding" else "tune.more_folds")

    def divide(self, number: int, table: Table, gap: int) -> Split:
        """The parts of fold ``number`` (from 1); ``gap`` is what a window reaches over.

        Raises InputError (windows.split_too_small, windows.too_few_batches).
        """
        gap = gap if self.gap is None else self.gap.rows(table.step)
        if not self.inside:
            return folds(table, self.plan, gap=gap)[number - 1]
        part: Codes = np.zeros(len(table), np.uint8)
        for first, end in batch_runs(table):
            part[first:end] = folds(table.rows(slice(first, end)), self.plan, gap=0)[number - 1].part
        return Split(purge(part, gap=gap, batch=table.batch))


@dataclass(frozen=True, eq=False)
class SearchSetup:
    """Everything before the first trial.

    table: the rows that the search may see; cut: how many rows were kept from it
    judged: per fold the rows that every trial is judged on
    space: what is searched; start: the labels of the plan as it is; left_out: lookbacks that a fold has no
        room for
    """

    plan: Plan
    table: Table
    cut: int
    validation: CrossValidation
    judged: tuple[Rows, ...] = ()
    space: tuple[Knob, ...] = ()
    start: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[Any, ...] = ()

    def job(self, number: int, plan: Plan) -> TrialJob:
        """A plan on fold ``number``, from 1."""
        return TrialJob(
            table=self.table,
            plan=plan,
            number=number,
            rows=(0, len(self.table)),
            divide=partial(self.validation.divide, number),
            judged=self.judged[number - 1] if self.judged else np.empty(0, np.int64),
        )

    def prepared(self, plan: Plan) -> tuple[Prepared, ...]:
        """The windows of every fold, prepared as this plan says; a fault is noted with the number of the fold."""
        return tuple(self._prepared(number, plan) for number in range(1, self.validation.count + 1))

    def _prepared(self, number: int, plan: Plan) -> Prepared:
        with noted(self.note(number, plan)):
            return self.job(number, plan).prepared()

    def note(self, number: int, plan: Plan) -> str:
        """In which fold of which plan something has happened, and what to do when the fold is too small."""
        return say(
            "tune.in_fold" if plan is self.plan else "tune.in_fold_lookback",
            number=number,
            folds=self.validation.count,
            lookback=plan.windows.lookback,
            mend=self.validation.mend,
        )


def set_up_search(reading: Reading, plan: Plan) -> SearchSetup:
    """All that a search of this plan needs before its first trial.

    Raises PlanError, InputError (also where a fold would be too small; a note says which), LeakageError.
    """
    if plan.training.warm_start is not None:
        raise PlanError("tune.warm_start", got=plan.training.warm_start)
    check_target(reading, plan.the_task.targets)
    table = reading.table
    check_uncut(table, plan, Task.of(plan.the_task))
    known = known_rows(table, plan)
    cut = int(len(table) - known.sum())
    setup = SearchSetup(plan=plan, table=_cut(table, known), cut=cut, validation=CrossValidation.of(plan))
    prepared = setup.prepared(plan)
    newest = prepared[-1]
    refuse(audit_run(newest), acknowledged=plan.evaluation.acknowledged)
    chosen = design(newest)
    space = open_space(plan, newest, chosen)
    start = starting_point(space, plan, newest, chosen)
    return _reachable(replace(setup, space=space, start=start, judged=tuple(map(_judged_rows, prepared))))


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
        time_zone=table.time_zone,
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
    rows: Mask = places(table, ends).isin(places(grid, np.asarray(grid.time.view("int64")))[known])
    return rows


def _cut(table: Table, known: Mask) -> Table:
    """The known rows; where there is no clock to show a hole between them, every stretch is a batch of its own."""
    visible = table.rows(known)
    kept = np.flatnonzero(known)
    stretch = np.cumsum(np.diff(kept, prepend=kept[:1] - 1) != 1)
    if table.time is not None or table.batch is not None or not len(kept) or stretch[-1] == 0:
        return visible
    return replace(
        visible,
        batch=stretch.astype(np.int32),
        batch_names=tuple(str(number + 1) for number in range(int(stretch[-1]) + 1)),
    )


def _judged_rows(fold: Prepared) -> Rows:
    return np.asarray(fold.test.target_rows, np.int64)


def _reachable(setup: SearchSetup) -> SearchSetup:
    """Less the lookbacks that a fold has no room for, and judged on rows that windows of all others answer for.

    Were every trial judged on the rows that it has windows for, a long lookback would leave out the first
    rows of every batch, and win or lose by that. A lookback that the plan names itself is not left out but
    refused.
    """
    knob = next((knob for knob in setup.space if knob.name == LOOKBACK), None)
    if knob is None:
        return setup
    judged, left_out = setup.judged, []
    for value in knob.values.samples() if isinstance(knob.values, Range) else knob.values:
        try:
            prepared = setup.prepared(changed(setup.plan, {LOOKBACK: value}))
        except InputError:
            if knob.reason_key == GIVEN:
                raise
            left_out.append(value)
            continue
        judged = tuple(np.intersect1d(rows, _judged_rows(fold)) for rows, fold in zip(judged, prepared, strict=True))
    if not left_out:
        return replace(setup, judged=judged)
    kept = [value for value in knob.values if value not in left_out or label_of(value) == setup.start[LOOKBACK]]
    space = tuple(replace(other, values=tuple(kept)) if other is knob else other for other in setup.space)
    return replace(setup, space=space, judged=judged, left_out=tuple(left_out))
