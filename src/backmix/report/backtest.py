"""The report of a backtest: one page.

This module shows the scores fold by fold, the network against every baseline over all folds, and the layout of the
folds.
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
from backmix.scoring.comparison import NETWORK, BacktestResult, Spread
from backmix.scoring.metrics import metrics
from backmix.scoring.scores import model_title, number, unit_title
from backmix.text import Language, language, say, speak

if TYPE_CHECKING:
    from backmix.tasks import Task

TONES = {"better": "good", "worse": "bad", "same": "quiet", "maybe_better": "even", "maybe_worse": "even"}


@dataclass(frozen=True, eq=False)
class FoldSummary:
    """One fold.

    taught, judged: first and last time (row, without a clock) of training and validation, and of the test part
    rows: how many rows each part has; windows: how many were judged
    scores: the score of every model on the test part
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
    """All that the page shows; settings: those of ``[backtest]``, with the values that "auto" became."""

    task: Task
    folds: Sequence[FoldSummary]
    result: BacktestResult
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
        subtitle=data.task.title,
        verdict=data.result.verdict(),
        tone={True: "good", False: "bad", None: "even"}[data.result.worth],
        contents=say("report.contents"),
        keys=tuple(_keys(data)),
        sections=(
            _section("folds", _folds(data), lead=say("backtest.lead_batches") if batches else ""),
            _section("comparisons", _comparisons(data)),
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
    result = data.result
    unit = "" if result.share else unit_title(result.unit)
    for model in [NETWORK, *([result.chosen] if result.chosen else [])]:
        yield Key(
            f"{metrics.get(result.metric).title()} · {model_title(model)}",
            number(result.scores[model].mean, share=result.share),
            unit,
            kind="network" if model == NETWORK else "",
        )
    yield Key(
        say("backtest.key_folds"), str(len(data.folds)), note=say("backtest.key_seeds", seeds=data.settings["seeds"])
    )


def _folds(data: FoldsReport) -> Iterator[PageBlock]:
    result = data.result
    metric = metrics.get(result.metric).title()
    baselines = [pair.baseline for pair in result.comparisons]
    scores = [fold.scores for fold in data.folds]
    wide, narrow = (
        draw_folds(scores, width, metric=metric, network=NETWORK, baselines=baselines) for width in (WIDE, NARROW)
    )
    if wide is not None and narrow is not None:
        yield PageBlock(figures=(Drawing(wide.svg, narrow.svg, wide.caption()),))
    shown = [NETWORK, *baselines[:5]]
    heads = [GridCell(say(f"backtest.column_{key}"), number=key == "windows") for key in ("fold", "judged", "windows")]
    unit = unit_title(result.unit)
    rows = [
        GridRow(
            (
                GridCell(str(fold.number)),
                GridCell(_span(fold.judged), kind="date"),
                GridCell(f"{fold.windows:,}", number=True),
                *(_cell(fold.scores.get(model), result) for model in shown),
            )
        )
        for fold in data.folds
    ]
    rows.append(
        GridRow(
            (
                GridCell(say("backtest.all_folds")),
                GridCell(""),
                GridCell(f"{result.windows:,}", number=True),
                *(_cell(result.scores.get(model), result) for model in shown),
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


def _comparisons(data: FoldsReport) -> Iterator[PageBlock]:
    yield PageBlock(
        checks=tuple(
            CheckMark(
                TONES.get(pair.outcome, "quiet"),
                model_title(pair.baseline),
                pair.text(),
                note=say("backtest.chosen") if pair.baseline == data.result.chosen else "",
            )
            for pair in data.result.comparisons
        )
    )


def _settings(data: FoldsReport) -> Iterator[PageBlock]:
    yield PageBlock(facts=tuple((key, str(value)) for key, value in data.settings.items() if value is not None))
    head = tuple(
        GridCell(say(f"backtest.column_{key}"), number=place > 1)
        for place, key in enumerate(("fold", "taught", "train", "validation", "purged", "test", "lookback"))
    )
    rows = []
    for fold in data.folds:
        counts = [f"{fold.rows[key]:,}" for key in ("train", "validation", "purged", "test")]
        counts.append("–" if fold.lookback is None else str(fold.lookback))
        rows.append(
            GridRow(
                (
                    GridCell(str(fold.number)),
                    GridCell(_span(fold.taught), kind="date"),
                    *(GridCell(count, number=True) for count in counts),
                )
            )
        )
    yield PageBlock(table=Grid(say("backtest.caption_rows"), head, tuple(rows)))
    if data.plan:
        yield PageBlock(code=data.plan[:100_000])


def _cell(spread: Spread | None, result: BacktestResult) -> GridCell:
    """A score in a table, with its range over the seeds in small letters."""
    if spread is None or not np.isfinite(spread.mean):
        return GridCell("–", number=True, kind="quiet")
    ends = ""
    if len(set(spread.values)) > 1:
        ends = " … ".join(number(value, share=result.share) for value in (min(spread.values), max(spread.values)))
    return GridCell(number(spread.mean, share=result.share), note=ends, number=True)


def _span(places: Sequence[str]) -> str:
    """Two places as a person reads them, times to the minute."""
    return " – ".join(place[:16].replace("T", " ") for place in places)
