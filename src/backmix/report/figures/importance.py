"""How much each tag changes the prediction, and how much the error grows without it.

This module draws integrated gradients, occlusion and permutation side by side, a row per tag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, box, dot, figure, rule, span, text
from backmix.report.figures import NARROW, Figure, figures
from backmix.report.figures.attribution import unit_of
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    from backmix.report.data import ReportData

MOST_TAGS = 20
ROW = 26.0


@figures.register("importance", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """A bar, a ring and a dot with its spread per tag, in the unit of the target."""
    insight = data.insight
    if insight is None:
        return None
    attribution, lost = insight.attribution, insight.permutation
    factor = 100.0 if insight.classes else 1.0
    order = attribution.order[:MOST_TAGS]
    left = min(max(span(attribution.features[f]) for f in order) + 16, width * 0.3)
    growth: dict[str, tuple[float, float]] = (
        {}
        if lost is None
        else {
            name: (factor * float(mean), factor * float(by))
            for name, mean, by in zip(lost.features, lost.mean, lost.spread, strict=True)
        }
    )
    ends = [
        value
        for f in order
        if (pair := growth.get(attribution.features[f]))
        for value in (pair[0] - pair[1], pair[0] + pair[1])
    ]
    scale = spread(factor * attribution.push[order], factor * attribution.occluded[order], np.array(ends), floor=0.0)
    axes = Axes(left, 60, width - left - 12, ROW * len(order), scale, (0.0, 1.0))
    title = say("figures.importance", unit=unit_of(insight))
    parts = [
        text(0, 14, title, "head", width=width - 4),
        _key(left if width > NARROW else 0.0, bool(growth)),
        axes.columns(round_ticks(*scale, max(3, int(axes.width // 90)))),
    ]
    for row, feature in enumerate(order):
        name, y = attribution.features[feature], axes.top + ROW * (row + 0.5)
        zero, push = float(axes.x(0.0)), float(axes.x(factor * attribution.push[feature]))
        parts.append(text(0, y + 4, name, "label", width=left - 12))
        parts.append(box(zero, y - 8, push - zero, 16, "bar-network"))
        parts.append(dot(float(axes.x(factor * attribution.occluded[feature])), y, 4, "ring"))
        if name in growth:
            middle, by = growth[name]
            parts.append(rule(float(axes.x(middle - by)), y, float(axes.x(middle + by)), y, "loss"))
            parts.append(dot(float(axes.x(middle)), y, 3.4, "loss-dot"))
    if lost is None:
        key, values = "figures.importance.caption_short", {}
    else:
        key, values = "figures.importance.caption", {"windows": f"{lost.windows:,}", "block": f"{lost.block:,}"}
    return Figure(figure(width, axes.bottom + 26, title, *parts), key, values, wide=True)


def _key(x: float, permuted: bool) -> str:
    """Samples of the three marks with their names."""
    parts = []
    for key in ("push", "occluded", "permuted")[: 3 if permuted else 2]:
        mark = {
            "push": box(x, 30, 18, 12, "bar-network"),
            "occluded": dot(x + 9, 36, 4, "ring"),
            "permuted": dot(x + 9, 36, 3.4, "loss-dot"),
        }
        words = say(f"figures.importance.key_{key}")
        parts += [mark[key], text(x + 24, 40, words)]
        x += 24 + span(words) + 18
    return "".join(parts)
