"""What windows leave out, for the report.

This module names the batches without a window, those of the test part of which none is judged, and the classes that the
training part does not show.
"""

from __future__ import annotations

import numpy as np

from backmix.data.table import Table
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.errors import InputError
from backmix.tasks import Task
from backmix.text import say

USUAL = ("windows.reason_stride", "windows.reason_run_up")
"""Reasons that leave a batch some of its windows."""


def left_out(table: Table, parts: list[Windows]) -> list[Decision]:
    """The batches that have no window in any part, by name; the sentence is about the shortest."""
    if table.batch is None:
        return []
    served = {table.batch_names[code] for part in parts for code in np.unique(table.batch[part.origins])}
    names = sorted({name for part in parts for name in part.excluded} - served)
    if not names:
        return []
    if parts[0].spec.lookback is None:
        return [
            Decision(
                tuple(names),
                "course.excluded",
                {"names": ", ".join(names), "reasons": _why(parts)},
                setting="windows.lookback",
            )
        ]
    sizes = np.bincount(table.batch, minlength=len(table.batch_names))
    shortest = min(names, key=lambda name: sizes[table.batch_names.index(name)])
    spec, rows = parts[0].spec, int(sizes[table.batch_names.index(shortest)])
    fit = max(1, rows - spec.horizon - spec.dead_time)
    values = {"lookback": spec.lookback, "rows": rows, "batch": shortest, "fit": fit}
    return [Decision(tuple(names), "windows.excluded", values, setting="windows.lookback")]


def _why(parts: list[Windows]) -> str:
    """Why batches have no window, over all parts."""
    keys = dict.fromkeys(drop.reason for part in parts for drop in part.dropped if drop.reason not in USUAL)
    return ", ".join(say(key) for key in keys) or "-"


def not_judged(tested: Windows, judged: Windows) -> list[Decision]:
    """The test batches of which no window is judged, by name."""
    if tested.table.batch is None:
        return []
    codes = np.asarray(tested.table.batch)
    lost = np.setdiff1d(codes[tested.origins], codes[judged.origins])
    names = tuple(tested.table.batch_names[code] for code in lost)
    return [Decision(names, "course.not_judged", {"names": ", ".join(names)})] if names else []


def unseen(task: Task, train: Windows) -> tuple[Decision, ...]:
    """Which classes the training part does not show, for the report; InputError when it shows only one."""
    if not train.classes:
        return ()
    seen = set(train.truth()[:, 0].astype(int).tolist())
    if len(seen) == 1:
        raise InputError(
            "prepare.one_class",
            where=train.table.source,
            target=task.targets[0].name,
            found=task.target.classes[seen.pop()],
            count=len(train),
        )
    names = [name for code, name in enumerate(task.target.known_classes) if code not in seen]
    if not names:
        return ()
    return (Decision(tuple(names), "prepare.class_unseen", {"names": ", ".join(names)}, setting="task.target"),)
