"""A tag whose unit, range or level changed on the way.

This module finds sudden lasting changes of level in one column and asks whether a change of unit
explains them: level, spread and noise must all change as the conversion says (degC to degF, bar to psi, a
factor of 1000 ...), from one row to the next, and the values must stay where it puts them. A counter, a trend and a
new mode of operation do none of this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.runs import stretches

_BLOCKS = 64
_LEAST_BLOCK = 8
_NEAR = 100  # values looked at on each side of a change
_ENOUGH = 30  # fewer values on a side say nothing of a unit
_SUDDEN = 3.0  # so many times the usual large steps a change of unit must be
_ONE_WAY = 0.9  # a column with this share of its steps in one direction counts or drifts
_MOST = 5  # a column with more sudden changes than this changes by its nature (batches, recipes)


@dataclass(frozen=True)
class Conversion:
    """``y = factor * x + offset``, between these units; no units for a mere power of ten."""

    text: str
    factor: float
    offset: float = 0.0
    units: tuple[str, ...] = ()

    @property
    def back(self) -> Conversion:
        """The way back."""
        text = " → ".join(reversed(self.text.split(" → "))) if " → " in self.text else f"÷{self.text[1:]}"
        return Conversion(text, 1 / self.factor, -self.offset / self.factor, self.units)


_THERE = (
    Conversion("degC → degF", 1.8, 32.0, ("degC", "degF", "°C", "°F", "C", "F")),
    Conversion("degC → K", 1.0, 273.15, ("degC", "°C", "C", "K")),
    Conversion("degF → K", 1 / 1.8, 255.3722, ("degF", "°F", "F", "K")),
    Conversion("bar → psi", 14.50377, 0.0, ("bar", "barg", "bara", "psi", "psig", "psia")),
    Conversion("bar → kPa", 100.0, 0.0, ("bar", "barg", "bara", "kPa", "kPag")),
    Conversion("MPa → bar", 10.0, 0.0, ("MPa", "bar", "barg", "bara")),
    Conversion("kPa → mmHg", 7.500617, 0.0, ("kPa", "mmHg")),
    Conversion("psi → kPa", 6.894757, 0.0, ("psi", "kPa")),
    Conversion("kg → lb", 2.204623, 0.0, ("kg", "lb", "kg/h", "lb/h")),
    Conversion("m3/h → gpm", 4.402868, 0.0, ("m3/h", "gpm")),
    Conversion("m3 → ft3", 35.31467, 0.0, ("m3", "ft3", "m3/h", "ft3/h")),
    Conversion("% → fraction", 0.01, 0.0, ("%", "fraction", "-")),
    Conversion("×10", 10.0),
    Conversion("×100", 100.0),
    Conversion("×1000", 1000.0),
    Conversion("×60", 60.0),
    Conversion("×3600", 3600.0),
    Conversion("×1000000", 1e6),
)
CONVERSIONS = _THERE + tuple(conversion.back for conversion in _THERE)


@dataclass(frozen=True)
class Shift:
    """A sudden lasting change: from ``row`` on; medians before and after; the conversion that explains it."""

    row: int
    before: float
    after: float
    conversion: Conversion | None


def find_shifts(x: NDArray[np.float64], *, unit: str = "") -> tuple[Shift, ...]:
    """The sudden lasting changes of one column (N,) that a change of unit explains, or that leave its range.

    A change counts when the values on its two sides hardly overlap. Shorter than about a 64th of the
    column, or in a column with more than five sudden changes, it is not looked for.

    >>> rng = np.random.default_rng(0)
    >>> degrees = 80 + rng.normal(size=1000)
    >>> degrees[600:] = degrees[600:] * 1.8 + 32
    >>> [(shift.row, shift.conversion.text) for shift in find_shifts(degrees)]
    [(600, 'degC → degF')]
    """
    rows = np.flatnonzero(np.isfinite(x))
    v = x[rows]
    blocks = min(_BLOCKS, len(v) // _LEAST_BLOCK)
    if blocks < 3:
        return ()
    size = len(v) // blocks
    low, median, high = _quantiles(v[: blocks * size].reshape(blocks, size))
    apart = np.maximum(low[2:] - high[:-2], low[:-2] - high[2:])
    found = []
    starts, lengths = stretches(apart > 0)
    if len(starts) > _MOST:
        return ()
    for a, b in zip(starts, starts + lengths, strict=True):
        at = a + int(np.argmax(apart[a:b]))  # the change lies in blocks at to at + 2
        shift = _locate(v, at * size, min(len(v), (at + 3) * size), (median[at], median[at + 2]), unit)
        if shift is not None:
            found.append(Shift(int(rows[shift.row]), shift.before, shift.after, shift.conversion))
    return tuple(found)


def _quantiles(blocks: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    size = blocks.shape[1]
    at = [size // 20, size // 2, size - 1 - size // 20]
    ordered = np.partition(blocks, at, axis=1)
    return ordered[:, at[0]], ordered[:, at[1]], ordered[:, at[2]]


def _locate(v: NDArray[np.float64], a: int, b: int, levels: tuple[float, float], unit: str) -> Shift | None:
    """Where the level changes between ``a`` and ``b``, if it does so at once and for good reason."""
    upward = levels[1] > levels[0]
    beyond = (v[a:b] > sum(levels) / 2) == upward
    score = np.concatenate([[0], np.cumsum(np.where(beyond, -1, 1))])
    row = a + int(np.argmax(score))
    before, after = v[max(0, row - _NEAR) : row], v[row : row + _NEAR]
    if min(len(before), len(after)) < _LEAST_BLOCK:
        return None
    low, m1, high = (float(q) for q in np.quantile(before, [0.05, 0.5, 0.95]))
    least, m2, most = (float(q) for q in np.quantile(after, [0.05, 0.5, 0.95]))
    at_once = least > high if upward else most < low
    if not at_once or abs(m2 - m1) < 0.5 * abs(levels[1] - levels[0]):
        return None
    conversion = _explain(before, after, unit=unit)
    if conversion is not None and not _stays(v, row, conversion):
        conversion = None
    reach = 2 * (v[:row].max() - v[:row].min())
    if conversion is None and abs(m2 - np.median(v[:row])) <= reach:
        return None  # the process has been about there before: a change of operation
    return Shift(row, m1, m2, conversion)


def _explain(before: NDArray[np.float64], after: NDArray[np.float64], *, unit: str) -> Conversion | None:
    """The conversion that turns the values before into those after; the nearest if there are several."""
    steps = np.diff(before), np.diff(after)
    noise = float(np.median(np.abs(steps[0]))), float(np.median(np.abs(steps[1])))
    jump = abs(float(after[0] - before[-1]))
    usual = max(float(np.quantile(np.abs(step), 0.9)) for step in steps)
    if min(len(before), len(after)) < _ENOUGH or not min(noise) > 0 or jump < _SUDDEN * usual:
        return None
    if any(max(np.mean(step > 0), np.mean(step < 0)) > _ONE_WAY for step in steps):
        return None
    at = [0.05, 0.5, 0.95]
    low, middle, high = (float(q) for q in np.quantile(before, at))
    least, level, most = (float(q) for q in np.quantile(after, at))
    best, nearest = None, np.inf
    for conversion in CONVERSIONS:
        if unit and conversion.units and unit not in conversion.units:
            continue
        spread = conversion.factor * (high - low)
        miss = abs(conversion.factor * middle + conversion.offset - level)
        allowed = max(0.05 * abs(level - middle), 0.25 * spread)
        at_jump = abs(conversion.factor * float(before[-1]) + conversion.offset - float(after[0]))
        wide = (most - least) / spread
        ratio = noise[1] / noise[0] / conversion.factor
        fits = miss <= allowed and at_jump <= max(0.05 * jump, spread) and 0.4 <= wide <= 2.5 and 0.5 <= ratio <= 2.0
        if fits and miss < nearest:
            best, nearest = conversion, miss
    return best


def _stays(v: NDArray[np.float64], row: int, conversion: Conversion) -> bool:
    """Whether the values from ``row`` on lie for long where those before it lay, converted."""
    low, high = np.quantile(conversion.factor * v[:row] + conversion.offset, [0.01, 0.99])
    later = v[row : row + max(_ENOUGH, (len(v) - row) // 4)]
    return bool(np.mean((later >= 2 * low - high) & (later <= 2 * high - low)) > 0.75)
