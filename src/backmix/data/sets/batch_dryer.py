"""Batch dryer: 71 batches of an industrial agitated dryer, 93 to 201 rows each.

This module registers the set from its Excel file. The initial chemistry (with gaps) is known before
a batch starts and stands in every row of it; qualities, solvent and class are known when the batch
has ended and stand in its last row only, missing elsewhere.

The trajectory sheet labels agitator speed and torque the other way round than the sheet of aligned
trajectories does. The labels are kept as they are in the trajectory sheet.

Protocols: a quality or the solvent, of finished batches; the class; and ``end``, when a batch will end.

Garcia-Munoz, Kourti, MacGregor, Mateos & Murphy, Troubleshooting of an industrial batch process
using multivariate methods, Ind. Eng. Chem. Res. 42 (2003) 3592-3601.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.sets import sets
from backmix.data.sets.dataset import Column, DataSet, Paths, one_file, raw, tags, with_roles
from backmix.data.table import Table

_PATH = "batch_dryer/Batch Dryer Case Study.xlsx"
_COMMIT = "8457959312970e29198792d722ca8bd98af8fc6a"
_ADDRESS = raw("salvadorgarciamunoz/pyphi", _COMMIT, "examples/Batch analysis/Batch Dryer Case Study.xlsx")
_PHASES = ("Deagglomerate", "Heat", "Cooldown")
_CLASSES = ("On-spec", "Off-Spec", "High-Solvent")
_TRAJECTORY = (
    Column("phase", role="ignored", categories=_PHASES),
    Column("tank_level"),
    Column("differential_pressure"),
    Column("dryer_pressure"),
    Column("power"),
    Column("torque"),
    Column("agitator_speed"),
    Column("jacket_temperature_sp", "degC"),
    Column("jacket_temperature", "degC"),
    Column("dryer_temperature_sp", "degC"),
    Column("dryer_temperature", "degC"),
)
_CHEMISTRY = (*(Column(f"Z{i}", role="ignored") for i in range(1, 12)), Column("cake_weight"))
_QUALITY = (*(Column(f"Y{i}", role="lab") for i in range(1, 12)), Column("solvent", role="lab"))
COLUMNS = (*_TRAJECTORY, *_CHEMISTRY, *_QUALITY, Column("class", role="lab", categories=_CLASSES))


def _number(cell: object) -> float:
    return float(cell) if isinstance(cell, (int, float)) else np.nan


def _read(paths: Paths, protocol: str | None) -> Table:
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_path(str(paths[_PATH]))

    def rows(sheet: str) -> list[list[Any]]:
        return book.get_sheet_by_name(sheet).to_python()[1:]

    path = rows("Trajectories")
    names = tuple(dict.fromkeys(row[0] for row in path))
    batch = np.array([names.index(row[0]) for row in path], dtype=np.int32)
    moving = np.array([[_PHASES.index(row[1]), *map(_number, row[2:])] for row in path])
    before = _by_batch(rows("InitialChemistry"), names)[batch]
    classes = {row[0]: float(_CLASSES.index(row[1])) for row in rows("classifiers")}
    quality = _by_batch(rows("ProductQuality"), names)
    after = np.column_stack([quality, [classes[name] for name in names]])[batch]
    after[np.append(batch[1:] == batch[:-1], False)] = np.nan
    table = Table(
        np.column_stack([moving, before, after]),
        tags("batch_dryer", COLUMNS),
        batch=batch,
        batch_names=names,
        source="batch_dryer",
    )
    return table if protocol == "end" else with_roles(table, {protocol or "Y10": "target"})


def _by_batch(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> NDArray[np.float64]:
    """The numbers of a sheet with one row per batch, in the order of ``names``."""
    values = {row[0]: [_number(cell) for cell in row[1:]] for row in rows}
    return np.array([values[name] for name in names])


def _plan(target: str) -> dict[str, Any]:
    common = {"data": {"set": "batch_dryer", "protocol": target}, "split": {"kind": "batch"}}
    if target == "end":
        return {**common, "task": {"kind": "batch_end_time"}, "windows": {"lookback": "elapsed"}}
    kind = "fault_diagnosis" if target == "class" else "batch_quality"
    return {**common, "task": {"kind": kind, "target": target}, "windows": {"lookback": "batch"}}


sets.register("batch_dryer", beside=__file__)(
    DataSet(
        name="batch_dryer",
        columns=COLUMNS,
        clock="none",
        read=_read,
        tasks=("batch_quality", "batch_end_time", "fault_diagnosis"),
        files=one_file(_PATH, _ADDRESS, "ad3bda4bbf4e9f96072059421b6c3e0b13131b94f4c051ac2fed3f42d94ecdd4", 4359150),
        licence="MIT",
        citation="Garcia-Munoz, S., Kourti, T., MacGregor, J.F., Mateos, A.G., Murphy, G. (2003). "
        "Troubleshooting of an industrial batch process using multivariate methods. Industrial & "
        "Engineering Chemistry Research 42(15), 3592-3601. Carrier: Garcia-Munoz, S., pyphi.",
        plans={target: _plan(target) for target in ("Y10", "Y2", "Y4", "solvent", "class", "end")},
    )
)
