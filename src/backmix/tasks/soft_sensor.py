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
from pydantic import field_validator

from backmix.data.table import Table
from backmix.data.windows import Known, Windows, WindowSpec
from backmix.duration import Duration, DurationField
from backmix.errors import InputError
from backmix.models.choice import Choice
from backmix.models.losses import choose_loss
from backmix.section import Section
from backmix.tasks import Outcome, Task, TaskPlan, tasks
from backmix.text import say


class PastTargets(Section):
    """Which past target values the model may see at the moment of prediction.

    delay: age of the newest value that is known (sampling to report), at least one row
    count: how many known values a window shows; None shows one for every row of the window
    """

    delay: DurationField
    count: int | None = None

    @field_validator("delay")
    @classmethod
    def _not_now(cls, delay: Duration) -> Duration:
        if delay.count == 0 or delay.seconds == 0:
            raise ValueError(say("tasks.delay_zero"))
        return delay

    @field_validator("count")
    @classmethod
    def _some(cls, count: int | None) -> int | None:
        if count is not None and count < 1:
            raise ValueError(say("tasks.count_zero", count=count))
        return count


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

    def form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        past = self.settings.past_targets
        return spec if past is None else replace(
            spec, known=Known(delay=max(1, past.delay.rows(step)), count=past.count))

    def loss(self, train: Windows) -> Choice:
        return regression_loss(train)

    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        return Outcome(values=windows.unscaled(outputs))


def regression_loss(train: Windows) -> Choice:
    """The loss for numbers; InputError (tasks.target_is_constant) when there is nothing to learn."""
    asked = train.asked_targets()
    for column, name in enumerate(train.spec.targets):
        if np.ptp(asked[:, column]) == 0:
            raise InputError("tasks.target_is_constant", where=train.table.source, target=name,
                             value=f"{train.unscaled(asked[:1])[0, column]:g}", count=len(asked))
    return choose_loss("regression", targets=asked)
