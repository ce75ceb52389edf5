"""Where an attention layer looks (course item 86).

This module draws the mean attention weight of every row of the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, area, figure, text, trace
from backmix.report.drawing.thin import thin
from backmix.report.figures import NARROW, Figure, figures
from backmix.report.figures.attribution import age_ticks, axis_of
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    from backmix.report.data import ReportData

LEFT = 62.0


@figures.register("attention", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Mean attention weight by age, with the band in which 80 % of the windows lie."""
    insight = data.insight
    if insight is None or insight.attention is None:
        return None
    weights = insight.attention
    width = min(width, NARROW)
    ends = spread(weights.low, weights.high, weights.weight, floor=0.0)
    axes = Axes(LEFT, 54, width - LEFT - 12, 200, (float(len(weights.age)), 0.0), ends)
    kept = thin(weights.weight, int(axes.width))
    x = axes.x(np.asarray(kept, np.float64) + 0.5)
    parts = [
        text(0, 14, say("figures.attention"), "head", width=width - 4),
        text(0, 38, say("figures.attention.axis"), "note"),
        axes.rows(round_ticks(*ends, 5)),
        axes.columns(age_ticks(insight, axes), grid=False),
        area(x, axes.y(weights.low[kept]), axes.y(weights.high[kept]), "band"),
        trace(x, axes.y(weights.weight[kept]), "watched"),
        text(axes.right, axes.bottom + 34, axis_of(insight), "note", anchor="end"),
    ]
    return Figure(
        figure(width, axes.bottom + 44, say("figures.attention"), *parts),
        "figures.attention.caption",
        {"windows": f"{weights.windows:,}"},
    )
