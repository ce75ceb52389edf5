"""How many results lay inside their intervals, stretch by stretch.

This module draws the share of results inside over the test part, batch by batch or in stretches of neighbouring
windows, for intervals of the calibration and for those that follow the plant, with the share that was asked.
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
    from backmix.scoring.coverage import Banded

MOST_TARGETS = 4
LEFT = 62.0
LINES = {"split": "model-0", "adaptive": "network", "sets": "network"}


@figures.register("coverage")
def draw(data: ReportData, width: int) -> Figure | None:
    """The share inside over the test part, one panel per target."""
    if data.banded is None:
        return None
    parts, top = [], 0.0
    for tag in data.task.targets[:MOST_TARGETS]:
        panel, bottom = _panel(data.banded, tag.name, width, top)
        parts.append(panel)
        top = bottom if panel else top
    if not any(parts):
        return None
    key = "intervals.course_batches" if data.banded.by_batch else "intervals.course_stretches"
    return Figure(
        figure(width, top, say("intervals.course_title"), *parts),
        key,
        {"level": f"{data.banded.banding.level:.0%}"},
        wide=True,
    )


def _panel(banded: Banded, target: str, width: int, top: float) -> tuple[str, float]:
    lines = {
        method: [piece for piece in banded.course if piece.method == method and piece.target == target]
        for method in LINES
    }
    lines = {method: pieces for method, pieces in lines.items() if pieces}
    if not lines:
        return "", top
    count = max(len(pieces) for pieces in lines.values())
    axes = Axes(LEFT, top + 58, width - LEFT - 12, 170.0 if width > NARROW else 140.0, (0.5, count + 0.5), (0.0, 102.0))
    level = 100.0 * banded.banding.level
    parts = [
        text(0, top + 14, f"{say('intervals.course_title')} · {target}", "head", width=width - 4),
        legend(LEFT, top + 40, [(LINES[method], say(f"intervals.method_{method}")) for method in lines]),
        axes.rows([(value, f"{value:.0f} %") for value in (0.0, 25.0, 50.0, 75.0, 100.0)]),
        axes.columns([(float(n), str(n)) for n in range(1, count + 1, max(1, count // 8))], grid=False),
        rule(axes.left, float(axes.y(level)), axes.right, float(axes.y(level)), "best"),
    ]
    for method, pieces in lines.items():
        x, y = axes.x(np.arange(1.0, len(pieces) + 1)), axes.y(np.array([100.0 * piece.share for piece in pieces]))
        parts.append(trace(x, y, LINES[method]))
        parts += [
            dot(float(a), float(b), 2.4, f"{LINES[method]}-dot", tip=_tip(piece.name, piece.share, piece.windows))
            for a, b, piece in zip(x, y, pieces, strict=True)
        ]
    axis = "intervals.axis_batches" if banded.by_batch else "intervals.axis_stretches"
    parts.append(text(axes.right, axes.bottom + 34, say(axis), "note", anchor="end"))
    return "".join(parts), axes.bottom + 50


def _tip(name: str, share: float, windows: int) -> str:
    return " · ".join(filter(None, [brief(name), f"{share:.0%}", say("intervals.windows", count=f"{windows:,}")]))
