"""From columns as they stand in a file to one clock and a column a tag.

This module brings raw columns into the wide form that `assembly` understands: columns that make the clock together
become one. It obeys the plan; what the plan leaves open is looked for by `layout`.
"""

from __future__ import annotations

from backmix.data.layout.clock import one_clock
from backmix.data.reading.columns import RawTable
from backmix.data.reading.reading import ReadPlan


def shape(raw: RawTable, plan: ReadPlan) -> tuple[RawTable, ReadPlan]:
    """The table in wide form with a single clock column, and the plan that names it.

    Raises InputError (data.missing_column) for a column that the plan names and the source does not have.
    """
    return one_clock(raw, plan)
