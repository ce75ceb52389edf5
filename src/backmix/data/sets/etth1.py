"""ETTh1: load and oil temperature of a power transformer, hourly for two years.

This module registers the set with its usual split by months: 12 of training, 4 of validation, 4 of
test, a month counted as 30 days. Zhou et al., Informer, AAAI (2021).
"""

from __future__ import annotations

import numpy as np

from backmix.data.sets import sets
from backmix.data.sets.dataset import Column, DataSet, Paths, dated, one_file, raw, tags
from backmix.data.table import Table

_PATH = "ett/ETTh1.csv"
_ADDRESS = raw("zhouhaoyi/ETDataset", "1d16c8f4f943005d613b5bc962e9eeb06058cf07", "ETT-small/ETTh1.csv")
MONTH = 30 * 24  # rows
COLUMNS = (*(Column(name) for name in ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL")), Column("OT", role="target"))


def _read(paths: Paths, protocol: str | None) -> Table:
    times, cells = dated(paths[_PATH])
    return Table(cells.astype(np.float64), tags("etth1", COLUMNS), time=times, source="etth1")


sets.register("etth1", beside=__file__)(
    DataSet(
        name="etth1",
        columns=COLUMNS,
        clock="recorded",
        tasks=("soft_sensor",),
        read=_read,
        files=one_file(_PATH, _ADDRESS, "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066", 2589657),
        licence="CC BY-ND 4.0",
        citation="Zhou, H., Zhang, S., Peng, J., Zhang, S., Li, J., Xiong, H., Zhang, W. (2021). Informer: "
        "beyond efficient transformer for long sequence time-series forecasting. AAAI.",
        plans={
            "oil_temperature": {
                "data": {"set": "etth1", "protocol": "oil_temperature"},
                "task": {"kind": "soft_sensor", "target": "OT"},
                "split": {
                    "kind": "chronological",
                    "train_rows": 12 * MONTH,
                    "validation_rows": 16 * MONTH,
                    "test_rows": 20 * MONTH,
                },
            }
        },
    )
)
