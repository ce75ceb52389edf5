"""How the error changes while a batch or a life progresses.

This module draws the error of predictions of a remaining time or a final quality: by what is really left of the life
or batch, and by the share of the batch that has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.tag import bracket
from backmix.report.drawing.canvas import Axes, area, figure, legend, rule, text, trace
from backmix.report.figures import NARROW, Figure, figures
from backmix.report.figures.batch_progress import running
from backmix.scoring.scores import model_title
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    from backmix.data.tag import Tag
    from backmix.report.data import ReportData

Floats = NDArray[np.float64]
BINS = 12
LEFT, TOP = 62.0, 58.0
LOW, HIGH = 0.1, 0.9
FEWEST = 3
"""A bin of fewer windows is not drawn."""


@figures.register("error_by_left", beside=__file__)
def draw_left(data: ReportData, width: int) -> Figure | None:
    """Median error and the middle 80 % by what is really left, the end on the right."""
    frame = running(data)
    if frame is None or len(frame) < BINS * FEWEST:
        return None
    tag = data.task.targets[0]
    truth = frame["truth"].to_numpy(float)
    error = frame["prediction"].to_numpy(float) - truth
    if np.ptp(truth) == 0:
        return None
    middles, errors = binned(truth, error, (float(truth.min()), float(truth.max())))
    width = min(width, NARROW)
    axes = Axes(
        LEFT, TOP, width - LEFT - 12, 190.0, (float(truth.max()), float(truth.min())), spread(*errors.T, floor=None)
    )
    x = axes.x(middles)
    unit = bracket(tag.unit)
    title = say("figures.error_by_left")
    parts = [
        *_frame(axes, width, f"{title} · {tag.label}", tag),
        area(x, axes.y(errors[:, 0]), axes.y(errors[:, 2]), "band"),
        axes.columns(round_ticks(float(truth.min()), float(truth.max()), 6)[::-1], grid=False),
        rule(axes.left, float(axes.y(0.0)), axes.right, float(axes.y(0.0)), "zero")
        if axes.ys[0] <= 0 <= axes.ys[1]
        else "",
        trace(x, axes.y(errors[:, 1]), "network"),
        text(axes.right, axes.bottom + 34, say("course.axis_left", unit=unit), "note", anchor="end"),
    ]
    return Figure(figure(width, axes.bottom + 44, title, *parts), "figures.error_by_left.caption")


@figures.register("error_by_share", beside=__file__)
def draw_share(data: ReportData, width: int) -> Figure | None:
    """Mean absolute error of the network and of a baseline by the part of the batch that has passed."""
    frame = running(data)
    if frame is None or "share" not in frame.columns or frame["batch"].is_unique:
        return None
    tag = data.task.targets[0]
    width = min(width, NARROW)
    other = _beside(data)
    lines = [("network", frame)]
    if other is not None and (theirs := running(data, model=other)) is not None:
        lines.append(("base", theirs))
    curves = []
    for kind, mine in lines:
        error = np.abs(mine["prediction"].to_numpy(float) - mine["truth"].to_numpy(float))
        curves.append((kind, *binned(mine["share"].to_numpy(float), error, (0.0, 1.0), mean=True)))
    axes = Axes(LEFT, TOP, width - LEFT - 12, 190.0, (0.0, 100.0), spread(*(y[:, 0] for _, _, y in curves), floor=0.0))
    title = say("figures.error_by_share")
    names = [model_title("network"), *([model_title(other)] if len(lines) > 1 and other else [])]
    parts = [
        *_frame(axes, width, f"{title} · {tag.label}", tag, unit_left=False),
        axes.columns([(v, f"{v:.0f}") for v in (0.0, 25.0, 50.0, 75.0, 100.0)]),
        legend(0, 36, [(_KINDS[kind], name) for (kind, *_), name in zip(curves, names, strict=True)]),
    ]
    parts += [trace(axes.x(100 * middles), axes.y(y[:, 0]), _KINDS[kind]) for kind, middles, y in reversed(curves)]
    parts.append(text(axes.right, axes.bottom + 34, say("figures.error_by_share.axis"), "note", anchor="end"))
    values = {"network": data.network.upper(), "baseline": model_title(other) if other else ""}
    key = "figures.error_by_share.caption" if len(lines) > 1 else "figures.error_by_share.caption_alone"
    return Figure(figure(width, axes.bottom + 44, title, *parts), key, values)


_KINDS = {"network": "network", "base": "truth"}


def _beside(data: ReportData) -> str | None:
    """The baseline of the verdict, else any."""
    if not isinstance(data.verdict, str) and data.verdict.baseline is not None:
        return data.verdict.baseline.model
    assert data.predictions is not None
    return next((name for name in data.predictions["model"].drop_duplicates() if name != data.network), None)


def binned(x: Floats, y: Floats, ends: tuple[float, float], *, mean: bool = False) -> tuple[Floats, Floats]:
    """The middles (b,) of the bins of x with enough points, and the quantiles (b, 3) or mean (b, 1) of y in them.

    >>> middles, means = binned(np.linspace(0, 1, 120), np.ones(120), (0.0, 1.0), mean=True)
    >>> len(middles), means[0].tolist()
    (12, [1.0])
    """
    edges = np.linspace(*ends, BINS + 1)
    which = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, BINS - 1)
    middles, summaries = [], []
    for number in range(BINS):
        mine = y[which == number]
        if len(mine) >= FEWEST:
            middles.append(0.5 * (edges[number] + edges[number + 1]))
            summaries.append([mine.mean()] if mean else np.quantile(mine, [LOW, 0.5, HIGH]))
    return np.array(middles), np.array(summaries).reshape(len(middles), 1 if mean else 3)


def _frame(axes: Axes, width: int, head: str, tag: Tag, *, unit_left: bool = True) -> list[str]:
    unit = bracket(tag.unit)
    return [
        text(0, 14, head, "head", width=width - 4),
        text(0, 34 if unit_left else 52, say("course.error", unit=unit), "note"),
        axes.rows(round_ticks(*axes.ys, 6)),
    ]
