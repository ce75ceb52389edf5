"""What a refit begins with: the table, the first champion, and which rows are old.

This module turns a plan or a bundle, and the tables given with it, into a `Stage` on which the rounds
are played.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backmix.data.resample import check_clock, resample
from backmix.data.segments import Mask
from backmix.data.sources import Reading, read
from backmix.data.split import SplitPart, batch_runs
from backmix.data.table import Table
from backmix.errors import InputError
from backmix.rolling.contender import Contender, one_network, teach
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.serving.bundle import Bundle, start_of
from backmix.tasks import Task
from backmix.training.plan import Plan
from backmix.training.sections.rounds import RoundLayout, lay_out
from backmix.training.warm import Start
from backmix.workflow import reading_of


@dataclass(frozen=True, eq=False)
class Stage:
    """Everything before the first round.

    table: old rows first, repaired by nobody yet; path: the file of the champion, if it came from one
    """

    plan: Plan
    table: Table
    champion: Contender
    layout: RoundLayout
    path: Path | None


def set_stage(source: Plan | Bundle | Path | str, data: Any, old: Any, settings: Mapping[str, Any]) -> Stage:
    """The stage for a plan or a champion; ``settings`` replace fields of ``[refit]``.

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
    return _of_plan(plan, reading_of(data, plan, base).table, start_of(plan, base))


def _of_plan(plan: Plan, table: Table, start: Start | None) -> Stage:
    """The first champion is trained on the first rows as in any run; its test part is held out for good."""
    target = Task.of(plan.the_task).target
    table = target.adapt(table)
    check_clock(table, plan.repair)
    table = resample(table, plan.repair).table
    old = round(plan.refit.first * len(table))
    if target.whole_batches and table.batch is not None:
        old = next(end for _, end in batch_runs(table) if end >= old)
    warm = plan.refit.start == "warm"
    taught = teach(table.rows(slice(0, old)), one_network(plan) if warm else plan, start=start)
    refuse(audit_run(taught.prepared), acknowledged=plan.evaluation.acknowledged)
    return _set(plan, table, Contender(taught.bundle), None, old=old, held=taught.prepared.split.rows(SplitPart.TEST))


def _of_champion(
    bundle: Bundle, path: Path | None, plan: Plan | None, data: Any, old: Any, settings: Mapping[str, Any]
) -> Stage:
    where = str(path or "champion")
    if plan is None:
        plan = Plan.parse(bundle.plan, where=where)
        plan = plan.merged({"refit": settings}) if settings else plan
    # a champion is followed by challengers that start from it, not from what it once started from
    plan = plan.model_copy(update={"training": plan.training.model_copy(update={"warm_start": None})})
    table = _table(bundle, data)
    if old is not None:
        before = _table(bundle, old)
        if table.time is not None and before.time is not None and table.time[0] <= before.time[-1]:
            raise InputError("refit.not_later", where=table.source, first=_moment(table, 0), last=_moment(before, -1))
        return _set(plan, _joined(before, table), Contender(bundle), path, old=len(before), held=None)
    period = bundle.period
    if table.time is None or period is None:
        raise InputError("refit.no_clock", where=table.source)
    late = np.flatnonzero(table.time > np.datetime64(period.last))
    if not len(late):
        raise InputError("refit.nothing_new", where=table.source, last=_moment(table, -1), known=period.last)
    return _set(plan, table, Contender(bundle), path, old=int(late[0]), held=None)


def _set(plan: Plan, table: Table, champion: Contender, path: Path | None, *, old: int, held: Mask | None) -> Stage:
    preprocessing = champion.bundle.preprocessing
    if plan.refit.start == "warm":
        champion.bundle.start("champion").check(plan)
    table = resample(preprocessing.aligned(table, need_target=True).table, preprocessing.repair.plan).table
    whole = preprocessing.spec.lookback is None or preprocessing.task.target.whole_batches
    layout = lay_out(table, plan.refit, preprocessing.spec, old=old, held=held, whole=whole)
    return Stage(plan=plan, table=table, champion=champion, layout=layout, path=path)


def _table(bundle: Bundle, data: Any) -> Table:
    """A table as the champion knows it: read as its training table was, its tags, on its grid."""
    if isinstance(data, str | os.PathLike):
        reading = read(
            bundle.read.model_copy(
                update={
                    "file": os.fspath(data),
                    "set": None,
                    "protocol": None,
                    "plant": None,
                    "sql": None,
                    "query": None,
                }
            )
        )
    elif data is None:
        reading = read(bundle.read)
    else:
        reading = data if isinstance(data, Reading) else reading_of(data, Plan(data=bundle.read), Path())
    preprocessing = bundle.preprocessing
    return resample(preprocessing.aligned(reading.table, need_target=True).table, preprocessing.repair.plan).table


def _joined(old: Table, new: Table) -> Table:
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


def _moment(table: Table, row: int) -> str:
    assert table.time is not None
    return str(np.datetime64(table.time[row], "s"))
