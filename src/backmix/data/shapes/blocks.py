"""Several tables as one: sheets of a workbook, files of a folder.

This module puts tables with the same columns behind one another, and tables with different tags side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backmix.data.layout.evidence import Evidence
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.shapes.clocks import cut
from backmix.data.shapes.joining import Parts, joined
from backmix.data.shapes.series import TagSeries, chosen
from backmix.errors import InputError


def appended(tables: Sequence[RawTable]) -> RawTable:
    """Tables with the same columns behind one another; their order of columns is that of the first."""
    first = tables[0]
    if len(tables) == 1:
        return first
    starts = np.cumsum([0, *(table.rows for table in tables)])

    def number(row: int) -> int | str:
        at = int(np.searchsorted(starts, row, side="right")) - 1
        return tables[at].number(row - int(starts[at]))

    columns = {name: [_column(table, name) for table in tables] for name in first.names}
    rows = [table.rows for table in tables]
    return replace(
        first,
        columns=tuple(_behind(pieces, rows) for pieces in columns.values()),
        rows=int(starts[-1]),
        number=number,
        notes=tuple(note for table in tables for note in table.notes),
        units={name: unit for table in reversed(tables) for name, unit in table.units.items()},
        descriptions={name: text for table in reversed(tables) for name, text in table.descriptions.items()},
        evidence=_evidence(tables),
    )


def side_by_side(tables: Sequence[RawTable], plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """Tables with different tags on one clock; those with the same columns behind one another first.

    Raises InputError: shape.tag_in_two for a tag that stands in two tables, shape.no_clock_in for one without clock.
    """
    parts, owners = [], dict[str, str]()
    for table in _grouped(tables):
        part = _apart(table, plan)
        for one in part.series:
            if one.name in owners:
                raise InputError("shape.tag_in_two", tag=one.name, where=table.where, other=owners[one.name])
            owners[one.name] = table.where
        parts.append(part)
    names = tuple(dict.fromkeys(name for part in parts for name in part.batch_names))
    together = Parts(
        [_recoded(one, part, names) for part in parts for one in part.series],
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
    found = long.look(table, own) if plan.shape in (None, "long") else None
    if found is not None and (found.certain or plan.shape == "long"):
        return long.take_apart(table, own, plan.long or found.form, found.clock)
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


def _grouped(tables: Sequence[RawTable]) -> list[RawTable]:
    groups: dict[frozenset[str], list[RawTable]] = {}
    for table in tables:
        groups.setdefault(frozenset(table.names), []).append(table)
    return [appended(group) for group in groups.values()]


def _column(table: RawTable, name: str) -> RawColumn:
    return next(column for column in table.columns if column.name == name)


def _behind(pieces: Sequence[RawColumn], rows: Sequence[int]) -> RawColumn:
    """Pieces of one column as one; where a piece has no array of a kind, its cells are empty in it."""
    import pyarrow as pa

    def whole(name: str, nothing: object, kind: str) -> object:
        if all(getattr(piece, name) is None for piece in pieces):
            return None
        return np.concatenate(
            [
                np.full(count, nothing, kind) if getattr(piece, name) is None else getattr(piece, name)
                for piece, count in zip(pieces, rows, strict=True)
            ]
        )

    words = None
    if any(piece.texts is not None for piece in pieces):
        chunks = [
            pa.nulls(count, pa.large_string()) if piece.texts is None else piece.texts.cast(pa.large_string())
            for piece, count in zip(pieces, rows, strict=True)
        ]
        words = pa.chunked_array(
            [chunk for some in chunks for chunk in (some.chunks if isinstance(some, pa.ChunkedArray) else [some])],
            pa.large_string(),
        )
    aware = [piece.aware for piece in pieces if piece.times is not None]
    if len(set(aware)) > 1:
        raise InputError("read.mixed_clocks", where=pieces[0].name, text="")
    return RawColumn(
        pieces[0].name,
        numbers=whole("numbers", np.nan, "float64"),  # type: ignore[arg-type]
        texts=words,
        times=whole("times", np.datetime64("NaT", "ns"), "datetime64[ns]"),  # type: ignore[arg-type]
        aware=bool(aware and aware[0]),
        quality=whole("quality", 0, "uint8"),  # type: ignore[arg-type]
    )


def _evidence(tables: Sequence[RawTable]) -> tuple[Evidence, ...]:
    return tuple({entry.key: entry for table in reversed(tables) for entry in table.evidence}.values())
