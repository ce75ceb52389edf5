"""A quantity that is hard to measure, estimated from those that are easy.

This module is the soft-sensor task: one or several numbers at the moment of prediction (or a
horizon later), from a window of inputs, with or without the past laboratory values that would
really be known by then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from backmix.data.windows.windows import WindowSpec
from backmix.tasks import Regression, TaskPlan, tasks
from backmix.tasks.shared.numbers import NumericJudging, NumericTarget
from backmix.tasks.shared.past_targets import PastTargets


class SoftSensorPlan(TaskPlan):
    """``[task]`` of a soft sensor. Without ``past_targets`` the model sees inputs only."""

    kind: Literal["soft_sensor"] = "soft_sensor"
    past_targets: PastTargets | None = None


class SoftSensorTarget(NumericTarget):
    """One or several quantities, with their past as far as the plan says that it is known."""

    settings: SoftSensorPlan

    def window_form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        past = self.settings.past_targets
        return spec if past is None else replace(spec, known=past.in_rows(spec.targets, step))


class SoftSensorJudging(NumericJudging):
    """The error at each label; the newest known value is a baseline where the plan says that it is known."""

    baselines = ("last_value", "mean", "ridge", "pls", "trees", "feed_forward")


@tasks.register("soft_sensor", title={"en": "soft sensor", "zh_TW": "軟感測器"})
class SoftSensor(Regression):
    """Regression of one or several targets at the moment of prediction, or a horizon later."""

    Settings = SoftSensorPlan
    Target = SoftSensorTarget
    Judging = SoftSensorJudging
