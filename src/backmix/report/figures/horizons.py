"""How the error grows with the horizon (course items 30 and 31).

This module draws the root mean squared error of every model over the horizon, one panel per target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.data.tag import bracket
from backmix.report.drawing.canvas import Axes, dot, figure, span, text, trace
from backmix.report.figures import NARROW, Figure, figures
from backmix.scoring.scores import model_title
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.tag import Tag
    from backmix.report.data import ReportData

MOST_TARGETS = 4
MOST_MODELS = 6
FEW = 24
LEFT, LINE = 62.0, 18.0


@figures.register("horizons", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """RMSE of network and baselines on the test part at every horizon of the path."""
    frame = data.predictions
    if frame is None or data.task.kind != "regression":
        return None
    test = frame[frame["part"] == "test"]
    if test["horizon"].nunique() < 2:
        return None
    parts, top = [], 0.0
    for tag in data.task.targets[:MOST_TARGETS]:
        mine = test[test["target"] == tag.name]
        if len(mine):
            panel, top = _panel(data, tag, mine, width, top)
            parts.append(panel)
    if not parts:
        return None
    return Figure(figure(width, top, say("figures.horizons"), *parts), "figures.horizons.caption", wide=True)


def horizon_errors(frame: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each model of a frame of one target: its horizons, and the RMSE at each, best model first."""
    squared = (frame["prediction"].astype(float) - frame["truth"].astype(float)) ** 2
    means = squared.groupby([frame["model"], frame["horizon"]]).mean()
    curves = {}
    for model in frame["model"].drop_duplicates():
        curve = means[model].dropna().sort_index()
        if len(curve):
            curves[str(model)] = (curve.index.to_numpy(dtype=np.float64), np.sqrt(curve.to_numpy(dtype=np.float64)))
    return dict(sorted(curves.items(), key=lambda item: float(np.mean(item[1][1] ** 2))))


def _panel(data: ReportData, tag: Tag, frame: pd.DataFrame, width: int, top: float) -> tuple[str, float]:
    curves = horizon_errors(frame)
    names = [name for name in curves if name != data.network][: MOST_MODELS - 1]
    shown = [name for name in curves if name in names or name == data.network]
    room = min(max(span(model_title(name)) for name in shown) + 34, 0.4 * width)
    tall = 200.0 if width > NARROW else 170.0
    low, high = min(float(x[0]) for x, _ in curves.values()), max(float(x[-1]) for x, _ in curves.values())
    ends = spread(*(curves[name][1] for name in shown), floor=0.0)
    axes = Axes(LEFT, top + 34, width - LEFT - room - 8, tall, (low, max(high, low + 1)), ends)
    unit = bracket(tag.unit)
    parts = [
        text(0, top + 14, f"{say('figures.horizons')} · {tag.name}{unit}", "head", width=width - 4),
        axes.rows(round_ticks(*axes.ys, 5)),
        axes.columns([(v, f"{v:,.0f}") for v, _ in round_ticks(*axes.xs, 8) if v == int(v)], grid=False),
        text(axes.right, axes.bottom + 34, say("figures.horizons.rows"), "note", anchor="end"),
    ]
    for place, name in enumerate(shown):
        x, y = curves[name]
        kind = "network" if name == data.network else f"model-{place % 5}"
        parts.append(trace(axes.x(x), axes.y(y), kind))
        if len(x) <= FEW:
            parts += [dot(float(axes.x(a)), float(axes.y(b)), 2.2, f"{kind}-dot") for a, b in zip(x, y, strict=True)]
        row = axes.top + 8 + LINE * place
        parts.append(trace(np.array([axes.right + 12, axes.right + 28]), np.array([row, row]), kind))
        strong = "label strong" if name == data.network else "label"
        parts.append(text(axes.right + 34, row + 4, model_title(name), strong, width=room - 34))
    return "".join(parts), axes.bottom + 52
