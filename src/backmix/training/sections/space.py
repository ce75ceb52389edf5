"""What a search may change in a plan.

This module holds `TunePlan`, the ``[tune]`` section of a plan. Only what a plan leaves open is searched
(`tuning.space`); ``[tune.space]`` says otherwise, setting by setting.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from backmix.duration import Duration, DurationField
from backmix.parallel import Place
from backmix.section import PlanSection
from backmix.text import say

SEARCHED = ("model", "training", "scaling", "windows")
"""Sections whose settings may be searched. The others say what is asked, of which rows, and how it is judged."""
FORBIDDEN = frozenset(
    {
        "training.seed",
        "training.warm_start",
        "training.memory_limit",
        "training.checkpoint",
        "training.tensorboard",
        "training.metrics",
        "training.monitor",
        "windows.horizon",
        "windows.stride",
        "windows.dead_time",
    }
)
"""Settings in those sections that change no model (a lucky seed is none), or what is asked."""


class Range(PlanSection):
    """Numbers from ``low`` to ``high``; log: drawn evenly by their logarithm; whole: whole numbers only."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not (math.isfinite(self.low) and self.low < self.high < math.inf) or (self.log and self.low <= 0):
            raise ValueError(say("tune.bad_range", low=self.low, high=self.high))
        return self

    def nearest(self, value: float) -> float:
        """The value, or the end of the range that is nearer.

        >>> Range(low=1e-4, high=1e-2).nearest(0.5)
        0.01
        """
        near = min(max(float(value), self.low), self.high)
        return round(near) if self.whole else near

    def samples(self) -> tuple[float, ...]:
        """Both ends, and a number between that is whole only where all are: what a plan must be able to hold."""
        numbers = (self.low, self.high, self.low + (self.high - self.low) / math.pi)
        return tuple(map(round, numbers)) if self.whole else numbers


def _form(values: Any) -> str:
    """Which form the values of a setting are meant to have, so that what is wrong with it is said in its terms."""
    return (
        "tagged-range"
        if isinstance(values, dict | Range)
        else "tagged-word"
        if isinstance(values, str)
        else "tagged-list"
    )


Values = Annotated[
    Annotated[tuple[Any, ...], Tag("tagged-list")]
    | Annotated[Range, Tag("tagged-range")]
    | Annotated[Literal["fixed"], Tag("tagged-word")],
    Discriminator(_form),
]
"""What ``[tune.space]`` may say about a setting."""


class TunePlan(PlanSection):
    """``[tune]``: how `backmix tune` searches; `backmix run` does not read it.

    A trial trains one network alone per fold (``recipe = "course"``): what makes it better makes the networks of
    an ensemble better, at a fifth of the time.

    trials: how many plans are tried, the plan as it is among them
    timeout: no trial begins after this time ("10min"); the running ones end as they would
    folds: into how many folds the rows before the test part are divided; every trial is judged on all
    kind: "expanding" teaches on what came before each stretch, "blocked" and "batch" on all others, before
        and behind; "auto" takes whole batches where the split does, and stretches in time order otherwise
    validation: share of the training rows of a fold, the last of them, that stops the training
    pruner: when a trial is given up between two folds: "median" of the earlier ones at this fold, "halving"
        (successive halving), or "none"
    storage: the file of the study (path from the plan's folder): ``.db`` for SQLite, ``.log`` for a journal
    workers, on: how many trials run side by side, a process each, and where: on this machine or a cluster
    space: settings to search by their dotted names: a list of values, a `Range`, or "fixed" for none
    """

    trials: int = Field(default=20, ge=1, le=100_000)
    timeout: DurationField | None = None
    folds: int = Field(default=3, ge=2, le=1000)
    kind: Literal["auto", "expanding", "blocked", "batch"] = "auto"
    validation: float = Field(default=0.2, gt=0, lt=1)
    pruner: Literal["median", "halving", "none"] = "median"
    storage: str | None = None
    workers: int = Field(default=1, ge=1, le=1000)
    on: Place = "local"
    space: dict[str, Values] = Field(default_factory=dict)

    @field_validator("timeout")
    @classmethod
    def _in_time(cls, timeout: Duration | None) -> Duration | None:
        if timeout is not None and not timeout.seconds:
            raise ValueError(say("tune.timeout_rows", got=timeout))
        return timeout

    @field_validator("space", mode="before")
    @classmethod
    def _flat(cls, space: Any) -> Any:
        """``model.units`` without quotes is a table in a table for TOML."""
        if not isinstance(space, dict):
            return space
        flat: dict[str, Any] = {}
        for name, value in space.items():
            nested = isinstance(value, dict) and "." not in name and not value.keys() & {"low", "high"}
            flat |= {f"{name}.{field}": inner for field, inner in value.items()} if nested else {name: value}
        return flat

    @field_validator("space")
    @classmethod
    def _may_be_searched(cls, space: dict[str, Any]) -> dict[str, Any]:
        for name, values in space.items():
            section, _, field = name.partition(".")
            if section not in SEARCHED or not field or "." in field or name in FORBIDDEN:
                raise ValueError(say("tune.not_searched", name=name, sections=", ".join(SEARCHED)))
            plain = values if isinstance(values, tuple) else ()
            if values == () or not all(_is_plain(value) for value in plain):
                raise ValueError(say("tune.no_values", name=name))
        return space


def _is_plain(value: Any) -> bool:
    """Whether a value is a number, a word, or a list of whole numbers (units)."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(isinstance(size, int) for size in value)
    return isinstance(value, bool | int | float | str)
