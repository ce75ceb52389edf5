"""What the tasks share that look to the end of a batch or unit.

This module defines `BatchTarget`, which needs a table with batches and sees them whole, and `CountdownTarget`, whose
label is what is left to the last row of each of them.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table, missing_column
from backmix.data.tag import Tag
from backmix.data.windows.progress import complete, left, of_batches, passed
from backmix.data.windows.windows import Windows, WindowSpec
from backmix.decision import Decision
from backmix.errors import InputError, PlanError
from backmix.tasks.contract import TaskPlan
from backmix.tasks.shared.numbers import NumericTarget


class BatchTarget(NumericTarget):
    """Numbers that are known of a batch when it has ended."""

    whole_batches = True
    no_batches: ClassVar[str] = "course.no_batches"
    """The message for a table that is one long run."""

    def adapt(self, table: Table) -> Table:
        if table.batch is None:
            raise InputError(self.no_batches, where=table.source, task=self.settings.kind)
        return super().adapt(table)

    def window_form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        """Raises PlanError (course.no_horizon)."""
        if spec.horizon:
            raise PlanError("course.no_horizon", task=self.settings.kind)
        return spec


class CountdownPlan(TaskPlan):
    """``[task]`` of a countdown.

    unfinished: batches or units that had not ended when the table was written; their rows have no label
    """

    target: str
    unfinished: tuple[str, ...] = ()


class CountdownTarget(BatchTarget):
    """What is left to the last row of a batch; the label is computed unless a column holds it."""

    settings: CountdownPlan
    usual_name: ClassVar[str]
    """The target that is computed when the table has no such column."""

    @property
    def computed(self) -> tuple[str, ...]:
        return tuple(name for name in self.settings.targets if name == self.usual_name)

    def bind(self, table: Table) -> tuple[Tag, ...]:
        """Raises InputError (data.missing_column) for an unfinished batch that the table does not have."""
        for name in self.settings.unfinished:
            if name not in table.batch_names:
                raise missing_column(name, table.batch_names, table.source)
        return super().bind(table)

    def labelled(self, table: Table, *, unit: str, description: str) -> Table:
        """The table with its label, which is missing in batches that had not ended."""
        name = self.settings.target
        if name not in table.names:
            tag = Tag(name, unit=unit, role="target", description=description)
            table = table.with_columns([tag], left(table, unit))
        if not self.settings.unfinished:
            return table
        known = np.where(of_batches(table, self.settings.unfinished), np.nan, table.column(name))
        return table.with_columns([table.tag(name)], known)

    @property
    def unfinished_remark(self) -> tuple[Decision, ...]:
        """Which batches have no label, for the report; () when all had ended."""
        if not self.settings.unfinished:
            return ()
        names = ", ".join(self.settings.unfinished)
        return (Decision(self.settings.unfinished, "course.unfinished", {"names": names}, setting="task.unfinished"),)


def last_windows(windows: Windows) -> Windows:
    """The windows at the last row of each batch."""
    return windows.subset(complete(windows))


def elapsed(windows: Windows) -> NDArray[np.float64]:
    """(W,) time since the batch began at each window, known at once: minutes, or rows without a clock."""
    unit = "rows" if windows.table.time is None else "min"
    return passed(windows.table, unit)[windows.origins]
