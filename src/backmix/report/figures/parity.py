"""Predicted against actual (course item 68).

This module draws a square with the line of perfect agreement; many points become cells whose
shade counts them, so that one far point among a million is still seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, box, dot, figure, num, rule, text
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    from backmix.data.tag import Tag
    from backmix.report.data import ReportData

MOST_DOTS = 800
CELLS = 64
MOST_TARGETS = 3
LEFT = 62.0


@figures.register("parity", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Predicted against actual values of the test part, one square per target."""
    shown = data.regression[:MOST_TARGETS]
    if not shown:
        return None
    width = min(width, NARROW)
    parts, top = [], 0.0
    for tag, run in shown:
        panel, top = _panel(tag, run.truth.astype(np.float64), run.prediction.astype(np.float64), width, top)
        parts.append(panel)
    return Figure(figure(width, top, say("figures.parity"), *parts), "figures.parity.caption")


def _panel(tag: Tag, truth: np.ndarray, prediction: np.ndarray, width: int, top: float) -> tuple[str, float]:
    both = np.isfinite(truth) & np.isfinite(prediction)
    truth, prediction = truth[both], prediction[both]
    ends = spread(truth, prediction)
    side = width - LEFT - 12
    axes = Axes(LEFT, top + 44, side, min(side, 330.0), ends, ends)
    ticks = round_ticks(*ends, 6)
    points = _dots(axes, truth, prediction) if len(truth) <= MOST_DOTS else _cells(axes, truth, prediction)
    parts = [
        text(0, top + 14, f"{say('figures.parity')} · {tag.label}", "head", width=width - 4),
        text(0, top + 34, say("report.predicted"), "note"),
        axes.rows(ticks),
        axes.columns(ticks),
        points,
        rule(axes.left, axes.bottom, axes.right, axes.top, "perfect"),
        text(axes.right, axes.bottom + 34, say("report.actual"), "note", anchor="end"),
    ]
    return "".join(parts), axes.bottom + 44


def _dots(axes: Axes, truth: np.ndarray, prediction: np.ndarray) -> str:
    return "".join(dot(x, y, 2.6, "point") for x, y in zip(axes.x(truth), axes.y(prediction), strict=True))


def _cells(axes: Axes, truth: np.ndarray, prediction: np.ndarray) -> str:
    counts, _, _ = np.histogram2d(truth, prediction, bins=CELLS, range=[axes.xs, axes.ys])
    wide, tall = axes.width / CELLS, axes.height / CELLS
    most = np.log1p(counts.max())
    parts = []
    for i, j in np.argwhere(counts > 0):
        shade = 0.25 + 0.75 * np.log1p(counts[i, j]) / most
        parts.append(box(axes.left + i * wide, axes.bottom - (j + 1) * tall, wide, tall, "cell", opacity=float(shade)))
    return f'<g shape-rendering="crispEdges" stroke-width="{num(0)}">' + "".join(parts) + "</g>"
