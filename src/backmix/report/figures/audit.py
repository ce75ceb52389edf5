"""Where values are missing (the audit as a picture).

This module draws one strip per tag over the rows of the table: the darker, the more is missing.
Holes that stand in one column across the tags are an outage of the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backmix.report.drawing.canvas import box, figure, span, text
from backmix.report.figures import Figure, figures
from backmix.text import say
from backmix.text.numbers import brief

if TYPE_CHECKING:
    from backmix.data.auditing.audit_tag import TagAudit
    from backmix.report.data import ReportData

MOST_TAGS = 24
ROW = 20.0


@figures.register("audit", beside=__file__)
def draw(data: ReportData, width: int) -> Figure | None:
    """The share missing along the table for the tags that miss the most; None when nothing is missing."""
    if data.audit is None:
        return None
    holed = [tag for tag in data.audit.tags if any(tag.missing_strip)]
    if not holed:
        return None
    shown = sorted(holed, key=lambda tag: -sum(tag.missing_strip))[:MOST_TAGS]
    left = min(max(span(tag.name) for tag in shown) + 16, width * 0.3)
    parts = [text(0, 14, say("figures.audit"), "head")]
    parts += [_strip(tag, left, 30 + ROW * n, width - left - 12) for n, tag in enumerate(shown)]
    bottom = 30 + ROW * len(shown)
    parts += [
        text(left, bottom + 14, data.audit.first, "tick"),
        text(width - 12, bottom + 14, data.audit.last, "tick", anchor="end"),
    ]
    return Figure(
        figure(width, bottom + 22, say("figures.audit"), *parts),
        "figures.audit.caption",
        {"shown": len(shown), "holed": len(holed), "count": len(data.audit.tags)},
        wide=True,
    )


def _strip(tag: TagAudit, left: float, top: float, wide: float) -> str:
    """Equal neighbours are one box."""
    parts = [text(0, top + 13, tag.name, width=left - 12), box(left, top + 2, wide, ROW - 5, "heat-empty")]
    strip, cell = tag.missing_strip, 0
    while cell < len(strip):
        end = cell
        while end < len(strip) and f"{strip[end]:.2f}" == f"{strip[cell]:.2f}":
            end += 1
        if strip[cell] > 0:
            x = left + wide * cell / len(strip)
            parts.append(
                box(
                    x,
                    top + 2,
                    wide * (end - cell) / len(strip),
                    ROW - 5,
                    "heat",
                    tip=f"{brief(tag.name)}: {strip[cell]:.1%}",
                    opacity=0.25 + 0.75 * strip[cell],
                )
            )
        cell = end
    return "".join(parts)
