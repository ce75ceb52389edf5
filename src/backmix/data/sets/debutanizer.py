"""Debutanizer column: butane in the bottom product of a real refinery column.

This module registers the set and its protocols, which differ in what is known of past ``y``, the
thing that decides every score on this set: none (C), the value of 4 rows ago (A), the values of 4
to 8 rows ago (B), or that of a laboratory which samples every 10 rows and reports 10 rows later (D;
``y`` is then missing on all other rows, to learn from and to be judged by). Never compare across them.

All columns are scaled to 0-1 by the publisher. Fortuna, Graziani, Rizzo & Xibilia, Soft Sensors
for Monitoring and Control of Industrial Processes, Springer (2007), chapter 5 and appendix A.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backmix.data.sets import sets
from backmix.data.sets.dataset import Column, DataSet, Paths, one_file, raw, tags
from backmix.data.table import Table

_PATH = "debutanizer/Debutanizer_Column_Data.txt"
_REPOSITORY = "tonyzyl/Semisupervised-VAE-for-Regression-Application-on-Soft-Sensor"
_ADDRESS = raw(_REPOSITORY, "d996cb5dea412652aa27a4536566c226cb513800", "data/Debutanizer_Column_Data.txt")
COLUMNS = (*(Column(f"u{i}") for i in range(1, 8)), Column("y", role="target"))
_PAST: dict[str, dict[str, int] | None] = {
    "C": None,
    "A": {"delay": 4, "count": 1},
    "B": {"delay": 4, "count": 5},
    "D": {"delay": 10, "count": 1},
}
_SAMPLED = 10
"""Protocol D: rows from one laboratory sample to the next."""


def _read(paths: Paths, protocol: str | None) -> Table:
    values = np.loadtxt(paths[_PATH], skiprows=1)
    if protocol == "D":
        values[np.arange(len(values)) % _SAMPLED != 0, -1] = np.nan
    return Table(values, tags("debutanizer", COLUMNS), source="debutanizer")


def _plan(protocol: str) -> dict[str, Any]:
    past = _PAST[protocol]
    task: dict[str, Any] = {"kind": "soft_sensor", "target": "y"}
    return {
        "data": {"set": "debutanizer", "protocol": protocol},
        "task": task if past is None else {**task, "past_targets": past},
        "split": {"kind": "chronological", "train_rows": 1200, "validation_rows": 1600, "test_rows": 2390},
        **({"windows": {"lookback": 41}} if past is None else {}),
    }


sets.register("debutanizer", beside=__file__)(
    DataSet(
        name="debutanizer",
        files=one_file(_PATH, _ADDRESS, "b9488f0a78fa0d6afde73990212122e6a552e3b0ebfb91f048c40afbe76015a4", 308951),
        columns=COLUMNS,
        clock="none",
        tasks=("soft_sensor",),
        licence="None stated (data accompanying a book); for your own study, not to be redistributed",
        citation="Fortuna, L., Graziani, S., Rizzo, A., Xibilia, M.G. (2007). Soft Sensors for Monitoring and "
        "Control of Industrial Processes. Springer.",
        plans={protocol: _plan(protocol) for protocol in _PAST},
        read=_read,
    )
)
