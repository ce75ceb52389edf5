"""What a refit begins with: the table, the first champion, and which rows are old.

This module turns a plan or a bundle, and the tables given with it, into a `RefitSetup`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backmix.data.layout.detect import TrainingFile
from backmix.data.notation.clock import on_wall
from backmix.data.repairing.resample import resample
from backmix.data.segments import Mask
from backmix.data.sources import Reading
from backmix.data.splitting.split import SplitPart, batch_runs
from backmix.data.table import Table
from backmix.errors import InputError
from backmix.results.reading import reading_of
from backmix.rolling.contender import Contender, one_network, train_contender
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.serving.bundle import Bundle, start_of
from backmix.tasks import Task
from backmix.training.fitting.warm import Start
from backmix.training.plan import Plan
from backmix.training.prepare import on_grid
from backmix.training.sections.rounds import RoundLayout, lay_out_rounds


@dataclass(frozen=True, eq=False)
class RefitSetup:
    """Everything before the first round.

    table: old rows first, repaired by nobody yet; file: where they were read from
    path: the file of the champion, if it came from one
    """

    plan: Plan
    table: Table
    champion: Contender
    layout: RoundLayout
    file: TrainingFile
    path: Path | None


def set_up_refit(source: Plan | Bundle | Path | str, data: Any, old: Any, settings: Mapping[str, Any]) -> RefitSetup:
    """All that a plan or a champion needs before the first round; ``settings`` replace fields of ``[refit]``.

    Raises PlanError, InputError, BundleError, LeakageError, TrainingError.
    """
    base = Path()
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.suffix != ".toml":
            return _of_champion(Bundle.load(path), path, None, data, old, settings)
        source, base = Plan.load(path), path.parent
    if isinstance(source, Bundle):
        return _of_champion(source, None, None, data, old, settings)
    plan = source.merged({"refit": settings}) if settings else source
    if plan.refit.champion is not None:
        path = base / plan.refit.champion
        return _of_champion(Bundle.load(path), path, plan, reading_of(data, plan, base), old, {})
    reading = reading_of(data, plan, base)
    return _of_plan(plan, reading.table, TrainingFile.of(plan.data, reading, base), start_of(plan, base))


def _of_plan(plan: Plan, table: Table, file: TrainingFile, start: Start | None) -> RefitSetup:
    """The first champion is trained on the first rows as in any run; its test part is held out for good."""
    table = on_grid(table, plan).table
    old = round(plan.refit.first * len(table))
    if Task.of(plan.the_task).target.whole_batches and table.batch is not None:
        old = next(end for _, end in batch_runs(table) if end >= old)
    warm = plan.refit.start == "warm"
    trained = train_contender(table.rows(slice(0, old)), one_network(plan) if warm else plan, file, start=start)
    refuse(audit_run(trained.prepared), acknowledged=plan.evaluation.acknowledged)
    held_out = trained.prepared.split.rows(SplitPart.TEST)
    return _set_up(plan, table, Contender(trained.bundle), file, None, old=old, held_out=held_out)


def _of_champion(
    bundle: Bundle, path: Path | None, plan: Plan | None, data: Any, old: Any, settings: Mapping[str, Any]
) -> RefitSetup:
    where = str(path or "champion")
    if plan is None:
        plan = Plan.parse(bundle.plan, where=where)
        plan = plan.merged({"refit": settings}) if settings else plan
    # a champion is followed by challengers that start from it, not from what it once started from
    plan = plan.model_copy(update={"training": plan.training.model_copy(update={"warm_start": None})})
    reading = _read_for(bundle, data)
    table, file = reading.table, TrainingFile(bundle.read, reading.profile or bundle.profile)
    if old is not None:
        before = _read_for(bundle, old).table
        if table.time is not None and before.time is not None and table.time[0] <= before.time[-1]:
            raise InputError("refit.not_later", where=table.source, first=_time(table, 0), last=_time(before, -1))
        return _set_up(plan, _appended(before, table), Contender(bundle), file, path, old=len(before), held_out=None)
    period = bundle.period
    if table.time is None or period is None:
        raise InputError("refit.no_clock", where=table.source)
    late = np.flatnonzero(table.time > np.datetime64(period.last))
    if not len(late):
        raise InputError("refit.nothing_new", where=table.source, last=_time(table, -1), known=period.last)
    return _set_up(plan, table, Contender(bundle), file, path, old=int(late[0]), held_out=None)


def _set_up(
    plan: Plan,
    table: Table,
    champion: Contender,
    file: TrainingFile,
    path: Path | None,
    *,
    old: int,
    held_out: Mask | None,
) -> RefitSetup:
    preprocessing = champion.bundle.preprocessing
    if plan.refit.start == "warm":
        champion.bundle.start("champion").check(plan)
    table = _aligned(champion.bundle, table)
    whole = preprocessing.spec.lookback is None or preprocessing.task.target.whole_batches
    layout = lay_out_rounds(table, plan.refit, preprocessing.spec, old=old, held_out=held_out, whole=whole)
    return RefitSetup(plan=plan, table=table, champion=champion, layout=layout, file=file, path=path)


def _read_for(bundle: Bundle, data: Any) -> Reading:
    """A table as the champion knows it: read as its training table was, its tags, on its grid."""
    reading = reading_of(data, Plan(data=bundle.read), Path())
    return replace(reading, table=_aligned(bundle, reading.table))


def _aligned(bundle: Bundle, table: Table) -> Table:
    """A table with the tags of the champion, on its grid."""
    preprocessing = bundle.preprocessing
    return resample(preprocessing.aligned(table, need_target=True).table, preprocessing.repair.plan).table


def _appended(old: Table, new: Table) -> Table:
    """Two tables of the same tags, one behind the other; batches of the same name go on."""
    time = None if old.time is None or new.time is None else np.concatenate([old.time, new.time])
    batch, names = None, old.batch_names
    if old.batch is not None and new.batch is not None:
        names = tuple(dict.fromkeys((*old.batch_names, *new.batch_names)))
        codes = np.array([names.index(name) for name in new.batch_names], dtype=np.int32)
        batch = np.concatenate([old.batch, codes[new.batch]])
    quality = None
    if old.quality is not None and new.quality is not None:
        quality = np.concatenate([old.quality, new.quality])
    return replace(
        new, values=np.concatenate([old.values, new.values]), time=time, batch=batch, batch_names=names, quality=quality
    )


def _time(table: Table, row: int) -> str:
    assert table.time is not None
    return str(on_wall(np.datetime64(table.time[row], "s"), table.time_zone).astype("datetime64[s]"))
