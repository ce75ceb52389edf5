"""How a table is played forward, round by round.

This module holds `RefitPlan`, the ``[refit]`` section of a plan, and lays out the rounds: where old
rows end, where stretches begin, which rows a challenger learns from and which measure what it has
forgotten. The challenger of round k is trained at the end of stretch k and judged on stretch k + 1; whatever
it does is computed from the rows before the end of that stretch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from backmix.data.segments import Mask
from backmix.data.splitting.split import Codes, Split, SplitPart, batch_runs, purge
from backmix.data.table import Table
from backmix.data.windows.form import WindowSpec
from backmix.duration import Duration, DurationField
from backmix.errors import InputError
from backmix.section import PlanSection
from backmix.text import say

USUAL_STRETCHES = 6
"""Stretches that the new rows are cut into when the plan does not say how long one is."""
BLOCK_REACHES = 4
"""A block of replayed rows is so many windows long, so that most of its windows have no run-up outside."""
LEAST = 10
"""Windows that each part of a round needs at least, as in any training."""


class RefitPlan(PlanSection):
    """``[refit]``: how a model in charge is challenged as time goes on.

    champion: the bundle that is in charge first (path from the plan's folder); left out, one is trained
        on the ``first`` share of the rows
    every: rows between two decisions; "auto" cuts the new rows into six stretches
    window: rows that a challenger learns from, the newest; left out, one stretch
    start: challengers go on from the champion's weights, or begin fresh with scalers of their own
    replay: share of a challenger's training rows that is taken from the old ones, against forgetting
    bound: how much larger the error on held-out old rows may be than that of the first champion; "none"
        where old behaviour will not return, because the plant itself has changed
    held: share of the old rows (the last of them) that is held out to measure that
    validation: share of a challenger's window (the last of it) that stops its training
    rounds: at most so many
    """

    champion: str | None = None
    first: float = Field(default=0.5, gt=0, lt=1)
    every: DurationField | Literal["auto"] = "auto"
    window: DurationField | None = None
    start: Literal["warm", "fresh"] = "warm"
    replay: float = Field(default=0.3, ge=0, lt=1)
    bound: float | Literal["none"] = 0.1
    held: float = Field(default=0.2, gt=0, lt=1)
    validation: float = Field(default=0.2, gt=0, lt=1)
    rounds: int | None = Field(default=None, ge=1)

    @field_validator("every", "window")
    @classmethod
    def _some_rows(cls, value: Any) -> Any:
        if isinstance(value, Duration) and value.empty:
            raise ValueError(say("refit.no_rows", got=value))
        return value

    @field_validator("bound")
    @classmethod
    def _not_below(cls, bound: Any) -> Any:
        if bound != "none" and not (bound >= 0 and math.isfinite(bound)):
            raise ValueError(say("refit.bad_bound", got=bound))
        return bound


@dataclass(frozen=True, eq=False)
class RoundLayout:
    """Where the rounds lie in a table.

    old: rows before this one are old: the first champion may have learned from them
    held_out: (old,) the old rows that no challenger learns from
    cuts: the first row of every stretch, and the row behind the last one
    window: rows that a challenger learns from
    delay: rows until the label of a row is known
    """

    plan: RefitPlan
    old: int
    held_out: Mask
    cuts: tuple[int, ...]
    window: int
    delay: int

    @property
    def count(self) -> int:
        """How many rounds there are."""
        return len(self.cuts) - 2

    def training_rows(self, number: int) -> tuple[int, int]:
        """The rows that the challenger of round ``number`` (from 1) learns from: first, behind the last."""
        end = self.cuts[number]
        return max(0, end - self.window), end - self.delay

    def judged_rows(self, number: int) -> tuple[int, int]:
        """The rows on which round ``number`` is decided: first, behind the last whose label is known by then."""
        return self.cuts[number], self.cuts[number + 1] - self.delay

    def divide(self, number: int, spec: WindowSpec, *, seed: int, table: Table, gap: int) -> Split:
        """The parts of a challenger: new and replayed rows teach, the newest stop, held-out old ones measure."""
        part: Codes = np.zeros(len(table), np.uint8)
        first, end = self.training_rows(number)
        edge = end - round(self.plan.validation * (end - first))
        part[first:edge], part[edge:end] = SplitPart.TRAIN, SplitPart.VALIDATION
        old = np.zeros(len(table), bool)
        old[: self.old][self.held_out] = True
        part[old] = SplitPart.TEST
        share = self.plan.replay
        if share:
            wanted = int(np.count_nonzero(part == SplitPart.TRAIN)) * share / (1 - share)
            free = part[: min(self.old, first)] == SplitPart.PURGED
            part[: len(free)][self._drawn(free, wanted, table, spec, seed=[seed, number])] = SplitPart.TRAIN
        return Split(purge(part, gap=gap, batch=table.batch))

    def _drawn(self, free: Mask, wanted: float, table: Table, spec: WindowSpec, *, seed: list[int]) -> Mask:
        """Old rows to be replayed: whole blocks (batches, where a window is one), drawn over all of them."""
        if spec.lookback is None and table.batch is not None:
            runs = [run for run in batch_runs(table) if run[1] <= len(free)]
        else:
            size = BLOCK_REACHES * max(1, spec.reach)
            runs = [(low, min(low + size, len(free))) for low in range(0, len(free), size)]
        runs = [(low, high) for low, high in runs if free[low:high].all()]
        drawn, rows = np.zeros(len(free), bool), 0
        for index in np.random.default_rng(seed).permutation(len(runs)):
            if rows >= wanted:
                break
            low, high = runs[index]
            drawn[low:high] = True
            rows += high - low
        return drawn


def lay_out_rounds(
    table: Table, plan: RefitPlan, spec: WindowSpec, *, old: int, held_out: Mask | None, whole: bool
) -> RoundLayout:
    """The rounds that a table gives.

    old: how many rows are old
    held_out: (old,) which of them no challenger learns from; None for the last share of the plan
    whole: whether stretches end where batches end

    Raises InputError (refit.no_old, refit.short_stretch,
    refit.too_few_rows), each with what is needed.

    >>> from backmix.data.tag import Tag
    >>> table = Table(np.zeros((700, 2)), (Tag("T101"), Tag("C_A", role="target")))
    >>> spec = WindowSpec(("T101",), ("C_A",), lookback=2)
    >>> layout = lay_out_rounds(table, RefitPlan(every=150), spec, old=200, held_out=None, whole=False)
    >>> layout.cuts, layout.count, layout.training_rows(1), layout.judged_rows(1), int(layout.held_out.sum())
    ((200, 350, 500, 650), 2, (200, 350), (350, 500), 40)
    """
    if not old and (plan.replay or plan.bound != "none"):
        raise InputError("refit.no_old", where=table.source, replay=plan.replay, bound=plan.bound)
    delay = spec.known.delay if spec.known is not None else 0
    new = len(table) - old
    every = max(1, new // USUAL_STRETCHES) if plan.every == "auto" else plan.every.rows(table.step)
    window = every if plan.window is None else plan.window.rows(table.step)
    reach = max(1, spec.reach)
    needed = delay + max(math.ceil(LEAST / plan.validation), math.ceil((2 * reach + LEAST) / (1 - plan.validation)))
    if window < needed and spec.lookback is not None:
        raise InputError(
            "refit.short_stretch", where=table.source, got=window, needed=needed, needed_new=USUAL_STRETCHES * needed
        )
    cuts = list(range(old, len(table) + 1, every))
    if whole and table.batch is not None:
        ends = np.array([0, *(end for _, end in batch_runs(table))])
        cuts = sorted({int(ends[np.searchsorted(ends, min(cut, len(table)))]) for cut in cuts})
    if plan.rounds is not None:
        cuts = cuts[: plan.rounds + 2]
    if len(cuts) < 3:
        raise InputError("refit.too_few_rows", where=table.source, new=new, every=every, needed=2 * every)
    if held_out is None:
        held_out = np.arange(old) >= old - round(plan.held * old)
    return RoundLayout(plan=plan, old=old, held_out=held_out, cuts=tuple(cuts), window=window, delay=delay)
