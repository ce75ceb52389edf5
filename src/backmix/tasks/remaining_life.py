"""How long a unit will go on before it fails: remaining useful life.

This module is the remaining-life task. The label falls by one with every row; far from failure
nothing can be seen of it, so the network learns a label that is capped: flat while a unit is healthy,
falling after that (Heimes, Recurrent neural networks for remaining useful life estimation, PHM 2008).
Whether the judged labels are capped too is a convention that must be said beside every score: it is
part of the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.progress import SECONDS, Unit, counts_down, passed
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.outcome import LIMITS, Outcome, limits_of
from backmix.tasks import Regression, tasks
from backmix.tasks.contract import Judging, Presentation
from backmix.tasks.contract.optional import LearnsFromWindows, Revises
from backmix.tasks.shared.batches import CountdownPlan, CountdownTarget, last_windows
from backmix.tasks.shared.numbers import NumericAnswer
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


class RemainingLifeTarget(CountdownTarget):
    """What is left to the last row of each unit; the learned label is cut off at a cap."""

    settings: RemainingLifePlan
    usual_name = NAME
    no_batches = "course.no_units"

    @property
    def computed(self) -> tuple[str, ...]:
        return (*super().computed, capped_name(self.settings.target))

    def with_labels(self, table: Table) -> Table:
        table = self.labelled(table, unit=self.settings.unit, description=say("course.life_left"))
        tag = table.tag(self.settings.target)
        cap = cap_of(self.settings, tag)
        if cap is None:
            return table
        capped = np.minimum(table.column(tag.name), cap)
        return table.with_columns([replace(tag, name=capped_name(tag.name))], capped)

    def bind(self, table: Table) -> tuple[Tag, ...]:
        (tag,) = super().bind(table)
        capped = self.settings.judge_capped and cap_of(self.settings, tag) is not None
        return (table.tag(capped_name(tag.name)),) if capped else (tag,)

    @property
    def cap(self) -> float | None:
        """Where the learned label is cut off, in the target's unit; None for a label as it is."""
        return cap_of(self.settings, self.tags[0])

    def learned_names(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        return (self.settings.target if self.cap is None else capped_name(self.settings.target),)

    @property
    def convention(self) -> Decision:
        """How labels are capped, and which rows of the test units are judged."""
        cap, unit = self.cap, self.tags[0].unit
        how = "uncapped" if cap is None else "capped" if self.settings.judge_capped else "learned_capped"
        values = {"cap": f"{cap:g} {unit}".rstrip() if cap is not None else ""}
        return Decision(cap, f"course.life_{how}_{self.settings.judged}", values, setting="task.cap")


class RemainingLifeAnswer(NumericAnswer, LearnsFromWindows, Revises):
    """One number between 0 and the cap (or the longest life seen), from a network with dropout."""

    target: RemainingLifeTarget
    light = True  # the light runtime knows the limits

    def __post_init__(self) -> None:
        limits_of(self.fitted)

    @property
    def architecture(self) -> Mapping[str, Any]:
        return {"dropout": DROPOUT}

    def learn(self, train: Windows, validation: Windows) -> Mapping[str, Any]:
        """The limits of every answer: no unit has a life below 0, or above what was learned."""
        cap = self.target.cap
        seen = np.concatenate([train.truth(), validation.truth()])
        return {LIMITS: [min(0.0, float(np.nanmin(seen))), float(np.nanmax(seen)) if cap is None else cap]}

    def revise(self, outcome: Outcome, windows: Windows) -> Outcome:
        limits = limits_of(self.fitted)
        if limits is None or outcome.values is None:
            return outcome
        return replace(outcome, values=np.clip(outcome.values, *limits))


class RemainingLifeJudging(Judging):
    """The error at all rows of the test units, or at the last one of each."""

    target: RemainingLifeTarget
    metrics = ("rmse", "nasa_score", "bias", "late_share", "late_error", "early_error", "late_early_cost")
    baselines = ("mean", "ridge", "ridge_summaries", "trees")
    stage = "told"

    @property
    def test_at_every_row(self) -> bool:
        # the last row of a unit lies where it lies, not at a multiple of the stride
        return self.target.settings.judged == "last"

    def test_windows(self, windows: Windows) -> Windows:
        return windows if self.target.settings.judged == "all" else last_windows(windows)

    def frame_columns(self, windows: Windows) -> Mapping[str, NDArray[Any]]:
        settings, unit = self.target.settings, self.target.tags[0].unit
        elapsed = passed(windows.table, unit if unit in SECONDS and windows.table.time is not None else "rows")
        late, early = (np.full(len(windows), cost) for cost in (settings.late_cost, settings.early_cost))
        return {"elapsed": elapsed[windows.origins], "late_cost": late, "early_cost": early}

    @property
    def convention(self) -> Decision:
        return self.target.convention


class RemainingLifePresentation(Presentation):
    """The predicted life of each unit, and whether it is late or early."""

    target: RemainingLifeTarget
    figures = ("scores", "life_progress", "parity", "error_by_left", "residuals", "learning")

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        settings, cap = self.target.settings, self.target.cap
        why = "given" if settings.cap != "auto" else "none" if cap is None else "rows"
        counted = counts_down(train, settings.target, self.target.tags[0].unit)
        return (
            self.target.convention,
            Decision("none" if cap is None else cap, f"course.cap_{why}", {}, setting="task.cap"),
            *([Decision(settings.target, "course.life_computed", {}, setting="task.target")] if counted else []),
            *self.target.unfinished_remark,
        )


@tasks.register("remaining_life", title={"en": "remaining useful life", "zh_TW": "剩餘使用壽命"})
class RemainingLife(Regression):
    """Regression of the life that a unit has left."""

    Settings = RemainingLifePlan
    Target = RemainingLifeTarget
    Answer = RemainingLifeAnswer
    Judging = RemainingLifeJudging
    Presentation = RemainingLifePresentation


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
