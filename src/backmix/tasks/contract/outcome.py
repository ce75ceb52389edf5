"""What a model answers, in the plant's terms.

This module defines `Outcome`, which networks, baselines and ensembles give alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Outcome:
    """What a model says about B windows.

    values: (B, G) float64 in the units of the G targets, for regression; with a path of K rows
        (B, K·G), row by row; else None
    probabilities: (B, C) float64, rows sum to 1, for C classes; else None
    columns: (B,) further columns for the prediction frame, by name
    """

    values: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float64] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence[Outcome]) -> Outcome:
        """Several outcomes one behind the other."""
        return cls(
            values=_joined([part.values for part in parts]),
            probabilities=_joined([part.probabilities for part in parts]),
            columns={name: _joined([part.columns[name] for part in parts]) for name in parts[0].columns},
        )


def _joined(arrays: Sequence[NDArray[Any] | None]) -> Any:
    given = [array for array in arrays if array is not None]
    return np.concatenate(given) if given else None
