"""One thing that an audit found.

This module defines `Finding`: what, in which tag, how bad, how often and where, ready for JSON and
for a sentence in either language.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from backmix.text import Language, say

Kind = Literal[
    "missing",
    "status",
    "infinite",
    "limits",
    "constant",
    "frozen",
    "spikes",
    "clipped",
    "code",
    "decimals",
    "alike",
    "unit",
    "level",
    "duplicates",
    "order",
    "gaps",
    "irregular",
    "stalled",
    "scattered",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Severity = Literal["info", "warning", "error"]
PLACES = 5
"""So many places are named; the count is always that of all."""


@dataclass(frozen=True)
class Finding:
    """One kind of trouble in one tag, or in the whole table (``tag`` None).

    error: training stops at it, or the column is lost. count: cells or rows. where: the first
    places, as times in UTC or ``#row``. values: what the sentence of this kind names besides.
    """

    kind: Kind
    tag: str | None
    severity: Severity
    count: int
    where: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)

    def sentence(self, lang: Language | None = None) -> str:
        """The finding in words, one line: tag, what, where."""
        text = say(f"audit.finding_{self.kind}", lang, count=self.count, **self.values)
        if self.tag is not None:
            text = say("audit.note_of_tag", lang, tag=self.tag, text=text)
        if not self.where:
            return text
        places = ", ".join(self.where) + (" …" if self.count > len(self.where) == PLACES else "")
        return say("audit.finding_where", lang, text=text, places=places)

    def remark(self, lang: Language | None = None) -> str:
        """The finding in two or three words with its count, for a table."""
        return say(f"audit.remark_{self.kind}", lang, count=self.count, **self.values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"where": list(self.where)}
