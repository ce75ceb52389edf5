"""The anomaly score over the test part.

This module draws the score of the network over time on a logarithmic axis, the threshold, and pale
blocks where a fault was really there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.alarms import AlarmScores, alarm_scores, stretches
from backmix.report.drawing.canvas import Axes, box, figure, legend, rule, text, trace
from backmix.report.drawing.thin import MOST_POINTS, thin
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import number

if TYPE_CHECKING:
    from backmix.report.data import ReportData

LEFT, TOP = 62.0, 62.0
LEAST, MOST = 1e-3, 1e6
"""Scores outside of these, in units of the threshold, are drawn at the edge."""


@figures.register("anomaly_score", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Score, threshold and true faults of the test part."""
    scores = alarm_scores(data)
    if scores is None:
        return None
    run = scores.run
    height = np.log10(np.clip(scores.score, LEAST, MOST))
    finite = height[np.isfinite(height)]
    low = min(float(np.floor(finite.min() * 2) / 2), -0.5)
    high = max(float(np.ceil(finite.max() * 2) / 2), 0.5)
    axes = Axes(LEFT, TOP, width - LEFT - 12, 230.0 if width > NARROW else 180.0, run.ends, (low, high))
    marks = [(float(power), number(10.0**power)) for power in range(int(np.ceil(low)), int(np.floor(high)) + 1)]
    kept = thin(height, min(MOST_POINTS, int(2.2 * axes.width)))
    lifted = np.diff(np.cumsum(run.breaks)[kept], prepend=0) > 0
    limit = float(axes.y(0.0))
    entries = [("network", say("figures.anomaly_score.score")), ("best", say("figures.anomaly_score.threshold"))]
    entries += [("lane-truth", say("figures.anomaly_score.fault"))] if scores.fault.any() else []
    parts = [
        text(0, 14, say("figures.anomaly_score"), "head"),
        legend(LEFT if width > NARROW else 0, 42, entries),
        *(_shade(axes, scores, first, last) for first, last in stretches(scores.fault, run.breaks)),
        axes.rows(marks),
        axes.columns(run.ticks(axes.width)),
        rule(axes.left, limit, axes.right, limit, "best"),
        trace(axes.x(run.x[kept]), axes.y(height[kept]), "network", breaks=lifted),
        text(axes.right, axes.bottom + 34, run.axis, "note", anchor="end"),
    ]
    svg = figure(width, axes.bottom + 44, say("figures.anomaly_score"), *parts)
    return Figure(svg, *_caption(data, scores), wide=True)


def _shade(axes: Axes, scores: AlarmScores, first: int, last: int) -> str:
    x = scores.run.x
    half = 0.5 * float(np.median(np.diff(x))) if len(x) > 1 else 0.0
    left, right = float(axes.x(x[first] - half)), float(axes.x(x[last] + half))
    left, right = max(left, axes.left), min(right, axes.right)
    return box(left, axes.top, right - left, axes.height, "lane-block")


def _caption(data: ReportData, scores: AlarmScores) -> tuple[str, dict[str, str]]:
    """The sentence below the figure: the false alarm rate that the plan asks for, and the one that was measured."""
    rate = getattr(data.task.settings, "false_alarm_rate", None)
    asked = "–" if rate is None else f"{rate:.2%}"
    values = {"asked": asked, "windows": f"{len(scores.run):,}", "alarms": f"{scores.alarm.mean():.2%}"}
    rows = [
        row
        for row in data.scores
        if row.model == data.network
        and row.part == "test"
        and row.metric == "false_alarm_rate"
        and row.value is not None
    ]
    if not rows:
        return "figures.anomaly_score.caption_unlabelled", values
    return "figures.anomaly_score.caption", values | {"reached": rows[0].text()}
