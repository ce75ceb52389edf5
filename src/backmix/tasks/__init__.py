"""What is predicted, and how it is judged: one file per task.

This module defines `Task`, the contract that a task file fulfils, and `tasks`, the registry that
finds it. A task says what the target is, which head and loss the network gets, what its raw
outputs mean in the plant's units, and which metrics, baselines and figures stand in the report
(by their registered names: they live further down the stream).

To add a task, add one file here with one registered subclass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows import Windows, WindowSpec
from backmix.decision import Decision
from backmix.models.intervals.bands import Stage
from backmix.registry import Registry
from backmix.section import PlanSection
from backmix.text import say


class TaskPlan(PlanSection):
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

    values: (B, G) float64 in the units of the G targets, for regression; with a path of K rows
        (B, K·G), row by row; else None
    probabilities: (B, C) float64, rows sum to 1, for C classes; else None
    columns: (B,) further columns for the prediction frame, by name
    """

    values: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float64] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence[Outcome]) -> Outcome:
        """Several outcomes one behind the other."""

        def one(arrays: list[NDArray[Any] | None]) -> Any:
            there = [array for array in arrays if array is not None]
            return np.concatenate(there) if there else None

        return cls(
            values=one([part.values for part in parts]),
            probabilities=one([part.probabilities for part in parts]),
            columns={name: one([part.columns[name] for part in parts]) for name in parts[0].columns},
        )


@dataclass(frozen=True)
class Task(ABC):
    """A task bound to its target tags.

    ``metrics[0]`` is the metric the verdict is about. ``baselines``, ``metrics`` and ``figures``
    are registered names.

    fitted: what the task itself learned from training and validation windows (thresholds ...), ready
        for JSON; it goes into the bundle
    """

    settings: TaskPlan
    targets: tuple[Tag, ...]
    fitted: Mapping[str, Any] = field(default_factory=dict)

    name: ClassVar[str]
    Settings: ClassVar[type[TaskPlan]] = TaskPlan
    kind: ClassVar[Literal["regression", "classification"]]
    metrics: ClassVar[tuple[str, ...]]
    baselines: ClassVar[tuple[str, ...]]
    figures: ClassVar[tuple[str, ...]]
    lookback: ClassVar[Literal["auto", "elapsed"]] = "auto"
    """What ``[windows] lookback = "auto"`` means: the training part decides, or "elapsed"."""
    clamps: ClassVar[bool] = True
    """Whether inputs are brought to the edge of the training range unless the plan says so itself."""
    whole_batches: ClassVar[bool] = False
    """Whether the target of a row is known only when its batch has ended, so that a batch cannot be cut."""
    stage: ClassVar[Stage] = "none"
    """What tells how far a batch has come, where errors depend on it; see `models.intervals.bands`."""
    sets: ClassVar[bool] = True
    """Whether the classes of a classification are such that a window may be said to be of some of them."""

    @classmethod
    @abstractmethod
    def adapt(cls, table: Table, settings: TaskPlan) -> Table:
        """The table with the target in the form the task needs (roles set, classes coded).

        Raises InputError when the target column cannot serve.
        """

    @classmethod
    def made(cls, settings: TaskPlan) -> tuple[str, ...]:
        """The names of all columns that `derive` may add."""
        return ()

    @classmethod
    def derive(cls, table: Table, settings: TaskPlan, *, targets: bool) -> Table:
        """The table with the columns that the task computes from its rows, on the rows as windows have them.

        Inputs made here (the time since a batch began) must look back only; they are made anew at every
        prediction. ``targets``: also make what is known only afterwards, for training and scoring.
        """
        return table

    @classmethod
    def bind(cls, table: Table, settings: TaskPlan) -> Self:
        """The task for an adapted table."""
        return cls(settings=settings, targets=tuple(table.tag(name) for name in settings.targets))

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names of a classification; () for regression."""
        return self.targets[0].categories if self.kind == "classification" else ()

    @property
    def normal(self) -> str | None:
        """The class of normal operation, where one is named."""
        return getattr(self.settings, "normal", None)

    @property
    def known(self) -> tuple[str, ...]:
        """The classes that can be learned, in the order of their codes; the first of `classes`."""
        return self.classes

    @property
    def scored(self) -> tuple[str, ...]:
        """The metrics that say something with these settings, the first one is that of the verdict."""
        return self.metrics

    @property
    def light(self) -> bool:
        """Whether the raw outputs in plant units are the answer, so that the light runtime can give it."""
        return True

    @property
    @abstractmethod
    def head(self) -> str:
        """The registered head that the network ends in."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers the head puts out, for each row that it answers for."""

    @property
    def shape(self) -> Mapping[str, Any]:
        """Fields of `models.Architecture` that the task wishes for where the plan says "auto"."""
        return {}

    @property
    def rolls(self) -> bool:
        """Whether the network looks one row ahead and is fed with its own answers to look further."""
        return False

    def goals(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """The tags that the network learns; those that are judged unless a task says otherwise."""
        return tuple(tag.name for tag in self.targets)

    def form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        """The form of the windows that are judged, from that of the plan; rows ``step`` seconds apart.

        Raises PlanError when the plan's windows cannot serve the task.
        """
        return spec

    def fit_rows(self, table: Table) -> NDArray[np.bool_] | None:
        """(N,) the rows that repair rules and scalers may be learned from; None for all of training."""
        return None

    def learned(self, windows: Windows) -> Windows:
        """The windows of the training or validation part that anything may be learned from.

        Network and baselines see no others. Raises InputError when too few are left.
        """
        return windows

    def training_samples(self, windows: Windows) -> Windows:
        """The windows that the network learns from, made from those that are judged."""
        return windows

    def judged_spec(self, spec: WindowSpec) -> WindowSpec:
        """The form of the windows of the test part that `judged` chooses from."""
        return spec

    def judged(self, windows: Windows) -> Windows:
        """The windows of the test part that count; all of them unless a protocol says otherwise."""
        return windows

    def choosing(self, windows: Windows) -> Windows:
        """The windows of the validation part on which the baselines are compared; all of them."""
        return windows

    def facts(self, windows: Windows) -> Mapping[str, NDArray[Any]]:
        """(W,) further columns of the prediction frame of every model, for metrics and figures.

        Only asked for where the targets are known: what is known afterwards may be among them.
        """
        return {}

    def elapsed(self, windows: Windows) -> NDArray[np.float64] | None:
        """(W,) time since the batch began at each window, known at once; None where it says nothing."""
        return None

    def season(self, step: float | None) -> int | None:
        """The period in rows after which the target comes round again, where one is given; for `seasonal` baselines."""
        return None

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        """What the task decided or assumed about the target, for the report."""
        return ()

    @property
    def convention(self) -> Decision | None:
        """What must be said beside every verdict, because scores mean something else without it."""
        return None

    def prepared(self, train: Windows, validation: Windows) -> Self:
        """The task with what it learns itself before any model is trained; see ``fitted``."""
        return self

    def calibrated(self, outputs: NDArray[Any], windows: Windows) -> Self:
        """The task with what it learns from the network's raw outputs on its validation samples."""
        return self

    @abstractmethod
    def loss(self, train: Windows) -> Decision:
        """The loss for these training windows, with the reason."""

    @abstractmethod
    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        """Raw network outputs in the plant's terms, window by window.

        outputs: (B, O); for a network that answers on every row its last answer, for one that gives the
            window back (B, T·O)
        """

    def finished(self, outcome: Outcome, windows: Windows) -> Outcome:
        """The answer of any model, network or baseline, after what the task has to say to it itself."""
        return outcome

    def class_weights(self, train: Windows) -> Mapping[int, float] | None:
        """A weight per class code when classes are uneven; None when all count the same."""
        return None


tasks: Registry[type[Task]] = Registry("tasks", package="backmix.tasks")
