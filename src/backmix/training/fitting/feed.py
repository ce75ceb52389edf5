"""From windows to the batches that Keras trains on.

This module gathers batches of one fixed shape, in an order that depends on (seed, epoch) alone, and checks that all
numbers are finite. The last batch is filled up with windows of weight 0, so that there is one shape to compile and
every window counts exactly once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backmix.data.notation.clock import iso
from backmix.data.windows.windows import WindowBatch, Windows
from backmix.errors import TrainingError
from backmix.models.architecture import Architecture
from backmix.models.engine import use_engine
from backmix.models.heads import heads
from backmix.text import say

Batch = tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[np.float32]]
"""Inputs by name, targets, and a weight per window, or per window and row."""


def order(count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of ``count`` windows that depends on nothing but the arguments.

    >>> order(5, seed=1, epoch=0).tolist() == order(5, seed=1, epoch=0).tolist()
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch]))).permutation(count)


class Feed:
    """The windows of one part as batches of B, epoch after epoch.

    epoch: the epoch whose order counts
    first: batches before this one are not gathered (a resumed epoch has trained on them already)
    """

    def __init__(
        self,
        windows: Windows,
        architecture: Architecture,
        *,
        batch_size: int,
        seed: int | None = None,
        class_weights: Mapping[int, float] | None = None,
        answer_scale: tuple[float, ...] | None = None,
    ) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.epoch = 0
        self.first = 0
        self._seed = seed
        self._kind = heads.get(architecture.head).kind
        self._weights = weight_table(class_weights, architecture)
        self._scale = None if answer_scale is None else np.array(answer_scale, np.float32)
        self._rows = architecture.lookback or windows.steps
        self._masked = architecture.masked
        self._taught = architecture.teacher_forcing > 0
        self._outputs = architecture.outputs
        self._arrays: Batch | None = None
        self._stub: Batch | None = None
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.windows) / self.batch_size)

    @property
    def digest(self) -> str:
        """Empty: the windows are hashed by themselves."""
        return ""

    def begin_epoch(self, epoch: int, *, first: int = 0) -> None:
        """From now on batches are those of ``epoch``, and those before ``first`` are not needed."""
        self.epoch, self.first, self._stub = epoch, first, None

    @property
    def share(self) -> float:
        """The share of real windows among all windows of an epoch's batches; a mean over the batches divided by it is
        the mean over the real windows."""
        return len(self.windows) / (len(self) * self.batch_size)

    def bytes(self) -> int:
        """Bytes that all windows take when gathered."""
        return self.windows.bytes(1).all + len(self.windows) * self._rows * self._masked

    def keep(self) -> None:
        """Gather all windows now; batches are cut from them and stay bit-equal."""
        everything = np.arange(len(self.windows))
        self._arrays = self._checked(everything, where=None)

    def batch(self, number: int) -> Batch:
        """Batch ``number`` of the current epoch, B windows, the last ones perhaps of weight 0.

        Raises TrainingError (training.not_a_number) when an input or target is NaN or infinite.
        """
        if number < self.first:
            self._stub = self._stub or self.batch(self.first)
            return self._stub
        positions = self.positions(number)
        missing = self.batch_size - len(positions)
        filled = np.concatenate([positions, np.repeat(positions[:1], missing)]) if missing else positions
        if self._arrays is None:
            x, y, weight = self._checked(filled, where=number)
        else:
            inputs, targets, weights = self._arrays
            x, y, weight = {name: a[filled] for name, a in inputs.items()}, targets[filled], weights[filled]
        if missing:
            weight[-missing:] = 0.0
        return x, y, weight

    def positions(self, number: int) -> NDArray[np.int64]:
        """Which windows batch ``number`` of the current epoch holds; positions in ``windows``."""
        low, high = number * self.batch_size, min((number + 1) * self.batch_size, len(self.windows))
        if self._seed is None:
            return np.arange(low, high)
        if self._order[0] != self.epoch:
            self._order = (self.epoch, order(len(self.windows), seed=self._seed, epoch=self.epoch))
        return self._order[1][low:high]

    def _checked(self, positions: NDArray[np.int64], *, where: int | None) -> Batch:
        batch = gathered(self.windows, positions)
        assert batch.y is not None
        x = _padded(batch.x, self._rows)
        if not (all_finite(x) and all_finite(batch.y) and (batch.future is None or all_finite(batch.future))):
            raise self._culprit(positions, batch.x, batch.y, where)
        inputs: dict[str, NDArray[Any]] = {"x": x}
        if self._masked:
            inputs["mask"] = _padded(_mask(batch.mask, batch.x), self._rows)
        if batch.future is not None:
            inputs["future"] = batch.future
        y, weight = batch.y, batch.weight
        if self._scale is not None:
            scaled = y.reshape(len(y), -1, len(self._scale)) / self._scale
            y = scaled.astype(np.float32).reshape(y.shape)
        if weight is not None:  # an answer on every row
            y, weight = _padded(y, self._rows), _padded(weight, self._rows)
        if self._taught:
            inputs["teacher"] = y.reshape(len(y), -1, self._outputs).astype(np.float32)
        if weight is None:
            weight = np.ones(len(positions), np.float32)
        if self._weights is not None:
            weight = weight * self._weights[y.reshape(weight.shape)]
        if self._kind == "binary":
            y = y[..., None].astype(np.float32)
        return inputs, y, weight

    def _culprit(
        self, positions: NDArray[np.int64], x: NDArray[Any], y: NDArray[Any], where: int | None
    ) -> TrainingError:
        """The error for the first number that is not finite."""
        bad = np.argwhere(~np.isfinite(x))
        if len(bad):
            window, row, column = (int(i) for i in bad[0])
            tag, value = self.windows.feature_names[column], x[window, row, column]
            place = row_name(self.windows, int(positions[window]), row)
        else:
            window, column = (int(i) for i in np.argwhere(~np.isfinite(y.reshape(len(y), -1)))[0])
            tag, value = answer_name(self.windows, column), y.reshape(len(y), -1)[window, column]
            place = moment(self.windows, int(self.windows.target_rows[positions[window]]))
        number = window // self.batch_size if where is None else where
        return TrainingError(
            "training.not_a_number", tag=tag, value=value, place=place, epoch=self.epoch + 1, batch=number + 1
        )


class AnyFeed(Protocol):
    """A source of batches: windows (`Feed`), or lanes of a carried state (`lanes.LaneFeed`).

    windows, positions: the windows of a batch, for messages
    share: see `Feed.share`
    digest: a hash of what is not in the windows
    """

    windows: Windows
    batch_size: int
    epoch: int

    @property
    def share(self) -> float: ...
    @property
    def digest(self) -> str: ...
    def __len__(self) -> int: ...
    def begin_epoch(self, epoch: int, *, first: int = 0) -> None: ...
    def batch(self, number: int) -> Batch: ...
    def positions(self, number: int) -> NDArray[np.int64]: ...


def dataset(feed: AnyFeed) -> Any:
    """The feed as a Keras PyDataset, without threads."""
    base = use_engine().utils.PyDataset
    face = type(
        "FeedDataset",
        (base,),
        {"__len__": lambda self: len(feed), "__getitem__": lambda self, number: feed.batch(number)},
    )
    return face()


def gathered(windows: Windows, positions: NDArray[np.int64]) -> WindowBatch:
    """The windows ``positions``; a value beyond float32 becomes infinite without a warning."""
    with np.errstate(over="ignore", invalid="ignore"):
        return windows.gather(positions)


def all_finite(values: NDArray[Any]) -> bool:
    """Whether no value is NaN or infinite; one pass in BLAS when all is well.

    >>> all_finite(np.array([1.0, 1e30], np.float32)), all_finite(np.array([1.0, np.nan], np.float32))
    (True, False)
    """
    if values.dtype.kind != "f":
        return True
    flat = values.reshape(-1)
    with np.errstate(all="ignore"):
        if math.isfinite(np.vdot(flat, flat)):
            return True
    return bool(np.isfinite(flat).all())


def row_name(windows: Windows, window: int, row: int) -> str:
    """When (or in which table row) row ``row`` of a window was measured."""
    length = windows.steps if windows.lengths is None else int(windows.lengths[window])
    return moment(windows, int(windows.origins[window]) - windows.spec.dead_time - length + 1 + row)


def moment(windows: Windows, row: int) -> str:
    """A row of the table by its time, or by its number where there is no clock."""
    time = windows.table.time
    if time is None:
        return say("training.row", row=row + 1)
    return iso(np.datetime64(time[row], "s"), windows.table.time_zone).replace("T", " ")


def answer_name(windows: Windows, column: int) -> str:
    """The target that stands in a column of the flattened answers (B, ...·G)."""
    return windows.spec.targets[column % len(windows.spec.targets)]


def _padded(values: NDArray[Any], rows: int) -> NDArray[Any]:
    """(B, T, ...) made T = rows long with zeros on the right, so that all batches have one shape."""
    short = rows - values.shape[1]
    if short <= 0:
        return values
    return np.pad(values, [(0, 0), (0, short), *[(0, 0)] * (values.ndim - 2)])


def _mask(mask: NDArray[np.bool_] | None, x: NDArray[Any]) -> NDArray[np.bool_]:
    return np.ones(x.shape[:2], bool) if mask is None else mask


def weight_table(weights: Mapping[int, float] | None, architecture: Architecture) -> NDArray[np.float32] | None:
    """(C,) the weight of each class code; None when all count the same."""
    if not weights:
        return None
    table = np.ones(max(architecture.outputs, max(weights) + 1), np.float32)
    for code, weight in weights.items():
        table[code] = weight
    return table
