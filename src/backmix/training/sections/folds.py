"""How a table is divided again and again for a backtest.

This module holds `BacktestPlan`, the ``[backtest]`` section of a plan, and lays out the folds: which rows
teach, which stop the training, which are set aside and which judge. The table of a fold ends with its
test part (but for "batch"), so that nothing behind it can be seen.

Rolling origin with refit: Tashman, International Journal of Forecasting 16 (2000) 437.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from backmix.data.splitting.folds import FoldPlan, folds
from backmix.data.splitting.split import Split, SplitPart, batch_runs, check_order, purged
from backmix.data.table import Table
from backmix.duration import Duration, DurationField
from backmix.errors import InputError
from backmix.section import PlanSection
from backmix.text import say


class BacktestPlan(PlanSection):
    """``[backtest]``: how a plan is tried on several stretches of a table, everything learned anew on each.

    kind: "expanding" learns from all rows before each test part; "sliding" from the last ``window`` rows
        before it; "batch" deals whole batches and learns from all batches but those of the test part
    folds: how many test parts there are
    seeds: how many networks are trained in each fold; the first has the seed of ``[training]``
    first: share of the rows before the first test part; the rest is cut into equal test parts
    window: rows that "sliding" learns from; left out, as many as lie before the first test part
    embargo: rows set aside between training and test part; at least what a window reaches over is
    validation: share of the training rows (or batches), the last of them, that stops the training
    """

    kind: Literal["expanding", "sliding", "batch"] = "expanding"
    folds: int = Field(default=5, ge=2, le=1000)
    seeds: int = Field(default=1, ge=1, le=1000)
    first: float = Field(default=0.5, gt=0, lt=1)
    window: DurationField | None = None
    embargo: DurationField | None = None
    validation: float = Field(default=0.2, gt=0, lt=1)

    @field_validator("window")
    @classmethod
    def _some_rows(cls, value: Any) -> Any:
        if isinstance(value, Duration) and value.empty:
            raise ValueError(say("refit.no_rows", got=value))
        return value

    @model_validator(mode="after")
    def _of_its_kind(self) -> BacktestPlan:
        if self.window is not None and self.kind != "sliding":
            raise ValueError(say("backtest.window_unused", kind=self.kind))
        return self


@dataclass(frozen=True, eq=False)
class FoldLayout:
    """Where the folds lie in a table.

    cuts: the first row of every test part, and the row behind the last one; () for "batch"
    window: rows that "sliding" learns from; None where all rows before the test part teach
    embargo: rows that the plan sets aside before (and, with "batch", behind) each test part
    whole: whether a batch is either taught, tested or set aside, never cut
    """

    plan: BacktestPlan
    cuts: tuple[int, ...]
    window: int | None
    embargo: int
    whole: bool

    @property
    def count(self) -> int:
        """How many folds there are."""
        return self.plan.folds

    def rows(self, number: int, table: Table) -> tuple[int, int]:
        """The rows that fold ``number`` (from 1) may see of the table: first, behind the last."""
        if not self.cuts:
            return 0, len(table)
        low, high = self.cuts[number - 1], self.cuts[number]
        first = 0 if self.window is None else max(0, low - self.window)
        if self.whole and first:
            first = next(end for _, end in batch_runs(table) if end >= first)
        return first, high

    def divide(self, number: int, table: Table, gap: int) -> Split:
        """The parts of fold ``number`` on the rows it may see; ``gap`` rows are purged between two parts.

        Raises InputError (windows.split_too_small, backtest.embargo_too_large).
        """
        if not self.cuts:
            split = folds(table, FoldPlan(kind="batch", folds=self.count, validation=self.plan.validation), gap=gap)[
                number - 1
            ]
            return Split(self._embargoed(table, np.array(split.part)))
        part = np.full(len(table), SplitPart.TRAIN, dtype=np.uint8)
        test = len(table) - (self.cuts[number] - self.cuts[number - 1])
        edge = test - round(self.plan.validation * test)
        if self.whole:
            starts = [first for first, _ in batch_runs(table) if 0 < first < test]
            edge = min(starts, key=lambda first: abs(first - edge), default=0)
        part[edge:test], part[test:] = SplitPart.VALIDATION, SplitPart.TEST
        wanted = {SplitPart.TRAIN, SplitPart.VALIDATION, SplitPart.TEST}
        return Split(self._embargoed(table, purged(table, part, wanted, gap)))

    def _embargoed(self, table: Table, part: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The parts with the embargo of the plan around the test part; it holds across batches, too."""
        if not self.embargo:
            return part
        test = part == SplitPart.TEST
        edges = np.flatnonzero(np.diff(test, prepend=False, append=False))
        near = np.zeros(len(part), bool)
        for first, end in edges.reshape(-1, 2).tolist():
            near[max(0, first - self.embargo) : end + self.embargo] = True
        if self.whole or not self.cuts:
            for first, end in batch_runs(table):
                near[first:end] |= near[first:end].any()
        part = np.where(near & ~test, np.uint8(SplitPart.PURGED), part)
        for code in (SplitPart.TRAIN, SplitPart.VALIDATION):
            if not (part == code).any():
                raise InputError(
                    "backtest.embargo_too_large",
                    where=table.source,
                    embargo=self.embargo,
                    part=say(f"windows.part_{code.name.lower()}"),
                    rows=len(table),
                )
        return part


def lay_out_folds(table: Table, plan: BacktestPlan, *, whole: bool) -> FoldLayout:
    """The folds that a table gives; whole: whether test parts begin and end where batches do.

    Raises InputError (backtest.too_few_rows, windows.too_few_batches, data.no_batches).

    >>> from backmix.data.tag import Tag
    >>> layout = lay_out_folds(Table(np.zeros((80, 1)), (Tag("T101"),)), BacktestPlan(folds=2), whole=False)
    >>> layout.cuts, layout.rows(1, Table(np.zeros((80, 1)), (Tag("T101"),)))
    ((40, 60, 80), (0, 60))
    """

    def size(given: Any) -> int:
        return 0 if given is None else int(given.rows(table.step))

    if plan.kind == "batch":
        folds(table, FoldPlan(kind="batch", folds=plan.folds, validation=plan.validation), gap=0)
        return FoldLayout(plan, (), None, size(plan.embargo), whole=True)
    check_order(table)
    rows = len(table)
    cuts = np.round(np.linspace(plan.first * rows, rows, plan.folds + 1)).astype(int)
    if whole:
        ends = np.array([end for _, end in batch_runs(table)])
        cuts = ends[np.clip(np.searchsorted(ends, cuts), 0, len(ends) - 1)]
    if any(low >= high for low, high in pairwise([0, *cuts.tolist()])):
        raise InputError("backtest.too_few_rows", where=table.source, rows=rows, folds=plan.folds)
    window = None
    if plan.kind == "sliding":
        window = int(cuts[0]) if plan.window is None else size(plan.window)
    return FoldLayout(plan, tuple(cuts.tolist()), window, size(plan.embargo), whole)
