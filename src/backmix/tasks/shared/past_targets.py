"""What a model may know of the past of its own target.

This module defines `PastTargets`, the ``past_targets`` of a regression task, and refuses a delay that
contradicts that of the laboratory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import field_validator, model_validator

from backmix.data.laboratory.lab_plan import LabPlan
from backmix.data.reported import report_name
from backmix.data.windows.windows import Known
from backmix.duration import Duration, DurationField
from backmix.section import PlanSection
from backmix.tasks import TaskPlan
from backmix.text import say


class PastTargets(PlanSection):
    """Which past target values the model may see at the moment of prediction: one of the first two.

    delay: age of the newest value that is known (sampling to report), at least one row
    known: "reported" shows the newest sample that had been reported by then, out of the report times of
        ``[data.lab]``; the same at prediction, from the report times of the new table
    count: how many known values a window shows; None shows one for every row of the window
    age: show beside each value how old it is, as log(1 + rows since its sample)
    """

    delay: DurationField | None = None
    known: Literal["reported"] | None = None
    count: int | None = None
    age: bool = False

    @field_validator("delay")
    @classmethod
    def _not_now(cls, delay: Duration | None) -> Duration | None:
        if delay is not None and (delay.count == 0 or delay.seconds == 0):
            raise ValueError(say("tasks.delay_zero"))
        return delay

    @field_validator("count")
    @classmethod
    def _some(cls, count: int | None) -> int | None:
        if count is not None and count < 1:
            raise ValueError(say("tasks.count_zero", count=count))
        return count

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.delay is None) == (self.known is None):
            raise ValueError(say("lab.plan_delay_or_known"))
        return self

    def in_rows(self, targets: Sequence[str], step: float | None) -> Known:
        """The same for rows ``step`` seconds apart; `data.reported.learned` adds how late reports come."""
        if self.delay is None:
            return Known(delay=1, count=self.count, report=tuple(map(report_name, targets)), age=self.age)
        return Known(delay=max(1, self.delay.rows(step)), count=self.count, age=self.age)


def delay_of(plan: TaskPlan) -> Duration | None:
    """The fixed delay from sample to report that a ``[task]`` section names; None without one."""
    past = getattr(plan, "past_targets", None)
    delay = getattr(plan, "delay", None) if past is None else past.delay
    return delay if isinstance(delay, Duration) else None


def check_delays(lab: LabPlan | None, plan: TaskPlan | None) -> None:
    """ValueError (rules.plan_delays) for a delay that is shorter than the laboratory's own.

    A longer one shows less than could be known, which is allowed. Rows and times cannot be compared here, and
    columns of report times not at all: `data.reported.learned` does when there is a table.
    """
    delay = None if plan is None else delay_of(plan)
    if lab is None or lab.report_delay is None or plan is None or delay is None:
        return
    late = [name for name in plan.targets if name in lab.named or not lab.named]
    shorter = any(
        mine is not None and theirs is not None and mine < theirs
        for mine, theirs in ((delay.count, lab.report_delay.count), (delay.seconds, lab.report_delay.seconds))
    )
    now = delay.empty and not lab.report_delay.empty
    if late and (shorter or now):
        raise ValueError(say("rules.plan_delays", lab=lab.report_delay, delay=delay, target=late[0]))
