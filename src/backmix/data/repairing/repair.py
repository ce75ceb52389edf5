"""Repair rules: learned from the training rows, then the same for every table.

This module defines the ``[repair]`` section, learns `Repair` from the training rows alone and
applies it identically at training, at prediction and inside a bundle. Nothing is filled across
batches or gaps in time; what cannot be repaired stays missing, and windows do not cross it. In this
order each input tag meets: infinity and physical limits (the value is BAD), spikes, frozen values,
the range of the training rows, the filling of short holes. Targets and laboratory values meet only
the physical limits; classes are never repaired.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from backmix.data.ledger import Note
from backmix.data.quality import Quality
from backmix.data.repairing.rules import RepairColumn, training_range
from backmix.data.repairing.spikes import Rule, find_spikes, learn_scale, steady
from backmix.data.runs import Bools, intervals, place
from backmix.data.segments import GAP_STEPS, Rows, segment_starts
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.duration import Duration, DurationField
from backmix.errors import InputError, PlanError
from backmix.section import PlanSection
from backmix.text import say

STEP_TOLERANCE = 0.1
"""Rows may lie this share of a step earlier or later than the clock of the training rows says."""


class RepairPlan(PlanSection):
    """``[repair]``: what happens to cells that cannot be used as they are.

    fill: short holes in inputs get the value before ("hold", causal) or a line ("interpolate",
        looks ahead); max_fill: longest hole filled
    limits: a value beyond the low or high of its tag is BAD
    outliers: spikes of inputs are left, marked uncertain with the raw value kept, or masked (taken
        for missing); outlier_rule, outlier_window (rows), outlier_factor (robust standard
        deviations): see `spikes`
    frozen: an input that has not changed for this long is BAD, for half of it uncertain; None: off
    clamp: an input outside the range of the training rows is brought to its edge, uncertain
    resample: put the rows on a regular time grid, one row per this time; how: each row is the mean or
        the last of the values since the row before (classes: always the last)
    max_gap: a longer time between rows ends the sequence; None: three steps
    """

    fill: Literal["hold", "interpolate", "none"] = "hold"
    max_fill: DurationField = Duration.parse(5)
    limits: bool = True
    outliers: Literal["none", "mark", "mask"] = "mark"
    outlier_rule: Rule = "hampel"
    outlier_window: int = Field(default=7, ge=3, le=101)
    outlier_factor: float = Field(default=6.0, gt=0, allow_inf_nan=False)
    frozen: DurationField | None = None
    clamp: bool = True
    resample: DurationField | None = None
    how: Literal["mean", "last"] = "mean"
    max_gap: DurationField | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.resample is not None and not self.resample.seconds:
            raise ValueError(say("repair.resample_rows", got=self.resample))
        if self.frozen is not None and self.frozen.count is not None and self.frozen.count < 2:
            raise ValueError(say("repair.frozen_short", got=self.frozen))
        return self

    def gap(self, step: float | None) -> float | None:
        """Seconds after which a sequence ends, for rows ``step`` seconds apart; None without a clock."""
        if self.max_gap is None:
            return None if step is None else GAP_STEPS * step
        if self.max_gap.seconds is not None:
            return self.max_gap.seconds
        return None if step is None else self.max_gap.rows(step) * step


@dataclass(frozen=True)
class TagRepair:
    """What was learned about one tag; None switches a rule off.

    limit_low, limit_high: physical limits; low, high: `training_range` of the training rows (inputs)
    scale: robust standard deviation for the spike rule; None for a tag that mostly stands still
    watched: whether standing still is suspicious in this tag
    filled: whether its holes are filled
    """

    name: str
    limit_low: float | None = None
    limit_high: float | None = None
    low: float | None = None
    high: float | None = None
    scale: float | None = None
    watched: bool = False
    filled: bool = False


class Repaired(NamedTuple):
    """A table after repair, and the notes on what was done; qualities are set where not all is good."""

    table: Table
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Repair:
    """The repair rules of a model, fixed at training.

    step: seconds between the training rows; None without a clock
    max_gap: seconds after which a sequence ends; None without a clock
    max_fill, frozen: rows
    tags: what was learned, for every tag that rules act on
    dropped_tags: inputs with one and the same value in all training rows; `apply` leaves them out
    """

    plan: RepairPlan
    step: float | None
    max_gap: float | None
    max_fill: int
    frozen: int | None
    tags: tuple[TagRepair, ...]
    dropped_tags: tuple[str, ...] = ()

    @property
    def history(self) -> int:
        """Rows before a block that must be given with it for `apply` to do as in one piece.

        Holds for causal rules: the tail of ``apply(rows[a - history:b])`` equals rows a to b of the
        repaired whole.
        """
        window = self.plan.outlier_window if self.plan.outliers != "none" else 0
        return window + (self.frozen or 0) + (self.max_fill if self.plan.fill != "none" else 0)

    @cached_property
    def _known(self) -> dict[str, TagRepair]:
        return {tag.name: tag for tag in self.tags}

    def apply(self, table: Table) -> Repaired:
        """Repair a table by the rules of training; tags that training did not know stay as they are.

        A table in which nothing is found comes back as it is, without a copy. Raises InputError when
        the rows are at another step than those of training, or have lost their clock.
        """
        self._check_step(table)
        notes = [
            Note("marked", "repair.reason_constant", len(table), tag=name)
            for name in table.names
            if name in self.dropped_tags
        ]
        if notes:
            table = table.select([name for name in table.names if name not in self.dropped_tags])
        start = segment_starts(table, max_gap=self.max_gap)
        sheet = _WorkingCopy(table)
        for at, tag in enumerate(table.tags):
            rule = self._known.get(tag.name)
            if rule is not None:
                column = sheet.column(at, start)
                self._judge(column, rule)
                self._fill(column, rule, table)
                sheet.take(at, column)
                notes += [
                    Note(entry.action, entry.reason, entry.count, tag.name, place(table, entry.row), entry.cells)
                    for entry in column.log
                ]
        return Repaired(sheet.table(), tuple(note for note in notes if note.count))

    def filled(self, table: Table, names: Sequence[str]) -> Bools:
        """Which missing values of these tags `apply` puts a value of its own in place of, (N, F)."""
        start = segment_starts(table, max_gap=self.max_gap)
        sheet, marks = _WorkingCopy(table), np.zeros((len(table), len(names)), bool)
        for k, name in enumerate(names):
            if (rule := self._known.get(name)) is not None:
                column = sheet.column(table.index(name), start)
                self._judge(column, rule)
                holes = np.isnan(column.x)
                self._fill(column, rule, table)
                marks[:, k] = holes & ~np.isnan(column.x)
        return marks

    def _judge(self, column: RepairColumn, rule: TagRepair) -> None:
        column.settle()
        column.limit(rule.limit_low, rule.limit_high)
        if rule.scale is not None:
            mask = column.mask_spikes if self.plan.outliers == "mask" else column.doubt_spikes
            mask(_spikes(column, rule.scale, self.plan))
        if rule.watched and self.frozen is not None:
            column.freeze(self.frozen)
        if rule.low is not None and rule.high is not None:
            column.clamp(rule.low, rule.high)

    def _fill(self, column: RepairColumn, rule: TagRepair, table: Table) -> None:
        if rule.filled and self.plan.fill == "hold":
            column.hold(self.max_fill)
        elif rule.filled and self.plan.fill == "interpolate":
            column.interpolate(self.max_fill, _clock(table))
        if rule.filled:
            column.close()

    def _check_step(self, table: Table) -> None:
        if self.step is None:
            return
        if table.time is None:
            raise InputError("repair.clock_missing", where=table.source)
        gaps = intervals(table)
        gaps = gaps[~np.isnan(gaps)]
        if len(gaps) < 2:
            return
        inside = gaps[gaps <= self.max_gap] if self.max_gap is not None else gaps
        step = float(np.median(inside if len(inside) else gaps))
        if abs(step - self.step) > STEP_TOLERANCE * self.step:
            raise InputError("repair.other_step", where=table.source, got=f"{step:g} s", want=f"{self.step:g} s")

    def to_dict(self) -> dict[str, Any]:
        """The rules as JSON-ready data."""
        return {
            "plan": self.plan.model_dump(mode="json"),
            "step": self.step,
            "max_gap": self.max_gap,
            "max_fill": self.max_fill,
            "frozen": self.frozen,
            "tags": [asdict(tag) for tag in self.tags],
            "dropped_tags": list(self.dropped_tags),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Repair:
        """The rules of `to_dict`; ValueError, KeyError or TypeError when they are malformed."""
        _exactly(data, [field.name for field in fields(cls)])
        tags = tuple(_tag_repair(tag) for tag in data["tags"])
        dropped = data["dropped_tags"]
        if not isinstance(dropped, list) or not all(isinstance(name, str) for name in dropped):
            raise ValueError("dropped_tags")
        for name in ("step", "max_gap", "max_fill", "frozen"):
            value = data[name]
            kinds = (int, float) if name in ("step", "max_gap") else (int,)
            if value is None and name != "max_fill":
                continue
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < 2**62:
                raise ValueError(name)
        return cls(
            plan=RepairPlan.model_validate(data["plan"]),
            step=data["step"],
            max_gap=data["max_gap"],
            max_fill=data["max_fill"],
            frozen=data["frozen"],
            tags=tags,
            dropped_tags=tuple(dropped),
        )


def fit_repair(table: Table, plan: RepairPlan, *, rows: Bools, states: Collection[str] = ()) -> Repair:
    """Learn the repair rules from the training rows, and from nothing else.

    rows: (N,) True for training rows; states: columns of 0 and 1 that code the states of an input, in which a state
    that comes for one row is no spike and one that lasts is not frozen.
    Raises InputError when an input has no number in them, and PlanError when the plan gives a time but the table has
    no clock.

    >>> table = Table(np.array([[1.0], [2.0], [9.0]]), (Tag("T101"),))
    >>> repair = fit_repair(table, RepairPlan(), rows=np.array([True, True, False]))
    >>> repair.apply(table).table.values.ravel().tolist()
    [1.0, 2.0, 2.001]
    """
    rows = np.asarray(rows, bool)
    step = _training_step(table, rows)
    max_gap = plan.gap(step)
    frozen = None if plan.frozen is None else plan.frozen.rows(step)
    if frozen is not None and frozen < 2:
        raise PlanError("repair.frozen_short", got=plan.frozen)
    start = segment_starts(table, max_gap=max_gap)
    sheet = _WorkingCopy(table)
    learned, dropped, empty = [], [], []
    for at, tag in enumerate(table.tags):
        if tag.role == "ignored":
            continue
        column = sheet.column(at, start)
        column.x[~rows] = np.nan
        rule = _learn(column, tag, plan, watched=frozen is not None, state=tag.name in states)
        if tag.role != "input":
            learned.append(rule)
        elif np.isnan(column.x).all():
            empty.append(tag.name)
        elif _constant(column):
            dropped.append(tag.name)
        elif not tag.categories:
            learned.append(rule)
    if empty:
        raise InputError(
            "repair.empty_input", where=table.source, names=", ".join(empty[:12]), first=empty[0], rows=int(rows.sum())
        )
    return Repair(
        plan=plan,
        step=step,
        max_gap=max_gap,
        max_fill=plan.max_fill.rows(step),
        frozen=frozen,
        tags=tuple(learned),
        dropped_tags=tuple(dropped),
    )


def _learn(column: RepairColumn, tag: Tag, plan: RepairPlan, *, watched: bool, state: bool) -> TagRepair:
    """What one tag teaches; ``column`` holds the training rows only and is repaired on the way."""
    low, high = (tag.low, tag.high) if plan.limits and not tag.categories else (None, None)
    column.settle()
    column.limit(low, high)
    if tag.role != "input" or tag.categories or np.isnan(column.x).all():
        return TagRepair(name=tag.name, limit_low=low, limit_high=high)
    scale = None
    if plan.outliers != "none" and not state:
        scale = learn_scale(
            column.x, column.start, rule=plan.outlier_rule, window=plan.outlier_window, factor=plan.outlier_factor
        )
    if scale is not None and plan.outliers == "mask":
        column.mask_spikes(_spikes(column, scale, plan))
    bottom, top = training_range(column.x) if plan.clamp else (None, None)
    return TagRepair(
        name=tag.name,
        limit_low=low,
        limit_high=high,
        low=bottom,
        high=top,
        scale=scale,
        watched=watched and not state and not steady(column.x, column.start),
        filled=plan.fill != "none",
    )


def _constant(column: RepairColumn) -> bool:
    known = column.x[~np.isnan(column.x)]
    return bool((known == known[0]).all())


def _spikes(column: RepairColumn, scale: float, plan: RepairPlan) -> Bools:
    return find_spikes(
        column.x, column.start, scale, rule=plan.outlier_rule, window=plan.outlier_window, factor=plan.outlier_factor
    )


def _training_step(table: Table, rows: Bools) -> float | None:
    """The median step between neighbouring training rows."""
    if table.time is None or len(table) < 2:
        return None
    gaps = np.diff(table.time.view("int64"))
    inside = rows[1:] & rows[:-1]
    if table.batch is not None:
        inside &= np.diff(table.batch) == 0
    # the lower of two middle values: half-way between a step and a gap is neither
    return float(np.quantile(gaps[inside], 0.5, method="lower")) / 1e9 if inside.any() else None


def _clock(table: Table) -> NDArray[np.float64]:
    if table.time is None:
        return np.arange(len(table), dtype=np.float64)
    nanoseconds = table.time.view("int64")
    return np.asarray((nanoseconds - nanoseconds[:1]) / 1e9)


class _WorkingCopy:
    """A copy of a table that is made only when a column has changed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._values: NDArray[np.floating[Any]] | None = None
        self._quality: NDArray[np.uint8] | None = None

    def column(self, at: int, start: Rows) -> RepairColumn:
        """The cells of one column, to work on."""
        quality = self._table.quality
        x = self._table.values[:, at].astype(np.float64)
        return RepairColumn(
            x=x, start=start, quality=np.zeros(len(x), np.uint8) if quality is None else quality[:, at].copy()
        )

    def take(self, at: int, column: RepairColumn) -> None:
        """Put the column back if anything in it is new."""
        if any(entry.reason != "repair.reason_left_missing" for entry in column.log):
            if self._values is None:
                self._values = np.array(self._table.values)
            self._values[:, at] = column.x
        if self._quality is None:
            if self._table.quality is None and (column.quality != Quality.UNCERTAIN).all():
                return  # good exactly where there is a number: what a table without qualities means
            self._quality = self._qualities()
        self._quality[:, at] = column.quality

    def table(self) -> Table:
        """The table with what has changed."""
        table = self._table
        if self._values is None and self._quality is None:
            return table
        return Table(
            values=table.values if self._values is None else self._values,
            tags=table.tags,
            time=table.time,
            batch=table.batch,
            batch_names=table.batch_names,
            quality=table.quality if self._quality is None else self._quality,
            source=table.source,
            time_zone=table.time_zone,
        )

    def _qualities(self) -> NDArray[np.uint8]:
        if self._table.quality is not None:
            return np.array(self._table.quality)
        values = self._table.values if self._values is None else self._values
        quality = np.zeros(values.shape, np.uint8)
        for at in range(values.shape[1]):
            quality[np.isnan(values[:, at]), at] = Quality.BAD
        return quality


def _tag_repair(data: dict[str, Any]) -> TagRepair:
    _exactly(data, [field.name for field in fields(TagRepair)])
    if not isinstance(data["name"], str):
        raise ValueError("name")
    for name in ("watched", "filled"):
        if not isinstance(data[name], bool):
            raise ValueError(name)
    for name in ("limit_low", "limit_high", "low", "high", "scale"):
        value = data[name]
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
        ):
            raise ValueError(name)
    return TagRepair(**data)


def _exactly(data: Any, names: list[str]) -> None:
    if not isinstance(data, dict) or set(data) != set(names):
        raise ValueError(f"wanted {names}")
