"""Tables that are larger than memory.

This module keeps a table as a folder of plain NumPy arrays that are mapped rather than loaded, and
turns files into such folders, CSV and Parquet block by block. ``[data] file`` may name the folder.

    values.npy   (N, F) numbers      time.npy, batch.npy, quality.npy   when the table has them
    table.json   tags, batch names, rows: written last, so that a folder without it is not whole
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from backmix.data.layout.clock import one_clock
from backmix.data.ledger import Note
from backmix.data.notation.clock import zone
from backmix.data.quality import Quality
from backmix.data.reading.assembly import axes_of, cells_of, lay_out, with_axes
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.reading.reading import Reading, ReadPlan
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError, PlanError
from backmix.storage import remove, write_atomic

DESCRIPTION = "table.json"
DESCRIPTION_BYTES = 64_000_000
FORM = 1
"""The form of the folder; a later release may write another."""
_ARRAYS: dict[str, tuple[str, ...]] = {
    "values": ("<f8", "<f4"),
    "time": ("<M8[ns]",),
    "batch": ("<i4",),
    "quality": ("|u1",),
}
_ROWS = 1 << 16


def save_mapped(table: Table, folder: Path | str) -> Path:
    """Write a table as a folder that `open_mapped` maps; returns the folder.

    Raises StorageError when the disk refuses; what was in the folder is then no table any more, and
    is refused as such.
    """
    folder = Path(folder)
    _begin(folder)
    for name in _ARRAYS:
        array = getattr(table, name)
        if array is None:
            remove(folder / f"{name}.npy")
        else:
            write_atomic(folder / f"{name}.npy", lambda file, array=array: _write(file, array))  # type: ignore[misc]
    return _finish(table, folder)


def open_mapped(folder: Path | str) -> Table:
    """The table of a folder; its arrays stay on disk until their rows are asked for.

    Raises InputError (read.mapped_damaged) for a folder that is not one whole table.
    """
    folder = Path(folder)
    try:
        with (folder / DESCRIPTION).open("rb") as file:
            raw = file.read(DESCRIPTION_BYTES + 1)
        if len(raw) > DESCRIPTION_BYTES:
            raise ValueError(f"{DESCRIPTION} is too large")
        description = json.loads(raw)
        if description["form"] != FORM:
            raise ValueError(f"form {description['form']}")
        tags = tuple(Tag(**{**tag, "categories": tuple(tag["categories"])}) for tag in description["tags"])
        arrays = {name: _map(folder / f"{name}.npy", name) for name in description["arrays"]}
        rows, names = description["rows"], tuple(map(str, description["batch_names"]))
        if "values" not in arrays or arrays["values"].shape != (rows, len(tags)):
            raise ValueError("values do not fit the tags")
        if any(len(array) != rows for array in arrays.values()):
            raise ValueError("arrays of unequal length")
        codes = arrays.get("batch")
        if codes is not None and rows and not 0 <= codes.min() <= codes.max() < len(names):
            raise ValueError("batch codes without names")
        return Table(
            arrays["values"],
            tags,
            time=arrays.get("time"),
            batch=codes,
            batch_names=names,
            quality=arrays.get("quality"),
            source=str(description["source"]),
            time_zone=_zone(description.get("time_zone")),
        )
    except FileNotFoundError as fault:
        name = Path(str(fault.filename)).name
        raise InputError("read.mapped_damaged", where=folder, fault=f"no {name}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        reason = str(fault).splitlines()[0][:120] if str(fault) else type(fault).__name__
        raise InputError("read.mapped_damaged", where=folder, fault=reason) from None


def map_file(plan: ReadPlan, folder: Path | str, base: Path = Path()) -> Reading:
    """Turn the file of a plan into a mapped table; ``base`` is the folder from which its path counts.

    CSV and Parquet are read block by block, twice: once to decide what the columns are, by the same rules as
    `read`, and once to write the values. Only the clock and the batch column are held in memory. Rows must be
    in order, because a table on disk is not sorted. Files of other kinds are read whole, and so are tables in long
    form or pairs, with status columns, or on a grid.

    Raises InputError as `read` does, and read.mapped_order; PlanError (lab.mapped) for a plan with
    laboratory results. Nothing is written until the columns and the order of the rows are known to be sound.
    """
    from backmix.data.sources import of_file, read
    from backmix.data.sources.packing import packed_as

    if plan.lab is not None:
        raise PlanError("lab.mapped", file=plan.file)
    if plan.file is None:
        raise PlanError("read.no_source")
    folder = Path(folder)
    whole = not isinstance(plan.file, str) or not (base / plan.file).is_file() or packed_as(base / plan.file)
    kind = "files" if whole else of_file(base / str(plan.file), str(plan.file)).name
    if kind not in ("csv", "parquet") or _changes_shape(plan, base / str(plan.file), kind):
        reading = read(plan, base=base)
        return Reading(open_mapped(save_mapped(reading.table, folder)), reading.ledger)
    told, path, plan = plan, base / str(plan.file), _one_clock_plan(plan)
    axes = _Axes(plan)
    layout = lay_out(axes.watch(_blocks(told, path, kind)), plan)
    raw = axes.table()
    reading = with_axes(raw, plan, layout, cells=np.zeros((axes.rows, 0)), tags=(), notes=())
    shell, ledger = reading.table, reading.ledger
    if len(shell) != axes.rows or any(note.reason == "read.reason_sorted" for note in ledger.notes):
        raise InputError("read.mapped_order", where=raw.where)
    _begin(folder)
    values: NDArray[Any] | None = None
    tags: tuple[Tag, ...] = ()
    marked: list[Note] = []
    start = 0
    for raw in _blocks(told, path, kind):
        cells, tags, notes = cells_of(raw, layout, plan)
        if values is None:
            remove(folder / "values.npy")
            values = np.lib.format.open_memmap(
                folder / "values.npy", mode="w+", dtype=np.float64, shape=(axes.rows, cells.shape[1])
            )
        values[start : start + raw.rows] = cells
        start += raw.rows
        marked += notes
    assert values is not None
    for name in ("time", "batch"):
        array = getattr(shell, name)
        if array is not None:
            write_atomic(folder / f"{name}.npy", lambda file, array=array: _write(file, array))  # type: ignore[misc]
    remove(folder / "quality.npy")
    _finish(replace(shell, values=values, tags=tags, quality=None), folder)
    return Reading(open_mapped(folder), ledger.add(*_together(marked)))


def _changes_shape(plan: ReadPlan, path: Path, kind: str) -> bool:
    """Whether the first block of a file shows that its columns are not yet one clock and a column a tag."""
    from backmix.data.reading.shaping import shape

    if plan.grid is not None or plan.batches is not None:
        return True
    first = next(_blocks(plan, path, kind), None)
    if first is None or len(set(first.names)) < len(first.names):
        return False
    return shape(first, _one_clock_plan(plan))[0].names != first.names


def _one_clock_plan(plan: ReadPlan) -> ReadPlan:
    """The plan for blocks whose clock of several columns was put together."""
    return plan.model_copy(update={"time": " ".join(plan.clock), "time_form": None}) if len(plan.clock) > 1 else plan


def _together(notes: list[Note]) -> list[Note]:
    """One note per tag and reason instead of one per block."""
    sums: dict[tuple[str, str | None], Note] = {}
    for note in notes:
        before = sums.get((note.reason, note.tag))
        sums[note.reason, note.tag] = replace(note, count=note.count + (before.count if before else 0))
    return list(sums.values())


class _Axes:
    """The clock and the batch column of a file, gathered while its blocks pass by."""

    def __init__(self, plan: ReadPlan) -> None:
        self.plan, self.rows = plan, 0
        self.first: RawTable | None = None
        self.pieces: dict[str, list[RawColumn]] = {}

    def watch(self, blocks: Iterator[RawTable]) -> Iterator[RawTable]:
        """The blocks as they come; what they say about the axes is kept."""
        for raw in blocks:
            yield raw  # first, so that faults of the names are found before the axes are looked for
            if self.first is None:
                self.first = raw
                self.pieces = {name: [] for name in axes_of(raw, self.plan) if name is not None}
            for column in raw.columns:
                if column.name in self.pieces:
                    self.pieces[column.name].append(column)
            self.rows += raw.rows

    def table(self) -> RawTable:
        """The axes as a raw table of all rows."""
        assert self.first is not None
        return replace(self.first, columns=tuple(map(_join, self.pieces.values())), rows=self.rows)


def _join(pieces: list[RawColumn]) -> RawColumn:
    import pyarrow as pa

    first = pieces[0]

    def whole(name: str) -> Any:
        arrays = [getattr(piece, name) for piece in pieces]
        return None if arrays[0] is None else np.concatenate(arrays)

    words = None
    if first.texts is not None:
        words = pa.chunked_array([chunk for piece in pieces if piece.texts is not None for chunk in piece.texts.chunks])
    return replace(first, numbers=whole("numbers"), texts=words, times=whole("times"))


def _blocks(plan: ReadPlan, path: Path, kind: str) -> Iterator[RawTable]:
    """A CSV or Parquet file in blocks of rows."""
    from backmix.data.sources.csv_pieces import csv_blocks
    from backmix.data.sources.parquet import parquet_blocks

    blocks = csv_blocks(plan, path) if kind == "csv" else parquet_blocks(plan, path)
    # a clock of several columns is put together block by block
    return (one_clock(raw, plan)[0] for raw in blocks) if len(plan.clock) > 1 else blocks


def _zone(name: Any) -> str | None:
    if name is not None:
        zone(str(name))  # ValueError for one that does not exist
    return None if name is None else str(name)


def _map(path: Path, name: str) -> NDArray[Any]:
    array = np.lib.format.open_memmap(path, mode="r")
    if array.dtype.str not in _ARRAYS[name]:
        raise ValueError(f"{path.name} holds {array.dtype}")
    if name == "quality" and len(array) and array.max() > max(Quality):
        raise ValueError("quality beyond bad")
    return array


def _begin(folder: Path) -> None:
    from backmix.storage import loud

    with loud(folder):
        folder.mkdir(parents=True, exist_ok=True)
    remove(folder / DESCRIPTION)


def _write(file: BinaryIO, array: NDArray[Any]) -> None:
    """An array in NumPy's own format, block by block, so that a mapped one is never loaded."""
    np.lib.format.write_array_header_1_0(file, {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape})
    for start in range(0, len(array), _ROWS):
        file.write(array[start : start + _ROWS].tobytes())


def _finish(table: Table, folder: Path) -> Path:
    description = {
        "form": FORM,
        "rows": len(table),
        "source": table.source,
        **({} if table.time_zone is None else {"time_zone": table.time_zone}),
        "batch_names": list(table.batch_names),
        "arrays": [name for name in _ARRAYS if getattr(table, name) is not None],
        "tags": [asdict(tag) for tag in table.tags],
    }
    write_atomic(folder / DESCRIPTION, json.dumps(description, ensure_ascii=False, indent=1))
    return folder
