"""Which rows teach, which choose, and which judge.

This module divides the rows of a table into training, validation and test part, in time order, and
purges the rows between two parts, so that no window of one part sees a row of another.

Rows are purged from the part that stands before a boundary (or behind it, where the earlier part is
the one that judges): the judging part keeps every row it was promised. Purged rows belong to no
part; they serve the windows of the part behind them as a run-up, and nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from backmix.data.segments import Mask, blocks
from backmix.data.table import Table, missing_column
from backmix.duration import DurationField
from backmix.errors import InputError, PlanError
from backmix.section import PlanSection
from backmix.text import say

Codes = NDArray[np.uint8]


class SplitPart(IntEnum):
    """What a row is for."""

    PURGED = 0
    TRAIN = 1
    VALIDATION = 2
    TEST = 3


PARTS = (SplitPart.TRAIN, SplitPart.VALIDATION, SplitPart.TEST)


class SplitPlan(PlanSection):
    """``[split]``: how rows are divided.

    kind: "chronological" cuts the table (or, ``within = "batch"``, every batch) in row order;
        "batch" deals whole batches in their order; "named" takes the test (and validation) batches
        by name, or by a pattern such as "test_*"; "blocked" deals ``blocks`` equal stretches of rows evenly over time
    train, validation, test: shares of the rows or batches; they add up to 1. ``test = "test_*"`` is short for
        ``kind = "named"`` with that pattern
    train_rows, validation_rows, test_rows: exact cuts instead of shares, as the last row number of
        each part counted from 1 (1200, 1600, 2390); rows behind the last are left out
    gap: rows purged between parts; None for what a window reaches over (lookback + horizon + dead
        time + label delay)
    """

    kind: Literal["chronological", "batch", "named", "blocked"] = "chronological"
    train: float = Field(default=0.6, gt=0, le=1)
    validation: float = Field(default=0.2, ge=0, lt=1)
    test: float = Field(default=0.2, ge=0, lt=1)
    train_rows: int | None = Field(default=None, ge=1)
    validation_rows: int | None = Field(default=None, ge=1)
    test_rows: int | None = Field(default=None, ge=1)
    within: Literal["table", "batch"] = "table"
    test_batches: tuple[str, ...] = ()
    validation_batches: tuple[str, ...] = ()
    blocks: int = Field(default=10, ge=3, le=10_000)
    gap: DurationField | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_pattern(cls, section: Any) -> Any:
        """``test = "test_*"`` (and ``validation``) in the place of a share names batches."""
        if not isinstance(section, dict):
            return section
        names = {part: section[part] for part in ("validation", "test") if isinstance(section.get(part), str)}
        if not names:
            return section
        rest = {key: value for key, value in section.items() if key not in names}
        return {"kind": "named"} | rest | {f"{part}_batches": (pattern,) for part, pattern in names.items()}

    @field_validator("test_batches", "validation_batches")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(say("windows.split_twice", names=", ".join(names)))
        return names

    @model_validator(mode="after")
    def _sound(self) -> SplitPlan:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            total = self.train + self.validation + self.test
            raise ValueError(say("windows.split_shares", total=f"{total:g}"))
        cuts = [cut for cut in (self.train_rows, self.validation_rows, self.test_rows) if cut is not None]
        if cuts and self.train_rows is None:
            raise ValueError(say("windows.split_first_cut"))
        if sorted(set(cuts)) != cuts:
            raise ValueError(say("windows.split_cuts", cuts=", ".join(map(str, cuts))))
        both = sorted(set(self.test_batches) & set(self.validation_batches))
        if both:
            raise ValueError(say("windows.split_both", names=", ".join(both)))
        if (self.kind == "named") != bool(self.test_batches):
            raise ValueError(say("windows.split_named"))
        return self

    @property
    def shares(self) -> tuple[float, float, float]:
        """The shares of training, validation and test."""
        return self.train, self.validation, self.test


@dataclass(frozen=True, eq=False)
class Split:
    """The part of every row.

    part: (N,) uint8 codes of `SplitPart`
    """

    part: Codes

    def __post_init__(self) -> None:
        part = np.asarray(self.part, dtype=np.uint8).view()
        part.flags.writeable = False
        object.__setattr__(self, "part", part)

    def rows(self, part: SplitPart) -> Mask:
        """The rows of one part, (N,) bool."""
        mask: Mask = self.part == part
        return mask

    def count(self, part: SplitPart) -> int:
        """How many rows one part has."""
        return int(np.count_nonzero(self.part == part))

    @cached_property
    def owner(self) -> Codes:
        """The part whose windows may hold each row, (N,): purged rows serve the part behind them."""
        owner = np.array(self.part)
        behind = np.uint8(SplitPart.PURGED)
        for first, end in reversed(list(blocks(len(owner)))):
            block = owner[first:end]
            named = np.where(block != SplitPart.PURGED, np.arange(end - first), end - first)
            nearest = np.minimum.accumulate(named[::-1])[::-1]
            block[:] = np.append(block, behind)[nearest]
            behind = block[0]
        return owner


def split(table: Table, plan: SplitPlan, *, gap: int) -> Split:
    """Divide the rows of a table as the plan says.

    gap: rows purged between two parts unless the plan names a gap of its own.
    Raises PlanError when the plan cannot apply to this table, InputError (windows.split_too_small)
    when a part would be left without rows.

    >>> from backmix.data.tag import Tag
    >>> table = Table(np.zeros((10, 1)), (Tag("T101"),))
    >>> split(table, SplitPlan(), gap=1).part.tolist()
    [1, 1, 1, 1, 1, 0, 2, 0, 3, 3]
    """
    gap = gap if plan.gap is None else plan.gap.rows(table.step)
    by_batch = plan.kind in ("batch", "named") or plan.within == "batch"
    runs = batch_runs(table) if by_batch else []
    if plan.kind == "named":
        part = _named(table, plan, runs)
    elif plan.kind == "batch":
        part = _whole_batches(table, plan, runs)
    elif plan.kind == "blocked":
        part = _blocked(len(table), plan)
    elif plan.within == "batch":
        part = np.empty(len(table), dtype=np.uint8)
        for first, end in runs:
            part[first:end] = _cut(end - first, plan.shares)
    else:
        part = _chronological(table, plan)
    wanted = {p for p in PARTS if np.any(part == p)}
    if plan.train_rows is None:
        wanted |= {p for p, share in zip(PARTS, plan.shares, strict=True) if share > 0}
    return Split(purged(table, part, wanted, gap))


def purge(part: Codes, *, gap: int, batch: NDArray[np.int32] | None = None) -> Codes:
    """The same parts with ``gap`` rows set aside at every boundary between two of them.

    The rows come from the part that judges less: training before validation before test. Between
    batches nothing is purged, as no window crosses them.
    """
    found = part.copy()
    if gap <= 0:
        return found
    edges = np.flatnonzero(part[1:] != part[:-1]) + 1
    for edge in edges.tolist():
        left, right = part[edge - 1], part[edge]
        if SplitPart.PURGED in (left, right) or (batch is not None and batch[edge] != batch[edge - 1]):
            continue
        near = slice(max(0, edge - gap), edge) if left < right else slice(edge, edge + gap)
        lesser = found[near] < max(left, right)
        if batch is not None:
            lesser &= batch[near] == batch[edge]
        found[near][lesser] = SplitPart.PURGED
    return found


def rejoined(part: Codes, *, batch: NDArray[np.int32] | None = None) -> Codes:
    """The same parts with validation as training, and with the rows that were purged between the two.

    Rows of no part that lie anywhere else stay what they are: somebody has left them out.

    >>> rejoined(np.array([1, 1, 0, 2, 0, 3], dtype=np.uint8)).tolist()
    [1, 1, 1, 1, 0, 3]
    """
    found = np.where(part == SplitPart.VALIDATION, SplitPart.TRAIN, part).astype(np.uint8)
    count = len(found)
    at = np.arange(count)
    kept = part != SplitPart.PURGED
    before = np.maximum.accumulate(np.where(kept, at, -1))
    after = np.minimum.accumulate(np.where(kept, at, count)[::-1])[::-1]
    between = ~kept & (before >= 0) & (after < count)
    low, high = before[between], after[between]
    same = (found[low] == SplitPart.TRAIN) & (found[high] == SplitPart.TRAIN) & (part[low] != part[high])
    if batch is not None:
        same &= batch[low] == batch[high]
    found[np.flatnonzero(between)[same]] = SplitPart.TRAIN
    return found


def batch_runs(table: Table) -> list[tuple[int, int]]:
    """The batches as stretches of rows (first, behind the last), in table order.

    Raises InputError (data.no_batches) without batches, (windows.batch_torn) when the rows of one
    batch are not together.
    """
    if table.batch is None:
        raise InputError("data.no_batches", where=table.source)
    batch = np.asarray(table.batch)
    if len(batch) == 0:
        return []
    edges = [0, *(np.flatnonzero(batch[1:] != batch[:-1]) + 1).tolist(), len(batch)]
    runs = list(pairwise(edges))
    codes = batch[edges[:-1]]
    torn = np.flatnonzero(np.bincount(codes) > 1)
    if len(torn):
        raise InputError("windows.batch_torn", where=table.source, batch=table.batch_names[torn[0]])
    return runs


def _chronological(table: Table, plan: SplitPlan) -> Codes:
    rows = len(table)
    check_order(table)
    if plan.train_rows is None:
        return _cut(rows, plan.shares)
    part = np.zeros(rows, dtype=np.uint8)
    first = 0
    for code, cut in zip(PARTS, (plan.train_rows, plan.validation_rows, plan.test_rows), strict=True):
        end = cut if cut is not None else (rows if code is SplitPart.TEST else first)
        if end > rows:
            raise PlanError("windows.split_beyond", where=table.source, cut=end, rows=rows)
        part[first:end] = code
        first = max(first, end)
    return part


def check_order(table: Table) -> None:
    """PlanError (windows.split_not_in_time) unless time runs forward: only then is a cut by rows one in time."""
    if table.time is None:
        return
    clock = np.asarray(table.time).view("int64")
    for first, end in blocks(len(clock)):
        seen = clock[max(first, 1) - 1 : end]
        if np.any(seen[1:] < seen[:-1]):
            raise PlanError("windows.split_not_in_time", where=table.source)


def _cut(rows: int, shares: tuple[float, float, float]) -> Codes:
    """Shares of a stretch of rows, one behind the other."""
    ends = np.round(np.cumsum(shares) * rows).astype(int)
    ends[-1] = rows
    part = np.full(rows, SplitPart.TEST, dtype=np.uint8)
    part[: ends[1]] = SplitPart.VALIDATION
    part[: ends[0]] = SplitPart.TRAIN
    return part


def _deal(count: int, shares: tuple[float, float, float], *, evenly: bool) -> Codes:
    """Parts of ``count`` equal things: one behind the other, or spread evenly."""
    if not evenly:
        part = _cut(count, shares)
        for code, share in zip(reversed(PARTS), reversed(shares), strict=True):
            if share > 0 and not np.any(part == code):  # a share too small for one still gets one
                part[np.flatnonzero(part < code)[-1:]] = code
        return part
    given = np.zeros(3)
    part = np.empty(count, dtype=np.uint8)
    for number in range(count):
        owed = np.array(shares) * (number + 1) - given
        chosen = int(np.argmax(owed))
        given[chosen] += 1
        part[number] = PARTS[chosen]
    return part


def _blocked(rows: int, plan: SplitPlan) -> Codes:
    cuts = np.round(np.linspace(0, rows, plan.blocks + 1)).astype(int)
    return np.repeat(_deal(plan.blocks, plan.shares, evenly=True), np.diff(cuts))


def _whole_batches(table: Table, plan: SplitPlan, runs: list[tuple[int, int]]) -> Codes:
    needed = sum(share > 0 for share in plan.shares)
    if len(runs) < needed:
        raise InputError("windows.too_few_batches", where=table.source, got=len(runs), needed=needed)
    dealt = _deal(len(runs), plan.shares, evenly=False)
    return np.repeat(dealt, [end - first for first, end in runs])


def _named(table: Table, plan: SplitPlan, runs: list[tuple[int, int]]) -> Codes:
    tested, choosing = (_matching(table, names) for names in (plan.test_batches, plan.validation_batches))
    if both := sorted(tested & choosing):
        raise PlanError("windows.split_both", names=", ".join(both[:12]))
    part = np.full(len(table), SplitPart.TRAIN, dtype=np.uint8)
    kept = []
    for first, end in runs:
        assert table.batch is not None
        name = table.batch_names[table.batch[first]]
        if name in tested:
            part[first:end] = SplitPart.TEST
        elif name in choosing:
            part[first:end] = SplitPart.VALIDATION
        else:
            kept.append((first, end))
    if plan.validation_batches or plan.validation == 0 or not kept:
        return part
    share = plan.validation / (plan.train + plan.validation)
    if plan.within == "batch":
        for first, end in kept:
            part[end - round(share * (end - first)) : end] = SplitPart.VALIDATION
    else:
        for first, end in kept[len(kept) - max(1, round(share * len(kept))) :]:
            part[first:end] = SplitPart.VALIDATION
    return part


def _matching(table: Table, names: tuple[str, ...]) -> set[str]:
    """The batches with these names, or of these patterns; InputError with the nearest name for one of none."""
    batches: set[str] = set()
    for name in names:
        exact = name in table.batch_names
        mine = [name] if exact else [batch for batch in table.batch_names if fnmatchcase(batch, name)]
        if not mine:
            near = missing_column(name, table.batch_names, table.source).values
            raise InputError("windows.no_batch", where=table.source, name=name, near=near["near"], names=near["names"])
        batches.update(mine)
    return batches


def purged(table: Table, part: Codes, wanted: set[SplitPart], gap: int) -> Codes:
    """`purge`, or the error for too little data: what is needed, and what would fit."""

    def missing(found: Codes) -> list[SplitPart]:
        return [code for code in sorted(wanted) if not np.any(found == code)]

    found = purge(part, gap=gap, batch=table.batch)
    lost = missing(found)
    if not lost:
        return found
    named = {"where": table.source, "rows": len(table), "part": say(f"windows.part_{lost[0].name.lower()}")}
    if missing(part):
        raise InputError("windows.split_empty", **named)
    fit, too_large = 0, gap
    while too_large - fit > 1:
        middle = (fit + too_large) // 2
        if missing(purge(part, gap=middle, batch=table.batch)):
            too_large = middle
        else:
            fit = middle
    needed = int(np.ceil(len(table) * (gap + 1) / (fit + 1)))
    raise InputError("windows.split_too_small", gap=gap, fit=fit, needed=needed, **named)
