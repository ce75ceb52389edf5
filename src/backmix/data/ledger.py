"""What was done to the data, and where every row that was read has gone.

This module keeps the notes of reading, repairing and resampling, and closes the account:
rows read = rows used + rows repaired + rows dropped, each with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from backmix.data.quality import Quality
from backmix.data.table import Table
from backmix.text import Language, say

Action = Literal["converted", "repaired", "marked", "dropped", "added"]
"""converted: read in another form (BOM, calendar, decimal comma); repaired: a cell got a value;
marked: the quality of a cell was lowered; dropped: rows left out; added: rows that resampling put
on the grid where the source had none."""
_ROWS: tuple[Action, ...] = ("dropped", "added")
_LISTED = 12


@dataclass(frozen=True)
class Note:
    """One thing that was done to the data, or noticed in it.

    ``reason`` is a key of the text catalogue whose sentence is a short noun phrase. ``count``
    counts cells, or rows for "dropped" and "added". ``example`` is a status text, a row or a time. ``cells``: the rows
    of the tag that it is about, where repair knows them.

    >>> Note("marked", "repair.reason_limit_low", 3, tag="T101").sentence("en")
    'T101: cells marked: 3 — below the low limit of the tag'
    """

    action: Action
    reason: str
    count: int
    tag: str | None = None
    example: str = ""
    cells: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        assert self.action in get_args(Action), self.action
        assert self.count >= 0, self.count

    @property
    def rows(self) -> int:
        """How many rows it concerns as a whole; 0 for a note about cells."""
        return self.count if self.action in _ROWS else 0

    def sentence(self, lang: Language | None = None) -> str:
        """The note in words, one line."""
        what = "rows" if self.action in _ROWS else "cells"
        text = say(f"audit.note_{self.action}_{what}", lang, count=self.count, reason=say(self.reason, lang))
        if self.tag is not None:
            text = say("audit.note_of_tag", lang, tag=self.tag, text=text)
        return say("audit.note_example", lang, text=text, example=self.example) if self.example else text

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "action": self.action,
            "reason": self.reason,
            "count": self.count,
            "tag": self.tag,
            "example": self.example,
        }


@dataclass(frozen=True)
class Difference:
    """One thing in which a new file is not like the one that a model was trained on.

    reason: a key of the text catalogue; values: what its sentence speaks of, plain and ready for JSON

    >>> Difference("profile.columns_new", {"columns": ["FI200", "FI201"]}).sentence("en")
    'columns that the training file did not have: FI200, FI201'
    """

    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def sentence(self, lang: Language | None = None) -> str:
        """The difference in words, one line."""
        return say(self.reason, lang, **{name: _listed(value) for name, value in self.values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"key": self.reason.partition(".")[2], **self.values, "sentence": self.sentence()}


def _listed(value: Any) -> Any:
    """A list as it stands in a sentence, its first entries."""
    if not isinstance(value, list | tuple):
        return value
    return ", ".join(map(str, value[:_LISTED])) + (" …" if len(value) > _LISTED else "")


@dataclass(frozen=True)
class Ledger:
    """The notes in the order in which things happened, for ``read`` data rows of a source.

    differences: what is different about a new file, see `Difference`
    """

    read: int
    notes: tuple[Note, ...] = ()
    differences: tuple[Difference, ...] = ()

    def add(self, *notes: Note) -> Ledger:
        """The ledger with these notes at its end; a note that counts nothing is left out."""
        return replace(self, notes=self.notes + tuple(note for note in notes if note.count))

    def merge(self, notes: Iterable[Note] | Ledger) -> Ledger:
        """The ledger with the notes of a later step at its end."""
        return self.add(*(notes.notes if isinstance(notes, Ledger) else notes))

    @property
    def dropped(self) -> int:
        """Rows left out so far."""
        return sum(note.count for note in self.notes if note.action == "dropped")

    @property
    def added(self) -> int:
        """Rows that resampling put in where the source had none."""
        return sum(note.count for note in self.notes if note.action == "added")

    def status_texts(self) -> dict[str, dict[str, int]]:
        """Texts found in columns of numbers: tag -> text -> how many cells."""
        found: dict[str, dict[str, int]] = {}
        for note in self.notes:
            if note.tag is not None and note.reason.endswith("reason_status_text"):
                texts = found.setdefault(note.tag, {})
                texts[note.example] = texts.get(note.example, 0) + note.count
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        differences = {"differences": [entry.to_dict() for entry in self.differences]} if self.differences else {}
        return {"read": self.read, "notes": [note.to_dict() for note in self.notes], **differences}


@dataclass(frozen=True)
class Account:
    """Where the rows of a source have gone; it always adds up.

    ``reasons`` says how many rows were dropped, or added by resampling, for which reason.

    >>> Account(read=10, used=7, repaired=2, dropped=1, reasons=(("repair.reason_merged", 1),)).read
    10
    """

    read: int
    used: int
    repaired: int
    dropped: int
    reasons: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        parts = (self.used, self.repaired, self.dropped)
        if min(parts) < 0 or self.read != sum(parts):
            raise AssertionError(f"{self.read} rows read, but used + repaired + dropped = {parts}")

    def sentence(self, lang: Language | None = None) -> str:
        """The account in words, one line."""
        return say("audit.account", lang, read=self.read, used=self.used, repaired=self.repaired, dropped=self.dropped)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def account(ledger: Ledger, table: Table, *, repaired: NDArray[np.bool_] | None = None) -> Account:
    """Close the account of a source whose remaining rows are ``table``.

    ``repaired`` (N,) marks the rows of ``table`` in which a value was put in or replaced, as
    `Repaired.account` knows them. Without it, these are the rows with an uncertain value in a
    tag that the ledger says was repaired. A row that resampling added was never read, so it is
    in ``reasons`` but in no sum. Raises AssertionError when a stage lost rows without a note.
    """
    left = len(table) - ledger.added
    if repaired is None:
        repaired = _repaired_rows(ledger, table)
    count = min(int(np.count_nonzero(repaired)), left)
    reasons: dict[str, int] = {}
    for note in ledger.notes:
        if note.rows:
            reasons[note.reason] = reasons.get(note.reason, 0) + note.rows
    return Account(
        read=ledger.read, used=left - count, repaired=count, dropped=ledger.dropped, reasons=tuple(reasons.items())
    )


def _repaired_rows(ledger: Ledger, table: Table) -> NDArray[np.bool_]:
    touched = {note.tag for note in ledger.notes if note.action == "repaired"}
    rows = np.zeros(len(table), bool)
    if table.quality is not None:
        for column, name in enumerate(table.names):
            if name in touched:
                rows |= table.quality[:, column] == Quality.UNCERTAIN
    return rows
