"""From columns as they stand in a file to one clock and a column a tag.

This module brings raw columns into the wide form that `assembly` understands: columns that make the clock together
become one, long form and pairs become a column a tag, status columns become qualities, several clocks become one. It
obeys the plan; what the plan leaves open it looks for in the table, and says why, or asks.
"""

from __future__ import annotations

from dataclasses import replace

from backmix.data.layout.clock import one_clock
from backmix.data.layout.layout import LongForm
from backmix.data.reading.columns import RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.table import missing_column
from backmix.errors import InputError


def shape(raw: RawTable, plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """The table in wide form with a single clock column, and the plan that names it.

    Raises InputError (data.missing_column) for a column that the plan names and the source does not have, and
    OpenQuestion for a table that can be read in several ways.
    """
    from backmix.data.shapes import long, pairs
    from backmix.data.shapes.blocks import side_by_side
    from backmix.data.shapes.joining import Parts, joined

    if raw.beside:
        return side_by_side(_apart(raw), plan)
    parts: Parts | None = None
    if plan.shape == "pairs":
        parts = pairs.take_apart(raw, plan, pairs.look(raw))
    elif plan.shape is None and not plan.clock and plan.batch is None and plan.lab is None:
        blocks = pairs.look(raw)
        if blocks and not pairs.certain(blocks):
            raise pairs.ask(raw, blocks)
        if blocks:
            raw = replace(raw, evidence=(*raw.evidence, *pairs.evidence(blocks)))
            parts = pairs.take_apart(raw, plan, blocks)
    if parts is None:
        raw, plan = one_clock(raw, plan)
        if plan.shape == "long" or (plan.shape is None and plan.long is not None):
            form, clock = _long_form(raw, plan)
            parts = long.take_apart(raw, plan, form, clock)
        elif plan.shape is None and (columns := long.look(raw, plan)) is not None:
            if not columns.certain:
                raise long.ask(raw, columns)
            raw = replace(raw, evidence=(*raw.evidence, *long.evidence(columns, plan)))
            parts = long.take_apart(raw, plan, columns.form, columns.clock)
    if parts is not None:
        return joined(parts, plan), _named(plan, parts.clock)
    return _wide(raw, plan)


def _apart(raw: RawTable) -> list[RawTable]:
    """A table and those that stand beside it, one by one."""
    return [replace(raw, beside=()), *(table for other in raw.beside for table in _apart(other))]


def _wide(raw: RawTable, plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """A table that has a column a tag already: its status columns, and the grid where the plan names one."""
    from backmix.data.reading.assembly import axes_of
    from backmix.data.shapes.clocks import cut
    from backmix.data.shapes.joining import Parts, joined
    from backmix.data.shapes.status import attached

    raw = attached(raw, plan, plan.clock)
    if plan.grid in (None, "union"):
        return raw, plan
    clock, batch = axes_of(raw, plan)
    if clock is None:
        raise InputError("shape.grid_no_clock", where=raw.where)
    for name in (clock, batch):
        if name is not None and name not in raw.names:
            raise missing_column(name, raw.names, raw.where)
    series, names, notes = cut(raw, clock, batch, plan)
    parts = Parts(
        series,
        clock,
        raw.where,
        raw.rows,
        batch=batch,
        batch_names=names,
        units=raw.units,
        descriptions=raw.descriptions,
        notes=(*raw.notes, *notes),
        evidence=raw.evidence,
    )
    return joined(parts, plan), _named(plan, clock)


def _named(plan: ReadPlan, clock: str) -> ReadPlan:
    """The plan for a table whose clock is one column of times in UTC, whatever it was before."""
    return plan.model_copy(update={"time": clock, "time_form": None})


def _long_form(raw: RawTable, plan: ReadPlan) -> tuple[LongForm, str]:
    """The columns of a table that the plan calls long: as told, else as found."""
    from backmix.data.reading.assembly import axes_of
    from backmix.data.shapes import long

    clock = axes_of(raw, plan)[0]
    if clock is None:
        raise InputError("shape.long_no_clock", where=raw.where)
    if plan.long is not None:
        return plan.long, clock
    likely = long.look(raw, plan)
    if likely is None:
        raise InputError("shape.long_columns", where=raw.where, names=", ".join(raw.names[:12]))
    return likely.form, clock
