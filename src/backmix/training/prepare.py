"""From a table and a plan to training, validation and test windows.

This module does everything that happens before a network sees a number, in the one order in which
nothing can leak: classes and clock are checked, the table is resampled, rows are split, and only
then are repair rules and scalers learned, from the training rows alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backmix.data.ledger import Account, Ledger, account
from backmix.data.repair import fit_repair
from backmix.data.reported import learned
from backmix.data.resample import check_clock, resample
from backmix.data.sources import Reading
from backmix.data.split import Part, Split, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows import Windows, WindowSpec, build_windows, fit_scalers, window_spec
from backmix.duration import Duration
from backmix.errors import InputError
from backmix.models.choice import Choice
from backmix.tasks import Task, tasks
from backmix.text import say
from backmix.training.lookback import choose_lookback
from backmix.training.plan import Plan
from backmix.training.recipe import Recipe, repair_for

LEAST_WINDOWS = 10
"""A part with fewer windows than this can neither train nor judge a network."""
LEAST_BATCHES = 3
"""The same when one window is one whole batch: batches are few, and the verdict says when they are too few."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that training and evaluation need of the data.

    table: the repaired table, rows as in the windows
    recipe: what turned the table into windows; goes into the bundle
    ledger, account: what was done to the rows, adding up
    choices: what "auto" became
    """

    plan: Plan
    table: Table
    split: Split
    recipe: Recipe
    train: Windows
    validation: Windows
    test: Windows
    ledger: Ledger
    account: Account
    choices: tuple[Choice, ...]

    @property
    def task(self) -> Task:
        """The task, bound to its target."""
        return self.recipe.task

    @property
    def parts(self) -> dict[str, Windows]:
        """The windows of each part by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def prepare(reading: Reading, plan: Plan) -> Prepared:
    """Split, repair, scale and window a table as the plan says.

    Raises InputError (no inputs, too little data, irregular clock ...) and PlanError.
    """
    settings = plan.the_task
    kind = tasks.get(settings.kind)
    check_target(reading, settings.targets)
    table = kind.adapt(reading.table, settings)
    check_clock(table, plan.repair)
    table, resampled = resample(table, plan.repair)
    task = kind.bind(table, settings)
    inputs = tuple(sorted((tag for tag in table.tags if tag.role == "input"), key=lambda tag: tag.name))
    if not inputs:
        raise InputError("prepare.no_inputs", where=table.source, names=", ".join(table.names))
    spec = _spec(table, plan, task, inputs)
    choices: list[Choice] = []
    if plan.windows.lookback == "auto":
        # a first split and repair, only to choose; the real ones below know the chosen reach
        parts = _parts(table, plan, gap=spec.reach)
        repair = fit_repair(table, plan.repair, rows=parts.rows(Part.TRAIN))
        kept = tuple(name for name in spec.inputs if name not in repair.dropped_tags)
        short = replace(spec, inputs=kept, missing=False)
        choices.append(choose_lookback(repair.apply(table)[0], parts, short))
        spec = replace(spec, lookback=choices[-1].value)
    parts = _parts(table, plan, gap=spec.reach)
    repair = fit_repair(table, plan.repair, rows=parts.rows(Part.TRAIN))
    inputs = tuple(tag for tag in inputs if tag.name not in repair.dropped_tags)
    if not inputs:
        raise InputError("prepare.no_inputs", where=table.source, names=", ".join(table.names))
    spec = replace(spec, inputs=tuple(tag.name for tag in inputs))
    table, repaired = repair_for(spec, repair, table)
    scaler, target_scaler = fit_scalers(table, spec, rows=parts.rows(Part.TRAIN), inputs=plan.scaling.inputs,
                                        target=plan.scaling.target)
    recipe = Recipe(task=task, inputs=inputs, repair=repair, spec=spec, scaler=scaler,
                    target_scaler=target_scaler, step=table.step)
    windows = {part: build_windows(table, spec, split=parts, part=part).scaled(recipe.scaler, recipe.target_scaler)
               for part in (Part.TRAIN, Part.VALIDATION, Part.TEST)}
    for part, found in windows.items():
        _enough(found, part, rows=int(parts.rows(part).sum()))
    choices += _left_out(table, list(windows.values()))
    choices += _unseen(task, windows[Part.TRAIN])
    ledger = reading.ledger.add(*resampled, *repaired)
    return Prepared(plan=plan, table=table, split=parts, recipe=recipe, train=windows[Part.TRAIN],
                    validation=windows[Part.VALIDATION], test=windows[Part.TEST], ledger=ledger,
                    account=account(ledger, table), choices=tuple(choices))


def _left_out(table: Table, parts: list[Windows]) -> list[Choice]:
    """The batches that have no window in any part, by name; the sentence is about the shortest."""
    if table.batch is None:
        return []
    served = {table.batch_names[code] for part in parts for code in np.unique(table.batch[part.origins])}
    names = sorted({name for part in parts for name in part.excluded} - served)
    if not names:
        return []
    sizes = np.bincount(table.batch, minlength=len(table.batch_names))
    shortest = min(names, key=lambda name: sizes[table.batch_names.index(name)])
    spec, rows = parts[0].spec, int(sizes[table.batch_names.index(shortest)])
    fit = max(1, rows - spec.horizon - spec.dead_time)
    values = {"lookback": spec.lookback, "rows": rows, "batch": shortest, "fit": fit}
    return [Choice(tuple(names), "windows.excluded", values, setting="windows.lookback")]


def _parts(table: Table, plan: Plan, *, gap: int) -> Split:
    """The split; the error for too little data asks for as many rows as training needs, too."""
    try:
        return split(table, plan.split, gap=gap)
    except InputError as fault:
        if fault.key != "windows.split_too_small":
            raise
        purged, fit = fault.values["gap"], fault.values["fit"]
        needed = math.ceil(len(table) * (purged + LEAST_WINDOWS) / (fit + 1))
        raise InputError(fault.key, **fault.values | {"needed": needed}) from None


def _enough(windows: Windows, part: Part, *, rows: int) -> None:
    """InputError unless a part has enough windows to train or judge with."""
    named = {"where": windows.table.source, "part": say(f"windows.part_{part.name.lower()}"), "count": len(windows)}
    if windows.spec.lookback is None:
        if len(windows) < LEAST_BATCHES:
            raise InputError("prepare.too_few_batches", **named, least=LEAST_BATCHES)
    elif len(windows) < LEAST_WINDOWS:
        if unlabelled := dict(windows.dropped).get("windows.reason_no_label"):
            raise InputError("prepare.too_few_labels", **named, least=LEAST_WINDOWS, unlabelled=unlabelled)
        span = windows.spec.reach
        needed = math.ceil(len(windows.table) * (span + LEAST_WINDOWS) / (span + len(windows)))
        raise InputError("prepare.too_few_windows", **named, least=LEAST_WINDOWS, rows=rows, span=span, needed=needed)


def _unseen(task: Task, train: Windows) -> tuple[Choice, ...]:
    """Which classes the training part does not show, for the report; InputError when it shows only one."""
    if not task.classes:
        return ()
    seen = set(train.truth()[:, 0].astype(int).tolist())
    if len(seen) == 1:
        raise InputError("prepare.one_class", where=train.table.source, target=task.targets[0].name,
                         found=task.classes[seen.pop()], count=len(train))
    names = [name for code, name in enumerate(task.classes) if code not in seen]
    if not names:
        return ()
    return (Choice(tuple(names), "prepare.class_unseen", {"names": ", ".join(names)}, setting="task.target"),)


def check_target(reading: Reading, targets: Sequence[str]) -> None:
    """InputError for a target that is in the file but was left out of the table as free text."""
    for note in reading.ledger.notes:
        if note.reason == "read.reason_free_text" and note.tag in targets and note.tag not in reading.table.names:
            raise InputError("prepare.target_is_free_text", where=reading.table.source, target=note.tag,
                             count=note.count, example=note.example)


def _spec(table: Table, plan: Plan, task: Task, inputs: tuple[Tag, ...]) -> WindowSpec:
    """The form of the windows; with lookback "auto" one row, until it is chosen."""
    form, gap, step = plan.windows, plan.repair.max_gap, table.step
    targets = tuple(tag.name for tag in task.targets)
    if form.lookback == "auto":
        form = form.model_copy(update={"lookback": Duration.parse(1)})
    return window_spec(form, table, inputs=tuple(tag.name for tag in inputs),
                       targets=targets, known=learned(task.known(step), table, targets),
                       max_gap=None if gap is None or step is None else gap.rows(step) * step)
