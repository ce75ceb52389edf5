"""Which fault, if any, the plant is in: one label per window, or per row of it.

This module is the fault-diagnosis task: the class of the target row from the window before it. With
``per_step`` the network learns the class of every row of the window, and is judged on the newest one
as before. Classes that are ``left_out`` are never taught; in the test part they are "unknown", and with
``reject`` a novelty gate behind every model, network or baseline, can say so (see `tasks.rejection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from backmix.data.purity import pure_windows
from backmix.data.table import Table
from backmix.data.windows import Windows, WindowSpec
from backmix.decision import Decision
from backmix.errors import InputError, PlanError
from backmix.models.losses import choose_loss
from backmix.models.members.novelty import finest, needed
from backmix.tasks import Outcome, Task, TaskPlan, tasks
from backmix.tasks.classes import as_classes, recoded
from backmix.tasks.rejection import RejectionGate
from backmix.text import say

UNEVEN = 1.5
"""Classes are weighted when the largest is more than this many times the smallest."""
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


@tasks.register("fault_diagnosis")
@dataclass(frozen=True)
class FaultDiagnosis(Task):
    """Classification of a window into the named classes of one tag."""

    settings: FaultDiagnosisPlan

    name = "fault_diagnosis"
    Settings = FaultDiagnosisPlan
    kind = "classification"
    metrics = (
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "auc",
        "detection_delay",
        "false_alarms_per_day",
        "recall",
        "precision",
    )
    unknown_metrics = ("unknown_recall", "false_rejection", "known_accuracy")
    baselines = ("majority", "lda", "trees_statistics")
    figures = ("scores", "confusion", "classes", "class_timeline", "learning")

    def __post_init__(self) -> None:
        """Raises ValueError or KeyError for a gate that no training could have left."""
        if self.fitted:
            RejectionGate.from_dict(self.fitted)

    @classmethod
    def adapt(cls, table: Table, settings: TaskPlan) -> Table:
        assert isinstance(settings, FaultDiagnosisPlan)
        name = settings.target
        table = as_classes(table, name)
        tag = table.tag(name)
        if len(tag.categories) < 2:
            raise InputError("tasks.one_class", where=table.source, target=name, found=", ".join(tag.categories))
        if settings.normal is not None and settings.normal not in tag.categories:
            raise InputError(
                "tasks.no_normal",
                where=table.source,
                target=name,
                normal=settings.normal,
                found=", ".join(tag.categories[:8]),
            )
        if settings.opens:
            table = _open_classes(table, settings)
        return table.retag({name: replace(table.tag(name), role="target")})

    @property
    def known(self) -> tuple[str, ...]:
        return self.classes[:-1] if self.settings.opens else self.classes

    @property
    def scored(self) -> tuple[str, ...]:
        if not self.settings.opens:
            return self.metrics
        return (*self.metrics[:4], *self.unknown_metrics, *self.metrics[4:])

    @property
    def light(self) -> bool:
        return not (self.settings.per_step or self.settings.opens)

    @property
    def head(self) -> str:
        return "binary" if len(self.known) == 2 else "classes"

    @property
    def outputs(self) -> int:
        return 1 if len(self.known) == 2 else len(self.known)

    def form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        """Raises PlanError (diagnosis.per_step_now) when the label of a window's row is not that of its time."""
        if self.settings.per_step and (spec.horizon or spec.dead_time):
            raise PlanError("diagnosis.per_step_now", horizon=spec.horizon, dead_time=spec.dead_time)
        return spec

    def fit_rows(self, table: Table) -> NDArray[np.bool_] | None:
        return self._known_rows(table) if self.settings.left_out else None

    def learned(self, windows: Windows) -> Windows:
        """The windows that no row of a class that is left out lies in."""
        if not self.settings.left_out:
            return windows
        return pure_windows(windows, self._known_rows(windows.table))

    def training_samples(self, windows: Windows) -> Windows:
        if not self.settings.per_step:
            return windows
        return replace(windows, spec=replace(windows.spec, answer="every"))

    def prepared(self, train: Windows, validation: Windows) -> Self:
        """Raises InputError (diagnosis.too_fine) when the validation windows cannot tell the share to reject."""
        rate = self.settings.reject
        if rate is None:
            return self
        some = self.learned(validation)
        if len(some) < needed(rate):
            raise InputError(
                "diagnosis.too_fine",
                where=train.table.source,
                rate=rate,
                least=f"{needed(rate):,}",
                count=f"{len(some):,}",
                fit=finest(len(some)),
            )
        return replace(self, fitted=RejectionGate.fit(train, some, rate).to_dict())

    def loss(self, train: Windows) -> Decision:
        return choose_loss("binary" if len(self.known) == 2 else "classes")

    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        raw = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), self.outputs)
        found = np.hstack([1 - raw, raw]) if self.outputs == 1 else raw
        return Outcome(probabilities=np.pad(found, [(0, 0), (0, len(self.classes) - len(self.known))]))

    def finished(self, outcome: Outcome, windows: Windows) -> Outcome:
        """The answer after the gate: "unknown" is the likeliest class exactly when the gate rejects the window.

        With s the novelty and p the largest probability the chance of "unknown" is s·p / (1 + s·p), and the
        other classes share the rest as they did before.
        """
        if self.settings.reject is None:
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

    def class_weights(self, train: Windows) -> Mapping[int, float] | None:
        counts = self._counts(train)
        seen = counts[counts > 0]
        if seen.max() <= UNEVEN * seen.min():
            return None
        # balanced weights, n / (classes * count): King & Zeng 2001, as in scikit-learn
        return {code: float(seen.sum() / (len(seen) * n)) for code, n in enumerate(counts) if n}

    def _counts(self, train: Windows) -> NDArray[np.int64]:
        """(C,) how many answers of each class the network is asked for: per window, or per row of all windows."""
        if train.spec.answer != "every":
            return np.bincount(train.truth()[:, 0].astype(np.int64), minlength=len(self.classes))
        last = np.asarray(train.origins, dtype=np.int64)
        first = last - (train.steps if train.lengths is None else np.asarray(train.lengths)) + 1
        labels = train.table.column(self.targets[0].name)
        before = (np.concatenate([[0], np.cumsum(labels == code)]) for code in range(len(self.classes)))
        return np.array([int((seen[last + 1] - seen[first]).sum()) for seen in before])

    def _known_rows(self, table: Table) -> NDArray[np.bool_]:
        """(N,) the rows of no class that is left out; those without a label are none of it."""
        rows: NDArray[np.bool_] = table.column(self.targets[0].name) != len(self.classes) - 1
        return rows


def _open_classes(table: Table, settings: FaultDiagnosisPlan) -> Table:
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
