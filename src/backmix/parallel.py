"""Independent jobs in parallel.

This module runs folds, seeds, trials, networks and partitions in worker processes of this machine or of a Ray or Dask
cluster, through joblib. Every worker computes with one thread, so that two of them take half the time
(benchmarks/parallel.py).

    spread(work, jobs, Workers(4))                 four processes of this machine
    spread(work, jobs, Workers(4, "ray"))          the cluster at RAY_ADDRESS, else a local one of four
    spread(work, jobs, Workers(4, "dask"))         the same with DASK_SCHEDULER_ADDRESS

A Ray cluster that is initialised already, or a Dask client that is there already, is used and left alone.

    with cluster(Workers(4, "ray")):               every spread in the block uses one cluster
        ...
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
from itertools import islice
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

    watch: is called with every result as it comes
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
    count = min(workers.count, len(jobs))
    with _results(work, jobs, replace(workers, count=count)) as finished:
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
    """Stop the jobs that are still running, without joblib's warning about lost work."""
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
def cluster(workers: Workers) -> Iterator[None]:
    """Keep one cluster for the whole block: every `spread` in it finds workers that have imported everything.

    A cluster that is there already is used and stays; local workers need no block, they are kept anyhow.
    Raises PlanError as `spread` does.
    """
    if workers.on == "local":
        yield
    else:
        with (_dask if workers.on == "dask" else _ray)(workers):
            yield


@contextmanager
def _results(work: Callable[[J], R], jobs: Sequence[J], workers: Workers) -> Iterator[Iterator[tuple[int, R]]]:
    """The number and the result of every job, in the order in which they end."""
    from joblib import Parallel, delayed, parallel_config

    if workers.on == "ray":
        with cluster(workers):
            yield _from_ray(work, jobs, workers.count)
        return
    numbered = (delayed(_numbered)(work, number, job) for number, job in enumerate(jobs))
    if workers.on == "dask":
        with cluster(workers), parallel_config(backend="dask", n_jobs=workers.count):
            yield Parallel(return_as="generator_unordered", batch_size=1)(numbered)
    else:
        _register_local()
        with parallel_config(backend=LOCAL, n_jobs=workers.count, inner_max_num_threads=1), _killing():
            yield Parallel(return_as="generator_unordered", batch_size=1)(numbered)


def _from_ray(work: Callable[[J], R], jobs: Sequence[J], count: int) -> Iterator[tuple[int, R]]:
    """What tasks of Ray give, ``count`` of them at a time; whatever ends this early ends them, too.

    Ray keeps the processes of its tasks for the next ones, with all that they have imported.
    """
    import ray
    from ray.exceptions import RayTaskError

    start: Any = ray.remote(num_cpus=1, max_retries=0, runtime_env={"env_vars": _environment()})(_numbered).remote
    waiting = iter(enumerate(jobs))
    running = [start(work, number, job) for number, job in islice(waiting, count)]
    try:
        while running:
            (ended,), running = ray.wait(running)
            running += [start(work, number, job) for number, job in islice(waiting, 1)]
            try:
                yield ray.get(ended)
            except RayTaskError as fault:
                raise fault.cause from None
    finally:
        for task in running:
            ray.cancel(task, force=True)


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
    """An error or Ctrl-C inside the block ends its local workers at once."""
    try:
        yield
    except BaseException:
        if _local.executor is not None:
            _local.executor.shutdown(wait=True, kill_workers=True)
        raise


@contextmanager
def _ray(workers: Workers) -> Iterator[None]:
    """Ray initialised: as it is already, else the cluster at ``RAY_ADDRESS``, else one of our own."""
    if find_spec("ray") is None:
        raise PlanError("backtest.no_package", on="ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the default is about to change, and Ray warns
    import ray

    own = not ray.is_initialized()
    if own:
        _start_ray(workers)
    try:
        processors = int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]
        if processors < workers.count:
            raise PlanError("backtest.small_cluster", wanted=workers.count, processors=processors)
        yield
    finally:
        if own:
            _stop_ray()


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
            _stop_ray()
            if not left:
                raise PlanError(
                    "backtest.no_cluster", on="ray", address=address or "local", fault=_line(fault)
                ) from None


def _stop_ray() -> None:
    import ray

    with _quiet():
        ray.shutdown()
        gc.collect()  # what is left of the servers says so when it goes, and must not do it later


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
    """A client of Dask: that which is there already, else of ``DASK_SCHEDULER_ADDRESS``, else of our own cluster."""
    if find_spec("distributed") is None:
        raise PlanError("backtest.no_package", on="dask")
    import logging

    from distributed import Client, LocalCluster, get_client

    try:
        get_client()
    except ValueError:
        pass
    else:
        yield
        return
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if address:
        try:
            client = Client(address, timeout="10s")  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as fault:
            raise PlanError("backtest.no_cluster", on="dask", address=address, fault=_line(fault)) from None
        with client:
            yield
        return
    own: Any = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers.count,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",  # else Dask warns when another cluster has its usual port
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.CRITICAL,
        env=_environment(),
    )
    with own, Client(own):  # type: ignore[no-untyped-call]
        yield


def _line(fault: BaseException) -> str:
    """The message of a library's error on one line."""
    return f"{type(fault).__name__}: {' '.join(str(fault).split())}"[:200]
