"""What any model says about windows, in the plant's terms.

This module defines `Outcome`, the answer of networks, ensembles and simple models alike, and makes one of the
scores of an anomaly detector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMED = 3
"""How many tags are named as the reason of a score."""


LIMITS = "limits"
"""What a task calls the least and the largest answer among what it has learned."""


def limits_of(fitted: Mapping[str, Any]) -> tuple[float, float] | None:
    """The least and the largest answer, where the task knows them.

    Raises ValueError or TypeError for what no training could have left.

    >>> limits_of({"limits": [0.0, 125.0]}), limits_of({})
    ((0.0, 125.0), None)
    """
    if LIMITS not in fitted:
        return None
    low, high = (float(end) for end in fitted[LIMITS])
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"no limits: {low}, {high}")
    return low, high


def within(values: NDArray[np.float64], limits: tuple[float, float] | None) -> NDArray[np.float64]:
    """Values cut off at the limits of the answers, if there are any: an interval that ends there holds all beyond."""
    return values if limits is None else np.clip(values, *limits)


@dataclass(frozen=True)
class Outcome:
    """What a model says about B windows, in the plant's terms.

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


def alarm(parts: NDArray[np.float64], limit: float, inputs: tuple[str, ...]) -> Outcome:
    """The outcome of scores that consist of parts (B, F), one per input; alarms lie above ``limit``.

    columns: ``score`` in units of the limit; ``because`` names the tags with the largest shares, which
        stand in ``tag_1``, ``share_1`` ... one by one, too
    """
    score = parts.sum(axis=1) / limit
    known = np.isfinite(score)
    chance = np.full(len(score), np.nan)
    chance[known] = score[known] / (1.0 + score[known])
    names = np.array(inputs, dtype=object)
    top = np.argsort(-np.where(np.isfinite(parts), parts, 0.0), axis=1, kind="stable")[:, :NAMED]
    total = np.where(score > 0, parts.sum(axis=1), 1.0)
    shares = np.take_along_axis(parts, top, axis=1) / total[:, None]
    columns: dict[str, NDArray[Any]] = {"score": score, "because": np.full(len(score), None, dtype=object)}
    for row in np.flatnonzero(known):
        columns["because"][row] = ", ".join(
            f"{inputs[k]} {share:.0%}" for k, share in zip(top[row], shares[row], strict=True)
        )
    for number in range(top.shape[1]):
        columns[f"tag_{number + 1}"] = np.where(known, names[top[:, number]], np.full(len(score), None, dtype=object))
        columns[f"share_{number + 1}"] = shares[:, number]
    return Outcome(probabilities=np.column_stack([1.0 - chance, chance]), columns=columns)
