"""What the tasks share that look to the end of a batch or unit.

This module defines `BatchRegression`, which needs a table with batches and sees them whole, and
`Countdown`, whose label is what is left to the last row of each of them. It registers no task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from backmix.data.progress import left, of_batches
from backmix.data.table import Table, missing_column
from backmix.data.tag import Tag
from backmix.data.windows import Windows, WindowSpec
from backmix.decision import Decision
from backmix.errors import InputError, PlanError
from backmix.tasks import TaskPlan
from backmix.tasks.regression import Regression


@dataclass(frozen=True)
class BatchRegression(Regression):
    """Regression of something that is known of a batch when it has ended."""

    whole_batches = True
    no_batches: ClassVar[str] = "course.no_batches"
    """The message for a table that is one long run."""

    @classmethod
    def adapt(cls, table: Table, settings: TaskPlan) -> Table:
        if table.batch is None:
            raise InputError(cls.no_batches, where=table.source, task=cls.name)
        return super().adapt(table, settings)

    def form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        if spec.horizon:
            raise PlanError("course.no_horizon", task=self.name)
        return spec


class CountdownPlan(TaskPlan):
    """``[task]`` of a countdown.

    unfinished: batches or units that had not ended when the table was written; their rows have no label
    """

    target: str
    unfinished: tuple[str, ...] = ()


@dataclass(frozen=True)
class Countdown(BatchRegression):
    """Regression of what is left to the last row of a batch; the label is computed unless a column holds it."""

    settings: CountdownPlan

    stage = "told"
    computed: ClassVar[str]
    """The target that is computed when the table has no such column."""

    @classmethod
    def made(cls, settings: TaskPlan) -> tuple[str, ...]:
        return tuple(name for name in settings.targets if name == cls.computed)

    @classmethod
    def labelled(cls, table: Table, settings: CountdownPlan, *, unit: str, description: str) -> Table:
        """The table with its label, which is missing in batches that had not ended."""
        name = settings.target
        if name not in table.names:
            tag = Tag(name, unit=unit, role="target", description=description)
            table = table.with_columns([tag], left(table, unit))
        if not settings.unfinished:
            return table
        known = np.where(of_batches(table, settings.unfinished), np.nan, table.column(name))
        return table.with_columns([table.tag(name)], known)

    @classmethod
    def bind(cls, table: Table, settings: TaskPlan) -> Self:
        assert isinstance(settings, CountdownPlan)
        for name in settings.unfinished:
            if name not in table.batch_names:
                raise missing_column(name, table.batch_names, table.source)
        return super().bind(table, settings)

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        if not self.settings.unfinished:
            return ()
        names = ", ".join(self.settings.unfinished)
        return (Decision(self.settings.unfinished, "course.unfinished", {"names": names}, setting="task.unfinished"),)
