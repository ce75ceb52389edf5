"""The gradient of a prediction, back through time (course items 6 and 10).

This module draws ‖∂f/∂h_t‖ of every layer against the lag, on a logarithmic axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, box, figure, legend, text, trace
from backmix.report.drawing.thin import thin
from backmix.report.figures import NARROW, Figure, figures
from backmix.report.figures.attribution import age_ticks, axis_of
from backmix.text import say
from backmix.text.numbers import log_ticks

if TYPE_CHECKING:
    from backmix.report.data import ReportData

LEFT = 62.0
DECADES = 6.0
"""What is weaker than 10 to this power is drawn on the lower edge."""
MOST_LAYERS = 3


@figures.register("memory", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """The norm of the gradient by lag, as a share of its largest value, with the effective memory shaded."""
    insight = data.insight
    if insight is None or insight.memory is None or insight.memory.lookback < 2:
        return None
    memory = insight.memory
    if not memory.first.max() > 0:
        return None
    from backmix.inspection.attribution import MASS

    width = min(width, NARROW)
    curves = []
    for norm in memory.norm[:MOST_LAYERS]:
        share = norm / (norm.max() or 1.0)
        curves.append(np.log10(np.maximum(share, 10.0**-DECADES)))
    low = max(-DECADES, min(float(curve.min()) for curve in curves))
    low = min(low * 1.05, -0.35)
    above = 76.0 if len(curves) > 1 else 54.0
    axes = Axes(LEFT, above, width - LEFT - 12, 220, (float(memory.lookback), 0.0), (low, 0.05))
    lags = np.arange(memory.lookback, dtype=np.float64) + 0.5
    edge = float(axes.x(float(memory.effective + 1)))
    parts = [
        text(0, 14, say("figures.memory"), "head", width=width - 4),
        text(0, above - 18, say("figures.memory.axis"), "note"),
        box(edge, axes.top, axes.right - edge, 220, "band"),
        axes.rows(log_ticks(low, 0.0)),
        axes.columns(age_ticks(insight, axes), grid=False),
        text(axes.right, axes.bottom + 34, axis_of(insight), "note", anchor="end"),
    ]
    if len(curves) > 1:
        parts.append(
            legend(LEFT, 40, [(f"layer-{n}", say("insight.layer", layer=n)) for n in range(1, len(curves) + 1)])
        )
    for number, curve in reversed(list(enumerate(curves, 1))):
        kept = thin(curve, int(2.2 * axes.width))
        parts.append(trace(axes.x(lags[kept]), axes.y(curve[kept]), f"layer-{number}"))
    return Figure(
        figure(width, axes.bottom + 44, say("figures.memory"), *parts),
        "figures.memory.caption",
        {"share": f"{MASS:.0%}"},
    )
