"""How far back a window should reach when the plan does not say.

This module tries a few lookbacks with a quick linear model on the training part and keeps the
shortest one that is about as good on the validation part as the best. The linear model sees means
over stretches that double in length into the past (1, 1, 2, 4, ... rows), so that a long window
costs little more than a short one. Where the training part shows dead times that are sure (`data.delays.dead_time`),
only lookbacks that cover them are chosen from: what a tag tells of the target must be in the window. All are compared
on the same validation rows. The test part is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.delays.dead_time import Scan
from backmix.data.splitting.split import Split, SplitPart
from backmix.data.table import Table
from backmix.data.windows.slices import slices
from backmix.data.windows.windows import Windows, WindowSpec, build_windows
from backmix.decision import Decision
from backmix.errors import InputError
from backmix.models.members.views import aligned
from backmix.training.advice.delays import rows_back

CANDIDATES = (5, 10, 20, 40, 60, 120)
MOST_WINDOWS = 4000
LEAST_WINDOWS = 30
CLOSE = 1.02
"""A shorter lookback wins when its validation error is within 2 % of the best."""
RIDGE = (1e-2, 1e-1, 1.0, 10.0)
FALLBACK = 20


def choose_lookback(
    table: Table,
    split: Split,
    spec: WindowSpec,
    *,
    learned: Callable[[Windows], Windows] = lambda windows: windows,
    dead_times: Scan | None = None,
) -> Decision:
    """The lookback in rows for this table and target, with the reason.

    ``spec`` gives inputs, targets, horizon and dead time; its own lookback is not used. ``learned``
    keeps the windows that may be learned from. ``dead_times``: what the training rows show of delays.
    """
    candidates: dict[int, tuple[Windows, Windows]] = {}
    delays = [] if dead_times is None else [(rows_back(delay, spec), delay) for delay in dead_times.sure]
    for rows in sorted({*CANDIDATES, *(rows for rows, _ in delays if rows > CANDIDATES[-1])}):
        parts = _parts(table, split, replace(spec, lookback=rows), learned)
        if parts is None:
            break
        candidates[rows] = parts
    errors = {rows: _linear_error(*parts) for rows, parts in _compared(candidates).items()}
    if not errors:
        return Decision(FALLBACK, "prepare.lookback_fallback", {"rows": FALLBACK}, setting="windows.lookback")
    chosen = _shortest(errors)
    listed = ", ".join(f"{rows}: {error:.3g}" for rows, error in errors.items())
    late = [(needed, delay) for needed, delay in delays if chosen < needed <= max(errors)]
    if late:
        least, delay = max(late, key=lambda bound: bound[0])
        covers = _shortest({rows: error for rows, error in errors.items() if rows >= least})
        values = {"rows": covers, "tag": delay.tag, "delay": delay.rows, "shorter": chosen, "errors": listed}
        return Decision(covers, "dead_time.lookback", values, setting="windows.lookback")
    return Decision(chosen, "prepare.lookback_scanned", {"rows": chosen, "errors": listed}, setting="windows.lookback")


def _shortest(errors: dict[int, float]) -> int:
    """The shortest lookback whose error is close to the least of all."""
    least = min(errors.values())
    return next(rows for rows, error in errors.items() if error <= CLOSE * least)


def _parts(
    table: Table, split: Split, spec: WindowSpec, learned: Callable[[Windows], Windows]
) -> tuple[Windows, Windows] | None:
    try:
        train = learned(build_windows(table, spec, split=split, part=SplitPart.TRAIN))
        # at every row, so that windows of all lookbacks meet
        every = replace(spec, stride=1)
        validation = learned(build_windows(table, every, split=split, part=SplitPart.VALIDATION))
    except InputError:
        return None
    if min(len(train), len(validation) / spec.stride) < LEAST_WINDOWS:
        return None
    return train, validation


def _compared(candidates: dict[int, tuple[Windows, Windows]]) -> dict[int, tuple[Windows, Windows]]:
    """The candidates with the validation windows that all of them have: each is judged on the same rows.

    A long lookback has no window at the beginning of a stretch. On its own rows it would be spared the hard ones.
    """
    if not candidates:
        return candidates
    rows = [np.asarray(validation.target_rows) for _, validation in candidates.values()]
    common = rows[0]
    for others in rows[1:]:
        common = np.intersect1d(common, others)
    if len(common) < LEAST_WINDOWS:
        return candidates
    return {
        lookback: (train, validation.subset(np.isin(validation.target_rows, common)))
        for lookback, (train, validation) in candidates.items()
    }


def linear_answers(teach: Windows, held_out: Windows) -> NDArray[np.float64]:
    """What a quick ridge on means of stretches says of all held-out windows, (W, G), with a small penalty."""
    x, y = window_means(teach), _targets(teach)
    center, spread, middle = x.mean(0), x.std(0), y.mean(0)
    spread[spread == 0] = 1.0
    x = (x - center) / spread
    fit = np.linalg.solve(x.T @ x + RIDGE[0] * len(x) * np.eye(x.shape[1]), x.T @ (y - middle))
    parts = [(_means(held_out, rows) - center) / spread @ fit + middle for rows in slices(held_out)]
    return np.concatenate(parts) if parts else np.empty((0, y.shape[1]))


def _linear_error(train: Windows, validation: Windows) -> float:
    """Validation error of ridge on block means, relative to the spread of the target."""
    x, y = window_means(train), _targets(train)
    v, w = window_means(validation), _targets(validation)
    center, spread = x.mean(0), x.std(0)
    spread[spread == 0] = 1.0
    x, v = (x - center) / spread, (v - center) / spread
    size = y.std(0) + 1e-12
    y, w = y / size, w / size
    middle = y.mean(0)
    gram, moment = x.T @ x, x.T @ (y - middle)
    scale = np.sqrt(((w - middle) ** 2).mean()) or 1.0
    fits = (np.linalg.solve(gram + strength * len(x) * np.eye(len(gram)), moment) for strength in RIDGE)
    return float(min(np.sqrt(((v @ fit + middle - w) ** 2).mean()) for fit in fits) / scale)


def evenly(windows: Windows) -> NDArray[np.int64]:
    """Indices of at most `MOST_WINDOWS` windows, spread over all of them."""
    return np.unique(np.linspace(0, len(windows) - 1, min(len(windows), MOST_WINDOWS)).astype(np.int64))


def window_means(windows: Windows) -> NDArray[np.float64]:
    """(n, P) means of those windows over stretches that double in length into the past."""
    return _means(windows, evenly(windows))


def _means(windows: Windows, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    batch = windows.gather(rows)
    x = aligned(batch.x, batch.mask).astype(np.float64)
    blocks, end, width = [], x.shape[1], 1
    while end > 0:
        start = max(0, end - width)
        blocks.append(x[:, start:end].mean(axis=1))
        width = width * 2 if len(blocks) > 1 else 1
        end = start
    return np.hstack(blocks)


def _targets(windows: Windows) -> NDArray[np.float64]:
    y = windows.truth()[evenly(windows)]
    return np.eye(len(windows.classes))[y[:, 0].astype(np.int64)] if windows.classes else y
