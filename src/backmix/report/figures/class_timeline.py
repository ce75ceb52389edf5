"""Actual and predicted class over time.

This module draws one lane per class: a pale block while the class was the actual one, a bar while
it was predicted, red where the two differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.report.drawing.canvas import Axes, figure, num, span, text
from backmix.report.drawing.series import class_names
from backmix.report.figures import Figure, figures
from backmix.text import say

if TYPE_CHECKING:
    from backmix.report.data import ReportData

MOST_LANES = 30
LANE = 22.0


@figures.register("class_timeline", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Actual and predicted class of the test part over time, one lane per class."""
    run = data.classification
    if run is None:
        return None
    truth, prediction = class_names(run.truth), class_names(run.prediction)
    seen = {*truth.tolist(), *prediction.tolist()}
    lanes = [name for name in data.task.target.classes if name in seen] + sorted(seen - set(data.task.target.classes))
    lanes = lanes[:MOST_LANES]
    left = min(max(span(name) for name in lanes) + 16, width * 0.3)
    axes = Axes(left, 60, width - left - 12, LANE * len(lanes), run.ends, (0.0, float(len(lanes))))
    parts = [
        text(0, 14, say("figures.class_timeline"), "head"),
        _key(left),
        axes.columns(run.ticks(axes.width)),
        text(axes.right, axes.bottom + 34, run.axis, "note", anchor="end"),
    ]
    x = axes.x(run.x)
    for n, name in enumerate(lanes):
        y = axes.top + LANE * (n + 0.5)
        was, called = truth == name, prediction == name
        parts.append(text(0, y + 4, name, "label", width=left - 12))
        parts.append(_runs(x, run.breaks, was, y, "lane-truth"))
        parts.append(_runs(x, run.breaks, called & was, y, "lane-right"))
        parts.append(_runs(x, run.breaks, called & ~was, y, "lane-wrong"))
    return Figure(
        figure(width, axes.bottom + 44, say("figures.class_timeline"), *parts),
        "figures.class_timeline.caption",
        wide=True,
    )


def _key(left: float) -> str:
    parts, x = [], left
    for kind, words in (
        ("lane-truth", "figures.class_timeline.lane_truth"),
        ("lane-right", "figures.class_timeline.lane_right"),
        ("lane-wrong", "figures.class_timeline.lane_wrong"),
    ):
        parts.append(f'<path class="{kind}" d="M{num(x)} 36h18"/>')
        parts.append(text(x + 24, 40, say(words)))
        x += 24 + span(say(words)) + 20
    return "".join(parts)


def _runs(x: NDArray[np.float64], breaks: NDArray[np.bool_], on: NDArray[np.bool_], y: float, kind: str) -> str:
    """Stretches where ``on`` holds, as one path; those on the same pixel are drawn once."""
    if not on.any():
        return ""
    begin = np.flatnonzero(on & np.concatenate([[True], ~on[:-1] | breaks[1:]]))
    end = np.flatnonzero(on & np.concatenate([~on[1:] | breaks[1:], [True]]))
    half = float(np.median(np.diff(x))) / 2 if len(x) > 1 else 2.0
    starts, ends = x[begin] - half, x[end] + half
    starts, ends = np.floor(starts), np.maximum(np.ceil(ends), np.floor(starts) + 1)
    parts, reached = [], -np.inf
    low = high = 0.0
    for a, b in zip(starts.tolist(), ends.tolist(), strict=True):
        if a > reached:
            if high > low:
                parts.append(f"M{num(low)} {num(y)}h{num(high - low)}")
            low, high = a, b
        else:
            high = max(high, b)
        reached = high
    parts.append(f"M{num(low)} {num(y)}h{num(high - low)}")
    return f'<path class="{kind}" d="{"".join(parts)}"/>'
