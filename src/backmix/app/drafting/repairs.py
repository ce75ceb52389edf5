"""What the audit suggests for a plan.

This module turns findings into lines of the plan, each with its reason: spikes are masked, frozen stretches marked,
codes for "no value" taken out, and limits set where the unit itself has them. A finding for which the plan has no line
stands beside its tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backmix.data.auditing.audit import Audit
from backmix.data.auditing.audit_tag import FROZEN_LEAST
from backmix.data.repairing.repair import RepairPlan
from backmix.data.repairing.resample import check_clock, nice_duration
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.text import say

NAMED = 4
WITH_A_LINE = frozenset({"spikes", "frozen", "irregular", "constant", "code"})
"""Kinds of findings for which a plan has a line; missing values are filled by every plan."""
NO_NEED = frozenset({"missing", "status", "infinite"})


@dataclass(frozen=True)
class PlanLine:
    """One line of the plan with its reason; ``reason`` is a key of the catalogue."""

    key: str
    value: Any
    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def sentence(self) -> str:
        return say(self.reason, **self.values)


def repair_lines(table: Table, audited: Audit, inputs: Iterable[str]) -> list[PlanLine]:
    """The lines of ``[repair]`` that the findings about these inputs suggest."""
    inputs = set(inputs)
    lines = []
    try:
        check_clock(table, RepairPlan())
    except InputError as fault:
        if fault.key != "repair.irregular":
            raise
        values = {"count": fault.values["count"], "total": fault.values["total"]}
        lines.append(PlanLine("resample", fault.values["mend"], "draft.irregular", values))
    spikes = {tag.name: tag.spikes for tag in audited.tags if tag.spikes and tag.name in inputs}
    if spikes:
        lines.append(PlanLine("outliers", "mask", "draft.spikes", {"tags": _named(spikes)}))
    frozen = {tag.name: tag.frozen for tag in audited.tags if tag.frozen and tag.name in inputs}
    if frozen:
        step = audited.step
        long = FROZEN_LEAST if step is None else nice_duration(FROZEN_LEAST * step)
        lines.append(PlanLine("frozen", long, "draft.frozen", {"tags": _named(frozen), "long": long}))
    return lines


def limits_of(table: Table, tag: Tag) -> PlanLine | None:
    """The limits that the unit of a tag itself has, where all but a few strays are within them."""
    if tag.low is not None or tag.high is not None or tag.categories:
        return None
    unit = tag.unit.strip().lower()
    share = re.fullmatch(r"%|percent|%rh|% ?open|vol ?%|wt ?%|%vol|%wt|mol ?%|%mol", unit)
    amount = re.fullmatch(r"k|ppm[vw]?|ppb|kg|g/l|mg/l|mol/l|kmol/m3|kg/m3|bara|cp|mpa\.?s|rpm|1/min", unit)
    if not share and not amount:
        return None
    values = np.asarray(table.column(tag.name), np.float64)
    known = values[np.isfinite(values)]
    low, high = 0.0, 100.0 if share else np.inf
    inside = (known >= low) & (known <= high)
    if len(known) == 0 or inside.mean() < 0.98:
        return None
    outside = int(np.count_nonzero(~inside))
    return PlanLine("low", (low, high if share else None), "draft.limits", {"unit": tag.unit, "count": outside})


def told_beside(audited: Audit, name: str) -> list[str]:
    """The findings about a tag that no line of the plan mends, in words."""
    return [
        finding.sentence()
        for finding in audited.of(name)
        if finding.kind not in WITH_A_LINE and finding.kind not in NO_NEED
    ]


def told_of_table(audited: Audit) -> list[str]:
    """The findings about the whole table that no line of the plan mends, in words."""
    return [finding.sentence() for finding in audited.of(None) if finding.kind not in WITH_A_LINE]


def _named(counts: Mapping[str, int]) -> str:
    listed = [f"{name} × {count}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1])]
    return ", ".join(listed[:NAMED]) + (" …" if len(listed) > NAMED else "")
