"""Whether a window resembles any that was taught.

This module is the novelty gate of a diagnosis. It knows nothing of the classifier that it stands
behind: every known class has a model of its own, the principal components of the statistics of its
windows, and a window is new when it lies far along or beside the components (T², SPE) of all of them.
What is far is set on known validation windows: for every class where nine of ten of its own lie, and
for all together by the share of known windows that may be rejected.

Class models side by side: Wold, Pattern Recognition 8 (1976) 127 (SIMCA); T² and SPE: Jackson &
Mudholkar, Technometrics 21 (1979) 341. One model for all classes was tried: the spread of the wildest
fault then hides every other one (benchmarks/LOG.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.slices import sampled, slices
from backmix.data.windows.windows import Windows
from backmix.errors import InputError
from backmix.models.members.novelty import Subspace, finest, needed, threshold
from backmix.models.members.statistics import window_statistics

SHARE = 0.999
"""Share of the variance of a class that its components carry: what is new often shows where a class hardly
varies. Chosen on Tennessee Eastman's training files and on another run of the simulated reactor."""
USUAL = 0.9
"""Share of a class's validation windows that lie within its own limits."""
FEWEST = 10
"""A class with fewer training windows than this has no model."""
MOST_COMPONENTS = 100
WINDOWS_EACH = 10
"""Training windows of a class for each of its components: with fewer it rejects known windows that are new."""
MOST_NUMBERS = 500_000
"""Numbers of all class models together, in the bundle."""
MOST_WINDOWS = 5_000
"""Training windows of a class that its model is learned from."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RejectionGate:
    """How far a window is from those that were taught.

    spaces: components of the window statistics (5·F) of each of the C known classes that have windows
    limits: (C, 2) of T² and SPE; limit: of the smallest over the classes of the larger of both, in their units
    """

    spaces: tuple[Subspace, ...]
    limits: Floats
    limit: float

    @classmethod
    def fit(cls, train: Windows, validation: Windows, rate: float) -> Self:
        """From windows of known classes; a share of at most ``rate`` of windows like these is rejected.

        Raises InputError: diagnosis.few_windows for a class with too few training windows,
        diagnosis.gate_too_large for so many inputs and classes that no bundle could hold their models.
        """
        codes = train.truth()[:, 0]
        present = np.unique(codes)
        width = 5 * len(train.feature_names)
        most = min(MOST_COMPONENTS, int(MOST_NUMBERS / (width * len(present))) - 2)  # a mean and a spread, too
        if most < 1:
            raise InputError(
                "diagnosis.gate_too_large",
                where=train.table.source,
                classes=len(present),
                inputs=len(train.feature_names),
                fit=MOST_NUMBERS // (15 * len(present)),
            )
        spaces, own = [], []
        for code in present:
            mine = np.flatnonzero(codes == code)
            if len(mine) < FEWEST:
                raise InputError(
                    "diagnosis.few_windows",
                    where=train.table.source,
                    label=train.classes[int(code)],
                    count=len(mine),
                    least=FEWEST,
                )
            rows = statistics(train.subset(mine[sampled(len(mine), MOST_WINDOWS)]))
            spaces.append(Subspace.fit(rows, share=SHARE, most=max(1, min(most, len(rows) // WINDOWS_EACH))))
            own.append(rows)
        gate = cls(tuple(spaces), np.ones((len(spaces), 2)), 1.0)
        rows, truth = statistics(validation), validation.truth()[:, 0]
        limits = np.stack(
            [
                np.quantile(space.distances(rows[truth == code] if np.any(truth == code) else taught), USUAL, axis=0)
                for space, code, taught in zip(spaces, present, own, strict=True)
            ]
        )
        gate = cls(gate.spaces, np.maximum(limits, np.finfo(np.float64).tiny), 1.0)
        return cls(gate.spaces, gate.limits, threshold(gate._nearest(rows), rate))

    def novelty(self, windows: Windows) -> Floats:
        """(W,) above 1 for a window that is rejected."""
        return self._nearest(statistics(windows)) / self.limit

    def _nearest(self, rows: Floats) -> Floats:
        """(n,) how far statistics (n, 5·F) are from the class that is nearest."""
        nearest = np.full(len(rows), np.inf)
        for space, limit in zip(self.spaces, self.limits, strict=True):
            nearest = np.minimum(nearest, (space.distances(rows) / limit).max(axis=1))
        return nearest

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "spaces": [space.to_dict() for space in self.spaces],
            "limits": self.limits.tolist(),
            "limit": self.limit,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The gate of `to_dict`; ValueError or KeyError when it is malformed."""
        spaces = tuple(Subspace.from_dict(space) for space in data["spaces"])
        limits = np.asarray(data["limits"], dtype=np.float64)
        if limits.shape != (len(spaces), 2) or not (limits > 0).all() or not float(data["limit"]) > 0:
            raise ValueError(f"limits of shape {limits.shape} for {len(spaces)} classes")
        return cls(spaces, limits, float(data["limit"]))


def check_enough(windows: Windows, rate: float, key: str) -> None:
    """InputError (``key``) when there are too few validation windows to tell a share of ``rate``."""
    count = len(windows)
    if count < needed(rate):
        least, fit = f"{needed(rate):,}", finest(count)
        raise InputError(key, where=windows.table.source, rate=rate, least=least, count=f"{count:,}", fit=fit)


def statistics(windows: Windows) -> Floats:
    """(W, 5·F) the statistics of all windows, gathered block by block."""
    blocks = [window_statistics(batch.x, batch.mask) for batch in map(windows.gather, slices(windows))]
    width = 5 * len(windows.feature_names)
    return np.concatenate(blocks).astype(np.float64) if blocks else np.empty((0, width))
