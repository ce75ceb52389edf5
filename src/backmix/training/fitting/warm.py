"""A training that begins where another one ended.

This module holds `Start`, a trained model as the beginning of the next training, and the rules of
such a warm start. Weights mean nothing under other scalers, so scalers, repair rules, tags, the form
of the windows and the network are those of the model; a plan that asks for others is refused with the
difference. What remains the plan's own: the rows, and how to learn from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from backmix.data.segments import Mask
from backmix.data.table import Table
from backmix.data.windows.form import WindowSpec
from backmix.decision import Decision
from backmix.duration import Duration
from backmix.errors import InputError, PlanError
from backmix.models.architecture import Architecture
from backmix.models.network import ModelPlan
from backmix.training.plan import Plan
from backmix.training.preprocessing import Preprocessing
from backmix.training.sections.settings import TrainingPlan, choose_learning_rate

GENTLE = 0.3
"""The learning rate of a warm start is this share of the usual one: larger first steps would throw
away what the weights know before the new rows have said anything."""
WARM_EPOCHS = 100
"""A third of the usual epochs: most of the way is done."""
FREE = ("stride", "max_gap", "need_target", "carried")
"""What may differ between the windows of two trainings of the same network."""


@dataclass(frozen=True)
class Period:
    """The time that a model has learned from: first and last row, UTC, to the second, ISO 8601.

    >>> Period("2026-01-01T00:00:00", "2026-02-01T00:00:00").joined(Period("2026-01-15", "2026-03-01")).last
    '2026-03-01'
    """

    first: str
    last: str

    @classmethod
    def of(cls, table: Table, rows: Mask) -> Period | None:
        """The period of some rows (N,) of a table; None without a clock."""
        if table.time is None or not rows.any():
            return None
        times = np.asarray(table.time)[rows].astype("datetime64[s]")
        return cls(str(times.min()), str(times.max()))

    def joined(self, other: Period) -> Period:
        """The shortest period that holds both."""
        return Period(min(self.first, other.first), max(self.last, other.last))

    def meets(self, other: Period) -> bool:
        """Whether the two have a moment in common."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, eq=False)
class Start:
    """A trained model from which another training goes on.

    where: what to call it in messages
    give: puts its weights into a new network of its architecture; None for a model that runs no network: then a
        training begins afresh
    mark: a digest of those weights
    period: what it has learned from, with all models it came from; None where that is not known
    """

    where: str
    preprocessing: Preprocessing
    architecture: Architecture
    give: Callable[[Any], None] | None
    mark: str
    period: Period | None

    def check(self, plan: Plan) -> None:
        """PlanError (warm.other_task, warm.other_rules) when a plan asks for other rules or another task.

        Other rules are no matter where training begins afresh.
        """
        old, settings = self.preprocessing, plan.the_task
        judged = tuple(tag.name for tag in old.task.targets)
        if (settings.kind, settings.targets) != (old.task.name, judged):
            raise PlanError(
                "warm.other_task",
                where=self.where,
                got=f"{settings.kind} {', '.join(settings.targets)}",
                old=f"{old.task.name} {', '.join(judged)}",
            )
        if self.give is None:
            return
        asked = [
            (f"repair.{name}", getattr(plan.repair, name), getattr(old.repair.plan, name))
            for name in sorted(plan.repair.model_fields_set)
        ]
        for name, scaler in (("inputs", old.scaler), ("target", old.target_scaler)):
            if scaler is not None and name in plan.scaling.model_fields_set:
                asked.append((f"scaling.{name}", getattr(plan.scaling, name), scaler.kind))
        for name, got, kept in asked:
            if got != kept:
                raise PlanError("warm.other_rules", where=self.where, name=name, got=got, old=kept)

    def check_tags(self, table: Table) -> None:
        """InputError (warm.more_tags) for inputs that the model has never seen."""
        old = self.preprocessing
        tags = (*old.inputs, *old.measured, *(coding.tag for coding in old.states))
        known = {*(tag.name for tag in tags), *old.repair.dropped_tags}
        more = sorted({tag.name for tag in table.tags if tag.role == "input"} - known)
        if more:
            raise InputError(
                "warm.more_tags", where=table.source, bundle=self.where, names=", ".join(more), first=more[0]
            )

    def windows(self, plan: Plan) -> Plan:
        """The plan with the lookback and the padding of the model in the place of "auto"."""
        old, form = self.preprocessing.spec, plan.windows
        changes: dict[str, Any] = {}
        if form.lookback == "auto":
            changes["lookback"] = (
                "elapsed" if old.growing else "batch" if old.lookback is None else Duration.parse(old.lookback)
            )
        if form.short == "auto":
            changes["short"] = "pad" if old.padded else "drop"
        return plan.model_copy(update={"windows": form.model_copy(update=changes)}) if changes else plan

    def spec(self, asked: WindowSpec) -> WindowSpec:
        """The form of the windows; PlanError (warm.other_windows) when the plan asks for another."""
        old = self.preprocessing.spec
        for field in fields(WindowSpec):
            got, kept = getattr(asked, field.name), getattr(old, field.name)
            if field.name not in FREE and got != kept:
                raise PlanError("warm.other_windows", where=self.where, name=field.name, got=got, old=kept)
        return replace(old, stride=asked.stride, need_target=True, carried=asked.carried)

    def network(self, plan: ModelPlan) -> Architecture:
        """The architecture; PlanError (warm.other_network) when the plan asks for another."""
        for name in sorted(plan.model_fields_set):
            got, kept = getattr(plan, name), getattr(self.architecture, name, None)
            if got != "auto" and kept is not None and got != kept:
                raise PlanError("warm.other_network", where=self.where, name=name, got=got, old=kept)
        return self.architecture

    @property
    def decision(self) -> Decision:
        """What is kept of the model, for the report."""
        if self.give is None:
            return Decision("afresh", "warm.afresh", {"where": self.where}, setting="training.warm_start")
        if self.period is None:
            return Decision(self.where, "warm.kept_no_clock", {}, setting="training.warm_start")
        return Decision(
            self.where,
            "warm.kept",
            {"first": self.period.first, "last": self.period.last},
            setting="training.warm_start",
        )


def gentle(plan: TrainingPlan, lookback: int | None) -> tuple[TrainingPlan, tuple[Decision, ...]]:
    """The settings of a warm start: what the plan leaves open is a lower rate and fewer epochs, with reasons.

    >>> gentle(TrainingPlan(epochs=7), 30)[0].epochs, gentle(TrainingPlan(), 30)[0].epochs
    (7, 100)
    """
    changes: dict[str, Any] = {}
    decisions = []
    if plan.learning_rate == "auto":
        changes["learning_rate"] = GENTLE * float(choose_learning_rate(plan.optimizer, lookback).value)
        decisions.append(
            Decision(changes["learning_rate"], "warm.rate", {"share": f"{GENTLE:.0%}"}, "training.learning_rate")
        )
    if "epochs" not in plan.model_fields_set:
        changes["epochs"] = WARM_EPOCHS
        decisions.append(Decision(WARM_EPOCHS, "warm.epochs", {"usual": plan.epochs}, "training.epochs"))
    return plan.model_copy(update=changes), tuple(decisions)
