"""How many threads simple models are fitted with.

This module fits models and grows trees side by side in threads of our own, and holds the numerical libraries to one
thread where several would only wait for one another.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from backmix.data.windows.windows import Windows

J = TypeVar("J", bound=Hashable)
R = TypeVar("R")

FEW_NUMBERS = 50_000_000
"""Below this many numbers in the windows, one thread of linear algebra is quicker than several: they wait for
one another longer than they work (measured: 3 s against 28 s of processor time on 2 busy cores)."""


def few_threads(windows: Windows) -> AbstractContextManager[Any]:
    """One thread for few windows, else as many as the libraries like."""
    import sklearn.ensemble  # noqa: F401  # libraries that are loaded later would not be limited
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1) if _few(windows) else nullcontext()


def _few(windows: Windows) -> bool:
    return len(windows) * windows.steps * len(windows.feature_names) < FEW_NUMBERS


def beside_one_another(work: Callable[[J], R], jobs: Sequence[J], lane: Sequence[J], windows: Windows) -> dict[J, R]:
    """The results of ``work`` on every job, by job, in their order; those in ``lane`` one after the other in a thread
    of their own, beside the rest.

    Only for few windows: where they are many, the libraries keep all processors busy for one job. Jobs of the lane may
    change Python's warning filters, as scikit-learn does in most of its fits, since they are the only ones that do.
    """
    import joblib

    rest = [job for job in jobs if job not in lane]
    if not (lane and rest) or joblib.cpu_count() < 2 or not _few(windows):
        return {job: work(job) for job in jobs}
    with warnings.catch_warnings(), ThreadPoolExecutor(1, initializer=_one_thread_each) as pool:
        results = {job: pool.submit(work, job) for job in lane}
        here = {job: work(job) for job in rest}
        return {job: results[job].result() if job in results else here[job] for job in jobs}


def side_by_side(jobs: Sequence[Callable[[], R]]) -> list[R]:
    """What jobs return, in their order, computed by one thread per processor.

    For work that leaves Python alone most of the time, such as growing a tree. A job has one thread of OpenMP. A
    worker process that may have one processor alone (`backmix.parallel`) computes one job after the other.
    """
    import joblib

    count = min(len(jobs), joblib.cpu_count())
    if count <= 1:
        return [job() for job in jobs]
    with ThreadPoolExecutor(count, initializer=_one_thread_each) as pool:
        return [result.result() for result in [pool.submit(job) for job in jobs]]


def _one_thread_each() -> None:
    """OpenMP counts threads for each thread that asks; what is set here ends with this one."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="openmp")
