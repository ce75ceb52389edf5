"""The layout of a file.

This module defines `Layout`: the keys of ``[data]`` that say how a file is to be read, and nothing of where it lies
or what its columns are for. A layout can be kept as a file of its own (``[data] layout = "historian.toml"``) and used
for fifty tables.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from backmix.data.notation.clock import zone
from backmix.duration import Duration
from backmix.errors import InputError, PlanError
from backmix.section import PlanSection
from backmix.text import say

HeaderRow = Literal["name", "group", "unit", "description", "skip"]
"""What one row of the header holds. ``group`` is a word over several columns, kept as a prefix of their names."""
Shape = Literal["wide", "long", "pairs"]
"""wide: a column a tag; long: a row a value, with the tag's name in a column; pairs: a clock beside each tag."""
TimeForm = Literal[
    "date",
    "year_first",
    "republic",
    "excel_1900",
    "excel_1904",
    "epoch_s",
    "epoch_ms",
    "epoch_us",
    "epoch_ns",
    "hour_ending",
    "hour_beginning",
    "parts",
    "elapsed_s",
    "elapsed_min",
    "elapsed_h",
    "elapsed_d",
]
"""How the clock is written. date: as text or as a date; year_first: a date whose year of two digits stands first;
republic: the same with a year of the Republic of China; excel_…: days of a spreadsheet; epoch_…: since 1970-01-01 UTC;
hour_ending, hour_beginning: a date and the number of the hour that ends (1 … 24) or begins (0 … 23);
parts: year, month, day … in columns of their own; elapsed_…: since the start, which is put on 1970-01-01."""
Duplicates = Literal["refuse", "first", "last", "mean", "spread"]
Align = Literal["last", "mean", "min", "max", "sum", "time_mean", "interpolate"]
"""What a row of the grid holds of a tag with a clock of its own, see `shapes.grid`. Only "interpolate" looks ahead."""


class LongForm(PlanSection):
    """Which columns of a table in long form hold what."""

    tag: str
    value: str
    quality: str | None = None
    unit: str | None = None


class Layout(PlanSection):
    """How a file is to be read. None everywhere means: look, and ask when the file does not decide.

    sheet: of a workbook, needed when it has several: one, several, or "*" for all, whose rows are appended
    encoding, delimiter, decimal: of a text file
    comment: rows that begin with this are left out
    preamble: rows above the header
    header: what each row of the header holds; [] when there is none
    footer: at most so many rows at the end are no data (averages, signatures): they are left out and counted
    shape, long: how values stand in rows and columns
    time: the column of the clock, or the columns that make it together
    time_form: how the clock is written
    time_zone: of times without offset, such as "Asia/Taipei", "+08:00" or "UTC"
    day_first: whether 02/05/2024 is 2 May
    missing: numbers (and texts) that are codes for "no value", in every column
    duplicates: what becomes of rows with the same time and different values; "spread" is for a clock that was cut
        to the hour or minute: the rows are put evenly over it
    units: engineering units beside those that are known
    status: status column -> tag whose quality it is, "*" for all tags of the row; {} when there is none
    good: words or codes of the status columns that mean good, when they are unusual; all others mean bad
    grid: one row every so often, such as "1min", for tags with clocks of their own; "union" for a row at every time
        that any tag has. Not needed where the clocks of all tags are one
    align: what a row of the grid holds of a tag, unless its ``[[data.tags]]`` says otherwise; None takes "last"
    max_hold: a value that is older is missing; None takes twice the tag's own step
    look_ahead: true lets "interpolate" use the next value, which nobody knows yet at the time of the row
    """

    sheet: str | tuple[str, ...] | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    comment: str | None = Field(default=None, min_length=1, max_length=8)
    preamble: int | None = Field(default=None, ge=0)
    header: tuple[HeaderRow, ...] | None = None
    footer: int | None = Field(default=None, ge=0)
    shape: Shape | None = None
    long: LongForm | None = None
    time: str | tuple[str, ...] | None = None
    time_form: TimeForm | None = None
    time_zone: str | None = None
    day_first: bool | None = None
    missing: tuple[float | str, ...] | None = None
    duplicates: Duplicates | None = None
    units: tuple[str, ...] | None = None
    status: Mapping[str, str] | None = None
    good: tuple[float | str, ...] | None = None
    grid: str | None = None
    align: Align | None = None
    max_hold: str | None = None
    look_ahead: bool | None = None

    @field_validator("grid", "max_hold")
    @classmethod
    def _duration(cls, text: str | None) -> str | None:
        if text is None or text == "union":
            return text
        try:
            length = Duration.parse(text)
        except PlanError as fault:
            raise ValueError(str(fault)) from None
        if not length.seconds:
            raise ValueError(say("shape.plan_grid", value=text))
        return text

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                zone(name)
            except ValueError as near:
                raise ValueError(say("read.plan_zone", zone=name, near=near)) from None
        return name

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, mark: str | None) -> str | None:
        mark = {"tab": "\t", "space": " "}.get(mark, mark) if mark is not None else None
        if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in "\r\n\"'" or mark.isalnum()):
            raise ValueError(say("read.plan_delimiter", delimiter=mark))
        return mark

    @property
    def clock(self) -> tuple[str, ...]:
        """The columns that make the clock, as far as they are named."""
        return () if self.time is None else (self.time,) if isinstance(self.time, str) else tuple(self.time)


KEYS = tuple(Layout.model_fields)


def layout_of(section: Layout) -> Layout:
    """The layout alone, of a whole ``[data]`` section: what it says, and not what it takes when nothing is said."""
    return Layout(**{key: getattr(section, key) for key in KEYS if key in section.model_fields_set})


def load_layout(file: str, base: Path) -> Layout:
    """The layout that a TOML file holds. Raises InputError or PlanError with what is wrong with it."""
    try:
        section: Any = tomllib.loads((base / file).read_text("utf-8"))
    except OSError as fault:
        raise InputError("read.unreadable", where=file, fault=fault.strerror or str(fault)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise PlanError("layout.no_toml", where=file, fault=str(fault).split("\n")[0][:160]) from None
    try:
        return Layout.model_validate(section)
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(map(str, first["loc"])) or "-"
        raise PlanError("layout.bad_key", where=file, name=key, fault=first["msg"], keys=", ".join(KEYS)) from None


def save_layout(layout: Layout, file: str | os.PathLike[str]) -> None:
    """Write a layout as TOML; what is None is left out."""
    import tomli_w

    from backmix.storage import write_atomic

    write_atomic(Path(file), tomli_w.dumps(layout_of(layout).model_dump(mode="json", exclude_none=True)))
