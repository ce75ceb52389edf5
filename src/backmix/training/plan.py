"""What shall be done, in one file that a person can read.

This module defines `Plan`: the sections that the stages declare, put together, read from TOML and
written back. All faults of a plan are reported at once, each with its line and a hint.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from backmix.data.repairing.repair import RepairPlan
from backmix.data.scaling import scalers
from backmix.data.scaling.regime_plan import RegimePlan
from backmix.data.sources import ReadPlan
from backmix.data.splitting.split import SplitPlan
from backmix.data.windows.windows import WindowPlan
from backmix.errors import PlanError
from backmix.models.network import ModelPlan
from backmix.section import PlanSection
from backmix.tasks import TaskPlan, tasks
from backmix.tasks.shared.past_targets import check_delays
from backmix.text import LANGUAGES, say
from backmix.training.sections.folds import BacktestPlan
from backmix.training.sections.rounds import RefitPlan
from backmix.training.sections.settings import TrainingPlan
from backmix.training.sections.space import TunePlan

PLAN_BYTES = 1_000_000
"""A plan is a page of text; a larger file is not read."""


class ScalingPlan(PlanSection):
    """``[scaling]``: how inputs and targets become numbers of order one; everything is learned from training rows.

    inputs, target: registered scalers
    states: the most columns that the states of one input may become
    rare: a state of fewer training rows than this is not told apart: all rare ones share the column "other"
    regimes: whether inputs are scaled by operating regime: "auto" where blocks that are held out say that it helps,
        "off", or the settings that tell regimes
    """

    inputs: str = "standard"
    target: str = "standard"
    states: int = Field(default=12, ge=1, le=1000)
    rare: int = Field(default=5, ge=1)
    regimes: Literal["auto", "off"] | RegimePlan = "auto"

    @field_validator("inputs", "target")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            scalers.get(name)
        except PlanError as fault:
            raise ValueError(str(fault)) from None
        return name


class EvaluationPlan(PlanSection):
    """``[evaluation]``: what the scores stand beside and how their intervals are drawn.

    baselines: None takes the task's own list
    acknowledged: input tags that look like copies of the target and may nevertheless be used
    resamples: block-bootstrap draws per interval
    level: coverage of the intervals
    """

    baselines: tuple[str, ...] | None = None
    acknowledged: tuple[str, ...] = ()
    resamples: int = Field(default=500, ge=1)
    level: float = Field(default=0.95, gt=0, lt=1)


class IntervalPlan(PlanSection):
    """``[intervals]``: what stands around every prediction.

    level: share of results that shall lie inside
    kind: "split" keeps the width of the calibration; "adaptive" follows results as they come in; "none"
    """

    level: float = Field(default=0.9, gt=0, lt=1)
    kind: Literal["split", "adaptive", "none"] = "split"


class ReportPlan(PlanSection):
    """``[report]``: title and language of the report; both languages are always written."""

    title: str = ""
    language: Literal["en", "zh_TW"] | None = None


class Plan(PlanSection):
    """A whole run, from the table to the report.

    >>> plan = Plan.parse('''
    ... [data]
    ... plant = "cstr"
    ... [task]
    ... kind = "soft_sensor"
    ... target = "C_A"
    ... ''')
    >>> plan.windows.lookback
    'auto'
    """

    data: ReadPlan = ReadPlan()
    task: SerializeAsAny[TaskPlan] | SkipJsonSchema[None] = None
    split: SplitPlan = SplitPlan()
    repair: RepairPlan = RepairPlan()
    scaling: ScalingPlan = ScalingPlan()
    windows: WindowPlan = WindowPlan()
    model: ModelPlan = ModelPlan()
    training: TrainingPlan = TrainingPlan()
    evaluation: EvaluationPlan = EvaluationPlan()
    intervals: IntervalPlan = IntervalPlan()
    report: ReportPlan = ReportPlan()
    refit: RefitPlan = RefitPlan()
    backtest: BacktestPlan = BacktestPlan()
    tune: TunePlan = TunePlan()
    online: bool = True
    """Whether the model shall run live; then nothing may look ahead."""

    @field_validator("model", mode="before")
    @classmethod
    def _written_short(cls, model: Any) -> Any:
        """``model = "course"`` is short for ``[model] recipe = "course"``."""
        return {"recipe": model} if isinstance(model, str) else model

    @field_validator("task", mode="before")
    @classmethod
    def _of_its_kind(cls, task: Any) -> Any:
        if isinstance(task, TaskPlan) or not isinstance(task, dict):
            return task
        kind = task.get("kind")
        if kind is None:
            raise ValueError(say("plan.task_kind", names=", ".join(tasks.names())))
        try:
            return tasks.get(kind).Settings.model_validate(task)
        except PlanError as fault:
            raise ValueError(str(fault)) from None

    @model_validator(mode="after")
    def _nothing_looks_ahead(self) -> Self:
        if self.online and self.repair.fill == "interpolate":
            raise ValueError(say("plan.interpolate_online"))
        return self

    @model_validator(mode="after")
    def _can_be_stepped(self) -> Self:
        if self.online and self.model.bidirectional:
            raise ValueError(say("forms.online_both_ways"))
        return self

    @model_validator(mode="after")
    def _reported_by_then(self) -> Self:
        check_delays(self.data.lab, self.task)
        return self

    @property
    def the_task(self) -> TaskPlan:
        """The ``[task]`` section; PlanError when the plan has none."""
        if self.task is None:
            raise PlanError("plan.no_task", names=", ".join(tasks.names()))
        return self.task

    @classmethod
    def parse(cls, text: str, where: str = "plan") -> Plan:
        """A plan from TOML text; `PlanFaults` names all that is wrong, each with its line."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as fault:
            raise PlanError("plan.syntax", where=where, fault=str(fault)) from None
        except RecursionError:
            raise PlanError("plan.syntax", where=where, fault="nested too deep") from None
        return cls.check(document, text=text, where=where)

    @classmethod
    def check(cls, document: dict[str, Any], *, text: str = "", where: str = "plan") -> Plan:
        """A plan from nested dictionaries; `PlanFaults` as in `parse`."""
        try:
            return cls.model_validate(document)
        except ValidationError as fault:
            lines = _key_lines(text)
            raise PlanFaults(where, _faults(fault.errors(include_url=False), lines)) from None

    @classmethod
    def load(cls, path: Path | str) -> Plan:
        """Read a plan from a TOML file (UTF-8)."""
        path = Path(path)
        try:
            raw = path.read_bytes() if path.stat().st_size <= PLAN_BYTES else None
        except OSError as fault:
            raise PlanError("plan.unreadable", where=path, fault=fault.strerror or str(fault)) from None
        if raw is None:
            raise PlanError("plan.too_large", where=path, limit=PLAN_BYTES)
        try:
            return cls.parse(raw.decode("utf-8-sig"), where=str(path))
        except UnicodeDecodeError as fault:
            raise PlanError("plan.not_utf8", where=path, byte=fault.start) from None

    def to_dict(self) -> dict[str, Any]:
        """The plan as nested dictionaries without the values that are their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude_none=True) | (
            {
                "task": {"kind": self.task.kind}
                | self.task.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
            }
            if self.task
            else {}
        )

    def to_toml(self) -> str:
        """The plan as TOML text; `Plan.parse` of it gives an equal plan.

        >>> Plan.parse(Plan(online=False).to_toml()).online
        False
        """
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    def merged(self, changes: dict[str, Any]) -> Plan:
        """This plan with some fields of some sections replaced: ``{"training": {"seed": 1}}``."""
        document = self.to_dict()
        for section, fields in changes.items():
            document[section] = document.get(section, {}) | fields if isinstance(fields, dict) else fields
        return Plan.check(document)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a plan, with the settings of every registered task."""
    schema = Plan.model_json_schema()
    kinds = []
    for name, task in tasks:
        part = task.Settings.model_json_schema(ref_template="#/$defs/{model}")
        schema["$defs"].update(part.pop("$defs", {}))
        schema["$defs"][part["title"]] = part
        part["required"] = sorted({*part.get("required", []), "kind"})
        part["properties"]["kind"] = {"const": name}
        kinds.append({"$ref": f"#/$defs/{part['title']}"})
    schema["properties"]["task"] = {"oneOf": kinds}
    return schema


@dataclass(frozen=True)
class PlanFault:
    """One thing wrong in a plan: its line (None when unknown), the path of the key, and the sentence."""

    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        place = say("plan.line", line=self.line) if self.line else ""
        return f"{place}{self.path} — {self.message}"


class PlanFaults(PlanError):
    """Everything that is wrong in a plan, reported together."""

    def __init__(self, where: str, faults: list[PlanFault]) -> None:
        super().__init__("plan.faults", where=where, faults=faults)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        where = self.values["where"]
        return "\n".join(f"{where}: {fault}" for fault in self.faults)

    def __reduce__(self) -> tuple[Any, ...]:
        return PlanFaults, (self.values["where"], list(self.faults))


def _faults(errors: Sequence[Any], lines: dict[tuple[str, ...], int]) -> list[PlanFault]:
    """One fault per key, in the order of the lines; a key of several types has an error for each."""
    keys: dict[tuple[str, ...], list[Any]] = {}
    for error in errors:
        loc = tuple(str(part) for part in error["loc"] if not _OF_UNION.match(str(part)))
        keys.setdefault(loc, []).append(error)
    faults = []
    for loc, same in keys.items():
        same.sort(key=lambda error: error["type"] == "literal_error")
        fault = _fault(loc, same[0], lines)
        if len(same) > 1 and same[-1]["type"] == "literal_error":
            also = say("plan.or_one_of", allowed=same[-1]["ctx"]["expected"].replace(" or ", ", "))
            fault = replace(fault, message=fault.message + also)
        faults.append(fault)
    return sorted(faults, key=lambda fault: (fault.line is None, fault.line or 0))


def _fault(loc: tuple[str, ...], error: Any, lines: dict[tuple[str, ...], int]) -> PlanFault:
    kind, got, context = error["type"], error["input"], error.get("ctx", {})
    path = f"[{loc[0]}] {'.'.join(loc[1:])}".strip() if len(loc) > 1 else (f"[{loc[0]}]" if loc else "plan")
    line = next((lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in lines), None)
    if kind == "extra_forbidden":
        known = _fields(loc[:-1])
        near = get_close_matches(loc[-1], known, n=1, cutoff=0.5)
        key = "plan.unknown_key" if near else "plan.unknown_key_list"
        message = say(key, near=near[0] if near else "", names=", ".join(known))
    elif kind == "missing":
        message = say("plan.missing_key")
    elif kind == "literal_error":
        near = get_close_matches(str(got), re.findall(r"'([^']*)'", context["expected"]), n=1, cutoff=0.6)
        message = say("plan.not_allowed", got=got, allowed=context["expected"].replace(" or ", ", "))
        message += say("plan.did_you_mean", near=near[0]) if near else ""
    elif kind in ("value_error", "assertion_error"):
        message = str(context.get("error", error["msg"]))
    else:
        what = _WANTED.get(kind)
        message = say("plan.wrong_type", got=repr(got)[:60], wanted=say(what) if what else error["msg"])
        if kind.startswith(("greater_than", "less_than")):
            sign = {"greater_than": ">", "greater_than_equal": "≥", "less_than": "<", "less_than_equal": "≤"}[kind]
            bound = next(iter(context.values()))
            message = say("plan.out_of_bounds", got=got, sign=sign, bound=bound)
    return PlanFault(line=line, path=path, message=message)


_OF_UNION = re.compile(r"(function-|tagged-|constrained-|literal\[|tuple\[|(float|int|str|bool)$)")
"""Parts of pydantic's places that name a type, not a key."""
_WANTED = {
    "int_type": "plan.wanted_int",
    "int_parsing": "plan.wanted_int",
    "int_from_float": "plan.wanted_int",
    "float_type": "plan.wanted_number",
    "float_parsing": "plan.wanted_number",
    "bool_type": "plan.wanted_bool",
    "bool_parsing": "plan.wanted_bool",
    "string_type": "plan.wanted_text",
    "tuple_type": "plan.wanted_list",
    "list_type": "plan.wanted_list",
    "model_type": "plan.wanted_section",
    "dict_type": "plan.wanted_section",
}


def _fields(loc: tuple[str, ...]) -> list[str]:
    """The keys that may stand at a place of a plan."""
    model: Any = Plan
    for part in loc:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inner = [
            a
            for a in (annotation, *getattr(annotation, "__args__", ()))
            if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        inner = inner or [
            a
            for arg in getattr(annotation, "__args__", ())
            for a in getattr(arg, "__args__", ())
            if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        if not inner:
            continue
        model = inner[0]
    if model is TaskPlan:
        return sorted({name for _, task in tasks for name in task.Settings.model_fields})
    own = [name for name in model.model_fields if name in model.__annotations__]  # what it inherits comes behind
    return own + [name for name in model.model_fields if name not in own]


def _key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Where each key of a TOML text stands: path -> line number, counted from 1."""
    key_lines: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            section = tuple(part.strip().strip("\"'") for part in header[2].split("."))
            if header[1] == "[[":
                counts[section] = counts.get(section, -1) + 1
                section = (*section, str(counts[section]))
            key_lines.setdefault(section, number)
        elif key := re.match(r"\s*([\w\-.\"' ]+?)\s*=", line):
            path = tuple(part.strip().strip("\"'") for part in key[1].split("."))
            key_lines.setdefault((*section, *path), number)
    return key_lines


assert set(LANGUAGES) == {"en", "zh_TW"}  # ReportPlan.language lists them
