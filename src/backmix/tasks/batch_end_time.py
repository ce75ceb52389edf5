"""When a running batch will end: the time that remains, row by row.

This module is the batch-end-time task. The target is computed: the time to the last row of each
batch. A model sees a batch from its first row on, and the time since then; both are there for a batch
that still runs, whose end nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.progress import Unit, counts_down, every_row, passed, share
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows import Windows, WindowSpec
from backmix.decision import Decision
from backmix.errors import PlanError
from backmix.tasks import TaskPlan, tasks
from backmix.tasks.batches import Countdown, CountdownPlan
from backmix.text import say

NAME = "time_remaining"
"""The target that is computed when the table has no such column."""
ELAPSED = "elapsed"
"""The input that is computed: the time since the first row of the batch."""


class BatchEndTimePlan(CountdownPlan):
    """``[task]`` of a batch end time.

    target: a column with the time that remains; without one, "time_remaining" is computed as the time to the
        last row of each batch
    unit: of the computed target and of the elapsed time; "auto" is minutes, or rows without a clock
    unfinished: batches that were still running when the table was written; their rows have no label
    """

    kind: Literal["batch_end_time"] = "batch_end_time"
    target: str = NAME
    unit: Unit | Literal["auto"] = "auto"


@tasks.register("batch_end_time")
@dataclass(frozen=True)
class BatchEndTime(Countdown):
    """Regression of the time that remains of a running batch."""

    settings: BatchEndTimePlan

    name = "batch_end_time"
    Settings = BatchEndTimePlan
    metrics = ("mae", "rmse", "last_quarter_mae", "bias", "max_error")
    baselines = ("usual_length", "mean", "ridge", "trees")
    figures = ("scores", "end_progress", "error_by_left", "parity", "learning")
    lookback = "elapsed"
    computed = NAME

    @classmethod
    def made(cls, settings: TaskPlan) -> tuple[str, ...]:
        return (ELAPSED, *super().made(settings))

    @classmethod
    def derive(cls, table: Table, settings: TaskPlan, *, targets: bool) -> Table:
        assert isinstance(settings, BatchEndTimePlan)
        unit = settings.unit if settings.unit != "auto" else "rows" if table.time is None else "min"
        since = Tag(ELAPSED, unit=unit, description=say("course.elapsed"))
        table = table.with_columns([since], passed(table, unit))
        return cls.labelled(table, settings, unit=unit, description=say("course.time_left")) if targets else table

    def form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        if spec.lookback is None and not spec.growing:
            raise PlanError("course.end_of_ended")
        return super().form(spec, step)

    def training_samples(self, windows: Windows) -> Windows:
        return every_row(windows) if windows.spec.growing else windows

    def facts(self, windows: Windows) -> Mapping[str, NDArray[Any]]:
        elapsed = np.asarray(windows.table.column(ELAPSED), dtype=np.float64)[windows.origins]
        return {"elapsed": elapsed, "share": share(windows)}

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        unit = self.targets[0].unit
        counted = (Decision(self.settings.target, "course.end_computed", {"unit": unit}, setting="task.target"),)
        known = super().remarks(train)
        return (*counted, *known) if counts_down(train, self.settings.target, unit) else known
