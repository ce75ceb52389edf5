"""Which values were measured, and which were put in by a repair.

This module marks the cells of inputs that a repair has filled: one column of 0 and 1 per input
beside the table, role "ignored", which windows show when ``[windows] missing`` asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.tag import Tag


def missing_name(name: str) -> str:
    """The column that says whether the values of an input are missing ones that were filled.

    >>> missing_name("T101")
    'T101 (missing)'
    """
    return f"{name} (missing)"


def with_missing(table: Table, names: Sequence[str], filled: NDArray[np.bool_]) -> Table:
    """The table with a column of 0 and 1 for each of these inputs; filled: (N, F).

    >>> table = Table(np.array([[1.0], [1.0]]), (Tag("T101"),))
    >>> with_missing(table, ["T101"], np.array([[False], [True]])).column("T101 (missing)").tolist()
    [0.0, 1.0]
    """
    return table.with_columns(
        [Tag(missing_name(name), role="ignored") for name in names], filled.astype(table.values.dtype)
    )
