"""Learning curves (course item 66).

This module draws training and validation loss over the epochs, with the epoch that was kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, dot, figure, legend, rule, text, trace
from backmix.report.figures import NARROW, Figure, figures
from backmix.text import say
from backmix.text.numbers import log_ticks, round_ticks, spread

if TYPE_CHECKING:
    from backmix.report.data import ReportData

LEFT = 62.0


@figures.register("learning", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """Training and validation loss by epoch, on a logarithmic axis, with the best epoch marked."""
    training = data.training
    if training is None or not len(training.history.get("loss", ())):
        return None
    width = min(width, NARROW)
    curves = {
        name: np.asarray(training.history[name], dtype=np.float64)
        for name in ("loss", "val_loss")
        if len(training.history.get(name, ()))
    }
    positive = all((c[np.isfinite(c)] > 0).all() for c in curves.values())
    drawn = {name: np.log10(c) if positive else c for name, c in curves.items()}
    epochs = max(len(c) for c in curves.values())
    ends = spread(*drawn.values())
    axes = Axes(LEFT, 76, width - LEFT - 12, 220, (0.5, epochs + 0.5), ends)
    names = {"loss": "figures.learning.train", "val_loss": "figures.learning.validation"}
    parts = [
        text(0, 14, say("figures.learning"), "head"),
        text(0, 58, say("figures.learning.loss"), "note"),
        legend(LEFT, 40, [(_KIND[name], say(names[name])) for name in drawn]),
        axes.rows(log_ticks(*ends) if positive else round_ticks(*ends, 5)),
        axes.columns(
            [(v, f"{v:,.0f}") for v, _ in round_ticks(1, max(epochs, 2), 8) if v == int(v) and v <= epochs], grid=False
        ),
    ]
    best = training.best_epoch
    if best is not None and 1 <= best <= epochs:
        line = float(axes.x(best))
        right = line > axes.left + 0.6 * axes.width
        parts += [
            rule(line, axes.top, line, axes.bottom, "best"),
            text(
                line - 6 if right else line + 6,
                axes.top + 12,
                say("figures.learning.best_epoch", epoch=best),
                "note",
                anchor="end" if right else "start",
            ),
        ]
    for name, curve in drawn.items():
        x = np.arange(1.0, len(curve) + 1)
        parts.append(trace(axes.x(x), axes.y(curve), _KIND[name]))
        if len(curve) <= 3:
            parts += [
                dot(float(axes.x(a)), float(axes.y(b)), 2.6, f"{_KIND[name]}-dot")
                for a, b in zip(x, curve, strict=True)
                if np.isfinite(b)
            ]
    parts.append(text(axes.right, axes.bottom + 34, say("figures.learning.epoch"), "note", anchor="end"))
    return Figure(figure(width, axes.bottom + 44, say("figures.learning"), *parts), "figures.learning.caption")


_KIND = {"loss": "curve-train", "val_loss": "curve-validation"}
