"""A small batch plant, used by the tests of tasks that look to the end of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.training.plan import Plan


def batch_table(count: int = 16, *, clock: bool = True, seed: int = 0, gap: int = 30) -> Table:
    """Batches of 8 to 16 rows: the rate says when a batch ends, its mean how good it will be.

    ``conversion`` grows by the rate until it reaches 1; ``purity`` is analysed at the last row only.
    """
    rng = np.random.default_rng(seed)
    parts, batch, minutes, start = [], [], [], 0
    for number in range(count):
        rows = int(rng.integers(8, 17))
        rate = 1.0 / rows
        conversion = rate * np.arange(1, rows + 1)
        purity = np.full(rows, np.nan)
        purity[-1] = 90 + 40 * rate + 0.01 * rng.normal()
        noise = 0.002 * rng.normal(size=rows)
        parts.append(np.column_stack([rate + noise, conversion + noise, purity]))
        batch += [number] * rows
        minutes += list(range(start, start + 2 * rows, 2))
        start += 2 * rows + gap
    time = np.datetime64("2026-01-05T06:00", "ns") + np.array(minutes) * np.timedelta64(60, "s").astype("m8[ns]")
    tags = (Tag("rate", unit="1/min"), Tag("conversion"), Tag("purity", unit="%", role="lab"))
    return Table(
        np.concatenate(parts),
        tags,
        time=time if clock else None,
        batch=np.array(batch, np.int32),
        batch_names=tuple(f"B{number + 1:02d}" for number in range(count)),
        source="batches",
    )


def batch_plan(kind: str, **changes: Any) -> Plan:
    """A plan for `batch_table` that trains in seconds."""
    document: dict[str, Any] = {
        "task": {"kind": kind},
        "split": {"kind": "batch"},
        "model": {"recipe": "course", "units": [6]},
        "training": {"epochs": 2, "batch_size": 4},
        "evaluation": {"baselines": ["mean"], "resamples": 20},
    }
    for section, fields in changes.items():
        document[section] = document.get(section, {}) | fields if isinstance(fields, dict) else fields
    return Plan.check(document)
