"""Which tag at which age moves a prediction, as a heat map.

This module draws integrated gradients by tag and lag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.tag import bracket
from backmix.report.drawing.canvas import Axes, box, figure, span, text
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import Tick, brief, number, round_ticks

if TYPE_CHECKING:
    from backmix.inspection import Insight
    from backmix.report.data import ReportData

MOST_TAGS = 20
MOST_COLUMNS = 60
ROW = 22.0
FAINT = 0.01
"""Cells below this share of the darkest one are left empty."""
UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))


@figures.register("attribution", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Mean size of the attribution of every tag (rows, the strongest first) at every age (columns)."""
    insight = data.insight
    if insight is None or not insight.attribution.heat.max() > 0:
        return None
    from backmix.inspection.sentences import amount, span_of

    attribution = insight.attribution
    order = attribution.order[:MOST_TAGS]
    lumps = lump(len(attribution.age), MOST_COLUMNS if width > NARROW else MOST_COLUMNS // 2)
    heat = np.add.reduceat(attribution.heat[:, order], lumps[:-1], axis=0)
    most = float(heat.max())
    left = min(max(span(attribution.features[f]) for f in order) + 16, width * 0.3)
    # the oldest row on the left, as on every axis of time
    axes = Axes(left, 28, width - left - 12, ROW * len(order), (float(lumps[-1]), 0.0), (0.0, 1.0))
    title = say("figures.attribution", unit=unit_of(insight))
    parts = [text(0, 14, title, "head", width=width - 4)]
    for row, feature in enumerate(order):
        name, y = attribution.features[feature], axes.top + ROW * row
        parts.append(text(0, y + 15, name, "label", width=left - 12))
        for column, value in enumerate(heat[:, row].tolist()):
            a, b = float(axes.x(float(lumps[column + 1]))), float(axes.x(float(lumps[column])))
            kind = "age" if value > FAINT * most else "heat-empty"
            tip = say(
                "figures.attribution.cell",
                tag=brief(name),
                age=_age(insight, lumps, column),
                value=amount(value, insight),
            )
            parts.append(
                box(
                    a + 0.5,
                    y + 2,
                    b - a - 1,
                    ROW - 4,
                    kind,
                    tip=tip if kind == "age" else "",
                    opacity=max(0.06, value / most),
                )
            )
    parts.append(axes.columns(age_ticks(insight, axes), grid=False))
    parts.append(text(axes.right, axes.bottom + 34, axis_of(insight), "note", anchor="end"))
    wide = int(lumps[1] - lumps[0])
    lumped = say("figures.attribution.lumped", rows=span_of(wide, insight.step)) if wide > 1 else ""
    hidden = len(attribution.features) - len(order)
    if hidden:
        lumped += " " + say("figures.attribution.more_tags", count=hidden)
    return Figure(
        figure(width, axes.bottom + 44, title, *parts),
        "figures.attribution.caption",
        {
            "moved": amount(attribution.moved, insight),
            "gap": amount(attribution.gap, insight),
            "most": amount(most, insight),
            "lumped": lumped.strip(),
        },
        wide=True,
    )


def lump(count: int, most: int) -> NDArray[np.int64]:
    """The bounds of at most ``most`` bins of ages of equal width.

    >>> lump(5, 3).tolist()
    [0, 2, 4, 5]
    """
    wide = -(-count // most)
    return np.append(np.arange(0, count, wide), count)


def unit_of(insight: Insight) -> str:
    """The unit of what is explained, in brackets."""
    if insight.classes:
        return " [%]"
    return bracket(insight.attribution.unit)


def age_ticks(insight: Insight, axes: Axes) -> list[Tick]:
    """Round ages along an axis of lags, in the largest unit of time that gives numbers above one."""
    high, least = float(max(axes.xs)), int(insight.attribution.age[0])
    name, long = _unit(insight)
    scale = 1.0 if insight.step is None else insight.step / long
    low = least * scale
    top = (high - 1 + least) * scale
    if top <= low:
        return [(0.5, number(low))]
    ticks = round_ticks(low, top, max(3, int(axes.width // 90)))
    # from left to right, which is from old to new
    return [(value / scale - least + 0.5, f"{label} {name}".strip()) for value, label in reversed(ticks)]


def axis_of(insight: Insight) -> str:
    """The title of an axis of ages."""
    return say("figures.attribution.axis_rows" if insight.step is None else "figures.attribution.axis_age")


def _unit(insight: Insight) -> tuple[str, float]:
    if insight.step is None:
        return "", 1.0
    longest = float(insight.attribution.age[-1]) * insight.step
    return next((unit for unit in UNITS if longest >= 2 * unit[1]), UNITS[-1])


def _age(insight: Insight, lumps: NDArray[np.int64], column: int) -> str:
    from backmix.inspection.sentences import span_of

    first = int(insight.attribution.age[0])
    young, old = int(lumps[column]) + first, int(lumps[column + 1]) - 1 + first
    if young == old:
        return span_of(young, insight.step)
    return say("figures.attribution.age_range", young=span_of(young, insight.step), old=span_of(old, insight.step))
