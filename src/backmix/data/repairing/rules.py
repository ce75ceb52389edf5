"""The repair rules, each on one column.

This module holds the column of a table while it is being repaired: its values, its qualities and
what was done. Every rule acts on the cells of one tag, inside segments, and keeps a log.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backmix.data.ledger import Action
from backmix.data.quality import Quality
from backmix.data.runs import Bools, standing, stretches
from backmix.data.segments import Rows

HARDLY = 0.001
"""A value beyond the training range by less than this share of its span is inside: the one constant for whoever asks
whether a value is known from training."""


def training_range(x: NDArray[np.float64]) -> tuple[float, float]:
    """The ends of the range of training values (N,), each farther out by `HARDLY` of the span.

    >>> training_range(np.array([0.0, 10.0, np.nan]))
    (-0.01, 10.01)
    """
    low, high = float(np.nanmin(x)), float(np.nanmax(x))
    room = HARDLY * (high - low)
    return low - room, high + room


@dataclass(frozen=True)
class Entry:
    """One line of a column's log: what was done to how many cells, the first row of them, and all of them."""

    action: Action
    reason: str
    count: int
    row: int
    cells: NDArray[np.int64]


@dataclass
class RepairColumn:
    """The cells of one tag under repair, N rows.

    x: (N,) float64; quality: (N,) uint8; start: (N,) first row of each row's segment
    A cell is NaN exactly where its quality is BAD, before and after every rule.
    """

    x: NDArray[np.float64]
    quality: NDArray[np.uint8]
    start: Rows
    log: list[Entry] = field(default_factory=list)

    def settle(self) -> None:
        """Begin: a missing value is BAD, a BAD value is missing, infinity is neither number nor trust."""
        infinite = np.isinf(self.x)
        self._spoil(infinite, "repair.reason_infinite")
        self._spoil((self.quality == Quality.BAD) & ~np.isnan(self.x), "repair.reason_bad_number")
        self.quality[np.isnan(self.x)] = Quality.BAD

    def limit(self, low: float | None, high: float | None) -> None:
        """A value beyond a physical limit is a bad measurement."""
        with np.errstate(invalid="ignore"):
            if low is not None:
                self._spoil(self.x < low, "repair.reason_limit_low")
            if high is not None:
                self._spoil(self.x > high, "repair.reason_limit_high")

    def doubt_spikes(self, spikes: Bools) -> None:
        """Keep the raw value of a spike, with doubt."""
        self._doubt(spikes, "repair.reason_spike")

    def mask_spikes(self, spikes: Bools) -> None:
        """Take a spike for a missing value."""
        self._spoil(spikes, "repair.reason_spike_masked")

    def freeze(self, limit: int) -> None:
        """A value that has not changed for half of ``limit`` rows is uncertain, after ``limit`` rows BAD.

        Only good values are counted, so that a second pass finds nothing new.
        """
        still = standing(np.where(self.quality == Quality.GOOD, self.x, np.nan), self.start)
        self._doubt((still > limit // 2) & (still <= limit), "repair.reason_frozen")
        self._spoil(still > limit, "repair.reason_frozen_bad")

    def clamp(self, low: float, high: float) -> None:
        """Bring a value outside the range of training to its edge, with doubt."""
        with np.errstate(invalid="ignore"):
            for outside, edge, reason in (
                (self.x < low, low, "repair.reason_clamp_low"),
                (self.x > high, high, "repair.reason_clamp_high"),
            ):
                self._put(outside, np.full(int(np.count_nonzero(outside)), edge), reason)

    def hold(self, longest: int) -> None:
        """Put the value before a hole into it, for at most ``longest`` rows.

        Only a good value is held: what is already in doubt is not made to last.
        """
        holes = np.flatnonzero(np.isnan(self.x))
        if not len(holes) or not longest:
            return
        last = self._last_number()[holes]
        fill = (last >= self.start[holes]) & (holes - last <= longest)
        fill[fill] = self.quality[last[fill]] == Quality.GOOD
        self._put_at(holes[fill], self.x[last[fill]], "repair.reason_held")

    def interpolate(self, longest: int, clock: NDArray[np.float64]) -> None:
        """Join the good values on both sides of a hole of at most ``longest`` rows by a line in time.

        clock: (N,) seconds, or row numbers. Looks ahead: for work offline only.
        """
        holes = np.isnan(self.x)
        starts, lengths = stretches(holes)
        before, after = starts - 1, starts + lengths
        inside = (lengths <= longest) & (before >= 0) & (after < len(self.x))
        before, after, starts, lengths = before[inside], after[inside], starts[inside], lengths[inside]
        sound = (
            (self.start[before] == self.start[after])
            & (self.quality[before] == Quality.GOOD)
            & (self.quality[after] == Quality.GOOD)
        )
        before, after, starts, lengths = before[sound], after[sound], starts[sound], lengths[sound]
        if not len(starts):
            return
        which = np.repeat(np.arange(len(starts)), lengths)
        rows = starts[which] + np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        a, b = before[which], after[which]
        share = (clock[rows] - clock[a]) / (clock[b] - clock[a])
        self._put_at(rows, self.x[a] + share * (self.x[b] - self.x[a]), "repair.reason_interpolated")

    def close(self) -> None:
        """End: say how many cells stay without a value; windows do not cross them."""
        self._log("marked", "repair.reason_left_missing", np.flatnonzero(self.quality == Quality.BAD))

    def _last_number(self) -> NDArray[np.int64]:
        row = np.arange(len(self.x))
        return np.asarray(np.maximum.accumulate(np.where(np.isnan(self.x), -1, row)))

    def _spoil(self, cells: Bools, reason: str) -> None:
        at = np.flatnonzero(cells)
        self.x[at] = np.nan
        self.quality[at] = Quality.BAD
        self._log("marked", reason, at)

    def _doubt(self, cells: Bools, reason: str) -> None:
        at = np.flatnonzero(cells)
        at = at[self.quality[at] == Quality.GOOD]
        self.quality[at] = Quality.UNCERTAIN
        self._log("marked", reason, at)

    def _put(self, cells: Bools, values: NDArray[np.float64], reason: str) -> None:
        self._put_at(np.flatnonzero(cells), values, reason)

    def _put_at(self, at: NDArray[np.int64], values: NDArray[np.float64], reason: str) -> None:
        self.x[at] = values
        self.quality[at] = Quality.UNCERTAIN
        self._log("repaired", reason, at)

    def _log(self, action: Action, reason: str, at: NDArray[np.int64]) -> None:
        if len(at):
            self.log.append(Entry(action=action, reason=reason, count=len(at), row=int(at[0]), cells=at))
