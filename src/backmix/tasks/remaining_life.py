"""How long a unit will go on before it fails: remaining useful life.

This module is the remaining-life task. The label falls by one with every row; far from failure
nothing can be seen of it, so the network learns a label that is capped: flat while a unit is healthy,
falling after that (Heimes, Recurrent neural networks for remaining useful life estimation, PHM 2008).
Whether the judged labels are capped too is a convention that must be said beside every score: it is
part of the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from backmix.data.progress import SECONDS, Unit, complete, counts_down, passed
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows import Windows, WindowSpec
from backmix.decision import Decision
from backmix.tasks import TaskPlan, tasks
from backmix.tasks.batches import Countdown, CountdownPlan
from backmix.text import say

NAME = "remaining_life"
"""The target that is computed when the table has no such column."""
CAP = 125.0
"""The label's usual cap where rows are counted: the one of nearly all published figures on C-MAPSS."""

DROPOUT = 0.2
"""Lowers the validation RMSE on C-MAPSS FD001 from 15.5 to 14.6 and from 15.9 to 15.5 flights (two seeds);
window statistics (15.5) and an absolute loss (15.0) do less, see benchmarks/LOG.md."""


class RemainingLifePlan(CountdownPlan):
    """``[task]`` of a remaining life.

    target: a column of remaining life; without one, "remaining_life" is computed as what is left to the last
        row of each unit, which must then be its failure
    unit: of the computed target, "rows" or a time
    cap: labels above it are learned as it; "auto" is 125 where rows are counted and none for a time
    judge_capped: whether predictions are judged against capped labels, too
    judged: "all" rows of the test units, or the "last" one of each, as C-MAPSS is judged
    late_cost, early_cost: cost per unit of life of a prediction that is too long, or too short; the default is
        the ratio in which the score of Saxena et al. rises near zero
    unfinished: units that had not failed when the table was written; their rows have no label
    """

    kind: Literal["remaining_life"] = "remaining_life"
    target: str = NAME
    unit: Unit = "rows"
    cap: float | Literal["auto", "none"] = "auto"
    judge_capped: bool = False
    judged: Literal["all", "last"] = "all"
    late_cost: float = Field(default=1.3, gt=0)
    early_cost: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not isinstance(self.cap, str) and not self.cap > 0:
            raise ValueError(say("course.cap_zero", cap=f"{self.cap:g}"))
        if self.judge_capped and self.cap == "none":
            raise ValueError(say("course.judge_uncapped"))
        return self


@tasks.register("remaining_life")
@dataclass(frozen=True)
class RemainingLife(Countdown):
    """Regression of the life that a unit has left."""

    settings: RemainingLifePlan

    name = "remaining_life"
    Settings = RemainingLifePlan
    metrics = ("rmse", "nasa_score", "bias", "late_share", "late_error", "early_error", "late_early_cost")
    baselines = ("mean", "ridge", "ridge_summaries", "trees")
    figures = ("scores", "life_progress", "parity", "error_by_left", "residuals", "learning")
    computed = NAME
    no_batches = "course.no_units"

    @classmethod
    def made(cls, settings: TaskPlan) -> tuple[str, ...]:
        (name,) = settings.targets
        return (*super().made(settings), capped_name(name))

    @classmethod
    def derive(cls, table: Table, settings: TaskPlan, *, targets: bool) -> Table:
        if not targets:
            return table
        assert isinstance(settings, RemainingLifePlan)
        table = cls.labelled(table, settings, unit=settings.unit, description=say("course.life_left"))
        tag = table.tag(settings.target)
        cap = cap_of(settings, tag)
        return (
            table
            if cap is None
            else table.with_columns([replace(tag, name=capped_name(tag.name))], np.minimum(table.column(tag.name), cap))
        )

    @classmethod
    def bind(cls, table: Table, settings: TaskPlan) -> Self:
        task = super().bind(table, settings)
        if task.cap is None or not task.settings.judge_capped:
            return task
        return replace(task, targets=(table.tag(capped_name(task.settings.target)),))

    @property
    def cap(self) -> float | None:
        """Where the learned label is cut off, in the target's unit; None for a label as it is."""
        return cap_of(self.settings, self.targets[0])

    @property
    def shape(self) -> Mapping[str, Any]:
        return {"dropout": DROPOUT}

    def goals(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        return (self.settings.target if self.cap is None else capped_name(self.settings.target),)

    def judged_spec(self, spec: WindowSpec) -> WindowSpec:
        # the last row of a unit lies where it lies, not at a multiple of the stride
        return replace(spec, stride=1) if self.settings.judged == "last" else spec

    def judged(self, windows: Windows) -> Windows:
        return windows if self.settings.judged == "all" else windows.subset(complete(windows))

    def facts(self, windows: Windows) -> Mapping[str, NDArray[Any]]:
        unit = self.targets[0].unit
        elapsed = passed(windows.table, unit if unit in SECONDS and windows.table.time is not None else "rows")
        late, early = (np.full(len(windows), cost) for cost in (self.settings.late_cost, self.settings.early_cost))
        return {"elapsed": elapsed[windows.origins], "late_cost": late, "early_cost": early}

    @property
    def convention(self) -> Decision:
        cap, unit = self.cap, self.targets[0].unit
        how = "uncapped" if cap is None else "capped" if self.settings.judge_capped else "learned_capped"
        values = {"cap": f"{cap:g} {unit}".rstrip() if cap is not None else ""}
        return Decision(cap, f"course.life_{how}_{self.settings.judged}", values, setting="task.cap")

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        why = "given" if self.settings.cap != "auto" else "none" if self.cap is None else "rows"
        found = [
            self.convention,
            Decision("none" if self.cap is None else self.cap, f"course.cap_{why}", {}, setting="task.cap"),
        ]
        if counts_down(train, self.settings.target, self.targets[0].unit):
            found.append(Decision(self.settings.target, "course.life_computed", {}, setting="task.target"))
        return (*found, *super().remarks(train))


def capped_name(target: str) -> str:
    """The name of the column with the capped label.

    >>> capped_name("RUL")
    'RUL (capped)'
    """
    return f"{target} (capped)"


def cap_of(settings: RemainingLifePlan, tag: Tag) -> float | None:
    """Where the label in this column is cut off."""
    if settings.cap == "auto":
        return None if tag.unit in SECONDS else CAP
    return None if isinstance(settings.cap, str) else float(settings.cap)
