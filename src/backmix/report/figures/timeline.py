"""Actual and predicted over time (course item 67), with the residual below.

This module draws one panel per target of a regression, on the test part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.data.tag import bracket
from backmix.report.drawing.canvas import Axes, area, box, dot, figure, legend, rule, span, text, trace
from backmix.report.drawing.series import Series
from backmix.report.drawing.thin import MOST_POINTS, thin
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    from backmix.data.tag import Tag
    from backmix.report.data import ReportData

MOST_TARGETS = 4
FEW_POINTS = 80
LEFT, TOP = 62.0, 58.0


@figures.register("timeline", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Actual and predicted values of the test part over time, and the error in a strip below."""
    shown = data.regression[:MOST_TARGETS]
    if not shown:
        return None
    parts, top = [], 0.0
    for tag, run in shown:
        panel, top = _panel(tag, run, width, top)
        parts.append(panel)
    return Figure(
        figure(width, top, say("figures.timeline"), *parts),
        "figures.timeline.caption",
        {"windows": f"{len(shown[0][1]):,}"},
        wide=True,
    )


def _panel(tag: Tag, run: Series, width: int, top: float) -> tuple[str, float]:
    tall = 210.0 if width > NARROW else 170.0
    truth, prediction = run.truth.astype(np.float64), run.prediction.astype(np.float64)
    error = prediction - truth
    wide = width - LEFT - 12
    ticks = run.ticks(wide)
    ends = [] if run.low is None or run.high is None else [run.low, run.high]
    main = Axes(LEFT, top + TOP, wide, tall, run.ends, spread(truth, prediction, *ends))
    names = [("truth", say("report.actual")), ("network", say("report.predicted"))]
    below = Axes(LEFT, main.bottom + 30, wide, 74.0, run.ends, spread(error, floor=0.0, room=0.08))
    parts = [
        text(0, top + 14, f"{say('figures.timeline')} · {tag.label}", "head", width=width - 4),
        legend(LEFT, top + 40, names),
        _band_key(LEFT + sum(46 + span(words) for _, words in names), top + 40) if _has_intervals(run) else "",
        main.rows(round_ticks(*main.ys, 6)),
        main.columns(ticks, words=False),
        _band(main, run) if _has_intervals(run) else "",
        _line(main, run, truth, "truth"),
        _line(main, run, prediction, "network"),
        text(LEFT, below.top - 8, say("report.error_strip", unit=bracket(tag.unit)), "note"),
        below.rows(round_ticks(*below.ys, 4)),
        below.columns(ticks),
        rule(LEFT, float(below.y(0.0)), below.right, float(below.y(0.0)), "zero"),
        _line(below, run, error, "residual"),
        text(below.right, below.bottom + 34, run.axis, "note", anchor="end"),
    ]
    return "".join(parts), below.bottom + 52


def _has_intervals(run: Series) -> bool:
    return run.low is not None and run.high is not None and bool(np.isfinite(run.high - run.low).any())


def _band_key(x: float, y: float) -> str:
    return box(x, y - 9, 18, 10, "band") + text(x + 24, y, say("figures.timeline.band"))


def _band(axes: Axes, run: Series) -> str:
    """The intervals behind the lines, one area for each stretch without a break."""
    assert run.low is not None
    assert run.high is not None
    kept = np.unique(np.concatenate([thin(run.low, int(axes.width)), thin(run.high, int(axes.width))]))
    low, high = run.low[kept], run.high[kept]
    known = np.isfinite(high - low)
    lifted = (np.diff(np.cumsum(run.breaks)[kept], prepend=0) > 0) | np.diff(known, prepend=True)
    parts = []
    for stretch in np.split(np.arange(len(kept)), np.flatnonzero(lifted[1:]) + 1):
        if len(stretch) > 1 and known[stretch[0]]:
            x = axes.x(run.x[kept[stretch]])
            parts.append(area(x, axes.y(low[stretch]), axes.y(high[stretch]), "band"))
    return "".join(parts)


def _line(axes: Axes, run: Series, y: np.ndarray, kind: str) -> str:
    most = min(MOST_POINTS, int(2.2 * axes.width))
    kept = thin(y, most)
    # a break between two kept points lifts the pen at the second
    lifted = np.diff(np.cumsum(run.breaks)[kept], prepend=0) > 0
    px, py = axes.x(run.x[kept]), axes.y(y[kept])
    marks = (
        "".join(dot(a, b, 2.2, f"{kind}-dot") for a, b in zip(px, py, strict=True) if np.isfinite(b))
        if len(y) <= FEW_POINTS
        else ""
    )
    return trace(px, py, kind, breaks=lifted) + marks
