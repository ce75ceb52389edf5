"""How much larger errors become far away in time from the training rows.

What an ensemble says of a held-out block comes from models that saw the blocks on both sides of it; the test part lies
behind all of them, and its end far behind. This module measures the difference with a quick linear model on the windows
that may teach: it answers stretches of time from stretches on one side alone that end ever farther away, and from just
as many that lie next to it. The test part counts by its length only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.windows import Windows
from backmix.training.advice.lookback import evenly, window_means

Floats = NDArray[np.float64]

STRETCHES = 8
LEAST_WINDOWS = 240
"""With fewer windows the stretches are too short to say anything."""
RIDGE = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
MOST_COLUMNS = 200
"""Numbers of a window that the quick model sees at most; its time grows with their cube."""
MOST = 2.0
"""A quick model says roughly how much wider; more than this it does not know."""


def distance_factors(pool: Windows, ahead: int, *, level: float, forward: bool = False) -> Floats:
    """(G,) how much larger the errors of each target are as far away as a test part of ``ahead`` windows lies.

    forward: whether what is calibrated was answered by models that saw only what lay before it. Never below 1.
    """
    goals = len(pool.spec.targets)
    pool = pool.subset(np.argsort(pool.origins, kind="stable"))
    some = evenly(pool)
    if len(some) < LEAST_WINDOWS or pool.classes:
        return np.ones(goals)
    x, y = window_means(pool), pool.scaled_targets()[some]
    stretch = np.arange(len(some)) * STRETCHES // len(some)
    linear = _Linear.of(x, y, stretch)
    gaps = int(np.clip(round(ahead * STRETCHES / len(pool)), 1, STRETCHES // 2))
    far, near = [], []
    for answered in range(STRETCHES):
        before, late = range(answered), answered >= STRETCHES / 2
        others = sorted((k for k in range(STRETCHES) if k != answered), key=lambda k: abs(k - answered))
        one_side = [k for k in others if (k in before) == late]
        for gap in range(1, gaps + 1):
            away = [k for k in one_side if abs(k - answered) >= gap]
            if len(away) >= STRETCHES // 3:
                far.append(linear.errors(answered, away))
                near.append(linear.errors(answered, one_side if forward else others[: len(away)]))
    return np.maximum(1.0, np.minimum(MOST, _at(far, level, goals) / _at(near, level, goals)))


def _at(trials: list[Floats], level: float, goals: int) -> Floats:
    """(G,) the quantile of the errors (L, n, K·G) of all trials, with the penalty of the least square error."""
    errors = np.concatenate(trials, axis=1)
    best = errors[int(np.argmin((errors**2).mean(axis=(1, 2))))]
    quantile: Floats = np.quantile(np.abs(best.reshape(-1, goals)), level, axis=0)
    return np.maximum(quantile, 1e-12)


class _Linear:
    """A linear model that any stretches can be the training samples of, from their sums of products."""

    def __init__(self, x: Floats, y: Floats, stretch: NDArray[np.int64]) -> None:
        self._rows = [(x[stretch == k], y[stretch == k]) for k in range(STRETCHES)]
        self._grams = [x.T @ x for x, _ in self._rows]
        self._moments = [x.T @ y for x, y in self._rows]

    @classmethod
    def of(cls, x: Floats, y: Floats, stretch: NDArray[np.int64]) -> _Linear:
        """From windows (n, P) and answers (n, O), both brought to one scale."""
        spread, size = x.std(axis=0), y.std(axis=0)
        x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        y = (y - y.mean(axis=0)) / np.where(size > 0, size, 1.0)
        if x.shape[1] > MOST_COLUMNS:  # of a wide table the largest principal components
            x = x @ np.linalg.eigh(x.T @ x)[1][:, -MOST_COLUMNS:]
        return cls(np.column_stack([x, np.ones(len(x))]), y, stretch)

    def errors(self, answered: int, sources: list[int]) -> Floats:
        """(L, n, O) of a stretch, for every penalty, fitted on others."""
        gram, moment = sum(self._grams[k] for k in sources), sum(self._moments[k] for k in sources)
        count = sum(len(self._rows[k][0]) for k in sources)
        x, y = self._rows[answered]
        penalty = np.eye(x.shape[1])
        penalty[-1, -1] = 1e-9
        return np.stack([x @ np.linalg.solve(gram + ridge * count * penalty, moment) - y for ridge in RIDGE])
