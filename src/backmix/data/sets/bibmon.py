"""BibMon: eleven days of a real plant, with the dirt left in.

This module registers 108 anonymous, standardised tags at 5 minutes, 498 cells of which hold a
status text ("Bad", "Inp OutRange", "Scan Timeout") in place of a number. Such a cell is a missing
number of bad quality, never 0. The set has no protocol: it shows how data are handled.
"""

from __future__ import annotations

import numpy as np

from backmix.data.quality import Quality
from backmix.data.sets import sets
from backmix.data.sets.dataset import Column, DataSet, Paths, dated, one_file, raw, tags
from backmix.data.table import Table

_PATH = "bibmon/real_process_data.csv"
_COMMIT = "cbbc9ca8b02ddb541e19a77129555d745b12b543"
_ADDRESS = raw("petrobras/BibMon", _COMMIT, "bibmon/real_process_data/real_process_data.csv")
STATUSES = ("Bad", "Inp OutRange", "Scan Timeout")
COLUMNS = tuple(Column(f"tag{i}", text="tag") for i in range(108))


def _read(paths: Paths, protocol: str | None) -> Table:
    times, cells = dated(paths[_PATH])
    bad = np.isin(cells, STATUSES)
    values = np.where(bad, "nan", cells).astype(np.float64)
    return Table(
        values,
        tags("bibmon", COLUMNS),
        time=times,
        quality=np.where(bad, Quality.BAD, Quality.GOOD).astype(np.uint8),
        source="bibmon",
    )


sets.register("bibmon", beside=__file__)(
    DataSet(
        name="bibmon",
        columns=COLUMNS,
        clock="recorded",
        tasks=(),
        plans={},
        read=_read,
        files=one_file(_PATH, _ADDRESS, "d360b9e7e0d9e1f7f824e9f0c4f7817c0205eaf3ada3089a4521bb57c30fa308", 2456554),
        licence="CC BY 4.0",
        citation="Melo, A., Lemos, T.S.M., Soares, R.M., et al. (2024). BibMon: an open source Python package "
        "for process monitoring, soft sensing, and fault diagnosis. Digital "
        "Chemical Engineering 13, 100182.",
    )
)
