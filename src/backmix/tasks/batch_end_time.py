"""When a running batch will end: the time that remains, row by row.

This module is the batch-end-time task. The target is computed: the time to the last row of each
batch. A model sees a batch from its first row on, and the time since then; both are there for a batch
that still runs, whose end nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from backmix.data.course import Unit, counts_down, every_row, left, of_batches, passed, share, with_column
from backmix.data.table import Table, missing_column
from backmix.data.tag import Tag
from backmix.data.windows import Windows, WindowSpec
from backmix.errors import InputError, PlanError
from backmix.models.choice import Choice
from backmix.tasks import TaskPlan, tasks
from backmix.tasks.regression import Regression
from backmix.tasks.remaining_life import as_target
from backmix.text import say

NAME = "time_remaining"
"""The target that is computed when the table has no such column."""
ELAPSED = "elapsed"
"""The input that is computed: the time since the first row of the batch."""


class BatchEndTimePlan(TaskPlan):
    """``[task]`` of a batch end time.

    target: a column with the time that remains; without one, "time_remaining" is computed as the time to the
        last row of each batch
    unit: of the computed target and of the elapsed time; "auto" is minutes, or rows without a clock
    unfinished: batches that were still running when the table was written; their rows have no label
    """

    kind: Literal["batch_end_time"] = "batch_end_time"
    target: str = NAME
    unit: Unit | Literal["auto"] = "auto"
    unfinished: tuple[str, ...] = ()


@tasks.register("batch_end_time")
@dataclass(frozen=True)
class BatchEndTime(Regression):
    """Regression of the time that remains of a running batch."""

    settings: BatchEndTimePlan

    name = "batch_end_time"
    Settings = BatchEndTimePlan
    metrics = ("mae", "rmse", "last_quarter_mae", "bias", "max_error")
    baselines = ("usual_length", "mean", "ridge", "trees")
    figures = ("scores", "end_course", "error_by_left", "parity", "learning")
    lookback = "elapsed"
    whole_batches = True

    @classmethod
    def made(cls, settings: TaskPlan) -> tuple[str, ...]:
        return (ELAPSED, *(name for name in settings.targets if name == NAME))

    @classmethod
    def adapt(cls, table: Table, settings: TaskPlan) -> Table:
        (name,) = settings.targets
        if table.batch is None:
            raise InputError("course.no_batches", where=table.source, task=cls.name)
        return table if name == NAME and name not in table.names else as_target(table, name, cls.name)

    @classmethod
    def derive(cls, table: Table, settings: TaskPlan, *, targets: bool) -> Table:
        assert isinstance(settings, BatchEndTimePlan)
        unit = settings.unit if settings.unit != "auto" else "rows" if table.time is None else "min"
        since = Tag(ELAPSED, unit=unit, description=say("course.elapsed"))
        table = with_column(table, since, passed(table, unit))
        if not targets:
            return table
        name = settings.target
        if name not in table.names:
            tag = Tag(name, unit=unit, role="target", description=say("course.time_left"))
            table = with_column(table, tag, left(table, unit))
        if not settings.unfinished:
            return table
        known = np.where(of_batches(table, settings.unfinished), np.nan, table.column(name))
        return with_column(table, table.tag(name), known)

    @classmethod
    def bind(cls, table: Table, settings: TaskPlan) -> Self:
        assert isinstance(settings, BatchEndTimePlan)
        for batch in settings.unfinished:
            if batch not in table.batch_names:
                raise missing_column(batch, table.batch_names, table.source)
        return cls(settings=settings, targets=(table.tag(settings.target),))

    def form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        if spec.horizon:
            raise PlanError("course.no_horizon", task=self.name)
        if spec.lookback is None and not spec.growing:
            raise PlanError("course.end_of_ended")
        return spec

    def lessons(self, windows: Windows) -> Windows:
        return every_row(windows) if windows.spec.growing else windows

    def facts(self, windows: Windows) -> Mapping[str, NDArray[Any]]:
        elapsed = np.asarray(windows.table.column(ELAPSED), dtype=np.float64)[windows.origins]
        return {"elapsed": elapsed, "share": share(windows)}

    def remarks(self, train: Windows) -> tuple[Choice, ...]:
        found = []
        if counts_down(train, self.settings.target, self.targets[0].unit):
            found.append(Choice(self.settings.target, "course.end_computed", {"unit": self.targets[0].unit},
                                setting="task.target"))
        if self.settings.unfinished:
            names = ", ".join(self.settings.unfinished)
            found.append(Choice(self.settings.unfinished, "course.unfinished", {"names": names},
                                setting="task.unfinished"))
        return tuple(found)
