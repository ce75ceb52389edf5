"""The score of the network beside the baselines, with intervals.

This module draws one row per model for the task's first metric on the test part, best on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, box, dot, figure, rule, span, text
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    from backmix.report.data import ReportData
    from backmix.report.score_rows import Bar, Bars

ROW = 30.0
HEAD = 34.0
MOST_TARGETS = 6
FAR = 4.0
"""A baseline that is this many times as far from perfect as the network and the middle of all is cut
off with an arrow."""


@figures.register("scores", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Score and interval of every model for the first metric, one block per target."""
    from backmix.report.score_rows import score_bars

    blocks = score_bars(data)[:MOST_TARGETS]
    if not blocks:
        return None
    parts, top = [], 0.0
    for block in blocks:
        drawn, top = _block(block, width, top)
        parts.append(drawn)
    key = "figures.scores.caption_lower" if blocks[0].lower else "figures.scores.caption_higher"
    return Figure(figure(width, top, say("figures.scores"), *parts), key, {"level": f"{data.level:.0%}"}, wide=True)


def _block(block: Bars, width: int, top: float) -> tuple[str, float]:
    bars = block.rows
    names = min(max(span(bar.name) for bar in bars) + 16, width * (0.34 if width > NARROW else 0.42))
    room = max(span(bar.words) for bar in bars) + 18
    ends = _ends(bars, block.lower)
    axes = Axes(names, top + HEAD, width - names - room, ROW * len(bars), ends, (0.0, float(len(bars))))
    parts = [
        text(0, top + 14, block.head, "head", width=width - 4),
        axes.columns(round_ticks(*ends, max(4, int(axes.width // 90)))),
    ]
    for n, bar in enumerate(bars):
        y = axes.top + ROW * (n + 0.5)
        weight = "label strong" if bar.network else "label"
        parts.append(text(0, y + 4, bar.name, weight, width=names - 12))
        parts.append(_mark(axes, bar, y, block.lower))
        parts.append(text(width, y + 4, bar.words, weight, anchor="end"))
    return "".join(parts), axes.bottom + 34


def _ends(bars: Sequence[Bar], lower: bool) -> tuple[float, float]:
    """The axis: from 0 for an error, else around the scores; models that are far behind lie outside."""
    every = np.array([v for b in bars for v in (b.value, b.low, b.high) if v is not None], dtype=np.float64)
    every = every[np.isfinite(every)]
    top = 0.0 if lower else max(100.0, float(every.max(initial=0.0)))  # a perfect score
    behind = np.abs(np.array([b.value for b in bars if b.value is not None], dtype=np.float64) - top)
    behind = behind[np.isfinite(behind)]
    own = [abs(b.value - top) for b in bars if b.network and b.value is not None and np.isfinite(b.value)]
    limit = FAR * max([*own, float(np.median(behind)) if len(behind) else np.inf])
    shown = every[np.abs(every - top) <= limit]
    return spread(shown, floor=0.0, room=0.04) if lower else spread(shown, room=0.08)


def _mark(axes: Axes, bar: Bar, y: float, lower: bool) -> str:
    kind = "network" if bar.network else "baseline"
    if bar.value is None or not np.isfinite(bar.value):
        return text(axes.left + 6, y + 4, say("report.undefined"), "note")
    x = float(axes.x(min(max(bar.value, axes.xs[0]), axes.xs[1])))
    outside = not axes.xs[0] <= bar.value <= axes.xs[1]
    parts = [box(axes.left, y - 8, x - axes.left, 16, f"bar-{kind}")] if lower else []
    if not outside and bar.low is not None and bar.high is not None and np.isfinite(bar.low) and np.isfinite(bar.high):
        low, high = (float(axes.x(min(max(v, axes.xs[0]), axes.xs[1]))) for v in (bar.low, bar.high))
        parts.append(rule(low, y, high, y, f"whisker {kind}-whisker"))
        parts += [rule(v, y - 5, v, y + 5, f"whisker {kind}-whisker") for v in (low, high)]
    if outside:
        parts.append(
            text(
                x,
                y + 5,
                "▸" if bar.value > axes.xs[1] else "◂",
                "far",
                anchor="end" if bar.value > axes.xs[1] else "start",
            )
        )
    else:
        parts.append(dot(x, y, 4.2, f"{kind}-dot", tip=f"{bar.name}: {bar.words}"))
    return "".join(parts)
