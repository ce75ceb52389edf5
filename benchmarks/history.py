"""How long a year of one-second data takes, and how much memory.

    python benchmarks/history.py [--rows 31536000] [--keras-rows 200000] >> benchmarks/LOG.md

GRU 32 on 20 inputs, float32 Parquet. The carried state over all rows, in a process of its own so that
its peak of resident memory is its own; then windows of 60 rows, beside Keras's ``predict`` (Keras's
own layers on JAX) on the same rows, in turn. The file is made in the temporary folder and removed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

TAGS, UNITS, LOOKBACK, GROUP = 20, 32, 60, 1 << 17


def write_year(path: Path, rows: int) -> None:
    """Noise with a memory, block by block."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    names = [f"T{i:02d}" for i in range(TAGS)]
    with parquet.ParquetWriter(path, pa.schema([(name, pa.float32()) for name in names])) as writer:
        for first in range(0, rows, GROUP):
            block = rng.standard_normal((min(GROUP, rows - first), TAGS), dtype=np.float32)
            writer.write_table(pa.table({name: block[:, i] for i, name in enumerate(names)}), row_group_size=GROUP)


def write_bundle(path: Path) -> None:
    """A bundle of random weights for these tags, made the usual way."""
    from backmix.data.table import Table
    from backmix.data.tag import Tag
    from backmix.training.plan import Plan
    from backmix.workflow import fit

    rng = np.random.default_rng(1)
    values = rng.normal(size=(1200, TAGS + 1))
    tags = (*(Tag(f"T{i:02d}") for i in range(TAGS)), Tag("Q", role="target"))
    plan = Plan.check(
        {
            "task": {"kind": "soft_sensor", "target": "Q"},
            "windows": {"lookback": LOOKBACK},
            "model": {"cell": "gru", "units": [UNITS]},
            "training": {"epochs": 1},
            "evaluation": {"baselines": ["mean"], "resamples": 20},
        }
    )
    fit(Table(values, tags, source="noise"), plan, folder=path.parent / "run", quiet=True).save(path)


def carried(bundle: Path, year: Path, out: Path) -> dict[str, Any]:
    """Seconds and peak memory of a whole process that scores the year."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--score", str(bundle), str(year), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    return {"process": time.perf_counter() - began, **json.loads(done.stdout)}


def score(bundle: Path, year: Path, out: Path) -> None:
    """The child: score, then say how long it took and how much memory it had at most."""
    from backmix.serving.history import score_history
    from backmix.serving.runtime import Runtime

    began = time.perf_counter()
    account = score_history(Runtime.load(bundle), year, out, mode="carried")
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "rows": account.predicted,
                "resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


def windows(bundle: Path, rows: np.ndarray[Any, Any], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of `Runtime.slide` and of Keras's predict over the windows of these rows, in turn."""
    import keras

    from backmix.serving.runtime import Runtime

    runtime = Runtime.load(bundle)
    model = keras.Sequential([keras.Input((LOOKBACK, TAGS)), keras.layers.GRU(UNITS), keras.layers.Dense(1)])
    view = np.lib.stride_tricks.sliding_window_view(rows, LOOKBACK, axis=0).transpose(0, 2, 1)
    model.predict(np.ascontiguousarray(view[:2048], np.float32), batch_size=1024, verbose=0)
    ours, theirs = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        runtime.slide(rows)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        model.predict(np.ascontiguousarray(view, np.float32), batch_size=1024, verbose=0)
        theirs.append(time.perf_counter() - began)
    return ours, theirs


def main() -> None:
    """Read the command line; print an entry for LOG.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=365 * 86_400)
    parser.add_argument("--keras-rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--score", nargs=3, type=Path, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.score:
        score(*given.score)
        return
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from rounds import heading

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle, year = folder / "model.backmix", folder / "year.parquet"
        write_bundle(bundle)
        write_year(year, given.rows)
        print(heading("A long history", packages=("backmix", "keras", "jax", "pyarrow")))
        found = carried(bundle, year, folder / "out.parquet")
        print(
            f"Carried state, GRU {UNITS}, {found['rows']:,} rows × {TAGS} inputs from Parquet "
            f"({year.stat().st_size / 1e9:.1f} GB): {found['seconds']:.1f} s ({found['process']:.1f} s with the "
            f"start of the process), {found['resident'] / 2**20:.0f} MB resident at most.\n"
        )
        rows = np.random.default_rng(2).normal(size=(given.keras_rows, TAGS))
        ours, theirs = windows(bundle, rows, given.rounds)
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        print(
            f"Windows of {LOOKBACK} rows at every one of {given.keras_rows:,} rows: {statistics.median(ours):.2f} s, "
            f"Keras predict {statistics.median(theirs):.2f} s; ratio {statistics.median(ratios):.1f} "
            f"({min(ratios):.1f} … {max(ratios):.1f}, {given.rounds} rounds)."
        )


if __name__ == "__main__":
    main()
