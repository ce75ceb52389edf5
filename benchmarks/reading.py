"""How quickly a CSV is read, beside DuckDB and polars, and how much memory that takes.

    python benchmarks/reading.py [--mb 1000] [--other PYTHON] >> benchmarks/LOG.md

A clock in ISO form and ten columns of plain numbers. Each reader in a process of its own, three times in turn; the
median counts. DuckDB and polars are no dependencies: ``--other`` names a Python that has them. Theirs is the table as
Arrow, ours the finished `Table`: clock in UTC, rows in order, every cell judged. Peak memory beside the table's size.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TAGS = 10
PEAK = """
import re, sys, time
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e3
"""
READERS = {
    "backmix": PEAK
    + """
from backmix.data.sources import ReadPlan, read
import pyarrow.csv
import backmix.data.sources.csv, backmix.data.reading.assembly
start, before, used = time.perf_counter(), peak(), time.process_time()
table = read(ReadPlan(file=sys.argv[1], limit_mb=1e6)).table
print(time.perf_counter() - start, time.process_time() - used, peak() - before, len(table))
""",
    "duckdb": PEAK  # a constant
    + """
import duckdb
start, before, used = time.perf_counter(), peak(), time.process_time()
base = duckdb.connect()
base.execute("set enable_progress_bar = false")
found = base.execute("from read_csv(?)", [sys.argv[1]]).fetchnumpy()
print(time.perf_counter() - start, time.process_time() - used, peak() - before, len(found["time"]))
""",
    "polars": PEAK
    + """
import polars
start, before, used = time.perf_counter(), peak(), time.process_time()
table = polars.read_csv(sys.argv[1], try_parse_dates=True)
print(time.perf_counter() - start, time.process_time() - used, peak() - before, len(table))
""",
}


def write(path: Path, size: int) -> int:
    """A table of about ``size`` bytes; returns its rows."""
    rng = np.random.default_rng(0)
    rows = 0
    with path.open("w") as file:
        file.write("time," + ",".join(f"T{at:02d}" for at in range(TAGS)) + "\n")
        block = rng.normal(50, 10, (20_000, TAGS))
        texts = [",".join(f"{value:.4f}" for value in row) for row in block]
        start = np.datetime64("2000-01-01T00:00:00")
        while file.tell() < size:
            times = np.datetime_as_string(start + np.arange(rows, rows + len(texts)), unit="s")
            file.writelines(f"{at.replace('T', ' ')},{text}\n" for at, text in zip(times.tolist(), texts, strict=True))
            rows += len(texts)
    return rows


def main() -> None:
    """Read the file by every reader in turn and print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--other", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plant.csv"
        rows = write(path, options.mb * 1_000_000)
        size = path.stat().st_size / 1e6
        table = rows * (TAGS + 1) * 8 / 1e6
        took: dict[str, list[list[float]]] = {name: [] for name in READERS}
        for _ in range(options.rounds):
            for name, code in READERS.items():
                python = sys.executable if name == "backmix" else options.other
                done = subprocess.run([python, "-c", code, str(path)], capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{name}: {(done.stderr.strip().splitlines() or ['-'])[-1][:150]}")
                    continue
                took[name].append(list(map(float, done.stdout.split())))
    load = os.getloadavg()[0]
    print(f"{rows:,} rows, {size:.0f} MB of text, a table of {table:.0f} MB; {os.cpu_count()} cores, load {load:.1f}\n")
    print("| reader | s | MB/s | processor s | peak MB | peak / table |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, runs in took.items():
        if runs:
            seconds, used, peak = (statistics.median(run[at] for run in runs) for at in range(3))
            print(f"| {name} | {seconds:.2f} | {size / seconds:.0f} | {used:.2f} | {peak:.0f} | {peak / table:.2f} |")


if __name__ == "__main__":
    main()
