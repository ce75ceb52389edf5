"""From a table and a plan to training, validation and test windows.

This module does everything that happens before a network sees a number, in the one order in which
nothing can leak: classes and clock are checked, the table is resampled, rows are split, and only
then are repair rules and scalers learned, from the training rows alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backmix.data.ledger import Note, account
from backmix.data.repairing.repair import Repair, RepairPlan, fit_repair
from backmix.data.repairing.resample import Resampled, check_clock, resample
from backmix.data.reported import learned
from backmix.data.scaling import Scaler
from backmix.data.scaling.regimes import Codes, Regimes, at_one_level
from backmix.data.segments import Mask
from backmix.data.sources import Reading
from backmix.data.splitting.split import Split, SplitPart, split
from backmix.data.states import StateCoding, code_states
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows, WindowSpec, build_windows, fit_scalers, window_spec
from backmix.decision import Decision
from backmix.duration import Duration
from backmix.errors import InputError, PlanError
from backmix.tasks import Task
from backmix.tasks.contract.optional import Promises
from backmix.tasks.shared.promise import Promise
from backmix.text import say
from backmix.training.advice.delays import scan_rows
from backmix.training.advice.left_out import left_out, not_judged, unseen
from backmix.training.advice.lookback import choose_lookback
from backmix.training.advice.reach import choose_reach, may_look_farther
from backmix.training.advice.regimes import RegimeDecision, RegimeSearch, regimes_of
from backmix.training.advice.states import coded_states, stated
from backmix.training.fitting.warm import Start
from backmix.training.plan import Plan
from backmix.training.prepared import Prepared
from backmix.training.preprocessing import Preprocessing, repair_for

LEAST_WINDOWS = 10
"""A part with fewer windows than this can neither train nor judge a network."""
LEAST_BATCHES = 3
"""The same when one window is one whole batch: batches are few, and the verdict says when they are too few."""


Divide = Callable[[Table, int], Split]
"""How rows are divided where it is not the plan that says so: (table, rows to purge) -> split."""


def prepare(reading: Reading, plan: Plan, *, start: Start | None = None, divide: Divide | None = None) -> Prepared:
    """Split, repair, scale and window a table as the plan says.

    start: a model to go on from; its tags, repair rules, scalers and form of windows are kept
    divide: divides the rows in the place of the plan; then there may be no test part

    Raises InputError (no inputs, too little data, irregular clock ...) and PlanError.
    """
    check_target(reading, plan.the_task.targets)
    afresh = () if start is None or start.give else (start.decision,)  # the model runs no network to go on from
    start = None if afresh else start
    ground = _fresh(reading, plan, divide) if start is None else _continued(reading, plan, start, divide)
    task, table, parts, decisions = ground.task, ground.table, ground.split, [*afresh, *ground.decisions]
    judges = divide is None or parts.count(SplitPart.TEST) > 0
    forms = {SplitPart.TRAIN: ground.spec, SplitPart.VALIDATION: ground.spec}
    if judges:
        forms[SplitPart.TEST] = replace(ground.spec, stride=1) if task.judging.test_at_every_row else ground.spec
    windows = {
        part: build_windows(table, form, split=parts, part=part).scaled(*ground.scalers) for part, form in forms.items()
    }
    for part, part_windows in windows.items():
        _enough(part_windows, part, rows=int(parts.rows(part).sum()), whole=task.target.whole_batches)
    decisions += left_out(table, list(windows.values()))
    tested = windows[SplitPart.TEST] if judges else windows[SplitPart.VALIDATION].subset(np.empty(0, np.int64))
    windows[SplitPart.TEST] = task.judging.test_windows(tested) if judges else tested
    if judges and not len(windows[SplitPart.TEST]):
        raise InputError("course.none_judged", where=table.source, count=len(tested))
    decisions += not_judged(tested, windows[SplitPart.TEST])
    windows[SplitPart.TRAIN] = task.target.training_windows(windows[SplitPart.TRAIN])
    train, validation = windows[SplitPart.TRAIN], windows[SplitPart.VALIDATION]
    training_samples = (
        task.target.training_samples(train),
        task.target.training_samples(task.target.training_windows(validation)),
    )
    for part, samples in zip((SplitPart.TRAIN, SplitPart.VALIDATION), training_samples, strict=True):
        _enough(samples, part, rows=int(parts.rows(part).sum()))
    decisions += (*unseen(task, train), *task.presentation.remarks(train))
    task = task.learn(train, validation)
    if isinstance(task.answer, Promises) and task.answer.promise is not None:
        decisions.append(Promise.from_dict(task.answer.promise).decision)
    preprocessing = Preprocessing(
        task=task,
        inputs=ground.inputs,
        repair=ground.repair,
        spec=ground.spec,
        scaler=ground.scalers[0],
        target_scaler=ground.scalers[1],
        step=table.step,
        states=ground.states,
        regimes=ground.regimes,
    )
    ledger = reading.ledger.add(*ground.notes)
    return Prepared(
        plan=plan,
        table=table,
        split=parts,
        preprocessing=preprocessing,
        train=train,
        validation=validation,
        test=windows[SplitPart.TEST],
        running=None if len(tested) == len(windows[SplitPart.TEST]) else tested,
        training_samples=training_samples,
        fitted_on=ground.fitted_on,
        ledger=ledger,
        account=account(ledger, table),
        decisions=tuple(decisions),
        start=start,
        regime_codes=ground.codes,
    )


@dataclass(frozen=True, eq=False)
class _Ground:
    """The repaired table and all that turns it into windows."""

    table: Table
    split: Split
    task: Task
    inputs: tuple[Tag, ...]
    repair: Repair
    spec: WindowSpec
    scalers: tuple[Scaler, Scaler | None]
    fitted_on: Mask
    notes: tuple[Note, ...]
    decisions: tuple[Decision, ...]
    states: tuple[StateCoding, ...] = ()
    regimes: Regimes | None = None
    codes: Codes | None = None


def _fresh(reading: Reading, plan: Plan, divide: Divide | None) -> _Ground:
    """Everything learned from this table's own training rows."""
    settings = plan.the_task
    task = Task.of(settings)
    _check_computed(reading.table, task)
    table, resampled = on_grid(reading.table, plan)
    table = task.target.with_labels(task.target.with_inputs(table))
    task = task.bind(table)
    if divide is None:
        check_uncut(table, plan, task)
    inputs = _inputs(table)
    spec = _spec(table, plan, task, inputs)
    measured = table
    rules, given = _rules(plan, task)
    decisions: list[Decision] = [*given]
    choice: RegimeDecision | None = None
    if plan.windows.lookback == "auto" and spec.lookback is not None:
        # a first split and repair, only to choose; the real ones below know the chosen reach
        parts = _parts(table, plan, divide, gap=spec.reach)
        states, coded = coded_states(table, plan, _teaching_rows(table, parts, task))
        table = coded.table
        repair = _repair(table, task, rules, _teaching_rows(table, parts, task), states)
        names = tuple(tag.name for tag in _inputs(table))
        kept, goals = (
            tuple(name for name in names if name not in repair.dropped_tags)
            for names in (names, task.target.learned_names(names))
        )
        short = replace(spec, inputs=kept, targets=goals, future=(), missing=False)
        repaired_once = repair.apply(table).table
        search = RegimeSearch(repaired_once, table, parts, short, task, states, _teaching_rows(table, parts, task))
        regimes, choice = regimes_of(search, plan, None)
        seen = scan_rows(repaired_once, short, task, search.rows)
        repaired_once = at_one_level(regimes, repaired_once, table).table
        decisions.append(
            choose_lookback(repaired_once, parts, short, learned=task.target.training_windows, dead_times=seen)
        )
        spec = replace(spec, lookback=decisions[-1].value)
        if may_look_farther(plan, task, spec):
            short = replace(short, lookback=spec.lookback)
            longer = choose_reach(repaired_once, parts, short, learned=task.target.training_windows)
            if longer is not None:
                decisions.append(longer)
                spec = replace(spec, lookback=longer.value, seen=spec.lookback)
    parts = _parts(table, plan, divide, gap=spec.reach)
    fitted_on = _teaching_rows(table, parts, task)
    states, coded = coded_states(measured, plan, fitted_on)
    table = coded.table
    repair = _repair(table, task, rules, fitted_on, states)
    inputs = tuple(tag for tag in _inputs(table) if tag.name not in repair.dropped_tags)
    spec = _with_inputs(spec, task, inputs, table)
    table, repaired = repair_for(spec, repair, table)
    search = RegimeSearch(table, coded.table, parts, spec, task, states, fitted_on)
    regimes, choice = regimes_of(search, plan, choice)
    levelled = at_one_level(regimes, table, coded.table)
    scalers = fit_scalers(levelled.table, spec, rows=fitted_on, inputs=plan.scaling.inputs, target=plan.scaling.target)
    decisions += [*(stated(coding, plan) for coding in states), *choice.decisions]
    notes = (*resampled, *coded.notes, *repaired, *levelled.notes)
    return _Ground(
        levelled.table,
        parts,
        task,
        inputs,
        repair,
        spec,
        scalers,
        fitted_on,
        notes,
        tuple(decisions),
        states,
        regimes,
        levelled.codes,
    )


def _inputs(table: Table) -> tuple[Tag, ...]:
    """The inputs of a table, by name."""
    return tuple(sorted((tag for tag in table.tags if tag.role == "input"), key=lambda tag: tag.name))


def _repair(table: Table, task: Task, rules: RepairPlan, rows: Mask, states: tuple[StateCoding, ...]) -> Repair:
    """The repair rules of a table whose states are coded."""
    coded = [column for coding in states for column in coding.columns]
    return fit_repair(_measured(table, task), rules, rows=rows, states=coded)


def _continued(reading: Reading, plan: Plan, start: Start, divide: Divide | None) -> _Ground:
    """Everything as the model knows it that training goes on from; only the rows are new."""
    old, settings = start.preprocessing, plan.the_task
    start.check(plan)
    start.check_tags(Task.of(settings).target.adapt(reading.table))
    aligned = old.aligned(reading.table, need_target=True)
    table, resampled = resample(aligned.table, old.repair.plan)
    task = replace(old.task, settings=settings, fitted={})
    table = task.target.with_labels(task.target.with_inputs(table))
    if divide is None:
        check_uncut(table, plan, task)
    coded = code_states(table, old.states)
    table = coded.table
    asked = start.windows(plan).model_copy(update={"repair": old.repair.plan})
    spec = start.spec(_spec(table, asked, task, old.inputs))
    parts = _parts(table, plan, divide, gap=spec.reach)
    table, repaired = repair_for(spec, old.repair, table)
    levelled = at_one_level(old.regimes, table, coded.table)
    return _Ground(
        levelled.table,
        parts,
        task,
        old.inputs,
        old.repair,
        spec,
        (old.scaler, old.target_scaler),
        _teaching_rows(table, parts, task),
        (*aligned.ledger.notes, *resampled, *coded.notes, *repaired, *levelled.notes),
        (start.decision,),
        old.states,
        old.regimes,
        levelled.codes,
    )


def on_grid(table: Table, plan: Plan) -> Resampled:
    """The table as the task of the plan takes it, on the grid of the plan.

    Raises InputError where the clock is irregular and the plan names no grid.
    """
    table = Task.of(plan.the_task).target.adapt(table)
    check_clock(table, plan.repair)
    return resample(table, plan.repair)


def _check_computed(table: Table, task: Task) -> None:
    """InputError when a column has the name of one that the task computes itself."""
    for name in task.target.computed:
        if name in table.names and name not in task.settings.targets:
            raise InputError("course.name_taken", where=table.source, column=name, task=task.name)


def _measured(table: Table, task: Task) -> Table:
    """The table less what the task computes itself: there is nothing to repair in it."""
    made = task.target.computed
    return table.select([name for name in table.names if name not in made])


def _rules(plan: Plan, task: Task) -> tuple[RepairPlan, tuple[Decision, ...]]:
    """The repair rules of the plan, less the clamping where it would hide what the task looks for."""
    if task.target.clamps_inputs or not plan.repair.clamp or "clamp" in plan.repair.model_fields_set:
        return plan.repair, ()
    return (
        plan.repair.model_copy(update={"clamp": False}),
        (Decision(False, "prepare.no_clamp", {}, setting="repair.clamp"),),
    )


def _teaching_rows(table: Table, parts: Split, task: Task) -> Mask:
    """(N,) the training rows that repair rules and scalers are learned from."""
    rows, allowed = parts.rows(SplitPart.TRAIN), task.target.training_rows(table)
    if allowed is None:
        return rows
    if not (rows & allowed).any():
        raise InputError(
            "prepare.nothing_to_learn",
            where=table.source,
            rows=f"{int(rows.sum()):,}",
            task=task.name,
            target=", ".join(task.settings.targets),
        )
    return rows & allowed


def check_uncut(table: Table, plan: Plan, task: Task) -> None:
    """PlanError when the split cuts batches whose rows only know their target when the batch has ended."""
    cuts = plan.split.kind not in ("batch", "named") or plan.split.within == "batch"
    if task.target.whole_batches and cuts:
        raise PlanError("prepare.cut_batches", task=task.name, kind=plan.split.kind)


def _parts(table: Table, plan: Plan, divide: Divide | None, *, gap: int) -> Split:
    """The split; the error for too little data asks for as many rows as training needs, too."""
    if divide is not None:
        return divide(table, gap)
    try:
        return split(table, plan.split, gap=gap)
    except InputError as fault:
        if fault.key != "windows.split_too_small":
            raise
        purged, fit = fault.values["gap"], fault.values["fit"]
        needed = math.ceil(len(table) * (purged + LEAST_WINDOWS) / (fit + 1))
        raise InputError(fault.key, **fault.values | {"needed": needed}) from None


def _enough(windows: Windows, part: SplitPart, *, rows: int, whole: bool = False) -> None:
    """InputError unless a part has enough windows to train or judge with; whole: batches count."""
    named: dict[str, Any] = {"where": windows.table.source, "part": say(f"windows.part_{part.name.lower()}")}
    if windows.spec.lookback is None or whole:
        batch = windows.table.batch
        batches = len(windows) if batch is None else len(np.unique(batch[windows.origins]))
        if batches < LEAST_BATCHES:
            raise InputError("prepare.too_few_batches", **named, count=batches, least=LEAST_BATCHES)
    named |= {"count": len(windows)}
    if windows.spec.lookback is not None and len(windows) < LEAST_WINDOWS:
        if unlabelled := dict(windows.dropped).get("windows.reason_no_label"):
            raise InputError("prepare.too_few_labels", **named, least=LEAST_WINDOWS, unlabelled=unlabelled)
        span = windows.spec.reach
        needed = math.ceil(len(windows.table) * (span + LEAST_WINDOWS) / (span + len(windows)))
        raise InputError("prepare.too_few_windows", **named, least=LEAST_WINDOWS, rows=rows, span=span, needed=needed)


def check_target(reading: Reading, targets: Sequence[str]) -> None:
    """InputError for a target that is in the file but was left out of the table as free text."""
    for note in reading.ledger.notes:
        if note.reason == "read.reason_free_text" and note.tag in targets and note.tag not in reading.table.names:
            raise InputError(
                "prepare.target_is_free_text",
                where=reading.table.source,
                target=note.tag,
                count=note.count,
                example=note.example,
            )


def _spec(table: Table, plan: Plan, task: Task, inputs: tuple[Tag, ...]) -> WindowSpec:
    """The form of the windows; with lookback "auto" one row, until it is chosen."""
    form, gap, step = plan.windows, plan.repair.max_gap, table.step
    if form.lookback == "auto":
        lookback = Duration.parse(1) if task.target.auto_lookback == "auto" else task.target.auto_lookback
        form = form.model_copy(update={"lookback": lookback})
    names = tuple(tag.name for tag in inputs)
    goals = task.target.learned_names(names)
    if not goals:
        raise InputError("prepare.no_inputs", where=table.source, names=", ".join(table.names))
    spec = window_spec(
        form,
        table,
        inputs=names or goals,
        targets=goals,
        max_gap=None if gap is None or step is None else gap.rows(step) * step,
    )
    spec = _with_inputs(spec, task, inputs, table)
    spec = replace(spec, carried=True) if plan.training.state == "carried" else spec
    each = plan.windows.short == "pad" or (plan.windows.short == "auto" and task.target.whole_batches and spec.pads)
    return replace(spec, padded=True) if each else spec


def _with_inputs(spec: WindowSpec, task: Task, inputs: tuple[Tag, ...], table: Table) -> WindowSpec:
    """The form of the task's windows with these inputs; InputError when nothing is left to look at."""
    names = tuple(tag.name for tag in inputs)
    spec = task.target.window_form(
        replace(spec, inputs=names or spec.inputs, future=(), targets=task.target.learned_names(names)), table.step
    )
    if not names and spec.known is None:
        raise InputError("prepare.no_inputs", where=table.source, names=", ".join(table.names))
    return replace(spec, inputs=names, known=learned(spec.known, table, spec.targets))
