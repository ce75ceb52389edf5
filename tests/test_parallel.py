"""Workers: in order, one thread each, ended by errors and by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from backmix.errors import InputError, PlanError
from backmix.parallel import Workers, cluster, spread


def tens(number: int) -> int:
    return 10 * number


def first_is_last(job: tuple[int, Path]) -> int:
    """The first job ends when the others have."""
    number, folder = job
    if number:
        (folder / str(number)).write_text("done")
    until = time.monotonic() + 60
    while number == 0 and len(list(folder.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    return 10 * number


def facts(_: int) -> dict[str, Any]:
    """What a worker computes with."""
    import joblib
    import numpy as np
    from threadpoolctl import threadpool_info

    from backmix import native

    np.ones((4, 4)) @ np.ones((4, 4))
    return {
        "pid": os.getpid(),
        "kernels": native.threads(),
        "xla": os.environ["XLA_FLAGS"],
        "forest": joblib.effective_n_jobs(-1),
        "pools": [pool["num_threads"] for pool in threadpool_info()],
    }


def busy_threads(_: int) -> int:
    """How many threads of this process work while XLA and NumPy compute what they would gladly share."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    def seconds() -> dict[int, float]:
        return {thread.id: thread.user_time + thread.system_time for thread in psutil.Process().threads()}

    work = jax.jit(lambda x: (jnp.tanh(jnp.sin(x) * jnp.cos(x)).sum(0), x @ x.T))
    x = np.ones((1500, 1500), np.float32)
    jax.block_until_ready(work(x))
    before = seconds()
    for _ in range(12):
        jax.block_until_ready(work(x))
        x @ x.T
    # where work is done can change from thread to thread, but a call waits for its result and only one works
    spent = [after - before.get(thread, 0.0) for thread, after in seconds().items()]
    return sum(one > 0.1 * sum(spent) for one in spent)


def failing(number: int) -> int:
    if number == 1:
        raise InputError("read.empty_file", where="plant.csv")
    time.sleep(60)
    return number


def test_results_come_in_the_order_of_the_jobs_and_are_told_as_they_come(tmp_path: Path) -> None:
    told: list[int] = []
    jobs = [(number, tmp_path) for number in range(3)]
    assert spread(first_is_last, jobs, Workers(2), watch=told.append) == [0, 10, 20]
    assert told[0] == 10
    assert sorted(told) == [0, 10, 20]
    assert spread(tens, [2, 1], watch=told.append) == [20, 10]
    assert told[3:] == [20, 10]
    assert spread(tens, [], Workers(2)) == []


@pytest.mark.parametrize("count", [1, 2])
def test_every_worker_has_one_thread_from_its_start(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of these are read once, when a library is loaded; other flags of XLA stay."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=" if count == 1 else "")
    found = spread(facts, [0, 1, 2], Workers(count), apart=True)
    assert os.getpid() not in {worker["pid"] for worker in found}
    assert len({worker["pid"] for worker in found}) <= count
    for worker in found:
        assert worker["kernels"] == 1
        assert worker["forest"] == 1
        assert worker["xla"].endswith("--xla_cpu_multi_thread_eigen=false")
        assert worker["xla"].startswith("--xla_dump_to=") == (count == 1)
        assert worker["pools"]
        assert set(worker["pools"]) == {1}
    assert os.environ["XLA_FLAGS"] == ("--xla_dump_to=" if count == 1 else "")


@pytest.mark.skipif(sys.platform != "linux", reason="seconds of a thread are those of Linux")
def test_one_thread_works_while_xla_and_blas_compute() -> None:
    """NumPy computes in the thread that asks, XLA in the only one of its pool."""
    assert spread(busy_threads, [0], apart=True)[0] <= 2


def test_an_error_ends_all_jobs_and_arrives_whole() -> None:
    begin = time.monotonic()
    with pytest.raises(InputError, match=r"plant\.csv") as caught:
        spread(failing, [0, 1], Workers(2))
    assert caught.value.values == {"where": "plant.csv"}
    assert time.monotonic() - begin < 50


@pytest.mark.usefixtures("clusters")
def test_on_ray_a_single_job_is_another_process_and_a_small_cluster_is_refused() -> None:
    """Here it would have all threads of this process, and round otherwise than for two jobs."""
    import ray

    for jobs in ([0], [0, 1, 2]):
        found = spread(facts, jobs, Workers(1, "ray"))
        assert os.getpid() not in {worker["pid"] for worker in found}
        assert {threads for worker in found for threads in worker["pools"]} == {1}
    with pytest.raises(PlanError, match=r"has 2 processors, and 3 workers need one each .* Ask for fewer workers"):
        spread(tens, [0, 1, 2], Workers(3, "ray"))
    assert ray.is_initialized()


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize("on", ["ray", "dask"])
def test_a_cluster_that_is_there_is_used_and_left_with_what_its_workers_have_imported(on: Any) -> None:
    before, after = ({worker["pid"] for worker in spread(facts, [0] * 4, Workers(2, on))} for _ in range(2))
    assert before & after
    with cluster(Workers(2, on)):
        assert {worker["pid"] for worker in spread(facts, [0] * 4, Workers(2, on))} & before
    assert {worker["pid"] for worker in spread(facts, [0] * 4, Workers(2, on))} & before


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize("on", ["ray", "dask"])
def test_on_a_cluster_results_are_told_as_they_come_and_an_error_arrives_whole(on: Any, tmp_path: Path) -> None:
    told: list[int] = []
    assert spread(first_is_last, [(number, tmp_path) for number in range(3)], Workers(2, on), watch=told.append)
    assert told[0] == 10
    begin = time.monotonic()
    with pytest.raises(InputError, match=r"plant\.csv") as caught:
        spread(failing, [0, 1] if on == "ray" else [1], Workers(2, on))  # Dask lets a job that has begun end by itself
    assert caught.value.values == {"where": "plant.csv"}
    assert time.monotonic() - begin < 50


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match="0 workers cannot work"):
        Workers(0)
    with pytest.raises(PlanError, match=r"workers cannot run on 'spark'\. Give one of: local, ray, dask"):
        Workers(2, "spark")  # type: ignore[arg-type]
    monkeypatch.setattr("backmix.parallel.find_spec", lambda name: None)
    for on in ("ray", "dask"):
        with pytest.raises(PlanError, match=rf'pip install "backmix\[{on}\]"'):
            spread(tens, [1, 2], Workers(2, on))  # type: ignore[arg-type]


SLEEPERS = """
import sys, time
sys.path.insert(0, {tests!r})
from backmix.parallel import Workers, spread
from test_parallel import sleeping
spread(sleeping, [{here!r} + "/a", {here!r} + "/b"], Workers(2))
"""


def sleeping(sign: str) -> None:
    Path(sign).write_text(str(os.getpid()))
    time.sleep(120)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_all_workers(tmp_path: Path) -> None:
    """As a terminal does it: to every process of the group at once."""
    code = SLEEPERS.format(tests=str(Path(__file__).parent), here=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True)
    signs = [tmp_path / name for name in "ab"]
    until = time.monotonic() + 60
    while not all(sign.exists() and sign.read_text() for sign in signs) and time.monotonic() < until:
        time.sleep(0.05)
    workers = [psutil.Process(int(sign.read_text())) for sign in signs]
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    assert process.returncode not in (0, None)
    assert said.count("KeyboardInterrupt") >= 1
