"""A quantity that is hard to measure, estimated from those that are easy.

This module is the soft-sensor task: one or several numbers at the moment of prediction (or a
horizon later), from a window of inputs, with or without the past laboratory values that would
really be known by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import field_validator

from backmix.data.windows import Known, WindowSpec
from backmix.duration import Duration, DurationField
from backmix.section import Section
from backmix.tasks import TaskPlan, tasks
from backmix.tasks.regression import Regression
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
class SoftSensor(Regression):
    """Regression of one or several targets at the moment of prediction, or a horizon later."""

    settings: SoftSensorPlan

    name = "soft_sensor"
    Settings = SoftSensorPlan
    metrics = ("rmse", "mae", "r2", "max_error", "bias")
    baselines = ("last_value", "mean", "ridge", "pls", "trees", "feed_forward")
    figures = ("scores", "timeline", "parity", "residuals", "learning")

    def form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        past = self.settings.past_targets
        return spec if past is None else replace(
            spec, known=Known(delay=max(1, past.delay.rows(step)), count=past.count))
