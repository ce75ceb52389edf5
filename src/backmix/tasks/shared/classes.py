"""Targets that are classes, and answers that are their probabilities.

This module defines the parts that a classification task has unless it brings its own, and codes columns of labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.errors import InputError
from backmix.models.losses import choose_loss
from backmix.tasks.contract import Answer, Judging, Kind, Outcome, Presentation, Target
from backmix.tasks.contract.optional import Revises

MOST_CLASSES = 200
UNEVEN = 1.5
"""Classes are weighted when the largest is more than this many times the smallest."""


class ClassTarget(Target):
    """One column of labels.

    The settings declare ``target: str``, and ``normal`` if the task knows a class of normal operation.
    """

    def adapt(self, table: Table) -> Table:
        """Raises InputError: those of `as_classes`, tasks.one_class, tasks.no_normal."""
        (name,) = self.settings.targets
        table = as_classes(_with_truths(table, name, self.normal_class), name)
        tag = table.tag(name)
        if len(tag.categories) < 2:
            raise InputError("tasks.one_class", where=table.source, target=name, found=", ".join(tag.categories))
        if self.normal_class is not None and self.normal_class not in tag.categories:
            raise InputError(
                "tasks.no_normal",
                where=table.source,
                target=name,
                normal=self.normal_class,
                found=", ".join(tag.categories[:8]),
            )
        return table.retag({name: replace(tag, role="target")})

    @property
    def classes(self) -> tuple[str, ...]:
        return self.tags[0].categories if self.tags else ()

    @property
    def normal_class(self) -> str | None:
        normal: str | None = getattr(self.settings, "normal", None)
        return normal


class ClassAnswer(Answer):
    """A probability for each class; classes that are never taught have none."""

    kind: ClassVar[Kind] = "classification"

    @property
    def head(self) -> str:
        return "binary" if self.outputs == 1 else "classes"

    @property
    def outputs(self) -> int:
        known = len(self.target.known_classes)
        return 1 if known == 2 else known

    def loss(self, train: Windows) -> Decision:
        return choose_loss("binary" if self.outputs == 1 else "classes")

    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        raw = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), self.outputs)
        known = np.hstack([1 - raw, raw]) if self.outputs == 1 else raw
        unknown = len(self.target.classes) - len(self.target.known_classes)
        return Outcome(probabilities=np.pad(known, [(0, 0), (0, unknown)]))

    @property
    def light(self) -> bool:
        """The light runtime takes what the head puts out for the probabilities of all classes."""
        plain = type(self).decode is ClassAnswer.decode and not isinstance(self, Revises)
        return plain and self.target.known_classes == self.target.classes

    def class_weights(self, train: Windows) -> Mapping[int, float] | None:
        counts = self._counts(train)
        seen = counts[counts > 0]
        if seen.max() <= UNEVEN * seen.min():
            return None
        # balanced weights, n / (classes * count): King & Zeng 2001, as in scikit-learn
        return {code: float(seen.sum() / (len(seen) * n)) for code, n in enumerate(counts) if n}

    def _counts(self, train: Windows) -> NDArray[np.int64]:
        """(C,) how many answers of each class the network is asked for: per window, or per row of all windows."""
        classes = len(self.target.classes)
        if train.spec.answer != "every":
            return np.bincount(train.truth()[:, 0].astype(np.int64), minlength=classes)
        last = np.asarray(train.origins, dtype=np.int64)
        first = last - (train.steps if train.lengths is None else np.asarray(train.lengths)) + 1
        labels = train.table.column(self.target.tags[0].name)
        before = (np.concatenate([[0], np.cumsum(labels == code)]) for code in range(classes))
        return np.array([int((rows[last + 1] - rows[first]).sum()) for rows in before])


class ClassJudging(Judging):
    """How often the class is right."""

    baselines: tuple[str, ...] = ("majority", "lda", "trees_statistics")

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy", "balanced_accuracy", "macro_f1", "auc", "recall", "precision")


class ClassPresentation(Presentation):
    """Which classes are taken for which, and when."""

    figures: tuple[str, ...] = ("scores", "confusion", "classes", "class_timeline", "learning")


def as_classes(table: Table, name: str) -> Table:
    """The table with a column of whole numbers as classes named by those numbers; one of text as it is.

    Raises InputError: data.missing_column, tasks.target_is_empty, tasks.not_classes.
    """
    if table.tag(name).categories:
        return table
    values = table.column(name)
    present = np.unique(values[np.isfinite(values)])
    if len(present) == 0:
        raise InputError("tasks.target_is_empty", where=table.source, target=name)
    if len(present) > MOST_CLASSES or not np.array_equal(present, np.round(present)):
        raise InputError("tasks.not_classes", where=table.source, target=name, count=len(present))
    labelled = np.isfinite(values)
    codes = np.full(len(table), np.nan)
    codes[labelled] = np.searchsorted(present, values[labelled])
    return _with_codes(table, name, codes, tuple(str(int(v)) for v in present))


def _with_truths(table: Table, name: str, normal: str | None) -> Table:
    """The table with a column of 0 and 1 in words, when the plan names one of its classes true or false."""
    values = table.column(name)
    for words in (("False", "True"), ("FALSE", "TRUE"), ("false", "true")):
        if normal in words and not table.tag(name).categories and np.isin(values[np.isfinite(values)], (0, 1)).all():
            return _with_codes(table, name, np.array(values), words)
    return table


def recoded(table: Table, name: str, codes: Sequence[int], categories: tuple[str, ...]) -> Table:
    """The table with other classes: class k of the column becomes ``categories[codes[k]]``."""
    values = table.column(name)
    labelled = np.isfinite(values)
    recoded_values = np.full(len(table), np.nan)
    recoded_values[labelled] = np.asarray(codes)[values[labelled].astype(np.int64)]
    return _with_codes(table, name, recoded_values, categories)


def _with_codes(table: Table, name: str, codes: NDArray[np.float64], categories: tuple[str, ...]) -> Table:
    """The table with these codes in the column, whose qualities stay."""
    column = table.index(name)
    return table.with_columns(
        [replace(table.tag(name), categories=categories)],
        codes,
        quality=None if table.quality is None else table.quality[:, column],
    )
