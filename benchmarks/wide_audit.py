"""How long reading and auditing of a wide table take: 2,000 tags by 10,000 rows.

    python benchmarks/wide_audit.py [--tags 2000] [--rows 10000]

Prints processor seconds of the audit and of each of its parts; the table has a few of everything that an audit finds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from backmix.data.auditing.audit import audit
from backmix.data.auditing.lost_decimals import find_lost_decimals
from backmix.data.auditing.missing_codes import find_missing_codes
from backmix.data.table import Table
from backmix.data.tag import Tag


def wide_table(tags: int, rows: int) -> Table:
    """Wandering signals with holes, spikes, codes for missing, frozen stretches and setpoints."""
    rng = np.random.default_rng(0)
    values = 50 + np.cumsum(rng.normal(size=(rows, tags)), axis=0) * 0.05 + rng.normal(size=(rows, tags))
    for k in range(tags):
        kind, at = k % 6, int(rng.integers(rows // 2))
        if kind == 1:
            values[at : at + 50, k] = np.nan
        elif kind == 2:
            values[rng.integers(rows, size=5), k] += 100
        elif kind == 3:
            values[rng.integers(rows, size=9), k] = -9999.0
        elif kind == 4:
            values[at : at + 200, k] = values[at, k]
        elif kind == 5:
            values[:, k] = np.round(values[:, k] / 5) * 5
    clock = np.datetime64("2024-01-01", "ns") + np.arange(rows) * np.timedelta64(60_000_000_000, "ns")
    return Table(values, tuple(Tag(f"T{k:04d}") for k in range(tags)), time=clock, source="wide")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tags", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=10_000)
    asked = parser.parse_args()
    table = wide_table(asked.tags, asked.rows)
    for name, work in (
        ("audit", audit),
        ("codes for missing alone", find_missing_codes),
        ("lost decimal marks alone", find_lost_decimals),
    ):
        start = time.process_time()
        work(table)
        print(f"{name}: {time.process_time() - start:.2f} s")


if __name__ == "__main__":
    main()
