"""One measured or computed quantity of the plant.

This module defines `Tag`, the noun for a column: its name, unit, role and limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["input", "target", "lab", "ignored"]
"""What a column is for. ``lab`` is a quantity analysed in the laboratory: never an input as it
stands, since it is known only when reported. The time and batch columns become the axes of a
`Table` (`Table.time`, `Table.batch`) and are no tags any more."""


@dataclass(frozen=True)
class Tag:
    """One column of a `Table`.

    ``low`` and ``high`` are physical limits in ``unit``: a value outside is a bad measurement.
    ``categories`` names the classes of a column of text; its values are then codes 0, 1, ...

    >>> Tag("T101", unit="degC", low=0, high=250).label
    'T101 [degC]'
    """

    name: str
    unit: str = ""
    role: Role = "input"
    low: float | None = None
    high: float | None = None
    description: str = ""
    categories: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name with its unit, for axes and tables."""
        return self.name + bracket(self.unit)


def bracket(unit: str) -> str:
    """A unit behind a name; nothing when there is none.

    >>> "T101" + bracket("degC")
    'T101 [degC]'
    """
    return f" [{unit}]" if unit else ""


def reported_name(target: str) -> str:
    """The name of the input that shows the past values of a target, each once it was reported.

    >>> reported_name("C_A")
    'C_A (reported)'
    """
    return f"{target} (reported)"
