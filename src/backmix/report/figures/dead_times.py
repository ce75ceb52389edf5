"""The dead time of each input.

This module draws small panels, one per tag: the prewhitened correlation (or the mutual information)
by lag, the band of values that chance explains, and the estimated dead time with its interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, area, box, figure, rule, text, trace
from backmix.report.figures import NARROW, Figure, figures
from backmix.report.figures.attribution import UNITS
from backmix.text import say
from backmix.text.numbers import number, round_ticks, spread

if TYPE_CHECKING:
    from backmix.data.delays.dead_time import Curve, DeadTime, Scan
    from backmix.report.data import ReportData

MOST_PANELS = 12
LEFT, TOP, TALL, BETWEEN = 50.0, 44.0, 96.0, 54.0


@figures.register("dead_times", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """A panel per tag; of many tags, those with the most certain estimates."""
    return None if data.dead_times is None else draw_scan(data.dead_times, width)


def draw_scan(scan: Scan, width: int) -> Figure | None:
    """The drawing of a scan; None when no tag could be scanned."""
    pairs = [(estimate, curve) for estimate, curve in zip(scan.found, scan.curves, strict=True) if len(curve.value) > 1]
    pairs.sort(key=lambda pair: (not pair[0].sure, pair[0].p))
    shown = pairs[:MOST_PANELS]
    if not shown:
        return None
    unit, long = _unit(scan)
    across = 1 if width <= NARROW else min(3, len(shown))
    wide = width / across
    title = say("figures.dead_times", target=scan.target)
    parts = [text(0, 14, title, "head", width=width - 4)]
    for place, (estimate, curve) in enumerate(shown):
        row, column = divmod(place, across)
        axes = Axes(
            column * wide + LEFT,
            TOP + row * (TALL + BETWEEN) + 8,
            wide - LEFT - 14,
            TALL,
            (0.0, scan.lags * long),
            _ends(estimate, curve),
        )
        parts.append(_panel(axes, estimate, curve, (unit, long)))
    bottom = TOP + -(-len(shown) // across) * (TALL + BETWEEN) - 6
    parts.append(text(width - 14, bottom, say("figures.dead_times.axis", unit=unit), "note", anchor="end"))
    return Figure(
        figure(width, bottom + 10, title, *parts),
        "figures.dead_times.caption",
        {"shown": f"{len(shown)}", "tags": f"{len(scan.found):,}"},
        wide=True,
    )


def _ends(estimate: DeadTime, curve: Curve) -> tuple[float, float]:
    """The range of the values and of the band of chance; for correlations on both sides of zero."""
    if estimate.method == "information":
        return spread(curve.value, curve.bound, floor=0.0)
    most = float(np.nanmax(np.abs(np.concatenate([curve.value, curve.bound])))) or 1.0
    return (-1.08 * most, 1.08 * most)


def _panel(axes: Axes, estimate: DeadTime, curve: Curve, scale: tuple[str, float]) -> str:
    long = scale[1]
    lags = np.arange(len(curve.value), dtype=np.float64) * long
    fine = np.isfinite(curve.value)
    low = np.zeros(len(lags)) if estimate.method == "information" else -curve.bound
    left, right = (float(axes.x(lag * long)) for lag in (estimate.low, estimate.high))
    here = float(axes.x(estimate.rows * long))
    marks = (
        [
            box(left - 1, axes.top, right - left + 2, axes.height, "bar-network"),
            rule(here, axes.top, here, axes.bottom, "best"),
        ]
        if estimate.sure
        else []
    )
    return "".join(
        [
            text(axes.left, axes.top - 8, estimate.tag, "label", width=axes.width * 0.62),
            text(
                axes.right, axes.top - 8, _label(estimate, scale), "strong" if estimate.sure else "note", anchor="end"
            ),
            axes.rows(round_ticks(*axes.ys, 3)),
            axes.columns(round_ticks(*axes.xs, max(3, int(axes.width // 60)))),
            area(axes.x(lags[fine]), axes.y(low[fine]), axes.y(curve.bound[fine]), "band"),
            *marks,
            rule(axes.left, float(axes.y(0.0)), axes.right, float(axes.y(0.0)), "zero"),
            trace(axes.x(lags), axes.y(curve.value), "watched"),
        ]
    )


def _label(estimate: DeadTime, scale: tuple[str, float]) -> str:
    return f"{number(estimate.rows * scale[1])} {scale[0]}" if estimate.sure else say("dead_time.no")


def _unit(scan: Scan) -> tuple[str, float]:
    """The unit of the axis, and how many of it a row is."""
    if scan.step is None:
        return say("figures.dead_times.rows"), 1.0
    longest = scan.lags * scan.step
    name, seconds = next((unit for unit in UNITS if longest >= 2 * unit[1]), UNITS[-1])
    return name, scan.step / seconds
