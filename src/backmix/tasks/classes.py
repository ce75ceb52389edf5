"""Labels as classes: what a column of numbers or names says about each row.

This module codes the label column of a task that tells classes apart. It registers no task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.errors import InputError

MOST_CLASSES = 200


def as_classes(table: Table, name: str) -> Table:
    """The table with a column of whole numbers as classes named by those numbers; one of text as it is.

    Raises InputError: data.missing_column, tasks.target_is_empty, tasks.not_classes.
    """
    if table.tag(name).categories:
        return table
    values = table.column(name)
    present = np.unique(values[np.isfinite(values)])
    if len(present) == 0:
        raise InputError("tasks.target_is_empty", where=table.source, target=name)
    if len(present) > MOST_CLASSES or not np.array_equal(present, np.round(present)):
        raise InputError("tasks.not_classes", where=table.source, target=name, count=len(present))
    there = np.isfinite(values)
    codes = np.full(len(table), np.nan)
    codes[there] = np.searchsorted(present, values[there])
    return _with_codes(table, name, codes, tuple(str(int(v)) for v in present))


def recoded(table: Table, name: str, codes: Sequence[int], categories: tuple[str, ...]) -> Table:
    """The table with other classes: class k of the column becomes ``categories[codes[k]]``."""
    values = table.column(name)
    there = np.isfinite(values)
    found = np.full(len(table), np.nan)
    found[there] = np.asarray(codes)[values[there].astype(np.int64)]
    return _with_codes(table, name, found, categories)


def _with_codes(table: Table, name: str, codes: NDArray[np.float64], categories: tuple[str, ...]) -> Table:
    """The table with these codes in the column, whose qualities stay."""
    at = table.index(name)
    return table.with_columns(
        [replace(table.tag(name), categories=categories)],
        codes,
        quality=None if table.quality is None else table.quality[:, at],
    )
