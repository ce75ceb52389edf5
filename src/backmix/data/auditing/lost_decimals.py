"""Numbers that lost their decimal mark.

This module finds columns that mix 301.02 and 301020: a spreadsheet took the mark for one of thousands and dropped it,
so that some values are too large by a power of ten. Such values are never averaged with the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.reported import is_report
from backmix.data.table import Table

LEAST, SHARE = 3, 0.01
"""So many values, and this share of all, must have lost their mark."""
LARGE = 1000.0
FITTING = 0.95
NARROW, BESIDE = 4.0, 1.25
"""The sound values lie within this ratio of one another; a mended value within this ratio beside them."""


@dataclass(frozen=True)
class LostDecimals:
    """A tag some of whose values are too large by a power of ten.

    rows: (K,) where they are; sound, lost: an example of each; below: a limit that tells them apart
    """

    tag: str
    rows: NDArray[np.int64]
    sound: float
    lost: float
    below: float


def find_lost_decimals(table: Table) -> tuple[LostDecimals, ...]:
    """The tags of a table in which decimal marks were lost.

    >>> from backmix.data.tag import Tag
    >>> flow = np.array([300.629, 297322, 304735, 296.884, 298906, 298.418])
    >>> (found,) = find_lost_decimals(Table(flow[:, None], (Tag("FI101"),)))
    >>> found.rows.tolist(), found.sound, found.lost, found.below
    ([1, 2, 4], 300.629, 297322.0, 600.0)
    """
    losses = []
    for column, tag in enumerate(table.tags):
        if tag.categories or is_report(tag.name):
            continue
        x = np.asarray(table.values[:, column], np.float64)
        if (lost := _lost(np.abs(x))) is not None:
            rows, below = lost
            sound = x[np.isfinite(x) & (np.abs(x) < below)]
            losses.append(LostDecimals(tag.name, rows, float(sound[0]), float(x[rows[0]]), below))
    return tuple(losses)


def _lost(size: NDArray[np.float64]) -> tuple[NDArray[np.int64], float] | None:
    """The rows whose marks were lost, and a limit above all others; sizes (N,)."""
    known = np.isfinite(size)
    if not known.any() or not np.max(size[known]) >= LARGE:
        return None
    whole = known & (size == np.floor(size))
    lost = whole & (size >= LARGE)
    sound = known & ~lost & (size > 0)
    count = np.count_nonzero(lost)
    if np.count_nonzero(sound & ~whole) < LEAST or count < max(LEAST, SHARE * np.count_nonzero(known)):
        return None
    low, high = float(np.min(size[sound])), float(np.max(size[sound]))
    if high > NARROW * low or float(np.min(size[lost])) < 2 * NARROW * high:
        return None
    scales = 10.0 ** np.arange(1, 13)
    mended = size[lost][:, None] / scales
    fits = ((mended >= low / BESIDE) & (mended <= high * BESIDE)).any(axis=1)
    if np.mean(fits) < FITTING:
        return None
    return np.flatnonzero(lost), float(f"{2 * high:.2g}")
