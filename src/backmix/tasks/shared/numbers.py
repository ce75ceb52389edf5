"""Targets that are numbers, and answers in their units.

This module defines the parts that a regression task has unless it brings its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.windows.progress import asked_targets
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.errors import InputError
from backmix.models.losses import choose_loss
from backmix.tasks.contract import Answer, Judging, Kind, Outcome, Presentation, Target
from backmix.tasks.contract.optional import Revises


class NumericTarget(Target):
    """One or several columns of numbers."""

    def adapt(self, table: Table) -> Table:
        """A target that the task computes where there is none need not be there.

        Raises InputError: data.missing_column, tasks.target_is_text, tasks.target_is_empty.
        """
        changes = {}
        for name in self.settings.targets:
            if name in self.computed and name not in table.names:
                continue
            tag = table.tag(name)
            if tag.categories:
                raise InputError(
                    "tasks.target_is_text",
                    where=table.source,
                    target=name,
                    task=self.settings.kind,
                    examples=", ".join(tag.categories[:3]),
                )
            if not np.isfinite(table.column(name)).any():
                raise InputError("tasks.target_is_empty", where=table.source, target=name)
            changes[name] = replace(tag, role="target")
        return table.retag(changes)


class NumericAnswer(Answer):
    """A number for each target, in its unit; the loss is chosen by how the targets are distributed."""

    kind: ClassVar[Kind] = "regression"

    @property
    def head(self) -> str:
        return "number" if self.outputs == 1 else "numbers"

    @property
    def outputs(self) -> int:
        return len(self.target.tags)

    def loss(self, train: Windows) -> Decision:
        """Raises InputError (tasks.target_is_constant) when there is nothing to learn."""
        asked = asked_targets(train)
        for column, name in enumerate(train.spec.targets):
            if np.ptp(asked[:, column]) == 0:
                raise InputError(
                    "tasks.target_is_constant",
                    where=train.table.source,
                    target=name,
                    value=f"{np.nanmin(train.table.column(name)[train.target_rows]):g}",
                    count=len(train),
                )
        return choose_loss("regression", targets=asked)

    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        return Outcome(values=windows.unscaled(outputs))

    @property
    def light(self) -> bool:
        """The light runtime scales back as this class does; it knows no other way."""
        return type(self).decode is NumericAnswer.decode and not isinstance(self, Revises)


class NumericJudging(Judging):
    """The error at each label."""

    metrics: tuple[str, ...] = ("rmse", "mae", "r2", "max_error", "bias")
    baselines: tuple[str, ...] = ("mean", "ridge", "pls", "trees")


class NumericPresentation(Presentation):
    """The target over time, and where the errors are."""

    figures: tuple[str, ...] = ("scores", "timeline", "parity", "residuals", "learning")
