"""A file beside the table, such as laboratory results or a list of batches.

This module defines `SideFile`, what such a section of a plan says of where its file is and how it is written.
"""

from __future__ import annotations

from typing import Literal

from backmix.section import PlanSection


class SideFile(PlanSection):
    """Where a file beside the table is and how it is written, as in ``[data]``; zone and day order are those of the
    table when left out."""

    file: str | None = None
    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    day_first: bool | None = None
    time_zone: str | None = None


WRITTEN = tuple(name for name in SideFile.model_fields if name != "file")
"""What is only said of a file that is named."""
