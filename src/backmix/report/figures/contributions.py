"""Which tags cause the alarms.

This module draws a map of tags over time: the darker, the larger the share of the tag in the score
of the alarming windows of that stretch. Tags that are never among the three largest have no lane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.report.alarms import AlarmScores, alarm_scores
from backmix.report.drawing.canvas import Axes, box, figure, span, text
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say

if TYPE_CHECKING:
    from backmix.report.data import ReportData

MOST_TAGS = 14
LANE = 20.0
CELLS = 80


@figures.register("contributions", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """The shares of tags in the alarms of the test part; None without an alarm."""
    scores = alarm_scores(data)
    if scores is None or not scores.alarm.any():
        return None
    cells = CELLS if width > NARROW else CELLS // 2
    names, shares = tag_shares(scores, cells)
    left = min(max(span(name) for name in names) + 16, width * 0.3)
    axes = Axes(left, 40, width - left - 12, LANE * len(names), scores.run.ends, (0.0, float(len(names))))
    side = axes.width / cells
    parts = [text(0, 14, say("figures.contributions"), "head"), axes.columns(scores.run.ticks(axes.width))]
    for n, name in enumerate(names):
        y = axes.top + LANE * n
        parts.append(text(0, y + LANE / 2 + 4, name, "label", width=left - 12))
        parts += [
            box(
                axes.left + side * cell,
                y + 1,
                side,
                LANE - 2,
                "heat",
                opacity=max(0.08, float(share)),
                tip=say("figures.contributions.cell", tag=name, share=f"{share:.0%}"),
            )
            for cell, share in enumerate(shares[n].tolist())
            if share > 0.005
        ]
    parts.append(text(axes.right, axes.bottom + 34, scores.run.axis, "note", anchor="end"))
    return Figure(
        figure(width, axes.bottom + 44, say("figures.contributions"), *parts),
        "figures.contributions.caption",
        {"windows": f"{int(scores.alarm.sum()):,}"},
        wide=True,
    )


def tag_shares(scores: AlarmScores, cells: int) -> tuple[list[str], NDArray[np.float64]]:
    """The tags with the largest shares in the alarms, and their mean share (tags, cells) along the axis."""
    low, high = scores.run.ends
    place = np.minimum(((scores.run.x - low) / (high - low) * cells).astype(np.int64), cells - 1)
    alarms = np.bincount(place[scores.alarm], minlength=cells)
    sums: dict[str, NDArray[np.float64]] = {}
    for number in (1, 2, 3):
        if f"tag_{number}" not in scores.frame.columns:
            continue
        tags = scores.frame[f"tag_{number}"].to_numpy(dtype=object)[scores.alarm]
        shares = scores.frame[f"share_{number}"].to_numpy(dtype=np.float64)[scores.alarm]
        for tag in {str(tag) for tag in tags if tag is not None}:
            mine = tags == tag
            sums[tag] = sums.get(tag, np.zeros(cells)) + np.bincount(
                place[scores.alarm][mine], weights=shares[mine], minlength=cells
            )
    names = sorted(sums, key=lambda name: (-float(sums[name].sum()), name))[:MOST_TAGS]
    return names, np.stack([sums[name] / np.maximum(alarms, 1) for name in names])
