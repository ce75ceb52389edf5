"""Between the truth and the historian: instruments.

This module adds to true values what real instruments add: noise, slow drift, rounding, limits,
values that freeze, spikes, and values that are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.plants.signals import wander


@dataclass(frozen=True)
class Instrument:
    """One instrument, in the unit of its tag.

    noise: standard deviation of the error from row to row
    resolution: smallest difference that is shown; 0 for none
    drift: standard deviation of the slow error, which wanders over ``drift_rows``
    low, high: what it cannot go below or above
    """

    noise: float
    resolution: float = 0.0
    drift: float = 0.0
    low: float = -np.inf
    high: float = np.inf
    drift_rows: float = 2000.0


@dataclass(frozen=True)
class Dirt:
    """How often instruments fail, per thousand rows and tag; lengths in rows (from, to).

    scale: multiplies all three rates; 0 for perfect instruments
    """

    bad: float = 0.25
    bad_rows: tuple[int, int] = (1, 4)
    frozen: float = 0.1
    frozen_rows: tuple[int, int] = (15, 60)
    spike: float = 0.1
    scale: float = 1.0


@dataclass(frozen=True)
class Sensed:
    """What the instruments show: values (N, F) with NaN where bad; masks (N, F); drift (N, F)."""

    values: NDArray[np.float64]
    bad: NDArray[np.bool_]
    frozen: NDArray[np.bool_]
    spike: NDArray[np.bool_]
    drift: NDArray[np.float64]

    def truth(self, true: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """What a simulation tells of its inputs: their values without an error, and every error by its kind."""
        return {"inputs": true, "bad": self.bad, "frozen": self.frozen, "spike": self.spike, "drift": self.drift}


def sense(
    true: NDArray[np.float64],
    instruments: Sequence[Instrument],
    rng: np.random.Generator,
    *,
    noise: float = 1.0,
    dirt: Dirt | None = None,
) -> Sensed:
    """What ``instruments`` show of the true values (N, F); ``noise`` multiplies noise and drift."""
    dirt = dirt or Dirt()
    rows, count = true.shape
    drift = np.column_stack([noise * one.drift * wander(rng, rows, one.drift_rows) for one in instruments]).reshape(
        rows, count
    )
    error = rng.standard_normal((rows, count)) * np.array([noise * one.noise for one in instruments])
    values = true + drift + error
    spike = rng.random((rows, count)) < dirt.scale * dirt.spike / 1000
    spread = true.std(axis=0) + np.array([one.noise for one in instruments])
    size = (6 + 6 * rng.random((rows, count))) * np.where(rng.random((rows, count)) < 0.5, -1, 1)
    values = np.where(spike, values + size * spread, values)
    for index, one in enumerate(instruments):
        if one.resolution > 0:
            values[:, index] = np.round(values[:, index] / one.resolution) * one.resolution
        values[:, index] = np.clip(values[:, index], one.low, one.high)
    frozen = _episodes(rng, true.shape, dirt.scale * dirt.frozen / 1000, dirt.frozen_rows)
    bad = _episodes(rng, true.shape, dirt.scale * dirt.bad / 1000, dirt.bad_rows)
    for index in range(count):
        held = _hold(frozen[:, index])
        values[:, index] = values[held, index]
    values[bad] = np.nan
    return Sensed(values, bad, frozen, spike & ~frozen & ~bad, drift)


def _episodes(
    rng: np.random.Generator, shape: tuple[int, ...], rate: float, lengths: tuple[int, int]
) -> NDArray[np.bool_]:
    """A mask (N, F) of episodes that begin with probability ``rate`` per row."""
    starts = rng.random(shape) < rate
    long = rng.integers(lengths[0], lengths[1], shape, endpoint=True)
    mask = np.zeros(shape, dtype=np.bool_)
    for row, column in np.argwhere(starts):
        mask[row : row + long[row, column], column] = True
    return mask


def _hold(frozen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each row the row whose value is shown: itself, or the last one before it froze."""
    rows = np.where(frozen, 0, np.arange(len(frozen)))
    return np.maximum.accumulate(rows)
