"""The results of an inspection in plain words.

This module writes each part of an `Insight` as one sentence, in the language of the moment, with times where the
table has a clock and rows where it has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from backmix.inspection import Insight
from backmix.inspection.attribution import MASS
from backmix.inspection.gates import Gates
from backmix.inspection.memory import Memory
from backmix.models.ensemble import NETWORKS
from backmix.simple import simple_models
from backmix.text import say
from backmix.text.numbers import brief, number

SHORT, LONG = 0.5, 0.9
"""Shares of the window: with a memory below the first a shorter lookback may do, above the second a longer may help."""
IDLE = 0.01
"""A tag counts as idle when the error without it grows by less than this share, or by less than its spread."""
MOST_NAMED = 4


def sentences(insight: Insight) -> tuple[str, ...]:
    """One sentence for each part that applies, then why the others are left out."""
    written = [
        runs(insight.shares),
        moves(insight),
        without(insight),
        remembers(insight),
        bypass(insight),
        gates(insight),
        attention(insight),
    ]
    return (*(words for words in written if words), *(say(key) for key in insight.left_out))


def runs(shares: Mapping[str, float]) -> str:
    """What an ensemble is made of, with the share of each; "" for one network alone."""
    if not shares:
        return ""
    ordered = sorted(shares.items(), key=lambda member: -member[1])
    listed = ", ".join(f"{title(name)} {100 * share:.0f} %" for name, share in ordered)
    return say("insight.runs" if NETWORKS in shares else "insight.runs_no_network", members=listed)


def title(member: str) -> str:
    """What a member of an ensemble is called."""
    if member == NETWORKS:
        return say("insight.networks")
    return simple_models.title(member) if member in simple_models else member


def span_of(rows: float, step: float | None) -> str:
    """A number of rows in words: with the time they take, where there is a clock."""
    from backmix.text.lengths import duration

    count = say("insight.row" if rows == 1 else "insight.rows", count=number(rows, 3) if rows % 1 else f"{rows:,.0f}")
    return count if step is None else say("insight.time_and_rows", time=duration(rows * step), rows=count)


def amount(value: float, insight: Insight) -> str:
    """A change of the explained number: in the target's unit, or in points of probability."""
    if insight.classes:
        return say("insight.points", value=number(100 * value))
    unit = insight.attribution.unit
    return f"{number(value)} {unit}" if unit else number(value)


def error(value: float, insight: Insight) -> str:
    """A difference of errors: in the target's unit, or as a share of windows."""
    return say("insight.error_points", value=number(100 * value)) if insight.classes else amount(value, insight)


def moves(insight: Insight) -> str:
    """Which tag changes the prediction most, and at which lag."""
    attribution = insight.attribution
    if not attribution.push.max() > 0:
        return say("insight.moves_nothing") if attribution.windows else ""
    first, *others = (int(f) for f in attribution.order)
    age = attribution.peak(first)
    peak = say("insight.peak_old", span=span_of(age, insight.step)) if age else say("insight.peak_now")
    values = {
        "first": brief(attribution.features[first], 80),
        "amount": amount(attribution.push[first], insight),
        "peak": peak,
        "share": f"{MASS:.0%}",
        "reach": span_of(attribution.reach - int(attribution.age[0]) + 1, insight.step),
    }
    if not others or not attribution.push[others[0]] > 0:
        return say("insight.moves", **values)
    return say(
        "insight.moves_two",
        **values,
        second=brief(attribution.features[others[0]], 80),
        less=amount(attribution.push[others[0]], insight),
    )


def without(insight: Insight) -> str:
    """Without which tag the error grows most, and without which it does not grow."""
    permutation = insight.permutation
    if permutation is None:
        return ""
    least = np.maximum(permutation.spread, IDLE * permutation.error)
    missed = permutation.mean > least
    if not missed.any():
        return say("insight.without_none", error=error(permutation.error, insight))
    first = int(np.where(missed, permutation.mean, -np.inf).argmax())
    idle = [brief(name, 40) for name, here in zip(permutation.features, missed, strict=True) if not here]
    spread = number((100 if insight.classes else 1) * permutation.spread[first], 2)
    values = {
        "first": brief(permutation.features[first], 80),
        "amount": error(permutation.mean[first], insight),
        "spread": spread,
        "error": error(permutation.error, insight),
    }
    if not idle:
        return say("insight.without", **values)
    names = ", ".join(idle[:MOST_NAMED])
    if len(idle) > MOST_NAMED:
        names = say("report.and_more", names=names, count=len(idle) - MOST_NAMED)
    return say("insight.without_idle", **values, names=names)


def remembers(insight: Insight) -> str:
    """How far back the model remembers, and what that means for the lookback."""
    memory = insight.memory
    if memory is None:
        return ""
    if memory.lookback == 1:
        return say("insight.memory_one")
    if not memory.first.max() > 0:
        return say("insight.memory_none")
    return say(
        f"insight.memory_{_fit(memory, insight)}",
        memory=span_of(memory.effective + 1, insight.step),
        share=f"{MASS:.0%}",
        lookback=span_of(memory.lookback, insight.step),
    )


def _fit(memory: Memory, insight: Insight) -> str:
    """Whether the lookback fits the memory; with window statistics or attention it is never called too long."""
    if insight.whole:
        return "batch"
    share = (memory.effective + 1) / memory.lookback
    if share >= LONG:
        return "longer"
    used = (insight.attribution.reach - memory.dead_time + 1) / memory.lookback
    bypassed = insight.summaries or insight.attention is not None
    return "shorter" if max(share, used) <= SHORT and not bypassed else "fits"


def bypass(insight: Insight) -> str:
    """How much the window statistics change the prediction, compared with the recurrence."""
    memory = insight.memory
    if memory is None or memory.statistics_move is None or memory.state_moves is None:
        return ""
    return say(
        "insight.bypass", statistics=amount(memory.statistics_move, insight), state=amount(memory.state_moves, insight)
    )


def gates(insight: Insight) -> str:
    """How much of its memory the first layer keeps per row, and its time constant."""
    shown, memory = insight.gates, insight.memory
    if shown is None or memory is None:
        return ""
    gate = shown.keeping
    least, most = int(gate.mean.argmin()), int(gate.mean.argmax())
    return say(
        "insight.gates",
        mean=f"{gate.mean.mean():.0%}",
        gate=gate.name,
        low=f"{gate.mean[least]:.2f}",
        high=f"{gate.mean[most]:.2f}",
        when_low=_when(shown, least),
        when_high=_when(shown, most),
        time=residence_time(memory.residence[0].middle, insight.step),
    )


def _when(shown: Gates, position: int) -> str:
    moment = shown.moment(position)
    return say("insight.at_time", time=moment) if shown.clock else say("insight.at_row", row=moment)


def residence_time(rows: float, step: float | None) -> str:
    """A time constant in words."""
    if math.isinf(rows):
        return say("insight.endless")
    return say("insight.at_once") if rows == 0 else span_of(float(f"{rows:.3g}"), step)


def attention(insight: Insight) -> str:
    """Which rows get the attention."""
    weights = insight.attention
    if weights is None:
        return ""
    span = span_of(weights.peak, insight.step)
    peak = say("insight.attention_old", span=span) if weights.peak else say("insight.attention_now")
    return say(
        "insight.attention",
        half=span_of(weights.half - int(weights.age[0]) + 1, insight.step),
        peak=peak,
        weight=f"{weights.weight.max():.0%}",
    )
