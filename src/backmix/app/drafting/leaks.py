"""Columns that would give the target away.

This module names the columns of a table that are suspected to know the target before a plant does: the same label
under another name, a near copy of it, a copy that is some rows early or late, and the flag of its quality.
A suspect is left out of the first plan, with the reason, until somebody says better.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.scoring.leakage.copies import FEWEST, NEARLY, correlations
from backmix.text import say

MOST_ROWS, MOST_SHIFTS = 4_000, 60

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Suspect:
    """Why a column may know the target; ``reason`` is a key of the catalogue."""

    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def sentence(self) -> str:
        return say(self.reason, **self.values)


def find_suspects(table: Table, target: str) -> dict[str, Suspect]:
    """The suspects among the columns of a table, by name."""
    suspects: dict[str, Suspect] = {}
    others = [tag for tag in table.tags if tag.name != target]
    goal = np.asarray(table.column(target), np.float64)
    rows = np.flatnonzero(np.isfinite(goal))
    rows = rows if len(rows) <= MOST_ROWS else rows[(np.arange(MOST_ROWS) * len(rows)) // MOST_ROWS]
    for tag in others:
        if _is_flag_of(tag.name, target):
            suspects[tag.name] = Suspect("draft.leak_flag", {"target": target})
        elif _same_stem(tag.name, target):
            suspects[tag.name] = Suspect("draft.leak_name", {"target": target})
        elif _one_to_one(table, tag, goal, rows):
            suspects[tag.name] = Suspect("draft.leak_classes", {"target": target})
    numbers = [tag.name for tag in others if tag.name not in suspects and not tag.categories]
    if not table.tag(target).categories and len(np.unique(goal[rows])) > 2 and len(rows) >= FEWEST:
        suspects |= _copies(table, target, numbers, goal, rows)
    return suspects


def _tokens(name: str) -> list[str]:
    plain = re.sub(r"[\[(（][^\])）]*[\])）]\s*$", " ", name)
    return [word.lower() for word in re.split(r"[\s._/\\:-]+", plain) if word]


def _same_stem(name: str, target: str) -> bool:
    """Whether the words of one name begin with those of the other: "purity" and "purity_2", "purity lab"."""
    mine, other = _tokens(name), _tokens(target)
    short, long = sorted((mine, other), key=len)
    if not short or sum(map(len, short)) < 3 or long[: len(short)] != short:
        return False
    # a set point or an output of the controller is known in time; the target itself under another name is not
    return not set(long[len(short) :]) & {"sp", "setpoint", "op", "out", "mode", "設定值", "設定"}


def _is_flag_of(name: str, target: str) -> bool:
    stem = re.sub(r"(?i)[\s._/-]*(quality|status|flag|questionable|substituted|good|bad|品質|狀態|註記)$", "", name)
    return stem != name and stem == target


def _one_to_one(table: Table, tag: Tag, goal: Floats, rows: NDArray[np.intp]) -> bool:
    """Whether each class of a column stands for one of the target, and the other way round."""
    mine = np.asarray(table.column(tag.name), np.float64)[rows]
    both = np.isfinite(mine)
    a, b = mine[both], goal[rows][both]
    kinds, goals = np.unique(a), np.unique(b)
    if len(a) < FEWEST or not 2 <= len(goals) <= 200 or not 2 <= len(kinds) <= 200 or len(kinds) != len(goals):
        return False
    if not tag.categories and not np.array_equal(kinds, np.round(kinds)):
        return False
    pairs, counts = np.unique(np.column_stack([a, b]), axis=0, return_counts=True)
    best = {kind: counts[pairs[:, 0] == kind].max() for kind in kinds}
    partners = {float(pairs[pairs[:, 0] == kind][np.argmax(counts[pairs[:, 0] == kind]), 1]) for kind in kinds}
    return len(partners) == len(kinds) and sum(best.values()) >= NEARLY * len(a)


def _copies(table: Table, target: str, names: list[str], goal: Floats, rows: NDArray[np.intp]) -> dict[str, Suspect]:
    """Near copies of the target: at the same row, some rows before it, or some rows after it."""
    if not names:
        return {}
    columns = np.array([table.index(name) for name in names])
    values = np.asarray(table.values)
    shifts = min(MOST_SHIFTS, max(0, int(4e7 / max(1, len(rows) * len(names)) / 2)))
    best = np.zeros(len(names))
    shift_of_best = np.zeros(len(names), np.int64)
    for shift in sorted(range(-shifts, shifts + 1), key=abs):
        shifted = rows + shift
        fine = (shifted >= 0) & (shifted < len(table))
        if table.batch is not None:
            batch = np.asarray(table.batch)
            fine[fine] &= batch[shifted[fine]] == batch[rows[fine]]
        strength, _ = correlations(values[np.ix_(shifted[fine], columns)].astype(np.float64), goal[rows[fine]])
        better = strength > best + (1e-6 if shift else 0.0)
        best, shift_of_best = np.where(better, strength, best), np.where(better, shift, shift_of_best)
    suspects = {}
    for name, r, shift in zip(names, best.tolist(), shift_of_best.tolist(), strict=True):
        if r > NEARLY:
            reason = "draft.leak_copy" if not shift else "draft.leak_early" if shift < 0 else "draft.leak_late"
            suspects[name] = Suspect(reason, {"target": target, "r": f"{r:.4f}", "rows": abs(shift)})
    return suspects
