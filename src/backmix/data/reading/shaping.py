"""From columns as they stand in a file to one clock and a column a tag.

This module brings raw columns into the wide form that `assembly` understands: columns that make the clock together
become one. It obeys the plan; what the plan leaves open is looked for by `layout`.
"""

from __future__ import annotations

from dataclasses import replace

from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.meaning import names_of
from backmix.data.reading.reading import ReadPlan
from backmix.data.table import missing_column


def shape(raw: RawTable, plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """The table in wide form with a single clock column, and the plan that names it.

    Raises InputError (data.missing_column) for a column that the plan names and the source does not have.
    """
    if len(plan.clock) > 1:
        return _one_clock(raw, plan)
    return raw, plan


def _one_clock(raw: RawTable, plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """The columns of the clock side by side in one column of text, where the first of them stood."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in plan.clock:
        if name not in raw.names:
            raise missing_column(name, raw.names, raw.where)
    columns = {column.name: column for column in raw.columns}
    texts = [names_of(columns[name], raw.rows) for name in plan.clock]
    together = pc.binary_join_element_wise(*texts, pa.scalar(" ", pa.large_string()), null_handling="emit_null")
    clock = RawColumn(" ".join(plan.clock), texts=pa.chunked_array([together]))
    kept = [clock if column.name == plan.clock[0] else column for column in raw.columns]
    kept = [column for column in kept if column.name not in plan.clock[1:]]
    return replace(raw, columns=tuple(kept)), plan.model_copy(update={"time": clock.name})
