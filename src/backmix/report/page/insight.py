"""The section of a report about the inside of the network.

This module shows the results of `inspection`: attribution, permutation, memory, gates and attention, each below
one sentence in plain words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backmix.data.tag import reported_name
from backmix.report.page.blocks import PageBlock, PageSection, draw, name
from backmix.text import language, say
from backmix.text.numbers import number

if TYPE_CHECKING:
    from backmix.inspection import Insight
    from backmix.inspection.memory import Memory
    from backmix.report.data import ReportData

MOST_LAYERS = 4


def insight(data: ReportData) -> PageSection:
    """The section about the inside of the model."""
    from backmix.inspection import sentences

    lead = (
        ""
        if data.insight is None
        else say(
            "insight.lead" if not data.insight.source else "insight.lead_new",
            windows=f"{data.insight.attribution.windows:,}",
            source=data.insight.source,
        )
    )
    if data.insight is not None and data.insight.shares:
        lead += " " * (language() == "en") + sentences.runs(data.insight.shares)
    if data.insight is not None and len(data.task.targets) > 1:
        lead += " " * (language() == "en") + say("insight.lead_target", target=name(data.insight.target))
    if data.insight is not None and data.insight.classes:
        lead += " " * (language() == "en") + say("insight.lead_classes")
    return PageSection(
        anchor="inside", short=say("insight.short"), head=say("insight.head"), lead=lead, blocks=tuple(_blocks(data))
    )


def _blocks(data: ReportData) -> Iterator[PageBlock]:
    from backmix.inspection import sentences

    insight = data.insight
    if insight is None:
        return
    yield PageBlock(head=say("insight.head_tags"), text=sentences.moves(insight), figures=draw(data, ["attribution"]))
    if any(reported_name(tag.name) in insight.attribution.features for tag in data.task.targets):
        yield PageBlock(text=say("insight.reported_age"), tone="note")
    yield PageBlock(
        head=say("insight.head_without"), text=sentences.without(insight), figures=draw(data, ["importance"])
    )
    if insight.memory is not None:
        words = " ".join(filter(None, [sentences.remembers(insight), sentences.bypass(insight)]))
        yield PageBlock(head=say("insight.head_memory"), text=words)
        drawn = draw(data, ["memory"])
        if drawn:
            yield PageBlock(figures=drawn, facts=tuple(_facts(insight, insight.memory)))
    if insight.gates is not None:
        yield PageBlock(head=say("insight.head_gates"), text=sentences.gates(insight), figures=draw(data, ["gates"]))
    if insight.attention is not None:
        yield PageBlock(
            head=say("insight.head_attention"), text=sentences.attention(insight), figures=draw(data, ["attention"])
        )
    for key in insight.left_out:
        yield PageBlock(text=say(key), tone="note")


def _facts(insight: Insight, memory: Memory) -> Iterator[tuple[str, str]]:
    from backmix.inspection.sentences import residence_time, span_of

    yield say("insight.fact_memory"), span_of(memory.effective + 1, insight.step)
    half = memory.half_life
    yield say("insight.fact_half"), say("insight.never") if half is None else span_of(half, insight.step)
    if memory.factor is not None:
        yield say("insight.fact_factor" if memory.factor <= 1 else "insight.fact_grows"), number(memory.factor)
    if memory.gone is not None:
        yield say("insight.fact_gone"), span_of(memory.gone, insight.step)
    for layer, residence in enumerate(memory.residence[:MOST_LAYERS], 1):
        yield (
            say("insight.fact_residence", layer=layer, gate=residence.gate),
            residence_time(residence.middle, insight.step),
        )
    yield say("insight.fact_lookback"), span_of(memory.lookback, insight.step)
    yield say("insight.fact_windows"), f"{memory.windows:,}"
