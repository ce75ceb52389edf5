"""Which fault, if any, the plant is in: one label per window, or per row of it.

This module is the fault-diagnosis task: the class of the target row from the window before it. With
``per_step`` the network learns the class of every row of the window, and is judged on the newest one
as before. Classes that are ``left_out`` are never taught; in the test part they are "unknown", and with
``reject`` a novelty gate behind every model, network or baseline, can say so (see `tasks.shared.rejection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from backmix.data.table import Table
from backmix.data.windows.windows import Windows, WindowSpec
from backmix.errors import InputError, PlanError
from backmix.tasks import Classification, Outcome, TaskPlan, tasks
from backmix.tasks.contract.optional import LearnsFromWindows, Revises
from backmix.tasks.shared.classes import ClassAnswer, ClassJudging, ClassTarget, recoded
from backmix.tasks.shared.rejection import RejectionGate, check_enough
from backmix.text import say

UNKNOWN = "unknown"
"""The class of what was never taught; always the last one."""


class FaultDiagnosisPlan(TaskPlan):
    """``[task]`` of a fault diagnosis.

    normal: the class of normal operation; it gives meaning to detection delay and false alarms
    per_step: the network learns the class of every row of a window instead of the last one's
    left_out: classes that are kept out of training and validation, to see what is said about them
    reject: share of known windows that may be called "unknown"; None never says so
    """

    kind: Literal["fault_diagnosis"] = "fault_diagnosis"
    target: str
    normal: str | None = None
    per_step: bool = False
    left_out: tuple[str, ...] = ()
    reject: float | None = Field(default=None, gt=0, lt=0.5)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.normal is not None and self.normal in self.left_out:
            raise ValueError(say("diagnosis.normal_left_out", normal=self.normal))
        return self

    @property
    def opens(self) -> bool:
        """Whether a window may be of a class that was never taught."""
        return bool(self.left_out) or self.reject is not None


class FaultDiagnosisTarget(ClassTarget):
    """The class of each row; those that are left out, and any that nobody has seen, are "unknown"."""

    settings: FaultDiagnosisPlan

    def adapt(self, table: Table) -> Table:
        table = super().adapt(table)
        return _with_unknown(table, self.settings) if self.settings.opens else table

    @property
    def known_classes(self) -> tuple[str, ...]:
        return self.classes[:-1] if self.settings.opens else self.classes

    def window_form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        """Raises PlanError (diagnosis.per_step_now) when the label of a window's row is not that of its time."""
        if self.settings.per_step and (spec.horizon or spec.dead_time):
            raise PlanError("diagnosis.per_step_now", horizon=spec.horizon, dead_time=spec.dead_time)
        return spec

    def training_rows(self, table: Table) -> NDArray[np.bool_] | None:
        """The rows of no class that is left out; those without a label are none of it."""
        if not self.settings.left_out:
            return None
        rows: NDArray[np.bool_] = table.column(self.settings.target) != len(self.classes) - 1
        return rows

    def training_samples(self, windows: Windows) -> Windows:
        if not self.settings.per_step:
            return windows
        return replace(windows, spec=replace(windows.spec, answer="every"))


@dataclass(frozen=True)
class FaultDiagnosisAnswer(ClassAnswer, LearnsFromWindows, Revises):
    """The probability of each class; with ``reject`` a novelty gate takes from it what it gives to "unknown"."""

    target: FaultDiagnosisTarget

    def __post_init__(self) -> None:
        """Raises ValueError or KeyError for a gate that no training could have left."""
        if self.fitted:
            RejectionGate.from_dict(self.fitted)

    @property
    def light(self) -> bool:
        return not (self.target.settings.per_step or self.target.settings.opens)

    def learn(self, train: Windows, validation: Windows) -> Mapping[str, Any]:
        """Raises InputError (diagnosis.too_fine) when the validation windows cannot tell the share to reject."""
        rate = self.target.settings.reject
        if rate is None:
            return {}
        known = self.target.training_windows(validation)
        check_enough(known, rate, "diagnosis.too_fine")
        return RejectionGate.fit(train, known, rate).to_dict()

    def revise(self, outcome: Outcome, windows: Windows) -> Outcome:
        """The answer after the gate: "unknown" is the likeliest class exactly when the gate rejects the window.

        With s the novelty and p the largest probability the chance of "unknown" is s·p / (1 + s·p), and the
        other classes share the rest as they did before.
        """
        if self.target.settings.reject is None:
            return outcome
        assert outcome.probabilities is not None
        novelty = RejectionGate.from_dict(self.fitted).novelty(windows)
        known = outcome.probabilities[:, :-1]
        weight = novelty * known.max(axis=1)
        unknown = (weight / (1.0 + weight))[:, None]
        return replace(
            outcome,
            probabilities=np.hstack([known * (1.0 - unknown), unknown]),
            columns={**outcome.columns, "novelty": novelty},
        )


class FaultDiagnosisJudging(ClassJudging):
    """How often the class is right, and how soon and how falsely a fault is reported."""

    target: FaultDiagnosisTarget

    @property
    def metrics(self) -> tuple[str, ...]:
        unknown = ("unknown_recall", "false_rejection", "known_accuracy") if self.target.settings.opens else ()
        classes = ("accuracy", "balanced_accuracy", "macro_f1", "auc")
        return (*classes, *unknown, "detection_delay", "false_alarms_per_day", "recall", "precision")


@tasks.register("fault_diagnosis", title={"en": "fault diagnosis", "zh_TW": "故障診斷"})
class FaultDiagnosis(Classification):
    """Classification of a window into the named classes of one tag."""

    Settings = FaultDiagnosisPlan
    Target = FaultDiagnosisTarget
    Answer = FaultDiagnosisAnswer
    Judging = FaultDiagnosisJudging


def _with_unknown(table: Table, settings: FaultDiagnosisPlan) -> Table:
    """The table with one class more, the last: those that are left out, and what nobody has ever seen."""
    name = settings.target
    tag = table.tag(name)
    for left in settings.left_out:
        if left not in tag.categories:
            near = get_close_matches(left, tag.categories, n=1, cutoff=0.0)
            raise InputError("diagnosis.left_out_missing", where=table.source, target=name, name=left, near=near[0])
    kept = tuple(label for label in tag.categories if label not in settings.left_out)
    if not kept:
        raise InputError("diagnosis.all_left_out", where=table.source, target=name, count=len(tag.categories))
    if len(kept) == 1:
        raise InputError("diagnosis.one_left", where=table.source, target=name, found=kept[0])
    if UNKNOWN in kept:
        raise InputError("diagnosis.unknown_taken", where=table.source, target=name, name=UNKNOWN)
    codes = [kept.index(label) if label in kept else len(kept) for label in tag.categories]
    return recoded(table, name, codes, (*kept, UNKNOWN))
