"""The report of a refit: one page.

This module shows champion, challengers and baseline round by round, the promotions, and the growth of the error on
old data beside its bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backmix.report.figures import NARROW, WIDE, Figure
from backmix.report.figures.rounds import draw_old, draw_rounds
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
from backmix.scoring.bootstrap import Interval
from backmix.scoring.metrics import metrics
from backmix.scoring.rounds import Round, RoundScore
from backmix.scoring.scores import model_title, number, shown, unit_title
from backmix.text import Language, language, say, speak

if TYPE_CHECKING:
    from backmix.scoring.verdict import ModelScore, Verdict
    from backmix.tasks import Task


@dataclass(frozen=True, eq=False)
class RoundsReport:
    """All that the page shows.

    overall: the champions in charge against the first champion, over all judged rows
    beside: the champions in charge against the best baseline of each round
    settings: those of ``[refit]``, with what "auto" became
    """

    task: Task
    rounds: Sequence[Round]
    overall: Verdict | None
    beside: Verdict | None
    settings: Mapping[str, Any]
    level: float
    plan: str = ""
    title: str = ""

    @property
    def metric(self) -> str:
        """The registered name of the metric that decides."""
        return self.task.judging.metrics[0]

    @property
    def share(self) -> bool:
        """Whether scores are shares."""
        return metrics.get(self.metric).unit == "share"

    @property
    def unit(self) -> str:
        """The unit of the scores."""
        return "" if self.overall is None else self.overall.unit

    @property
    def promoted(self) -> int:
        """How many challengers were promoted."""
        return sum(round_.decision.promoted for round_ in self.rounds)

    def score_text(self, score: RoundScore | None) -> str:
        """A score with its unit."""
        if score is None:
            return "–"
        return shown(score.value, Interval(score.low, score.high), share=self.share, unit=self.unit)

    def cell(self, score: RoundScore | None, note: str = "") -> GridCell:
        """A score in a table, with its interval in small letters."""
        if score is None:
            return GridCell("–", number=True, kind="quiet")
        ends = (
            ""
            if score.low is None or score.high is None
            else (f"[{number(score.low, share=self.share)}, {number(score.high, share=self.share)}]")
        )
        return GridCell(number(score.value, share=self.share), note=" ".join(filter(None, (note, ends))), number=True)

    def key(self, title: str, standing: ModelScore, kind: str = "") -> Key:
        """A large number in the head."""
        return Key(
            title, number(standing.value, share=self.share), "" if self.share else unit_title(self.unit), kind=kind
        )

    def verdict(self, lang: Language | None = None) -> str:
        """The sentence on top."""
        if lang is not None:
            with speak(lang):
                return self.verdict()
        overall = self.overall
        if overall is None or overall.network is None or overall.baseline is None:
            return say("refit.verdict_nothing", promoted=self.promoted, rounds=len(self.rounds))
        word = {"better": "better", "worse": "worse"}.get(overall.outcome, "open") if self.promoted else "same_model"
        sentence = say(
            "refit.verdict",
            promoted=self.promoted,
            rounds=len(self.rounds),
            metric=metrics.get(self.metric).title(),
            in_charge=self.score_text(RoundScore.of(overall.network)),
            never=self.score_text(RoundScore.of(overall.baseline)),
            word=say(f"refit.word_{word}"),
        )
        beside = self.beside
        if beside is not None and beside.baseline is not None and beside.beaten:
            names = {round_.baseline_name for round_ in self.rounds if round_.baseline_name}
            sentence += say(
                "refit.baseline_ahead",
                name=", ".join(model_title(model) for model in sorted(names)),
                score=self.score_text(RoundScore.of(beside.baseline)),
            )
        return sentence


def render_rounds(data: RoundsReport, lang: Language) -> bytes:
    """The page in one language, as the bytes of an HTML file."""
    with speak(lang):
        return set_page(_page(data))


def _page(data: RoundsReport) -> Page:
    targets = ", ".join(name(tag.label) for tag in data.task.targets[:4])
    tone = ""
    if data.promoted and data.overall is not None:
        tone = {"better": "good", "worse": "bad"}.get(data.overall.outcome, "even")
    return Page(
        html_lang={"en": "en", "zh_TW": "zh-Hant-TW"}[language()],
        title=name(data.title or say("refit.title", target=targets), 160),
        subtitle=data.task.title,
        verdict=data.verdict(),
        tone=tone,
        contents=say("report.contents"),
        keys=tuple(_keys(data)),
        sections=(
            _section("rounds", _rounds(data)),
            _section("old", _old(data)),
            _section("settings", _settings(data)),
        ),
        footer=say("report.footer"),
    )


def _section(anchor: str, blocks: Iterator[PageBlock]) -> PageSection:
    head = say(f"refit.head_{anchor}")
    return PageSection(anchor=anchor, short=head, head=head, lead=say(f"refit.lead_{anchor}"), blocks=tuple(blocks))


def _keys(data: RoundsReport) -> Iterator[Key]:
    title = metrics.get(data.metric).title()
    overall = data.overall
    if overall is not None and overall.network is not None and overall.baseline is not None:
        yield data.key(say("refit.key_in_charge", metric=title), overall.network, "network")
        yield data.key(say("refit.key_never", metric=title), overall.baseline)
    if data.beside is not None and data.beside.baseline is not None:
        yield data.key(say("refit.key_baseline", metric=title), data.beside.baseline)
    yield Key(say("refit.key_promoted"), str(data.promoted), note=say("refit.of_rounds", rounds=len(data.rounds)))


def _rounds(data: RoundsReport) -> Iterator[PageBlock]:
    title = metrics.get(data.metric).title()
    yield from _drawn(draw_rounds(data.rounds, WIDE, metric=title), draw_rounds(data.rounds, NARROW, metric=title))
    heads = ("round", "judged", "in_charge", "challenger", "never", "baseline")
    head = tuple(
        GridCell(say(f"refit.column_{key}"), note=unit_title(data.unit) if column >= 2 else "", number=column >= 2)
        for column, key in enumerate(heads)
    )
    rows = []
    for round_ in data.rounds:
        names = ("", "", "", model_title(round_.baseline_name) if round_.baseline_name else "")
        scores = (round_.in_charge, round_.decision.challenger, round_.never_updated, round_.baseline)
        cells = (
            GridCell(str(round_.number)),
            GridCell(_moment(round_.judged[0]), kind="date"),
            *(data.cell(score, note) for score, note in zip(scores, names, strict=True)),
        )
        rows.append(GridRow(cells, kind="network" if round_.decision.promoted else ""))
    yield PageBlock(table=Grid(say("refit.caption_rounds", metric=title, level=f"{data.level:.0%}"), head, tuple(rows)))
    marks = [
        CheckMark(
            "good" if round_.decision.promoted else "quiet",
            say("refit.mark_round", number=round_.number),
            round_.decision.reason(),
            note=say(
                "refit.places",
                taught=" – ".join(map(_moment, round_.taught)),
                judged=" – ".join(map(_moment, round_.judged)),
                who=_who(round_.in_charge_since),
            ),
        )
        for round_ in data.rounds
    ]
    yield PageBlock(head=say("refit.head_decisions"), checks=tuple(marks))


def _old(data: RoundsReport) -> Iterator[PageBlock]:
    bound = data.settings["bound"]
    yield from _drawn(draw_old(data.rounds, WIDE, bound=bound), draw_old(data.rounds, NARROW, bound=bound))
    known = [round_ for round_ in data.rounds if round_.decision.growth is not None]
    if not known:
        return
    rows = [
        GridRow(
            (
                GridCell(str(round_.number)),
                data.cell(_score(round_.decision.old_challenger)),
                data.cell(_score(round_.decision.old_first)),
                GridCell(f"{100 * (round_.decision.growth or 0.0):+.1f} %", number=True),
            )
        )
        for round_ in known
    ]
    head = tuple(
        GridCell(say(f"refit.column_{key}"), number=column > 0)
        for column, key in enumerate(("round", "challenger", "never", "growth"))
    )
    words = bound if bound == "none" else f"{100 * bound:g} %"
    yield PageBlock(table=Grid(say("refit.caption_old", bound=words), head, tuple(rows)))


def _settings(data: RoundsReport) -> Iterator[PageBlock]:
    yield PageBlock(facts=tuple((key, str(value)) for key, value in data.settings.items() if value is not None))
    if data.plan:
        yield PageBlock(code=data.plan[:100_000])


def _drawn(wide: Figure | None, narrow: Figure | None) -> Iterator[PageBlock]:
    if wide is not None and narrow is not None:
        yield PageBlock(figures=(Drawing(wide.svg, narrow.svg, wide.caption()),))


def _moment(place: str) -> str:
    """A time as a person reads it, to the minute; a row number as it is."""
    return place[:16].replace("T", " ")


def _score(value: float | None) -> RoundScore | None:
    return None if value is None else RoundScore(value)


def _who(since: int) -> str:
    return say("refit.first_champion") if since == 0 else say("refit.of_round", number=since)
