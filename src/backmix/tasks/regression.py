"""What all tasks share whose answer is a number.

This module defines `Regression`, the part of a task that reads numeric targets, picks the loss and
turns scaled outputs back into the units of the targets. It registers no task.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.progress import asked_targets
from backmix.data.table import Table
from backmix.data.windows import Windows
from backmix.decision import Decision
from backmix.errors import InputError
from backmix.models.losses import choose_loss
from backmix.tasks import Outcome, Task, TaskPlan


@dataclass(frozen=True)
class Regression(Task):
    """Regression of one or several targets in their own units."""

    kind = "regression"

    @classmethod
    def adapt(cls, table: Table, settings: TaskPlan) -> Table:
        """A target that the task computes where there is none need not be there."""
        changes = {}
        for name in settings.targets:
            if name in cls.made(settings) and name not in table.names:
                continue
            tag = table.tag(name)
            if tag.categories:
                raise InputError(
                    "tasks.target_is_text",
                    where=table.source,
                    target=name,
                    task=cls.name,
                    examples=", ".join(tag.categories[:3]),
                )
            if not np.isfinite(table.column(name)).any():
                raise InputError("tasks.target_is_empty", where=table.source, target=name)
            changes[name] = replace(tag, role="target")
        return table.retag(changes)

    @property
    def head(self) -> str:
        return "number" if self.outputs == 1 else "numbers"

    @property
    def outputs(self) -> int:
        return len(self.targets)

    def loss(self, train: Windows) -> Decision:
        asked = asked_targets(train)
        for column, name in enumerate(train.spec.targets):
            if np.ptp(asked[:, column]) == 0:
                raise InputError(
                    "tasks.target_is_constant",
                    where=train.table.source,
                    target=name,
                    value=f"{np.nanmin(train.table.column(name)[train.target_rows]):g}",
                    count=len(train),
                )
        return choose_loss("regression", targets=asked)

    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        return Outcome(values=windows.unscaled(outputs))
