"""The sections of a report about the model and whether it can be trusted.

This module shows the training and its decisions, the leakage audit, what is known at the moment of prediction,
the checklist, and what is needed to repeat the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from backmix.models.ensemble import NETWORKS
from backmix.report.checklist import Check, checklist
from backmix.report.page.blocks import CheckMark, GridCell, GridRow, PageBlock, PageSection, draw, grid, name, section
from backmix.scoring.leakage.availability import rule, text
from backmix.text import language, say, sentences
from backmix.text.lengths import duration
from backmix.text.lengths import rows_and_time as _rows
from backmix.text.numbers import number

if TYPE_CHECKING:
    from backmix.data.windows.windows import WindowSpec
    from backmix.report.data import ReportData, TrainingRecord
    from backmix.scoring.leakage.audit import LeakageResult

MOST_PLAN = 100_000
MOST_NAMED = 12
MOST_RULE = 1500
"""Letters of the rule in the head; a hundred targets have long names."""


def training(data: ReportData) -> PageSection:
    """The section about the training of the network."""
    return section("training", _training(data))


def _training(data: ReportData) -> Iterator[PageBlock]:
    facts = tuple(_facts(data.training)) if data.training is not None else ()
    drawn = draw(data, ["learning"])
    shares = data.training.shares if data.training is not None else {}
    if drawn or facts:
        from backmix.inspection.sentences import runs

        tried = "" if not shares or NETWORKS in shares else " " * (language() == "en") + say("ensemble.tried")
        yield PageBlock(text=runs(shares) + tried, figures=drawn, facts=facts)
    if data.decisions:
        rows = [
            GridRow(
                (
                    GridCell(decision.setting or say("report.decision_other")),
                    GridCell(_value(decision.value)),
                    GridCell(decision.reason()),
                )
            )
            for decision in data.decisions
        ]
        yield PageBlock(
            head=say("report.head_decisions"),
            table=grid(
                say("report.decisions_caption"),
                [say(f"report.column_{key}") for key in ("setting", "value", "why")],
                rows,
            ),
        )


def _facts(run: TrainingRecord) -> Iterator[tuple[str, str]]:
    if run.architecture is not None:
        from backmix.models.shape.forms import describe
        from backmix.models.shape.size import memory, parameters

        a = run.architecture
        yield say("report.fact_network"), describe(a)
        yield say("report.fact_parameters"), f"{parameters(a):,}"
        if run.settings is not None:
            used = memory(a, run.settings.batch_size)
            yield say("report.fact_memory"), size(used)
    if run.settings is not None:
        s = run.settings
        yield say("report.fact_optimizer"), f"{s.optimizer}, {number(s.learning_rate)}"
        yield say("report.fact_loss"), s.loss
        yield say("report.fact_batch"), f"{s.batch_size:,}"
    epochs = len(run.history.get("loss", ()))
    if epochs:
        yield say("report.fact_epochs"), f"{epochs:,}"
    if run.best_epoch is not None:
        yield say("report.fact_best"), f"{run.best_epoch:,}"
    if run.seconds is not None:
        yield say("report.fact_time"), duration(run.seconds)
    if run.stopped:
        yield say("report.fact_stopped"), _why(run.stopped)
    if run.engine:
        yield say("report.fact_engine"), run.engine


def _why(stopped: str) -> str:
    """Why training ended: a code of `training.fitting.fit` in words, anything else as it is."""
    key = f"why_{stopped}"
    return say(f"training.{key}") if key in sentences("training") else stopped


def _value(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_value(item) for item in value)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()  # as a plan writes it
    return number(value, 4) if isinstance(value, float) else name(value)


def size(count: float) -> str:
    """A number of bytes in kB, MB or GB.

    >>> size(3_400_000)
    '3.4 MB'
    """
    for unit, large in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= large:
            return f"{number(count / large)} {unit}"
    return f"{count:.0f} B"


def trust(data: ReportData) -> PageSection:
    """The section about the leakage audit and the checklist."""
    return section("trust", _trust(data))


def _trust(data: ReportData) -> Iterator[PageBlock]:
    if data.spec is not None:
        yield PageBlock(head=say("report.head_sees"), text=" ".join(_sees(data, data.spec)))
    if data.leakage:
        yield PageBlock(head=say("report.head_leakage"), checks=tuple(_leak(result) for result in data.leakage))
    checks = checklist(data)
    if checks:
        counts = {
            f"count_{key}": sum(check.passed is value for check in checks)
            for key, value in (("pass", True), ("fail", False), ("none", None))
        }
        yield PageBlock(
            head=say("report.head_checklist"),
            text=say("report.checklist", **counts),
            tone="note",
            checks=tuple(_mark(check) for check in checks),
            two=True,
        )


def _leak(result: LeakageResult) -> CheckMark:
    if result.acknowledged:
        return CheckMark("warn", say("report.check_acknowledged"), name(result.text(), 600))
    tone = {True: "good", False: "bad", None: "quiet"}[result.passed]
    key = "none" if result.passed is None else "pass" if result.passed else "fail"
    return CheckMark(tone, say(f"report.check_{key}"), name(result.text(), 600))


def _mark(check: Check) -> CheckMark:
    if check.passed is None:
        return CheckMark("quiet", say("report.check_none"), check.item(), check.finding_text())
    key, tone = ("report.check_pass", "good") if check.passed else ("report.check_fail", "warn")
    return CheckMark(tone, say(key), check.item(), check.finding_text())


def known(data: ReportData) -> str:
    """The rule of known labels, for the head of the page; "" without a rule."""
    if data.spec is None and not data.rule:
        return ""
    sentences = data.rule if data.spec is None else data.rule or rule(data.task, data.spec, data.step)
    return name(say("rules.known", rule=text(sentences)), MOST_RULE)


def _sees(data: ReportData, spec: WindowSpec) -> Iterator[str]:
    """What is available at the moment of prediction, in sentences."""
    inputs = ", ".join(name(tag) for tag in spec.inputs[:MOST_NAMED])
    if len(spec.inputs) > MOST_NAMED:
        inputs = say("report.and_more", names=inputs, count=len(spec.inputs) - MOST_NAMED)
    values = {"count": len(spec.inputs), "inputs": inputs}
    if spec.lookback is None:
        yield say("report.sees_batch", **values)
    elif spec.dead_time:
        yield say(
            "report.sees_late", rows=_rows(spec.lookback, data.step), dead=_rows(spec.dead_time, data.step), **values
        )
    else:
        yield say("report.sees_rows", rows=_rows(spec.lookback, data.step), **values)
    targets = ", ".join(name(tag) for tag in spec.targets)
    if spec.horizon:
        yield say("report.sees_horizon", targets=targets, rows=_rows(spec.horizon, data.step))
    else:
        yield say("report.sees_now", targets=targets)
    yield from (sentence.text() for sentence in data.rule or rule(data.task, spec, data.step))
    if spec.missing:
        yield say("lab.sees_missing")


def record(data: ReportData) -> PageSection:
    """The section with all that is needed to repeat the run."""
    return section("record", _record(data))


def _record(data: ReportData) -> Iterator[PageBlock]:
    if data.environment:
        yield PageBlock(facts=tuple((name(key), name(value, 300)) for key, value in data.environment.items()))
    if data.plan:
        shown = data.plan if len(data.plan) <= MOST_PLAN else data.plan[:MOST_PLAN] + "\n…"
        yield PageBlock(head=say("report.head_plan"), code=shown)
