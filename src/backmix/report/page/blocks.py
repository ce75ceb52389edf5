"""The building blocks of a page.

This module defines the sections, blocks, tables, drawings and checks of a report page, and the
few functions that make them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backmix.report.figures import NARROW, WIDE, figures
from backmix.text import say
from backmix.text.numbers import brief

if TYPE_CHECKING:
    from backmix.report.data import ReportData

MOST_NAME = 80
MOST_ROWS = 400
FEW_ROWS = 12


@dataclass(frozen=True)
class GridCell:
    """A cell of a table: its words, smaller words beside them, and its look."""

    text: str
    note: str = ""
    number: bool = False
    kind: str = ""


@dataclass(frozen=True)
class GridRow:
    """A row of a table; its first cell is the heading."""

    cells: tuple[GridCell, ...]
    kind: str = ""


@dataclass(frozen=True)
class Grid:
    """A table with its caption."""

    caption: str
    head: tuple[GridCell, ...]
    rows: tuple[GridRow, ...]
    kind: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure on the page: one drawing for the page, and one for a phone where that differs.

    The drawings go to the page unchanged: a figure escapes every word itself.
    """

    svg: str
    narrow: str
    caption: str


@dataclass(frozen=True)
class CheckMark:
    """One line of a list of checks: its result, what was checked, and what was found."""

    tone: str
    mark: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class PageBlock:
    """A piece of a section; with ``summary`` it is folded away behind these words.

    two: the checks stand in two columns where there is room
    """

    head: str = ""
    summary: str = ""
    text: str = ""
    tone: str = ""
    table: Grid | None = None
    code: str = ""
    figures: tuple[Drawing, ...] = ()
    checks: tuple[CheckMark, ...] = ()
    two: bool = False
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PageSection:
    """A section of the page; ``short`` is its name in the contents."""

    anchor: str
    short: str
    head: str
    lead: str
    blocks: tuple[PageBlock, ...]


@dataclass(frozen=True)
class Key:
    """A large number in the head of the page."""

    name: str
    value: str
    unit: str = ""
    note: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report, ready to be set."""

    html_lang: str
    title: str
    subtitle: str
    verdict: str
    tone: str
    contents: str
    keys: tuple[Key, ...]
    sections: tuple[PageSection, ...]
    footer: str
    known: str = ""


def section(anchor: str, blocks: Iterable[PageBlock], *, lead: str = "") -> PageSection:
    """A section whose headings are in the catalogue under its anchor."""
    return PageSection(
        anchor=anchor,
        short=say(f"report.short_{anchor}"),
        head=say(f"report.head_{anchor}"),
        lead=lead,
        blocks=tuple(blocks),
    )


def draw(data: ReportData, names: Sequence[str]) -> tuple[Drawing, ...]:
    """The named figures, without those for which the run has no data."""
    drawn = []
    for figure_name in names:
        part = figures.get(figure_name)
        figure = part(data, WIDE)
        if figure is None:
            continue
        small = part(data, NARROW) if figure.wide else None
        drawn.append(Drawing(figure.svg, small.svg if small else "", figure.caption()))
    return tuple(drawn)


def grid(caption: str, head: Sequence[str], rows: Sequence[GridRow], *, numbers_from: int = 99) -> Grid:
    """A table of at most `MOST_ROWS` rows; columns from ``numbers_from`` on are set as numbers."""
    return Grid(
        caption=caption,
        rows=tuple(rows[:MOST_ROWS]),
        head=tuple(GridCell(words, number=column >= numbers_from) for column, words in enumerate(head)),
    )


def folded(grid: Grid, summary: str, *, few: int = FEW_ROWS) -> tuple[PageBlock, ...]:
    """A table that shows its first rows; the others, if many, are folded away."""
    if len(grid.rows) <= few + 3:
        return (PageBlock(table=grid),)
    first = Grid(grid.caption, grid.head, grid.rows[:few], grid.kind)
    rest = Grid(grid.caption, grid.head, grid.rows[few:], grid.kind)
    return PageBlock(table=first), PageBlock(summary=summary, table=rest)


def name(words: object, most: int = MOST_NAME) -> str:
    """A name of a tag, class or batch, cut in the middle when it is very long."""
    return brief(words, most)
