"""How rows of a table become the three axes a network reads.

This module copies windows out of the (N, F) values of a table into (B, T, F), scaled, without an
index per row: a window is one strided view of memory, and a handful of windows at a time stays in
the processor's cache between copying and scaling.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from backmix.data.segments import Rows, contiguous

CACHE_BYTES = 1 << 19
"""Scaling works on this many bytes at once; measured, see benchmarks/LOG.md."""

MOST_RUNS = 4
"""Columns lying in more stretches than this are picked from whole rows."""

Values = NDArray[np.floating[Any]]


def gather_windows(
    values: Values,
    starts: Rows,
    columns: Rows,
    *,
    center: NDArray[np.float64],
    scale: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Fill ``out`` (B, T, F) with ``(values - center) / scale`` of T rows from each start (B,).

    columns: (F,) columns of ``values``, (N, any number). center, scale: (F,); computed in float64.
    """
    length, width = out.shape[1:]
    if len(starts) == 0 or length == 0 or width == 0:
        return
    rows = max(1, len(values) - length + 1)
    views: list[tuple[slice, Values, Rows | None]] = []
    runs = contiguous(columns)
    if len(runs) > MOST_RUNS:
        views.append((slice(0, width), _view(values, rows, length), columns))
    else:
        at = 0
        for run in runs:
            piece = slice(at, at + run.stop - run.start)
            views.append((piece, _view(values[:, run], rows, length), None))
            at = piece.stop
    middle, size = np.tile(center, (length, 1)), np.tile(scale, (length, 1))
    together = max(1, CACHE_BYTES // (8 * length * width))
    work = np.empty((min(together, len(starts)), length, width))
    for first in range(0, len(starts), together):
        some = starts[first : first + together]
        block = work[: len(some)]
        for piece, view, picked in views:
            found = view[some]
            block[:, :, piece] = found if picked is None else found[:, :, picked]
        flat = block.reshape(len(some), -1)
        flat -= middle.reshape(-1)
        flat /= size.reshape(-1)
        out[first : first + together].reshape(len(some), -1)[...] = flat


def gather_ragged(
    values: Values,
    starts: Rows,
    lengths: Rows,
    columns: Rows,
    *,
    center: NDArray[np.float64],
    scale: NDArray[np.float64],
    out: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Like `gather_windows` for windows of unequal length: zeros behind the last row.

    Returns the mask (B, T), True where a row is real.
    """
    mask: NDArray[np.bool_] = np.arange(out.shape[1]) < np.asarray(lengths)[:, None]
    for place, (first, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        rows = values[first : first + length][:, columns].astype(np.float64)
        out[place, :length] = (rows - center) / scale
        out[place, length:] = 0.0
    return mask


def gather_padded(
    values: Values,
    starts: Rows,
    lengths: Rows,
    columns: Rows,
    *,
    center: NDArray[np.float64],
    scale: NDArray[np.float64],
    out: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Like `gather_ragged` where most windows are whole: those are copied together."""
    lengths = np.asarray(lengths)
    whole = lengths == out.shape[1]
    if whole.all():
        gather_windows(values, starts, columns, center=center, scale=scale, out=out)
        return np.ones(out.shape[:2], dtype=bool)
    mask = np.ones(out.shape[:2], dtype=bool)
    some = np.empty((int(whole.sum()), *out.shape[1:]), dtype=np.float32)
    gather_windows(values, starts[whole], columns, center=center, scale=scale, out=some)
    out[whole] = some
    some = np.empty((int((~whole).sum()), *out.shape[1:]), dtype=np.float32)
    mask[~whole] = gather_ragged(values, starts[~whole], lengths[~whole], columns, center=center, scale=scale, out=some)
    out[~whole] = some
    return mask


def _view(values: Values, rows: int, length: int) -> Values:
    """Every window of ``length`` rows as a view (rows, length, width); nothing is copied."""
    down, right = values.strides
    return as_strided(values, (rows, length, values.shape[1]), (down, down, right), writeable=False)
