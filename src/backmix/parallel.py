"""Jobs that do not need one another, side by side.

This module spreads folds, seeds, trials, members and partitions over worker processes. Every worker
computes with one thread, so that two of them take half the time and not the same (benchmarks/folds.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

J = TypeVar("J")
R = TypeVar("R")

Place = Literal["local", "ray", "dask"]
"""Where workers run: processes of this machine, or a cluster."""

ONE_THREAD = {"BACKMIX_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
              "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
"""What a worker finds in its environment."""


@dataclass(frozen=True)
class Workers:
    """How many jobs run at the same time, and where; one local worker is this process itself."""

    count: int = 1
    on: Place = "local"


HERE = Workers()


def spread(work: Callable[[J], R], jobs: Sequence[J], workers: Workers = HERE) -> list[R]:
    """The results of ``work`` on every job, in the order of the jobs.

    ``work`` is a function of a module, and jobs and results can be pickled: they go to other processes.
    An error in a job ends all of them and is raised here.

    >>> spread(abs, [-3, 2])
    [3, 2]
    """
    if workers == HERE or len(jobs) < 2:
        return [work(job) for job in jobs]
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", n_jobs=min(workers.count, len(jobs)), inner_max_num_threads=1):
        found: list[Any] = Parallel()(delayed(_alone)(work, job) for job in jobs)
    return found


def _alone(work: Callable[[J], R], job: J) -> R:
    """A job in a worker process, which must not take more than its own processor."""
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    return work(job)
