"""The scores of champion, challengers and baseline, round by round.

This module draws the two figures of a refit: the scores of every round with the promotions, and how much the error of
each challenger grows on old data, with the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from backmix.report.drawing.canvas import Axes, dot, figure, legend, rule, text, trace
from backmix.report.figures import Figure
from backmix.scoring.rounds import Round
from backmix.text import say
from backmix.text.numbers import round_ticks, spread

LEFT = 62.0
_TIPS = {"in_charge": "column_in_charge", "never_updated": "column_never", "baseline": "column_baseline"}
_LINES = {"in_charge": "network", "never_updated": "truth", "baseline": "perfect"}


def draw_rounds(rounds: Sequence[Round], width: int, *, metric: str) -> Figure | None:
    """The scores of all models on the rows that each round was judged on."""
    curves = {name: np.array([_value(round_, name) for round_ in rounds]) for name in _LINES}
    challengers = np.array(
        [np.nan if round_.decision.challenger is None else round_.decision.challenger.value for round_ in rounds]
    )
    known = np.concatenate([*curves.values(), challengers])
    if not np.isfinite(known).any():
        return None
    x = np.array([round_.number for round_ in rounds], dtype=np.float64)
    ends = spread(known[np.isfinite(known)])
    axes = Axes(LEFT, 76, width - LEFT - 12, 220, (0.5, len(rounds) + 0.5), ends)
    names = [
        ("network", say("refit.column_in_charge")),
        ("truth", say("refit.column_never")),
        ("perfect", say("refit.column_baseline")),
    ]
    parts = [
        text(0, 14, say("refit.figure_title", metric=metric), "head"),
        legend(LEFT, 40, names[: 1 if width < 600 else 3]),
        legend(LEFT, 60, names[1:]) if width < 600 else "",
        axes.rows(round_ticks(*ends, 5)),
        axes.columns([(n, f"{n:.0f}") for n in x], grid=False),
    ]
    for round_ in rounds:
        if round_.decision.promoted:
            between = float(axes.x(round_.number + 0.5))
            parts.append(rule(between, axes.top, between, axes.bottom, "best"))
    for name, curve in curves.items():
        parts.append(trace(axes.x(x), axes.y(curve), _LINES[name]))
        if len(rounds) == 1 and np.isfinite(curve[0]):
            words = say(f"refit.{_TIPS[name]}")
            parts.append(dot(float(axes.x(x[0])), float(axes.y(curve[0])), 3, "truth-dot", tip=words))
    parts += [
        dot(float(axes.x(n)), float(axes.y(value)), 3.4, "network-dot", tip=say("refit.column_challenger"))
        for n, value in zip(x, challengers, strict=True)
        if np.isfinite(value)
    ]
    parts.append(text(axes.right, axes.bottom + 34, say("refit.column_round"), "note", anchor="end"))
    title = say("refit.figure_title", metric=metric)
    return Figure(figure(width, axes.bottom + 44, title, *parts), "refit.figure_caption", {"metric": metric}, wide=True)


def draw_old(rounds: Sequence[Round], width: int, *, bound: float | Literal["none"]) -> Figure | None:
    """How much larger each challenger's error on held-out old rows is, in per cent, with the bound."""
    growth = np.array([np.nan if round_.decision.growth is None else 100 * round_.decision.growth for round_ in rounds])
    growth[~np.isfinite(growth)] = np.nan
    if not np.isfinite(growth).any():
        return None
    x = np.array([round_.number for round_ in rounds], dtype=np.float64)
    limits = [0.0] if bound == "none" else [0.0, 100 * bound]
    ends = spread(np.concatenate([growth[np.isfinite(growth)], limits]))
    axes = Axes(LEFT, 40, width - LEFT - 12, 180, (0.5, len(rounds) + 0.5), ends)
    parts = [
        text(0, 14, say("refit.old_title"), "head"),
        axes.rows(round_ticks(*ends, 5)),
        axes.columns([(n, f"{n:.0f}") for n in x], grid=False),
    ]
    zero = float(axes.y(0.0))
    parts.append(rule(axes.left, zero, axes.right, zero, "zero"))
    if bound != "none":
        level = float(axes.y(100 * bound))
        parts.append(rule(axes.left, level, axes.right, level, "perfect"))
    parts += [
        rule(float(axes.x(n)), zero, float(axes.x(n)), float(axes.y(value)), "stem")
        + dot(float(axes.x(n)), float(axes.y(value)), 4, "network-dot")
        for n, value in zip(x, growth, strict=True)
        if np.isfinite(value)
    ]
    return Figure(figure(width, axes.bottom + 44, say("refit.old_title"), *parts), "refit.old_caption", wide=True)


def _value(round_: Round, name: str) -> float:
    score = getattr(round_, name)
    return float("nan") if score is None else float(score.value)
