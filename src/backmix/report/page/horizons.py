"""The section of a report about the error by horizon.

This module shows, for a few horizons of the path, the error of every model and its skill against
the last known value: 1 - MSE / MSE of persistence (Murphy, Mon. Weather Rev. 116 (1988) 2417).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from backmix.report.figures.horizons import horizon_errors
from backmix.report.page.blocks import GridCell, GridRow, PageBlock, grid, name
from backmix.scoring.scores import model_title
from backmix.text import say
from backmix.text.numbers import number

if TYPE_CHECKING:
    from backmix.report.data import ReportData

PERSISTENCE = "last_value"
MOST_TARGETS = 7
SHOWN = 6


def horizons(data: ReportData) -> Iterator[PageBlock]:
    """One table per target: models by horizons; nothing for a task that looks one row ahead."""
    frame = data.predictions
    if frame is None or data.task.kind != "regression":
        return
    test = frame[frame["part"] == "test"]
    if test["horizon"].nunique() < 2:
        return
    for tag in data.task.targets[:MOST_TARGETS]:
        curves = horizon_errors(test[test["target"] == tag.name])
        if not curves:
            continue
        distances = _some(next(iter(curves.values()))[0])
        rows = [
            GridRow(
                (GridCell(model_title(model)), *(_cell(curves, model, distance) for distance in distances)),
                kind="network" if model == data.network else "",
            )
            for model in curves
        ]
        head = [
            say("report.column_model"),
            *(say("report.rows_ahead", rows=f"{distance:,.0f}") for distance in distances),
        ]
        yield PageBlock(table=grid(say("report.horizons_table", target=name(tag.label)), head, rows, numbers_from=1))


def _some(distances: np.ndarray) -> np.ndarray:
    """The first, the last, and some between."""
    places = np.unique(np.round(np.linspace(0, len(distances) - 1, SHOWN)).astype(int))
    shown: np.ndarray = distances[places]
    return shown


def _cell(curves: dict[str, tuple[np.ndarray, np.ndarray]], model: str, distance: float) -> GridCell:
    error = _at(curves[model], distance)
    if error is None:
        return GridCell("–", number=True)
    least = None if PERSISTENCE not in curves or model == PERSISTENCE else _at(curves[PERSISTENCE], distance)
    if not least:
        return GridCell(number(error), number=True)
    skill = f"{100 * (1 - (error / least) ** 2):+.0f} %".replace("-", "−")
    return GridCell(number(error), note=say("report.skill", skill=skill), number=True)


def _at(curve: tuple[np.ndarray, np.ndarray], distance: float) -> float | None:
    place = np.flatnonzero(curve[0] == distance)
    return float(curve[1][place[0]]) if len(place) else None
