"""The distribution of the residuals (course item 69), and their autocorrelation.

This module draws the histogram of the test residuals and their autocorrelation. Residuals that keep their sign
for long mean that the model misses something slow, or that laboratory results come late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.tag import bracket
from backmix.report.drawing.canvas import Axes, box, figure, rule, text
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import number, round_ticks, spread

if TYPE_CHECKING:
    from backmix.data.tag import Tag
    from backmix.report.data import ReportData

MOST_TARGETS = 3
MOST_LAGS = 40
LEFT = 62.0
Floats = NDArray[np.float64]


@figures.register("residuals", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """The distribution of the test residuals (predicted − actual) and their autocorrelation."""
    shown = data.regression[:MOST_TARGETS]
    if not shown:
        return None
    width = min(width, NARROW)
    parts: list[str] = []
    top, bias, deviation = 0.0, 0.0, 0.0
    for tag, run in shown:
        error = run.prediction.astype(np.float64) - run.truth.astype(np.float64)
        if not parts:
            bias, deviation = _moments(error)
        panel, top = _panel(tag, error, run.breaks, width, top)
        parts.append(panel)
    unit = f" {shown[0][0].unit}".rstrip()
    return Figure(
        figure(width, top, say("figures.residuals"), *parts),
        "figures.residuals.caption",
        {"bias": number(bias) + unit, "deviation": number(deviation) + unit},
    )


def _moments(error: Floats) -> tuple[float, float]:
    finite = error[np.isfinite(error)]
    return (float(finite.mean()), float(finite.std())) if len(finite) else (float("nan"), float("nan"))


def _panel(tag: Tag, error: Floats, breaks: NDArray[np.bool_], width: int, top: float) -> tuple[str, float]:
    finite = error[np.isfinite(error)]
    ends = spread(finite, floor=0.0)
    ends = spread(np.array([*ends]), room=0.0)
    bins = int(np.clip(np.sqrt(len(finite)) * 1.5, 8, 48))
    counts, edges = np.histogram(finite, bins=bins, range=ends)
    side = width - LEFT - 12
    axes = Axes(LEFT, top + 44, side, 150.0, ends, (0.0, float(max(counts.max(), 1)) * 1.06))
    bars = "".join(
        box(
            float(axes.x(a)) + 0.5,
            float(axes.y(c)),
            float(axes.x(b) - axes.x(a)) - 1,
            axes.bottom - float(axes.y(c)),
            "bar",
            tip=f"{number(a)} … {number(b)}: {c:,}",
        )
        for a, b, c in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
        if c
    )
    label = say("report.error_strip", unit=bracket(tag.unit))
    parts = [
        text(0, top + 14, f"{say('figures.residuals')} · {tag.label}", "head", width=width - 4),
        text(0, top + 34, say("figures.residuals.windows"), "note"),
        axes.rows(round_ticks(*axes.ys, 4)),
        bars,
        axes.columns(round_ticks(*ends, 6), grid=False),
        rule(float(axes.x(0.0)), axes.top, float(axes.x(0.0)), axes.bottom, "zero"),
        text(axes.right, axes.bottom + 34, label, "note", anchor="end"),
    ]
    lags, bound = autocorrelation(error, breaks)
    if not len(lags):
        return "".join(parts), axes.bottom + 44
    below = Axes(LEFT, axes.bottom + 66, side, 96.0, (0.0, len(lags) + 1.0), (min(-0.25, float(lags.min())), 1.0))
    zero = float(below.y(0.0))
    band = box(below.left, float(below.y(bound)), below.width, float(below.y(-bound) - below.y(bound)), "band")
    stems = "".join(
        rule(float(below.x(n)), zero, float(below.x(n)), float(below.y(r)), "stem")
        for n, r in enumerate(lags.tolist(), start=1)
    )
    steps = [(v, f"{v:.0f}") for v, _ in round_ticks(1, max(len(lags), 2), 6) if v == int(v)]
    parts += [
        text(LEFT, below.top - 10, say("figures.residuals.autocorrelation"), "note"),
        band,
        below.rows([(v, f"{v:g}") for v in (0.0, 0.5, 1.0)]),
        below.columns(steps, grid=False),
        rule(below.left, zero, below.right, zero, "zero"),
        stems,
        text(below.right, below.bottom + 34, say("figures.residuals.axis_lag"), "note", anchor="end"),
    ]
    return "".join(parts), below.bottom + 44


def autocorrelation(error: Floats, breaks: NDArray[np.bool_], most: int = MOST_LAGS) -> tuple[Floats, float]:
    """Correlation of the errors with themselves 1, 2, ... windows earlier, never across a break.

    error: (N,); breaks: (N,) true at the first window of each stretch -> (L,) and the 95 % bound for
    uncorrelated errors, 1.96/√N (Box & Jenkins). Empty for fewer than 20 windows.

    >>> lags, bound = autocorrelation(np.tile([1.0, -1.0], 50), np.zeros(100, dtype=bool))
    >>> [round(float(r), 2) for r in lags[:3]], round(bound, 3)
    ([-0.99, 0.98, -0.97], 0.196)
    """
    good = np.isfinite(error)
    count = int(good.sum())
    if count < 20:
        return np.empty(0), 0.0
    centred = np.where(good, error - error[good].mean(), 0.0)
    power = float((centred**2).sum())
    if power == 0:
        return np.empty(0), 0.0
    stretch = np.cumsum(breaks)
    longest = int(np.bincount(stretch).max())
    correlations = []
    for lag in range(1, min(most, longest - 1, count // 4) + 1):
        same = stretch[lag:] == stretch[:-lag]
        correlations.append(float((centred[lag:] * centred[:-lag] * same).sum()) / power)
    return np.array(correlations), float(1.96 / np.sqrt(count))
