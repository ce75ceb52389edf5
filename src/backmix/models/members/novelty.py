"""How far a row of numbers lies from known rows.

This module measures two distances, each with the contribution of every column: `Ellipse` the Mahalanobis distance,
`Subspace` the distances within and from the space of the principal components. `threshold` says which distance is
too large.

Everything is plain NumPy, and `to_dict` gives lists that are ready for JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FLOOR = 1e-9
"""Smallest share of the largest variance that still counts as a direction."""
MOST_COLUMNS = 500
"""With more columns an ellipse has variances only: covariances would be over a quarter of a million numbers."""
VARIANCE = 0.9
"""Share of the variance that the components of a subspace carry together."""


def threshold(scores: Floats, rate: float) -> float:
    """The score that known rows exceed with a probability of at most ``rate``, from scores (n,) of known rows.

    The k-th smallest score with k = ceil((n + 1)(1 - rate)): for exchangeable rows a new one lies above
    it with a chance of at most ``rate``, whatever the distribution (Vovk, Gammerman & Shafer, Algorithmic
    Learning in a Random World (2005), section 2.2). Raises ValueError for fewer than `needed` scores.

    >>> threshold(np.arange(1.0, 100.0), 0.05)
    95.0
    """
    if len(scores) < needed(rate):
        raise ValueError(f"{len(scores)} scores cannot tell a rate of {rate}")
    place = math.ceil((len(scores) + 1) * (1.0 - rate) - 1e-9)
    return float(np.sort(scores)[place - 1])


def needed(rate: float) -> int:
    """How many scores a rate needs; with fewer, no score would lie above the threshold.

    >>> needed(0.01)
    99
    """
    return math.ceil(1.0 / rate - 1.0 - 1e-9)


def finest(count: int) -> str:
    """The smallest rate for so many scores, rounded up to two digits.

    >>> finest(160), needed(0.0063)
    ('0.0063', 158)
    """
    rate = 1.0 / (count + 1)
    digit = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return f"{math.ceil(rate / digit - 1e-9) * digit:.2g}"


@dataclass(frozen=True, eq=False)
class Ellipse:
    """A cloud of known rows with mean and covariance.

    center: (F,); root: (F, F) symmetric inverse root of the covariance, or (F,) of the variances alone where
        there are more than `MOST_COLUMNS`
    """

    center: Floats
    root: Floats

    @classmethod
    def fit(cls, rows: Floats) -> Self:
        """From known rows (n, F); the covariance is shrunk as Ledoit & Wolf say (J. Multivariate Anal. 88
        (2004) 365), so that it can be inverted with few rows, too."""
        from sklearn.covariance import ledoit_wolf

        center = rows.mean(axis=0)
        if len(center) > MOST_COLUMNS:
            return cls(center, 1.0 / np.sqrt(np.maximum(rows.var(axis=0), np.finfo(np.float64).tiny)))
        covariance, _ = ledoit_wolf(rows - center, assume_centered=True)
        values, vectors = np.linalg.eigh(np.atleast_2d(covariance))
        values = np.maximum(values, max(float(values[-1]) * FLOOR, np.finfo(np.float64).tiny))
        return cls(center, (vectors / np.sqrt(values)) @ vectors.T)

    def shares(self, rows: Floats) -> Floats:
        """The part (n, F) of every column in the squared Mahalanobis distance of rows (n, F); none is negative.

        Complete decomposition: Alcala & Qin, J. Process Control 21 (2011) 322.
        """
        off = rows - self.center
        shares: Floats = (off @ self.root if self.root.ndim == 2 else off * self.root) ** 2
        return shares

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"center": self.center.tolist(), "root": self.root.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The ellipse of `to_dict`; ValueError when it is malformed."""
        center = _array(data["center"], 1)
        axes = 2 if len(center) <= MOST_COLUMNS else 1
        root = _array(data["root"], axes)
        if root.shape != (len(center),) * axes:
            raise ValueError(f"a root of shape {root.shape} for {len(center)} columns")
        return cls(center, root)


@dataclass(frozen=True, eq=False)
class Subspace:
    """The principal components of known rows, and what lies beside them.

    center, scale: (F,) of the known rows; loadings: (F, C); variances: (C,) of the components
    """

    center: Floats
    scale: Floats
    loadings: Floats
    variances: Floats

    @classmethod
    def fit(cls, rows: Floats, *, share: float = VARIANCE, most: int | None = None) -> Self:
        """From known rows (n, F): as many components as carry ``share`` of the variance, at most ``most``.

        One direction is always left beside them where there are two columns or more.
        """
        center, scale = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        _, sizes, vectors = np.linalg.svd((rows - center) / scale, full_matrices=False)
        variances = sizes**2 / max(1, len(rows) - 1)
        carried = np.cumsum(variances) / max(float(variances.sum()), np.finfo(np.float64).tiny)
        count = int(np.searchsorted(carried, share - 1e-12)) + 1
        count = max(1, min(count, int((variances > FLOOR * variances[0]).sum()), most or count, rows.shape[1] - 1 or 1))
        return cls(center, scale, vectors[:count].T, variances[:count])

    def scores(self, rows: Floats) -> Floats:
        """The components (n, C) of rows (n, F)."""
        scores: Floats = ((rows - self.center) / self.scale) @ self.loadings
        return scores

    def distances(self, rows: Floats) -> Floats:
        """(n, 2) T² and the squared prediction error of rows (n, F): the sums of `along` and `beside`."""
        x = (rows - self.center) / self.scale
        scores = x @ self.loadings
        along = (scores**2 / self.variances).sum(axis=1)
        return np.column_stack([along, np.maximum((x**2).sum(axis=1) - (scores**2).sum(axis=1), 0.0)])

    def along(self, rows: Floats) -> Floats:
        """The part (n, F) of every column in Hotelling's T² (Jackson & Mudholkar, Technometrics 21 (1979) 341)."""
        root = (self.loadings / np.sqrt(self.variances)) @ self.loadings.T
        shares: Floats = (((rows - self.center) / self.scale) @ root) ** 2
        return shares

    def beside(self, rows: Floats) -> Floats:
        """The part (n, F) of every column in the squared prediction error (Kourti & MacGregor, Chemom.
        Intell. Lab. Syst. 28 (1995) 3)."""
        x = (rows - self.center) / self.scale
        shares: Floats = (x - (x @ self.loadings) @ self.loadings.T) ** 2
        return shares

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
            "loadings": self.loadings.tolist(),
            "variances": self.variances.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The subspace of `to_dict`; ValueError when it is malformed."""
        center, scale, variances = (_array(data[name], 1) for name in ("center", "scale", "variances"))
        loadings = _array(data["loadings"], 2)
        if loadings.shape != (len(center), len(variances)) or scale.shape != center.shape or (variances <= 0).any():
            raise ValueError(f"loadings of shape {loadings.shape} for {len(center)} columns")
        return cls(center, scale, loadings, variances)


def _array(values: Any, axes: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != axes or not np.isfinite(array).all():
        raise ValueError("expected finite numbers")
    return array
