"""Parquet files.

This module reads Parquet. What the file claims about its size is checked before anything is
unpacked, for a small file can claim to hold billions of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import ReadPlan
from backmix.data.sources import Example, Source, sources
from backmix.data.sources.packing import check_ratio, check_regular, source_name
from backmix.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 1 << 17
_INDEX = re.compile(r"__index_level_\d+__")


def read_parquet(plan: ReadPlan, path: Path) -> RawTable:
    """The raw columns of a Parquet file.

    Raises InputError: read.damaged, read.too_large, read.strange_column.
    """
    import pyarrow as pa
    from pyarrow import parquet

    where = source_name(plan, path)
    check_regular(path, where)
    try:
        with parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
            unpacked = max(
                sum(group.total_byte_size for group in groups), 8 * file.metadata.num_rows * len(file.schema_arrow)
            )
            check_ratio(unpacked, path.stat().st_size, where)
            if unpacked > plan.limit:
                raise InputError("read.too_large", where=where, limit=f"{plan.limit_mb:g}")
            found = file.read()
    except (pa.ArrowException, OSError) as fault:
        raise InputError("read.damaged", where=where, kind="Parquet", fault=_line(fault)) from None
    columns = from_arrow(found, where)
    return RawTable(columns, found.num_rows, where, lambda row: row + 1)


def parquet_blocks(plan: ReadPlan, path: Path) -> Iterator[RawTable]:
    """The raw columns of a Parquet file in blocks of rows. Raises InputError as `read_parquet`."""
    import pyarrow as pa
    from pyarrow import parquet

    where = source_name(plan, path)
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS):
                found = pa.Table.from_batches([batch])
                yield RawTable(from_arrow(found, where), found.num_rows, where, lambda row: row + 1)
    except (pa.ArrowException, OSError) as fault:
        raise InputError("read.damaged", where=where, kind="Parquet", fault=_line(fault)) from None


def from_arrow(found: Any, where: str) -> tuple[RawColumn, ...]:
    """The columns of an Arrow table; a row index of numbers that pandas left behind is no column."""
    made = []
    for name, cells in zip(found.column_names, found.columns, strict=True):
        column = arrow_column(name, cells, where)
        if _INDEX.fullmatch(name) and column.times is None:
            continue
        made.append(column)
    return tuple(made)


def arrow_column(name: str, cells: Any, where: str) -> RawColumn:
    """One Arrow column by its type: numbers, truth values, decimals, times, dates, or text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = cells.type, pa.types
    if types.is_dictionary(kind):
        cells = pc.cast(cells, kind.value_type)
        kind = cells.type
    if types.is_null(kind):
        return RawColumn(name)
    if types.is_boolean(kind):
        cells = pc.cast(cells, pa.int8())
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        numbers = pc.cast(cells, pa.float64(), safe=False).to_numpy().astype(np.float64)
        return RawColumn(name, numbers=numbers, truth=types.is_boolean(kind))
    if types.is_timestamp(kind) or types.is_date(kind):
        try:
            times = pc.cast(cells, pa.timestamp("ns", getattr(kind, "tz", None)))
        except pa.ArrowInvalid:
            raise InputError("read.time_range", where=f"{where}:{name}") from None
        return RawColumn(
            name, times=times.to_numpy().astype("datetime64[ns]"), aware=getattr(kind, "tz", None) is not None
        )
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return RawColumn(name, texts=pc.cast(cells, pa.large_string()))
    raise InputError("read.strange_column", where=where, column=name, kind=str(kind))


def _line(fault: BaseException) -> str:
    return str(fault).splitlines()[0][:160] if str(fault) else type(fault).__name__


def example(frame: pd.DataFrame, folder: Path) -> Example:
    """The table as a Parquet file."""
    frame.to_parquet(folder / "table.parquet")
    return Example(ReadPlan(file=str(folder / "table.parquet")))


sources.register("parquet")(
    Source("parquet", read_parquet, suffixes=(".parquet", ".pq", ".parq"), magic=(b"PAR1",), example=example)
)
