"""Windows that see nothing but what they may see.

This module picks the windows whose every row, from the oldest of the window to its target, is among
the rows of a mask: windows of normal operation, windows without a fault that is kept out.
"""

from __future__ import annotations

import numpy as np

from backmix.data.segments import Mask
from backmix.data.windows.windows import Windows


def pure_windows(windows: Windows, rows: Mask) -> Windows:
    """The windows that lie on the rows of the mask (N,) and on no others.

    >>> windows = Windows.from_arrays(np.zeros((2, 3, 1)), np.zeros(2))
    >>> len(pure_windows(windows, np.array([True, True, True, True, False, True])))
    1
    """
    origins = np.asarray(windows.origins, dtype=np.int64)
    last = origins - windows.spec.dead_time
    first = last - (windows.steps if windows.lengths is None else np.asarray(windows.lengths)) + 1
    # from the row after the window to the target only the answers are looked at
    end = np.minimum(np.maximum(np.asarray(windows.target_rows, dtype=np.int64), origins), len(rows) - 1)
    others = np.concatenate([[0], np.cumsum(~rows)])
    return windows.subset(others[end + 1] == others[first])
