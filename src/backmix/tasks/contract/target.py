"""What is learned, and what is known of it.

This module defines `Target`, the part of a task that makes labels of a table's columns and says which rows and
windows a model learns from. `shared.numbers` and `shared.classes` have one that serves most tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.purity import pure_windows
from backmix.data.windows.windows import Windows, WindowSpec
from backmix.tasks.contract.plan import TaskPlan


@dataclass(frozen=True)
class Target(ABC):
    """The labels of a task. A new task writes `adapt` (or takes a ready one) and overrides what differs.

    settings: the ``[task]`` section of the plan
    tags: the tags that predictions are compared with; () as long as the task has seen no table
    """

    settings: TaskPlan
    tags: tuple[Tag, ...] = ()

    auto_lookback: ClassVar[Literal["auto", "elapsed"]] = "auto"
    """What ``[windows] lookback = "auto"`` means: chosen from the data, or the whole batch until now."""
    whole_batches: ClassVar[bool] = False
    """Whether a label is known only when its batch has ended, so that no split may cut a batch."""
    clamps_inputs: ClassVar[bool] = True
    """Whether inputs outside the training range are brought to its edge, unless the plan says so itself."""

    # Columns

    @abstractmethod
    def adapt(self, table: Table) -> Table:
        """The table with its target columns as the task needs them: role "target", classes coded.

        Raises InputError when a column cannot serve.
        """

    @property
    def computed(self) -> tuple[str, ...]:
        """The names of all columns that `with_inputs` and `with_labels` may add."""
        return ()

    def with_inputs(self, table: Table) -> Table:
        """The table with the inputs that are computed from it, at training and at every prediction.

        They must look back only.
        """
        return table

    def with_labels(self, table: Table) -> Table:
        """The table with the labels that are computed from it, which may need to know what came later.

        Done for training and scoring only.
        """
        return table

    def bind(self, table: Table) -> tuple[Tag, ...]:
        """``tags`` for a table with all its columns; those that the plan names unless a task says otherwise."""
        return tuple(table.tag(name) for name in self.settings.targets)

    def learned_names(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """The tags that a network learns: those it is judged by, unless a task says otherwise."""
        return tuple(tag.name for tag in self.tags)

    # Classes: () and None for numbers

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of all classes, in the order of their codes."""
        return ()

    @property
    def known_classes(self) -> tuple[str, ...]:
        """The classes that are taught, the first of `classes`; () when no class is taught as such."""
        return self.classes

    @property
    def normal_class(self) -> str | None:
        """The class of normal operation, where one is named."""
        return None

    @property
    def label_rule(self) -> str | None:
        """The key of the sentence on who knows the labels of {targets}, and when; None for the usual sentences."""
        return None

    # Windows

    def window_form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        """The form of the windows, made from that of the plan; rows are ``step`` seconds apart.

        Raises PlanError when the plan's windows cannot serve the task.
        """
        return spec

    def training_rows(self, table: Table) -> NDArray[np.bool_] | None:
        """(N,) the rows that anything may be learned from; None for all of the training part."""
        return None

    def training_windows(self, windows: Windows) -> Windows:
        """The windows of training or validation that models may learn from: those that see training rows only."""
        rows = self.training_rows(windows.table)
        return windows if rows is None else pure_windows(windows, rows)

    def training_samples(self, windows: Windows) -> Windows:
        """What a network is taught, made of training windows: themselves, unless it answers in another form."""
        return windows
