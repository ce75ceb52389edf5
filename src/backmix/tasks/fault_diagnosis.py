"""Which fault, if any, the plant is in: one label per window.

This module is the fault-diagnosis task: the class of the target row from the window before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.windows import Windows
from backmix.errors import InputError
from backmix.models.choice import Choice
from backmix.models.losses import choose_loss
from backmix.tasks import Outcome, Task, TaskPlan, tasks

MOST_CLASSES = 200
UNEVEN = 1.5
"""Classes are weighted when the largest is more than this many times the smallest."""


class FaultDiagnosisPlan(TaskPlan):
    """``[task]`` of a fault diagnosis.

    normal: the class of normal operation; it gives meaning to detection delay and false alarms
    """

    kind: Literal["fault_diagnosis"] = "fault_diagnosis"
    target: str
    normal: str | None = None


@tasks.register("fault_diagnosis")
@dataclass(frozen=True)
class FaultDiagnosis(Task):
    """Classification of a window into the named classes of one tag."""

    settings: FaultDiagnosisPlan

    name = "fault_diagnosis"
    Settings = FaultDiagnosisPlan
    kind = "classification"
    metrics = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "detection_delay", "false_alarms_per_day",
               "recall", "precision")
    baselines = ("majority", "lda", "trees_statistics")
    figures = ("scores", "confusion", "classes", "class_timeline", "learning")

    @classmethod
    def adapt(cls, table: Table, settings: TaskPlan) -> Table:
        (name,) = settings.targets
        tag = table.tag(name)
        if not tag.categories:
            table = _code_classes(table, name)
            tag = table.tag(name)
        if len(tag.categories) < 2:
            raise InputError("tasks.one_class", where=table.source, target=name, found=", ".join(tag.categories))
        normal = getattr(settings, "normal", None)
        if normal is not None and normal not in tag.categories:
            raise InputError("tasks.no_normal", where=table.source, target=name, normal=normal,
                             found=", ".join(tag.categories[:8]))
        return table.retag({name: replace(tag, role="target")})

    @property
    def head(self) -> str:
        return "binary" if len(self.classes) == 2 else "classes"

    @property
    def outputs(self) -> int:
        return 1 if len(self.classes) == 2 else len(self.classes)

    def loss(self, train: Windows) -> Choice:
        return choose_loss("binary" if len(self.classes) == 2 else "classes")

    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        raw = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), self.outputs)
        return Outcome(probabilities=np.hstack([1 - raw, raw]) if self.outputs == 1 else raw)

    def class_weights(self, train: Windows) -> Mapping[int, float] | None:
        counts = np.bincount(train.truth()[:, 0].astype(np.int64), minlength=len(self.classes))
        seen = counts[counts > 0]
        if seen.max() <= UNEVEN * seen.min():
            return None
        # balanced weights, n / (classes * count): King & Zeng 2001, as in scikit-learn
        return {code: float(seen.sum() / (len(seen) * n)) for code, n in enumerate(counts) if n}


def _code_classes(table: Table, name: str) -> Table:
    """A column of whole numbers as classes named by those numbers."""
    values = table.column(name)
    present = np.unique(values[np.isfinite(values)])
    if len(present) == 0:
        raise InputError("tasks.target_is_empty", where=table.source, target=name)
    if len(present) > MOST_CLASSES or not np.array_equal(present, np.round(present)):
        raise InputError("tasks.not_classes", where=table.source, target=name, count=len(present))
    coded = np.array(table.values, dtype=np.float64)
    codes = np.searchsorted(present, values).astype(np.float64)
    coded[:, table.index(name)] = np.where(np.isfinite(values), codes, np.nan)
    tag = replace(table.tag(name), categories=tuple(str(int(v)) for v in present))
    return replace(table, values=coded).retag({name: tag})
