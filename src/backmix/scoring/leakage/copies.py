"""Inputs that are the target in disguise.

This module finds, on training rows, every input that equals a target up to a line (at the same row
or ahead of it), that gives it by a curve, or that alone tells the classes apart. Such a column is
nearly always something that becomes known with the target or after it: a laboratory column
exported twice, a quality flag, a label that was coded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.scoring.metrics import flat

if TYPE_CHECKING:
    from backmix.data.windows.windows import Windows

Floats = NDArray[np.float64]

NEARLY = 0.999
"""Correlation (or share of classes told apart) beyond which an input is a copy."""

CURVE = 0.998
"""Share of the variance that a curve must explain: the square of `NEARLY`."""

FEWEST = 30
"""With fewer rows than this a perfect fit proves nothing."""

MOST_ROWS = 20_000
MOST_SHIFTS = 60
MOST_NUMBERS = 40_000_000
BINS = 24
STRETCHES = 10


@dataclass(frozen=True)
class Copy:
    """An input that is a copy of a target.

    how: "same" (a line at the same row), "ahead" (a line, ``ahead`` rows before the target has the
        value), "curve" (a curve at the same row), "classes" (tells the classes apart)
    strength: the correlation, or the share of variance or of classes
    rows: on how many training rows
    """

    tag: str
    target: str
    how: Literal["same", "ahead", "curve", "classes"]
    strength: float
    rows: int
    ahead: int = 0


def find_copies(train: Windows) -> tuple[tuple[Copy, ...], Copy | None]:
    """The copies among the inputs, and the input with the strongest correlation when there is none."""
    copies: list[Copy] = []
    strongest: Copy | None = None
    if train.spec.need_target and train.spec.inputs:
        for target in (name for name in train.spec.targets if name not in train.spec.inputs):
            every = _classes(train, target) if train.classes else _numbers(train, target)
            taken = {copy.tag for copy in copies}
            copies += [copy for copy in every if _is_copy(copy) and copy.tag not in taken]
            if every and not train.classes:
                best = max(every, key=lambda copy: copy.strength)
                strongest = best if strongest is None or best.strength > strongest.strength else strongest
    return tuple(copies), None if copies else strongest


def _is_copy(copy: Copy) -> bool:
    return copy.rows >= FEWEST and copy.strength > (CURVE if copy.how == "curve" else NEARLY)


def _rows(train: Windows, most: int) -> NDArray[np.int64]:
    rows = np.asarray(train.target_rows, dtype=np.int64)
    return rows if len(rows) <= most else rows[(np.arange(most) * len(rows)) // most]


def _numbers(train: Windows, target: str) -> list[Copy]:
    """For each input its strongest correlation, or the curve when that explains more."""
    table, inputs = train.table, train.spec.inputs
    shifts = min(MOST_SHIFTS, train.steps + train.spec.horizon + train.spec.dead_time)
    most = int(np.clip(MOST_NUMBERS / (len(inputs) * (shifts + 1)), 1000, MOST_ROWS))
    rows = _rows(train, most)
    columns = np.array([table.index(name) for name in inputs])
    y = np.asarray(table.column(target))[rows].astype(np.float64)
    best = np.zeros(len(inputs))
    ahead = np.zeros(len(inputs), dtype=np.int64)
    count = np.zeros(len(inputs), dtype=np.int64)
    for shift in range(shifts + 1):
        before = rows - shift
        fine = before >= 0
        if table.batch is not None:
            batch = np.asarray(table.batch)
            fine &= batch[np.maximum(before, 0)] == batch[rows]
        x = np.asarray(table.values)[np.ix_(before[fine], columns)].astype(np.float64)
        strength, used = correlations(x, y[fine])
        # a column that is ahead must be clearly closer there: slow targets resemble their own past
        better = strength > best + (0.0 if shift == 0 else 1e-6)
        best, ahead, count = (
            np.where(better, new, old)
            for new, old in ((strength, best), (np.full(len(inputs), shift), ahead), (used, count))
        )
    candidates = [
        Copy(name, target, "ahead" if early else "same", float(value), int(n), int(early))
        for name, value, early, n in zip(inputs, best, ahead, count, strict=True)
    ]
    for place, copy in enumerate(candidates):
        if not _is_copy(copy):
            x = np.asarray(table.values)[rows, columns[place]].astype(np.float64)
            curve = Copy(copy.tag, target, "curve", *_curve(x, y))
            if _is_copy(curve):
                candidates[place] = curve
    return candidates


def correlations(x: Floats, y: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """(F,) |r| of each column with y on the rows where both have a value, and how many rows those are."""
    good = np.isfinite(x) & np.isfinite(y)[:, None]
    used = good.sum(axis=0)
    n = np.maximum(used, 1)
    a = np.where(good, x, 0.0)
    b = np.where(good, y[:, None], 0.0)
    a = np.where(good, a - a.sum(axis=0) / n, 0.0)
    b = np.where(good, b - b.sum(axis=0) / n, 0.0)
    size = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    r = np.divide(np.abs((a * b).sum(axis=0)), size, out=np.zeros(x.shape[1]), where=size > 1e-300)
    return np.where(used >= FEWEST, np.minimum(r, 1.0), 0.0), used


def _holdout(count: int) -> NDArray[np.bool_]:
    """(n,) every other of `STRETCHES` stretches: rows close in time must not stand on both sides."""
    holdout: NDArray[np.bool_] = (np.arange(count) * STRETCHES // max(1, count)) % 2 == 1
    return holdout


def _curve(x: Floats, y: Floats) -> tuple[float, int]:
    """Share of the variance of y on holdout-out stretches that a curve in x explains, and the rows."""
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    holdout = _holdout(len(x))
    learning, checking = ~holdout, holdout
    if len(x) < 10 * BINS or flat(y[checking]) or np.ptp(x[learning]) == 0:
        return 0.0, len(x)
    order = np.argsort(x[learning], kind="stable")
    middles, heights = (
        np.array([part.mean() for part in np.array_split(values[learning][order], BINS)]) for values in (x, y)
    )
    keep = np.concatenate([[True], np.diff(middles) > 0])
    fitted = np.interp(x[checking], middles[keep], heights[keep])
    return float(1.0 - np.mean((fitted - y[checking]) ** 2) / np.var(y[checking])), len(x)


def _classes(train: Windows, target: str) -> list[Copy]:
    """For each input the mean recall of the classes that it reaches alone on holdout-out stretches."""
    from sklearn.tree import DecisionTreeClassifier

    table = train.table
    rows = np.sort(_rows(train, MOST_ROWS))
    codes = np.asarray(table.column(target))[rows].astype(np.int64)
    holdout = _holdout(len(rows))
    if table.batch is not None:  # every batch has stretches of both kinds
        batch = np.asarray(table.batch)[rows]
        for code in np.unique(batch):
            holdout[batch == code] = _holdout(int(np.sum(batch == code)))
    kinds = np.unique(codes)
    judged = [code for code in kinds if np.any(codes[holdout] == code) and np.any(codes[~holdout] == code)]
    candidates = []
    for name in train.spec.inputs:
        x = np.asarray(table.column(name))[rows].astype(np.float64)
        good = np.isfinite(x)
        learning, checking = good & ~holdout, good & holdout
        if len(judged) < len(kinds) or len(kinds) < 2 or not learning.any() or not checking.any():
            continue
        tree = DecisionTreeClassifier(max_leaf_nodes=2 * len(kinds), class_weight="balanced", random_state=0)
        answers = tree.fit(x[learning, None], codes[learning]).predict(x[checking, None])
        hits = [np.mean(answers[codes[checking] == code] == code) for code in judged if np.any(codes[checking] == code)]
        candidates.append(Copy(name, target, "classes", float(np.mean(hits)), int(good.sum())))
    return candidates
