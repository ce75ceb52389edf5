"""Whether two models are equally accurate: the Diebold-Mariano test.

This module tests the mean of a series of loss differences against zero. Errors of forecasts that look h
rows ahead are correlated over h - 1 rows even when the model is as good as can be, so the variance of the
mean holds the autocovariances up to that lag. The statistic is corrected for few windows and compared
with Student's t.

Diebold & Mariano, Journal of Business & Economic Statistics 13 (1995) 253; the correction: Harvey,
Leybourne & Newbold, International Journal of Forecasting 13 (1997) 281.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

FEWEST = 8
"""With fewer windows than this, or than two for every lag, the test would mean nothing."""


@dataclass(frozen=True)
class EqualAccuracy:
    """The result of the test.

    mean: of the loss differences; positive where the second model costs less
    statistic: corrected, to be compared with Student's t with ``windows`` - 1 degrees of freedom; None
        where there is none: too few windows, or two models that say the same
    p_value: of a difference at least so large in either direction when both are equally accurate
    lags: how many lags the variance holds
    kernel: "bartlett" where the plain sum of autocovariances is no variance (it was not positive)
    left: autocorrelation of the differences at the first lag that the variance does not hold; where it is
        not small, neighbouring errors persist for longer than the horizon says and the test is too sure
    """

    mean: float
    statistic: float | None
    p_value: float | None
    windows: int
    lags: int
    kernel: Literal["plain", "bartlett"] = "plain"
    left: float | None = None

    @property
    def persists(self) -> bool:
        """Whether errors persist for longer than the test takes into account."""
        return self.left is not None and self.left > 2.0 / math.sqrt(max(1, self.windows))


def diebold_mariano(difference: Floats, *, horizon: int = 1, runs: Codes | None = None) -> EqualAccuracy:
    """Test loss differences (n,) of two models on the same windows, in order of time.

    horizon: how many windows a forecast looks ahead, at least 1; runs: (n,) codes of the stretch (fold, batch)
    of each window, None for a single one; lags never reach from one stretch into another.

    >>> rng = np.random.default_rng(0)
    >>> test = diebold_mariano(rng.normal(0.4, 1.0, size=100))
    >>> test.lags, round(test.statistic, 2), test.p_value < 0.001
    (0, 4.98, True)
    """
    from scipy.stats import t

    n, lags = len(difference), horizon - 1
    runs = np.zeros(n, np.int64) if runs is None else runs
    mean = float(np.mean(difference)) if n else 0.0
    if n < max(FEWEST, 2 * horizon):
        return EqualAccuracy(mean, None, None, n, lags)
    centred = np.asarray(difference, dtype=np.float64) - mean
    covariance = np.array([_covariance(centred, runs, lag) for lag in range(lags + 2)])
    if not covariance[0] > 1e-24 * max(1.0, float(np.max(np.abs(difference)))) ** 2:
        return EqualAccuracy(mean, None, None, n, lags)
    variance, kernel = covariance[0] + 2.0 * covariance[1 : lags + 1].sum(), "plain"
    if not variance > 0:
        taper = 1.0 - np.arange(1, lags + 1) / horizon
        variance, kernel = covariance[0] + 2.0 * float(np.sum(taper * covariance[1 : lags + 1])), "bartlett"
    if not variance > 0:
        return EqualAccuracy(mean, None, None, n, lags)
    few = math.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    statistic = few * mean / math.sqrt(variance / n)
    return EqualAccuracy(
        mean,
        statistic,
        float(2.0 * t.sf(abs(statistic), df=n - 1)),
        n,
        lags,
        "plain" if kernel == "plain" else "bartlett",
        left=float(covariance[lags + 1] / covariance[0]),
    )


def _covariance(centred: Floats, runs: Codes, lag: int) -> float:
    """The autocovariance at a lag, divided by n as in the cited paper."""
    later, earlier = centred[lag:], centred[: len(centred) - lag]
    return float(np.sum((later * earlier)[runs[lag:] == runs[: len(runs) - lag]]) / len(centred))
