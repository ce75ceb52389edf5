"""Frames in memory: pandas, polars, Arrow and whatever else narwhals knows.

This module takes the columns of a frame. The index of a pandas frame is a column when it has a
name or holds times.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.reading.columns import RawColumn, RawTable, from_objects
from backmix.data.reading.reading import ReadPlan
from backmix.data.sources import Example, Source, sources
from backmix.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_WHERE = "frame"


def read_frame(plan: ReadPlan, frame: Any) -> RawTable:
    """The raw columns of a frame; rows are counted from 0, as frames do.

    Raises InputError: read.no_frame, data.duplicate_column, read.strange_column.
    """
    import narwhals as nw

    frame = _with_index(frame)
    try:
        known = nw.from_native(frame)
    except TypeError:
        raise InputError("read.no_frame", where=_WHERE, kind=type(frame).__name__) from None
    except nw.exceptions.DuplicateError:
        twice = [str(name) for name in frame.columns]
        raise InputError(
            "data.duplicate_column", where=_WHERE, column=next(name for name in twice if twice.count(name) > 1)
        ) from None
    eager = known.collect() if isinstance(known, nw.LazyFrame) else known
    columns = tuple(_column(eager.get_column(name)) for name in eager.columns)
    return RawTable(columns, len(eager), _WHERE, lambda row: row)


def _with_index(frame: Any) -> Any:
    """A pandas frame with its index as columns when that says something, and with names as text."""
    import sys

    pandas = sys.modules.get("pandas")  # who holds a pandas frame has loaded pandas
    if pandas is None or not isinstance(frame, pandas.DataFrame):
        return frame
    index = frame.index
    if isinstance(index, pandas.DatetimeIndex) and index.name is None:
        index = index.rename("time")
        frame = frame.set_axis(index, axis=0)
    if any(name is not None for name in index.names):
        twice = [name for name in index.names if name in frame.columns]
        if twice:
            raise InputError("data.duplicate_column", where=_WHERE, column=str(twice[0]))
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    for name in names:
        if names.count(name) > 1:
            raise InputError("data.duplicate_column", where=_WHERE, column=name)
    return frame.set_axis(names, axis=1)


def _column(cells: Any) -> RawColumn:
    import narwhals as nw

    from backmix.data.sources.parquet import arrow_column

    name, kind = cells.name, cells.dtype
    if kind.is_numeric() or kind == nw.Boolean:
        try:
            numbers = np.asarray(cells.cast(nw.Float64).to_numpy(), dtype=np.float64)
        except (TypeError, ValueError):  # pandas: nullable truth values with gaps
            numbers = np.array([np.nan if cell is None else float(cell) for cell in cells.to_list()])
        return RawColumn(name, numbers=numbers, truth=kind == nw.Boolean)
    if kind in (nw.Object, nw.Unknown, nw.Binary, nw.Duration, nw.Time):
        return from_objects(name, cells.to_list(), lambda row: f"{_WHERE}:{row}:{name}")
    import pyarrow as pa

    found = cells.to_arrow()
    return arrow_column(name, found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found]), _WHERE)


def example(frame: pd.DataFrame, folder: Path) -> Example:
    """The frame itself."""
    return Example(ReadPlan(), frame)


sources.register("frame")(Source("frame", read_frame, example=example))
