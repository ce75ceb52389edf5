"""Linear models of what is seen of a window.

This module computes ridge and PLS regressions from the moments X'X and X'Y, which are summed block by
block, so that neither needs the matrix of all windows in memory.

Ridge: Hoerl & Kennard, Technometrics 12 (1970) 55. PLS: the improved kernel algorithm of Dayal &
MacGregor, J. Chemometrics 11 (1997) 73, which gives the regression of every number of components
in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import sampled, slices
from backmix.data.windows import WindowBatch, Windows
from backmix.decision import Decision
from backmix.training.features import Lags, Singles, sampling

Floats = NDArray[np.float64]

MOST_FEATURES = 2000
"""Lagged inputs of a linear model; X'X then takes 32 MB and a penalty half a second."""

MOST_WORK = 3e10
"""Windows times features squared: beyond it, windows are sampled (about three seconds)."""

PENALTIES = tuple(float(10.0**power) for power in np.arange(-4.0, 3.01, 0.5))
"""Ridge penalties that are tried, as shares of the variance of one standardised feature."""

MOST_COMPONENTS = 30

EVERY = slice(None)


class FlatForm(Protocol):
    """How a window becomes a row of numbers (`Lags` and the like)."""

    @property
    def width(self) -> int:
        """How many numbers."""
        ...

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was left out, for the report."""
        ...

    def of_batch(self, batch: WindowBatch) -> Singles:
        """The rows (B, width) of a gathered batch."""
        ...


@dataclass(frozen=True, eq=False)
class WindowMoments:
    """Sums over the training windows, for P standardised features and K scaled targets.

    xx: (P, P), xy: (P, K) of centred values; mean, scale: (P,) of the features; level: (K,)
    """

    lags: FlatForm
    count: int
    xx: Floats
    xy: Floats
    mean: Floats
    scale: Floats
    level: Floats
    decisions: tuple[Decision, ...]


def moments(train: Windows, form: FlatForm | None = None) -> WindowMoments:
    """Add up the training windows block by block; without a form, their lags."""
    lags = form or Lags.of(train, MOST_FEATURES)
    width, goals = lags.width, train.scaled_targets()
    at = sampled(len(train), max(200, int(MOST_WORK / width**2)))
    notes = (*lags.decisions, *sampling(at, train))
    used = train.subset(at)
    y = goals[at]
    level = y.mean(axis=0)
    sums, xx, xy = np.zeros(width), np.zeros((width, width)), np.zeros((width, y.shape[1]))
    for some in slices(used):
        x = lags.of_batch(used.gather(some)).astype(np.float64)
        sums += x.sum(axis=0)
        xx += x.T @ x
        xy += x.T @ (y[some] - level)
    mean = sums / len(at)
    xx -= len(at) * np.outer(mean, mean)
    variance = np.maximum(np.diag(xx), 0.0) / len(at)
    # a feature that does not move carries nothing but rounding
    alive = variance > 1e-10 * (mean**2 + 1.0)
    scale = np.where(alive, np.sqrt(np.where(alive, variance, 1.0)), np.inf)
    xx /= scale[:, None]
    xx /= scale[None, :]
    return WindowMoments(lags, len(at), xx, xy / scale[:, None], mean, scale, level, notes)


def errors(
    sums: WindowMoments, weights: Floats, windows: Windows, *, answers: NDArray[np.int64] | slice = EVERY
) -> Floats:
    """Mean squared error (A,) of A models with weights (A, P, K) on windows, in scaled targets.

    answers: which K of the windows' answers the models give
    """
    models, width, goals = weights.shape
    flat = (weights / sums.scale[:, None]).transpose(1, 0, 2).reshape(width, models * goals)
    y = windows.scaled_targets()[:, answers] - sums.level
    total = np.zeros(models)
    for at in slices(windows):
        said = (sums.lags.of_batch(windows.gather(at)) - sums.mean) @ flat
        total += ((said.reshape(len(at), models, goals) - y[at, None, :]) ** 2).sum(axis=(0, 2))
    mean: Floats = total / (len(windows) * goals)
    return mean


def ridge_path(sums: WindowMoments, penalties: tuple[float, ...]) -> Floats:
    """Ridge weights (A, P, K) for standardised features, one set per penalty."""
    from scipy.linalg import cho_factor, cho_solve

    found = np.empty((len(penalties), *sums.xy.shape))
    at = np.arange(len(sums.xx))
    for number, penalty in enumerate(penalties):
        left = sums.xx.copy()
        left[at, at] += penalty * sums.count
        found[number] = cho_solve(cho_factor(left, overwrite_a=True, check_finite=False), sums.xy, check_finite=False)
    return found


def pls_path(sums: WindowMoments, most: int) -> Floats:
    """PLS weights (A, P, K) for standardised features, with 1, 2, ... components."""
    xy = sums.xy.copy()
    width, goals = xy.shape
    shafts, loads = np.zeros((most, width)), np.zeros((most, width))
    weights = np.zeros((width, goals))
    found = []
    size = np.linalg.norm(xy)
    for number in range(most):
        if np.linalg.norm(xy) <= 1e-10 * size:
            break
        w = xy[:, 0] if goals == 1 else np.linalg.svd(xy, full_matrices=False)[0][:, 0]
        w = w / np.linalg.norm(w)
        r = w - shafts[:number].T @ (loads[:number] @ w)
        left = sums.xx @ r
        strength = float(r @ left)
        if strength <= 1e-12 * sums.count:
            break
        p, q = left / strength, r @ xy / strength
        xy = xy - strength * np.outer(p, q)
        shafts[number], loads[number] = r, p
        weights = weights + np.outer(r, q)
        found.append(weights)
    return np.array(found) if found else np.zeros((1, width, goals))
