"""What an audit says about one tag.

This module looks at one column: missing and infinite values, physical limits, a value that never
changes or stops changing, spikes, clipping at repeated extremes, and changes of unit.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.auditing.finding import PLACES, Finding, Kind, Severity
from backmix.data.auditing.lost_decimals import LostDecimals
from backmix.data.auditing.missing_codes import MissingCode
from backmix.data.auditing.shift import find_shifts
from backmix.data.notation.missing import is_code
from backmix.data.quality import Quality
from backmix.data.repairing.spikes import find_spikes, learn_scale, steady
from backmix.data.runs import Bools, Ints, standing, stretches
from backmix.data.segments import Rows
from backmix.data.tag import Role, Tag

STRIP = 100
"""Into so many stretches of rows the share of missing values is broken down."""
MANY_MISSING = 0.05
SPIKE_WINDOW, SPIKE_FACTOR = 7, 8.0
FROZEN_LEAST = 10
CLIPPED_LEAST, CLIPPED_SHARE, CLIPPED_RATIO = 10, 0.002, 5


@dataclass(frozen=True)
class TagAudit:
    """Counts and range of one tag; every count is of cells.

    numbers: cells with a value; beyond: values outside the tag's physical limits; unchanged: share of
    steps without a change; missing_strip: share missing in up to 100 equal stretches of rows;
    status: texts found in place of numbers, with their counts
    """

    name: str
    unit: str
    role: Role
    kind: Literal["number", "class"]
    numbers: int
    missing: int
    uncertain: int
    infinite: int
    beyond: int
    frozen: int
    spikes: int
    clipped: int
    unchanged: float
    minimum: float | None
    median: float | None
    maximum: float | None
    status: tuple[tuple[str, int], ...]
    missing_strip: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {
            "status": [list(pair) for pair in self.status],
            "missing_strip": list(self.missing_strip),
        }


class TagAuditor:
    """One column (N,) under audit: what is counted becomes a `TagAudit`, what is odd a `Finding`."""

    def __init__(self, tag: Tag, x: NDArray[np.float64], start: Rows) -> None:
        self.tag, self.x, self.start = tag, x, start
        self.findings: list[tuple[Finding, Ints]] = []
        self._codes: list[MissingCode] = []

    def take_codes(self, codes: Sequence[MissingCode], rows: int, every: str) -> None:
        """Name the numbers of this column that look like codes for "no value"; strong ones count nowhere else.

        every: the codes of all tags, for the one setting that takes them out
        """
        for code in codes:
            spots = np.flatnonzero(is_code(self.x, code.value))
            values = {
                "code": code.text,
                "share": f"{len(spots) / max(1, rows):.2%}",
                "times": code.times,
                "every": every if code.strong else code.text,
            }
            self._add("code", spots, "warning" if code.strong else "info", count=len(spots), **values)
        self._codes = [code for code in codes if code.strong]

    def take_lost_decimals(self, lost: LostDecimals) -> None:
        """Say which values of this column lost their decimal mark."""
        values = {"sound": f"{lost.sound:.7g}", "lost": f"{lost.lost:.15g}", "high": f"{lost.below:g}"}
        self._add("decimals", lost.rows, "warning", count=len(lost.rows), **values)

    def _alike(self) -> None:
        """States whose names differ only in case, blanks or marks."""
        groups: dict[str, list[int]] = {}
        for code, name in enumerate(self.tag.categories):
            plain = "".join(sign for sign in unicodedata.normalize("NFKC", name).casefold() if sign.isalnum())
            groups.setdefault(plain or name, []).append(code)
        for group in groups.values():
            counts = {code: int(np.count_nonzero(self.x == code)) for code in group}
            shown = {code: count for code, count in counts.items() if count}
            if len(shown) < 2:
                continue
            usual = max(shown, key=lambda code: shown[code])
            names = ", ".join(f"{self.tag.categories[code]!r} ×{count}" for code, count in shown.items())
            rare = [code for code in shown if code != usual]
            same = ", ".join(f'"{self.tag.categories[code]}" = "{self.tag.categories[usual]}"' for code in rare)
            rows = np.flatnonzero(np.isin(self.x, rare))
            self._add("alike", rows, count=len(rows), names=names, same=same)

    def look(self, quality: NDArray[np.uint8] | None, status: Mapping[str, int]) -> TagAudit:
        """Look at everything; ``status`` are the texts that stood in this column."""
        x, rows = self.x, len(self.x)
        infinite = self._note("infinite", np.isinf(x))
        x[np.isinf(x)] = np.nan
        gone = np.isnan(x)
        known = x[~gone]
        self._missing(gone, infinite)
        if status:
            texts = ", ".join(f"{text!r} ×{count}" for text, count in status.items())
            self._add("status", np.zeros(0, np.int64), count=sum(status.values()), texts=texts)
        beyond = 0
        number = not self.tag.categories
        if not number:
            self._alike()
        if number:
            with np.errstate(invalid="ignore"):
                out = np.zeros(rows, bool)
                out |= x < (-np.inf if self.tag.low is None else self.tag.low)
                out |= x > (np.inf if self.tag.high is None else self.tag.high)
            beyond = self._note("limits", out, low=_short(self.tag.low), high=_short(self.tag.high))
        low, high = (float(known.min()), float(known.max())) if len(known) else (None, None)
        frozen = spikes = clipped = 0
        still = standing(x, self.start)
        share = float(np.count_nonzero(still > 1) / max(1, len(known)))
        if low == high and len(known) > 1:
            severity: Severity = "warning" if self.tag.role == "input" else "info"
            self._add("constant", np.zeros(0, np.int64), severity, count=len(known), value=_short(low))
        elif number and len(known) and not steady(x, self.start):
            known = self._without_codes(known)
            frozen = self._frozen(standing(self.x, self.start) if self._codes else still, share)
            spikes = self._spikes()
            clipped = self._clipped(known)
            self._shifts()
        return TagAudit(
            name=self.tag.name,
            unit=self.tag.unit,
            role=self.tag.role,
            kind="number" if number else "class",
            numbers=len(known),
            missing=int(gone.sum()) - infinite,
            uncertain=0 if quality is None else int(np.count_nonzero(quality == Quality.UNCERTAIN)),
            infinite=infinite,
            beyond=beyond,
            frozen=frozen,
            spikes=spikes,
            clipped=clipped,
            unchanged=share,
            minimum=low,
            median=float(np.median(known)) if len(known) and number else None,
            maximum=high,
            status=tuple(status.items()),
            missing_strip=_strip(gone),
        )

    def _without_codes(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values less strong codes, which are no spikes and no end of a range; they leave the column, too."""
        for code in self._codes:
            self.x = np.where(is_code(self.x, code.value), np.nan, self.x)
            known = known[~is_code(known, code.value)]
        return known

    def _missing(self, gone: Bools, infinite: int) -> None:
        if not gone.any():
            return
        if gone.all():
            severity: Severity = "error" if self.tag.role == "input" else "warning"
        else:  # targets are analysed now and then: their holes are their nature
            severity = "warning" if gone.mean() > MANY_MISSING and self.tag.role == "input" else "info"
        starts, lengths = stretches(gone)
        if gone.sum() > infinite:
            self._add(
                "missing",
                starts,
                severity,
                count=int(gone.sum()) - infinite,
                share=f"{gone.mean():.2%}",
                longest=int(lengths.max()),
            )

    def _frozen(self, still: Ints, share: float) -> int:
        """Stretches of one value too long to be chance, for a tag that otherwise moves."""
        run = still[np.append(still[1:] <= 1, True) & (still > 0)]
        chance = np.log(0.01 / len(still)) / np.log(share) if share > 0 else 0.0
        limit = max(FROZEN_LEAST, chance, 5 * float(np.quantile(run, 0.99)))
        ends = np.flatnonzero(np.append(still[1:] <= 1, True) & (still > limit))
        if not len(ends):
            return 0
        cells = int(still[ends].sum())
        self._add("frozen", ends - still[ends] + 1, count=cells, runs=len(ends), longest=int(still[ends].max()))
        return cells

    def _spikes(self) -> int:
        """Values out of line with the rows before that do not begin a new level."""
        scale = learn_scale(self.x, self.start, rule="hampel", window=SPIKE_WINDOW, factor=SPIKE_FACTOR)
        if scale is None:
            return 0

        def find(x: NDArray[np.float64], start: Rows) -> Bools:
            return find_spikes(x, start, scale, rule="hampel", window=SPIKE_WINDOW, factor=SPIKE_FACTOR)

        found = find(self.x, self.start)
        if found.any():  # seen from the other side too, a spike stands out and a new level does not
            backward = np.cumsum(np.append(0, np.diff(self.start) != 0))[::-1]
            found &= find(self.x[::-1], backward_starts(backward))[::-1]
        return self._note("spikes", found)

    def _clipped(self, known: NDArray[np.float64]) -> int:
        """Values heaped at the smallest or the largest value, or at a physical limit."""
        total, ends = 0, []
        least = max(CLIPPED_LEAST, CLIPPED_SHARE * len(known))
        for edge, limit in ((known.min(), self.tag.low), (known.max(), self.tag.high)):
            at_edge = known == edge
            count = int(np.count_nonzero(at_edge))
            if count < least:
                continue
            inner = known[~at_edge]
            next_edge = inner.min() if edge == known.min() else inner.max()
            if edge == limit or count > CLIPPED_RATIO * np.count_nonzero(inner == next_edge):
                total += count
                ends.append(edge)
        if total:
            rows = np.flatnonzero(np.isin(self.x, ends))
            self._add("clipped", rows[:PLACES], count=total, edges=", ".join(_short(e) for e in ends))
        return total

    def _shifts(self) -> None:
        for shift in find_shifts(self.x, unit=self.tag.unit):
            kind: Kind = "unit" if shift.conversion else "level"
            values = {"before": _short(shift.before), "after": _short(shift.after)}
            if shift.conversion:
                values["conversion"] = shift.conversion.text
            rest = int(np.count_nonzero(~np.isnan(self.x[shift.row :])))
            severity: Severity = "warning" if shift.conversion else "info"
            self._add(kind, np.array([shift.row]), severity, count=rest, **values)

    def _note(self, kind: Kind, cells: Bools, **values: Any) -> int:
        rows = np.flatnonzero(cells)
        if len(rows):
            self._add(kind, rows, count=len(rows), **values)
        return len(rows)

    def _add(self, kind: Kind, at: Ints, severity: Severity = "warning", *, count: int, **values: Any) -> None:
        self.findings.append((Finding(kind, self.tag.name, severity, count, values=values), at[:PLACES]))


def backward_starts(segment: Ints) -> Ints:
    """First row of each row's segment, from the number of the segment, when rows are read backwards.

    >>> backward_starts(np.array([1, 1, 0])).tolist()
    [0, 0, 2]
    """
    row = np.arange(len(segment))
    fresh = np.append(True, np.diff(segment) != 0)
    return np.asarray(np.maximum.accumulate(np.where(fresh, row, 0)))


def _strip(gone: Bools) -> tuple[float, ...]:
    if not len(gone):
        return ()
    edges = np.unique(np.linspace(0, len(gone), min(STRIP, len(gone)) + 1).astype(np.int64))
    share = np.add.reduceat(gone.astype(np.int64), edges[:-1]) / np.diff(edges)
    return tuple(round(float(s), 4) for s in share)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value + 0.0:.6g}"
