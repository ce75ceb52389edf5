"""Simple models of flat rows, as arrays.

This module defines `FlatModel`, which is what ridge, PLS, trees and discriminants become once they are fitted, and
fits one per fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backmix.data.windows.slices import slices
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.models.members.member import Member
from backmix.models.members.views import ENTIRE
from backmix.outcome import Outcome
from backmix.simple import Fitted, Floats, SimpleModel
from backmix.simple.forms import Form, Lags
from backmix.simple.question import TaskQuestion
from backmix.simple.trial import Trial


@dataclass(frozen=True, eq=False)
class FlatModel(SimpleModel):
    """A linear model or a forest on flat rows.

    member: its arrays, for rows of ``form``
    entire: whether it looks at all rows of the lookback
    """

    question: TaskQuestion
    form: Form
    member: Member
    entire: bool = False

    def raw(self, windows: Windows) -> Floats:
        """(W, O) scaled numbers, or chances of the classes that can be learned."""
        windows = windows.entire if self.entire else windows
        answers = [self.member.answers(self.form.of_batch(windows.gather(block))) for block in slices(windows)]
        return np.concatenate(answers) if answers else np.empty((0, self.question.outputs))

    def predict(self, windows: Windows) -> Outcome:
        return self.question.outcome(self.raw(windows), windows)

    def to_member(self) -> Member | None:
        if self.form.view is None:
            return None
        if isinstance(self.form, Lags) and self.member.kind in ("linear", "perceptron"):
            first = self.member.arrays["kernel"]
            kernel = self.form.every_row(first).astype(first.dtype)
            view = ENTIRE if self.entire else self.form.view
            return replace(self.member, view=view, arrays={**self.member.arrays, "kernel": kernel})
        return replace(self.member, view=self.form.view)


def linear(trial: Trial, name: str, form: Form, kernel: Floats, bias: Floats, activation: Any = "linear") -> FlatModel:
    """A linear model with kernel (P, O) and bias (O,)."""
    return FlatModel(trial.question, form, Member(name, "", "linear", {"kernel": kernel, "bias": bias}, activation))


def crossed(
    trial: Trial, models: Sequence[FlatModel], final: FlatModel, decisions: tuple[Decision, ...] = ()
) -> Fitted:
    """A model per fold, with what it says of the held-out windows, and the one that is taught by all in the end."""
    out_of_fold = tuple(
        model.member.answers(trial.rows(model.form, fold.held_out))
        for model, fold in zip(models, trial.folds, strict=True)
    )
    return Fitted(final, models[-1], out_of_fold, decisions)


def edge(name: str, what: str, value: Any, ends: tuple[Any, ...], *, lowest: bool = True) -> tuple[Decision, ...]:
    """The note that the best value of a setting is the end of what was tried; () when it is not.

    ``lowest``: whether the first of ``ends`` is an end that could be moved
    """
    if value != ends[-1] and not (lowest and value == ends[0]):
        return ()
    values = {"value": f"{value:.3g}", "first": f"{ends[0]:.3g}", "last": f"{ends[-1]:.3g}"}
    return (Decision(value, f"simple.edge_{what}", values, setting=name),)
