"""Cells of a laboratory that are a number and a word.

This module reads "<0.5" (below the limit of detection) and "3.21 (重測)" (a repeat) as the numbers that they hold, for
the result columns that a plan names, and counts both.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from backmix.data.ledger import Note
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.columns import texts as as_texts

REPEAT = re.compile(r"重測|重驗|複測|复测|再測|re-?test|re-?peat|re-?run|re-?anal|duplicate", re.IGNORECASE)
_NUMBER = r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?"
_BELOW = re.compile(rf"^\s*[<＜≦≤]=?\s*({_NUMBER})\s*$")
_NOTED = re.compile(rf"^\s*({_NUMBER})\s*[(（\[*]?\s*([^\d\s()（）\[\]*]*)\s*[)）\]*]?\s*$")


@dataclass(frozen=True)
class LabCells:
    """What the cells of one result column say: how many are numbers, below a limit, and repeats."""

    numbers: int
    below: int
    repeats: int
    example: str = ""


def look_at(column: RawColumn) -> LabCells:
    """What stands in the cells of a column."""
    numbers = 0 if column.numbers is None else int(np.isfinite(column.numbers).sum())
    below = repeats = 0
    example = ""
    for text in [] if column.texts is None else column.texts.to_pylist():
        if text is None:
            continue
        if _BELOW.match(text):
            below += 1
            example = example or text.strip()
        elif (noted := _NOTED.match(text)) and (not noted[2] or REPEAT.search(noted[2])):
            numbers += 1
            repeats += bool(noted[2])
    return LabCells(numbers, below, repeats, example)


def with_plain_numbers(raw: RawTable, names: Collection[str], below: float | None) -> RawTable:
    """The table with these columns' cells as plain numbers, and the notes on what was made of them.

    below: the share of its limit that a result such as "<0.5" counts as; None leaves it without a number.
    """
    columns, notes = [], list(raw.notes)
    for column in raw.columns:
        if column.name in names and column.texts is not None:
            column, cells_notes = _plain(column, below)
            notes += cells_notes
        columns.append(column)
    return replace(raw, columns=tuple(columns), notes=tuple(notes))


def _plain(column: RawColumn, below: float | None) -> tuple[RawColumn, list[Note]]:
    assert column.texts is not None
    cells: list[str | None] = column.texts.to_pylist()
    limited = repeated = 0
    examples = ["", ""]
    for row, text in enumerate(cells):
        if text is None:
            continue
        if below is not None and (match := _BELOW.match(text)):
            mark = "," if "," in match[1] else "."  # the rest of the column is written with the same
            cells[row] = f"{below * float(match[1].replace(mark, '.')):.15g}".replace(".", mark)
            limited += 1
            examples[0] = examples[0] or text.strip()
        elif (match := _NOTED.match(text)) and match[2] and REPEAT.search(match[2]):
            cells[row] = match[1]
            repeated += 1
            examples[1] = examples[1] or text.strip()
    if not limited and not repeated:
        return column, []
    notes = [
        Note("converted", "lab.reason_below", limited, tag=column.name, example=examples[0]),
        Note("converted", "lab.reason_repeat", repeated, tag=column.name, example=examples[1]),
    ]
    return replace(column, texts=as_texts(cells)), [note for note in notes if note.count]
