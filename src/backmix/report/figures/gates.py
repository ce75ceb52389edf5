"""The gates of a network over time, beside the tags (course items 9 and 13).

This module draws a stretch of rows: the target with its prediction, the tags that matter most, and
below them the gates of every layer after their activation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.notation.clock import zone
from backmix.report.drawing.canvas import Axes, area, figure, legend, rule, text, trace
from backmix.report.drawing.thin import thin
from backmix.report.figures import Figure, figures
from backmix.text import say
from backmix.text.numbers import Tick, brief, round_ticks, spread, time_ticks

if TYPE_CHECKING:
    from backmix.inspection.gates import Gates, GateTrace
    from backmix.report.data import ReportData

Floats = NDArray[np.float64]
LEFT, TOP = 62.0, 36.0
PLANT, LAYER = 62.0, 96.0
MOST_LAYERS = 3
MOST_CHANGES = 12
KINDS = {"f": "gate-keep", "z": "gate-keep", "i": "gate-in", "r": "gate-in", "o": "gate-out"}


@figures.register("gates", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Target, tags and gates over one stretch, one panel below the other."""
    insight = data.insight
    if insight is None or insight.gates is None:
        return None
    from backmix.inspection.sentences import span_of

    g = insight.gates
    layers = sorted({gate.layer for gate in g.gates})[:MOST_LAYERS]
    low, high = float(g.x[0]), float(g.x[-1])
    xs = (low, high) if high > low else (low - 0.5, high + 0.5)
    wide = width - LEFT - 12
    ticks = (
        time_ticks(*xs, max(2, int(wide // 110)), None if g.time_zone is None else zone(g.time_zone))
        if g.clock
        else round_ticks(*xs, max(3, int(wide // 90)))
    )
    panels, top = [text(0, 14, say("figures.gates"), "head", width=width - 4)], 24.0
    if len(g.prediction):
        panels.append(_target(g, Axes(LEFT, top + TOP, wide, 1.4 * PLANT, xs, _ends(g)), ticks))
        top += TOP + 1.4 * PLANT
    for tag, values in g.tags:
        axes = Axes(LEFT, top + TOP, wide, PLANT, xs, spread(values))
        panels += [
            text(LEFT, axes.top - 8, tag.label, "note", width=wide),
            axes.rows(round_ticks(*axes.ys, 3)),
            axes.columns(ticks, words=False),
            _line(axes, g.x, values, "tag"),
        ]
        top = axes.bottom
    for layer in layers:
        mine = [gate for gate in g.gates if gate.layer == layer]
        axes = Axes(LEFT, top + TOP + 8, wide, LAYER, xs, _gate_ends(g, mine))
        panels.append(_gates(axes, g, mine, ticks, words=layer == layers[-1]))
        top = axes.bottom
    panels.append(
        text(LEFT + wide, top + 34, say("report.axis_time" if g.clock else "report.axis_rows"), "note", anchor="end")
    )
    blanks = {
        "activation": g.activation,
        "convention": g.convention,
        "meaning": say(
            "figures.gates.meaning_gru" if "z" in {gate.name for gate in mine} else "figures.gates.meaning_lstm"
        ),
    }
    blanks |= {"batch": brief(g.batch)} if g.batch else {"run_up": span_of(g.run_up, insight.step)}
    return Figure(
        figure(width, top + 46, say("figures.gates"), *panels),
        "figures.gates.caption_batch" if g.batch else "figures.gates.caption",
        blanks,
        wide=True,
    )


def _ends(g: Gates) -> tuple[float, float]:
    return (0.0, 1.0) if g.classes else spread(g.truth, g.prediction)


def _gate_ends(g: Gates, mine: list[GateTrace]) -> tuple[float, float]:
    """0 to 1 for gates that are bounded so; else the range of their values."""
    if g.activation in ("sigmoid", "hard_sigmoid"):
        return 0.0, 1.0
    return spread(*(gate.low for gate in mine), *(gate.high for gate in mine))


def _target(g: Gates, axes: Axes, ticks: list[Tick]) -> str:
    if not g.classes:
        entries = [("watched", say("report.predicted"))]
        entries = [("truth", say("report.actual")), *entries] if np.isfinite(g.truth).any() else entries
        return "".join(
            [
                legend(LEFT, axes.top - 8, entries),
                axes.rows(round_ticks(*axes.ys, 4)),
                axes.columns(ticks, words=False),
                _line(axes, g.x, g.truth, "truth"),
                _line(axes, g.x, g.prediction, "watched"),
            ]
        )
    parts = [
        text(LEFT, axes.top - 8, say("figures.gates.chance"), "note", width=axes.width),
        axes.rows([(0.0, "0"), (0.5, "0.5"), (1.0, "1.0")]),
        axes.columns(ticks, words=False),
    ]
    changes = [k for k in range(len(g.classes)) if g.classes[k] and (k == 0 or g.classes[k] != g.classes[k - 1])]
    ends = [*changes[1:], len(g.x) - 1]
    for change, following in list(zip(changes, ends, strict=True))[:MOST_CHANGES]:
        x, end = float(axes.x(float(g.x[change]))), float(axes.x(float(g.x[following])))
        parts.append(rule(x, axes.top, x, axes.bottom, "best"))
        parts.append(text(x + 3, axes.top + 12, g.classes[change], "note", width=max(end - x - 4, 12.0)))
    return "".join([*parts, _line(axes, g.x, g.prediction, "watched")])


def _gates(axes: Axes, g: Gates, mine: list[GateTrace], ticks: list[Tick], *, words: bool) -> str:
    parts = [
        text(0, axes.top - 8, say("insight.layer", layer=mine[0].layer), "note", width=LEFT + 20),
        legend(LEFT + 24, axes.top - 8, [(KINDS[gate.name], gate.name) for gate in mine]),
        axes.rows(round_ticks(*axes.ys, 3)),
        axes.columns(ticks, words=words),
    ]
    for gate in reversed(mine):
        kept = thin(gate.mean, int(axes.width))
        parts.append(
            area(axes.x(g.x[kept]), axes.y(gate.low[kept]), axes.y(gate.high[kept]), f"{KINDS[gate.name]}-band")
        )
    return "".join([*parts, *(_line(axes, g.x, gate.mean, KINDS[gate.name]) for gate in reversed(mine))])


def _line(axes: Axes, x: Floats, y: Floats, kind: str) -> str:
    if kind == "truth":  # laboratory values lie far apart: the line goes from one to the next
        known = np.isfinite(y)
        x, y = x[known], y[known]
    kept = thin(y, int(2.2 * axes.width)) if len(y) else np.arange(0)
    return trace(axes.x(x[kept]), axes.y(y[kept]), kind)
