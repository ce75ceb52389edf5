"""Which rows of the table a window looks at.

This module says from which row to which a window reaches, past targets and answers included, so that
windows can be kept apart that share a row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backmix.data.segments import Mask
from backmix.data.windows.windows import Windows

Rows = NDArray[np.int64]


def reaches(windows: Windows) -> tuple[Rows, Rows]:
    """(W,) the first and the last row that each window looks at; its target row may lie behind the last."""
    windows = windows.entire
    origins = np.asarray(windows.origins, dtype=np.int64)
    last = origins - windows.spec.dead_time
    first = last - (windows.steps if windows.lengths is None else np.asarray(windows.lengths)) + 1
    if windows.spec.carried:
        from backmix.data.windows.carry import carry

        first = np.asarray(carry(windows).begins, dtype=np.int64)[last]
    low = first
    known = windows.spec.known
    if known is not None:
        carried = min(known.count or windows.steps, windows.steps)
        oldest = last - carried + 1 - known.offset
        for reported in windows.reported:
            low = np.minimum(low, np.asarray(reported)[oldest])
    # a path is looked at row by row, and what is planned for it too
    last = origins + windows.spec.horizon if windows.spec.answer == "path" else last
    return low, last


def rows_used(windows: Windows) -> Mask:
    """(N,) the rows of the table that these windows look at, targets included."""
    rows = len(windows.table)
    low, last = reaches(windows)
    change = np.bincount(low, minlength=rows + 1) - np.bincount(np.minimum(last + 1, rows), minlength=rows + 1)
    seen: Mask = np.cumsum(change[:rows]) > 0
    targets = np.asarray(windows.target_rows)
    seen[targets[targets < rows]] = True
    return seen


def apart(windows: Windows, others: Windows) -> Mask:
    """(W,) which windows share no row with any of the others; both are of one table."""
    taken = rows_used(others)
    before = np.concatenate([[0], np.cumsum(taken)])
    low, last = reaches(windows)
    end = np.minimum(last, len(taken) - 1)
    free = before[end + 1] == before[low]
    targets = np.minimum(np.asarray(windows.target_rows), len(taken) - 1)
    found: Mask = free & ~taken[targets]
    return found
