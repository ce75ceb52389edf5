"""A small plant and a quick plan for it, used all over the tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from backmix.data.ledger import Ledger
from backmix.data.sources import Reading
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.tasks import tasks
from backmix.training.plan import Plan


def small_table(rows: int = 420, *, classes: bool = False, seed: int = 0) -> Table:
    """A small plant: three inputs, a target that follows two of them with a lag, one row a minute."""
    rng = np.random.default_rng(seed)
    u = np.cumsum(rng.normal(size=(rows, 3)), axis=0) * 0.2 + rng.normal(size=(rows, 3))
    lagged = np.vstack([u[:3], u[:-3]])
    y = 40 + 3 * lagged[:, 0] - 2 * u[:, 1] + 0.1 * rng.normal(size=rows)
    target = Tag("quality", unit="%", role="target")
    if classes:
        y = (np.arange(rows) // 35 % 3).astype(float)
        u[:, 0] += 3 * y
        target = Tag("state", role="target", categories=("normal", "fouling", "leak"))
    time = np.datetime64("2026-03-01T00:00", "ns") + np.arange(rows) * np.timedelta64(60, "s").astype("timedelta64[ns]")
    tags = (Tag("T101", unit="degC"), Tag("F102", unit="m3/h"), Tag("P103", unit="bar"), target)
    return Table(np.column_stack([u, y]), tags, time=time, source="small")


def small_batches(batches: int = 16, *, seed: int = 0) -> Table:
    """Batches of 18 to 35 rows, one row a minute; the laboratory reports a quality with the last row."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(18, 36, size=batches)
    parts, clocks, start = [], [], np.datetime64("2026-03-01T00:00", "ns")
    for size in sizes:
        u = rng.normal(size=3) + 0.3 * rng.normal(size=(size, 3)) + np.linspace(0, 1, size)[:, None]
        y = np.full((size, 1), np.nan)
        y[-1] = 50 + 4 * u[:, 0].mean() - 2 * u[-1, 1]
        parts.append(np.hstack([u, y]))
        clocks.append(start + np.arange(size) * np.timedelta64(60_000_000_000, "ns"))
        start = clocks[-1][-1] + np.timedelta64(3600, "s")
    tags = (Tag("T101", unit="degC"), Tag("F102", unit="m3/h"), Tag("P103", unit="bar"), Tag("quality", role="lab"))
    return Table(
        np.concatenate(parts),
        tags,
        time=np.concatenate(clocks),
        source="batches",
        batch=np.repeat(np.arange(batches, dtype=np.int32), sizes),
        batch_names=tuple(f"B{n:02d}" for n in range(1, batches + 1)),
    )


def small_plan(*, classes: bool = False, **changes: Any) -> Plan:
    """A plan for `small_table` that trains in a second."""
    task = (
        {"kind": "fault_diagnosis", "target": "state", "normal": "normal"}
        if classes
        else {"kind": "soft_sensor", "target": "quality"}
    )
    document: dict[str, Any] = {
        "task": task,
        "windows": {"lookback": 6},
        "model": {"recipe": "course", "units": [4]},
        "training": {"epochs": 2, "batch_size": 32},
        "evaluation": {"baselines": ["majority" if classes else "mean"], "resamples": 20},
    }
    for section, fields in changes.items():
        document[section] = document.get(section, {}) | fields if isinstance(fields, dict) else fields
    return Plan.check(document)


OWN_SECTION: dict[str, dict[str, Any]] = {
    "anomaly_detection": {"normal": "normal", "false_alarm_rate": 0.1},
    "batch_end_time": {"target": "time_remaining"},
    "fault_diagnosis": {"normal": "normal"},
    "forecast": {"season": "4 rows"},
    "remaining_life": {"target": "remaining_life"},
    "soft_sensor": {"past_targets": {"delay": 3}},
}
"""What a task needs in its section for all of its own baselines to be in reach; a new task needs nothing."""


def small_task(name: str) -> tuple[Table, Plan]:
    """A small table and a quick plan for any registered task, made from what its contract says."""
    kind = tasks.get(name)
    classes, batches = kind.Answer.kind == "classification", kind.Target.whole_batches
    section = {"kind": name, "target": "state" if classes else "quality", **OWN_SECTION.get(name, {})}
    changes: dict[str, Any] = {}
    if batches:
        lookback = "elapsed" if kind.Target.auto_lookback == "elapsed" else 5
        changes = {"split": {"kind": "batch"}, "windows": {"lookback": lookback}}
    elif name == "forecast":
        changes = {"windows": {"horizon": 3}}
    elif name == "anomaly_detection":
        changes = {"windows": {"lookback": 2}, "evaluation": {"baselines": ["pca"]}}
    document = small_plan(classes=classes, **changes).to_dict() | {"task": section}
    return small_batches() if batches else small_table(classes=classes), Plan.check(document)


def reading(table: Table) -> Reading:
    """The table as if it had just been read, with nothing done to it."""
    return Reading(table=table, ledger=Ledger(read=len(table)))
