"""The predictions for some batches or units from their start to their end.

This module draws small panels side by side, one per test batch, over the time since it began: the
remaining life, the predicted end, or the predicted quality. They show what a score cannot: how early
a prediction can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.tag import bracket
from backmix.report.drawing.canvas import Axes, Range, dot, figure, legend, text, trace
from backmix.report.drawing.thin import thin
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    import pandas as pd

    from backmix.report.data import ReportData

Floats = NDArray[np.float64]
Values = Callable[["pd.DataFrame"], tuple[Floats, Floats]]

MOST_PANELS = 6
LEFT, HEAD, BETWEEN = 54.0, 48.0, 26.0
TALL = 128.0
FEW_POINTS = 40


def running(data: ReportData, *, model: str | None = None) -> pd.DataFrame | None:
    """The predictions of one model (the network) on all windows of the test batches, with ``elapsed``.

    None when the report has none, or when the elapsed time is not known.
    """
    frame = data.predictions
    if frame is None or "elapsed" not in frame.columns or data.task.kind != "regression":
        return None
    part = "running" if (frame["part"] == "running").any() else "test"
    mine = frame[(frame["model"] == (model or data.network)) & (frame["part"] == part)]
    mine = mine[(mine["target"] == data.task.targets[0].name) & mine["truth"].notna() & mine["prediction"].notna()]
    return mine if len(mine) else None


@figures.register("life_progress", beside=__file__)
def draw_life(data: ReportData, width: int) -> Figure | None:
    """The life left and the life predicted of some test units."""

    def life(batch: pd.DataFrame) -> tuple[Floats, Floats]:
        return batch["truth"].to_numpy(float), batch["prediction"].to_numpy(float)

    return _panels(data, width, "life", life)


@figures.register("end_progress", beside=__file__)
def draw_end(data: ReportData, width: int) -> Figure | None:
    """The end predicted and the real end of some test batches."""

    def end(batch: pd.DataFrame) -> tuple[Floats, Floats]:
        since = batch["elapsed"].to_numpy(float)
        return since + batch["truth"].to_numpy(float), since + batch["prediction"].to_numpy(float)

    return _panels(data, width, "end", end)


@figures.register("quality_progress", beside=__file__)
def draw_quality(data: ReportData, width: int) -> Figure | None:
    """The final quality predicted while some test batches run, and what the laboratory found."""

    def quality(batch: pd.DataFrame) -> tuple[Floats, Floats]:
        return batch["truth"].to_numpy(float), batch["prediction"].to_numpy(float)

    frame = running(data)
    # one window per finished batch shows no progress
    return None if frame is None or frame["batch"].is_unique else _panels(data, width, "quality", quality)


def _panels(data: ReportData, width: int, kind: str, values: Values) -> Figure | None:
    frame = running(data)
    if frame is None:
        return None
    names = list(dict.fromkeys(frame["batch"]))
    chosen = _spread_out(names)
    batches = [frame[frame["batch"] == name].sort_values("origin") for name in chosen]
    drawn = [
        (str(name), batch["elapsed"].to_numpy(float), *values(batch))
        for name, batch in zip(chosen, batches, strict=True)
    ]
    tag = data.task.targets[0]
    ends = (
        spread(*(since for _, since, _, _ in drawn), room=0.02, floor=0.0),
        spread(*(y for _, _, *both in drawn for y in both)),
    )
    across = 1 if width <= NARROW else min(3, len(drawn))
    wide = (width - across * LEFT - 8) / across
    title = say(f"figures.{kind}_progress")
    unit = bracket(tag.unit)
    lead = (
        say("course.axis_left", unit=unit)
        if kind == "life"
        else (say("figures.end_progress.axis", unit=unit) if kind == "end" else tag.label)
    )
    parts = [
        text(0, 14, f"{title} · {tag.label}", "head", width=width - 4),
        legend(0, 36, [("truth", say("report.actual")), ("network", say("report.predicted"))]),
        text(0, HEAD + 14, lead, "note"),
    ]
    top = HEAD + 18
    for number, panel in enumerate(drawn):
        row, column = divmod(number, across)
        axes = Axes(LEFT + column * (wide + LEFT), top + row * (TALL + BETWEEN + 30) + 20, wide - 6, TALL, *ends)
        parts.append(_panel(axes, panel))
    rows = -(-len(drawn) // across)
    bottom = top + rows * (TALL + BETWEEN + 30) + 8
    parts.append(text(width - 12, bottom, _axis(frame, tag.unit, kind), "note", anchor="end"))
    values_of = {"shown": f"{len(drawn)}", "units": f"{len(names):,}"}
    return Figure(figure(width, bottom + 10, title, *parts), f"figures.{kind}_progress.caption", values_of, wide=True)


def _spread_out(names: list[Any]) -> list[Any]:
    """Some of the batches, evenly spread over all, the first and the last among them."""
    if len(names) <= MOST_PANELS:
        return names
    chosen = np.round(np.linspace(0, len(names) - 1, MOST_PANELS)).astype(int)
    return [names[place] for place in chosen]


def _axis(frame: pd.DataFrame, unit: str, kind: str) -> str:
    """The title of the horizontal axis."""
    clock = bool(frame["time"].notna().all())
    named = unit if kind != "quality" and unit in ("s", "min", "h", "d") else "min"
    if not clock or (kind != "quality" and unit not in ("s", "min", "h", "d")):
        return say("course.axis_elapsed_rows")
    return say("course.axis_elapsed", unit=named)


def _panel(axes: Axes, panel: tuple[str, Floats, Floats, Floats]) -> str:
    name, since, truth, prediction = panel
    marks = (
        ""
        if len(since) > FEW_POINTS
        else "".join(dot(x, y, 2.0, "network-dot") for x, y in zip(axes.x(since), axes.y(prediction), strict=True))
    )
    return "".join(
        [
            text(axes.left, axes.top - 6, name, "label", width=axes.width),
            axes.rows(round_ticks(*axes.ys, 4)),
            axes.columns(round_ticks(*_rising(axes.xs), 4), grid=False),
            _line(axes, since, truth, "truth"),
            _line(axes, since, prediction, "network"),
            marks,
        ]
    )


def _rising(ends: Range) -> Range:
    return (min(ends), max(ends))


def _line(axes: Axes, x: Floats, y: Floats, kind: str) -> str:
    kept = thin(y, int(2 * axes.width))
    return trace(axes.x(x[kept]), axes.y(y[kept]), kind)
