"""Linear models of flat rows.

This module computes ridge and PLS regressions from the sums X'X and X'Y, which are added up block by block, so that
neither needs the matrix of all windows in memory.

Ridge: Hoerl & Kennard, Technometrics 12 (1970) 55. PLS: the improved kernel algorithm of Dayal &
MacGregor, J. Chemometrics 11 (1997) 73, which gives the regression of every number of components
in one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.slices import sampled, slices
from backmix.simple.forms import Form, Singles
from backmix.simple.trial import Floats, Trial, WindowSubset

MOST_WORK = 3e10
"""Windows times features squared: beyond it, windows are sampled (about three seconds)."""
PENALTIES = tuple(float(10.0**power) for power in np.arange(-6.0, 3.01, 0.5))
"""Ridge penalties that are tried, as shares of the variance of one standardised feature; past values of the target
itself can ask for hardly any."""
MOST_COMPONENTS = 30


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of P standardised features and K scaled targets.

    xx: (P, P), xy: (P, K) of centred values; mean, scale: (P,) of the features; level: (K,)
    """

    count: int
    xx: Floats
    xy: Floats
    mean: Floats
    scale: Floats
    level: Floats

    def affine(self, weights: Floats) -> tuple[Floats, Floats]:
        """Kernel (P, K) and bias (K,) for features as they are, from weights (P, K) of standardised ones."""
        kernel = weights / self.scale[:, None]
        return kernel, self.level - self.mean @ kernel


def used(trial: Trial, form: Form, sample: WindowSubset) -> WindowSubset:
    """The windows of a sample that linear models learn from: all of them unless they are very many."""
    most = max(200, int(MOST_WORK / form.width**2))
    every = sampled(len(sample.base), most)
    return (
        sample if len(every) == len(sample.base) else WindowSubset(sample.base, np.intersect1d(sample.indices, every))
    )


def moments(trial: Trial, form: Form, sample: WindowSubset) -> Moments:
    """Of the windows of a sample."""
    mine = used(trial, form, sample)
    count, y = len(mine), trial.targets(mine)
    level, (x_sum, xx) = y.mean(axis=0), _inputs(trial, form, mine)
    mean, xy = x_sum / count, np.zeros((form.width, y.shape[1]))
    for block, rows in _blocks(trial, form, mine):
        xy += rows.astype(np.float64).T @ (y[block] - level)
    xx = xx - count * np.outer(mean, mean)
    variance = np.maximum(np.diag(xx), 0.0) / count
    # a feature that does not move carries nothing but rounding
    alive = variance > 1e-10 * (mean**2 + 1.0)
    scale = np.where(alive, np.sqrt(np.where(alive, variance, 1.0)), np.inf)
    return Moments(count, xx / scale[:, None] / scale, xy / scale[:, None], mean, scale, level)


def _inputs(trial: Trial, form: Form, sample: WindowSubset) -> tuple[Floats, Floats]:
    """Sums (P,) of the features and (P, P) of their products; targets have no part in them.

    Where several folds share their windows they are those of all windows less those of the missing ones.
    """
    every = used(trial, form, WindowSubset(sample.base, sample.base.all_indices))
    missing = np.setdiff1d(every.indices, sample.indices)
    if len(trial.folds) == 1 or len(missing) >= len(sample):
        return _summed(trial, form, sample)
    key = ("sums", form, id(sample.base))
    if key not in trial.kept:
        trial.kept[key] = _summed(trial, form, every)
    whole_x, whole_xx = trial.kept[key]
    x, xx = _summed(trial, form, WindowSubset(sample.base, missing))
    return whole_x - x, whole_xx - xx


def _summed(trial: Trial, form: Form, sample: WindowSubset) -> tuple[Floats, Floats]:
    x_sum, xx = np.zeros(form.width), np.zeros((form.width, form.width))
    for _, rows in _blocks(trial, form, sample):
        x = rows.astype(np.float64)
        x_sum += x.sum(axis=0)
        xx += x.T @ x
    return x_sum, xx


def _blocks(trial: Trial, form: Form, sample: WindowSubset) -> Iterator[tuple[NDArray[np.int64], Singles]]:
    """The rows of a sample, as many at a time as fit into a block."""
    for block in slices(sample.windows):
        yield block, trial.rows(form, WindowSubset(sample.base, sample.indices[block]))


def errors(
    trial: Trial, form: Form, known: Moments, weights: Floats, held_out: WindowSubset, answers: NDArray[np.int64]
) -> Floats:
    """Summed squared error (A,) of A models with weights (A, P, K) on held-out windows, in scaled targets.

    answers: which K of the windows' answers the models give
    """
    models, width, goals = weights.shape
    flat = (weights / known.scale[:, None]).transpose(1, 0, 2).reshape(width, models * goals)
    y = trial.targets(held_out)[:, answers] - known.level[answers]
    total = np.zeros(models)
    for block, rows in _blocks(trial, form, held_out):
        given = (rows - known.mean) @ flat
        total += ((given.reshape(len(block), models, goals) - y[block, None, :]) ** 2).sum(axis=(0, 2))
    return total


def ridge_path(known: Moments, penalties: tuple[float, ...], answers: NDArray[np.int64] | None = None) -> Floats:
    """Ridge weights (A, P, K) for standardised features, one set per penalty; answers: which K targets."""
    from scipy.linalg import cho_factor, cho_solve

    xy = known.xy if answers is None else known.xy[:, answers]
    weights = np.empty((len(penalties), *xy.shape))
    diagonal = np.arange(len(known.xx))
    for number, penalty in enumerate(penalties):
        left = known.xx.copy()
        left[diagonal, diagonal] += penalty * known.count
        weights[number] = cho_solve(cho_factor(left, overwrite_a=True, check_finite=False), xy, check_finite=False)
    return weights


def pls_path(known: Moments, most: int) -> Floats:
    """PLS weights (A, P, K) for standardised features, with 1, 2, ... components."""
    xy = known.xy.copy()
    width, goals = xy.shape
    shafts, loads = np.zeros((most, width)), np.zeros((most, width))
    weights = np.zeros((width, goals))
    path = []
    size = np.linalg.norm(xy)
    for number in range(most):
        if np.linalg.norm(xy) <= 1e-10 * size:
            break
        w = xy[:, 0] if goals == 1 else np.linalg.svd(xy, full_matrices=False)[0][:, 0]
        w = w / np.linalg.norm(w)
        r = w - shafts[:number].T @ (loads[:number] @ w)
        left = known.xx @ r
        strength = float(r @ left)
        if strength <= 1e-12 * known.count:
            break
        p, q = left / strength, r @ xy / strength
        xy = xy - strength * np.outer(p, q)
        shafts[number], loads[number] = r, p
        weights = weights + np.outer(r, q)
        path.append(weights)
    return np.array(path) if path else np.zeros((1, width, goals))
