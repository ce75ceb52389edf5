"""A quantity that is hard to measure, estimated from those that are easy.

This module is the soft-sensor task: one or several numbers at the moment of prediction (or a
horizon later), from a window of inputs, with or without the past laboratory values that would
really be known by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from backmix.data.windows import WindowSpec
from backmix.tasks import TaskPlan, tasks
from backmix.tasks.past_targets import PastTargets
from backmix.tasks.regression import Regression


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
        return spec if past is None else replace(spec, known=past.in_rows(spec.targets, step))
