"""The table of a job.

This module reads what is handed over, or what ``[data]`` of the plan names, and says where that was, so that it
can be read again later.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from backmix.data.sources import Reading, read
from backmix.data.table import Table
from backmix.results.claim import relative_to
from backmix.training.plan import Plan


def reading_of(data: Any, plan: Plan, base: Path) -> Reading:
    """The table of a job: what is handed over, or what ``[data]`` of the plan says, relative to ``base``."""
    if data is None:
        return read(plan.data, base=base)
    if isinstance(data, Reading):
        return data
    if isinstance(data, Table):
        return Reading.of(data)
    if isinstance(data, str | os.PathLike):
        return read(plan.data.of_file(data))
    return read(plan.data, frame=data, base=base)


def place_of(data: Any, base: Path, folder: Path) -> dict[str, str] | None:
    """Where the data of a job is, as seen from its folder; None when it was handed over in memory."""
    if data is None:
        return {"base": relative_to(base, folder)}
    return {"file": relative_to(Path(data), folder)} if isinstance(data, str | os.PathLike) else None
