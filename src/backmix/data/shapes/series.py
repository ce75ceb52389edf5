"""One tag with its own times.

This module defines `TagSeries`, settles what stands twice at one time in it, and puts several series side by side on
all of their times. Long form, pairs and several tables are all taken apart into series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.ledger import Note
from backmix.data.quality import Quality
from backmix.data.reading.columns import RawColumn, RowNumber
from backmix.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TagSeries:
    """The cells of one tag in order of batch and time.

    cells: n cells, with their qualities; time: (n,) ns since 1970 UTC
    batch: (n,) code of the batch, 0 without batches
    where, number: the source, and row of the series -> the number by which a person finds it there
    """

    cells: RawColumn
    time: Ints
    batch: Ints
    where: str
    number: RowNumber

    @property
    def name(self) -> str:
        """The name of the tag."""
        return self.cells.name

    def __len__(self) -> int:
        return len(self.time)

    def at(self, row: int) -> str:
        """``where:row:tag`` of one cell."""
        return f"{self.where}:{self.number(row)}:{self.name}"


def taken(column: RawColumn, rows: NDArray[np.intp]) -> RawColumn:
    """Some cells of a column; -1 stands for an empty cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    empty = rows < 0
    some = bool(empty.any())

    def cut(array: NDArray[Any] | None, nothing: Any) -> NDArray[Any] | None:
        if array is None or not len(array):
            return None if array is None else np.full(len(rows), nothing, array.dtype)
        cells = array[rows]
        if some:
            cells[empty] = nothing
        return cells

    words = column.texts
    if words is not None:
        if words.num_chunks > 1 and not some and (np.diff(rows) >= 0).all():
            # chunk by chunk, so that the texts of a large table are never in memory twice
            starts = np.cumsum([0, *map(len, words.chunks)])
            cuts = np.searchsorted(rows, starts)
            places = zip(words.chunks, starts, cuts, cuts[1:], strict=False)
            parts = [chunk.take(pa.array(rows[a:b] - start, pa.int64())) for chunk, start, a, b in places]
            words = pa.chunked_array([pa.concat_arrays(parts)])
        else:
            indices = pa.array(rows, pa.int64(), mask=empty)
            whole = words.combine_chunks() if words.num_chunks != 1 else words.chunk(0)
            words = pa.chunked_array([pc.take(whole, indices)])
    return replace(
        column,
        numbers=cut(column.numbers, np.nan),
        texts=words,
        times=cut(column.times, np.datetime64("NaT", "ns")),
        quality=cut(column.quality, Quality.GOOD),
    )


def filled(column: RawColumn, rows: int) -> Bools:
    """Where a column says anything, (N,): a value, or that there is none."""
    import pyarrow.compute as pc

    mask = np.zeros(rows, bool)
    if column.numbers is not None:
        mask |= ~np.isnan(column.numbers)
    if column.texts is not None:
        worded = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(column.texts), ""), False)
        mask |= worded.to_numpy()
    if column.times is not None:
        mask |= ~np.isnat(column.times)
    if column.quality is not None:
        mask |= column.quality == Quality.BAD
    return mask


def in_order(time: Ints, batch: Ints) -> NDArray[np.intp] | None:
    """The order by batch and time, equal ones as they come; None where they stand in it already."""
    ahead = (np.diff(batch) > 0) | ((np.diff(batch) == 0) & (np.diff(time) >= 0))
    return None if ahead.all() else np.lexsort((time, batch))


def settled(series: TagSeries, policy: str) -> tuple[TagSeries, list[Note]]:
    """The series with each time once. Empty cells give way to filled ones, equal ones are one.

    Raises InputError (shape.same_time) for different values at one time, unless ``policy`` says which counts.
    """
    same = (np.diff(series.time) == 0) & (np.diff(series.batch) == 0)
    if not same.any():
        return series, []
    filled_rows = filled(series.cells, len(series))
    again = np.concatenate([[False], same])
    group = np.cumsum(~again) - 1
    rows = np.arange(len(series))
    first = np.flatnonzero(~again)
    # of each time: the first and the last filled row, else its first row
    lead = np.minimum.reduceat(np.where(filled_rows, rows, len(rows)), first)
    last = np.maximum.reduceat(np.where(filled_rows, rows, -1), first)
    lead, last = np.where(last < 0, first, lead), np.where(last < 0, first, last)
    other = filled_rows & (rows != lead[group])
    unlike = other & ~_equal(series.cells, rows, lead[group])
    notes = [Note("converted", "shape.reason_twice", int((again & ~unlike).sum()), tag=series.name)]
    if not unlike.any():
        return chosen(series, lead), notes
    row = int(np.argmax(unlike))
    if policy == "refuse":
        raise InputError(
            "shape.same_time",
            where=series.at(row),
            tag=series.name,
            time=str(np.datetime64(int(series.time[row]), "ns").astype("datetime64[s]")).replace("T", " "),
            value=shown(series.cells, row),
            other=shown(series.cells, int(lead[group[row]])),
            other_where=series.at(int(lead[group[row]])),
        )
    notes.append(Note("converted", f"read.reason_same_time_{policy}", int(unlike.sum()), tag=series.name))
    if policy == "last":
        return chosen(series, last), notes
    kept = chosen(series, lead)
    if policy == "mean" and series.cells.numbers is not None:
        assert kept.cells.numbers is not None
        numbers = np.where(filled_rows, series.cells.numbers, np.nan)
        known = ~np.isnan(numbers)
        count = np.add.reduceat(known.astype(np.int64), first)
        total = np.add.reduceat(np.where(known, numbers, 0.0), first)
        clash = np.isin(np.arange(len(first)), group[unlike]) & (count > 0)
        mean = np.where(clash, total / np.maximum(count, 1), kept.cells.numbers)
        quality = np.zeros(len(first), np.uint8) if kept.cells.quality is None else kept.cells.quality.copy()
        quality[clash] = np.maximum(quality[clash], Quality.UNCERTAIN)
        kept = replace(kept, cells=replace(kept.cells, numbers=mean, quality=quality))
    return kept, notes


def chosen(series: TagSeries, rows: NDArray[np.intp]) -> TagSeries:
    """Some rows of a series, in this order."""
    number = series.number
    return TagSeries(
        taken(series.cells, rows),
        series.time[rows],
        series.batch[rows],
        series.where,
        lambda row: number(int(rows[row])),
    )


def _equal(cells: RawColumn, rows: NDArray[np.intp], others: NDArray[np.intp]) -> Bools:
    """Whether the cells of some rows hold what those of other rows hold, quality included."""
    equal = np.ones(len(rows), bool)
    for array in (cells.numbers, cells.times, cells.quality):
        if array is not None:
            a, b = array[rows], array[others]
            equal &= (a == b) | ((a != a) & (b != b))
    if cells.texts is not None:
        codes = _codes(cells.texts)
        equal &= codes[rows] == codes[others]
    return equal


def _codes(texts: pa.ChunkedArray) -> Ints:
    import pyarrow.compute as pc

    codes = pc.dictionary_encode(texts.combine_chunks(), null_encoding="encode")
    codes = codes if not hasattr(codes, "chunks") else codes.combine_chunks()
    indices: Ints = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return indices


def shown(cells: RawColumn, row: int) -> str:
    """One cell as a person reads it."""
    if cells.numbers is not None and not np.isnan(cells.numbers[row]):
        return f"{cells.numbers[row]:.15g}"
    if cells.times is not None and not np.isnat(cells.times[row]):
        return str(cells.times[row].astype("datetime64[s]"))
    return str(cells.texts[row].as_py() or "") if cells.texts is not None else ""


@dataclass(frozen=True, eq=False)
class Instants:
    """The rows on which several series come together: (N,) time and batch, in order."""

    time: Ints
    batch: Ints

    def __len__(self) -> int:
        return len(self.time)


def instants(series: Sequence[TagSeries]) -> tuple[Instants, list[NDArray[np.intp]]]:
    """All times of the series, and of each series the rows on which its cells stand."""
    clocks: dict[bytes, TagSeries] = {}
    keys = []
    for trend in series:
        key = _fingerprint(trend)
        clocks.setdefault(key, trend)
        keys.append(key)
    own = list(clocks.values())
    times = np.unique(np.concatenate([trend.time for trend in own])) if len(own) > 1 else np.unique(own[0].time)
    width = max(1, len(times))
    places = {key: trend.batch * width + np.searchsorted(times, trend.time) for key, trend in clocks.items()}
    union = np.unique(np.concatenate(list(places.values())))
    spots = {key: np.searchsorted(union, place) for key, place in places.items()}
    return Instants(times[union % width], union // width), [spots[key] for key in keys]


def _fingerprint(series: TagSeries) -> bytes:
    import hashlib

    made = hashlib.blake2b(series.time.tobytes(), digest_size=16)
    made.update(series.batch.tobytes())
    return made.digest()


def spread(cells: RawColumn, spots: NDArray[np.intp], rows: int) -> RawColumn:
    """Cells on some rows of a longer column that is empty elsewhere."""
    if len(spots) == rows:
        return cells
    source = np.full(rows, -1)
    source[spots] = np.arange(len(spots))
    return taken(cells, source)
