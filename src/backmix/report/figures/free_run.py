"""The free run of a recursive forecast (course items 31 and 77).

This module draws the free run of a recursive forecast: from the first moment of a stretch of the test
part the model sees no further measurement of its targets, only the planned inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, figure, legend, text, trace
from backmix.report.drawing.series import series
from backmix.report.drawing.thin import MOST_POINTS, thin
from backmix.report.figures import NARROW, Figure, figures
from backmix.scoring.predictions import FREE_RUN, RIVAL
from backmix.scoring.scores import model_title
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.tag import Tag
    from backmix.report.data import ReportData

MOST_TARGETS = 3
LEFT = 62.0


@figures.register("free_run", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """The free run of the network, and of the linear model, beside the truth."""
    frame = data.predictions
    if frame is None:
        return None
    runs = frame[frame["part"] == FREE_RUN]
    if not len(runs):
        return None
    parts, top = [], 0.0
    for tag in data.task.targets[:MOST_TARGETS]:
        panel, top = _panel(data, tag, runs[runs["target"] == tag.name], width, top)
        parts.append(panel)
    rows = int(runs.groupby(["model", "target"]).size().max())
    return Figure(
        figure(width, top, say("figures.free_run"), *parts),
        "figures.free_run.caption",
        {"rows": f"{rows:,}"},
        wide=True,
    )


def _panel(data: ReportData, tag: Tag, frame: pd.DataFrame, width: int, top: float) -> tuple[str, float]:
    frame = frame.assign(origin=frame["origin"] + frame["horizon"])  # one row after the other
    models = [name for name in (data.network, RIVAL) if (frame["model"] == name).any()]
    drawn = {name: series(frame[frame["model"] == name]) for name in models}
    run = drawn[models[0]]
    truth = run.truth.astype(np.float64)
    predictions = {name: curve.prediction.astype(np.float64) for name, curve in drawn.items()}
    tall = 200.0 if width > NARROW else 170.0
    axes = Axes(LEFT, top + 58, width - LEFT - 12, tall, run.ends, spread(truth, *predictions.values()))
    kinds = {name: "network" if name == data.network else "model-0" for name in models}
    parts = [
        text(0, top + 14, f"{say('figures.free_run')} · {tag.label}", "head", width=width - 4),
        legend(
            LEFT, top + 40, [("truth", say("report.actual")), *((kinds[name], model_title(name)) for name in models)]
        ),
        axes.rows(round_ticks(*axes.ys, 5)),
        axes.columns(run.ticks(axes.width)),
    ]
    for kind, values in (("truth", truth), *((kinds[name], predictions[name]) for name in reversed(models))):
        kept = thin(values, min(MOST_POINTS, int(2.2 * axes.width)))
        lifted = np.diff(np.cumsum(run.breaks)[kept], prepend=0) > 0
        parts.append(trace(axes.x(run.x[kept]), axes.y(values[kept]), kind, breaks=lifted))
    parts.append(text(axes.right, axes.bottom + 34, run.axis, "note", anchor="end"))
    return "".join(parts), axes.bottom + 52
