"""Years of history through a model, block by block.

This module scores a Parquet file of any length with the light runtime: one thread reads and
unpacks, another computes, and only a few blocks are in memory at any time.

    account = score_history(Runtime.load("quality.backmix"), "2025.parquet", "scored.parquet")

A stretch of rows ends where a number is missing or the clock jumps, and the next one begins from the initial state:
in training, too, windows never cross such a place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.quality import Quality
from backmix.errors import InputError
from backmix.serving.runtime import Floats, Runtime, State
from backmix.serving.stated import EncodedRows, StatedInputs
from backmix.storage import write_atomic

Mode = Literal["windows", "carried"]
BLOCK = 1 << 17
"""Rows read at a time: 20 tags are 21 MB."""
COMPARED = 2000
"""Rows of the first stretch on which carrying is compared with windows."""


@dataclass(frozen=True)
class HistoryAccount:
    """What became of the rows: read = predicted + without.

    without: rows without a prediction: a number is missing, or (windows) there is no whole window
    stretches: how often the state was reset
    difference: the largest difference, in the unit of the target, between carrying the state and predicting windows,
        over the first stretch; None in windows mode, for a model trained with a carried state, or where no window fits
    as_trained: whether the model was trained in this mode
    """

    read: int
    predicted: int
    without: int
    stretches: int
    difference: float | None
    as_trained: bool


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows as they were read: values (N, F), the clock (N,) or None, rows with a state that training did not show."""

    values: Floats
    time: NDArray[np.datetime64] | None
    uncertain: NDArray[np.bool_]


def score_history(
    runtime: Runtime,
    path: Path | str,
    out: Path | str,
    *,
    mode: Mode = "windows",
    time: str | None = None,
    max_gap: float | None = None,
) -> HistoryAccount:
    """Predict at every row of a Parquet file; write a Parquet file, whole or not at all.

    mode: "windows" predicts from the last ``lookback`` rows, as in training; "carried" carries the state from row to
        row, as models with `Runtime.carried` were trained; for other models the difference is measured
        (`HistoryAccount.difference`)
    time: the column of the clock; a stretch ends where rows are more than ``max_gap`` seconds apart
    The new file has the clock (or the row number from 1), ``prediction`` (``prediction:NAME`` for several
    targets, ``p:NAME`` for classes), and ``quality``: "uncertain" in carried mode while fewer than
    ``lookback`` rows have been seen since the start, "bad" (and null) where there is no prediction.
    Columns are found by name.

    Raises InputError (serving.no_column, serving.damaged, serving.no_slide, serving.no_steps,
    serving.gap_without_time), StorageError.
    """
    if max_gap is not None and time is None:
        raise InputError("serving.gap_without_time")
    source = _Source(Path(path), runtime.stated, time)
    score = _CarriedState(runtime, max_gap) if mode == "carried" else _SlidingWindows(runtime, max_gap)
    account: list[HistoryAccount] = []

    def write(file: BinaryIO) -> None:
        account.append(_write(source, score, runtime, file))

    write_atomic(out, write)
    return account[0]


class _Source:
    """A Parquet file's columns of interest, block by block, read ahead by a thread."""

    def __init__(self, path: Path, inputs: StatedInputs, time: str | None) -> None:
        from pyarrow import ArrowException, parquet

        self._path, self._inputs, self._time = path, inputs, time
        try:
            names = parquet.read_schema(path).names
        except (ArrowException, OSError) as fault:
            raise InputError("serving.damaged", where=path, fault=str(fault).splitlines()[0][:160]) from None
        for name in (*inputs.columns, *((time,) if time else ())):
            if name not in names:
                raise InputError("serving.no_column", where=path, name=name, names=", ".join(names[:20]))

    def blocks(self) -> Iterator[_Block]:
        """All rows in order; the next block is unpacked while this one is used."""
        from pyarrow import ArrowException, parquet

        columns = [*self._inputs.columns, *((self._time,) if self._time else ())]
        try:
            # pre_buffer would read the whole file into memory before the first row is out
            with (
                parquet.ParquetFile(self._path, pre_buffer=False, buffer_size=1 << 20) as file,
                ThreadPoolExecutor(1) as reader,
            ):
                batches = file.iter_batches(BLOCK, columns=columns, use_threads=False)
                ahead: Future[_Block | None] = reader.submit(self._unpack, batches)
                while (block := ahead.result()) is not None:
                    ahead = reader.submit(self._unpack, batches)
                    yield block
        except (ArrowException, OSError) as fault:
            raise InputError("serving.damaged", where=self._path, fault=str(fault).splitlines()[0][:160]) from None

    def _unpack(self, batches: Iterator[Any]) -> _Block | None:
        batch = next(batches, None)
        if batch is None:
            return None
        values = np.full((batch.num_rows, len(self._inputs.names)), np.nan)
        uncertain = np.zeros(batch.num_rows, bool)
        for index, name in enumerate(self._inputs.names):
            if name not in self._inputs.columns:
                continue
            column = batch.column(name)
            try:
                values[:, index] = column.to_numpy(zero_copy_only=False)
            except (TypeError, ValueError):
                raise InputError("serving.not_numbers", where=self._path, name=name, kind=column.type) from None
        for coding in self._inputs.states:
            coded = tuple(name for name in coding.columns if name in self._inputs.names)
            words = batch.column(coding.tag.name).to_pylist()
            encoded = StatedInputs(coded, (coding,)).encode({coding.tag.name: words})
            values[:, [self._inputs.names.index(name) for name in coded]] = encoded.values
            uncertain |= encoded.uncertain
        clock = (
            None
            if self._time is None
            else batch.column(self._time).to_numpy(zero_copy_only=False).astype("datetime64[ns]")
        )
        return _Block(values, clock, uncertain)


class _HistoryScorer(ABC):
    """Predicts block by block and remembers the stretch that goes on into the next block.

    stretches: how many have begun; difference: see `HistoryAccount`
    """

    def __init__(self, runtime: Runtime, max_gap: float | None) -> None:
        self.runtime, self.stretches = runtime, 0
        self.difference: float | None = None
        self._most = None if max_gap is None else np.timedelta64(round(max_gap * 1e9), "ns")
        self._last: np.datetime64 | None = None
        self._open = False

    def block(self, block: _Block) -> tuple[Floats, NDArray[np.uint8]]:
        """The predictions (N, O), NaN where there is none, and their qualities (N,)."""
        count = len(block.values)
        predictions: Floats = np.full((count, len(self.runtime.classes) or len(self.runtime.targets)), np.nan)
        quality = np.full(count, Quality.BAD, np.uint8)
        sound = np.asarray(np.isfinite(block.values).all(axis=1))
        breaks = np.zeros(count, bool)
        if block.time is not None and self._most is not None and count:
            steps = np.diff(block.time, prepend=block.time[:1] if self._last is None else self._last)
            breaks = (steps > self._most) | (steps < np.timedelta64(0, "ns"))
            self._last = block.time[-1]
        # a stretch begins at a complete row after an incomplete one or after a jump of the clock
        before = np.concatenate([[self._open], sound[:-1]])
        begins = np.flatnonzero(sound & (~before | breaks))
        edges = np.unique(np.concatenate([[0], begins, np.flatnonzero(~sound & before)])).astype(np.int64)
        for first, end in zip(edges, [*edges[1:], count], strict=True):
            if first == end or not sound[first]:
                continue
            if first in begins:
                self.begin()
                self.stretches += 1
            # incomplete rows have edges of their own, so all rows from here to `end` are complete
            predictions[first:end], quality[first:end] = self.rows(block.values[first:end])
        self._open = bool(sound[-1]) if count else self._open
        return predictions, quality

    @abstractmethod
    def begin(self) -> None:
        """Reset at the beginning of a stretch."""

    @abstractmethod
    def rows(self, values: Floats) -> tuple[Floats, NDArray[np.uint8]]:
        """The next rows of the stretch."""


class _SlidingWindows(_HistoryScorer):
    """Predicts windows; the rows that the first windows of the next block need are kept."""

    def __init__(self, runtime: Runtime, max_gap: float | None) -> None:
        super().__init__(runtime, max_gap)
        if runtime.lookback is None or runtime.shown is not None:
            raise InputError("serving.no_slide")
        self._steps = runtime.lookback
        self._tail: Floats = np.empty((0, len(runtime.inputs)))

    def begin(self) -> None:
        self._tail = self._tail[:0]

    def rows(self, values: Floats) -> tuple[Floats, NDArray[np.uint8]]:
        known = len(self._tail)
        together = np.concatenate([self._tail, values]) if known else values
        self._tail = together[max(0, len(together) - self._steps + 1) :].copy() if self._steps > 1 else self._tail
        outputs = self.runtime.slide(together)
        predictions: Floats = np.full((len(values), len(self.runtime.classes) or len(self.runtime.targets)), np.nan)
        quality = np.full(len(values), Quality.BAD, np.uint8)
        if len(outputs):
            predictions[len(values) - len(outputs) :] = outputs
            quality[len(values) - len(outputs) :] = Quality.GOOD
        return predictions, quality


class _CarriedState(_HistoryScorer):
    """Carries one state from row to row."""

    def __init__(self, runtime: Runtime, max_gap: float | None) -> None:
        super().__init__(runtime, max_gap)
        self._state: State = runtime.start()
        self._seen = 0
        if runtime.architecture.summaries:
            raise InputError("serving.no_steps")

    def begin(self) -> None:
        self._state, self._seen = self.runtime.start(), 0

    def rows(self, values: Floats) -> tuple[Floats, NDArray[np.uint8]]:
        warm = (self.runtime.lookback or 1) - self._seen
        predictions, self._state = self.runtime.carry(values, self._state)
        if self.difference is None and self._seen == 0:
            self.difference = self._compare(values[:COMPARED], predictions)
        self._seen += len(values)
        return predictions, np.where(np.arange(len(values)) < warm - 1, Quality.UNCERTAIN, Quality.GOOD).astype(
            np.uint8
        )

    def _compare(self, values: Floats, predictions: Floats) -> float | None:
        """The largest difference between carrying the state and predicting windows."""
        steps = self.runtime.lookback
        if steps is None or self.runtime.carried or self.runtime.shown is not None or len(values) < steps:
            return None
        windows = self.runtime.slide(values)
        return float(np.abs(windows - predictions[steps - 1 : len(values)]).max())


def _in_windows(uncertain: NDArray[np.bool_], steps: int, since: int) -> tuple[NDArray[np.bool_], int]:
    """Which rows have an uncertain row among the last ``steps``, and how many rows ago the last of them was.

    since: how many rows before the first one the last uncertain row was
    """
    row = np.arange(len(uncertain))
    last = np.maximum.accumulate(np.where(uncertain, row, -since))
    return row - last < steps, int(len(uncertain) - last[-1]) if len(last) else since


def _write(source: _Source, score: _HistoryScorer, runtime: Runtime, file: BinaryIO) -> HistoryAccount:
    import pyarrow as pa
    from pyarrow import parquet

    names = [f"p:{name}" for name in runtime.classes] or (
        ["prediction"] if len(runtime.targets) == 1 else [f"prediction:{name}" for name in runtime.targets]
    )
    read = predicted = 0
    since = np.iinfo(np.int64).max // 2
    writer: Any = None
    try:
        for read_block in source.blocks():
            known = runtime.completed(EncodedRows(read_block.values, read_block.uncertain))
            block = replace(read_block, values=known.values, uncertain=known.uncertain)
            predictions, quality = score.block(block)
            doubtful, since = _in_windows(block.uncertain, runtime.lookback or len(block.uncertain), since)
            quality[doubtful & (quality == Quality.GOOD)] = Quality.UNCERTAIN
            missing = quality == Quality.BAD
            clock = (
                pa.array(block.time)
                if block.time is not None
                else pa.array(np.arange(read + 1, read + len(predictions) + 1))
            )
            quality_names = pa.DictionaryArray.from_arrays(
                pa.array(quality.astype(np.int8)), ["good", "uncertain", "bad"]
            )
            table = pa.table(
                {
                    "time" if block.time is not None else "row": clock,
                    **{name: pa.array(predictions[:, column], mask=missing) for column, name in enumerate(names)},
                    "quality": quality_names,
                }
            )
            writer = writer or parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
            read += len(predictions)
            predicted += int(len(predictions) - missing.sum())
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise InputError("serving.no_rows")
    return HistoryAccount(
        read=read,
        predicted=predicted,
        without=read - predicted,
        stretches=score.stretches,
        difference=score.difference,
        as_trained=isinstance(score, _CarriedState) == runtime.carried,
    )
