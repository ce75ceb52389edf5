"""A plan on trial: rolling origin, with everything learned anew in every fold.

This module runs the folds and seeds of a backtest side by side, keeps each as it is finished, and
compares network and baselines over all of them.

    import backmix
    from backmix.parallel import Workers
    result = backmix.backtest(None, "plan.toml", workers=Workers(2))
    print(result.verdict)
    result.predictions.groupby(["fold", "seed", "model"]).size()

However many workers there are, and wherever, the results are the same: every fold is a process of its
own with one thread.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from backmix.data.layout.detect import TrainingFile
from backmix.errors import Interrupted
from backmix.folds import FoldResult
from backmix.parallel import HERE, Workers, spread
from backmix.results.claim import check_claimable, claim, run_folder, unfinished_folder
from backmix.results.reading import reading_of
from backmix.rolling.backtest_fold import FOLD, BacktestFold, BacktestJob, run_fold
from backmix.rolling.backtest_record import Backtest, record_backtest
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.serving.bundle import start_of
from backmix.simple import simple_models
from backmix.storage import hold, loud
from backmix.tasks import Task
from backmix.text import say
from backmix.training.design import design
from backmix.training.plan import Plan
from backmix.training.prepare import check_target, on_grid
from backmix.training.sections.folds import FoldLayout, lay_out_folds

FOLDS = "folds"

Watch = Callable[[BacktestFold, int], None]
"""Called with every finished fold, and how many there are."""


@dataclass(frozen=True, eq=False)
class BacktestSetup:
    """A backtest that nothing speaks against: its jobs, and the task as the first fold knows it."""

    plan: Plan
    layout: FoldLayout
    task: Task
    jobs: tuple[BacktestJob, ...]


def backtest(
    data: Any,
    plan: Plan | Path | str,
    *,
    settings: Mapping[str, Any] | None = None,
    workers: Workers = HERE,
    folder: Path | str | None = None,
    resume: bool = False,
    watch: Watch | None = None,
) -> Backtest:
    """Try a plan on the folds that its ``[backtest]`` lays out, and compare network and baselines.

    data: the table, as for `backmix.fit`; None for the one that ``[data]`` of the plan names
    plan: a plan, or the file of one; settings: fields of ``[backtest]`` instead of the plan's, see `BacktestPlan`
    workers: how many folds run at the same time, and where
    folder: where everything is kept; one under ``runs/`` when None
    resume: go on with the folds that an interrupted backtest has not finished
    watch: called with every finished fold, and how many there are

    Raises PlanError, InputError, LeakageError, TrainingError, BusyError, StorageError, Interrupted.
    """
    base, name = Path(), "backtest"
    if isinstance(plan, str | os.PathLike):
        base, name = Path(plan).parent, f"backtest-{Path(plan).stem}"
        plan = Plan.load(plan)
    if settings:
        plan = plan.merged({"backtest": dict(settings)})
    if folder is not None:
        where = Path(folder)
    else:
        where = unfinished_folder(name, Backtest.summary_name) if resume else run_folder(name)
    check_claimable(where, resume=resume, summary=Backtest.summary_name, finished="backtest.finished")
    setup = set_up_backtest(data, plan, base, (where / FOLDS).absolute())  # workers may stand elsewhere
    with hold(where):
        claim(where, plan, setup.jobs[0].table, resume=resume)
        with loud(where):
            if not resume and (where / FOLDS).exists():
                shutil.rmtree(where / FOLDS)
            (where / FOLDS).mkdir(exist_ok=True)
        return _run(where, setup, workers, watch)


def set_up_backtest(data: Any, plan: Plan, base: Path, folder: Path) -> BacktestSetup:
    """The jobs of a backtest, after all that can be refused was: the first, smallest fold is prepared for it."""
    simple_models.check(plan.evaluation.baselines or ())
    reading = reading_of(data, plan, base)
    check_target(reading, plan.the_task.targets)
    target = Task.of(plan.the_task).target
    table = on_grid(reading.table, plan).table
    lookback = target.auto_lookback if plan.windows.lookback == "auto" else plan.windows.lookback
    layout = lay_out_folds(table, plan.backtest, whole=target.whole_batches or lookback in ("batch", "elapsed"))
    start, file = start_of(plan, base), TrainingFile.of(plan.data, reading, base)
    jobs = tuple(
        BacktestJob(
            table=table,
            plan=plan.merged({"training": {"seed": plan.training.seed + seed - 1}}),
            number=number,
            rows=layout.rows(number, table),
            divide=partial(layout.divide, number),
            start=start,
            seed=seed,
            file=file,
            folder=folder / f"fold-{number:02d}-seed-{seed}",
        )
        for number in range(1, layout.count + 1)
        for seed in range(1, plan.backtest.seeds + 1)
    )
    prepared = jobs[0].prepared()
    design(prepared)
    refuse(audit_run(prepared), acknowledged=plan.evaluation.acknowledged)
    return BacktestSetup(plan, layout, prepared.task, jobs)


def _run(folder: Path, setup: BacktestSetup, workers: Workers, watch: Watch | None) -> Backtest:
    folders = {(job.number, job.seed): job.folder for job in setup.jobs}
    unfinished = [job for job in setup.jobs if BacktestFold.load(job.folder) is None]

    def keep(result: FoldResult[BacktestFold]) -> None:
        fold = result.get(say("backtest.in_fold", fold=result.number, seed=result.seed))
        own = folders[fold.number, fold.seed]
        if not (own / FOLD).exists():
            fold.save(own)
        if watch is not None:
            watch(fold, len(setup.jobs))

    try:
        spread(run_fold, unfinished, workers, watch=keep, apart=True)
        # read back even what has just been computed: a backtest that was resumed must equal one that was not
        folds = [fold for job in setup.jobs if (fold := BacktestFold.load(job.folder)) is not None]
    except KeyboardInterrupt:
        done = sum(BacktestFold.load(job.folder) is not None for job in setup.jobs)
        raise Interrupted("backtest.interrupted", where=folder, done=done, count=len(setup.jobs)) from None
    return record_backtest(folder, setup.plan, setup.layout, setup.task, folds)
