"""The section of a report about dead times.

This module shows the dead times of the inputs as a figure and as a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backmix.report.page.blocks import GridCell, GridRow, PageBlock, draw, folded, grid, name
from backmix.text import say
from backmix.training.advice.delays import spoken

if TYPE_CHECKING:
    from backmix.data.delays.dead_time import DeadTime, Scan
    from backmix.report.data import ReportData


def delay_blocks(data: ReportData, scan: Scan) -> Iterator[PageBlock]:
    """The dead times as a sentence, a figure and a table, the certain ones first."""
    key = "dead_time.summary" if scan.sure else "dead_time.summary_none"
    yield PageBlock(
        head=say("dead_time.head"),
        figures=draw(data, ["dead_times"]),
        text=say(key, sure=len(scan.sure), tags=len(scan.found), target=name(scan.target), labels=f"{scan.labels:,}"),
    )
    order = sorted(scan.found, key=lambda estimate: (not estimate.sure, estimate.p))
    head = [say(f"dead_time.col_{key}") for key in ("tag", "delay", "interval", "strength", "sure", "why")]
    table = grid(say("dead_time.table_caption"), head, [_row(estimate, scan.step) for estimate in order])
    yield from folded(table, say("report.more_rows", count=f"{max(len(order) - 12, 0):,}"))


def _row(estimate: DeadTime, step: float | None) -> GridRow:
    unknown = estimate.reason in ("few", "constant")
    return GridRow(
        (
            GridCell(name(estimate.tag)),
            GridCell("–" if unknown else spoken(estimate.rows, step), number=True),
            GridCell("–" if unknown else f"{estimate.low}–{estimate.high}", number=True),
            GridCell("–" if unknown else f"{estimate.strength:.2f}", number=True),
            GridCell(say("dead_time.yes" if estimate.sure else "dead_time.no")),
            GridCell(estimate.text(), kind="remarks"),
        )
    )
