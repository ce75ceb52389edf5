"""The coverage of prediction intervals over time.

This module draws the share of results inside their intervals over the test part, by batch or by stretch of
neighbouring windows, for intervals as calibrated and for adaptive ones, with the level that the plan asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, dot, figure, legend, rule, text, trace
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import brief

if TYPE_CHECKING:
    from backmix.report.data import ReportData
    from backmix.scoring.coverage import CoverageResult

MOST_TARGETS = 4
LEFT = 62.0
LINES = {"split": "model-0", "adaptive": "network", "sets": "network"}


@figures.register("coverage", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """The coverage over the test part, one panel per target."""
    if data.coverage is None:
        return None
    parts, top = [], 0.0
    for tag in data.task.targets[:MOST_TARGETS]:
        panel, bottom = _panel(data.coverage, tag.name, width, top)
        parts.append(panel)
        top = bottom if panel else top
    if not any(parts):
        return None
    key = "figures.coverage.caption_batches" if data.coverage.by_batch else "figures.coverage.caption_stretches"
    return Figure(
        figure(width, top, say("figures.coverage"), *parts),
        key,
        {"level": f"{data.coverage.settings.level:.0%}"},
        wide=True,
    )


def _panel(coverage: CoverageResult, target: str, width: int, top: float) -> tuple[str, float]:
    lines = {
        method: [group for group in coverage.over_time if group.method == method and group.target == target]
        for method in LINES
    }
    lines = {method: groups for method, groups in lines.items() if groups}
    if not lines:
        return "", top
    count = max(len(groups) for groups in lines.values())
    axes = Axes(LEFT, top + 58, width - LEFT - 12, 170.0 if width > NARROW else 140.0, (0.5, count + 0.5), (0.0, 102.0))
    level = 100.0 * coverage.settings.level
    parts = [
        text(0, top + 14, f"{say('figures.coverage')} · {target}", "head", width=width - 4),
        legend(LEFT, top + 40, [(LINES[method], say(f"intervals.method_{method}")) for method in lines]),
        axes.rows([(value, f"{value:.0f} %") for value in (0.0, 25.0, 50.0, 75.0, 100.0)]),
        axes.columns([(float(n), str(n)) for n in range(1, count + 1, max(1, count // 8))], grid=False),
        rule(axes.left, float(axes.y(level)), axes.right, float(axes.y(level)), "best"),
    ]
    for method, groups in lines.items():
        x, y = axes.x(np.arange(1.0, len(groups) + 1)), axes.y(np.array([100.0 * group.share for group in groups]))
        parts.append(trace(x, y, LINES[method]))
        parts += [
            dot(float(a), float(b), 2.4, f"{LINES[method]}-dot", tip=_tip(group.name, group.share, group.windows))
            for a, b, group in zip(x, y, groups, strict=True)
        ]
    axis = "figures.coverage.axis_batches" if coverage.by_batch else "figures.coverage.axis_stretches"
    parts.append(text(axes.right, axes.bottom + 34, say(axis), "note", anchor="end"))
    return "".join(parts), axes.bottom + 50


def _tip(name: str, share: float, windows: int) -> str:
    return " · ".join(
        filter(None, [brief(name), f"{share:.0%}", say("figures.coverage.windows", count=f"{windows:,}")])
    )
