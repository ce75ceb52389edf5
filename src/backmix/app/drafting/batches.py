"""The list of batches of a first plan.

This module writes ``[data.batches]`` for a file of intervals: its columns by name, and which of its further columns
become tags. Nothing in a file says whether a column is known when the batch starts, so each that is used is listed,
for a person to check; one that is named like a result is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from backmix.app.drafting.repairs import PlanLine
from backmix.data.batches.batches_plan import BatchesPlan
from backmix.data.layout.evidence import Evidence
from backmix.data.sources import ReadPlan
from backmix.text import say

RESULT_WORDS = re.compile(
    r"yield|qual|\bend|final|result|purity|output|produced|off.?spec|reject|remaining|\bloss|\bgrade\b|duration"
    r"|產率|收率|得率|產量|品質|純度|最終|終點|結果|合格|不良|損失|歷時",
    re.IGNORECASE,
)
SHOWN = 8
LISTED = "batches.found"
"""The evidence that lists every batch."""


@dataclass(frozen=True)
class BatchesFound:
    """The section with the reason for each line, and the columns that are left out."""

    plan: BatchesPlan
    lines: tuple[PlanLine, ...]
    left_out: tuple[str, ...]


def look_at_batches(settings: ReadPlan, target: str | None) -> BatchesFound | None:
    """What ``[data.batches]`` should say; None without a file of intervals, or when its properties are section.

    target: the column to predict, which may be a result of the batch. Raises InputError for a file without intervals.
    """
    from backmix.data.batches.intervals import read_intervals
    from backmix.data.sources.files import read_file

    section = settings.batches
    if section is None or section.file is None or section.properties is not None:
        return None
    raw = read_file(settings.for_side_file(section), Path())
    names = tuple(tag.name for tag in read_intervals(raw, settings, section).tags)
    results = tuple(name for name in names if RESULT_WORDS.search(name) and name != target)
    kept = tuple(name for name in names if name not in results)
    lines = [PlanLine("properties", list(kept), "draft.batch_properties")] if names else []
    plan = section.model_copy(update={"properties": kept}) if names else section
    return BatchesFound(plan, tuple(lines), results)


def shown_batches(evidence: tuple[Evidence, ...]) -> list[str]:
    """The batches that were found, in words: the first ones with their times."""
    batches = next((entry for entry in evidence if entry.key == LISTED), None)
    if batches is None:
        return []
    lines = [batches.sentence()]
    for span in batches.value[:SHOWN]:
        lines.append("  " + say("draft.batch_span", **span))
    if len(batches.value) > SHOWN:
        lines.append("  " + say("draft.batches_more", count=len(batches.value) - SHOWN))
    return lines
