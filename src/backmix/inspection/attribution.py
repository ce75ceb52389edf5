"""Which tag, and which part of its past, changes a prediction.

This module attributes predictions to inputs in two ways: integrated gradients divide the prediction of a network
among all tags and lags, and occlusion, which holds one tag at its mean, works for any model. An ensemble, whose trees
have no gradients, is divided by sampled Shapley values (`shapley`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.inspection.subject import Effort, Floats, Subject, WindowSample
from backmix.models.ensemble import Ensemble
from backmix.models.members.views import thinned_starts
from backmix.models.sensitivity import Arrays, Sensitivity, sensitivity

BLOCK = 128
"""Windows that are differentiated at once."""
LARGEST_BLOCK = 64 * 2**20
"""Bytes of one block."""
GAP = 0.01
"""More points are taken where the parts deviate from the difference by more than this share of its mean."""
MOST_BANDS, LEAST_WALKED = 8, 12
"""Bands of rows that an ensemble's predictions are divided among; fewer rather than fewer windows than these."""
MASS = 0.95
"""The share of all attributions within the reach."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each feature changes predictions, in the unit of the target (probability, for classes).

    features: F names as the network sees them; age: (T,) rows between a value and the moment of
        prediction, the newest first
    heat: (T, F) how much a feature at an age moves a prediction: mean |attribution|
    push: (F,) how much a feature moves it with all its past together: mean |sum over lags|
    occluded: (F,) mean |change| when the feature is held at its mean of the training part
    moved: mean |f(x) - f(mean)|; gap: largest |sum of attributions - (f(x) - f(mean))|
    windows: how many were averaged; lost: how many are not finite numbers and were left out
    """

    features: tuple[str, ...]
    unit: str
    age: NDArray[np.int64]
    heat: Floats
    push: Floats
    occluded: Floats
    moved: float
    gap: float
    windows: int
    lost: int = 0

    @property
    def order(self) -> NDArray[np.int64]:
        """(F,) the features, the one that changes predictions most first."""
        return np.argsort(-self.push, kind="stable")

    @property
    def reach(self) -> int:
        """Age in rows within which `MASS` of all attributions lie."""
        by_age = self.heat.sum(axis=1)
        return int(self.age[within(by_age, MASS)])

    def peak(self, feature: int) -> int:
        """The age in rows at which a feature has its largest effect."""
        return int(self.age[int(self.heat[:, feature].argmax())])


def within(mass: Floats, share: float) -> int:
    """The first place up to which ``share`` of a mass (T,) lies; 0 where there is none.

    >>> within(np.array([4.0, 3.0, 2.0, 1.0]), 0.9)
    2
    """
    total = float(mass.sum())
    if not total > 0:
        return 0
    return int(np.argmax(np.cumsum(mass) >= share * total * (1 - 1e-12)))


def attribute(subject: Subject, effort: Effort, *, seed: int = 0) -> Attribution:
    """Attribute a sample of predictions of the test part."""
    sampled = isinstance(subject.model, Ensemble)
    if sampled:
        count, bands = _affordable_walks(subject, effort)
    else:
        count = subject.affordable(effort.windows, passes=3 * effort.nodes, work=effort.work)
    sample = subject.sample(count)
    base = subject.baseline(sample)
    if sampled:
        shared = shapley(subject, sample, base, bands=bands, seed=seed)
    else:
        shared = integrate(subject, sample, base, nodes=effort.nodes, most=int(2 * effort.work / (3 * subject.cost)))
    spec = subject.windows.spec
    scored = subject.sample(subject.affordable(effort.scored, passes=len(spec.feature_names), work=effort.work))
    sound = np.isfinite(shared.parts).all(axis=(1, 2)) & np.isfinite(shared.difference)
    shared = Shares(np.where(sound[:, None, None], shared.parts, 0.0), np.where(sound, shared.difference, 0.0))
    values, count = sample.by_lag(shared.parts), max(1, int(sound.sum()))
    return Attribution(
        features=spec.feature_names,
        unit=subject.unit,
        age=np.arange(values.shape[1]) + spec.dead_time,
        heat=np.abs(values).sum(axis=0) / count,
        push=np.abs(values.sum(axis=1)).sum(axis=0) / count,
        occluded=occlude(subject, scored, base if base.shape == scored.x.shape[1:] else subject.baseline(scored)),
        moved=float(np.abs(shared.difference).sum()) / count,
        gap=shared.gap,
        windows=int(sound.sum()),
        lost=int((~sound).sum()),
    )


@dataclass(frozen=True, eq=False)
class Shares:
    """Predictions divided among inputs: parts (B, T, F), which add up to the difference (B,) to the baseline."""

    parts: Floats
    difference: Floats

    @property
    def gap(self) -> float:
        """The largest deviation of a sum of parts from its difference: the error of the quadrature."""
        return float(np.abs(self.parts.sum(axis=(1, 2)) - self.difference).max())


def integrate(
    subject: Subject, sample: WindowSample, base: NDArray[np.float32], *, nodes: int, most: int | None = None
) -> Shares:
    """Integrated gradients of the explained number, from the baseline (T, F) to each window.

    (x - x0) times the mean of df/dx along the straight path from x0 to x (Sundararajan, Taly & Yan,
    Axiomatic attribution for deep networks, ICML 2017), by Gauss-Legendre quadrature. Completeness:
    the parts of a window add up to f(x) - f(x0); `Shares.gap` says how well they do. ``most``
    gradients may be spent on getting better.
    """
    start = np.broadcast_to(base, sample.x.shape)
    if sample.mask is not None:
        start = np.where(sample.mask[:, :, None], start, 0.0)
    way = sample.x - start
    outputs = subject.answers(sample)
    pull = subject.pulls(outputs)
    difference = ((outputs.astype(np.float64) - subject.answers(sample, start)) * pull).sum(axis=1)
    slope, block = sensitivity(subject.model), _block(way)
    parts, left = np.zeros(way.shape), np.arange(len(way))
    # a window whose shares do not add up yet (a relu's slope jumps) gets more points on its path
    for count in (nodes, 4 * nodes, 16 * nodes):
        points, weights = np.polynomial.legendre.leggauss(count)
        u = 0.5 * (points + 1)
        mean = np.zeros((len(left), *way.shape[1:]))
        # alpha = u^3: the logarithms of window statistics bend most where the window is still flat
        for alpha, weight in zip(u**3, 1.5 * u**2 * weights, strict=True):
            path = sample.take(left).inputs(start[left] + alpha * way[left])
            mean += weight * _slopes(slope, path, pull[left], block)
        parts[left] = way[left] * mean
        missed = np.abs(parts.sum(axis=(1, 2)) - difference)
        left = np.flatnonzero(missed > GAP * np.abs(difference).mean())
        if not len(left) or (most is not None and 4 * count * len(left) > most):
            break
    return Shares(parts, difference)


def shapley(subject: Subject, sample: WindowSample, base: NDArray[np.float32], *, bands: int, seed: int = 0) -> Shares:
    """Sampled Shapley values of tags at bands of age, from the baseline (T, F) to each window, for any model.

    A window is walked to from the baseline, one tag and one band of rows at a time in a random order and then in the
    opposite one; what the prediction changes at a step belongs to that tag and band (Štrumbelj & Kononenko,
    Explaining prediction models and individual predictions with feature contributions, KAIS 41 (2014) 647), evenly to
    its rows. The parts of a window add up to f(x) - f(x0) exactly. Bands grow into the past.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, bands]))
    count, steps, width = sample.x.shape
    parts, difference = np.zeros(sample.x.shape), np.zeros(count)
    groups = bands * width
    for window in range(count):
        single = sample.take(np.array([window]))
        real = steps if single.mask is None else int(single.mask.sum())
        band, sizes = _bands_of(steps, real, bands)
        group = np.where(band[:, None] < 0, groups, band[:, None] * width + np.arange(width))  # (T, F)
        start = np.where(group < groups, base, single.x[0])
        order = rng.permutation(groups)
        for walk in (order, order[::-1]):
            rank = np.append(np.argsort(walk), groups)
            arrived = rank[group] < np.arange(groups + 1)[:, None, None]
            path = single.take(np.zeros(groups + 1, np.int64))
            outputs = subject.answers(path, np.where(arrived, single.x[0], start)).astype(np.float64)
            explained = (outputs * subject.pulls(outputs[-1:])).sum(axis=1)
            gained = np.append(np.diff(explained)[rank[:-1]], 0.0)
            parts[window] += 0.5 * gained[group] / np.append(np.repeat(sizes, width), 1)[group]
            difference[window] += 0.5 * (explained[-1] - explained[0])
    return Shares(parts, difference)


def _bands_of(steps: int, real: int, bands: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The band (T,) of every row of a window with so many real rows, -1 for the others, and the rows of each band."""
    starts = steps - np.array(thinned_starts(steps, bands))  # the oldest age of each band, plus one
    age = real - np.arange(steps)  # 1 for the newest real row
    band = np.where(age > 0, np.searchsorted(-starts, -age, side="right") - 1, -1)
    return band, np.maximum(1, np.bincount(band[band >= 0], minlength=len(starts)))


def _affordable_walks(subject: Subject, effort: Effort) -> tuple[int, int]:
    """How many windows are walked to, and over how many bands of rows."""
    width = len(subject.windows.spec.feature_names)
    most = min(effort.answers, effort.work / subject.cost)
    bands = int(max(1, min(MOST_BANDS, subject.rows, most / (2 * LEAST_WALKED * width))))
    bands = len(thinned_starts(subject.rows, bands))
    return int(max(2, min(effort.windows, most / (2 * (bands * width + 1))))), bands


def _block(way: NDArray[np.floating[Any]]) -> int:
    """How many windows are differentiated at once."""
    count, steps, width = (int(size) for size in way.shape)
    return max(1, min(BLOCK, count, LARGEST_BLOCK // (4 * steps * width)))


def _slopes(
    slope: Callable[[Arrays, NDArray[np.float64]], Sensitivity],
    inputs: dict[str, NDArray[Any]],
    pull: Floats,
    block: int,
) -> Floats:
    """Gradients block by block; the last block is filled up, so that one shape is compiled."""
    count = len(pull)
    slopes = np.empty(inputs["x"].shape)
    for low in range(0, count, block):
        rows = np.minimum(np.arange(low, low + block), count - 1)
        answer = slope({name: array[rows] for name, array in inputs.items()}, pull[rows])
        slopes[low : low + block] = answer.x[: count - low]
    return slopes


def occlude(subject: Subject, sample: WindowSample, base: NDArray[np.float32]) -> Floats:
    """(F,) mean |change| of the explained number when one feature is held at the baseline (T, F).

    Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014, with a tag in
    place of a patch of a picture.
    """
    outputs = subject.answers(sample)
    pull = subject.pulls(outputs)
    changes = np.empty(sample.x.shape[2])
    for feature in range(sample.x.shape[2]):
        x = sample.x.copy()
        x[:, :, feature] = base[:, feature]
        changed = subject.answers(sample, x)
        moved = np.abs(((changed - outputs) * pull).sum(axis=1))
        changes[feature] = moved[np.isfinite(moved)].mean() if np.isfinite(moved).any() else 0.0
    return changes
