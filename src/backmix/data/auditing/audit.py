"""The state of a table, before anything is done to it.

This module audits a `Table`: tag by tag (`audit_tag`) and as a whole (order, duplicates, gaps, even
steps, standstill). Nothing is changed; every finding says where and how often.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.auditing.audit_tag import TagAudit, TagAuditor
from backmix.data.auditing.finding import PLACES, Finding, Kind, Severity
from backmix.data.auditing.lost_decimals import find_lost_decimals
from backmix.data.auditing.missing_codes import find_missing_codes
from backmix.data.ledger import Ledger
from backmix.data.repairing.resample import JITTER
from backmix.data.reported import is_report
from backmix.data.runs import Bools, Ints, intervals, place, stretches
from backmix.data.segments import GAP_STEPS, Rows, segment_starts
from backmix.data.table import Table
from backmix.data.tag import bracket
from backmix.text import Language, say

STALLED_LEAST = 10
"""So many rows on which no tag changes at all are a standstill of the source, not of the plant."""


@dataclass(frozen=True)
class Audit:
    """What was found in a table.

    rows, batches: how many; first, last: place of the first and the last row; step: median seconds
    between rows, None without a clock; tags: one `TagAudit` each; findings: what is odd
    """

    source: str
    rows: int
    batches: int
    first: str
    last: str
    step: float | None
    tags: tuple[TagAudit, ...]
    findings: tuple[Finding, ...]

    def of(self, tag: str | None) -> tuple[Finding, ...]:
        """The findings about one tag; None for those about the table as a whole."""
        return tuple(finding for finding in self.findings if finding.tag == tag)

    def lines(self, lang: Language | None = None) -> tuple[tuple[str, ...], ...]:
        """Head and one line per tag, as text cells of a table to print."""
        keys = ("tag", "role", "missing", "minimum", "median", "maximum", "remarks")
        rows = [tuple(say(f"audit.column_{key}", lang) for key in keys)]
        for tag in self.tags:
            label = tag.name + bracket(tag.unit)
            missing = f"{(tag.missing + tag.infinite) / max(1, self.rows):.2%}"
            numbers = [_number(value) for value in (tag.minimum, tag.median, tag.maximum)]
            remarks = [f.remark(lang) for f in self.of(tag.name) if f.kind != "missing"]
            rows.append(
                (label, say(f"audit.role_{tag.role}", lang), missing, *numbers, say("audit.comma", lang).join(remarks))
            )
        return tuple(rows)

    def summary(self, lang: Language | None = None) -> str:
        """Size, span and step of the table, one line."""
        step = say("audit.no_clock", lang) if self.step is None else f"{self.step:g} s"
        return say(
            "audit.summary",
            lang,
            source=self.source,
            rows=self.rows,
            tags=len(self.tags),
            batches=self.batches,
            first=self.first,
            last=self.last,
            step=step,
        )

    def sentences(self, lang: Language | None = None) -> tuple[str, ...]:
        """Every finding in words, those about the whole table first."""
        return tuple(f.sentence(lang) for f in sorted(self.findings, key=lambda f: f.tag is not None))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "source": self.source,
            "rows": self.rows,
            "batches": self.batches,
            "first": self.first,
            "last": self.last,
            "step": self.step,
            "tags": [tag.to_dict() for tag in self.tags],
            "findings": [finding.to_dict() for finding in self.findings],
        }


def audit(table: Table, *, rows: Bools | None = None, ledger: Ledger | None = None) -> Audit:
    """Audit a table, or those of its ``rows`` (N,) that are True; places are those of the whole table.

    ``ledger`` is that of reading: it knows the texts that stood in columns of numbers.

    >>> from backmix.data.tag import Tag
    >>> found = audit(Table(np.array([[1.0, 5.0], [np.nan, 5.0], [2.0, 5.0]]), (Tag("T101"), Tag("P7"))))
    >>> print("\\n".join(found.sentences("en")))
    T101: values missing: 1 (33.33% of the rows; longest hole: 1) — at #2
    P7: constant at 5, tells nothing
    """
    at = np.arange(len(table)) if rows is None else np.flatnonzero(rows)
    part = table if rows is None else table.rows(at)
    pieces = (np.cumsum(np.append(0, np.diff(at) != 1)[: len(at)]) % 2).astype(np.uint8)
    start = segment_starts(part, part=pieces)
    texts = {} if ledger is None else ledger.status_texts()
    found: list[tuple[Finding, Ints]] = []
    tags = []
    codes = find_missing_codes(part)
    strong = ", ".join(code.text for code in codes if code.strong)
    lost = {loss.tag: loss for loss in find_lost_decimals(part)}
    still = np.ones(max(0, len(part) - 1), bool)
    moving = False
    for column, tag in enumerate(part.tags):
        if is_report(tag.name):  # when a result was known is no measurement
            continue
        x = part.values[:, column].astype(np.float64)
        still &= (x[1:] == x[:-1]) | (np.isnan(x[1:]) & np.isnan(x[:-1]))
        auditor = TagAuditor(tag, x, start)
        auditor.take_codes([code for code in codes if tag.name in code.tags], len(part), strong)
        if tag.name in lost:
            auditor.take_lost_decimals(lost[tag.name])
        looked = auditor.look(None if part.quality is None else part.quality[:, column], texts.get(tag.name, {}))
        tags.append(looked)
        moving |= looked.numbers > 0 and looked.minimum != looked.maximum and looked.unchanged <= 0.5
        found += auditor.findings
    found = _clock(part, pieces) + (_stalled(still, start) if moving else []) + found
    findings = tuple(
        replace(finding, where=tuple(place(table, int(at[row])) for row in where)) for finding, where in found
    )
    batches = 0 if part.batch is None else len(np.unique(part.batch))
    ends = ("", "") if not len(at) else (place(table, int(at[0])), place(table, int(at[-1])))
    return Audit(
        source=table.source,
        rows=len(part),
        batches=batches,
        first=ends[0],
        last=ends[1],
        step=part.step,
        tags=tuple(tags),
        findings=findings,
    )


def _clock(table: Table, pieces: NDArray[np.uint8]) -> list[tuple[Finding, Ints]]:
    """Order, duplicates, gaps, uneven steps and scattered batches."""
    found: list[tuple[Finding, Ints]] = []
    if table.batch is not None and len(table):
        fresh = np.flatnonzero(np.append(True, np.diff(table.batch) != 0))
        scattered = len(fresh) - len(np.unique(table.batch))
        if scattered:
            again = fresh[~np.isin(fresh, np.unique(table.batch, return_index=True)[1])]
            found.append(_finding("scattered", again, count=scattered))
    gaps = intervals(table)
    gaps[np.diff(pieces) != 0] = np.nan
    known = gaps[~np.isnan(gaps)]
    if not len(known):
        return found
    step = float(np.median(known))
    if len(back := np.flatnonzero(gaps < 0)):
        found.append(_finding("order", back + 1, severity="error"))
    if len(same := np.flatnonzero(gaps == 0)):
        unequal = np.zeros(len(same), bool)
        for column in range(table.values.shape[1]):
            a, b = table.values[same, column], table.values[same + 1, column]
            unequal |= ~((a == b) | (np.isnan(a) & np.isnan(b)))
        found.append(_finding("duplicates", same + 1, severity="error", unequal=int(unequal.sum())))
    if step <= 0:
        return found
    if len(wide := np.flatnonzero(gaps > GAP_STEPS * step * (1 + 1e-9))):
        found.append(_finding("gaps", wide + 1, severity="info", longest=f"{gaps[wide].max():g} s"))
    odd = np.flatnonzero((np.abs(gaps - step) > JITTER * step) & (gaps <= GAP_STEPS * step) & (gaps > 0))
    if len(odd):
        found.append(_finding("irregular", odd + 1, share=f"{len(odd) / len(known):.2%}", step=f"{step:g} s"))
    return found


def _stalled(still: Bools, start: Rows) -> list[tuple[Finding, Ints]]:
    """Stretches on which no tag changes."""
    starts, lengths = stretches(still & (start[1:] == start[:-1]))
    long = lengths + 1 >= STALLED_LEAST
    if not long.any():
        return []
    rows = int((lengths[long] + 1).sum())
    return [_finding("stalled", starts[long], count=rows, longest=int(lengths[long].max()) + 1)]


def _finding(
    kind: Kind, at: Ints, *, severity: Severity = "warning", count: int | None = None, **values: Any
) -> tuple[Finding, Ints]:
    return Finding(kind, None, severity, len(at) if count is None else count, values=values), at[:PLACES]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value + 0.0:.5g}"
