"""A quantity that is hard to measure, estimated from those that are easy.

This module is the soft-sensor task: one or several numbers at the moment of prediction (or a
horizon later), from a window of inputs, with or without the past laboratory values that would
really be known by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.windows import Known, Windows
from backmix.errors import InputError
from backmix.models.choice import Choice
from backmix.models.losses import choose_loss
from backmix.tasks import Outcome, Task, TaskPlan, tasks
from backmix.tasks.past_targets import PastTargets


class SoftSensorPlan(TaskPlan):
    """``[task]`` of a soft sensor. Without ``past_targets`` the model sees inputs only."""

    kind: Literal["soft_sensor"] = "soft_sensor"
    past_targets: PastTargets | None = None


@tasks.register("soft_sensor")
@dataclass(frozen=True)
class SoftSensor(Task):
    """Regression of one or several targets in their own units."""

    settings: SoftSensorPlan

    name = "soft_sensor"
    Settings = SoftSensorPlan
    kind = "regression"
    metrics = ("rmse", "mae", "r2", "max_error", "bias")
    baselines = ("last_value", "mean", "ridge", "pls", "trees", "feed_forward")
    figures = ("scores", "timeline", "parity", "residuals", "learning")

    @classmethod
    def adapt(cls, table: Table, settings: TaskPlan) -> Table:
        changes = {}
        for name in settings.targets:
            tag = table.tag(name)
            if tag.categories:
                raise InputError("tasks.target_is_text", where=table.source, target=name,
                                 examples=", ".join(tag.categories[:3]))
            if not np.isfinite(table.column(name)).any():
                raise InputError("tasks.target_is_empty", where=table.source, target=name)
            changes[name] = replace(tag, role="target")
        return table.retag(changes)

    @property
    def head(self) -> str:
        return "number" if len(self.targets) == 1 else "numbers"

    @property
    def outputs(self) -> int:
        return len(self.targets)

    def known(self, step: float | None) -> Known | None:
        past = self.settings.past_targets
        return None if past is None else past.in_rows([tag.name for tag in self.targets], step)

    def loss(self, train: Windows) -> Choice:
        scaled = train.scaled_targets()
        for column, tag in enumerate(self.targets):
            if np.ptp(scaled[:, column]) == 0:
                raise InputError("tasks.target_is_constant", where=train.table.source, target=tag.name,
                                 value=f"{train.truth()[0, column]:g}", count=len(train))
        return choose_loss("regression", targets=scaled)

    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        values = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), self.outputs)
        scaler = windows.target_scaler
        return Outcome(values=values if scaler is None else scaler.inverse(values))
