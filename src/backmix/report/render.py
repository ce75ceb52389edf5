"""The report as one HTML file.

This module writes `ReportData` as a single HTML page: the verdict first, then the score beside the baselines,
the test part, training, data, leakage audit, checklist, plan and versions.

The page needs no script and loads nothing (its content policy forbids both). It contains its style and its figures,
has a dark mode and prints well, and stays under `MOST_BYTES` however long the run was.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from backmix.report.data import ReportData
from backmix.report.drawing.canvas import clean
from backmix.report.page import explanation, page
from backmix.report.page.blocks import Page
from backmix.text import Language, language, speak

MOST_BYTES = 3_000_000
"""No report is larger, so that it can be mailed."""
MOST_LETTERS = 2000
"""No piece of text on a page is longer."""


def render(data: ReportData, lang: Language | None = None) -> bytes:
    """The report as the bytes of an HTML page, at most `MOST_BYTES`."""
    return _written(data, lang, page)


def render_explanation(data: ReportData, lang: Language | None = None) -> bytes:
    """The page about the inside of the network alone; as `render`."""
    return _written(data, lang, explanation)


def _written(data: ReportData, lang: Language | None, page: Callable[[ReportData], Page]) -> bytes:
    with speak(lang or data.language or language()):
        return set_page(page(data))


def set_page(content: Page) -> bytes:
    """A page as the bytes of an HTML file, at most `MOST_BYTES`."""
    html = _template().render(page=content, style=style(), style_hash=style_hash())
    raw: bytes = html.encode("utf-8")
    # every part of the page is bounded, so this holds for any data; see the tests
    assert len(raw) <= MOST_BYTES, len(raw)
    return raw


@cache
def style() -> str:
    """The style sheet of the page."""
    return (files("backmix.report") / "templates" / "report.css").read_text("utf-8").strip()


def style_hash() -> str:
    """The hash that lets the page's content policy accept this style sheet and nothing else."""
    return base64.b64encode(hashlib.sha256(style().encode("utf-8")).digest()).decode("ascii")


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("backmix.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: clean(value[:MOST_LETTERS]) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")
