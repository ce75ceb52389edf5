"""The part of a report that shows what the network does inside.

This module sets out what `inspection` saw: attributions, what the model would miss, its
memory, its gates and its attention, each below one sentence in plain words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backmix.report.page.blocks import PageBlock, PageSection, draw, name
from backmix.text import language, say
from backmix.text.numbers import number

if TYPE_CHECKING:
    from backmix.inspection import Insight
    from backmix.inspection.memory import Memory
    from backmix.report.data import ReportData

MOST_LAYERS = 4


def insight(data: ReportData) -> PageSection:
    """The section about what the model looks at."""
    lead = (
        ""
        if data.insight is None
        else say(
            "insight.lead" if not data.insight.source else "insight.lead_new",
            windows=f"{data.insight.attribution.windows:,}",
            source=data.insight.source,
        )
    )
    if data.insight is not None and len(data.task.targets) > 1:
        lead += " " * (language() == "en") + say("insight.lead_target", target=name(data.insight.target))
    if data.insight is not None and data.insight.classes:
        lead += " " * (language() == "en") + say("insight.lead_classes")
    return PageSection(
        anchor="inside", short=say("insight.short"), head=say("insight.head"), lead=lead, blocks=tuple(_blocks(data))
    )


def _blocks(data: ReportData) -> Iterator[PageBlock]:
    from backmix.inspection import sentences as said

    found = data.insight
    if found is None:
        return
    yield PageBlock(head=say("insight.head_tags"), text=said.moves(found), figures=draw(data, ["attribution"]))
    if any(feature.endswith("(known)") for feature in found.attribution.features):
        yield PageBlock(text=say("insight.known_age"), tone="note")
    yield PageBlock(head=say("insight.head_without"), text=said.without(found), figures=draw(data, ["importance"]))
    if found.memory is not None:
        words = " ".join(filter(None, [said.remembers(found), said.bypass(found)]))
        yield PageBlock(head=say("insight.head_memory"), text=words)
        drawn = draw(data, ["memory"])
        if drawn:
            yield PageBlock(figures=drawn, facts=tuple(_facts(found, found.memory)))
    if found.gates is not None:
        yield PageBlock(head=say("insight.head_gates"), text=said.gates(found), figures=draw(data, ["gates"]))
    if found.attention is not None:
        yield PageBlock(
            head=say("insight.head_attention"), text=said.attention(found), figures=draw(data, ["attention"])
        )
    for key in found.left_out:
        yield PageBlock(text=say(key), tone="note")


def _facts(found: Insight, memory: Memory) -> Iterator[tuple[str, str]]:
    from backmix.inspection.sentences import residence_time, span_of

    yield say("insight.fact_memory"), span_of(memory.effective + 1, found.step)
    half = memory.half_life
    yield say("insight.fact_half"), say("insight.never") if half is None else span_of(half, found.step)
    if memory.factor is not None:
        yield say("insight.fact_factor" if memory.factor <= 1 else "insight.fact_grows"), number(memory.factor)
    if memory.gone is not None:
        yield say("insight.fact_gone"), span_of(memory.gone, found.step)
    for layer, residence in enumerate(memory.residence[:MOST_LAYERS], 1):
        yield (
            say("insight.fact_residence", layer=layer, gate=residence.gate),
            residence_time(residence.middle, found.step),
        )
    yield say("insight.fact_lookback"), span_of(memory.lookback, found.step)
    yield say("insight.fact_windows"), f"{memory.windows:,}"
