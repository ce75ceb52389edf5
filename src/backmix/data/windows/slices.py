"""Very many windows, some at a time.

This module cuts windows into blocks that fit into memory, and picks a few of them, evenly spread.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.windows import Windows

BLOCK_NUMBERS = 4_000_000
"""Numbers gathered at once: 16 MB of float32."""


def slices(windows: Windows) -> Iterator[NDArray[np.int64]]:
    """Indices of all windows, as many at a time as fit into a block."""
    together = max(1, BLOCK_NUMBERS // max(1, windows.steps * len(windows.feature_names)))
    for first in range(0, len(windows), together):
        yield np.arange(first, min(first + together, len(windows)))


def sampled(count: int, most: int) -> NDArray[np.int64]:
    """Indices of at most ``most`` of ``count`` windows, spread evenly.

    >>> sampled(10, 5).tolist()
    [0, 2, 4, 6, 8]
    """
    return np.arange(count) if count <= most else (np.arange(most) * count) // most
