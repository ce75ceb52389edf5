"""What all tests share: the engine, the language, and real data when it is there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

# a gate must answer the same for the same commit; elsewhere every run tries new examples
settings.register_profile("gate", derandomize=True)
# scripts/mutants asks whether a test fails, not for the smallest example that makes it fail
settings.register_profile("mutants", derandomize=True, phases=(Phase.explicit, Phase.generate))
if os.environ.get("CI"):
    settings.load_profile("gate")

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["BACKMIX_LANG"] = "en"
if "PYTEST_XDIST_WORKER" in os.environ:  # one process for each processor: more threads wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# most of the time of the tests is compiling small networks: do it once for all processes
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiling takes two thirds of the time, and rounds alike
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_parallel_codegen_split_count=1")
sys.path.insert(0, str(Path(__file__).parent))  # tests import small.py by its name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backmix.results.run import Run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with tests on a cluster come first: one worker of pytest-xdist gets them all, and starts each cluster once."""
    first = {item.path for item in items if "clusters" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path not in first)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets named by BACKMIX_DATA; its absence fails in CI, skips elsewhere."""
    folder = os.environ.get("BACKMIX_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("BACKMIX_DATA must name the folder of real data sets in CI")
    pytest.skip("set BACKMIX_DATA to the folder of real data sets")


@pytest.fixture(scope="session")
def clusters() -> Iterator[None]:
    """A Ray and a Dask cluster of this machine, two workers each, for all tests that ask for one."""
    from backmix.parallel import Workers, cluster

    with cluster(Workers(2, "ray")), cluster(Workers(2, "dask")):
        yield


@pytest.fixture(scope="session")
def sensor_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished soft-sensor run on the small table, shared by all tests that only read it."""
    from backmix.workflow import fit
    from small import small_plan, small_table

    return fit(small_table(), small_plan(), folder=tmp_path_factory.mktemp("runs") / "sensor", quiet=True)


@pytest.fixture(scope="session")
def diagnosis_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished diagnosis run on the small table."""
    from backmix.workflow import fit
    from small import small_plan, small_table

    return fit(
        small_table(classes=True),
        small_plan(classes=True),
        folder=tmp_path_factory.mktemp("runs") / "diagnosis",
        quiet=True,
    )
