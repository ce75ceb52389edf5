"""What a plan shall predict.

This module takes a target only from strong evidence, and says which: the results of the laboratory, a column that is
mostly empty, a name that says quality, class or remaining life, or the one analyser among the instruments. Everything
else is a question that lists the candidates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.text import say

QUALITY_WORDS = re.compile(
    r"\blab|qual|target|purity|conc|yield|viscos|\bgrade\b|^y$|品質|化驗|純度|濃度|產率|目標|黏度", re.IGNORECASE
)
CLASS_WORDS = re.compile(r"fault|state|status|label|class|alarm|anomal|attack|故障|狀態|類別|異常|警報", re.IGNORECASE)
LIFE_WORDS = re.compile(r"\brul\b|remaining|life|壽命|剩餘", re.IGNORECASE)
ANALYSER = re.compile(r"^(?:[\w]*[._/\\-])?[AQ][IRTE]{1,3}C?[-_. ]?\d{2,}", re.IGNORECASE)
"""A first letter A (ISA-5.1) or Q (older practice) before the functions of a tag is an analysis."""
SPARSE = 0.5
"""A column with more missing values than this is taken for a laboratory analysis."""
FEW_CLASSES = 30


@dataclass(frozen=True)
class Chosen:
    """The target, and the sentence that says why it was taken; "" when the user named it."""

    name: str
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def sentence(self) -> str:
        return say(self.reason, **self.values) if self.reason else ""


def choose_target(table: Table, results: tuple[str, ...] = ()) -> Chosen | tuple[str, ...]:
    """The one column that strong evidence names, else the candidates, the likeliest first.

    results: columns that came from the laboratory.
    """
    declared = [tag.name for tag in table.tags if tag.role == "target"]
    if len(declared) == 1:
        return Chosen(declared[0], "draft.target_told")
    if results:
        present = tuple(name for name in results if name in table.names)
        return Chosen(present[0], "draft.target_lab") if len(present) == 1 else present
    usable = [tag for tag in table.tags if useless(table, tag) is None and not beside_another(table, tag)]
    numbers = [tag.name for tag in usable if not tag.categories and not is_alarm(table, tag)]
    classes = [tag.name for tag in table.tags if is_class(table, tag)]
    sparse = [name for name in numbers if _missing(table, name) > SPARSE]
    by_words = [
        ("draft.target_class", [name for name in classes if CLASS_WORDS.search(name)]),
        ("draft.target_sparse", sparse),
        ("draft.target_word", [n for n in numbers if QUALITY_WORDS.search(n) or LIFE_WORDS.search(n)]),
        ("draft.target_class", [name for name in classes if QUALITY_WORDS.search(name)]),
        ("draft.target_analyser", [name for name in numbers if ANALYSER.search(name)]),
    ]
    named = [(reason, names) for reason, names in by_words if names]
    if named and len({name for _, names in named for name in names}) == 1:
        reason, (name,) = named[0]
        return Chosen(name, reason, {"share": f"{_missing(table, name):.0%}"})
    if named and len(named[0][1]) == 1 and named[0][0] != "draft.target_analyser":
        reason, (name,) = named[0]
        return Chosen(name, reason, {"share": f"{_missing(table, name):.0%}"})
    likely = [name for _, names in named for name in names]
    return tuple(dict.fromkeys([*likely, *reversed(numbers), *reversed(classes)]))


def kind_of(table: Table, name: str) -> tuple[str, str]:
    """The most likely task, and why: from the values of the target and how often it has one in a batch."""
    tag = table.tag(name)
    if is_class(table, tag):
        return "fault_diagnosis", "draft.kind_states" if not tag.categories else "draft.kind_classes"
    if table.batch is None:
        return "soft_sensor", "draft.kind_number"
    if LIFE_WORDS.search(name):
        return "remaining_life", "draft.kind_life"
    values = np.bincount(np.asarray(table.batch), weights=np.isfinite(table.column(name)))
    rows = np.bincount(np.asarray(table.batch))
    whole = values.max() <= 1 < rows.max() or _constant_in_batches(table, name)
    return ("batch_quality", "draft.kind_batch") if whole else ("soft_sensor", "draft.kind_number")


def _constant_in_batches(table: Table, name: str) -> bool:
    """Whether each of several batches has one value of a column on all its rows."""
    values, batch = np.asarray(table.column(name), np.float64), np.asarray(table.batch)
    known = np.isfinite(values)
    values, batch = values[known], batch[known]
    within = batch[1:] == batch[:-1]
    return bool(within.any() and (values[1:] == values[:-1])[within].all() and len(np.unique(values)) > 1)


def is_class(table: Table, tag: Tag) -> bool:
    """Whether a column holds classes: texts, two states as numbers, or few whole numbers under a name that says so."""
    if tag.categories:
        return len(tag.categories) >= 2
    return is_alarm(table, tag)


def is_alarm(table: Table, tag: Tag) -> bool:
    """Whether a column of numbers is one of states: two whole numbers, or few under a name that says class."""
    values = np.asarray(table.column(tag.name), np.float64)
    finite = values[np.isfinite(values)]
    kinds = np.unique(finite)
    if len(kinds) < 2 or not np.array_equal(kinds, np.round(kinds)) or len(kinds) > FEW_CLASSES:
        return False
    return len(kinds) == 2 or bool(CLASS_WORDS.search(tag.name))


def normal_of(table: Table, name: str) -> tuple[str, bool]:
    """The class that is most likely normal operation, and whether it says so itself."""
    tag = table.tag(name)
    values = np.asarray(table.column(name), np.float64)
    kinds, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    names = [tag.categories[int(kind)] if tag.categories else str(int(kind)) for kind in kinds]
    for code, word in enumerate(names):
        if word == "0" or re.fullmatch(r"(?i)normal|ok|good|no|none|false|off|healthy|正常|良好|無", word):
            return names[code], True
    return names[int(np.argmax(counts))], False


def useless(table: Table, tag: Tag) -> str | None:
    """Why a column can be neither target nor input, as a key of the catalogue."""
    values = np.asarray(table.column(tag.name), np.float64)
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return "draft.is_empty"
    if finite.min() == finite.max():
        return "draft.is_constant"
    if tag.categories:
        return None
    steps = np.diff(finite)
    return "draft.is_counter" if steps.min() == steps.max() and len(steps) > 1 else None


def beside_another(table: Table, tag: Tag) -> bool:
    """Whether a column is named as the quality, status or flag of another."""
    stem = re.sub(r"(?i)[\s._/-]*(quality|status|flag|questionable|substituted|品質|狀態|註記)$", "", tag.name)
    return stem != tag.name and stem in table.names


def _missing(table: Table, name: str) -> float:
    return float(np.isnan(table.column(name)).mean())
