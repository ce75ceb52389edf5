"""Values that jump out of their neighbourhood.

This module marks spikes in one column with the Hampel identifier (a value far from the median of
the rows around it, in robust standard deviations) or with a limit on the change between rows. The
scale that a local spread may not fall below is learned once, from training rows.

Hampel, F.R. (1974), The influence curve and its role in robust estimation, JASA 69, 383-393;
Pearson, R.K. (2002), Outliers in process modeling and identification, IEEE Trans. Control Syst.
Technol. 10, 55-63.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.runs import Bools
from backmix.data.segments import Rows

Floats64 = NDArray[np.float64]
Rule = Literal["hampel", "rate"]

TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for normal noise."""
LEAST = 3
"""Fewer values than this have no neighbourhood to jump out of."""
COMMON = 0.99
"""What lies within this share of a tag's values is no spike."""
_BLOCKS, _BLOCK = 32, 2048  # rows looked at to learn a scale; more of them change it by a few percent


def steady(x: Floats64, start: Rows) -> bool:
    """Whether a column mostly stands still (setpoint, valve, counter): more than half of its steps are 0.

    Such a column has no noise that a spike or a frozen sensor could be told from.
    """
    step = np.diff(x)[start[1:] == start[:-1]]
    known = np.count_nonzero(~np.isnan(step))
    return bool(known == 0 or np.count_nonzero(step == 0) > known / 2)


def learn_scale(x: Floats64, start: Rows, *, rule: Rule, window: int, factor: float) -> float | None:
    """The robust standard deviation that ``rule`` compares with; None for a `steady` column.

    It is raised until ``factor`` times it leaves at most 1 % of the values outside: what happens in
    every hundredth row (steps of a setpoint, pulses of a test signal) is the nature of the tag.
    """
    if steady(x, start):
        return None
    typical = []
    for a in _block_starts(len(x)):
        at = np.arange(a, min(a + _BLOCK, len(x)))
        if rule == "rate":
            off = np.abs(x[at[1:]] - x[at[:-1]])[start[at[1:]] == start[at[:-1]]]
        else:
            median, count = _median(_rows_before(x, start, at, window))
            off = np.abs(x[at] - median)[count >= LEAST]
        typical.append(off[~np.isnan(off)])
    found = np.concatenate(typical)
    if not len(found):
        return None
    return max(TO_SIGMA * float(np.median(found)), float(np.quantile(found, COMMON)) / factor) or None


def find_spikes(x: Floats64, start: Rows, scale: float, *, rule: Rule, window: int, factor: float) -> Bools:
    """True where a value is a spike, (N,); only the row itself and rows before it are looked at.

    hampel: farther than ``factor`` robust standard deviations from the median of the last
    ``window`` rows; the deviation is that of these rows, but not below ``scale``.
    rate: farther than ``factor * scale`` from each of the two rows before, so that a new level is
    marked once and the way back is not.
    """
    found = np.zeros(len(x), bool)
    reach = min(window, 3) if rule == "rate" else window
    far = np.zeros(len(x), np.int16)
    with np.errstate(invalid="ignore"):
        for lag in range(1, min(reach, len(x))):
            far[lag:] += np.abs(x[lag:] - x[:-lag]) > factor * scale
    # A value that far from the median is that far from at least half of the rows: most rows end here.
    at = np.flatnonzero(far >= (1 if rule == "rate" else 2))
    for a in range(0, len(at), 4 * _BLOCK):
        some = at[a : a + 4 * _BLOCK]
        if rule == "rate":
            found[some] = _sudden(x, start, some, factor * scale)
        else:
            near = _rows_before(x, start, some, window)
            median, count = _median(near)
            spread, _ = _median(np.abs(near - median[:, None]))
            limit = factor * np.maximum(TO_SIGMA * spread, scale)
            found[some] = (count >= LEAST) & (np.abs(x[some] - median) > limit)
    return found


def _rows_before(x: Floats64, start: Rows, at: NDArray[np.int64], window: int) -> Floats64:
    """The last ``window`` values of each row ``at``, itself included; NaN before its segment."""
    rows = at[:, None] - np.arange(window)
    return np.where(rows >= start[at][:, None], x[np.maximum(rows, 0)], np.nan)


def _median(values: Floats64) -> tuple[Floats64, NDArray[np.int64]]:
    """Median and count of the numbers in each row; NaN where there is none (nanmedian is far slower)."""
    order = np.sort(values, axis=1)  # NaN goes to the end
    count = np.count_nonzero(~np.isnan(order), axis=1)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    rows = np.arange(len(order))
    return (order[rows, low] + order[rows, np.minimum(high, order.shape[1] - 1)]) / 2, count


def _sudden(x: Floats64, start: Rows, at: NDArray[np.int64], limit: float) -> Bools:
    """Farther than ``limit`` from every known one of the two rows before."""
    known = np.zeros(len(at), np.int64)
    near = np.zeros(len(at), bool)
    for lag in (1, 2):
        inside = at - lag >= start[at]
        off = np.where(inside, np.abs(x[at] - x[np.maximum(at - lag, 0)]), np.nan)
        known += ~np.isnan(off)
        near |= off <= limit
    return (known > 0) & ~near


def _block_starts(rows: int) -> list[int]:
    if rows <= _BLOCKS * _BLOCK:
        return list(range(0, rows, _BLOCK))
    return [int(a) for a in np.linspace(0, rows - _BLOCK, _BLOCKS)]
