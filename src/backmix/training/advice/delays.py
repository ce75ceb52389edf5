"""What the dead times of the tags mean for the windows of a plan.

This module scans a prepared table for dead times where that makes sense, and says how far back a
window must reach to show what they tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backmix.data.delays.dead_time import DeadTime, Scan, scan
from backmix.data.segments import Mask
from backmix.data.table import Table
from backmix.data.windows.form import WindowSpec

if TYPE_CHECKING:
    from backmix.tasks import Task
    from backmix.training.prepared import Prepared

UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
MOST_NAMED = 6


def scan_rows(table: Table, spec: WindowSpec, task: Task, rows: Mask) -> Scan | None:
    """The dead times of the inputs before the first target, from these (training) rows (N,) alone.

    None where there is no such thing: windows of whole batches, and targets that the task computes
    itself (a countdown) or that are their own inputs.
    """
    if spec.lookback is None or not spec.targets:
        return None
    target = spec.targets[0]
    inputs = tuple(name for name in spec.inputs if name not in spec.targets)
    if target in spec.inputs or target in task.target.computed or not inputs:
        return None
    return scan(table, inputs, target, rows=rows)


def scan_prepared(prepared: Prepared) -> Scan | None:
    """The dead times that the training rows of a run show; None where there is no such thing."""
    preprocessing = prepared.preprocessing
    return scan_rows(prepared.table, preprocessing.spec, preprocessing.task, prepared.fitted_on)


def rows_back(delay: DeadTime, spec: WindowSpec) -> int:
    """The lookback with which a window shows the row from which this tag tells most of its target.

    >>> found = DeadTime("F102", 12, None, 11, 11, 13, 0.5, "correlation", 0.0, True, "found")
    >>> rows_back(found, WindowSpec(inputs=("F102",), targets=("y",), lookback=1, dead_time=2))
    11
    """
    return delay.rows + 1 - spec.dead_time - spec.horizon


def plan_lines(scan: Scan, spec: WindowSpec) -> tuple[str, ...]:
    """The lines of a plan with which every window covers the sure delays; none when it covers them already."""
    late = [delay for delay in scan.sure if rows_back(delay, spec) > (spec.lookback or 0)]
    if not late:
        return ()
    rows = max(rows_back(delay, spec) for delay in late)
    named = ", ".join(f"{delay.tag}: {spoken(delay.rows, scan.step)}" for delay in late[:MOST_NAMED])
    return ("[windows]", f"lookback = {rows}  # {named}")


def spoken(rows: int, step: float | None) -> str:
    """Rows, and the time that they are where there is a clock.

    >>> spoken(12, 300.0), spoken(1, 0.5), spoken(3, None)
    ('12 (1h)', '1 (0.5s)', '3')
    """
    if step is None:
        return f"{rows}"
    seconds = rows * step
    unit, long = next((pair for pair in UNITS if seconds >= pair[1]), UNITS[-1])
    return f"{rows} ({seconds / long:.3g}{unit})"
