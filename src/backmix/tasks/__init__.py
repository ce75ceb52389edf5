"""What is predicted, and how it is judged: one file per task.

This module defines `Task`, the contract that a task file fulfils, and `tasks`, the registry that
finds it. A task says what the target is, which head and loss the network gets, what its raw
outputs mean in the plant's units, and which metrics, baselines and figures stand in the report
(by their registered names: they live further down the stream).

To add a task, add one file here with one registered subclass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows import Known, Windows
from backmix.models.choice import Choice
from backmix.registry import Registry
from backmix.section import Section
from backmix.text import say


class TaskPlan(Section):
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


@dataclass(frozen=True)
class Outcome:
    """What a model says about B windows, in the plant's terms.

    values: (B, K) float64 in the units of the K targets, for regression; else None
    probabilities: (B, C) float64, rows sum to 1, for C classes; else None
    """

    values: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Task(ABC):
    """A task bound to its target tags.

    ``metrics[0]`` is the metric the verdict is about. ``baselines``, ``metrics`` and ``figures``
    are registered names.
    """

    settings: TaskPlan
    targets: tuple[Tag, ...]

    name: ClassVar[str]
    Settings: ClassVar[type[TaskPlan]] = TaskPlan
    kind: ClassVar[Literal["regression", "classification"]]
    metrics: ClassVar[tuple[str, ...]]
    baselines: ClassVar[tuple[str, ...]]
    figures: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def adapt(cls, table: Table, settings: TaskPlan) -> Table:
        """The table with the target in the form the task needs (roles set, classes coded).

        Raises InputError when the target column cannot serve.
        """

    @classmethod
    def bind(cls, table: Table, settings: TaskPlan) -> Self:
        """The task for an adapted table."""
        return cls(settings=settings, targets=tuple(table.tag(name) for name in settings.targets))

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names of a classification; () for regression."""
        return self.targets[0].categories if self.kind == "classification" else ()

    @property
    @abstractmethod
    def head(self) -> str:
        """The registered head that the network ends in."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers the head puts out."""

    def known(self, step: float | None) -> Known | None:
        """Which past targets a window may show, in rows ``step`` seconds apart; None for none."""
        return None

    @abstractmethod
    def loss(self, train: Windows) -> Choice:
        """The loss for these training windows, with the reason."""

    @abstractmethod
    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        """Raw network outputs (B, O) in the plant's terms."""

    def class_weights(self, train: Windows) -> Mapping[int, float] | None:
        """A weight per class code when classes are uneven; None when all count the same."""
        return None


tasks: Registry[type[Task]] = Registry("tasks", package="backmix.tasks")
