"""The folder of a job, before the job has finished.

This module finds a folder, claims it for a plan and its data, and refuses to resume the job of others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backmix.data.table import Table
from backmix.errors import PlanError
from backmix.storage import LOCK, hold, read_json, write_atomic

if TYPE_CHECKING:
    from backmix.training.plan import Plan

RUNS = Path("runs")
SUMMARY = "run.json"
"""The summary of a run; it is written last."""
STARTED = "started.json"
"""Plan and fingerprint of the data that a folder was claimed for."""


def run_folder(name: str, *, resume: bool = False) -> Path:
    """A folder under ``runs/`` for a job of this name: the unfinished one to resume, else a new one."""
    name = re.sub(r"[^\w\-]+", "-", name).strip("-") or "run"
    number, folder = 1, RUNS / name
    while (folder / SUMMARY).exists():
        number += 1
        folder = RUNS / f"{name}-{number}"
    if not resume and folder.exists():
        # an interrupted run stays as it is until somebody resumes it
        while folder.exists():
            number += 1
            folder = RUNS / f"{name}-{number}"
    return folder


def unfinished_folder(name: str, summary: str) -> Path:
    """The newest folder under ``runs/`` whose name begins so, that was claimed and holds no summary yet.

    Raises PlanError (workflow.nothing_to_resume) when there is none.
    """
    claimed = [path for path in RUNS.glob(f"{name}*") if (path / STARTED).exists() and not (path / summary).exists()]
    if not claimed:
        raise PlanError("workflow.nothing_to_resume", where=RUNS / name)
    return max(claimed, key=lambda path: (path / STARTED).stat().st_mtime)


def check_claimable(
    folder: Path, *, resume: bool, summary: str = SUMMARY, finished: str = "workflow.finished_run"
) -> None:
    """Whether a folder can take the job, before a large table is read; leaves no trace when it cannot.

    summary: the file that marks the job as finished; finished: the key of the error that says so

    Raises BusyError, PlanError (workflow.nothing_to_resume, ``finished``).
    """
    if (folder / LOCK).exists():
        with hold(folder):  # somebody who holds it is named at once
            pass
    if resume and not (folder / STARTED).exists():
        raise PlanError("workflow.nothing_to_resume", where=folder)
    if (folder / summary).exists():
        raise PlanError(finished, where=folder)


def claim(folder: Path, plan: Plan, table: Table, *, resume: bool) -> None:
    """Keep the plan and the fingerprint of the data in the folder.

    Raises PlanError (workflow.other_run) when the job to resume had another plan or other data.
    """
    started = json.dumps({"plan": plan.to_toml(), "data": fingerprint(table)}, indent=1)
    path = folder / STARTED
    if resume and path.read_text("utf-8") != started:
        raise PlanError("workflow.other_run", where=folder)
    write_atomic(path, started)
    write_atomic(folder / "plan.toml", plan.to_toml())


def claimed_data(folder: Path) -> str:
    """The fingerprint of the data that a folder was claimed for; "" when it does not say."""
    started = read_json(folder / STARTED)
    return str(started.get("data", "")) if isinstance(started, dict) else ""


def fingerprint(table: Table) -> str:
    """A digest of the values, times and batches of a table, block by block."""
    digest = hashlib.sha256(repr((table.names, table.batch_names, len(table))).encode())
    for start in range(0, len(table), 1 << 18):
        for array in (table.values, table.time, table.batch):
            if array is not None:
                digest.update(np.ascontiguousarray(array[start : start + (1 << 18)]).tobytes())
    return digest.hexdigest()


def relative_to(path: Path, folder: Path) -> str:
    """A path as seen from a folder; the absolute one where there is no way between them."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return str(path.absolute())
