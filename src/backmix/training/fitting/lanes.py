"""Batches for training with a carried state.

This module feeds truncated backpropagation through time. The runs of a part are assigned to L lanes; a step takes
the next T rows of every lane, and the state is carried from step to step. It is reset exactly where a lane enters
another run. A run that is long for the number of lanes is cut into stretches, and each stretch but the first begins
``lookback`` rows earlier with rows of weight 0, which only warm up the state; so every label counts exactly once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.carry import NONE, answers, carry, one_row
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.errors import TrainingError
from backmix.models.architecture import Architecture
from backmix.models.heads import heads
from backmix.training.fitting.feed import Batch, all_finite, gathered, order, row_name, weight_table

MOST_LANES = 32
LEAST_STEPS = 20
"""Steps that an epoch should have at least."""


@dataclass(frozen=True)
class LaneStretch:
    """Rows ``first`` to ``end`` of one run; rows before ``counts`` only warm up the state."""

    first: int
    counts: int
    end: int


class LaneFeed:
    """The rows of one part as L lanes of T rows, epoch after epoch, with the interface of `Feed`.

    windows: one row each, by row number of the table
    """

    def __init__(
        self,
        windows: Windows,
        architecture: Architecture,
        *,
        lanes: int,
        stretch: int,
        seed: int | None = None,
        class_weights: Mapping[int, float] | None = None,
    ) -> None:
        self.batch_size, self.stretch = lanes, stretch
        self.epoch, self.first = 0, 0
        self._seed = seed
        self._labels = carry(windows)
        self._part = windows
        self.windows = one_row(windows, np.arange(len(windows.table)))
        self._dealt = assign_to_lanes(stretches_of(windows, lanes=lanes), lanes=lanes, stretch=stretch)
        self._steps = max(sum(_stretches(piece, stretch) for piece in lane) for lane in self._dealt)
        self._kind = heads.get(architecture.head).kind
        self._x: NDArray[np.float32] | None = None
        self._y, self._weight = self._targets(windows, weight_table(class_weights, architecture))
        self._plan: tuple[int, _Plan] | None = None

    def __len__(self) -> int:
        """Steps in an epoch."""
        return self._steps

    @property
    def share(self) -> float:
        """1: the weights add up to the number of rows in the batches."""
        return 1.0

    @property
    def digest(self) -> str:
        """A hash of the labels and of where runs begin."""
        digest = hashlib.sha256(repr(self._dealt).encode())
        digest.update(self._labels.labels.tobytes() + self._y.tobytes() + self._weight.tobytes())
        return digest.hexdigest()

    def begin_epoch(self, epoch: int, *, first: int = 0) -> None:
        """From now on steps are those of ``epoch``."""
        self.epoch, self.first = epoch, first

    def bytes(self) -> int:
        """Bytes that all rows take when scaled."""
        return 4 * len(self.windows) * len(self.windows.feature_names)

    def keep(self) -> None:
        """Scale all rows now."""
        self._x = gathered(self.windows, np.arange(len(self.windows))).x[:, 0]

    def batch(self, number: int) -> Batch:
        """Step ``number`` of the current epoch: x (L, T, F), keep (L,), targets and a weight per row.

        Raises TrainingError (training.not_a_number).
        """
        plan = self._planned()
        rows = plan.first[:, number, None] + np.arange(self.stretch)
        real = np.arange(self.stretch) < plan.count[:, number, None]
        x = np.zeros((*rows.shape, len(self.windows.feature_names)), np.float32)
        real_rows = rows[real]
        x[real] = gathered(self.windows, real_rows).x[:, 0] if self._x is None else self._x[real_rows]
        if not all_finite(x):
            raise self._culprit(rows, x, number)
        safe = np.where(real, rows, 0)
        weight = np.where(real & (rows >= plan.counts[:, number, None]), self._weight[safe], np.float32(0))
        y = self._y[safe]
        if self._kind == "binary":
            y = y[..., None].astype(np.float32)
        return {"x": x, "keep": plan.keep[:, number].astype(np.float32)}, y, weight.astype(np.float32)

    def positions(self, number: int) -> NDArray[np.int64]:
        """The rows of the table in step ``number``."""
        plan = self._planned()
        rows = plan.first[:, number, None] + np.arange(self.stretch)
        real_rows: NDArray[np.int64] = rows[np.arange(self.stretch) < plan.count[:, number, None]]
        return real_rows

    def _targets(self, windows: Windows, table: NDArray[np.float32] | None) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The target and weight of every row of the table; 0 and 0 where there is no label."""
        labels = self._labels.labels
        counted = np.zeros(len(labels), bool)
        for piece in (piece for lane in self._dealt for piece in lane):
            counted[piece.counts : piece.end] = True
        rows = np.flatnonzero((labels != NONE) & counted)
        truth = answers(windows, labels[rows])
        regression = self._kind == "regression"
        y = np.zeros((len(labels), truth.shape[1]), np.float32) if regression else np.zeros(len(labels), np.int32)
        y[rows] = truth if regression else truth[:, 0]
        # so that a mean over all rows of the batches is the mean over the labels
        each = self._steps * self.batch_size * self.stretch / max(1, len(rows))
        weight = np.zeros(len(labels), np.float32)
        weight[rows] = each if table is None else each * table[y[rows]]
        return y, weight

    def _planned(self) -> _Plan:
        if self._plan is None or self._plan[0] != self.epoch:
            lanes = self._dealt
            if self._seed is not None:
                # whole stretches are shuffled, rows inside a stretch never
                lanes = [
                    [lane[position] for position in order(len(lane), seed=self._seed + number, epoch=self.epoch)]
                    for number, lane in enumerate(lanes)
                ]
            self._plan = (self.epoch, _lay_out(lanes, self._steps, self.stretch))
        return self._plan[1]

    def _culprit(self, rows: NDArray[np.int64], x: NDArray[np.float32], number: int) -> TrainingError:
        lane, step, column = (int(index) for index in np.argwhere(~np.isfinite(x))[0])
        tag, value = self.windows.feature_names[column], x[lane, step, column]
        place = row_name(self.windows, int(rows[lane, step]), 0)
        return TrainingError(
            "training.not_a_number", tag=tag, value=value, place=place, epoch=self.epoch + 1, batch=number + 1
        )


@dataclass(frozen=True, eq=False)
class _Plan:
    """Per lane and step: the first row, the number of rows, the first row that counts, whether the state is kept."""

    first: NDArray[np.int64]
    count: NDArray[np.int64]
    counts: NDArray[np.int64]
    keep: NDArray[np.bool_]


def stretches_of(windows: Windows, *, lanes: int) -> list[LaneStretch]:
    """The runs of a part that have labels, cut so that L lanes have about the same number of rows."""
    carried, lookback = carry(windows), windows.steps
    runs = [(first, end) for first, end in carried.runs() if (carried.labels[first:end] != NONE).any()]
    share = math.ceil(sum(end - first for first, end in runs) / lanes)
    stretches = []
    for first, end in runs:
        count = max(1, round((end - first) / share))
        cuts = np.round(np.linspace(first, end, count + 1)).astype(int)
        stretches += [LaneStretch(max(first, int(low) - lookback), int(low), int(high)) for low, high in pairwise(cuts)]
    return stretches


def assign_to_lanes(stretches: list[LaneStretch], *, lanes: int, stretch: int) -> list[list[LaneStretch]]:
    """The stretches of each lane in table order; the longest are assigned first, each to the emptiest lane.

    >>> stretches = [LaneStretch(0, 0, 30), LaneStretch(30, 30, 40), LaneStretch(40, 40, 60)]
    >>> lanes = assign_to_lanes(stretches, lanes=2, stretch=10)
    >>> [[(piece.first, piece.end) for piece in lane] for lane in lanes]
    [[(0, 30)], [(30, 40), (40, 60)]]
    """
    dealt: list[list[LaneStretch]] = [[] for _ in range(lanes)]
    loads = [0] * lanes
    for piece in sorted(stretches, key=lambda piece: (-_stretches(piece, stretch), piece.first)):
        lane = loads.index(min(loads))
        dealt[lane].append(piece)
        loads[lane] += _stretches(piece, stretch)
    return [sorted(lane, key=lambda piece: piece.first) for lane in dealt]


def choose_lanes(windows: Windows, stretch: int) -> Decision:
    """The number of lanes: as many as leave an epoch enough steps."""
    rows = sum(end - first for first, end in carry(windows).runs())
    lanes = min(MOST_LANES, max(1, rows // (LEAST_STEPS * stretch)))
    return Decision(
        lanes, "carried.lanes", {"rows": rows, "stretch": stretch, "steps": LEAST_STEPS}, "training.batch_size"
    )


def _stretches(piece: LaneStretch, stretch: int) -> int:
    return math.ceil((piece.end - piece.first) / stretch)


def _lay_out(lanes: list[list[LaneStretch]], steps: int, stretch: int) -> _Plan:
    shape = (len(lanes), steps)
    first, count, counts = (np.zeros(shape, np.int64) for _ in range(3))
    keep = np.zeros(shape, bool)
    for lane, stretches in enumerate(lanes):
        step = 0
        for piece in stretches:
            for low in range(piece.first, piece.end, stretch):
                first[lane, step], count[lane, step] = low, min(stretch, piece.end - low)
                counts[lane, step], keep[lane, step] = piece.counts, low > piece.first
                step += 1
    return _Plan(first, count, counts, keep)
