"""The ``[task]`` section of a plan.

This module defines `TaskPlan`, which every task's settings extend by a field ``kind`` with its name as default.
"""

from __future__ import annotations

from pydantic import field_validator

from backmix.section import PlanSection
from backmix.text import say


class TaskPlan(PlanSection):
    """The ``[task]`` section that every task has: its kind, and one or several target tags."""

    kind: str
    target: str | tuple[str, ...]

    @field_validator("target")
    @classmethod
    def _each_once(cls, target: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = (target,) if isinstance(target, str) else target
        if not names or not all(names):
            raise ValueError(say("tasks.no_target"))
        for name in names:
            if names.count(name) > 1:
                raise ValueError(say("tasks.target_twice", target=name))
        return target

    @property
    def targets(self) -> tuple[str, ...]:
        """The target names, one or several."""
        return (self.target,) if isinstance(self.target, str) else self.target
