"""The part of a report about the intervals of predictions.

This module sets out how wide they are and whether they hold: the share asked and the share found, batch by batch
and over time, those of the calibration beside those that follow the plant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from backmix.data.tag import bracket
from backmix.models.intervals.bands import Bands, ClassSets
from backmix.models.intervals.conformal import needed_units
from backmix.report.page.blocks import Grid, GridCell, GridRow, PageBlock, PageSection, draw, grid, name
from backmix.scoring.coverage import Coverage
from backmix.text import language, say
from backmix.text.numbers import number

if TYPE_CHECKING:
    from backmix.report.data import ReportData
    from backmix.scoring.coverage import Banded

MOST_TARGETS = 8


def bands(data: ReportData) -> PageSection:
    """The section about intervals; without blocks for a run that has none."""
    found = data.banded
    blocks = () if found is None or found.calibrated is None or not found.rows else tuple(_blocks(data, found))
    return PageSection(
        anchor="intervals",
        short=say("intervals.short"),
        head=say("intervals.head"),
        lead=_lead(found) if found is not None and blocks else "",
        blocks=blocks,
    )


def _lead(found: Banded) -> str:
    assert found.calibrated is not None
    sets = isinstance(found.calibrated, ClassSets)
    said = say("intervals.lead_sets" if sets else "intervals.lead", level=f"{found.banding.level:.0%}")
    return (" " if language() == "en" else "").join([said, say(f"intervals.unit_{found.calibrated.unit}")])


def _blocks(data: ReportData, found: Banded) -> Iterator[PageBlock]:
    for row in found.asked[:MOST_TARGETS]:
        words, tone = sentence(row, found)
        yield PageBlock(text=words, tone=tone)
    drawn = draw(data, ["coverage"])
    if drawn:
        yield PageBlock(figures=drawn)
    if isinstance(found.calibrated, ClassSets):
        yield from _sets(found, found.calibrated)
        return
    yield PageBlock(table=_methods(found))
    yield from _pieces(data, found)
    late = (
        say("intervals.known_batch")
        if data.task.whole_batches
        else say("intervals.known_rows", rows=found.banding.late)
    )
    yield PageBlock(text=late, tone="note")


def sentence(row: Coverage, found: Banded) -> tuple[str, str]:
    """Whether the intervals of a row hold, in one sentence, and how it is marked."""
    level = found.banding.level
    values = {"target": name(row.target), "level": f"{level:.0%}", "windows": f"{row.windows:,}"}
    if row.share is None:
        unit = found.calibrated.unit if found.calibrated is not None else "windows"
        return say(f"intervals.too_few_{unit}", needed=needed_units(level), **values), "note"
    values |= {"share": f"{row.share:.0%}", "ends": _ends(row)}
    if not row.ends:
        return say("intervals.unsure", **values), ""
    if not row.ends.excludes(level):
        return say("intervals.holds", **values), ""
    if row.share > level:
        return say("intervals.wide", **values), ""
    words = say("intervals.narrow_sets" if row.method == "sets" else "intervals.narrow", **values)
    other = next(
        (
            one
            for one in found.rows
            if one.method == "adaptive"
            and row.method == "split"
            and (one.target, one.part) == (row.target, row.part)
            and one.share is not None
        ),
        None,
    )
    if other is not None and other.share is not None and other.share > row.share:
        words += (" " if language() == "en" else "") + say(
            "intervals.adaptive_held", share=f"{other.share:.0%}", size=_sized(other), own=_sized(row)
        )
    return words, "warn"


def _sized(row: Coverage) -> str:
    return f"{number(row.size)} {row.unit}".rstrip()


def _ends(row: Coverage) -> str:
    return say("intervals.ends", low=f"{row.low:.0%}", high=f"{row.high:.0%}") if row.ends else ""


def _methods(found: Banded) -> Grid:
    rows = []
    for row in found.rows[: 8 * MOST_TARGETS]:
        inside = GridCell("–" if row.share is None else f"{row.share:.1%}", note=_ends(row), number=True)
        rows.append(
            GridRow(
                (
                    GridCell(say(f"intervals.method_{row.method}"), note=say(f"intervals.part_{row.part}")),
                    GridCell(name(row.target) + bracket(row.unit)),
                    inside,
                    GridCell(number(row.size), number=True),
                    GridCell(f"{row.windows:,}", number=True),
                    GridCell(f"{row.batches:,}", number=True),
                )
            )
        )
    columns = ("method", "target", "inside", "width", "windows", "batches")
    head = [say(f"intervals.column_{column}") for column in columns]
    return grid(say("intervals.table", level=f"{found.banding.level:.0%}"), head, rows, numbers_from=2)


def _pieces(data: ReportData, found: Banded) -> Iterator[PageBlock]:
    calibrated = found.calibrated
    assert isinstance(calibrated, Bands)
    for tag in data.task.targets[:MOST_TARGETS]:
        mine = [piece for piece in found.pieces if piece.target == tag.name and piece.method == calibrated.kind]
        if len(mine) < 2:
            continue
        stage = calibrated.stage if calibrated.stage != "none" else "ahead"
        rows = [
            GridRow(
                (
                    GridCell(say("intervals.from_start") if piece.place == -np.inf else number(piece.place)),
                    GridCell(number(piece.size), number=True),
                    GridCell(f"{piece.share:.1%}", number=True),
                    GridCell(f"{piece.windows:,}", number=True),
                )
            )
            for piece in mine
        ]
        head = [
            say(f"intervals.column_{stage}"),
            say("intervals.column_width"),
            say("intervals.column_inside"),
            say("intervals.column_windows"),
        ]
        yield PageBlock(table=grid(say(f"intervals.table_{stage}", target=name(tag.label)), head, rows, numbers_from=1))


def _sets(found: Banded, sets: ClassSets) -> Iterator[PageBlock]:
    rows = [
        GridRow(
            (
                GridCell(name(row.label) if row.label else say("intervals.all_classes")),
                GridCell("–" if row.share is None else f"{row.share:.1%}", note=_ends(row), number=True),
                GridCell(number(row.size), number=True),
                GridCell("–" if row.empty is None else f"{row.empty:.1%}", number=True),
                GridCell(f"{row.windows:,}", number=True),
            )
        )
        for row in found.rows
    ]
    head = [say(f"intervals.column_{column}") for column in ("class", "inside", "classes", "empty", "windows")]
    yield PageBlock(table=grid(say("intervals.table_sets", level=f"{sets.level:.0%}"), head, rows, numbers_from=1))
    if sets.few():
        names = ", ".join(name(one) for one in sets.few()[:12])
        yield PageBlock(
            text=say(
                "intervals.few", classes=names, needed=needed_units(sets.level), unit=say(f"intervals.of_{sets.unit}")
            ),
            tone="warn",
        )
