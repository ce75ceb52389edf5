"""How many threads simple models are fitted with.

This module grows trees side by side in threads of our own, and holds the numerical libraries to one thread where
several would only wait for one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from backmix.data.windows.windows import Windows

J = TypeVar("J")
R = TypeVar("R")

FEW_NUMBERS = 50_000_000
"""Below this many numbers in the windows, one thread of linear algebra is quicker than several: they wait for
one another longer than they work (measured: 3 s against 28 s of processor time on 2 busy cores)."""


def few_threads(windows: Windows) -> AbstractContextManager[Any]:
    """One thread for few windows, else as many as the libraries like."""
    import sklearn.ensemble  # noqa: F401  # libraries that are loaded later would not be limited
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    few = len(windows) * windows.steps * len(windows.feature_names) < FEW_NUMBERS
    return threadpool_limits(1) if few else nullcontext()


def side_by_side(work: Callable[[J], R], jobs: Sequence[J]) -> list[R]:
    """The results of ``work`` on every job, in their order, computed by one thread per processor.

    For work that leaves Python alone most of the time, such as growing a tree. A job has one thread of OpenMP. A
    worker process that may have one processor alone (`backmix.parallel`) computes one job after the other.
    """
    import joblib

    count = min(len(jobs), joblib.cpu_count())
    if count <= 1:
        return [work(job) for job in jobs]
    with ThreadPoolExecutor(count, initializer=_one_thread_each) as pool:
        return list(pool.map(work, jobs))


def _one_thread_each() -> None:
    """OpenMP counts threads for each thread that asks; what is set here ends with this one."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="openmp")
