"""Why an answer is in doubt.

This module says for each window how good its inputs are, and which tag is to blame for what reason: of the worst
cells in the window the newest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.ledger import Note
from backmix.data.quality import Quality
from backmix.data.windows.windows import Windows

SOURCE = "windows.doubt_source"
"""The reason of a cell that was in doubt before it was repaired: its source says so, or a state is unknown."""
NAMES = {Quality.GOOD: "good", Quality.UNCERTAIN: "uncertain", Quality.BAD: "bad"}


@dataclass(frozen=True, eq=False)
class Doubts:
    """The quality of the inputs of W windows.

    quality: (W,) "good", "uncertain" or "bad"; tag, reason: (W,) of the newest of the worst cells, the reason as a key
        of the text catalogue; None where all is good
    """

    quality: NDArray[np.object_]
    tag: NDArray[np.object_]
    reason: NDArray[np.object_]

    @property
    def columns(self) -> dict[str, NDArray[np.object_]]:
        """The columns of a prediction frame."""
        return {"quality": self.quality, "quality_tag": self.tag, "quality_reason": self.reason}

    @classmethod
    def of(cls, windows: Windows, notes: Sequence[Note] = ()) -> Doubts:
        """The quality of windows, with reasons from the notes of the repair of their table."""
        worst = windows.worst_quality()
        tags, reasons = (np.full(len(windows), None, dtype=object) for _ in range(2))
        for level in (Quality.UNCERTAIN, Quality.BAD):
            mine = np.flatnonzero(worst == level)
            if len(mine):
                tags[mine], reasons[mine] = _blamed(
                    windows, notes, int(level), np.asarray(windows.origins[mine], np.int64)
                )
        names = np.array([NAMES[Quality(code)] for code in range(len(NAMES))], dtype=object)
        return cls(names[worst], tags, reasons)


def _blamed(
    windows: Windows, notes: Sequence[Note], level: int, origins: NDArray[np.int64]
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Tag and reason of the newest cell of a quality in the inputs before each origin."""
    table, spec = windows.table, windows.spec
    assert table.quality is not None
    columns = {name: table.index(name) for name in spec.inputs}
    newest = np.full(len(table), -1)
    blame = np.full(len(table), -1)
    causes: list[tuple[str, str]] = []
    for name, column in columns.items():
        rows = np.flatnonzero(np.asarray(table.quality[:, column]) == level)
        newest[rows], blame[rows] = rows, len(causes)
        causes.append((name, SOURCE))
    for note in notes:
        if note.cells is None or note.tag not in columns:
            continue
        cells = note.cells[np.asarray(table.quality[:, columns[note.tag]])[note.cells] == level]
        blame[cells] = len(causes)
        causes.append((note.tag, note.reason))
    last = np.maximum.accumulate(newest)
    end = np.asarray(origins) - (0 if set(spec.targets) & set(spec.inputs) else spec.dead_time)
    which = blame[last[end]]
    tags, reasons = (np.array([cause[side] for cause in causes], dtype=object) for side in (0, 1))
    return tags[which], reasons[which]
