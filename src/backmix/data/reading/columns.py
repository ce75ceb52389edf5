"""Columns as a source delivers them, before anybody knows what they mean.

This module defines `RawColumn` and `RawTable`, what every registered source makes and `assembly`
turns into a `Table`. A cell is a number, a text, a time, or empty.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.evidence import Evidence
from backmix.data.ledger import Note
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Times = NDArray[np.datetime64]
RowNumber = Callable[[int], int | str]
"""Row 0, 1, ... of a table -> what a person finds that row by in the source."""
NAT = np.datetime64("NaT", "ns")


@dataclass(frozen=True, eq=False)
class RawColumn:
    """One column of N cells; each cell is in at most one of the three arrays.

    numbers: (N,) float64, NaN where the cell is no number; None when no cell is
    texts: N texts, null where the cell is no text or is empty; None when no cell is
    times: (N,) datetime64[ns], NaT where the cell is no time; None when no cell is
    aware: the times are UTC; else they are what a clock on the wall showed
    quality: (N,) of each cell, as the source itself says (`Quality`); None when it says nothing
    truth: the numbers are what the source has as true and false
    """

    name: str
    numbers: NDArray[np.float64] | None = None
    texts: pa.ChunkedArray | None = None
    times: Times | None = None
    aware: bool = False
    quality: NDArray[np.uint8] | None = None
    truth: bool = False


@dataclass(frozen=True, eq=False)
class RawTable:
    """All columns of a source.

    where: the source's name for messages
    number: row 0, 1, ... -> the number by which a person finds that row in the source, with the name of the file
        or sheet when there are several
    units, descriptions: column -> what stands below its name in the header
    evidence: why the source was read as it was
    beside: further tables of the source that have a clock of their own; `shaping` joins them
    """

    columns: tuple[RawColumn, ...]
    rows: int
    where: str
    number: RowNumber
    notes: tuple[Note, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    beside: tuple[RawTable, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def at(self, row: int, column: str) -> str:
        """``where:row:column`` of one cell."""
        return f"{self.where}:{self.number(row)}:{column}"


def texts(cells: Iterable[str | None]) -> pa.ChunkedArray:
    """Texts as a column's array; empty ones become null."""
    import pyarrow as pa

    return pa.chunked_array([pa.array([cell or None for cell in cells], pa.large_string())])


def header(cells: Sequence[Any], where: str) -> tuple[str, ...]:
    """The names in a header row, trimmed; a nameless column is called by its number.

    Raises InputError: data.duplicate_column, read.no_header (all cells are numbers).
    """
    # sheets have line breaks within names; a name is one line everywhere else
    names = ["" if cell is None else " ".join(str(cell).split()) for cell in cells]
    if names and all(_number(name) for name in names):
        raise InputError("read.no_header", where=where, first=names[0])
    found = tuple(name or f"column {number}" for number, name in enumerate(names, 1))
    for name, count in Counter(found).items():
        if count > 1:
            raise InputError("data.duplicate_column", where=where, column=name)
    return found


def _number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def from_objects(name: str, cells: Sequence[Any], at: Callable[[int], str]) -> RawColumn:
    """A column of Python values of mixed types, as a spreadsheet or a database gives them.

    ``at`` places a row in messages. Raises InputError (read.strange_cell) for a value that is
    neither number, text nor time, and read.mixed_clocks for times with and without a zone.
    """
    import datetime as dt
    from decimal import Decimal

    numbers = np.full(len(cells), np.nan)
    times = np.full(len(cells), NAT)
    words: list[str | None] = [None] * len(cells)
    kinds: set[str] = set()
    truth = True
    for row, cell in enumerate(cells):
        if cell is None or cell == "" or cell is NotImplemented:
            continue
        if isinstance(cell, str):
            words[row] = cell
            kinds.add("text")
        elif isinstance(cell, bool | int | float | Decimal | np.number | np.bool_):
            numbers[row] = _float(cell)
            kinds.add("number")
            truth &= isinstance(cell, bool | np.bool_)
        elif isinstance(cell, dt.datetime | dt.date | np.datetime64):
            moment, aware = _moment(cell)
            if not np.isnat(moment):
                times[row] = moment
                kinds.add("aware" if aware else "naive")
        elif type(cell).__name__ not in ("NAType", "NaTType"):
            raise InputError("read.strange_cell", where=at(row), kind=type(cell).__name__)
    if {"aware", "naive"} <= kinds:
        raise InputError("read.mixed_clocks", where=at(int(np.flatnonzero(~np.isnat(times))[0])))
    return RawColumn(
        name,
        numbers=numbers if "number" in kinds else None,
        texts=texts(words) if "text" in kinds else None,
        times=times if kinds & {"aware", "naive"} else None,
        aware="aware" in kinds,
        truth=truth and kinds == {"number"},
    )


def _float(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:  # a whole number beyond 1e308
        return math.inf if cell > 0 else -math.inf


def _moment(cell: Any) -> tuple[np.datetime64, bool]:
    import datetime as dt

    if isinstance(cell, np.datetime64):
        return cell.astype("datetime64[ns]"), False
    offset = cell.utcoffset() if isinstance(cell, dt.datetime) else None
    if offset is not None:
        cell = cell.astimezone(dt.UTC).replace(tzinfo=None)
    return np.datetime64(cell).astype("datetime64[ns]"), offset is not None
