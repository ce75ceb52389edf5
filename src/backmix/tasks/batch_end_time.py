"""When a running batch will end: the time that remains, row by row.

This module is the batch-end-time task. The target is computed: the time to the last row of each
batch. A model sees a batch from its first row on, and the time since then; both are there for a batch
that still runs, whose end nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.progress import Unit, counts_down, every_row, passed, share
from backmix.data.windows.windows import Windows, WindowSpec
from backmix.decision import Decision
from backmix.errors import PlanError
from backmix.tasks import Regression, tasks
from backmix.tasks.contract import Judging, Presentation
from backmix.tasks.shared.batches import CountdownPlan, CountdownTarget
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


class BatchEndTimeTarget(CountdownTarget):
    """The time to the last row of each batch; the time since the first is an input."""

    settings: BatchEndTimePlan
    usual_name = NAME
    auto_lookback = "elapsed"

    @property
    def computed(self) -> tuple[str, ...]:
        return (ELAPSED, *super().computed)

    def with_inputs(self, table: Table) -> Table:
        unit = self._unit(table)
        since = Tag(ELAPSED, unit=unit, description=say("course.elapsed"))
        return table.with_columns([since], passed(table, unit))

    def with_labels(self, table: Table) -> Table:
        return self.labelled(table, unit=self._unit(table), description=say("course.time_left"))

    def _unit(self, table: Table) -> str:
        unit = self.settings.unit
        return unit if unit != "auto" else "rows" if table.time is None else "min"

    def window_form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        """Raises PlanError (course.end_of_ended, course.no_horizon)."""
        if spec.lookback is None and not spec.growing:
            raise PlanError("course.end_of_ended")
        return super().window_form(spec, step)

    def training_samples(self, windows: Windows) -> Windows:
        return every_row(windows) if windows.spec.growing else windows


class BatchEndTimeJudging(Judging):
    """The error of the time that remains, at every row of a batch."""

    metrics = ("mae", "rmse", "last_quarter_mae", "bias", "max_error")
    baselines = ("usual_length", "mean", "ridge", "trees")
    stage = "told"

    def frame_columns(self, windows: Windows) -> Mapping[str, NDArray[Any]]:
        since = np.asarray(windows.table.column(ELAPSED), dtype=np.float64)[windows.origins]
        return {"elapsed": since, "share": share(windows)}


class BatchEndTimePresentation(Presentation):
    """The predicted end while a batch runs."""

    target: BatchEndTimeTarget
    figures = ("scores", "end_progress", "error_by_left", "parity", "learning")

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        name, unit = self.target.settings.target, self.target.tags[0].unit
        counted = (Decision(name, "course.end_computed", {"unit": unit}, setting="task.target"),)
        return (*(counted if counts_down(train, name, unit) else ()), *self.target.unfinished_remark)


@tasks.register("batch_end_time", title={"en": "batch end time", "zh_TW": "批次結束時間"})
class BatchEndTime(Regression):
    """Regression of the time that remains of a running batch."""

    Settings = BatchEndTimePlan
    Target = BatchEndTimeTarget
    Judging = BatchEndTimeJudging
    Presentation = BatchEndTimePresentation
