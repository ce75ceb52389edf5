"""Scaling and stepping for networks in NumPy.

This module defines `Stepper`, the base of the classes that have the interface of the native `Network`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
State = NDArray[np.float32]


class Stepper(ABC):
    """Scales rows (…, F) of plant values, and steps one row at a time through `carry`.

    scaling: center, scale, low, high, each (F,): from plant units to the network's, and where inputs are cut off
    """

    state_size: int

    def __init__(self, scaling: Sequence[Floats]) -> None:
        self._center, self._scale, self._low, self._high = scaling

    @abstractmethod
    def carry(self, rows: Floats, state: State) -> tuple[Floats, State]:
        """Rows (N, F) one after the other: outputs (N, O) and the state after the last row."""

    def decode(self, center: list[float], scale: list[float], two_classes: bool) -> None:
        """Set how `step` decodes raw outputs: plant units, or probabilities of two classes from one number."""
        self._decode = (np.array(center), np.array(scale), two_classes)

    def step(self, row: Floats, state: State, after: State, out: Floats) -> int:
        """One row (F,) from one state to the next, both written; returns the first missing feature or -1."""
        if not isinstance(row, np.ndarray) or row.shape != self._center.shape or state.shape != (self.state_size,):
            raise TypeError
        bad = np.flatnonzero(~np.isfinite(row))
        if len(bad):
            return int(bad[0])
        raw, after[:] = self.carry(row[None], state)
        center, scale, two_classes = self._decode
        out[:] = (
            np.concatenate([1.0 - raw[0], raw[0]])
            if two_classes
            else (raw[0] * scale + center if len(scale) else raw[0])
        )
        return -1

    def _scaled(self, rows: Floats) -> NDArray[np.float32]:
        """To the network's numbers, rounded to float32 as the network has them."""
        return ((np.clip(rows, self._low, self._high) - self._center) / self._scale).astype(np.float32)
