"""Conformal prediction.

This module holds the nonconformity scores (`Scores`) of a model on rows that were not used in training. The score of
a new row stays at or below `Scores.radius` with the probability asked for, whatever the distribution, as long as the
units are exchangeable. A unit is a window, or a whole batch where the windows of a batch are alike.

Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005); Lei et al., J. Am. Stat. Assoc. 113
(2018) 1094; units of several rows: Lee, Barber & Willett, arXiv 2306.06342 (2023).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backmix.models.members.novelty import needed

Floats = NDArray[np.float64]

LEAST_BLOCKS, MOST_SPREAD = 3, 3.0
DRAWS, GRID = 99, np.linspace(0.0025, 0.9975, 200)
EXACT = 1e-12
"""Shares are sums of fractions: two nearer than this are the same."""


def needed_units(level: float) -> int:
    """How many exchangeable units an interval of this level needs; with fewer it is infinite.

    >>> needed_units(0.9), needed_units(0.95)
    (9, 19)
    """
    return needed(1.0 - level)


def spread_factor(scores: Floats, blocks: NDArray[np.int64], level: float) -> float:
    """By what factor a radius over blocks in time must grow to hold in a new block, from scores (n,) and codes (n,).

    The size of errors differs from block to block. The logarithm of a new block's size is taken as one more draw of
    Student's t distribution from those of the B blocks that are there; 1 where there are fewer than `LEAST_BLOCKS`.

    >>> noise = np.abs(np.random.default_rng(0).normal(size=800))
    >>> code = np.arange(800) // 200
    >>> round(spread_factor(noise, code, 0.9), 1), spread_factor(noise * np.array([1, 4, 1, 2])[code], code, 0.9) > 1.2
    (1.0, True)
    """
    from scipy.stats import t

    least = 2 * needed_units(level)
    groups = [some for code in np.unique(blocks) if len(some := scores[blocks == code]) >= least]
    if len(groups) < LEAST_BLOCKS:
        return 1.0
    sizes = np.array([Scores.of(some).radius(level) for some in groups])
    if not (sizes > 0).all():
        return 1.0
    logs = np.log(sizes)
    middle, spread = logs.mean(), logs.std(ddof=1) * math.sqrt(1.0 + 1.0 / len(groups))
    new = np.exp(middle + spread * t.ppf((np.arange(DRAWS) + 0.5) / DRAWS, len(groups) - 1))
    plain = np.concatenate([np.quantile(some / size, GRID) for some, size in zip(groups, sizes, strict=True)])
    radius = float(np.quantile(np.outer(plain, new), level))
    return float(np.clip(radius / Scores.of(np.concatenate(groups)).radius(level), 1.0, MOST_SPREAD))


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of the calibration rows, for any level.

    values: (n,) ascending; shares: (n,) the cumulative weight up to each, every unit having 1 / (units + 1); the rest
        is the weight of the new unit. units: how many exchangeable units
    """

    values: Floats
    shares: Floats
    units: int

    @classmethod
    def of(cls, scores: ArrayLike, units: ArrayLike | None = None) -> Self:
        """From finite scores (n,) and the unit of each (n,); every score is its own unit where None.

        >>> Scores.of(range(1, 20)).radius(0.9)
        18.0
        >>> Scores.of([1.0, 2.0, 3.0, 9.0], units=["A", "A", "A", "B"]).units
        2
        """
        values = np.asarray(list(scores) if isinstance(scores, range) else scores, dtype=np.float64)
        order = np.argsort(values, kind="stable")
        if units is None:
            return cls(values[order], np.arange(1, len(values) + 1) / (len(values) + 1), len(values))
        _, codes, counts = np.unique(np.asarray(units), return_inverse=True, return_counts=True)
        weights = 1.0 / ((len(counts) + 1) * counts[codes])
        return cls(values[order], np.cumsum(weights[order]), len(counts))

    def radius(self, level: float) -> float:
        """The bound that a new score keeps with a probability of at least ``level``; infinite for too few units.

        The smallest value whose share reaches the level: with one row per unit the k-th smallest of n, where
        k = ceil((n + 1) level).
        """
        index = int(np.searchsorted(self.shares, level - EXACT))
        return float(self.values[index]) if index < len(self.values) else math.inf

    def thinned(self, most: int, level: float) -> Self:
        """At most ``most`` (2 or more) of the values: radii are exact at ``level``, elsewhere never smaller."""
        if len(self.values) <= most:
            return self
        even = np.linspace(0, len(self.values) - 1, most - 1).round().astype(np.int64)
        exact = int(np.searchsorted(self.shares, level - EXACT))
        indices = np.unique(np.append(even, min(exact, len(self.values) - 1)))
        return type(self)(self.values[indices], self.shares[indices], self.units)

    def widened(self, factor: float) -> Self:
        """The same scores, all larger by a factor."""
        return self if factor == 1.0 else replace(self, values=self.values * factor)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"values": self.values.tolist(), "shares": self.shares.tolist(), "units": self.units}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The scores of `to_dict`; ValueError, KeyError or TypeError when they are malformed."""
        values, shares = (np.asarray(data[name], dtype=np.float64) for name in ("values", "shares"))
        units = data["units"]
        if values.ndim != 1 or shares.shape != values.shape or not isinstance(units, int) or isinstance(units, bool):
            raise ValueError("expected two lists of one length and a number of units")
        ordered = bool((np.diff(values) >= 0).all() and (np.diff(shares) > 0).all())
        if not ordered or not np.isfinite(values).all() or not ((shares > 0) & (shares < 1)).all() or units < 0:
            raise ValueError("expected ascending numbers, and shares between 0 and 1")
        if (units == 0) != (len(values) == 0):
            raise ValueError("no units without values")
        return cls(values, shares, units)
