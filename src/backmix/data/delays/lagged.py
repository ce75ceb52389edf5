"""Two series laid beside one another at every lag.

This module lays the rows of a table on an axis on which no lag crosses a batch or a gap, and counts
and sums over all pairs (x of row t - l, y of row t) by Fourier transforms: at the lags that are asked
about, at negative ones, and at all far shifts of one series against the other round the whole axis.
What two series show at far shifts they show by chance, with all their autocorrelation; so the far
shifts are the surrogates (circular shifts: Quian Quiroga et al., Physical Review E 65 (2002) 041903).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.segments import Mask, Rows, segment_starts
from backmix.data.table import Table

Floats = NDArray[np.float64]

MOST_ROWS = 60_000
"""Only so many rows are looked at, the newest: memory stays bounded, and delays are found with fewer."""
BLOCKS = 64
"""Stretches of the axis that are drawn with replacement (block bootstrap; Künsch, Annals of Statistics 17 (1989))."""


@dataclass(frozen=True, eq=False)
class LagAxis:
    """Rows of a table with at least ``lags`` empty places between any two segments.

    rows: (N,) the rows of the table; at: (N,) their places; lags: the longest lag L
    size: places in all, as many as a Fourier transform likes; every shift is taken round the end
    """

    rows: Rows
    at: Rows
    lags: int
    size: int

    @classmethod
    def of(cls, table: Table, rows: Mask, *, lags: int) -> LagAxis:
        """The newest `MOST_ROWS` of these rows (N,); no lag beyond an eighth of them or the longest segment."""
        from scipy.fft import next_fast_len

        chosen = np.flatnonzero(rows)[-MOST_ROWS:]
        start = np.asarray(segment_starts(table, max_gap=None, part=rows.astype(np.uint8)))[chosen]
        fresh = np.diff(start, prepend=start[:1]) != 0
        sizes = np.bincount(np.cumsum(fresh)) if len(chosen) else np.zeros(1, np.int64)
        lags = max(0, min(lags, len(chosen) // 8, int(sizes.max()) - 2))
        at = np.arange(len(chosen)) + lags * np.cumsum(fresh)
        length = int(at[-1]) + 1 if len(at) else 1
        return cls(chosen, at, lags, next_fast_len(length + lags, real=True))

    def lay(self, values: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """(size,) the values (N,) less their mean, 0 where there is none; and (size,) 1 where there is one."""
        there = np.isfinite(values)
        laid, mask = np.zeros(self.size), np.zeros(self.size)
        mask[self.at[there]] = 1.0
        laid[self.at[there]] = values[there] - values[there].mean() if there.any() else 0.0
        return laid, mask

    def shifts(self, pairs: Floats) -> NDArray[np.int64]:
        """The far shifts, where nothing can follow from anything, with enough of the pairs (size,) left."""
        far = np.arange(2 * self.lags + 1, self.size - 2 * self.lags)
        found: NDArray[np.int64] = far[pairs[far] >= max(20.0, 0.3 * pairs[0])]
        return found


def transform(series: Floats) -> NDArray[np.complex128]:
    """The Fourier transform of series (..., size)."""
    from scipy.fft import rfft

    found: NDArray[np.complex128] = rfft(series)
    return found


def paired(x: NDArray[np.complex128], y: NDArray[np.complex128], size: int) -> Floats:
    """(..., size) the sum over t of x[t - s] y[t] at every shift s, from their transforms.

    >>> a, b = np.array([1.0, 0, 0, 0]), np.array([0, 0, 5.0, 0])
    >>> paired(transform(a), transform(b), 4).round(9).tolist()
    [0.0, 0.0, 5.0, 0.0]
    """
    from scipy.fft import irfft

    found: Floats = irfft(np.conj(x) * y, size)
    return found


def block_sums(axis: LagAxis, pairs: Iterable[tuple[Floats, Floats]]) -> NDArray[np.float64]:
    """(P, M, L + 1) the same sums for lags 0 to L, in each of M blocks of t, for P pairs of series (size,)."""
    from scipy.fft import irfft, next_fast_len, rfft

    length = int(axis.at[-1]) + 1
    width = max(1, -(-length // BLOCKS))
    count, size = -(-length // width), next_fast_len(width + axis.lags, real=True)
    found = []
    for x, y in pairs:
        early = np.concatenate([np.zeros(axis.lags), x[:length], np.zeros(count * width - length)])
        late = np.concatenate([y[:length], np.zeros(count * width - length)]).reshape(count, width)
        views = np.lib.stride_tricks.sliding_window_view(early, width + axis.lags)[::width]
        sums = irfft(np.conj(rfft(late, size)) * rfft(views, size), size)
        found.append(sums[:, axis.lags :: -1])
    return np.stack(found)


def draws(blocks: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(count, blocks) how often each block is drawn in each resample."""
    return rng.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=count).astype(np.float64)
