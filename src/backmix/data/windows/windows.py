"""What a network reads: stretches of a table's past, and the value each shall predict.

This module defines `Windows`, the lazy noun between a `Table` and every model: it knows where each
window lies and copies none of them until a batch is asked for. A window never crosses a batch, a
gap, an unusable row or a split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.scaling import Scaler, fit_scaler
from backmix.data.segments import Mask, Rows, row_quality
from backmix.data.splitting.split import Split, SplitPart
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.form import Known, WindowPlan, WindowSpec, window_spec
from backmix.data.windows.gather import gather_padded, gather_windows
from backmix.data.windows.origins import WHOLE, Dropped, Place, find_batches, find_elapsed, find_origins
from backmix.errors import InputError, PlanError

__all__ = [
    "Dropped",
    "Known",
    "Need",
    "WindowBatch",
    "WindowPlan",
    "WindowSpec",
    "Windows",
    "build_windows",
    "fit_scalers",
    "window_spec",
]


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """B windows, ready for a network.

    x: (B, T, F) float32, scaled; 0 where there is no row
    y: what the network shall answer, scaled; None when targets are not needed. With G targets (B, G), or
        (B,) int32 class codes; a path of K rows is (B, K·G), row by row; with an answer on every row
        (B, T, G) or (B, T); for a window that shall be given back (B, T, G)
    mask: (B, T) True where a row is real; None when all are
    at: (B,) which windows these are
    weight: (B, T) 1 where an answer is known, for answers on every row; None where one answer is all
    future: (B, K, M) float32, scaled: what is known ahead; None without
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32] | NDArray[np.int32] | None
    mask: Mask | None
    at: Rows
    weight: NDArray[np.float32] | None = None
    future: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Need:
    """Bytes: what one gathered batch takes, and what all windows at once would take."""

    batch: int
    all: int


@dataclass(frozen=True, eq=False)
class Windows:
    """W windows of a table, none of them copied yet.

    origins: (W,) the row at whose time the prediction is made
    target_rows: (W,) the row that holds the target
    lengths: (W,) rows of each window, when they are whole batches, what has passed of one, or padded; else None
    reported: per known target (N,) the row of its last value; see `data.reported` with report times
    scaler, target_scaler: None leaves plant units
    told: (W, G) scaled, what another model says already of each window: answers are what is left of the targets
    place: which rows belong to the part of the windows
    dropped: rows (batches, when one window is one batch) without a window, by reason
    excluded: names of the batches that have no window at all
    """

    table: Table
    spec: WindowSpec
    origins: Rows
    target_rows: Rows
    lengths: Rows | None = None
    reported: tuple[Rows, ...] = ()
    scaler: Scaler | None = None
    target_scaler: Scaler | None = None
    told: NDArray[np.float64] | None = None
    dropped: tuple[Dropped, ...] = ()
    excluded: tuple[str, ...] = ()
    place: Place = WHOLE

    def __len__(self) -> int:
        return len(self.origins)

    @classmethod
    def from_arrays(
        cls,
        x: NDArray[Any],
        y: NDArray[Any] | None = None,
        *,
        lengths: Rows | None = None,
        names: tuple[str, ...] | None = None,
        categories: tuple[str, ...] = (),
    ) -> Windows:
        """Windows that somebody has cut already: every sample is a batch of its own.

        x: (B, T, F), finite. y: (B,) or (B, K) numbers, or (B,) class codes when ``categories`` names
        the classes. lengths: (B,) real rows of each sample, the rest is padding.
        Raises InputError (windows.array_shape, windows.array_not_finite).

        >>> windows = Windows.from_arrays(np.zeros((4, 3, 2)), np.arange(4.0))
        >>> windows.gather(windows.all_indices).x.shape
        (4, 3, 2)
        """
        x = np.asarray(x)
        if x.ndim != 3:
            raise InputError("windows.array_shape", shape=x.shape)
        count, steps, width = x.shape
        goals = np.empty((count, 0)) if y is None else np.asarray(y).reshape(count, -1)
        names = names or tuple(f"x{i + 1}" for i in range(width))
        targets = tuple(f"y{i + 1}" for i in range(goals.shape[1]))
        kind = np.result_type(x.dtype, goals.dtype if y is not None else np.float32, np.float32)
        values = np.full((count, steps, width + len(targets)), np.nan, dtype=kind)
        values[:, :, :width] = x
        sizes = np.full(count, steps) if lengths is None else np.asarray(lengths)
        ends = np.cumsum(sizes) - 1
        values[np.arange(count), sizes - 1, width:] = goals
        flat = values.reshape(-1, width + len(targets))
        if lengths is not None:
            flat = flat[(np.arange(steps) < sizes[:, None]).reshape(-1)]
        missing = int(np.count_nonzero(~np.isfinite(flat[:, :width])))
        if missing:
            raise InputError("windows.array_not_finite", count=missing)
        tags = (*(Tag(name) for name in names), *(Tag(name, role="target", categories=categories) for name in targets))
        table = Table(
            flat,
            tags,
            batch=np.repeat(np.arange(count, dtype=np.int32), sizes),
            batch_names=tuple(str(i + 1) for i in range(count)),
            source="array",
        )
        spec = WindowSpec(
            inputs=names, targets=targets, lookback=None if lengths is not None else steps, need_target=y is not None
        )
        return cls(table, spec, ends, ends, lengths=None if lengths is None else sizes)

    @property
    def all_indices(self) -> NDArray[np.int64]:
        """(W,) the indices of all windows, for `gather`."""
        return np.arange(len(self))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The F features in order, see `WindowSpec.feature_names`."""
        return self.spec.feature_names

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names when the target is a class, else ()."""
        return self.table.tag(self.spec.targets[0]).categories if self.spec.targets else ()

    @cached_property
    def steps(self) -> int:
        """T: rows of the longest window that models look at."""
        return self.spec.seen or self.spec.lookback or int(np.max(self.lengths, initial=0))  # type: ignore[arg-type]

    @property
    def masked(self) -> bool:
        """Whether windows are of unequal length, so that a batch comes with a mask."""
        return self.lengths is not None

    @property
    def times(self) -> NDArray[np.datetime64] | None:
        """(W,) the moment of each prediction; None without a clock."""
        return None if self.table.time is None else self.table.time[self.origins]

    @property
    def batches(self) -> NDArray[np.object_] | None:
        """(W,) the batch name of each window; None without batches."""
        if self.table.batch is None:
            return None
        return np.array(self.table.batch_names, dtype=object)[self.table.batch[self.origins]]

    def scaled(self, scaler: Scaler | None, target_scaler: Scaler | None = None) -> Windows:
        """The same windows in scaled numbers; ``target_scaler`` also scales known past targets."""
        for given, names in ((scaler, self.spec.inputs), (target_scaler, self.spec.targets)):
            if given is not None and given.names != names:
                raise ValueError(f"the scaler is for {given.names}, the windows have {names}")
        return replace(self, scaler=scaler, target_scaler=target_scaler)

    def subset(self, at: Rows | Mask) -> Windows:
        """Some of the windows, by index or mask, in that order."""
        return replace(
            self,
            origins=self.origins[at],
            target_rows=self.target_rows[at],
            lengths=None if self.lengths is None else self.lengths[at],
            told=None if self.told is None else self.told[at],
        )

    def unpadded(self) -> Windows:
        """The windows that a whole lookback lies behind, without lengths; the same where none is padded."""
        if not self.spec.padded or self.lengths is None:
            return self
        whole = self.subset(np.flatnonzero(self.lengths == self.steps))
        return replace(whole, lengths=None, spec=replace(self.spec, padded=False))

    @property
    def entire(self) -> Windows:
        """The same windows with all rows of their lookback, also those that most models do not look at."""
        return self if self.spec.seen is None else replace(self, spec=replace(self.spec, seen=None))

    def one_ahead(self) -> Windows:
        """The same windows with the next row alone as their answer, and nothing known ahead."""
        spec = replace(self.spec, answer="row", horizon=1, future=())
        return replace(self, spec=spec, target_rows=self.origins + self.origins.dtype.type(1))

    def gather(self, at: Rows) -> WindowBatch:
        """Copy the windows ``at`` (B,) out of the table: fresh arrays, scaled, newest row last."""
        at = np.asarray(at)
        x = np.empty((len(at), self.steps, len(self.feature_names)), dtype=np.float32)
        width = len(self.spec.columns)
        inputs = x if width == x.shape[2] else np.empty((*x.shape[:2], width), dtype=np.float32)
        values = np.asarray(self.table.values)
        center, scale = self._plain_scale
        mask = None
        first = self._first_rows(at)
        if self.lengths is None:
            gather_windows(values, first, self._columns, center=center, scale=scale, out=inputs)
        else:
            lengths = np.minimum(self.lengths[at], self.steps)
            mask = gather_padded(values, first, lengths, self._columns, center=center, scale=scale, out=inputs)
        if inputs is not x:
            x[:, :, :width] = inputs
            self._add_known(x[:, :, width:], first)
        y, weight = self._answers(at, first, mask) if self.spec.need_target else (None, None)
        return WindowBatch(x=x, y=y, mask=mask, at=at, weight=weight, future=self._planned(at))

    def truth(self) -> NDArray[np.float64]:
        """(W, G) the target values in plant units (class codes for classes), NaN where not known.

        With a path (W, K·G), row by row.
        """
        rows = self.answer_rows(self.all_indices)
        found = np.full((*rows.shape, len(self.spec.targets)), np.nan)
        ahead = rows < len(self.table)
        for k, name in enumerate(self.spec.targets):
            found[ahead, k] = self.table.column(name)[rows[ahead]]
        return found.reshape(len(rows), rows.shape[1] * len(self.spec.targets))

    def answer_rows(self, at: Rows) -> NDArray[np.int64]:
        """(B, K) the rows that the windows ``at`` shall tell of; K is 1, or the length of the path."""
        last = np.asarray(self.target_rows, dtype=np.int64)[at][:, None]
        return last + np.arange(1 - len(self.spec.horizons), 1)

    def scaled_targets(self) -> NDArray[np.float64]:
        """(W, G) or (W, K·G) the targets as the network sees them."""
        truth = self.truth()
        if self.target_scaler is None or self.classes:
            return truth
        found = self.target_scaler.transform(truth.reshape(-1, len(self.spec.targets))).reshape(self._paths)
        left: NDArray[np.float64] = (found - self._origin(self.all_indices)).reshape(truth.shape)
        return left if self.told is None else left - self.told

    def unscaled(self, found: NDArray[Any]) -> NDArray[np.float64]:
        """Answers (..., K·G) of a network in plant units, the same shape."""
        found = np.asarray(found, dtype=np.float64)
        if self.told is not None:
            found = found + self.told.reshape(found.shape)
        if self.target_scaler is None:
            return found
        plain = (found.reshape(self._paths) + self._origin(self.all_indices)).reshape(-1, len(self.spec.targets))
        return self.target_scaler.inverse(plain).reshape(found.shape)

    def worst_quality(self) -> NDArray[np.uint8]:
        """(W,) the worst `Quality` of any input value in each window."""
        worst = np.zeros(len(self), dtype=np.uint8)
        if self.table.quality is None:
            return worst
        first, end = self.entire._first_rows(self.all_indices), self.origins - self.spec.dead_time
        if set(self.spec.targets) & set(self.spec.inputs):
            end = self.origins  # the row that the window's answer is held against is looked at, too
        rows = row_quality(self.table, self.spec.inputs)
        for level in (1, 2):
            # rows of this level or worse up to each row: a window holds one when the count grows inside it
            seen = np.concatenate([[0], np.cumsum(rows >= level)])
            worst[seen[end + 1] > seen[first]] = level
        return worst

    @property
    def _paths(self) -> tuple[int, int, int]:
        """(W, K, G): the answers of all windows, row by row."""
        return len(self), len(self.spec.horizons), len(self.spec.targets)

    def bytes(self, batch: int) -> Need:
        """What gathering takes: estimated before anything is allocated (x, y and mask)."""
        width = max(1, len(self.spec.targets))
        answers = {"row": 1, "path": self.spec.horizon}.get(self.spec.answer, self.steps)
        window = 4 * (self.steps * len(self.feature_names) + answers * (width + len(self.spec.future)))
        window += self.steps if self.lengths is not None else 0
        return Need(batch=window * min(batch, len(self)), all=window * len(self))

    def _first_rows(self, at: Rows) -> Rows:
        """The oldest row of each window, (B,)."""
        rows = self.steps if self.lengths is None else np.minimum(self.lengths[at], self.steps)
        return self.origins[at] - (self.spec.dead_time + rows - 1)

    @cached_property
    def _columns(self) -> Rows:
        return np.array([self.table.index(name) for name in self.spec.columns], dtype=np.intp)

    @cached_property
    def _plain_scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centre and scale of the features that are columns; 0 and 1 for those that say what was filled."""
        center, scale = _both(self.scaler, len(self.spec.inputs))
        extra = len(self.spec.columns) - len(self.spec.inputs)
        return np.append(center, np.zeros(extra)), np.append(scale, np.ones(extra))

    def _answers(
        self, at: Rows, first: Rows, mask: Mask | None
    ) -> tuple[NDArray[np.float32] | NDArray[np.int32], NDArray[np.float32] | None]:
        """y of `WindowBatch`, and the weight of each row's answer."""
        form = self.spec.answer
        every = form in ("every", "window")
        rows = first[:, None] + np.arange(self.steps) if every else self.answer_rows(at)
        rows = np.minimum(rows, len(self.table) - 1)
        found = np.stack([np.asarray(self.table.column(name))[rows] for name in self.spec.targets], axis=-1)
        weight = None
        if every:
            there = np.isfinite(found).all(axis=-1)
            there = there if mask is None else there & mask
            found = np.where(there[:, :, None], found, 0.0)
            weight = there.astype(np.float32)
        if self.classes:
            return found[..., 0].astype(np.int32) if every else found[:, 0, 0].astype(np.int32), weight
        center, scale = _both(self.target_scaler, found.shape[-1])
        y = (found.astype(np.float64) - center) / scale
        if every:
            return y.astype(np.float32), weight
        y -= self._origin(at)
        if self.told is not None:
            y -= self.told[at].reshape(y.shape)
        return y.astype(np.float32).reshape(len(at), rows.shape[1] * y.shape[-1]), weight

    def _origin(self, at: Rows) -> NDArray[np.float64] | float:
        """(B, 1, G) what answers are relative to, in scaled numbers: the newest known values; or 0."""
        if self.spec.relative == "none":
            return 0.0
        return self._held(self.origins[at].astype(np.int64)[:, None] - self.spec.dead_time)

    def _planned(self, at: Rows) -> NDArray[np.float32] | None:
        """(B, K, M) the values of what is known ahead, scaled as inputs are."""
        if not self.spec.future:
            return None
        rows = self.origins[at].astype(np.int64)[:, None] + np.arange(1, self.spec.horizon + 1)
        columns = [self.spec.inputs.index(name) for name in self.spec.future]
        center, scale = _both(self.scaler, len(self.spec.inputs))
        found = np.stack([np.asarray(self.table.column(name))[rows] for name in self.spec.future], axis=-1)
        return ((found.astype(np.float64) - center[columns]) / scale[columns]).astype(np.float32)

    def _add_known(self, out: NDArray[np.float32], first: Rows) -> None:
        """Fill (B, T, K) with the last values that each row may know, and (B, T, 2 K) with their ages too."""
        known = self.spec.known
        assert known is not None
        carried = min(known.count or self.steps, self.steps)
        out[:, : self.steps - carried] = 0.0
        rows = first[:, None] + np.arange(self.steps - carried, self.steps)
        held, width = self._held(rows), len(self.spec.targets)
        out[:, self.steps - carried :, :width] = held - held[:, -1:] if self.spec.relative == "window" else held
        if known.age:
            out[:, self.steps - carried :, width:] = np.log1p(rows[:, :, None] - self._held_rows(rows))

    def _held_rows(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """(B, T, G) the row of the last value of each target that these rows (B, T) may know."""
        assert self.spec.known is not None
        return np.stack([last[rows - self.spec.known.offset] for last in self.reported], axis=-1).astype(np.int64)

    def _held(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """(B, T, G) these last values, scaled."""
        center, scale = _both(self.target_scaler, len(self.spec.targets))
        at = self._held_rows(rows)
        columns = [
            np.asarray(self.table.column(name))[at[..., k]].astype(np.float64)
            for k, name in enumerate(self.spec.targets)
        ]
        found: NDArray[np.float64] = (np.stack(columns, axis=-1) - center) / scale
        return found


def build_windows(
    table: Table, spec: WindowSpec, *, split: Split | None = None, part: SplitPart | Mask | None = None
) -> Windows:
    """All windows of one part of a table, in row order.

    Give ``split`` and ``part``, or ``part`` alone as a mask (N,) of rows, or neither for all rows. A
    window belongs to the part of its target row. Raises InputError when there is none, with the
    minimum needed and what would fit; PlanError for windows that cannot be.

    >>> table = Table(np.arange(12.0).reshape(6, 2), (Tag("T101"), Tag("C_A", role="target")))
    >>> windows = build_windows(table, WindowSpec(inputs=("T101",), targets=("C_A",), lookback=3))
    >>> windows.gather(np.array([0])).x[0, :, 0].tolist(), windows.truth()[0].tolist()
    ([0.0, 2.0, 4.0], [5.0])
    """
    names = (*spec.inputs, *(spec.targets if spec.need_target or spec.known else ()))
    classes = [name for name in names if table.tag(name).categories]
    if any(name in spec.inputs for name in classes):
        raise PlanError(
            "windows.class_input", where=table.source, tag=next(name for name in classes if name in spec.inputs)
        )
    if classes and (len(spec.targets) > 1 or spec.known):
        raise PlanError("windows.class_target", tag=classes[0])
    place = Place.of(split, part)
    find = find_origins if spec.lookback is not None else find_elapsed if spec.growing else find_batches
    found = find(table, spec, place)
    return Windows(
        table,
        spec,
        origins=found.origins,
        target_rows=found.target_rows,
        lengths=found.lengths,
        reported=found.reported,
        dropped=found.dropped,
        excluded=found.excluded,
        place=place,
    )


def fit_scalers(
    table: Table, spec: WindowSpec, *, rows: Mask, inputs: str = "standard", target: str = "standard"
) -> tuple[Scaler, Scaler | None]:
    """Scalers for the inputs and for the targets (None for classes), from these rows alone."""

    def one(kind: str, names: tuple[str, ...]) -> Scaler:
        return fit_scaler(kind, table.values, names, rows=rows, columns=tuple(map(table.index, names)))

    classes = bool(spec.targets) and bool(table.tag(spec.targets[0]).categories)
    return one(inputs, spec.inputs), None if classes or not spec.targets else one(target, spec.targets)


def _both(scaler: Scaler | None, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre (F,) and scale (F,); plant units without a scaler."""
    return (np.zeros(width), np.ones(width)) if scaler is None else (scaler.center, scaler.scale)
