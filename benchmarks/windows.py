"""What windows cost: time and memory of building and gathering them.

This script measures two things, each in a process of its own, and prints one JSON line for each:

    python benchmarks/windows.py memory    10 million rows x 20 tags in memory, lookback 60
    python benchmarks/windows.py mapped    a 4 GB memory-mapped table under a limit of 2 GB

The limit of ``mapped`` is RLIMIT_DATA: it bounds all memory a process can write to (heap and
private mappings), which is what Python and NumPy allocate. Pages of a read-only file mapping are
not bounded by it: they belong to the page cache, and the system takes them back whenever it likes.
RLIMIT_AS cannot be used, as it would forbid the 4 GB of addresses of the mapping itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from backmix.data.splitting.split import SplitPart, SplitPlan, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows, WindowSpec, build_windows, fit_scalers

TAGS = 20
LOOKBACK = 60
BATCH = 256
GIGABYTE = 10**9
BLOCK = 1 << 16


def noise(rows: int, out: np.ndarray[Any, Any]) -> None:
    """Fill (N, F) with numbers, block by block."""
    rng = np.random.default_rng(0)
    for first in range(0, rows, BLOCK):
        shape = min(BLOCK, rows - first), out.shape[1]
        out[first : first + BLOCK] = rng.standard_normal(shape, dtype=np.float32)


def clock(rows: int) -> np.ndarray[Any, Any]:
    """One row a second."""
    return np.datetime64("2024-01-01", "ns") + np.arange(rows) * np.timedelta64(1_000_000_000, "ns")


def tags() -> tuple[Tag, ...]:
    """19 inputs and a target."""
    return (*(Tag(f"T{i}") for i in range(TAGS - 1)), Tag("Q", role="target"))


def spec() -> WindowSpec:
    """An hour of seconds, divided by 60."""
    return WindowSpec(inputs=tuple(f"T{i}" for i in range(TAGS - 1)), targets=("Q",), lookback=LOOKBACK, max_gap=3.0)


def peak() -> int:
    """Largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class AnonymousPeak:
    """Samples the memory of this process that is backed by no file, every 5 ms."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> AnonymousPeak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    self.bytes = max(self.bytes, int(line.split()[1]) * 1024)


def gather_times(windows: Windows, repeats: int = 300) -> dict[str, float]:
    """Milliseconds to gather one batch of random windows."""
    rng = np.random.default_rng(1)
    taken = []
    for _ in range(repeats):
        at = rng.integers(0, len(windows), BATCH)
        start = time.perf_counter()
        windows.gather(at)
        taken.append(1e3 * (time.perf_counter() - start))
    return {
        "gather_ms_median": float(np.median(taken)),
        "gather_ms_p10": float(np.quantile(taken, 0.1)),
        "gather_ms_p90": float(np.quantile(taken, 0.9)),
    }


def timed(work: Any) -> tuple[Any, float]:
    """A result and the seconds it took."""
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


def memory(rows: int) -> dict[str, Any]:
    """Build all windows of a table in memory, then scale and gather them."""
    interpreter = peak()
    values = np.empty((rows, TAGS), np.float32)
    noise(rows, values)
    table = Table(values, tags(), time=clock(rows))
    size = sum(array.nbytes for array in (table.values, table.time) if array is not None)
    before = peak()
    windows, seconds = timed(lambda: build_windows(table, spec()))
    after = peak()
    parts = split(table, SplitPlan(), gap=spec().reach)
    scalers, fit_seconds = timed(lambda: fit_scalers(table, spec(), rows=parts.rows(SplitPart.TRAIN)))
    windows = windows.scaled(*scalers)
    return {
        "rows": rows,
        "windows": len(windows),
        "table_gb": size / GIGABYTE,
        "build_s": seconds,
        "scaler_s": fit_seconds,
        "interpreter_gb": interpreter / GIGABYTE,
        "peak_before_gb": before / GIGABYTE,
        "peak_gb": after / GIGABYTE,
        "peak_over_table": after / size,
        **gather_times(windows),
    }


def mapped(path: Path) -> dict[str, Any]:
    """Everything up to a batch from a file larger than the memory this process may allocate."""
    resource.setrlimit(resource.RLIMIT_DATA, (2 * GIGABYTE, 2 * GIGABYTE))
    rows = path.stat().st_size // (4 * TAGS)
    values = np.memmap(path, np.float32, mode="r", shape=(rows, TAGS))
    with AnonymousPeak() as anonymous:
        table = Table(values, tags())
        parts, split_seconds = timed(lambda: split(table, SplitPlan(), gap=spec().reach))
        scalers, fit_seconds = timed(lambda: fit_scalers(table, spec(), rows=parts.rows(SplitPart.TRAIN)))
        windows, seconds = timed(lambda: build_windows(table, spec(), split=parts, part=SplitPart.TRAIN))
        found = gather_times(windows.scaled(*scalers))
    try:
        np.ones(3 * GIGABYTE, np.uint8)
        held = False
    except MemoryError:
        held = True
    return {
        "rows": rows,
        "windows": len(windows),
        "file_gb": values.nbytes / GIGABYTE,
        "limit_gb": 2.0,
        "limit_held": held,
        "anonymous_peak_gb": anonymous.bytes / GIGABYTE,
        "split_s": split_seconds,
        "scaler_s": fit_seconds,
        "build_s": seconds,
        **found,
    }


def child(*arguments: str) -> dict[str, Any]:
    """Run one measurement in a fresh process."""
    command = [sys.executable, __file__, "--here", *arguments]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(out)
    return {"load": os.getloadavg()[0], **found}


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description="Time and memory of building and gathering windows.")
    parser.add_argument("what", choices=["memory", "mapped"])
    parser.add_argument("path", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help="rows of the table (10 million; 50 million for mapped)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        found = memory(given.rows) if given.what == "memory" else mapped(Path(given.path))
    elif given.what == "memory":
        found = child("memory", "--rows", str(given.rows or 10_000_000))
    else:
        with tempfile.TemporaryDirectory() as folder:
            path, rows = Path(folder) / "values.f32", given.rows or 50_000_000
            out = np.memmap(path, np.float32, mode="w+", shape=(rows, TAGS))
            noise(rows, out)
            out.flush()
            del out
            found = child("mapped", str(path))
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}))


if __name__ == "__main__":
    main()
