"""Recall and precision of each class.

This module draws recall and precision per class of a classification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, dot, figure, rule, span, text
from backmix.report.drawing.series import class_names
from backmix.report.figures import NARROW, Figure, figures
from backmix.report.figures.confusion import confusion
from backmix.text import say

if TYPE_CHECKING:
    from backmix.report.data import ReportData

MOST_CLASSES = 40
FEW_CLASSES = 8
ROW = 22.0
STARTS = (0.0, 0.5, 0.75, 0.9)
"""Where the axis may begin, so that small differences between high values can be seen."""


@dataclass(frozen=True)
class ClassScore:
    """Recall and precision of one class; None where nothing could be counted (not 0, not 1)."""

    name: str
    windows: int
    recall: float | None
    precision: float | None


def class_scores(data: ReportData) -> tuple[ClassScore, ...]:
    """Recall and precision of the network for every class that occurred or was predicted."""
    run = data.classification
    if run is None:
        return ()
    names, counts = confusion(class_names(run.truth), class_names(run.prediction), data.task.target.classes)
    hits, actual, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return tuple(
        ClassScore(name=name, windows=int(a), recall=float(h / a) if a else None, precision=float(h / p) if p else None)
        for name, h, a, p in zip(names, hits, actual, predicted, strict=True)
    )


@figures.register("classes", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Recall (filled) and precision (ring) of every class on one line, worst recall on top."""
    every = class_scores(data)
    if not every:
        return None
    rows = sorted(every, key=lambda s: (s.recall is None, s.recall or 0.0))[:MOST_CLASSES]
    few = len(rows) <= FEW_CLASSES
    width = min(width, NARROW) if few else width
    left = min(max(span(row.name) for row in rows) + 16, width * 0.36)
    least = min((v for row in rows for v in (row.recall, row.precision) if v is not None), default=0.0)
    start = max(v for v in STARTS if v == 0 or v <= least - 0.02)
    axes = Axes(left, 60, width - left - 24, ROW * len(rows), (start, 1.0), (0.0, float(len(rows))))
    parts = [
        text(0, 14, say("figures.classes"), "head"),
        _key(left),
        axes.columns([(v, f"{v:.0%}") for v in (start + k * (1 - start) / 5 for k in range(6))]),
    ]
    for n, row in enumerate(rows):
        y = axes.top + ROW * (n + 0.5)
        parts.append(text(0, y + 4, row.name, "label", width=left - 12))
        ends = [float(axes.x(v)) for v in (row.recall, row.precision) if v is not None]
        if len(ends) == 2:
            parts.append(rule(min(ends), y, max(ends), y, "dumbbell"))
        if row.precision is not None:
            parts.append(dot(float(axes.x(row.precision)), y, 5, "precision-dot", tip=f"{row.precision:.1%}"))
        if row.recall is not None:
            parts.append(dot(float(axes.x(row.recall)), y, 4, "recall-dot", tip=f"{row.recall:.1%}"))
        if not ends:
            parts.append(text(axes.left + 6, y + 4, say("report.undefined"), "note"))
    return Figure(
        figure(width, axes.bottom + 26, say("figures.classes"), *parts), "figures.classes.caption", wide=not few
    )


def _key(left: float) -> str:
    recall, precision = say("report.recall"), say("report.precision")
    second = left + 34 + span(recall)
    return "".join(
        [
            dot(left + 5, 36, 4, "recall-dot"),
            text(left + 14, 40, recall),
            dot(second + 5, 36, 5, "precision-dot"),
            text(second + 15, 40, precision),
        ]
    )
