"""What stands beside the network of an anomaly detection.

This module defines `Detectors`: principal components (T² and SPE) and the largest deviation of a tag, as members of
one score. Every member, the network among them, scores in units of the score that held-out normal windows exceed at the
promised rate, so that members of any scale add up; the sum has a threshold of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.slices import sampled
from backmix.data.windows.windows import Windows
from backmix.models.members.novelty import Subspace, threshold
from backmix.simple.anomaly import newest

Floats = NDArray[np.float64]
NETWORK, PCA, DEVIATION = "network", "pca", "largest_deviation"
MEMBERS = (NETWORK, PCA, DEVIATION)
USUAL: Mapping[str, float] = {NETWORK: 0.5, PCA: 0.5, DEVIATION: 0.0}
"""Weights where no labelled anomaly tells more. A single tag's deviation is in the other two already."""
STEPS = 4
"""Weights are tried in so many steps from 0 to 1."""
WORTH = 0.005
"""Other weights than the usual ones are taken where the area under ROC is larger by this much."""
MOST_ROWS = 50_000
"""Normal rows that components are learned from."""


@dataclass(frozen=True, eq=False)
class Detectors:
    """Members beside a network, and the weight of each.

    space: principal components of normal rows; limits: of T², SPE, and of each member, in its own unit
    weights: by member, which add up to 1; limit: of the weighted sum
    """

    space: Subspace
    limits: Mapping[str, float]
    weights: Mapping[str, float]
    limit: float = 1.0

    @classmethod
    def fit(cls, train: Windows) -> Self | None:
        """From normal windows; None where their inputs stand still."""
        few = train.subset(sampled(len(train), MOST_ROWS))
        rows = newest(few, 1)[:, 0]
        if not rows.std(axis=0).any():
            return None
        return cls(Subspace.fit(rows), {}, USUAL)

    def statistics(self, windows: Windows, rows: int) -> dict[str, Floats]:
        """The parts (W, F) of every tag in T², in SPE and in the largest deviation, means over the newest rows."""
        values = newest(windows, rows)
        flat = values.reshape(-1, values.shape[-1])
        away = ((flat - self.space.center) / self.space.scale) ** 2

        def mean(parts: Floats) -> Floats:
            averaged: Floats = parts.reshape(values.shape).mean(axis=1)
            return averaged

        far = mean(away)
        return {
            "along": mean(self.space.along(flat)),
            "beside": mean(self.space.beside(flat)),
            DEVIATION: np.where(far == far.max(axis=1, keepdims=True), far, 0.0),
        }

    def parts(self, own: Floats, statistics: Mapping[str, Floats]) -> dict[str, Floats]:
        """The parts (W, F) of every member in units of its limit; own: of the network, in its own unit."""
        along, beside = (statistics[name] / self.limits[name] for name in ("along", "beside"))
        larger = np.where((along.sum(axis=1) >= beside.sum(axis=1))[:, None], along, beside)
        raw = {NETWORK: own, PCA: larger, DEVIATION: statistics[DEVIATION]}
        return {name: parts / self.limits.get(name, 1.0) for name, parts in raw.items()}

    def combined(self, own: Floats, statistics: Mapping[str, Floats]) -> Floats:
        """The parts (W, F) of the weighted sum."""
        parts = self.parts(own, statistics)
        return np.asarray(sum(self.weights[name] * parts[name] for name in MEMBERS if self.weights[name]))

    def calibrated(self, own: Floats, statistics: Mapping[str, Floats], rate: float) -> Self:
        """With limits by normal windows that taught no member: own parts (W, F) of the network, and the others'."""
        tiny = np.finfo(np.float64).tiny

        def limit(parts: Floats) -> float:
            return max(threshold(parts.sum(axis=1), rate), float(tiny))

        scaled = replace(self, limits={name: limit(statistics[name]) for name in ("along", "beside")})
        alone = scaled.parts(own, statistics)
        limited = replace(self, limits={**scaled.limits, **{name: limit(parts) for name, parts in alone.items()}})
        return replace(limited, limit=limit(limited.combined(own, statistics)))

    def weighed(self, own: Floats, statistics: Mapping[str, Floats], truth: NDArray[np.bool_]) -> Self:
        """With weights by labelled windows that taught nobody: those of the largest area under ROC.

        The usual weights stay where others are not better by `WORTH`.
        """
        scores = {name: parts.sum(axis=1) for name, parts in self.parts(own, statistics).items()}

        def area(weights: Mapping[str, float]) -> float:
            total = np.asarray(sum(weights[name] * scores[name] for name in MEMBERS))
            sound = np.isfinite(total)
            return _area(total[sound], truth[sound])

        grid = [
            dict(zip(MEMBERS, np.array(steps) / STEPS, strict=True))
            for steps in product(range(STEPS + 1), repeat=len(MEMBERS))
            if sum(steps) == STEPS
        ]
        best = max(grid, key=area)
        chosen = {name: float(weight) for name, weight in best.items()} if area(best) > area(USUAL) + WORTH else USUAL
        return replace(self, weights=chosen)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "space": self.space.to_dict(),
            "limits": dict(self.limits),
            "weights": dict(self.weights),
            "limit": self.limit,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The detectors of `to_dict`; ValueError, KeyError or TypeError when they are malformed."""
        limits = {str(name): float(value) for name, value in data["limits"].items()}
        weights = {name: float(data["weights"][name]) for name in MEMBERS}
        numbers = [*limits.values(), float(data["limit"])]
        if not all(np.isfinite(value) and value > 0 for value in numbers):
            raise ValueError(f"limits {numbers}")
        if limits and set(limits) != {"along", "beside", *MEMBERS}:
            raise ValueError(f"limits of {sorted(limits)}")
        if min(weights.values()) < 0 or not np.isclose(sum(weights.values()), 1.0):
            raise ValueError(f"weights {weights}")
        return cls(Subspace.from_dict(data["space"]), limits, weights, float(data["limit"]))


def _area(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """The area under ROC: the chance that an anomaly scores above a normal window; 0.5 without one of them."""
    count = int(truth.sum())
    if not 0 < count < len(truth):
        return 0.5
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    return float((ranks[truth].sum() - count * (count + 1) / 2) / (count * (len(truth) - count)))
