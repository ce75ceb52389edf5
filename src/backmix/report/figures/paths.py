"""Whole forecasts beside the truth (course items 30 and 77).

This module draws a few whole paths of the test part: the forecast made at one moment for all rows
ahead, over the truth, for the first targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, dot, figure, legend, text, trace
from backmix.report.figures import NARROW, Figure, figures
from backmix.scoring.scores import model_title
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.tag import Tag
    from backmix.report.data import ReportData

MOST_TARGETS = 2
PATHS = 6
FEW = 12
LEFT = 62.0


@figures.register("paths", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Whole forecasts from a few moments of the test part, one panel per target."""
    frame = data.predictions
    if frame is None or data.task.kind != "regression":
        return None
    mine = frame[(frame["part"] == "test") & (frame["model"] == data.network)]
    if mine["horizon"].nunique() < 2:
        return None
    parts, top = [], 0.0
    for tag in data.task.targets[:MOST_TARGETS]:
        panel, top = _panel(data, tag, mine[mine["target"] == tag.name], width, top)
        parts.append(panel)
    return Figure(
        figure(width, top, say("figures.paths"), *parts), "figures.paths.caption", {"paths": PATHS}, wide=True
    )


def _panel(data: ReportData, tag: Tag, frame: pd.DataFrame, width: int, top: float) -> tuple[str, float]:
    origins = np.unique(frame["origin"].to_numpy())
    chosen = _apart(origins, int(frame["horizon"].max()))
    runs = [frame[frame["origin"] == origin].sort_values("horizon") for origin in chosen]
    truth = [run["truth"].to_numpy(dtype=np.float64) for run in runs]
    predictions = [run["prediction"].to_numpy(dtype=np.float64) for run in runs]
    starts = np.concatenate([[0], np.cumsum([len(run) + 1 for run in runs])])
    tall = 190.0 if width > NARROW else 160.0
    axes = Axes(LEFT, top + 58, width - LEFT - 12, tall, (-0.5, float(starts[-1])), spread(*truth, *predictions))
    parts = [
        text(0, top + 14, f"{say('figures.paths')} · {tag.label}", "head", width=width - 4),
        legend(LEFT, top + 40, [("truth", say("report.actual")), ("network", model_title(data.network))]),
        axes.rows(round_ticks(*axes.ys, 5)),
        axes.columns([(float(start), _moment(run)) for start, run in zip(starts, runs, strict=False)]),
    ]
    for start, real, path in zip(starts, truth, predictions, strict=False):
        x = axes.x(start + np.arange(len(path), dtype=np.float64))
        for values, kind in ((real, "truth"), (path, "network")):
            y = axes.y(values)
            parts.append(trace(x, y, kind))
            if len(values) <= FEW:
                parts += [
                    dot(float(a), float(b), 2.2, f"{kind}-dot") for a, b in zip(x, y, strict=True) if np.isfinite(b)
                ]
    parts.append(text(axes.right, axes.bottom + 34, say("figures.paths.axis"), "note", anchor="end"))
    return "".join(parts), axes.bottom + 52


def _apart(origins: np.ndarray, horizon: int) -> np.ndarray:
    """Up to `PATHS` moments, spread over the part and at least a path apart where that fits."""
    places = np.unique(np.linspace(0, len(origins) - 1, PATHS).astype(np.int64))
    chosen = [origins[places[0]]]
    for origin in origins[places[1:]]:
        if origin - chosen[-1] >= min(horizon, len(origins) // PATHS):
            chosen.append(origin)
    return np.array(chosen)


def _moment(run: pd.DataFrame) -> str:
    """Where a path begins: its day and hour, or its row."""
    first = run.iloc[0]
    if first["time"] is not None and first["time"] == first["time"]:
        return str(first["time"].strftime("%m-%d %H:%M"))
    return f"{int(first['origin']) + 1:,}"
