"""A first plan for a new table.

This module looks at a table and drafts a commented plan: what to predict, which columns serve as
inputs, which to leave out and why. Every guess is written where the reader can change it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from backmix.data.layout.units import unit_in_name
from backmix.data.repairing.repair import RepairPlan
from backmix.data.repairing.resample import check_clock
from backmix.data.sources import ReadPlan, read
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.tasks import Classification, tasks
from backmix.tasks.shared.classes import MOST_CLASSES
from backmix.text import say
from backmix.training.prepare import check_target

QUALITY_WORDS = re.compile(r"lab|qual|target|purity|conc|yield|^y$|品質|化驗|純度|濃度|產率|目標", re.IGNORECASE)
CLASS_WORDS = re.compile(r"fault|state|status|label|class|alarm|故障|狀態|類別|異常", re.IGNORECASE)
LIFE_WORDS = re.compile(r"\brul\b|remaining|life|壽命|剩餘", re.IGNORECASE)
BATCH_WORDS = re.compile(r"batch|lot|unit|run|campaign|批|爐|機組", re.IGNORECASE)
SPARSE = 0.5
"""A column with more missing values than this is taken for a laboratory analysis."""


def draft(file: Path, *, settings: ReadPlan, target: str | None, beside: Path) -> str:
    """A plan as TOML text for ``file``; the plan will lie in ``beside``.

    settings: how to read the file, as far as it is known. Raises InputError when the file cannot be
    read as it is, or when it has no column to predict.
    """
    reading = read(settings.model_copy(update={"file": str(file)}))
    if target is not None:
        check_target(reading, [target])
    table = reading.table
    batch = settings.batch or _batch(table)
    if batch is not None and batch != settings.batch:
        table = read(settings.model_copy(update={"file": str(file), "batch": batch})).table
    name = target if target is not None else _target(table)
    kind = _kind(table, name)
    lines = [
        f"# {say('draft.head', rows=f'{len(table):,}', tags=len(table.tags))}",
        "",
        "[data]",
        f"file = {_text(os.path.relpath(file, beside).replace(os.sep, '/'))}",
    ]
    options = settings.model_dump(mode="json", exclude_defaults=True, exclude={"file", "batch", "tags"})
    for key, value in options.items():
        lines.append(f"{key} = {_text(value) if isinstance(value, str) else str(value).lower()}")
    if batch is not None:
        lines.append(f"batch = {_text(batch)}  # {say('draft.batch')}")
    lines += [
        f"# {say('draft.clock')}" if table.time is not None else f"# {say('draft.no_clock')}",
        "",
        f"# {say('draft.tags')}",
    ]
    lines += [line for tag in table.tags for line in _tag(table, tag, name)]
    lines += ["[task]", f'kind = "{kind}"  # {say("draft.kind")}', f"target = {_text(name)}"]
    lines += [f"# {say('course.draft_kinds')}"] if table.batch is not None else []
    task = tasks.get(kind)
    if "past_targets" in task.Settings.model_fields:
        lines += [f"# {say('draft.past')}", '# past_targets = { delay = "1h" }']
    elif "normal" in task.Settings.model_fields:
        first = _text(table.tag(name).categories[0])
        lines += [f"# {say('draft.normal')}", f"# normal = {first}"]
    lines += _grid(table)
    share = "batch" if issubclass(task, Classification) and table.batch is not None else "table"
    way = "batch" if task.Target.whole_batches else "chronological"
    lines += [
        "",
        "[split]",
        f"# {say('draft.split')}",
        f'kind = "{way}"',
        "train = 0.6",
        "validation = 0.2",
        "test = 0.2",
        f'within = "{share}"',
        "",
        "[windows]",
        f"# {say('draft.lookback')}",
        'lookback = "auto"',
        "",
        "[model]",
        f"# {say('draft.model')}",
        'cell = "auto"',
        "",
        "[training]",
        "seed = 0",
        "",
    ]
    return "\n".join(lines)


def _kind(table: Table, name: str) -> str:
    """The most likely task, from the values of the target and how often it has one in a batch."""
    if table.tag(name).categories:
        return "fault_diagnosis"
    if table.batch is None:
        return "soft_sensor"
    if LIFE_WORDS.search(name):
        return "remaining_life"
    values = np.bincount(np.asarray(table.batch), weights=np.isfinite(table.column(name)))
    rows = np.bincount(np.asarray(table.batch))
    return "batch_quality" if values.max() <= 1 < rows.max() else "soft_sensor"


def _grid(table: Table) -> list[str]:
    """The section that puts rows on a grid, when they do not come at even times."""
    try:
        check_clock(table, RepairPlan())
    except InputError as fault:
        if fault.key != "repair.irregular":
            raise
        return ["", "[repair]", f"# {say('draft.irregular')}", f"resample = {_text(fault.values['mend'])}"]
    return []


def _tag(table: Table, tag: Tag, target: str) -> list[str]:
    """The entry of one column, with the reason when it is left out."""
    why = None if tag.name == target else _useless(table, tag)
    entry = ["[[data.tags]]", f"name = {_text(tag.name)}", f"unit = {_text(tag.unit or unit_in_name(tag.name))}"]
    if tag.name == target:
        entry.append('role = "target"')
    elif why is not None:
        entry.append(f'role = "ignored"  # {say(why)}')
    elif np.isnan(table.column(tag.name)).mean() > SPARSE:
        entry.append(f'role = "lab"  # {say("draft.lab")}')
    return [*entry, ""]


def _useless(table: Table, tag: Tag) -> str | None:
    """Why a column cannot be an input, as a key of the catalogue."""
    values = table.column(tag.name)
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return "draft.is_empty"
    if finite.min() == finite.max():
        return "draft.is_constant"
    if tag.categories:
        return None
    steps = np.diff(finite)
    return "draft.is_counter" if steps.min() == steps.max() and len(steps) > 1 else None


def _batch(table: Table) -> str | None:
    """A column that names batches: its name says so, and each value comes in one stretch."""
    if table.batch is not None:
        return None
    for tag in table.tags:
        values = table.column(tag.name)
        if BATCH_WORDS.search(tag.name) and np.isfinite(values).all():
            changes = 1 + int(np.count_nonzero(np.diff(values)))
            if 1 < changes == len(np.unique(values)) <= len(table) // 2:
                return tag.name
    return None


def _target(table: Table) -> str:
    """The most likely target: a labelled class, a laboratory value, else the last column of numbers."""
    classes = [tag.name for tag in table.tags if 2 <= len(tag.categories) <= MOST_CLASSES]
    numbers = [tag.name for tag in table.tags if not tag.categories and _useless(table, tag) is None]
    for names, words in ((classes, CLASS_WORDS), (numbers, QUALITY_WORDS), (classes, QUALITY_WORDS)):
        for name in reversed(names):
            if words.search(name):
                return name
    sparse = [name for name in numbers if np.isnan(table.column(name)).mean() > SPARSE]
    for names in (sparse, numbers):
        if names:
            return names[-1]
    raise InputError("draft.nothing_to_predict", where=table.source)


def _text(value: str) -> str:
    """A TOML string."""
    import tomli_w

    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")
