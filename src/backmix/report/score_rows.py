"""Scores in the form in which a report prints them.

This module writes shares in percent, times in a unit that suits their size, and all numbers of a column with the same
number of decimals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backmix.data.tag import bracket
from backmix.scoring.metrics import metrics
from backmix.scoring.scores import ScoreRow, model_title
from backmix.text import say
from backmix.text.numbers import number, numbers

if TYPE_CHECKING:
    from backmix.report.data import ReportData


@dataclass(frozen=True)
class Measure:
    """How one column of scores is written: name, unit, and the factor from stored to written values."""

    title: str
    unit: str = ""
    factor: float = 1.0
    share: bool = False

    def write(self, values: Sequence[float | None]) -> list[str]:
        """The values of one column with the same number of decimals; percentages have two."""
        scaled = [None if v is None else v * self.factor for v in values]
        if self.share:
            return ["–" if v is None or not math.isfinite(v) else f"{v:.2f}".replace("-", "−") for v in scaled]
        return numbers(scaled)

    def single(self, value: float | None) -> str:
        """A value on its own."""
        return self.write([value])[0] if self.share or value is None else number(value * self.factor)


@dataclass(frozen=True)
class Bar:
    """One row of the score figure, in written units."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    words: str
    network: bool


@dataclass(frozen=True)
class Bars:
    """The rows of the score figure for one target, best first."""

    head: str
    rows: tuple[Bar, ...]
    lower: bool


def measure(rows: Sequence[ScoreRow]) -> Measure:
    """How the scores of one metric are written.

    >>> row = ScoreRow("ridge", "accuracy", "y", "test", 0.97, 0.96, 0.98, 10, 1, share=True)
    >>> measure([row]).write([0.97])
    ['97.00']
    """
    row = rows[0]
    title = metrics.get(row.metric).title()
    if row.share:
        return Measure(title, "%", 100.0, share=True)
    if metrics.get(row.metric).unit == "time" and row.unit != "s":
        return Measure(title, say("evaluation.unit_rows"))  # the row keeps the language of its scoring
    if row.unit == "s":
        largest = max((abs(r.value) for r in rows if r.value is not None), default=0.0)
        unit, long = next(
            ((u, s) for u, s in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)) if largest >= 2 * s), ("s", 1.0)
        )
        return Measure(title, unit, 1 / long)
    return Measure(title, {"1/d": say("report.per_day")}.get(row.unit, row.unit))


def rank(row: ScoreRow | None) -> float:
    """Smaller is better, whatever the metric; undefined comes last."""
    if row is None or row.value is None or not math.isfinite(row.value):
        return math.inf
    return {"lower": row.value, "higher": -row.value}.get(row.better, abs(row.value))


def score_bars(data: ReportData) -> list[Bars]:
    """The first metric of the task on the test part, one block per target."""
    first = data.task.judging.metrics[0]
    rows = [row for row in data.scores if row.metric == first and row.part == "test" and not row.label]
    blocks = []
    for target in dict.fromkeys(row.target for row in rows):
        chosen = sorted((row for row in rows if row.target == target), key=rank)
        what = measure(chosen)
        words = what.write([row.value for row in chosen])
        head = f"{what.title}{bracket(what.unit)} · {target}"
        blocks.append(
            Bars(
                head=head,
                lower=chosen[0].better != "higher",
                rows=tuple(
                    Bar(
                        name=model_title(row.model),
                        value=_times(row.value, what),
                        low=_times(row.low, what),
                        high=_times(row.high, what),
                        words=text,
                        network=row.model == data.network,
                    )
                    for row, text in zip(chosen, words, strict=True)
                ),
            )
        )
    return blocks


def _times(value: float | None, what: Measure) -> float | None:
    return None if value is None else value * what.factor
