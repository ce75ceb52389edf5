"""A file beside the table, such as laboratory results or a list of batches.

This module defines `SideFile`, what such a section of a plan says of where its file is and how it is written.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backmix.data.layout.layout import HeaderRow, TimeForm
from backmix.section import PlanSection

ColumnNames = str | tuple[str, ...]
"""A column, or the columns that make a clock together: a date and its hours, year, month and day."""


class SideFile(PlanSection):
    """Where a file beside the table is and how it is written, as in ``[data]``; zone and day order are those of the
    table when left out."""

    file: str | None = None
    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    comment: str | None = Field(default=None, min_length=1, max_length=8)
    preamble: int | None = Field(default=None, ge=0)
    header: tuple[HeaderRow, ...] | None = None
    footer: int | None = Field(default=None, ge=0)
    missing: tuple[float | str, ...] | None = None
    units: tuple[str, ...] | None = None
    time_form: TimeForm | None = None
    day_first: bool | None = None
    time_zone: str | None = None


WRITTEN = tuple(name for name in SideFile.model_fields if name != "file")
"""What is only said of a file that is named."""


def several(names: ColumnNames | None) -> tuple[str, ...]:
    """The columns of a clock."""
    return () if names is None else (names,) if isinstance(names, str) else names


def one_name(names: ColumnNames) -> str:
    """What the columns of a clock are called when they have become one."""
    return " ".join(several(names))
