"""The section of a report about prediction intervals.

This module shows how wide the intervals are and whether they hold: the level that the plan asks for beside the
measured coverage, by batch and over time, for intervals as calibrated and for adaptive ones.
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
    from backmix.scoring.coverage import CoverageResult

MOST_TARGETS = 8
SHOWN_FROM = 1.05
"""Intervals that are widened by less are not worth a sentence."""


def intervals(data: ReportData) -> PageSection:
    """The section about intervals; without blocks for a run that has none."""
    coverage = data.coverage
    blocks = (
        () if coverage is None or coverage.calibrated is None or not coverage.rows else tuple(_blocks(data, coverage))
    )
    return PageSection(
        anchor="intervals",
        short=say("intervals.short"),
        head=say("intervals.head"),
        lead=_lead(coverage) if coverage is not None and blocks else "",
        blocks=blocks,
    )


def _lead(coverage: CoverageResult) -> str:
    assert coverage.calibrated is not None
    sets = isinstance(coverage.calibrated, ClassSets)
    lead = say("intervals.lead_sets" if sets else "intervals.lead", level=f"{coverage.settings.level:.0%}")
    return (" " if language() == "en" else "").join([lead, say(f"intervals.unit_{coverage.calibrated.unit}")])


def _blocks(data: ReportData, coverage: CoverageResult) -> Iterator[PageBlock]:
    for row in coverage.asked[:MOST_TARGETS]:
        words, tone = sentence(row, coverage)
        yield PageBlock(text=words, tone=tone)
        if wider := widened(row, coverage):
            yield PageBlock(text=wider, tone="note")
    drawn = draw(data, ["coverage"])
    if drawn:
        yield PageBlock(figures=drawn)
    if isinstance(coverage.calibrated, ClassSets):
        yield from _sets(coverage, coverage.calibrated)
        return
    yield PageBlock(table=_methods(coverage))
    yield from _groups(data, coverage)
    late = (
        say("intervals.known_batch")
        if data.task.target.whole_batches
        else say("intervals.known_rows", rows=coverage.settings.late)
    )
    yield PageBlock(text=late, tone="note")


def sentence(row: Coverage, coverage: CoverageResult) -> tuple[str, str]:
    """The sentence that says whether the intervals of a row hold, and its tone."""
    level = coverage.settings.level
    values = {"target": name(row.target), "level": f"{level:.0%}", "windows": f"{row.windows:,}"}
    if row.share is None:
        unit = coverage.calibrated.unit if coverage.calibrated is not None else "windows"
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
            candidate
            for candidate in coverage.rows
            if candidate.method == "adaptive"
            and row.method == "split"
            and (candidate.target, candidate.part) == (row.target, row.part)
            and candidate.share is not None
        ),
        None,
    )
    if coverage.settings.returns and other is not None and other.share is not None and other.share > row.share:
        words += (" " if language() == "en" else "") + say(
            "intervals.adaptive_held", share=f"{other.share:.0%}", size=_sized(other), own=_sized(row)
        )
    return words, "warn"


def widened(row: Coverage, coverage: CoverageResult) -> str:
    """By how much intervals are wider than the errors of held-out blocks, and why; empty where hardly."""
    if not isinstance(coverage.calibrated, Bands):
        return ""
    bands = [band for band in coverage.calibrated.bands if band.target == row.target]
    blocks, distance = (max((getattr(band, part) for band in bands), default=1.0) for part in ("blocks", "distance"))
    if blocks * distance < SHOWN_FROM:
        return ""
    factors = {"factor": f"{blocks * distance:.2f}", "blocks": f"{blocks:.2f}", "distance": f"{distance:.2f}"}
    return say("intervals.widened", target=name(row.target), **factors)


def failure(coverage: CoverageResult) -> str:
    """One sentence for the verdict where intervals hold too few results beyond the noise, about the worst target."""
    level = coverage.settings.level
    failed = [row for row in coverage.asked if row.share is not None and row.high is not None and row.high < level]
    if not failed:
        return ""
    worst = min(failed, key=lambda row: row.share or 0.0)
    values = {"target": worst.target, "level": f"{level:.0%}", "share": f"{worst.share:.0%}", "ends": _ends(worst)}
    return say("intervals.failed_sets" if worst.method == "sets" else "intervals.failed", **values)


def _sized(row: Coverage) -> str:
    return f"{number(row.size)} {row.unit}".rstrip()


def _ends(row: Coverage) -> str:
    return say("intervals.ends", low=f"{row.low:.0%}", high=f"{row.high:.0%}") if row.ends else ""


def _methods(coverage: CoverageResult) -> Grid:
    rows = []
    for row in coverage.rows[: 8 * MOST_TARGETS]:
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
    return grid(say("intervals.table", level=f"{coverage.settings.level:.0%}"), head, rows, numbers_from=2)


def _groups(data: ReportData, coverage: CoverageResult) -> Iterator[PageBlock]:
    calibrated = coverage.calibrated
    assert isinstance(calibrated, Bands)
    for tag in data.task.targets[:MOST_TARGETS]:
        mine = [group for group in coverage.groups if group.target == tag.name and group.method == calibrated.kind]
        if len(mine) < 2:
            continue
        stage = calibrated.stage if calibrated.stage != "none" else "ahead"
        rows = [
            GridRow(
                (
                    GridCell(say("intervals.from_start") if group.place == -np.inf else number(group.place)),
                    GridCell(number(group.size), number=True),
                    GridCell(f"{group.share:.1%}", number=True),
                    GridCell(f"{group.windows:,}", number=True),
                )
            )
            for group in mine
        ]
        head = [
            say(f"intervals.column_{stage}"),
            say("intervals.column_width"),
            say("intervals.column_inside"),
            say("intervals.column_windows"),
        ]
        yield PageBlock(table=grid(say(f"intervals.table_{stage}", target=name(tag.label)), head, rows, numbers_from=1))


def _sets(coverage: CoverageResult, sets: ClassSets) -> Iterator[PageBlock]:
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
        for row in coverage.rows
    ]
    head = [say(f"intervals.column_{column}") for column in ("class", "inside", "classes", "empty", "windows")]
    yield PageBlock(table=grid(say("intervals.table_sets", level=f"{sets.level:.0%}"), head, rows, numbers_from=1))
    if sets.few():
        names = ", ".join(name(label) for label in sets.few()[:12])
        yield PageBlock(
            text=say(
                "intervals.few", classes=names, needed=needed_units(sets.level), unit=say(f"intervals.of_{sets.unit}")
            ),
            tone="warn",
        )
