"""A table divided several times, for cross-validation.

This module lays out folds: an expanding origin in time, blocked stretches, or whole batches. Every fold is purged
at its boundaries, as a split is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field

from backmix.data.splitting.split import PARTS, Split, SplitPart, batch_runs, check_order, purged
from backmix.data.table import Table
from backmix.errors import InputError
from backmix.section import PlanSection


class FoldPlan(PlanSection):
    """How a table is divided several times, for cross-validation.

    kind: "expanding" trains on everything before each test stretch; "blocked" tests each stretch
        once and trains on all others, before and behind; "batch" does the same with whole batches
    folds: how many times; with "batch", the number of batches leaves one out at a time
    validation: share of the training rows (or batches) that stops the training, the latest of them
    """

    kind: Literal["expanding", "blocked", "batch"] = "expanding"
    folds: int = Field(default=5, ge=2, le=1000)
    validation: float = Field(default=0.2, ge=0, lt=1)


def folds(table: Table, plan: FoldPlan, *, gap: int) -> tuple[Split, ...]:
    """One split per fold; every fold is purged, and scalers are to be fitted inside each.

    Raises InputError (windows.split_too_small, windows.too_few_batches) when a fold would be empty.
    """
    if plan.kind == "batch":
        return tuple(_batch_folds(table, plan))
    rows = len(table)
    if plan.kind == "expanding":
        check_order(table)
    stretches = plan.folds + 1 if plan.kind == "expanding" else plan.folds
    cuts = np.round(np.linspace(0, rows, stretches + 1)).astype(int)
    made = []
    for number in range(plan.folds):
        low, high = cuts[-plan.folds - 1 + number], cuts[-plan.folds + number]
        part = np.full(rows, SplitPart.TRAIN, dtype=np.uint8)
        if plan.kind == "expanding":
            part[high:] = SplitPart.PURGED
        part[low:high] = SplitPart.TEST
        teaching = np.flatnonzero(part == SplitPart.TRAIN)
        part[teaching[len(teaching) - round(plan.validation * len(teaching)) :]] = SplitPart.VALIDATION
        wanted = {p for p in PARTS if np.any(part == p)} | {SplitPart.TRAIN, SplitPart.TEST}
        made.append(Split(purged(table, part, wanted, gap)))
    return tuple(made)


def _batch_folds(table: Table, plan: FoldPlan) -> Iterator[Split]:
    runs = batch_runs(table)
    needed = max(plan.folds, 2 + (plan.validation > 0))
    if len(runs) < needed:
        raise InputError("windows.too_few_batches", where=table.source, got=len(runs), needed=needed)
    cuts = np.round(np.linspace(0, len(runs), plan.folds + 1)).astype(int)
    for low, high in pairwise(cuts.tolist()):
        dealt = np.full(len(runs), SplitPart.TRAIN, dtype=np.uint8)
        dealt[low:high] = SplitPart.TEST
        teaching = np.flatnonzero(dealt == SplitPart.TRAIN)
        held = 0 if plan.validation == 0 else max(1, round(plan.validation * len(teaching)))
        dealt[teaching[len(teaching) - held :]] = SplitPart.VALIDATION
        yield Split(np.repeat(dealt, [end - first for first, end in runs]))
