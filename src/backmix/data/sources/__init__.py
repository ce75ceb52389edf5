"""Where tables come from.

In: what a plan says of its data: a file, a query, a set, a plant, or a frame that is handed over.
Out: a `Reading`: the table and the ledger of what was done to get it.
This module finds the registered source, lets it deliver raw columns, and has them understood by the one set of
rules in `assembly`, so that a CSV, a sheet and a data base with the same content give the same table.

To add a source, add one file here that registers a `Source`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.ledger import Ledger, Note
from backmix.data.notation.missing import numbers_of, taken_out
from backmix.data.quality import Quality
from backmix.data.reading.columns import RawTable
from backmix.data.reading.reading import Reading, ReadPlan, TagPlan
from backmix.data.table import Table
from backmix.errors import InputError, PlanError
from backmix.registry import Registry

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Example:
    """A small table where a source finds it: the ``[data]`` that reads it, or the frame that is handed over."""

    plan: ReadPlan
    frame: Any = None


@dataclass(frozen=True)
class Source:
    """A way to get raw columns.

    read: (plan, what) -> raw columns; ``what`` is the path of a file, the folder of the plan for a
        data base, or the object handed over
    suffixes: endings of the files it reads, in lower case
    magic: how such files begin, for a file without a known ending
    example: (a pandas frame with the column "time", an empty folder) -> the same table where the source reads it;
        the law of sources writes and reads it
    """

    name: str
    read: Callable[[ReadPlan, Any], RawTable]
    suffixes: tuple[str, ...] = ()
    magic: tuple[bytes, ...] = ()
    example: Callable[[pd.DataFrame, Path], Example] | None = None


sources: Registry[Source] = Registry("sources", package="backmix.data.sources")


def read(plan: ReadPlan, frame: Any = None, base: Path = Path(), *, needed: Collection[str] | None = None) -> Reading:
    """Read the table that ``plan`` names, or the one in ``frame`` (pandas, polars, pyarrow).

    ``base`` is the folder from which relative paths count, that of ``[data.lab]`` too. ``needed`` names
    the described tags that must be there, for a prediction can do without the others; None needs all of
    them. Raises PlanError when no source is named (or lab.mapped), InputError for everything in the data
    that cannot be used.
    """
    plan = plan.with_layout(base)
    if plan.lab is not None:
        from backmix.data.laboratory.lab import read_with_lab

        if frame is None and _mapped(plan, base):
            raise PlanError("lab.mapped", file=plan.file)
        return read_with_lab(plan, base, lambda table: _read(table, frame, base, needed), _raw)
    return _read(plan, frame, base, needed)


def _read(plan: ReadPlan, frame: Any, base: Path, needed: Collection[str] | None) -> Reading:
    if plan.batches is not None:
        from backmix.data.batches.joining import read_with_batches

        return read_with_batches(plan, base, lambda table: _read(table, frame, base, needed), _raw)
    if frame is not None:
        return _assemble(sources.get("frame").read(plan, frame), plan, needed)
    if plan.sql is not None:
        return _assemble(sources.get("sql").read(plan, base), plan, needed)
    if plan.set is not None:
        from backmix.data.sets import load

        return _named(load(plan.set, plan.protocol), plan, needed)
    if plan.plant is not None:
        from backmix.data.plants import simulate

        return _named(simulate(plan.plant, plan.seed).table, plan, needed)
    if plan.file is None:
        raise PlanError("read.no_source")
    if _mapped(plan, base):
        from backmix.data.reading.mapped import open_mapped

        return _named(open_mapped(base / str(plan.file)), plan, needed)
    return _assemble(_raw(plan, base), plan, needed)


def _mapped(plan: ReadPlan, base: Path) -> bool:
    """Whether the file is a folder that ``backmix convert`` wrote."""
    if not isinstance(plan.file, str) or not (base / plan.file).is_dir():
        return False
    from backmix.data.sources.files import holds_tables

    return not holds_tables(base / plan.file)


def of_file(path: Path, where: str) -> Source:
    """The source for a file, by its ending or else by its first bytes.

    Raises InputError: read.no_file with the nearest name, read.empty_file, read.unreadable, read.other_packer.
    """
    from difflib import get_close_matches

    from backmix.data.sources.packing import check_packer, check_regular

    check_regular(path, where)
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        folder = path.parent
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        near = get_close_matches(path.name, names, n=1, cutoff=0.0)
        raise InputError("read.no_file", where=where, near=near[0] if near else "-") from None
    except OSError as fault:
        raise InputError("read.unreadable", where=where, fault=fault.strerror or str(fault)) from None
    if not head:
        raise InputError("read.empty_file", where=where)
    check_packer(head, where)
    suffix = path.suffix.lower()
    for _, source in sources:
        if suffix in source.suffixes:
            if source.magic and not head.startswith(source.magic):
                raise InputError("read.wrong_magic", where=where, kind=source.name)
            return source
    by_magic = [source for _, source in sources if source.magic and head.startswith(source.magic)]
    return by_magic[0] if by_magic else sources.get("csv")


def _raw(plan: ReadPlan, base: Path) -> RawTable:
    """The columns of the files that a plan names."""
    from backmix.data.sources.files import read_file

    return read_file(plan, base)


def _assemble(raw: RawTable, plan: ReadPlan, needed: Collection[str] | None) -> Reading:
    from backmix.data.notation.cell_units import without_cell_units
    from backmix.data.reading.assembly import assemble
    from backmix.data.reading.file_profile import profile_of, written_axes
    from backmix.data.reading.shaping import shape

    shaped, shaped_plan = shape(raw, plan)
    axes = written_axes(raw, plan, shaped.evidence)
    plan = shaped_plan
    raw = without_cell_units(shaped, [tag.name for tag in plan.tags if tag.type in ("text", "state")])
    del shaped
    if plan.lab is not None:
        from backmix.data.laboratory.lab import with_report_times

        raw, plan = with_report_times(raw, plan)
    tags, units = [name for name in raw.names if name not in (*plan.clock, plan.batch)], raw.units
    reading = assemble(raw, plan, needed)
    return replace(reading, profile=profile_of(reading.table, tags, units, axes))


def _named(table: Table, plan: ReadPlan, needed: Collection[str] | None) -> Reading:
    """A table that already knows its tags, with what the plan says beyond."""
    if plan.grid is not None:
        raise PlanError("shape.grid_of_set")
    changes = {}
    for tag in plan.tags:
        if tag.name not in table.names and needed is not None and tag.name not in needed:
            continue
        stated = tag.model_dump(exclude_defaults=True, exclude={"name", "type", "align"})
        changes[tag.name] = replace(table.tag(tag.name), **stated)
    table, notes = _without_codes(table.retag(changes), plan)
    return Reading(table, Ledger(read=len(table)).add(*notes))


def _without_codes(table: Table, plan: ReadPlan) -> tuple[Table, list[Note]]:
    """A table that was read already, less the numbers that the plan calls codes for "no value"."""
    notes: list[Note] = []
    columns: dict[int, Any] = {}
    for index, tag in enumerate(table.tags):
        if plan.missing is None or tag.categories:
            continue
        values, counts = taken_out(np.asarray(table.values[:, index]), numbers_of(plan.missing))
        columns |= {index: values} if counts else {}
        notes += [
            Note("marked", "read.reason_missing_code", count, tag=tag.name, example=f"{code:.15g}")
            for code, count in counts.items()
        ]
    if not columns:
        return table, notes
    values, quality = np.array(table.values), table.quality if table.quality is None else np.array(table.quality)
    for index, column in columns.items():
        values[:, index] = column
        if quality is not None:
            quality[np.isnan(column), index] = Quality.BAD
    return replace(table, values=values, quality=quality), notes


__all__ = ["ReadPlan", "Reading", "Source", "TagPlan", "of_file", "read", "sources"]
