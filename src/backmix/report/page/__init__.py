"""The sections of the report's page.

In: `ReportData`.
Out: a `Page` of headings, sentences, tables and figures, in the language of the moment.
The order is: scores, test part, prediction intervals, inside of the model, training, data. The template only lays
this out; nothing is computed there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backmix.report.page import insight, model, scores, table
from backmix.report.page.blocks import Page, PageSection, name
from backmix.report.page.intervals import intervals
from backmix.text import language, say

if TYPE_CHECKING:
    from backmix.report.data import ReportData


def page(data: ReportData) -> Page:
    """The page of a run in the language of the moment."""
    return _page(
        data,
        [
            scores.scores(data),
            scores.unseen(data),
            intervals(data),
            insight.insight(data),
            model.training(data),
            table.table(data),
            model.trust(data),
            model.record(data),
        ],
        title=data.title,
    )


def explanation(data: ReportData) -> Page:
    """The page about the inside of the model alone."""
    return _page(data, [insight.insight(data), model.record(data)], title=say("insight.title", title=data.title))


def _page(data: ReportData, sections: list[PageSection], *, title: str) -> Page:
    return Page(
        html_lang={"en": "en", "zh_TW": "zh-Hant-TW"}[language()],
        title=name(title, 160),
        subtitle=scores.subtitle(data),
        verdict=scores.verdict(data),
        tone=scores.tone(data),
        known=model.known(data),
        contents=say("report.contents"),
        keys=scores.keys(data),
        sections=tuple(section for section in sections if section.blocks),
        footer=say("report.footer"),
    )
