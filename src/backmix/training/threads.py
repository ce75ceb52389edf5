"""How many threads a model without a memory is fitted with.

This module holds back the threads of the numerical libraries where they would only wait for one another.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from backmix.data.windows import Windows

FEW_NUMBERS = 50_000_000
"""Below this many numbers in the training windows, one thread is quicker than several: they wait for
one another longer than they work (measured: 3 s against 28 s of processor time on 2 busy cores)."""


def few_threads(windows: Windows) -> AbstractContextManager[Any]:
    """One thread for few windows, else as many as the libraries like."""
    import sklearn.ensemble  # noqa: F401  # libraries that are loaded later would not be limited
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    few = len(windows) * windows.steps * len(windows.feature_names) < FEW_NUMBERS
    return threadpool_limits(1) if few else nullcontext()
