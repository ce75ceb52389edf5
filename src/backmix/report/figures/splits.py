"""Which rows the model learned from, and which it was judged on.

This module draws the parts of the split as bars over the table, from its first row to its last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backmix.data.notation.clock import zone
from backmix.report.drawing.canvas import Axes, box, figure, span, text
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import round_ticks, time_ticks

if TYPE_CHECKING:
    from backmix.report.data import ReportData

ROW = 30.0


@figures.register("splits", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """A bar per part (training, validation, test), with its rows and windows."""
    parts = [part for part in data.parts if part.spans]
    if not parts:
        return None
    clock, named = all(part.clock for part in parts), parts[0].time_zone
    places = [part.places() for part in parts]
    low = min(a for spans in places for a, _ in spans)
    high = max(b for spans in places for _, b in spans)
    high = high if high > low else low + 1.0
    names = [say(f"report.part_{part.name}") for part in parts]
    left = max(span(name) for name in names) + 18
    axes = Axes(left, 12, width - left - 12, ROW * len(parts), (low, high), (0.0, float(len(parts))))
    ticks = (
        time_ticks(low, high, max(2, int(axes.width // 110)), None if named is None else zone(named))
        if clock
        else round_ticks(low, high, 8 if width > NARROW else 4)
    )
    drawn = [
        axes.columns(ticks),
        text(
            axes.right, axes.bottom + 34, say("report.axis_time" if clock else "report.axis_rows"), "note", anchor="end"
        ),
    ]
    for n, (part, spans, name) in enumerate(zip(parts, places, names, strict=True)):
        y = axes.top + ROW * (n + 0.5)
        drawn.append(text(0, y + 4, name))
        for a, b in _seen(axes, spans):
            drawn.append(box(float(axes.x(a)), y - 9, float(axes.x(b) - axes.x(a)), 18, f"part part-{part.name}"))
    return Figure(figure(width, axes.bottom + 44, say("figures.splits"), *drawn), "figures.splits.caption", wide=True)


def _seen(axes: Axes, spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The spans with pauses below half a pixel closed: there may be one per batch, and many batches."""
    least = 0.5 * (axes.xs[1] - axes.xs[0]) / axes.width
    joined: list[tuple[float, float]] = []
    for low, high in sorted(spans):
        if joined and low - joined[-1][1] < least:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined
