"""How far each row's batch (or unit) has come, and how far it still has to go.

This module computes the time since the first row of a batch and the time to its last one, broadcasts
what is known of a batch at its end to all its rows, and says how far the windows of a batch have
come. Only the time since the first row may be seen by a model: everything else is known afterwards.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.segments import Mask
from backmix.data.splitting.split import batch_runs
from backmix.data.table import Table
from backmix.data.windows.windows import Windows
from backmix.errors import PlanError

Floats = NDArray[np.float64]
Unit = Literal["rows", "s", "min", "h", "d"]
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""What the units of time hold."""


def edges(table: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last row of the batch in which each row lies, (N,) each; one run without batches.

    Raises InputError (windows.batch_torn) when the rows of one batch are not together.
    """
    runs = [(0, len(table))] if table.batch is None and len(table) else [] if table.batch is None else batch_runs(table)
    sizes = np.array([end - first for first, end in runs], dtype=np.int64)
    firsts = np.array([first for first, _ in runs], dtype=np.int64)
    return np.repeat(firsts, sizes), np.repeat(firsts + sizes - 1, sizes)


def passed(table: Table, unit: str) -> Floats:
    """Time since the first row of its batch for each row, (N,), in ``unit`` ("rows", "s", "min", "h", "d").

    Raises PlanError (core.no_clock) for a time on a table without a clock.

    >>> from backmix.data.tag import Tag
    >>> table = Table(np.zeros((4, 1)), (Tag("T"),), batch=np.array([0, 0, 0, 1], np.int32), batch_names=("A", "B"))
    >>> passed(table, "rows").tolist(), left(table, "rows").tolist()
    ([0.0, 1.0, 2.0, 0.0], [2.0, 1.0, 0.0, 0.0])
    """
    places = _places(table, unit)
    return places - places[edges(table)[0]]


def left(table: Table, unit: str) -> Floats:
    """Time to the last row of its batch for each row, (N,): known only when the batch has ended."""
    places = _places(table, unit)
    return places[edges(table)[1]] - places


def _places(table: Table, unit: str) -> Floats:
    if unit == "rows":
        return np.arange(len(table), dtype=np.float64)
    if table.time is None:
        raise PlanError("core.no_clock", duration=unit)
    since = table.time.view("int64") - (table.time.view("int64")[0] if len(table) else 0)
    return since / 1e9 / SECONDS[unit]


def counts_down(windows: Windows, target: str, unit: str) -> bool:
    """Whether the target is, at every window, the time to the last row of its batch in the table."""
    if unit not in SECONDS and unit != "rows":
        return False
    rows = windows.origins
    return bool(np.allclose(left(windows.table, unit)[rows], windows.table.column(target)[rows]))


def last_value(table: Table, name: str) -> Floats:
    """The last value of a tag in each batch, on all its rows, (N,); NaN for a batch without one.

    >>> from backmix.data.tag import Tag
    >>> values = np.array([[np.nan], [7.0], [np.nan], [np.nan]])
    >>> table = Table(values, (Tag("Y"),), batch=np.array([0, 0, 0, 1], np.int32), batch_names=("A", "B"))
    >>> last_value(table, "Y").tolist()
    [7.0, 7.0, 7.0, nan]
    """
    values = np.asarray(table.column(name), dtype=np.float64)
    first, last = edges(table)
    known = np.where(np.isfinite(values), np.arange(len(table)), -1)
    newest = np.maximum.accumulate(known)[last] if len(table) else known
    return np.where(newest >= first, values[newest], np.nan)


def of_batches(table: Table, names: Collection[str]) -> Mask:
    """(N,) the rows of the batches with these names; a name that the table lacks has none."""
    if table.batch is None or not names:
        return np.zeros(len(table), dtype=bool)
    codes = [code for code, name in enumerate(table.batch_names) if name in names]
    return np.isin(table.batch, codes)


def complete(windows: Windows) -> Mask:
    """(W,) whether each window is made at the last row of its batch."""
    done: Mask = edges(windows.table)[1][windows.origins] == windows.origins
    return done


def share(windows: Windows) -> Floats:
    """(W,) which part of its batch has passed at each window, known only when the batch has ended."""
    first, last = edges(windows.table)
    at = windows.origins
    return (at - first[at] + 1) / (last[at] - first[at] + 1)


def every_row(windows: Windows) -> Windows:
    """One window per batch that asks for an answer on each of its rows, from windows that grow with it.

    It is the longest window of each batch, so that a network that looks back only learns at once what all
    shorter ones ask.
    """
    order = np.arange(len(windows))
    batch = edges(windows.table)[0][windows.origins]
    longest = np.ones(len(windows), dtype=bool)
    longest[:-1] = batch[1:] != batch[:-1]
    some = windows.subset(order[longest])
    return replace(some, spec=replace(windows.spec, growing=False, stride=1, answer="every"))


def asked_targets(windows: Windows) -> Floats:
    """(n, G) what windows ask of a network, scaled: a row per answer, also where each row of a window has one."""
    spec = windows.spec
    if spec.answer not in ("every", "window"):
        return windows.scaled_targets().reshape(-1, len(spec.targets))
    rows = windows.steps if windows.lengths is None else windows.lengths
    last = windows.origins.astype(np.int64) - spec.dead_time
    change = np.zeros(len(windows.table) + 1, dtype=np.int64)
    np.add.at(change, last - rows + 1, 1)
    np.add.at(change, last + 1, -1)
    columns = [windows.table.index(name) for name in spec.targets]
    found = np.asarray(windows.table.values)[np.cumsum(change[:-1]) > 0][:, columns].astype(np.float64)
    found = found[np.isfinite(found).all(axis=1)]
    return found if windows.target_scaler is None or windows.classes else windows.target_scaler.transform(found)
