"""The figures of a report, one file per figure.

In: `ReportData` and a width in pixels: `WIDE` for a column of a desktop page, `NARROW` for half of it and for a
    phone, so that letters are never scaled.
Out: a `Figure`, an SVG drawing of its own, or None when the report has nothing for it.
This module holds the registry of figures. No plotting library is used: the text stays text in the reader's fonts,
the colours follow the page into dark mode and onto paper, and no identifier occurs twice on a page.

    @figures.register("parity", beside=__file__)  # its sentences stand in parity.toml
    def draw(data: ReportData, width: int) -> Figure | None: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backmix.registry import Registry
from backmix.text import Language, say

if TYPE_CHECKING:
    from backmix.report.data import ReportData

WIDE = 920
"""Width in px of a figure that spans the page."""
NARROW = 400
"""Width in px of a figure that takes half the page, or all of a phone."""


@dataclass(frozen=True)
class Figure:
    """One drawing: a complete ``<svg>`` element and the sentence below it.

    ``caption_key`` is the key of that sentence (``figures.parity.caption``); ``values`` fill its blanks.

    ``wide`` says that the drawing gains from the width of the page; it is then drawn twice, for
    the page and for a phone.
    """

    svg: str
    caption_key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    wide: bool = False

    def caption(self, lang: Language | None = None) -> str:
        """The sentence below the drawing."""
        return say(self.caption_key, lang, **self.values)


Draw = Callable[["ReportData", int], Figure | None]

figures: Registry[Draw] = Registry("figures", package="backmix.report.figures")
