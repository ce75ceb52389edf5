"""What is predicted, and how it is judged: one file per task.

In: the ``[task]`` section of a plan, and a table.
Out: a `Task`, made of four parts; every later stage asks for the one that it is about:
    target        which columns are learned, and which rows and windows they are learned from
    answer        the network's head and loss, and what its raw outputs mean
    judging       metrics, baselines, and the windows that count
    presentation  figures and remarks of the report

A new task is one file here, or an entry point ``backmix.tasks`` elsewhere: its settings, what differs from the ready
parts of `Regression` or `Classification`, and one registered class. Each part has a page in `tasks.contract`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from backmix import earlier
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows
from backmix.registry import Registry
from backmix.tasks import contract
from backmix.tasks.contract import Outcome as Outcome
from backmix.tasks.contract import TaskPlan as TaskPlan
from backmix.tasks.contract.optional import HasMembers, LearnsFromOutputs, LearnsFromWindows, Revises
from backmix.tasks.shared.classes import ClassAnswer, ClassJudging, ClassPresentation, ClassTarget
from backmix.tasks.shared.numbers import NumericAnswer, NumericJudging, NumericPresentation, NumericTarget


@dataclass(frozen=True)
class Task:
    """A task: its settings, and when it has seen a table its target tags. Its four parts do the work.

        class LevelPlan(TaskPlan):
            kind: Literal["level"] = "level"

        class LevelJudging(NumericJudging):
            baselines = ("mean", "ridge")

        @tasks.register("level", title={"en": "level", "zh_TW": "液位"})
        class Level(Regression):
            Settings, Judging = LevelPlan, LevelJudging

    targets: the tags that predictions are compared with, with units and classes
    fitted: what the task itself has learned from training and validation windows, ready for JSON
    """

    settings: TaskPlan
    targets: tuple[Tag, ...] = ()
    fitted: Mapping[str, Any] = field(default_factory=dict)

    Settings: ClassVar[type[TaskPlan]]
    Target: ClassVar[type[contract.Target]]
    Answer: ClassVar[type[contract.Answer]]
    Judging: ClassVar[type[contract.Judging]]
    Presentation: ClassVar[type[contract.Presentation]]

    def __post_init__(self) -> None:
        """Raises ValueError or KeyError for ``fitted`` that no training could have left."""
        _ = self.answer

    @classmethod
    def of(cls, settings: TaskPlan) -> Task:
        """The task of a plan's section, which has seen no table yet."""
        return tasks.get(settings.kind)(settings)

    @cached_property
    def target(self) -> contract.Target:
        """What is learned, and what is known of it."""
        return self.Target(self.settings, self.targets)

    @cached_property
    def answer(self) -> contract.Answer:
        """What comes out of a model, and what it means."""
        return self.Answer(self.target, self.fitted)

    @cached_property
    def judging(self) -> contract.Judging:
        """By what a model is judged, and against whom."""
        return self.Judging(self.target)

    @cached_property
    def presentation(self) -> contract.Presentation:
        """What the report shows."""
        return self.Presentation(self.target)

    @property
    def name(self) -> str:
        """The name under which the task is registered."""
        return self.settings.kind

    @property
    def title(self) -> str:
        """The name for people, in the language of the moment."""
        return tasks.title(self.name)

    @property
    def kind(self) -> contract.Kind:
        """Whether it is answered by numbers or by classes."""
        return self.answer.kind

    def __getattr__(self, name: str) -> Any:
        return earlier.of_task(self, name)

    def bind(self, table: Table) -> Self:
        """The task of a table that has all its columns."""
        return replace(self, targets=self.target.bind(table))

    def learn(self, train: Windows, validation: Windows) -> Self:
        """The task with what it learns itself before any model is trained."""
        if not isinstance(self.answer, LearnsFromWindows):
            return self
        return replace(self, fitted=self.answer.learn(train, validation))

    def calibrate(self, outputs: NDArray[Any], windows: Windows) -> Self:
        """The task with what it learns from a network's raw outputs on its validation samples."""
        if not isinstance(self.answer, LearnsFromOutputs):
            return self
        return replace(self, fitted=self.answer.calibrate(outputs, windows))

    def weigh(self, outputs: NDArray[Any], windows: Windows) -> Self:
        """The task with weights of its members by raw outputs for all windows of the validation part."""
        return (
            replace(self, fitted=self.answer.weigh(outputs, windows)) if isinstance(self.answer, HasMembers) else self
        )

    @property
    def shares(self) -> Mapping[str, float]:
        """The weights of the task's own members beside the network; empty where it is alone."""
        return self.answer.shares if isinstance(self.answer, HasMembers) else {}

    def alone(self) -> Self:
        """The task without its own members beside the network."""
        return replace(self, fitted=self.answer.alone()) if isinstance(self.answer, HasMembers) else self

    def revise(self, outcome: Outcome, windows: Windows) -> Outcome:
        """What any model says, network or baseline, after the task's own last word."""
        return self.answer.revise(outcome, windows) if isinstance(self.answer, Revises) else outcome


class Regression(Task):
    """A task that answers with numbers in the targets' own units."""

    Target: ClassVar[type[contract.Target]] = NumericTarget
    Answer: ClassVar[type[contract.Answer]] = NumericAnswer
    Judging: ClassVar[type[contract.Judging]] = NumericJudging
    Presentation: ClassVar[type[contract.Presentation]] = NumericPresentation


class Classification(Task):
    """A task that answers with one class of those that its target column names."""

    Target: ClassVar[type[contract.Target]] = ClassTarget
    Answer: ClassVar[type[contract.Answer]] = ClassAnswer
    Judging: ClassVar[type[contract.Judging]] = ClassJudging
    Presentation: ClassVar[type[contract.Presentation]] = ClassPresentation


tasks: Registry[type[Task]] = Registry("tasks", package="backmix.tasks")
