"""How long it takes until a tag is seen in the target.

This module scans every input for its dead time, on given (training) rows and inside segments alone:
by the prewhitened cross-correlation where that shows something, else by the mutual information of
the series as they are. A finding is sure only when chance would show as much in fewer than 5 % of
scans, all lags and tags together, and when resampled blocks of time agree on the lag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.delays import lagged_information as information
from backmix.data.delays import prewhitening
from backmix.data.delays.lagged import Floats, LagAxis
from backmix.data.segments import Mask
from backmix.data.table import Table
from backmix.text import Language, say

LAGS = 120
"""Rows back into the past that are looked at when nothing else is said."""
LEVEL = 0.05
SURE: tuple[Reason, ...] = ("found", "together", "feedback")
LEAST_LABELS = 30
PAUSE = 3
"""Rows that a response may be lost in noise for and still be one response."""
LEAST_MOVES = 40.0
"""A pair of series worth fewer independent pairs than this agrees at some lag by chance."""

Method = Literal["correlation", "information"]
Reason = Literal[
    "found", "together", "feedback", "follows", "edge", "vague", "nothing", "smooth", "slow", "few", "constant"
]


@dataclass(frozen=True)
class DeadTime:
    """The dead time of one tag.

    rows, seconds: the lag at which the tag tells most of the target; seconds is None without a clock
    onset: where the response that is largest there begins: the dead time in the strict sense, at most ``rows``
    low, high: the 95 % interval of ``rows``
    strength: 0 to 1, the size of the (informational) correlation there
    method: what it was found by; p: chance of as much at any of the lags of any of the tags
    sure: whether it may be relied on; reason: why, or why not
    """

    tag: str
    rows: int
    seconds: float | None
    onset: int
    low: int
    high: int
    strength: float
    method: Method
    p: float
    sure: bool
    reason: Reason

    def text(self, lang: Language | None = None) -> str:
        """Why it may be relied on, or why not, as a sentence."""
        return say(f"dead_time.reason_{self.reason}", lang)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Curve:
    """The course behind a finding, over the lags 0 to L.

    value: (L + 1) correlation (-1 to 1) or mutual information (nats), by the method of the finding
    bound: (L + 1) what chance reaches in 5 % of scans; of correlations it counts on both sides
    """

    value: Floats
    bound: Floats


@dataclass(frozen=True, eq=False)
class Scan:
    """The dead times of all inputs of a target.

    found, curves: one per input, in their order; curves of tags that could not be scanned are empty
    labels: rows that were looked at on which the target has a value; lags: the longest lag L
    """

    target: str
    found: tuple[DeadTime, ...]
    curves: tuple[Curve, ...]
    labels: int
    lags: int
    step: float | None

    @property
    def sure(self) -> tuple[DeadTime, ...]:
        """The findings that may be relied on, the longest first."""
        return tuple(sorted((one for one in self.found if one.sure), key=lambda one: -one.rows))


def scan(table: Table, inputs: Sequence[str], target: str, *, rows: Mask, lags: int = LAGS) -> Scan:
    """The dead time of each input with respect to the target, from these rows (N,) alone.

    Long tables are scanned on the newest of the rows (`lagged.MOST_ROWS`); of the target only the rows
    count on which it has a value. Never across the end of a batch, a gap, or a stretch of ``rows``.
    Raises InputError for a tag that the table does not have.

    >>> from backmix.data.tag import Tag
    >>> rng = np.random.default_rng(1)
    >>> flow = rng.normal(size=1000)
    >>> quality = np.append(np.zeros(9), flow[:-9]) + 0.5 * rng.normal(size=1000)
    >>> table = Table(np.column_stack([flow, quality]), (Tag("F102"), Tag("C_A", role="target")))
    >>> found = scan(table, ["F102"], "C_A", rows=np.ones(1000, bool)).found[0]
    >>> found.rows, found.onset, found.sure, found.method
    (9, 9, True, 'correlation')
    """
    axis = LagAxis.of(table, rows, lags=lags)
    y = np.asarray(table.column(target)[axis.rows], np.float64)
    made = [
        _one(
            axis,
            _Pair(
                name,
                np.asarray(table.column(name)[axis.rows], np.float64),
                y,
                bool(table.tag(target).categories),
                len(inputs),
                table.step,
            ),
            np.random.default_rng([0, number]),
        )
        for number, name in enumerate(inputs)
    ]
    return Scan(
        target,
        tuple(found for found, _ in made),
        tuple(curve for _, curve in made),
        int(np.isfinite(y).sum()),
        axis.lags,
        table.step,
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    """An input and the target on the rows of an axis; tags: how many inputs are tried in all."""

    tag: str
    x: Floats
    y: Floats
    classes: bool
    tags: int
    step: float | None


def _one(axis: LagAxis, pair: _Pair, rng: np.random.Generator) -> tuple[DeadTime, Curve]:
    """The finding of one tag: by correlation if that shows something, else by information."""
    values = pair.x[np.isfinite(pair.x)]
    labels = pair.y[np.isfinite(pair.y)]
    if len(labels) < LEAST_LABELS or axis.lags < 1:
        return _nothing(axis, pair, "few")
    if not len(values) or values.min() == values.max() or labels.min() == labels.max():
        return _nothing(axis, pair, "constant")
    straight = None
    if not pair.classes:
        straight = prewhitening.correlate(axis, pair.x, pair.y, rng, level=LEVEL / pair.tags)
        if straight.p * pair.tags <= LEVEL and not straight.rare > LEVEL:
            return _straight(pair, straight)
    told = information.inform(axis, pair.x, pair.y, classes=pair.classes)
    if told.p * pair.tags <= LEVEL and not told.rare > LEVEL:
        return _told(axis, pair, told, rng)
    if straight is not None:
        reason: Reason = "smooth" if straight.smooth else "nothing"
        found, curve = _straight(pair, straight)
        return _unsure(found, reason), curve
    found, curve = _told(axis, pair, told, rng)
    return _unsure(found, "nothing"), curve


def _straight(pair: _Pair, seen: prewhitening.Correlation) -> tuple[DeadTime, Curve]:
    from scipy.stats import norm

    lags = len(seen.r) - 1
    bound = float(norm.isf(LEVEL / (2 * seen.forms * pair.tags * (lags + 1))))
    beyond = np.flatnonzero(np.abs(np.nan_to_num(seen.z)) > bound)
    peak = int(beyond[np.argmax(np.abs(seen.r[beyond]))]) if len(beyond) else seen.peak
    ahead = float(np.abs(seen.back).max(initial=0.0))
    onset = _onset(beyond, peak)
    reason = _reason(
        (onset, peak), (seen.low, seen.high), lags, back=ahead > bound, behind=ahead > float(np.nanmax(np.abs(seen.z)))
    )
    found = DeadTime(
        pair.tag,
        peak,
        _seconds(peak, pair),
        onset,
        min(seen.low, peak),
        max(seen.high, peak),
        float(abs(seen.r[peak])),
        "correlation",
        min(1.0, seen.p * pair.tags),
        reason in SURE,
        reason,
    )
    return found, Curve(seen.r, bound * seen.unit)


def _told(
    axis: LagAxis, pair: _Pair, seen: information.Information, rng: np.random.Generator
) -> tuple[DeadTime, Curve]:
    lags, peak = len(seen.nats) - 1, seen.peak
    low, high = information.interval(axis, pair.x, pair.y, rng, classes=pair.classes)
    bound = np.full(lags + 1, seen.bound(LEVEL / pair.tags))
    beyond = np.flatnonzero(seen.nats > bound[0])
    ahead = float(seen.back.max(initial=0.0))
    onset = _onset(beyond, peak)
    reason: Reason = (
        "slow"
        if seen.moves < LEAST_MOVES
        else _reason((onset, peak), (low, high), lags, back=False, behind=ahead > float(seen.nats[peak]))
    )
    found = DeadTime(
        pair.tag,
        peak,
        _seconds(peak, pair),
        onset,
        min(low, peak),
        max(high, peak),
        information.strength(axis, pair.x, pair.y, peak, classes=pair.classes),
        "information",
        min(1.0, seen.p * pair.tags),
        reason in SURE,
        reason,
    )
    return found, Curve(seen.nats, bound)


def _onset(beyond: NDArray[np.integer[Any]], peak: int) -> int:
    """The first of the lags beyond chance from which there is no long pause up to the peak.

    >>> _onset(np.array([2, 9, 11, 14, 30]), 14)
    9
    """
    onset = peak
    for lag in beyond[beyond < peak][::-1].tolist():
        if onset - lag > PAUSE:
            break
        onset = lag
    return onset


def _reason(course: tuple[int, int], interval: tuple[int, int], lags: int, *, back: bool, behind: bool) -> Reason:
    """What is to be said of a relation that is beyond chance; course: the lags of its onset and its peak."""
    onset, peak = course
    if behind:
        return "follows"
    if peak == lags:
        return "edge"
    if prewhitening.vague(interval, lags):
        return "vague"
    return "feedback" if back else "together" if onset == 0 else "found"


def _nothing(axis: LagAxis, pair: _Pair, reason: Reason) -> tuple[DeadTime, Curve]:
    empty = np.empty(0)
    return (
        DeadTime(pair.tag, 0, _seconds(0, pair), 0, 0, axis.lags, 0.0, "correlation", 1.0, False, reason),
        Curve(empty, empty),
    )


def _unsure(found: DeadTime, reason: Reason) -> DeadTime:
    return DeadTime(**vars(found) | {"sure": False, "reason": reason})


def _seconds(rows: int, pair: _Pair) -> float | None:
    return None if pair.step is None else rows * pair.step
