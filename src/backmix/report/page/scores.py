"""The sections of a report about the scores and the test part.

This module shows the verdict, the key numbers below it, the scores of all models with their
intervals, and the figures of the test part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from backmix.report.figures.classes import class_scores
from backmix.report.page.alarms import alarm_blocks
from backmix.report.page.blocks import Grid, GridCell, GridRow, Key, PageBlock, PageSection, draw, grid, name, section
from backmix.report.page.horizons import horizons
from backmix.report.page.regimes import regime_scores
from backmix.report.score_rows import Measure, measure, rank
from backmix.scoring.scores import ScoreRow, model_title
from backmix.text import say
from backmix.text.numbers import number

if TYPE_CHECKING:
    from backmix.report.data import ReportData
    from backmix.scoring.bootstrap import Interval

MOST_TARGETS = 12
ELSEWHERE = ("scores", "learning", "splits", "audit")
"""Figures that stand in other sections than the test section."""


def subtitle(data: ReportData) -> str:
    """What kind of model this is, of which targets, in the line above the title."""
    task = data.task.title
    return " · ".join([task, *(name(tag.label) for tag in data.task.targets[:4])])


def verdict(data: ReportData) -> str:
    """The sentence on top."""
    return data.verdict if isinstance(data.verdict, str) else data.verdict.text()


def tone(data: ReportData) -> str:
    """The tone of the verdict: good, bad, even, or none."""
    if isinstance(data.verdict, str):
        return ""
    worth = {True: "good", None: ""}.get(data.verdict.worth)
    if worth is not None:
        return worth
    return "bad" if data.verdict.outcome in ("worse", "maybe_worse") else "even"


def keys(data: ReportData) -> tuple[Key, ...]:
    """The key numbers in the head: the network's score, the baseline's, their difference, and the windows."""
    return (*_verdict_keys(data), *_window_keys(data))


def _verdict_keys(data: ReportData) -> Iterator[Key]:
    """The key numbers, taken from the verdict so that they agree with its sentence."""
    v = data.verdict
    if isinstance(v, str) or v.network is None:
        return
    rows = [row for row in data.scores if row.metric == v.metric and row.part == "test" and not row.label]
    what = measure(rows) if rows and v.targets == 1 else Measure(v.values["metric"], v.unit)
    title = v.values["metric"]
    yield Key(
        say("report.key_network" if v.recurrent is None else "ensemble.key", metric=title),
        what.single(v.network.value),
        what.unit,
        _interval(data, what, v.network.ends),
        "network",
    )
    if v.baseline is None:
        return
    yield Key(
        say(
            "anomaly.key_baseline_as_often"
            if v.detection is not None
            else "report.key_baseline"
            if v.chosen
            else "anomaly.key_baseline_unchosen",
            metric=title,
            name=model_title(v.baseline.model),
        ),
        what.single(v.baseline.value),
        what.unit,
        _interval(data, what, v.baseline.ends),
    )
    better = next((row.better for row in rows), "lower")
    note = say("report.key_higher" if better == "higher" else "report.key_lower")
    against = say("report.key_difference", metric=title)
    if what.share:
        yield Key(against, _signed(what.factor * (v.network.value - v.baseline.value)), say("report.key_points"), note)
    elif v.baseline.value:
        yield Key(against, _signed(100 * (v.network.value - v.baseline.value) / abs(v.baseline.value)), "%", note)


def _window_keys(data: ReportData) -> Iterator[Key]:
    windows = {part.name: part.windows for part in data.parts}
    if "test" in windows:
        yield Key(
            say("report.key_windows"),
            f"{windows['test']:,}",
            "",
            say("report.key_trained", windows=f"{_taught(data):,}"),
        )


def _taught(data: ReportData) -> int:
    """How many windows the model has learned from; an ensemble learns from those of the validation part, too."""
    both = not isinstance(data.verdict, str) and data.verdict.recurrent is not None
    return sum(part.windows for part in data.parts if part.name in (("train", "validation") if both else ("train",)))


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value, 2 if abs(value) < 100 else 3)


def _interval(data: ReportData, what: Measure, ends: Interval) -> str:
    if ends.low is None or ends.high is None:
        return ""
    low, high = what.write([ends.low, ends.high])
    return say("report.key_interval", level=f"{data.level:.0%}", low=low, high=high)


def scores(data: ReportData) -> PageSection:
    """The section that puts the network beside the baselines."""
    return section("scores", _scores(data), lead=_lead(data))


def _lead(data: ReportData) -> str:
    count = next((part.windows for part in data.parts if part.name == "test"), None)
    return "" if count is None else say("report.scores_lead", windows=f"{count:,}")


def _scores(data: ReportData) -> Iterator[PageBlock]:
    drawn = draw(data, ["scores"])
    if drawn:
        yield PageBlock(figures=drawn)
    rows = [row for row in data.scores if not row.label]
    for target in list(dict.fromkeys(row.target for row in rows))[:MOST_TARGETS]:
        table = _table(data, [row for row in rows if row.target == target])
        if table is not None:
            yield PageBlock(table=table)
            yield from _undefined([row for row in rows if row.target == target and row.part == "test"])
    yield from horizons(data)
    yield from regime_scores(data)


def _table(data: ReportData, rows: Sequence[ScoreRow]) -> Grid | None:
    """One row per model, one column per metric; the validation score of the first metric beside."""
    test = [row for row in rows if row.part == "test"]
    if not test:
        return None
    first = data.task.judging.metrics[0]
    columns = [[row for row in test if row.metric == metric] for metric in dict.fromkeys(r.metric for r in test)]
    columns.append([row for row in rows if row.part == "validation" and row.metric == first])
    order = sorted(
        dict.fromkeys(row.model for row in test),
        key=lambda model: rank(next((r for r in columns[0] if r.model == model), None)),
    )
    head, body = [GridCell(say("report.column_model"))], {model: [GridCell(model_title(model))] for model in order}
    for place, column in enumerate(columns):
        if column and not _silent(column):
            judged = place < len(columns) - 1
            what = measure(column)
            title = what.title if judged else say("report.column_validation", metric=what.title)
            head.append(GridCell(title, note=what.unit, number=True))
            _fill(body, column, what, judged=judged)
    table = tuple(
        GridRow(tuple(cells), kind="network" if model == data.network else "") for model, cells in body.items()
    )
    caption = say(
        "report.scores_caption",
        target=name(test[0].target),
        level=f"{data.level:.0%}",
        windows=f"{max(row.windows for row in test):,}",
    )
    return Grid(caption, tuple(head), table, kind="scores")


def _silent(column: Sequence[ScoreRow]) -> bool:
    """Whether a metric is undefined for every model."""
    return all(row.value is None for row in column)


def _undefined(test: Sequence[ScoreRow]) -> Iterator[PageBlock]:
    """Why metrics have no column: a sentence each instead of a column of dashes."""
    for metric in dict.fromkeys(row.metric for row in test):
        column = [row for row in test if row.metric == metric]
        if _silent(column):
            words = say("report.metric_undefined", metric=measure(column).title, reason=column[0].reason)
            yield PageBlock(text=words, tone="note")


def _fill(body: dict[str, list[GridCell]], column: Sequence[ScoreRow], what: Measure, *, judged: bool) -> None:
    """Put one column into the rows of the models."""
    by = {row.model: row for row in column}
    best = min(rank(row) for row in column)
    words = dict(zip(by, what.write([row.value for row in by.values()]), strict=True))
    for model, cells in body.items():
        row = by.get(model)
        if row is None:
            cells.append(GridCell("–", number=True, kind="quiet"))
            continue
        note = row.reason
        if judged and row.low is not None and row.high is not None:
            low, high = what.write([row.low, row.high])
            note = say("report.interval", low=low, high=high)
        top = judged and math.isfinite(best) and rank(row) == best
        kind = "best" if top else "reason" if row.reason else "" if judged else "quiet"
        cells.append(GridCell(words[model], note=note, number=True, kind=kind))


def unseen(data: ReportData) -> PageSection:
    """The section that shows the test part."""
    return section("test", _test(data))


def _test(data: ReportData) -> Iterator[PageBlock]:
    drawn = draw(data, [figure for figure in data.task.presentation.figures if figure not in ELSEWHERE])
    if drawn:
        yield PageBlock(figures=drawn)
    yield from alarm_blocks(data)
    by_class = class_scores(data)
    if by_class:
        rows = [
            GridRow(
                (
                    GridCell(name(s.name)),
                    GridCell(f"{s.windows:,}", number=True),
                    GridCell(_share(s.recall), number=True),
                    GridCell(_share(s.precision), number=True),
                )
            )
            for s in by_class
        ]
        head = [say("report.column_class"), say("report.column_windows"), say("report.recall"), say("report.precision")]
        table = grid(say("report.classes_table"), head, rows, numbers_from=1)
        yield (
            PageBlock(summary=say("report.more_classes", count=len(rows)), table=table)
            if len(rows) > 8
            else PageBlock(table=table)
        )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
