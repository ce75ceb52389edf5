"""Which settings of a plan a search changes, and the values it tries.

This module holds `SPACE`, the settings that are searched, as data: one entry each, with its values and the reason.
Of a plan that says nothing about a setting, or "auto", the setting is searched; ``[tune.space]`` adds and
takes away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from backmix.duration import Duration
from backmix.errors import PlanError
from backmix.training.advice.lookback import CANDIDATES
from backmix.training.design import Design
from backmix.training.plan import Plan
from backmix.training.prepared import Prepared
from backmix.training.sections.space import Range

GIVEN = "tune.why_given"
"""The reason of a setting whose values the plan names itself."""
NO_SUMMARIES = ("forms.summaries_steps", "carried.no_summaries")
"""Reasons for which there is no place for window statistics."""


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
        "windows.lookback": prepared.preprocessing.spec.seen or prepared.preprocessing.spec.lookback,
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
    labels: dict[str, Any] = {}
    for knob in space:
        value = _value_now(plan, knob.name, now)
        if not isinstance(knob.values, Range):
            labels[knob.name] = label_of(value)
        elif isinstance(value, int | float):
            labels[knob.name] = knob.values.nearest(value)
    return labels


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


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
