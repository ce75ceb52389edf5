"""The part of a report that tells how long it takes until a tag is seen in the target.

This module sets out the dead times of the inputs: a picture, and every tag in a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backmix.report.page.blocks import GridCell, GridRow, PageBlock, draw, folded, grid, name
from backmix.text import say
from backmix.training.advice.delays import spoken

if TYPE_CHECKING:
    from backmix.data.dead_time import DeadTime, Scan
    from backmix.report.data import ReportData


def delay_blocks(data: ReportData, scan: Scan) -> Iterator[PageBlock]:
    """What was found, in words, as a picture, and tag by tag; the sure ones first."""
    key = "dead_time.summary" if scan.sure else "dead_time.summary_none"
    yield PageBlock(
        head=say("dead_time.head"),
        figures=draw(data, ["dead_times"]),
        text=say(key, sure=len(scan.sure), tags=len(scan.found), target=name(scan.target), labels=f"{scan.labels:,}"),
    )
    order = sorted(scan.found, key=lambda one: (not one.sure, one.p))
    head = [say(f"dead_time.col_{key}") for key in ("tag", "delay", "interval", "strength", "sure", "why")]
    table = grid(say("dead_time.table_caption"), head, [_row(one, scan.step) for one in order])
    yield from folded(table, say("report.more_rows", count=f"{max(len(order) - 12, 0):,}"))


def _row(found: DeadTime, step: float | None) -> GridRow:
    unknown = found.reason in ("few", "constant")
    return GridRow(
        (
            GridCell(name(found.tag)),
            GridCell("–" if unknown else spoken(found.rows, step), number=True),
            GridCell("–" if unknown else f"{found.low}–{found.high}", number=True),
            GridCell("–" if unknown else f"{found.strength:.2f}", number=True),
            GridCell(say("dead_time.yes" if found.sure else "dead_time.no")),
            GridCell(found.text(), kind="remarks"),
        )
    )
