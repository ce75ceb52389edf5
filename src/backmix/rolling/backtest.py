"""A plan on trial: rolling origin, with everything learned anew in every fold.

This module runs the folds and seeds of a backtest side by side, keeps each as it is finished, and
compares network and baselines over all of them.

    import backmix
    from backmix.parallel import Workers
    found = backmix.backtest(None, "plan.toml", workers=Workers(2))
    print(found.verdict)
    found.predictions.groupby(["fold", "seed", "model"]).size()

However many workers there are, and wherever, the results are the same: every fold is a process of its
own with one thread.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backmix.data.resample import check_clock, resample
from backmix.errors import Interrupted, PlanError
from backmix.parallel import HERE, Workers, spread
from backmix.rolling.fold import FOLD, FoldJob, FoldResult, keep_fold, play_fold, read_fold
from backmix.rolling.outcome import SUMMARY, Backtest, record_backtest
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.serving.bundle import start_of
from backmix.simple import baselines
from backmix.storage import hold, loud, write_atomic
from backmix.tasks import Task
from backmix.text import say
from backmix.training.design import design
from backmix.training.plan import Plan
from backmix.training.prepare import check_target
from backmix.training.sections.folds import FoldLayout, lay_out_folds
from backmix.workflow import RUNS, STARTED, fingerprint, reading_of, run_folder

FOLDS = "folds"


@dataclass(frozen=True, eq=False)
class BacktestSetup:
    """A backtest that nothing speaks against: its jobs, and the task as the first fold knows it."""

    plan: Plan
    layout: FoldLayout
    task: Task
    jobs: tuple[FoldJob, ...]


def backtest(
    data: Any,
    plan: Plan | Path | str,
    *,
    settings: Mapping[str, Any] | None = None,
    workers: Workers = HERE,
    folder: Path | str | None = None,
    resume: bool = False,
    watch: Callable[[FoldResult, int], None] | None = None,
) -> Backtest:
    """Try a plan on the folds that its ``[backtest]`` lays out, and compare network and baselines.

    data: the table, as for `backmix.fit`; None for the one that ``[data]`` of the plan names
    plan: a plan, or the file of one; settings: fields of ``[backtest]`` instead of the plan's, see `BacktestPlan`
    workers: how many folds run at the same time, and where
    folder: where everything is kept; one under ``runs/`` when None
    resume: go on with the folds that an interrupted backtest has not finished
    watch: is told every finished fold, and how many there are

    Raises PlanError, InputError, LeakageError, TrainingError, BusyError, StorageError, Interrupted.
    """
    base, name = Path(), "backtest"
    if isinstance(plan, str | os.PathLike):
        base, name = Path(plan).parent, f"backtest-{Path(plan).stem}"
        plan = Plan.load(plan)
    if settings:
        plan = plan.merged({"backtest": dict(settings)})
    where = Path(folder) if folder is not None else _folder(name, resume=resume)
    if resume and not (where / STARTED).exists():
        raise PlanError("workflow.nothing_to_resume", where=where)
    if (where / SUMMARY).exists():
        raise PlanError("backtest.finished", where=where)
    trial = set_trial(data, plan, base, (where / FOLDS).absolute())  # workers may stand elsewhere
    with hold(where):
        _begin(where, trial, resume=resume)
        return _run(where, trial, workers, watch)


def set_trial(data: Any, plan: Plan, base: Path, folder: Path) -> BacktestSetup:
    """The jobs of a backtest, after all that can be refused was: the first, smallest fold is prepared for it."""
    for name in plan.evaluation.baselines or ():
        baselines.get(name)
    reading = reading_of(data, plan, base)
    check_target(reading, plan.the_task.targets)
    target = Task.of(plan.the_task).target
    table = target.adapt(reading.table)
    check_clock(table, plan.repair)
    table = resample(table, plan.repair).table
    lookback = target.auto_lookback if plan.windows.lookback == "auto" else plan.windows.lookback
    layout = lay_out_folds(table, plan.backtest, whole=target.whole_batches or lookback in ("batch", "elapsed"))
    start = start_of(plan, base)
    jobs = tuple(
        FoldJob(table, plan, layout, number, seed, start, folder / f"fold-{number:02d}-seed-{seed}")
        for number in range(1, layout.count + 1)
        for seed in range(1, plan.backtest.seeds + 1)
    )
    prepared = jobs[0].prepared()
    design(prepared)
    refuse(audit_run(prepared), acknowledged=plan.evaluation.acknowledged)
    return BacktestSetup(plan, layout, prepared.task, jobs)


def _folder(name: str, *, resume: bool) -> Path:
    """A new folder under ``runs/``, or the newest one that holds an unfinished backtest."""
    if not resume:
        return run_folder(name)
    begun = [path for path in RUNS.glob(f"{name}*") if (path / STARTED).exists() and not (path / SUMMARY).exists()]
    if not begun:
        raise PlanError("workflow.nothing_to_resume", where=RUNS / name)
    return max(begun, key=lambda path: (path / STARTED).stat().st_mtime)


def _begin(folder: Path, trial: BacktestSetup, *, resume: bool) -> None:
    """Keep plan and fingerprint of the data; refuse to go on with folds of others, clear away what was left."""
    now = json.dumps({"plan": trial.plan.to_toml(), "data": fingerprint(trial.jobs[0].table)}, indent=1)
    kept = folder / STARTED
    if resume and kept.read_text("utf-8") != now:
        raise PlanError("workflow.other_run", where=folder)
    with loud(folder):
        if not resume and (folder / FOLDS).exists():
            shutil.rmtree(folder / FOLDS)
        (folder / FOLDS).mkdir(exist_ok=True)
    write_atomic(kept, now)
    write_atomic(folder / "plan.toml", trial.plan.to_toml())


def _run(
    folder: Path, trial: BacktestSetup, workers: Workers, watch: Callable[[FoldResult, int], None] | None
) -> Backtest:
    todo = [job for job in trial.jobs if read_fold(job.folder) is None]

    def arrived(result: FoldResult) -> None:
        if result.fault is not None:
            result.fault.add_note(say("backtest.in_fold", fold=result.number, seed=result.seed))
            raise result.fault
        own = folder / FOLDS / f"fold-{result.number:02d}-seed-{result.seed}"
        if not (own / FOLD).exists():
            keep_fold(result, own)
        if watch is not None:
            watch(result, len(trial.jobs))

    try:
        spread(play_fold, todo, workers, watch=arrived, apart=True)
        # read back even what was just found, so that a backtest that was resumed is the same as one that was not
        found = [read_fold(job.folder) for job in trial.jobs]
    except KeyboardInterrupt:
        done = sum(read_fold(job.folder) is not None for job in trial.jobs)
        raise Interrupted("backtest.interrupted", where=folder, done=done, count=len(trial.jobs)) from None
    return record_backtest(folder, trial.plan, trial.layout, trial.task, [one for one in found if one is not None])
