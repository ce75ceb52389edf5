"""Tables of one layout, one below the other.

This module appends the tables of several files or sheets. A column that some of them lack has no values there; a place
in a message names the file it is in. Tables that share nothing but their clock are not appended: they stand beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.layout.evidence import Evidence
from backmix.data.layout.units import plain_unit
from backmix.data.ledger import Note
from backmix.data.quality import Quality
from backmix.data.reading.columns import NAT, RawColumn, RawTable
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


def append(tables: Sequence[tuple[str, RawTable]], where: str, key: str) -> RawTable:
    """One table of all of them; ``tables`` with the name of each file or sheet.

    where: what messages call the whole; key: "file" or "sheet", as in the plan
    Raises InputError: read.units_differ, read.mixed_clocks.
    """
    if len(tables) == 1:
        return tables[0][1]
    first = tables[0][1]
    apart = [(name, raw) for name, raw in tables[1:] if not _alike(first, raw)]
    below = [tables[0], *((name, raw) for name, raw in tables[1:] if _alike(first, raw))]
    if apart:
        return replace(append(below, where, key), beside=(append(apart, where, key),))
    names = list(dict.fromkeys(name for _, raw in tables for name in raw.names))
    starts = np.cumsum([0, *(raw.rows for _, raw in tables)])
    rows = int(starts[-1])
    columns, notes = [], [note for _, raw in tables for note in raw.notes]
    for name in names:
        pieces = [next((column for column in raw.columns if column.name == name), None) for _, raw in tables]
        absent = [index for index, piece in enumerate(pieces) if piece is None]
        if absent:
            count = sum(tables[index][1].rows for index in absent)
            notes.append(Note("marked", "read.reason_absent", count, tag=name, example=tables[absent[0]][0]))
        columns.append(_joined(name, pieces, tables, where))

    def number(row: int) -> str:
        index = int(np.searchsorted(starts, row, side="right")) - 1
        return f"{tables[index][0]}:{tables[index][1].number(row - int(starts[index]))}"

    values = {"count": len(tables), "names": ", ".join(name for name, _ in tables[:4])}
    evidence = (*first.evidence, Evidence(f"{key}s", len(tables), f"layout.{key}s", values))
    units, descriptions = _said(tables, where)
    return RawTable(tuple(columns), rows, where, number, tuple(notes), units, descriptions, evidence)


def _alike(first: RawTable, other: RawTable) -> bool:
    """Whether two tables share more than the column of the clock."""
    shared = set(first.names) & set(other.names)
    return len(shared) > 1 or set(first.names) == set(other.names)


def _said(tables: Sequence[tuple[str, RawTable]], where: str) -> tuple[dict[str, str], dict[str, str]]:
    """Units and descriptions, from the first table that has them; a unit must not change."""
    units: dict[str, tuple[str, str]] = {}
    descriptions: dict[str, str] = {}
    for part, raw in tables:
        for name, unit in raw.units.items():
            before, other = units.setdefault(name, (unit, part))
            if plain_unit(before) != plain_unit(unit):
                raise InputError(
                    "read.units_differ", where=f"{where}:{part}", column=name, unit=unit, other=other, before=before
                )
        for name, text in raw.descriptions.items():
            descriptions.setdefault(name, text)
    return {name: unit for name, (unit, _) in units.items()}, descriptions


def _joined(
    name: str, pieces: Sequence[RawColumn | None], tables: Sequence[tuple[str, RawTable]], where: str
) -> RawColumn:
    lengths = [raw.rows for _, raw in tables]
    timed = {piece.aware for piece in pieces if piece is not None and piece.times is not None}
    if len(timed) > 1:
        raise InputError("read.mixed_clocks", where=f"{where}:{name}", text="")

    def whole(what: str, empty: Any) -> Any:
        arrays = [None if piece is None else getattr(piece, what) for piece in pieces]
        if all(array is None for array in arrays):
            return None
        return np.concatenate(
            [np.full(length, empty) if array is None else array for array, length in zip(arrays, lengths, strict=True)]
        )

    return RawColumn(
        name,
        numbers=whole("numbers", np.nan),
        texts=_texts(pieces, lengths),
        times=whole("times", NAT),
        aware=bool(timed and timed.pop()),
        quality=whole("quality", np.uint8(Quality.GOOD)),
        truth=all(piece is None or piece.numbers is None or piece.truth for piece in pieces),
    )


def _texts(pieces: Sequence[RawColumn | None], lengths: Sequence[int]) -> pa.ChunkedArray | None:
    import pyarrow as pa

    if all(piece is None or piece.texts is None for piece in pieces):
        return None
    chunks: list[Any] = []
    for piece, length in zip(pieces, lengths, strict=True):
        if piece is None or piece.texts is None:
            chunks.append(pa.nulls(length, pa.large_string()))
        else:
            chunks += [chunk.cast(pa.large_string()) for chunk in piece.texts.chunks]
    return pa.chunked_array(chunks, pa.large_string())
