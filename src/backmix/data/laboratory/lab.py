"""Laboratory results: read, and put on the rows of the table at whose time they were sampled.

This module reads what ``[data.lab]`` names and joins it to a table: each result as a column of role
"lab", and beside it the column that says when it was reported (`data.reported`). Every row of the
laboratory file is in the ledger: put on a row of the table, or dropped, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from backmix.data.laboratory.lab_cells import with_plain_numbers
from backmix.data.laboratory.lab_plan import LabPlan
from backmix.data.laboratory.lab_rows import Labels, join
from backmix.data.layout.clock import one_clock
from backmix.data.layout.evidence import OpenQuestion
from backmix.data.layout.together import with_clocks_together
from backmix.data.ledger import Note
from backmix.data.notation.clock import iso
from backmix.data.reading.assembly import axes_of, cells_of, lay_out, moments
from backmix.data.reading.columns import RawColumn, RawTable, Times
from backmix.data.reading.meaning import names_of
from backmix.data.reading.reading import Reading, ReadPlan, TagPlan
from backmix.data.reported import report_name, report_tag, seconds
from backmix.data.runs import place
from backmix.data.side_file import one_name, several
from backmix.data.table import missing_column
from backmix.errors import InputError

ReadTable = Callable[[ReadPlan], Reading]


def read_with_lab(
    plan: ReadPlan, base: Path, read_table: ReadTable, read_raw: Callable[[ReadPlan, Path], RawTable]
) -> Reading:
    """The table of a plan with its laboratory results.

    read_table reads the table itself, read_raw the columns of a file. Raises InputError and PlanError for
    results that cannot be used, see ``[data.lab]``.
    """
    lab = plan.lab
    assert lab is not None
    _no_inputs(plan.tags, lab.named)
    if lab.file is None:
        return _within(read_table(plan), plan, lab)
    labels = _labels(read_raw(plan.for_side_file(lab, time=lab.sample, batch=lab.batch), base), plan, lab)
    own = {tag.name for tag in labels.tags}
    reading = read_table(
        plan.model_copy(update={"lab": None, "tags": tuple(tag for tag in plan.tags if tag.name not in own)})
    )
    return join(reading, labels, lab)


def with_report_times(raw: RawTable, plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """The columns of a table that holds its own results, their report times as numbers beside them."""
    lab = plan.lab
    if lab is None or lab.file is not None or lab.report is None:
        return raw, plan
    for name in (*lab.named, *lab.reports):
        if name not in raw.names:
            raise missing_column(name, raw.names, raw.where)
    whole = raw if isinstance(lab.report, dict) else with_clocks_together(raw, plan, lab.report)
    made = tuple(
        RawColumn(report_name(name), numbers=seconds(_moments(whole, str(lab.report_of(name)), plan)))
        for name in lab.named
    )
    kept = tuple(column for column in raw.columns if column.name not in lab.reports)
    tags = tuple(TagPlan(name=report_name(name), unit="s", role="ignored", type="number") for name in lab.named)
    return (
        replace(raw, columns=(*kept, *made)),
        plan.model_copy(update={"tags": (*(tag for tag in plan.tags if tag.name not in lab.reports), *tags)}),
    )


def _labels(raw: RawTable, plan: ReadPlan, lab: LabPlan) -> Labels:
    """The results of a laboratory file, with the times of their samples and reports."""
    form = plan.for_side_file(lab, time=lab.sample, batch=lab.batch)
    for wanted in (*several(lab.sample), lab.batch, *lab.reports, *lab.named):
        if wanted is not None and wanted not in raw.names:
            raise missing_column(wanted, raw.names, raw.where)
    raw = with_clocks_together(raw, form, lab.sample, None if isinstance(lab.report, dict) else lab.report)
    reports = {lab.report_of(name) for name in lab.report} if isinstance(lab.report, dict) else {lab.report_of("")}
    rest = replace(raw, columns=tuple(column for column in raw.columns if column.name not in reports))
    rest = with_plain_numbers(rest, lab.named, lab.below)
    if lab.sample is None:
        results_alone = tuple(TagPlan(name=name) for name in lab.named)
        try:
            rest, form = one_clock(rest, form.model_copy(update={"tags": results_alone}))
        except OpenQuestion as question:
            if question.key != "read.which_time":
                raise
            raise InputError(question.key, **question.values) from None  # no question about the table
    else:
        form = form.model_copy(update={"time": one_name(lab.sample)})
    sample, batch = axes_of(rest, form)
    if sample is None:
        raise InputError("lab.no_sample", where=raw.where, names=", ".join(raw.names[:12]))
    results = set(lab.named) or {name for name in rest.names if name not in (sample, batch)}
    rest = replace(rest, columns=tuple(c for c in rest.columns if c.name in results or c.name in (sample, batch)))
    told = tuple(_described(name, plan.tags, forced=bool(lab.named)) for name in rest.names if name in results)
    form = form.model_copy(update={"time": sample, "tags": tuple(tag for tag in told if tag is not None)})
    found = lay_out([rest], form)
    numbers = {name: meant for name, meant in found.tags.items() if meant.kind == "number"}
    if not numbers:
        raise InputError("lab.no_numbers", where=raw.where, names=", ".join(raw.names[:12]))
    _no_inputs(plan.tags, tuple(numbers))
    values, tags, marked = cells_of(rest, replace(found, tags=numbers), form)
    notes = [
        *found.notes,
        *marked,
        *(Note("converted", "lab.reason_no_number", raw.rows, tag=name) for name in found.tags if name not in numbers),
    ]
    described = {tag.name for tag in plan.tags if tag.role is not None}
    tags = tuple(tag if tag.name in described else replace(tag, role="lab") for tag in tags)
    times = moments(rest, sample, form)
    reported = _reports(raw, [tag.name for tag in tags], form, lab)
    words = None
    if batch is not None:
        column = next(column for column in raw.columns if column.name == batch)
        words = tuple(names_of(column, raw.rows).to_pylist())
    zoned = not any(note.reason == "read.reason_no_zone" for note in times.notes)
    return Labels(raw, sample, tags, values, times.utc, reported, words, (*notes, *times.notes), zoned=zoned)


def _reports(raw: RawTable, names: Sequence[str], form: ReadPlan, lab: LabPlan) -> Times | None:
    """When each result was reported, (L, K); None for a fixed delay."""
    if lab.report is None:
        return None
    return np.column_stack([_moments(raw, str(lab.report_of(name)), form) for name in names])


def _moments(raw: RawTable, name: str, plan: ReadPlan) -> Times:
    return moments(raw, name, plan).utc


def _described(name: str, tags: Sequence[TagPlan], *, forced: bool) -> TagPlan | None:
    """What a plan says of a result; a column that is named holds numbers, whatever else stands in it."""
    told = next((tag for tag in tags if tag.name == name), None)
    if not forced:
        return told
    return TagPlan(name=name, type="number") if told is None else told.model_copy(update={"type": "number"})


def _no_inputs(tags: Sequence[TagPlan], results: Collection[str]) -> None:
    for tag in tags:
        if tag.role == "input" and tag.name in results:
            raise InputError("lab.input", tag=tag.name)


def _within(reading: Reading, plan: ReadPlan, lab: LabPlan) -> Reading:
    """The table that holds its own results, with their report times beside them and their roles set."""
    table, notes = reading.table, []
    if table.time is None:
        raise InputError("lab.no_clock", where=table.source)
    clock = seconds(np.asarray(table.time))
    given = {tag.name for tag in plan.tags if tag.role is not None}
    for name in lab.named:
        tag = table.tag(name)
        if tag.role == "input" and name not in given:
            table = table.retag({name: replace(tag, role="lab")})
        there = np.isfinite(table.column(name))
        if lab.report is None:
            known = np.where(there, clock + lab.delay_seconds(table.step), np.nan)
            table = table.with_columns([report_tag(name)], known)
            continue
        if report_name(name) not in table.names:  # a source without columns of dates
            raise missing_column(str(lab.report_of(name)), table.names, table.source)
        reported = table.column(report_name(name))
        early = np.flatnonzero(there & (reported < clock))
        if len(early):
            row = int(early[0])
            shown = iso(np.datetime64(round(float(reported[row])), "s"), table.time_zone)
            raise InputError("lab.report_before", where=table.source, tag=name, report=shown, sample=place(table, row))
        notes.append(Note("marked", "lab.reason_not_reported", int((there & np.isnan(reported)).sum()), tag=name))
    return replace(reading, table=table, ledger=reading.ledger.add(*notes))
