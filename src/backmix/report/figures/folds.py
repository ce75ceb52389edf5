"""The scores of network and baselines, fold by fold.

This module draws the figure of a backtest: the score of every model on every test part, for the network with its
range over the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backmix.report.drawing.canvas import Axes, dot, figure, legend, rule, text, trace
from backmix.report.figures import Figure
from backmix.scoring.scores import model_title, number
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

if TYPE_CHECKING:
    from backmix.scoring.comparison import Spread

LEFT = 62.0


def draw_folds(
    scores: Sequence[Mapping[str, Spread]], width: int, *, metric: str, network: str, baselines: Sequence[str]
) -> Figure | None:
    """The scores of the folds; of ``baselines`` the first two are drawn as lines."""
    lines = [(network, "network"), *zip(baselines, ("truth", "perfect"), strict=False)]
    curves = {name: np.array([fold[name].mean if name in fold else np.nan for fold in scores]) for name, _ in lines}
    seeds = [fold[network].values if network in fold else () for fold in scores]
    known = np.concatenate([*curves.values(), *(np.array(values) for values in seeds)])
    if not np.isfinite(known).any():
        return None
    x = np.arange(1, len(scores) + 1, dtype=np.float64)
    ends = spread(known[np.isfinite(known)])
    names = [(kind, model_title(name)) for name, kind in lines]
    narrow = width < 600
    axes = Axes(LEFT, 76 if narrow else 56, width - LEFT - 12, 220, (0.5, len(scores) + 0.5), ends)
    title = say("backtest.figure_title", metric=metric)
    parts = [
        text(0, 14, title, "head"),
        legend(LEFT, 40, names[: 1 if narrow else 3]),
        legend(LEFT, 60, names[1:]) if narrow else "",
        axes.rows(round_ticks(*ends, 5)),
        axes.columns([(n, f"{n:.0f}") for n in x], grid=False),
    ]
    for name, kind in lines:
        parts.append(trace(axes.x(x), axes.y(curves[name]), kind))
    for n, name_values, mean in zip(x, seeds, curves[network], strict=True):
        finite = [value for value in name_values if np.isfinite(value)]
        if len(finite) > 1:
            middle = float(axes.x(n))
            ends = (float(axes.y(min(finite))), float(axes.y(max(finite))))
            parts.append(rule(middle, ends[0], middle, ends[1], "network"))
        if np.isfinite(mean):
            parts.append(
                dot(
                    float(axes.x(n)),
                    float(axes.y(mean)),
                    3.4,
                    "network-dot",
                    tip=f"{model_title(network)}: {number(float(mean))}",
                )
            )
    parts.append(text(axes.right, axes.bottom + 34, say("backtest.column_fold"), "note", anchor="end"))
    svg = figure(width, axes.bottom + 44, title, *parts)
    return Figure(svg, "backtest.figure_caption", {"metric": metric}, wide=True)
