"""The report of a backtest: one page.

This module sets out the scores fold by fold, the network against every baseline over all folds, and how
the folds were laid out, with the page and the figures of every report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.report.figures import NARROW, WIDE
from backmix.report.figures.folds import draw_folds
from backmix.report.page.blocks import (
    CheckMark,
    Drawing,
    Grid,
    GridCell,
    GridRow,
    Key,
    Page,
    PageBlock,
    PageSection,
    name,
)
from backmix.report.render import set_page
from backmix.scoring.contest import NETWORK, Contest, Spread
from backmix.scoring.metrics import metrics
from backmix.scoring.scores import model_title, number, unit_title
from backmix.text import Language, language, say, speak, title_of

if TYPE_CHECKING:
    from backmix.tasks import Task

TONES = {"better": "good", "worse": "bad", "same": "quiet", "maybe_better": "even", "maybe_worse": "even"}


@dataclass(frozen=True, eq=False)
class FoldSummary:
    """One fold as it is told.

    taught, judged: first and last time (row, without a clock) of training and validation, and of the test part
    rows: how many rows each part has; windows: how many were judged
    scores: of every model on the test part
    """

    number: int
    taught: tuple[str, ...]
    judged: tuple[str, ...]
    rows: Mapping[str, int]
    windows: int
    lookback: int | None
    scores: Mapping[str, Spread]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"scores": {model: spread.to_dict() for model, spread in self.scores.items()}}


@dataclass(frozen=True, eq=False)
class FoldsReport:
    """All that the page tells; settings: those of ``[backtest]``, with what was left open."""

    task: Task
    folds: Sequence[FoldSummary]
    contest: Contest
    settings: Mapping[str, Any]
    plan: str = ""
    title: str = ""


def render_folds(data: FoldsReport, lang: Language) -> bytes:
    """The page in one language, as the bytes of an HTML file."""
    with speak(lang):
        return set_page(_page(data))


def _page(data: FoldsReport) -> Page:
    batches = data.settings["kind"] == "batch"
    targets = ", ".join(name(tag.label) for tag in data.task.targets[:4])
    return Page(
        html_lang={"en": "en", "zh_TW": "zh-Hant-TW"}[language()],
        title=name(data.title or say("backtest.title", target=targets), 160),
        subtitle=title_of(f"tasks.{data.task.name}", otherwise=data.task.name),
        verdict=data.contest.verdict(),
        tone={True: "good", False: "bad", None: "even"}[data.contest.worth],
        contents=say("report.contents"),
        keys=tuple(_keys(data)),
        sections=(
            _section("folds", _folds(data), lead=say("backtest.lead_batches") if batches else ""),
            _section("duels", _duels(data)),
            _section("settings", _settings(data)),
        ),
        footer=say("report.footer"),
    )


def _section(anchor: str, blocks: Iterator[PageBlock], *, lead: str = "") -> PageSection:
    head = say(f"backtest.head_{anchor}")
    return PageSection(
        anchor=anchor, short=head, head=head, lead=lead or say(f"backtest.lead_{anchor}"), blocks=tuple(blocks)
    )


def _keys(data: FoldsReport) -> Iterator[Key]:
    found = data.contest
    unit = "" if found.share else unit_title(found.unit)
    for model in [NETWORK, *([found.chosen] if found.chosen else [])]:
        yield Key(
            f"{metrics.get(found.metric).title()} · {model_title(model)}",
            number(found.scores[model].mean, share=found.share),
            unit,
            kind="network" if model == NETWORK else "",
        )
    yield Key(
        say("backtest.key_folds"), str(len(data.folds)), note=say("backtest.key_seeds", seeds=data.settings["seeds"])
    )


def _folds(data: FoldsReport) -> Iterator[PageBlock]:
    found = data.contest
    metric = metrics.get(found.metric).title()
    rivals = [duel.baseline for duel in found.duels]
    scores = [told.scores for told in data.folds]
    wide, narrow = (
        draw_folds(scores, width, metric=metric, network=NETWORK, rivals=rivals) for width in (WIDE, NARROW)
    )
    if wide is not None and narrow is not None:
        yield PageBlock(figures=(Drawing(wide.svg, narrow.svg, wide.caption()),))
    shown = [NETWORK, *rivals[:5]]
    heads = [GridCell(say(f"backtest.column_{key}"), number=key == "windows") for key in ("fold", "judged", "windows")]
    unit = unit_title(found.unit)
    rows = [
        GridRow(
            (
                GridCell(str(told.number)),
                GridCell(_span(told.judged), kind="date"),
                GridCell(f"{told.windows:,}", number=True),
                *(_cell(told.scores.get(model), found) for model in shown),
            )
        )
        for told in data.folds
    ]
    rows.append(
        GridRow(
            (
                GridCell(say("backtest.all_folds")),
                GridCell(""),
                GridCell(f"{found.windows:,}", number=True),
                *(_cell(found.scores.get(model), found) for model in shown),
            ),
            kind="network",
        )
    )
    yield PageBlock(
        table=Grid(
            say("backtest.caption_folds", metric=metric),
            (*heads, *(GridCell(model_title(model), note=unit, number=True) for model in shown)),
            tuple(rows),
        )
    )


def _duels(data: FoldsReport) -> Iterator[PageBlock]:
    yield PageBlock(
        checks=tuple(
            CheckMark(
                TONES.get(duel.outcome, "quiet"),
                model_title(duel.baseline),
                duel.text(),
                note=say("backtest.chosen") if duel.baseline == data.contest.chosen else "",
            )
            for duel in data.contest.duels
        )
    )


def _settings(data: FoldsReport) -> Iterator[PageBlock]:
    yield PageBlock(facts=tuple((key, str(value)) for key, value in data.settings.items() if value is not None))
    head = tuple(
        GridCell(say(f"backtest.column_{key}"), number=at > 1)
        for at, key in enumerate(("fold", "taught", "train", "validation", "purged", "test", "lookback"))
    )
    rows = []
    for told in data.folds:
        counts = [f"{told.rows[key]:,}" for key in ("train", "validation", "purged", "test")]
        counts.append("–" if told.lookback is None else str(told.lookback))
        rows.append(
            GridRow(
                (
                    GridCell(str(told.number)),
                    GridCell(_span(told.taught), kind="date"),
                    *(GridCell(count, number=True) for count in counts),
                )
            )
        )
    yield PageBlock(table=Grid(say("backtest.caption_rows"), head, tuple(rows)))
    if data.plan:
        yield PageBlock(code=data.plan[:100_000])


def _cell(spread: Spread | None, found: Contest) -> GridCell:
    """A score in a table, the ends over the seeds beside it in small letters."""
    if spread is None or not np.isfinite(spread.mean):
        return GridCell("–", number=True, kind="quiet")
    ends = ""
    if len(set(spread.values)) > 1:
        ends = " … ".join(number(value, share=found.share) for value in (min(spread.values), max(spread.values)))
    return GridCell(number(spread.mean, share=found.share), note=ends, number=True)


def _span(places: Sequence[str]) -> str:
    """Two places as a person reads them, times to the minute."""
    return " – ".join(place[:16].replace("T", " ") for place in places)
