"""What a search may change in a plan.

This module holds `TunePlan`, the ``[tune]`` section of a plan, and `SPACE`, the settings that are searched
as data: one entry each, with the values to try and the reason. Only what a plan leaves open is searched;
``[tune.space]`` says otherwise, setting by setting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from backmix.duration import Duration, DurationField
from backmix.errors import PlanError
from backmix.parallel import Place
from backmix.section import PlanSection
from backmix.text import say
from backmix.training.advice.lookback import CANDIDATES

if TYPE_CHECKING:
    from backmix.training.design import Design
    from backmix.training.plan import Plan
    from backmix.training.prepare import Prepared

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
GIVEN = "tune.why_given"
"""The reason of a setting whose values the plan names itself."""
NO_SUMMARIES = ("forms.summaries_steps", "carried.no_summaries")
"""Reasons for which there is no place for window statistics."""


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
        found = (self.low, self.high, self.low + (self.high - self.low) / math.pi)
        return tuple(map(round, found)) if self.whole else found


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

    A trial trains one network alone per fold (recipe "course"): what makes it better makes the networks of a
    ensemble better, at a fifth of the time.

    trials: how many plans are tried, the plan as it is among them
    timeout: no trial begins after this time ("10min"); the running ones end as they would
    folds: into how many folds the rows before the test part are divided; every trial is judged on all
    kind: "expanding" teaches on what came before each stretch, "blocked" and "batch" on all others, before
        and behind; "auto" takes whole batches where the split does, and stretches in time order otherwise
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


@dataclass(frozen=True)
class Knob:
    """One setting of a search: its dotted name in a plan, the values to try, and why they are these.

    body, kind: the bodies of a network and the kinds of task that it is for; None for all
    """

    name: str
    values: tuple[Any, ...] | Range
    reason_key: str
    body: Literal["recurrent", "transformer"] | None = None
    kind: Literal["regression", "classification"] | None = None

    def labelled(self) -> dict[Any, Any]:
        """Label -> value of a list: what can be a label (a number, a word) is its own.

        >>> Knob("model.units", ((16,), (64, 32)), "tune.why_units").labelled()
        {'16': (16,), '64-32': (64, 32)}
        """
        assert not isinstance(self.values, Range)
        return {label_of(value): value for value in self.values}

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        values = self.values.model_dump() if isinstance(self.values, Range) else list(self.labelled())
        return {"setting": self.name, "values": values, "reason_key": self.reason_key}


SPACE: tuple[Knob, ...] = (
    Knob("model.cell", ("gru", "lstm"), "tune.why_cell", body="recurrent"),
    Knob("model.units", ((16,), (32,), (48,), (64,), (64, 32)), "tune.why_units", body="recurrent"),
    Knob("model.units", ((32,), (64,), (32, 32), (64, 64)), "tune.why_blocks", body="transformer"),
    Knob("model.attention_heads", (2, 4, 8), "tune.why_heads", body="transformer"),
    Knob("model.dropout", (0.0, 0.1, 0.3), "tune.why_dropout"),
    Knob("model.head_dropout", (0.0, 0.3, 0.5), "tune.why_head_dropout", kind="classification"),
    Knob("model.summaries", (False, True), "tune.why_summaries"),
    Knob("training.learning_rate", Range(low=3e-4, high=1e-2, log=True), "tune.why_learning_rate"),
    Knob("training.batch_size", (16, 32, 64, 128), "tune.why_batch_size"),
    Knob("windows.lookback", CANDIDATES, "tune.why_lookback"),
)
"""What is searched unless the plan has said it, or ``[tune.space]`` says otherwise."""


def label_of(value: Any) -> Any:
    """The name of a value in a study, where only numbers and words may stand.

    >>> label_of((64, 32)), label_of(0.1), label_of(Duration.parse("90min"))
    ('64-32', 0.1, '90min')
    """
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    if isinstance(value, Duration):
        return value.count if value.count is not None else value.text
    return value


def value_of(plan: Plan, name: str) -> Any:
    """What a plan says at a dotted name.

    Raises PlanError (tune.unknown_setting) for a name that plans do not have.
    """
    section, _, field = name.partition(".")
    part = getattr(plan, section)
    if field not in type(part).model_fields:
        raise PlanError("tune.unknown_setting", name=name, names=", ".join(type(part).model_fields))
    return getattr(part, field)


def is_open(plan: Plan, name: str) -> bool:
    """Whether a plan leaves a setting to the program: it says "auto", or has no "auto" and says nothing."""
    section, _, field = name.partition(".")
    part = getattr(plan, section)
    automatic = type(part).model_fields[field].get_default() == "auto"
    return bool(getattr(part, field) == "auto" if automatic else field not in part.model_fields_set)


def resolved(prepared: Prepared, design: Design) -> dict[str, Any]:
    """What the settings of `SPACE` are where nothing of a plan is left open."""
    shape, settings = design.architecture, design.settings
    return {
        "model.cell": shape.cell,
        "model.units": shape.units,
        "model.attention_heads": shape.attention_heads,
        "model.dropout": shape.dropout,
        "model.head_dropout": shape.head_dropout,
        "model.summaries": shape.summaries,
        "training.learning_rate": settings.learning_rate,
        "training.batch_size": settings.batch_size,
        "windows.lookback": prepared.preprocessing.spec.lookback,
    }


def open_space(plan: Plan, prepared: Prepared, design: Design) -> tuple[Knob, ...]:
    """The settings of a search: what the plan leaves open, and what ``[tune.space]`` names.

    Raises PlanError: tune.unknown_setting, tune.nothing_open, and for a value that a plan may not have.
    """
    usual = {knob.name: knob for knob in SPACE if _applies(knob, plan, prepared, design)}
    knobs = {name: knob for name, knob in usual.items() if is_open(plan, name)}
    for name, values in plan.tune.space.items():
        value_of(plan, name)
        knobs.pop(name, None)
        if values != "fixed":
            knobs[name] = Knob(name, values if isinstance(values, Range) else tuple(map(_frozen, values)), GIVEN)
    if not knobs:
        raise PlanError("tune.nothing_open", names=", ".join(dict.fromkeys(knob.name for knob in SPACE)))
    now = resolved(prepared, design)
    whole = tuple(_with_value(knob, _value_now(plan, name, now)) for name, knob in knobs.items())
    for knob in whole:
        for value in knob.values.samples() if isinstance(knob.values, Range) else knob.values:
            changed(plan, {knob.name: value})
    return whole


def starting_point(space: tuple[Knob, ...], plan: Plan, prepared: Prepared, design: Design) -> dict[str, Any]:
    """The labels of the plan as it is; of a range the end that is nearer where it lies outside."""
    now = resolved(prepared, design)
    found: dict[str, Any] = {}
    for knob in space:
        value = _value_now(plan, knob.name, now)
        if not isinstance(knob.values, Range):
            found[knob.name] = label_of(value)
        elif isinstance(value, int | float):
            found[knob.name] = knob.values.nearest(value)
    return found


def changed(plan: Plan, values: Mapping[str, Any]) -> Plan:
    """The plan with some settings replaced, by dotted names; `PlanFaults` where they do not fit together.

    >>> from backmix.training.plan import Plan
    >>> changed(Plan(), {"model.units": (16,), "windows.lookback": 40}).to_dict()
    {'windows': {'lookback': 40}, 'model': {'units': [16]}}
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, field = name.partition(".")
        sections.setdefault(section, {})[field] = list(value) if isinstance(value, tuple) else value
    return plan.merged(sections)


def _applies(knob: Knob, plan: Plan, prepared: Prepared, design: Design) -> bool:
    """Whether a setting means anything for this plan's network, task and windows."""
    carried = plan.training.state == "carried"
    if knob.body not in (None, plan.model.body) or knob.kind not in (None, prepared.task.kind):
        return False
    if knob.name == "model.summaries":
        reasons = {decision.reason_key for decision in design.decisions if decision.setting == knob.name}
        return not reasons & set(NO_SUMMARIES)
    if knob.name == "windows.lookback":
        return not carried and prepared.preprocessing.spec.lookback is not None
    return not (carried and knob.name == "training.batch_size")  # then it counts lanes


def _with_value(knob: Knob, value: Any) -> Knob:
    """The setting with the plan's own value among those to try."""
    if isinstance(knob.values, Range) or label_of(value) in knob.labelled():
        return knob
    return replace(knob, values=(*knob.values, value))


def _value_now(plan: Plan, name: str, now: Mapping[str, Any]) -> Any:
    value = now.get(name)
    return value_of(plan, name) if value is None else value


def _is_plain(value: Any) -> bool:
    """Whether a value is a number, a word, or a list of whole numbers (units)."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(isinstance(size, int) for size in value)
    return isinstance(value, bool | int | float | str)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
