"""Jobs that do not need one another, side by side.

This module spreads folds, seeds, trials, members and partitions over worker processes of this machine,
or of a Ray or Dask cluster, through joblib. Every worker computes with one thread, so that two of them
take half the time and not the same (benchmarks/parallel.py).

    spread(work, jobs, Workers(4))                 four processes of this machine
    spread(work, jobs, Workers(4, "ray"))          the cluster at RAY_ADDRESS, else a local one of four
    spread(work, jobs, Workers(4, "dask"))         the same with DASK_SCHEDULER_ADDRESS
"""

from __future__ import annotations

import gc
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, Literal, TypeVar, get_args

from backmix.errors import PlanError

J = TypeVar("J")
R = TypeVar("R")

Place = Literal["local", "ray", "dask"]
"""Where workers run: processes of this machine, or a cluster."""

ONE_THREAD = {
    "BACKMIX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "NPROC": "1",
    "PJRT_NPROC": "1",
    "LOKY_MAX_CPU_COUNT": "1",
}
"""What a worker finds in its environment before it imports anything: most of these are read only once.
The flag of XLA alone leaves it a pool of threads for loops and sums; NPROC is the size of that pool. The last one is
what a forest of scikit-learn takes for all processors of the machine."""

RAY_STARTS = 3
"""How often a local Ray cluster is started at most: on a busy machine its own 30 seconds are too few."""

LOCAL = "backmix-local"
"""The name of our own joblib backend: loky, with an environment of its own and also for a single worker."""


@dataclass(frozen=True)
class Workers:
    """How many jobs run at the same time, and where; one local worker is this process itself.

    PlanError (backtest.workers) for less than one.
    """

    count: int = 1
    on: Place = "local"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise PlanError("backtest.workers", got=self.count)
        if self.on not in get_args(Place):
            raise PlanError("backtest.place", got=self.on, places=", ".join(get_args(Place)))


HERE = Workers()
_local = SimpleNamespace(executor=None)  # the processes of this machine that joblib has started for us


def spread(
    work: Callable[[J], R],
    jobs: Sequence[J],
    workers: Workers = HERE,
    *,
    watch: Callable[[R], None] | None = None,
    apart: bool = False,
) -> list[R]:
    """The results of ``work`` on every job, in the order of the jobs.

    ``work`` is a function of a module, and jobs and results can be pickled: they go to other processes.
    An error in a job, or Ctrl-C, ends all of them and is raised here.

    watch: is told every result as it comes; on Ray all of them at the end
    apart: even a single local worker is a process of its own, with one thread like all others, so that
        results cannot depend on how many workers there are

    Raises PlanError (backtest.no_package, backtest.no_cluster) for a cluster that cannot be had.

    >>> spread(abs, [-3, 2])
    [3, 2]
    """
    if workers == HERE and not apart:
        results = {}
        for number, job in enumerate(jobs):
            results[number] = work(job)
            _tell(watch, results[number])
        return list(results.values())
    if not jobs:
        return []
    from joblib import Parallel, delayed

    count = min(workers.count, len(jobs))
    with _engine(workers, count) as streams:
        finished = Parallel(
            return_as="generator_unordered" if streams else "list",
            batch_size=1,
            pre_dispatch=count if workers.on == "ray" else "2 * n_jobs",
        )(delayed(_numbered)(work, number, job) for number, job in enumerate(jobs))
        results = {}
        try:
            for number, result in finished:
                results[number] = result
                _tell(watch, result)
        except BaseException:
            _abandon(finished)
            raise
    return [results[number] for number in range(len(jobs))]


def _tell(watch: Callable[[R], None] | None, result: R) -> None:
    if watch is not None:
        watch(result)


def _abandon(running: Any) -> None:
    """Give up what is still being worked at; joblib warns of lost work, which is what an error or Ctrl-C asks for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\d+ tasks", category=UserWarning)
        if hasattr(running, "close"):
            running.close()


def _numbered(work: Callable[[J], R], number: int, job: J) -> tuple[int, R]:
    """A job in a worker process, which must not take more than its own processor."""
    for name, value in ONE_THREAD.items():  # for workers of a cluster that somebody else has started
        os.environ.setdefault(name, value)
    return number, work(job)


@contextmanager
def _engine(workers: Workers, count: int) -> Iterator[bool]:
    """joblib's backend for ``count`` jobs at a time in a ``with`` block; gives whether results can come one by one."""
    from joblib import parallel_config

    if workers.on == "local":
        _register_local()
        with parallel_config(backend=LOCAL, n_jobs=count, inner_max_num_threads=1), _killing():
            yield True
    elif workers.on == "dask":
        with _dask(workers), parallel_config(backend="dask", n_jobs=count):
            yield True
    else:
        pool = max(2, count)  # told of one, joblib would do the work in this process
        with _ray(replace(workers, count=pool)), parallel_config(backend="ray", n_jobs=pool):
            yield False


def _environment() -> dict[str, str]:
    """The environment of a worker, with XLA's other flags as they are here."""
    flags = [os.environ.get("XLA_FLAGS", ""), ONE_THREAD["XLA_FLAGS"]]
    return ONE_THREAD | {"XLA_FLAGS": " ".join(filter(None, flags))}


def _register_local() -> None:
    """Our own backend for joblib.

    loky keeps its workers for the next call, whoever makes it. These have an environment and a start
    that differ from all others', so joblib gives neither ours to others nor others' to us.
    """
    from joblib import register_parallel_backend
    from joblib._parallel_backends import LokyBackend
    from joblib.executor import get_memmapping_executor

    class Local(LokyBackend):  # type: ignore[misc]
        def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
            self._workers = _local.executor = get_memmapping_executor(
                n_jobs,
                env=self._prepare_worker_env(n_jobs) | _environment(),
                initializer=_ignore_interrupts,
                context_id=parallel._id,
            )
            self.parallel = parallel
            return max(2, n_jobs)  # told of one worker, joblib would do the work in this process

    register_parallel_backend(LOCAL, Local)


def _ignore_interrupts() -> None:
    """Ctrl-C goes to the first process, which ends the workers; they need not say so, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _killing() -> Iterator[None]:
    """Whatever ends the block early ends its local workers at once, in the middle of what they do."""
    try:
        yield
    except BaseException:
        if _local.executor is not None:
            _local.executor.shutdown(wait=True, kill_workers=True)
        raise


@contextmanager
def _ray(workers: Workers) -> Iterator[None]:
    """Ray ready for joblib: the cluster at ``RAY_ADDRESS`` or one that is there already, else one of our own."""
    if find_spec("ray") is None:
        raise PlanError("backtest.no_package", on="ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the default is about to change, and Ray warns
    import ray
    from ray.util.joblib import register_ray

    own = not ray.is_initialized()
    if own:
        _start_ray(workers)
    try:
        processors = int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]
        if processors < workers.count:
            raise PlanError("backtest.small_cluster", wanted=workers.count, processors=processors)
        register_ray()  # type: ignore[no-untyped-call]
        yield
    finally:
        if own:
            ray.shutdown()


def _start_ray(workers: Workers) -> None:
    """Join the cluster at ``RAY_ADDRESS``, else start one; PlanError (backtest.no_cluster) when that fails."""
    import logging

    import ray

    address = os.environ.get("RAY_ADDRESS")
    where: dict[str, Any] = (
        {"address": address} if address else {"address": "local", "num_cpus": workers.count, "include_dashboard": False}
    )
    for left in reversed(range(1 if address else RAY_STARTS)):
        try:
            with _quiet():
                ray.init(
                    **where,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    configure_logging=True,
                    runtime_env={"env_vars": _environment()},
                )
            return
        except Exception as fault:  # Ray has no kind of its own for a cluster that does not come up
            with _quiet():
                ray.shutdown()
                gc.collect()  # what is left of the start says so when it goes, and must not do it later
            if not left:
                raise PlanError(
                    "backtest.no_cluster", on="ray", address=address or "local", fault=_line(fault)
                ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray forks only to start another program at once, which no thread of JAX can hinder; JAX and Python warn of it.

    It also leaves the handles of its servers to the collector while they still run.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message=r".*use of fork\(\)", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=r"subprocess \d+ is still running", category=ResourceWarning)
        yield


@contextmanager
def _dask(workers: Workers) -> Iterator[None]:
    """Dask ready for joblib: the cluster at ``DASK_SCHEDULER_ADDRESS``, else one of our own."""
    if find_spec("distributed") is None:
        raise PlanError("backtest.no_package", on="dask")
    import logging

    from distributed import Client, LocalCluster

    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if address:
        try:
            client = Client(address, timeout="10s")  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as fault:
            raise PlanError("backtest.no_cluster", on="dask", address=address, fault=_line(fault)) from None
        with client:
            yield
        return
    cluster: Any = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers.count,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
        env=_environment(),
    )
    with cluster, Client(cluster):  # type: ignore[no-untyped-call]
        yield


def _line(fault: BaseException) -> str:
    """What a library says, on one line."""
    return f"{type(fault).__name__}: {' '.join(str(fault).split())}"[:200]
