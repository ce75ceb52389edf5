"""Where the state of a model is carried, and which rows it answers for.

This module lays out a table for a model whose state goes on from row to row. A run of rows is one
stretch of one batch and one part, without a gap and without a row that cannot be used: at its first
row the state is at rest, and nothing that lies before it can matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.segments import Mask, Rows, segment_starts
from backmix.data.windows.origins import Ground, survey
from backmix.data.windows.windows import Windows

NONE = -1
"""Stands in `Carry.labels` for a row that answers for nothing."""


@dataclass(frozen=True, eq=False)
class Carry:
    """The rows of a table as a carried state meets them; all arrays (N,).

    begins: the first row of the run in which each row lies; above the row itself where no run may
        hold it
    mine: the rows that the part of the windows may look at
    labels: the row of the target that the state at this row answers for, `NONE` where there is none
    """

    begins: Rows
    mine: Mask
    labels: NDArray[np.int64]

    def runs(self) -> list[tuple[int, int]]:
        """The runs of the part as (first row, behind the last), in table order."""
        rows = np.flatnonzero(self.mine & (self.begins <= np.arange(len(self.begins))))
        if not len(rows):
            return []
        begins = np.asarray(self.begins)[rows]
        cuts = np.flatnonzero((np.diff(rows) != 1) | (np.diff(begins) != 0)) + 1
        return [(int(run[0]), int(run[-1]) + 1) for run in np.split(rows, cuts)]


def carry(windows: Windows) -> Carry:
    """The rows of the windows' table and part for a carried state.

    >>> from backmix.data.table import Table
    >>> from backmix.data.tag import Tag
    >>> from backmix.data.windows.windows import WindowSpec, build_windows
    >>> values = np.array([[0.0, 1.0], [1.0, 2.0], [np.nan, 3.0], [3.0, 4.0], [4.0, np.nan]])
    >>> table = Table(values, (Tag("T101"), Tag("C_A", role="target")))
    >>> found = carry(build_windows(table, WindowSpec(("T101",), ("C_A",), lookback=1, carried=True)))
    >>> found.runs(), found.labels.tolist()
    ([(0, 2), (3, 5)], [0, 1, -1, 3, -1])
    """
    table, spec, place = windows.table, windows.spec, windows.place
    ground = survey(table, spec, place)
    rows = np.arange(len(table))
    begins = ground.history
    if spec.known is not None:
        begins = segment_starts(
            table, max_gap=spec.max_gap, part=place.owner, unusable=(ground.history > rows) | ~_knows(windows, ground)
        )
    mine = np.ones(len(table), bool) if place.owner is None else place.owner == place.code
    labels = np.full(len(table), NONE, np.int64)
    if ground.labelled is not None:
        target = np.flatnonzero(ground.labelled if place.part is None else ground.labelled & (place.part == place.code))
        row = target - spec.horizon - spec.dead_time
        target, row = target[row >= 0], row[row >= 0]
        fine = (ground.segment[target] <= row) & (begins[row] <= row)
        labels[row[fine]] = target[fine]
    return Carry(begins, mine, labels)


def one_row(windows: Windows, rows: NDArray[np.integer]) -> Windows:
    """Windows of one row each, whose newest input is that of ``rows`` (n,): x as a carried state meets it."""
    spec = replace(windows.spec, lookback=1, need_target=False, stride=1, carried=False)
    return replace(
        windows, spec=spec, origins=np.asarray(rows) + spec.dead_time, target_rows=np.asarray(rows), lengths=None
    )


def answers(windows: Windows, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The targets on rows (n,), (n, G) scaled as the network sees them, or class codes (n, 1)."""
    return replace(windows, origins=targets, target_rows=targets, lengths=None).scaled_targets()


def _knows(windows: Windows, ground: Ground) -> Mask:
    """(N,) whether the known past of every target has a value on a row."""
    known = windows.spec.known
    assert known is not None
    start = ground.segment
    sampled = np.arange(len(start)) - known.offset
    fine: Mask = sampled >= start
    for name, last in zip(windows.spec.targets, ground.reported, strict=True):
        at = last[np.maximum(sampled, 0)]
        fine &= (at >= start) & np.isfinite(windows.table.column(name)[at])
    return fine
