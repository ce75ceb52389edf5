"""What was measured about the rules of thumb.

This module reads the figures that ``benchmarks/advice.py`` writes beside it, ``measured.json``, and weighs the
claims of a rule against them. A difference counts only beyond twice its spread over seeds: what is compared shares
data and seed, so that the spread is that of the difference, and three seeds know little about it.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from backmix.text import Language, say
from backmix.training.advice.course_rules import Claim

PLACE = Path(__file__).with_name("measured.json")
BEYOND = 2.0
"""A difference counts from so many times its spread on."""

Finding = Literal["agrees", "contradicts", "mixed", "undecided", "unmeasured"]
"""What the figures say to a claim: mixed differs from data to data, undecided lies within the spread."""


@dataclass(frozen=True)
class MeasuredRun:
    """A setting on some data: an error and a time per seed.

    rows: T of the windows; windows: training windows of the first seed
    errors: on the test part, smaller is better; seconds: processor time of an epoch per 1000 windows
    """

    experiment: str
    place: str
    rows: int
    setting: str
    windows: int
    errors: tuple[float, ...]
    seconds: tuple[float, ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> MeasuredRun:
        """The figure of an entry of the file."""
        return cls(**{**entry, "errors": tuple(entry["errors"]), "seconds": tuple(entry["seconds"])})

    @property
    def error(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.errors)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds."""
        return statistics.stdev(self.errors)

    @property
    def seconds_least(self) -> float:
        """The least disturbed of the seeds."""
        return min(self.seconds)


@dataclass(frozen=True)
class Comparison:
    """One setting against another on the same data.

    percent: by how much the error (or time) of ``one`` is larger, geometric mean over seeds; below 0 it is better
    spread: standard deviation of that over seeds, in percent
    """

    claim: Claim
    place: str
    rows: int
    percent: float
    spread: float
    seeds: int

    @property
    def finding(self) -> Finding:
        """What it says to the claim that ``one`` is better."""
        if abs(self.percent) <= BEYOND * self.spread:
            return "undecided"
        return "agrees" if self.percent < 0 else "contradicts"

    def text(self, lang: Language | None = None) -> str:
        """The comparison in words."""
        return say(
            f"rules.measured_{self.claim.by}",
            lang,
            one=self.claim.one,
            other=self.claim.other,
            place=self.place,
            rows=self.rows,
            percent=f"{self.percent:+.0f}",
            spread=f"{self.spread:.0f}",
        )


@dataclass(frozen=True)
class Measured:
    """What the figures say to the claims of a rule, with all comparisons."""

    finding: Finding
    comparisons: tuple[Comparison, ...] = ()

    def text(self, lang: Language | None = None, *, brief: bool = False) -> str:
        """The finding and its figures in words; ``brief``: only what counts, and how much there is besides."""
        finding = say(f"rules.finding_{self.finding}", lang)
        shown = [pair for pair in self.comparisons if not brief or pair.finding != "undecided"]
        figures = [pair.text(lang) for pair in shown]
        if brief and 0 < len(shown) < len(self.comparisons):
            figures.append(say("rules.finding_rest", lang, count=len(self.comparisons) - len(shown)))
        return say("rules.finding", lang, finding=finding, figures="; ".join(figures)) if figures else finding

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "finding": self.finding,
            "comparisons": [
                {
                    "by": pair.claim.by,
                    "one": pair.claim.one,
                    "other": pair.claim.other,
                    "place": pair.place,
                    "rows": pair.rows,
                    "percent": round(pair.percent, 1),
                    "spread": round(pair.spread, 1),
                    "finding": pair.finding,
                }
                for pair in self.comparisons
            ],
            **({"source": source()} if self.comparisons else {}),
        }


@cache
def document() -> Mapping[str, Any]:
    """The file: log, command, commit, machine, date, seeds, figures."""
    content: Mapping[str, Any] = json.loads(PLACE.read_text("utf-8"))
    return content


@cache
def figures() -> tuple[MeasuredRun, ...]:
    """All figures of the file."""
    return tuple(MeasuredRun.of(entry) for entry in document()["figures"])


def source() -> dict[str, Any]:
    """Where the figures come from: the entry of benchmarks/LOG.md, command, commit, machine, date and seeds."""
    return {name: document()[name] for name in ("log", "command", "commit", "machine", "date", "seeds")}


def weigh(claims: Iterable[Claim], known: tuple[MeasuredRun, ...] | None = None) -> Measured:
    """What the figures say to these claims; those of the package unless others are given.

    >>> def figure(cell, *errors):
    ...     return MeasuredRun("cell", "cstr", 30, cell, 800, errors, errors)
    >>> measured = (figure("gru", 0.40, 0.30, 0.52), figure("lstm", 0.50, 0.39, 0.66))
    >>> weigh([Claim("cell", "gru", "lstm", places=("cstr",))], measured).finding
    'agrees'
    """
    comparisons = tuple(pair for claim in claims for pair in _compared(claim, figures() if known is None else known))
    findings = {pair.finding for pair in comparisons}
    if not comparisons:
        return Measured("unmeasured")
    if {"agrees", "contradicts"} <= findings:
        return Measured("mixed", comparisons)
    for finding in ("agrees", "contradicts"):
        if finding in findings:
            return Measured(finding, comparisons)
    return Measured("undecided", comparisons)


def _compared(claim: Claim, known: tuple[MeasuredRun, ...]) -> Iterable[Comparison]:
    runs = {(run.place, run.rows, run.setting): run for run in known if run.experiment == claim.experiment}
    for place in claim.places:
        for rows in claim.rows:
            one, other = runs.get((place, rows, claim.one)), runs.get((place, rows, claim.other))
            if one is not None and other is not None:
                by_seed = zip(
                    *((run.errors if claim.by == "error" else run.seconds) for run in (one, other)), strict=True
                )
                ratios = [math.log(first / second) for first, second in by_seed]
                yield Comparison(
                    claim,
                    place,
                    rows,
                    100 * math.expm1(statistics.fmean(ratios)),
                    100 * statistics.stdev(ratios),
                    len(ratios),
                )
