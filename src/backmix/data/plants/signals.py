"""How the surroundings of a plant move.

This module makes disturbances and set points: wandering (Ornstein-Uhlenbeck), moved in steps, and
smooth between knots so that a stiff integrator can take long steps; and it delays signals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def wander(rng: np.random.Generator, rows: int, time_constant: float) -> NDArray[np.float64]:
    """An Ornstein-Uhlenbeck process of unit variance, (N,), ``time_constant`` in rows.

    Exact discretisation x[i+1] = a x[i] + sqrt(1 - a^2) e[i], a = exp(-1/time_constant)
    (Gillespie, Physical Review E 54 (1996) 2084).
    """
    from scipy.signal import lfilter

    a = math.exp(-1.0 / time_constant)
    push = rng.standard_normal(rows)
    push[1:] *= math.sqrt(1.0 - a * a)
    path: NDArray[np.float64] = lfilter([1.0], [1.0, -a], push)
    return path


def moves(
    rng: np.random.Generator, rows: int, bounds: tuple[float, float], lengths: tuple[int, int]
) -> NDArray[np.float64]:
    """A set point, (N,), that an operator moves within ``bounds`` after ``lengths`` rows (from, to)."""
    parts: list[NDArray[np.float64]] = []
    while sum(map(len, parts)) < rows:
        parts.append(np.full(rng.integers(lengths[0], lengths[1], endpoint=True), rng.uniform(*bounds)))
    return np.concatenate(parts)[:rows]


def smooth(knots: Sequence[NDArray[np.float64]], spacing: float) -> NDArray[np.float64]:
    """Monotone cubic pieces through S signals of M knots: coefficients (M-1, S, 4), highest power first.

    Fritsch & Carlson, SIAM J. Numer. Anal. 17 (1980) 238: no overshoot beyond the knots.
    """
    from scipy.interpolate import PchipInterpolator

    at = np.arange(len(knots[0])) * spacing
    pieces = [PchipInterpolator(at, signal).c for signal in knots]
    return np.ascontiguousarray(np.stack(pieces).transpose(2, 0, 1))


def at_times(pieces: NDArray[np.float64], spacing: float, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smoothed signals at ``times`` (N,): (N, S)."""
    where = np.minimum((times / spacing).astype(np.int64), len(pieces) - 1)
    rest = (times - where * spacing)[:, None]
    a, b, c, d = np.moveaxis(pieces[where], 2, 0)
    value: NDArray[np.float64] = ((a * rest + b) * rest + c) * rest + d
    return value


def delayed(signal: NDArray[np.float64], rows: float) -> NDArray[np.float64]:
    """A signal (N,) as it is seen behind a pipe of ``rows`` rows, in plug flow; the first value fills the pipe.

    >>> delayed(np.array([1.0, 2.0, 4.0]), 1.5).tolist()
    [1.0, 1.0, 1.5]
    """
    if not rows:
        return signal
    at = np.arange(len(signal), dtype=np.float64)
    return np.interp(at - rows, at, signal)
