"""The section of a report about the data.

This module shows the split, the account of rows, what was done to the data, and the audit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from backmix.data.notation.clock import shown
from backmix.report.page.blocks import (
    FEW_ROWS,
    MOST_ROWS,
    CheckMark,
    Grid,
    GridCell,
    GridRow,
    PageBlock,
    PageSection,
    draw,
    folded,
    grid,
    name,
    section,
)
from backmix.report.page.delays import delay_blocks
from backmix.text import say

if TYPE_CHECKING:
    from backmix.data.auditing.audit import Audit
    from backmix.report.data import PartSummary, ReportData


def table(data: ReportData) -> PageSection:
    """The section about the table: split, rows, repairs, audit."""
    return section("data", _blocks(data))


def _blocks(data: ReportData) -> Iterator[PageBlock]:
    if data.parts:
        yield PageBlock(head=say("report.head_split"), figures=draw(data, ["splits"]), table=_parts(data.parts))
    if data.account is not None or data.notes:
        yield from _rows(data)
    if data.audit is not None:
        yield from _audit(data, data.audit)
    if data.dead_times is not None:
        yield from delay_blocks(data, data.dead_times)


def _parts(parts: Sequence[PartSummary]) -> Grid:
    sparse = any(part.labels is not None and part.labels < part.rows for part in parts)
    rows = [
        GridRow(
            (
                GridCell(say(f"report.part_{part.name}")),
                GridCell(f"{part.rows:,}", number=True),
                *((GridCell("–" if part.labels is None else f"{part.labels:,}", number=True),) if sparse else ()),
                GridCell(f"{part.windows:,}", number=True),
                GridCell(_place(part, 0), kind="date"),
                GridCell(_place(part, 1), kind="date"),
            )
        )
        for part in parts
    ]
    keys = ("part", "rows", *(("labels",) if sparse else ()), "windows", "from", "to")
    head = [say(f"report.column_{key}") for key in keys]
    table = grid(say("report.parts_caption"), head, rows)
    cells = tuple(GridCell(c.text, number=1 <= column < len(keys) - 2) for column, c in enumerate(table.head))
    return Grid(table.caption, cells, table.rows)


def _place(part: PartSummary, end: int) -> str:
    if not part.spans:
        return "–"
    place = part.spans[-1][1] if end else part.spans[0][0]
    return f"{place + 1:,}" if isinstance(place, int) else shown(place.astype("datetime64[s]"), part.time_zone)


def _rows(data: ReportData) -> Iterator[PageBlock]:
    head = say("report.head_rows")
    if data.account is not None:
        yield PageBlock(head=head, text=data.account.sentence())
        head = ""
        if data.account.reasons and not data.notes:
            rows = [
                GridRow((GridCell(say(reason)), GridCell(f"{count:,}", number=True)))
                for reason, count in data.account.reasons
            ]
            yield PageBlock(
                table=grid(
                    say("report.reasons_caption"),
                    [say("report.column_reason"), say("report.column_rows")],
                    rows,
                    numbers_from=1,
                )
            )
    if data.notes:
        rows = [
            GridRow(
                (
                    GridCell(name(note.tag) if note.tag else say("report.whole_table")),
                    GridCell(say(f"report.action_{note.action}")),
                    GridCell(say(note.reason)),
                    GridCell(f"{note.count:,}", number=True),
                    GridCell(name(note.example), kind="quiet"),
                )
            )
            for note in data.notes
        ]
        head_cells = [say(f"report.column_{key}") for key in ("tag", "action", "reason", "count", "example")]
        table = grid(say("report.notes_caption"), head_cells, rows)
        table = Grid(
            table.caption,
            tuple(GridCell(cell.text, number=column == 3) for column, cell in enumerate(table.head)),
            table.rows,
        )
        yield from folded(table, say("report.more_rows", count=f"{max(len(table.rows) - 12, 0):,}"))
    elif data.account is not None:
        yield PageBlock(text=say("report.no_notes"), tone="note")


def _audit(data: ReportData, audit: Audit) -> Iterator[PageBlock]:
    """The findings of the audit, a figure of missing values, and a table of all tags."""
    yield PageBlock(head=say("report.head_audit"), text=name(audit.summary(), 300))
    order = {"error": 0, "warning": 1, "info": 2}
    findings = sorted(audit.findings, key=lambda f: (order[f.severity], f.tag is not None))
    if findings:
        marks = [
            CheckMark(tone=_TONES[f.severity], mark=say(f"report.severity_{f.severity}"), text=name(f.sentence(), 500))
            for f in findings[:MOST_ROWS]
        ]
        yield PageBlock(checks=tuple(marks[:FEW_ROWS]))
        if len(marks) > FEW_ROWS:
            yield PageBlock(
                summary=say("report.more_findings", count=f"{len(findings) - FEW_ROWS:,}"),
                checks=tuple(marks[FEW_ROWS:]),
            )
    else:
        yield PageBlock(text=say("report.no_findings"), tone="note")
    drawn = draw(data, ["audit"])
    if drawn:
        yield PageBlock(figures=drawn)
    head, *lines = audit.lines()
    rows = [
        GridRow(
            (
                GridCell(name(line[0])),
                GridCell(line[1]),
                *(GridCell(words, number=True) for words in line[2:6]),
                GridCell(name(line[6], 300), kind="remarks"),
            )
        )
        for line in lines[:MOST_ROWS]
    ]
    cells = tuple(GridCell(words, number=2 <= column < 6) for column, words in enumerate(head))
    yield PageBlock(
        summary=say("report.all_tags", count=f"{len(lines):,}"),
        table=Grid(say("report.audit_caption"), cells, tuple(rows)),
    )


_TONES = {"error": "bad", "warning": "warn", "info": "quiet"}
