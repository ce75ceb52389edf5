"""Several tables as one: sheets of a workbook, files of a folder.

This module puts tables with different tags side by side, whatever the form of each. (Tables with the same tags are
put behind one another before, see `reading.appending`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backmix.data.reading.columns import RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.shapes.clocks import cut
from backmix.data.shapes.joining import Parts, joined
from backmix.data.shapes.series import TagSeries, chosen
from backmix.errors import InputError


def side_by_side(tables: Sequence[RawTable], plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """Tables with different tags on one clock, which may be called differently in each.

    Raises InputError: shape.tag_in_two for a tag that stands in two tables, shape.no_clock_in for one without clock.
    """
    parts, owners = [], dict[str, str]()
    for table in tables:
        part = _apart(table, plan)
        for trend in part.series:
            if trend.name in owners:
                raise InputError("shape.tag_in_two", tag=trend.name, where=table.where, other=owners[trend.name])
            owners[trend.name] = table.where
        parts.append(part)
    names = tuple(dict.fromkeys(name for part in parts for name in part.batch_names))
    together = Parts(
        [_recoded(trend, part, names) for part in parts for trend in part.series],
        parts[0].clock,
        parts[0].where,
        sum(part.rows for part in parts),
        batch=parts[0].batch,
        batch_names=names,
        units={name: unit for part in reversed(parts) for name, unit in part.units.items()},
        descriptions={name: text for part in reversed(parts) for name, text in part.descriptions.items()},
        notes=tuple(note for part in parts for note in part.notes),
        evidence=tuple({entry.key: entry for part in reversed(parts) for entry in part.evidence}.values()),
    )
    return joined(together, plan), plan.model_copy(update={"time": together.clock, "time_form": None})


def _apart(table: RawTable, plan: ReadPlan) -> Parts:
    """One table as series, whatever its own form."""
    from backmix.data.reading.assembly import axes_of
    from backmix.data.shapes import long, pairs
    from backmix.data.shapes.status import attached

    own = plan.model_copy(update={"tags": tuple(tag for tag in plan.tags if tag.name in table.names)})
    if not set(plan.clock) <= set(table.names):  # the clock of this table has another name
        own = own.model_copy(update={"time": None})
    if plan.shape == "pairs" or (plan.shape is None and not own.clock and pairs.certain(pairs.look(table) or ())):
        blocks = pairs.look(table)
        if blocks:
            return pairs.take_apart(table, own, blocks)
    likely = long.look(table, own) if plan.shape in (None, "long") else None
    if likely is not None and (likely.certain or plan.shape == "long"):
        return long.take_apart(table, own, plan.long or likely.form, likely.clock)
    table = attached(table, own, own.clock)
    clock, batch = axes_of(table, own)
    if clock is None:
        raise InputError("shape.no_clock_in", where=table.where)
    series, names, notes = cut(table, clock, batch if batch in table.names else None, own)
    return Parts(
        series,
        clock,
        table.where,
        table.rows,
        batch=batch if batch in table.names else None,
        batch_names=names,
        units=table.units,
        descriptions=table.descriptions,
        notes=(*table.notes, *notes),
        evidence=table.evidence,
    )


def _recoded(series: TagSeries, part: Parts, names: tuple[str, ...]) -> TagSeries:
    """The series with the codes of all batches together."""
    if not part.batch_names:
        return series
    codes = np.array([names.index(name) for name in part.batch_names], np.int64)
    batch = codes[series.batch]
    order = np.lexsort((series.time, batch))
    return chosen(replace(series, batch=batch), order)
