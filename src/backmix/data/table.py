"""A plant table: what was measured, when, and in which batch.

This module defines `Table`, the immutable noun on which every stage works. Values are numbers
(text classes are codes, see `Tag.categories`); a missing value is NaN; time is UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.quality import Quality
from backmix.data.tag import Tag
from backmix.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a plant in their order, N rows by F tags.

    values: (N, F) float64 or float32, NaN where missing; may be a memory map
    tags: the F columns
    time: (N,) datetime64[ns] in UTC, or None for rows without a clock (row numbers are the index)
    batch: (N,) int32 codes into ``batch_names`` (batch, unit, run ...), or None for one long run
    quality: (N, F) uint8 of `Quality`, or None when a value is good exactly where it is a number
    source: where it came from, for messages
    time_zone: in which people read its times, such as "Asia/Taipei"; None for UTC. ``time`` is UTC all the same

    Two tables compare by identity. Arrays are made read-only: a change makes a new table.
    """

    values: Floats
    tags: tuple[Tag, ...]
    time: NDArray[np.datetime64] | None = None
    batch: NDArray[np.int32] | None = None
    batch_names: tuple[str, ...] = ()
    quality: NDArray[np.uint8] | None = None
    source: str = "table"
    time_zone: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", tuple(self.tags))
        if self.values.ndim != 2 or self.values.shape[1] != len(self.tags):
            raise InputError("data.table_shape", where=self.source, shape=self.values.shape, tags=len(self.tags))
        names = [tag.name for tag in self.tags]
        for name, count in Counter(names).items():
            if count > 1:
                raise InputError("data.duplicate_column", where=self.source, column=name)
        if self.time is not None and self.time.dtype != np.dtype("datetime64[ns]"):
            object.__setattr__(self, "time", self.time.astype("datetime64[ns]"))
        for field in ("values", "time", "batch", "quality"):
            array = getattr(self, field)
            if array is None:
                continue
            if len(array) != len(self.values):
                raise InputError(
                    "data.table_length", where=self.source, field=field, got=len(array), rows=len(self.values)
                )
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, field, view)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tags, in the order of the columns."""
        return tuple(tag.name for tag in self.tags)

    def index(self, name: str) -> int:
        """The column of tag ``name``; InputError with the nearest name when it is not there."""
        try:
            return self.names.index(name)
        except ValueError:
            raise missing_column(name, self.names, self.source) from None

    def tag(self, name: str) -> Tag:
        """The tag called ``name``."""
        return self.tags[self.index(name)]

    def column(self, name: str) -> Floats:
        """The values of one tag, (N,)."""
        return self.values[:, self.index(name)]

    def select(self, names: Sequence[str]) -> Table:
        """The same rows with these columns in this order (copies only the chosen columns)."""
        at = [self.index(name) for name in names]
        if at == list(range(len(self.tags))):
            return self
        return replace(
            self,
            values=self.values[:, at],
            tags=tuple(self.tags[i] for i in at),
            quality=None if self.quality is None else self.quality[:, at],
        )

    def with_columns(self, tags: Sequence[Tag], values: Floats, *, quality: NDArray[np.uint8] | None = None) -> Table:
        """The table with more columns; one whose name is there already takes the place of its namesake.

        values: (N, K), or (N,) for a single tag; quality: (N, K) as in the table, None when a value is good
            exactly where it is a number

        >>> table = Table(np.zeros((2, 1)), (Tag("T"),))
        >>> table.with_columns([Tag("u")], np.array([1.0, 2.0])).values.tolist()
        [[0.0, 1.0], [0.0, 2.0]]
        """
        kept = {tag.name: tag for tag in (*self.tags, *tags)}
        places = [list(kept).index(tag.name) for tag in tags]

        def put(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
            whole = np.empty((len(self), len(kept)), np.result_type(old, new))
            whole[:, : len(self.tags)] = old
            whole[:, places] = new.reshape(len(self), len(tags))
            return whole

        if self.quality is not None or quality is not None:
            quality = put(
                _plain_quality(self.values) if self.quality is None else self.quality,
                _plain_quality(values) if quality is None else quality,
            )
        return replace(self, values=put(self.values, values), tags=tuple(kept.values()), quality=quality)

    def rows(self, at: slice | NDArray[Any]) -> Table:
        """Some of the rows, by slice, mask or positions, in table order."""

        def cut(array: Any) -> Any:
            return None if array is None else array[at]

        return replace(
            self, values=self.values[at], time=cut(self.time), batch=cut(self.batch), quality=cut(self.quality)
        )

    def without(self, *batches: str) -> Table:
        """The table less these batches."""
        if self.batch is None:
            raise InputError("data.no_batches", where=self.source)
        for name in batches:
            if name not in self.batch_names:
                raise missing_column(name, self.batch_names, self.source)
        codes = [self.batch_names.index(name) for name in batches]
        return self.rows(~np.isin(self.batch, codes))

    def retag(self, changes: Mapping[str, Tag]) -> Table:
        """The same values with some tags replaced, by name."""
        for name in changes:
            self.index(name)
        return replace(self, tags=tuple(changes.get(tag.name, tag) for tag in self.tags))

    @cached_property
    def step(self) -> float | None:
        """Seconds between neighbouring rows (the median inside batches); None without a clock."""
        if self.time is None or len(self) < 2:
            return None
        gaps = np.diff(self.time.view("int64")) / 1e9
        if self.batch is not None:
            gaps = gaps[np.diff(self.batch) == 0]
        return float(np.median(gaps)) if len(gaps) else None

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame with time (or row number) as index, in the zone of the table; classes as their names."""
        import pandas as pd

        from backmix.data.notation.clock import zone

        frame = pd.DataFrame(self.values, columns=list(self.names))
        for tag in self.tags:
            if tag.categories:
                frame[tag.name] = [None if np.isnan(v) else tag.categories[int(v)] for v in frame[tag.name]]
        if self.batch is not None:
            frame.insert(0, "batch", np.array(self.batch_names, dtype=object)[self.batch])
        if self.time is not None:
            frame.index = pd.DatetimeIndex(self.time, tz="UTC", name="time")
            if self.time_zone is not None:
                frame.index = frame.index.tz_convert(zone(self.time_zone))
        return frame


def _plain_quality(values: Floats) -> NDArray[np.uint8]:
    return np.where(np.isnan(values), Quality.BAD, Quality.GOOD).astype(np.uint8)


def missing_column(name: str, known: Iterable[str], where: str) -> InputError:
    """The error for a name that is not there, with the nearest one that is."""
    known = list(known)
    near = get_close_matches(name, known, n=1, cutoff=0.0)
    return InputError(
        "data.missing_column",
        where=where,
        column=name,
        near=near[0] if near else "-",
        names=", ".join(known[:12]) + (" …" if len(known) > 12 else ""),
    )
