"""Who is not judged.

This module counts the rows of a part, and names the units (engines, batches), that get no prediction, each with the
reason, so that a score is never taken for one of the whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from backmix.data.sources import Reading
from backmix.data.splitting.split import SplitPart
from backmix.text import LANGUAGES, Language, say
from backmix.training.prepared import Prepared

NAMED = 6
LEAST_ROWS = 2
"""A unit with fewer rows has no course that a window could show."""


@dataclass(frozen=True)
class NotJudged:
    """Rows and units without a prediction.

    rows: key of the catalogue for the reason -> how many rows (or units, where one window is one unit)
    units: name of the unit -> key of the reason
    """

    rows: dict[str, int]
    units: dict[str, str]

    def sentences(self, lang: Language | None = None) -> tuple[str, ...]:
        """One line for the rows and one for the units; none where all are judged."""
        lines = []
        if self.rows:
            reasons = ", ".join(f"{count} × {say(reason, lang)}" for reason, count in self.rows.items())
            lines.append(say("course.rows_not_judged", lang, reasons=reasons))
        return (*lines, *(say("course.units_not_judged", lang, **blanks) for blanks in self._by_reason(lang)))

    def verdict(self, lang: Language | None = None) -> tuple[str, ...]:
        """What the verdict must say: the units that have no score, a sentence for each reason."""
        return tuple(say("course.verdict_without", lang, **blanks) for blanks in self._by_reason(lang))

    def _by_reason(self, lang: Language | None) -> Iterator[dict[str, Any]]:
        for reason in dict.fromkeys(self.units.values()):
            names = [name for name, why in self.units.items() if why == reason]
            shown = ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
            yield {"count": len(names), "names": shown, "reason": say(reason, lang)}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, with the sentences in every language."""
        return asdict(self) | {"text": {lang: list(self.sentences(lang)) for lang in LANGUAGES}}


def of_test(prepared: Prepared) -> NotJudged:
    """The rows and units of the test part that no score is about."""
    windows, table = prepared.test, prepared.table
    every = windows if prepared.running is None else prepared.running
    rows = {entry.reason: entry.number for entry in every.dropped}
    waiting = len(every) - len(windows)
    if waiting:
        rows["course.reason_running"] = waiting
    if table.batch is None:
        return NotJudged(rows, {})
    codes = np.asarray(table.batch)
    tested = np.unique(codes[prepared.split.part == SplitPart.TEST])
    judged, running = (np.unique(codes[part.target_rows]) for part in (windows, every))
    units = {}
    for code in np.setdiff1d(tested, judged).tolist():
        name = table.batch_names[code]
        if code in running:
            reason = "course.reason_running"
        elif name in every.excluded:
            reason = "windows.reason_short_batch"
        else:
            reason = next(iter(rows), "windows.reason_unusable")
        units[name] = reason
    return NotJudged(rows, units)


def of_reading(reading: Reading) -> NotJudged:
    """The rows that reading left out, and the units that are too short for any window."""
    rows = _counted((note.reason, note.count) for note in reading.ledger.notes if note.action == "dropped")
    table = reading.table
    units = {}
    if table.batch is not None:
        sizes = np.bincount(np.asarray(table.batch), minlength=len(table.batch_names))
        for code in np.flatnonzero(sizes < LEAST_ROWS).tolist():
            units[table.batch_names[code]] = "windows.reason_short_batch"
    return NotJudged(rows, units)


def _counted(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for reason, count in pairs:
        counts[reason] = counts.get(reason, 0) + count
    return counts
