"""From plant units to numbers of order one, and back.

In: the training rows of a table, and the name of a kind of scaling.
Out: a `Scaler`, which turns any rows into numbers of order one and back.
A kind of scaling is one file beside this one: it says how centre and scale come from the training values. Fitting
works block by block, so that a memory-mapped table is never loaded whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.segments import Mask, blocks, contiguous
from backmix.errors import BundleError, InputError
from backmix.registry import Registry

Floats = NDArray[np.float64]
Values = NDArray[np.floating[Any]]

MOST_FEATURES = 100_000
"""A stored scaler with more features than this is not believed."""

LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, eq=False)
class TrainingValues:
    """The values a scaler may learn from.

    values: (N, any number); at: the F columns of them that count; rows: (N,) the training part, None
    for all. Values of other rows are never looked at; NaN and infinite values count as missing.
    """

    values: Values
    at: tuple[int, ...]
    rows: Mask | None = None

    @property
    def width(self) -> int:
        """F, the number of features."""
        return len(self.at)

    def blocks(self) -> Iterator[Floats]:
        """Training values in row order, (F, n) float64 each, NaN where missing.

        Features come first: sums then run along contiguous memory, pairwise and vectorised.
        """
        runs = contiguous(np.array(self.at))
        columns = runs[0] if len(runs) == 1 else list(self.at)
        for first, end in blocks(len(self.values)):
            taken = self.values[first:end]
            if self.rows is not None:
                mask = self.rows[first:end]
                if not mask.any():
                    continue
                taken = taken if mask.all() else taken[mask]
            block = np.array(taken[:, columns].T, dtype=np.float64, order="C")
            if not np.isfinite(block.sum()):
                block[~np.isfinite(block)] = np.nan
            yield block

    def features(self, first: int, end: int) -> Floats:
        """All training values of features ``first`` to ``end``, (end - first, n), NaN where missing."""
        found = list(TrainingValues(self.values, self.at[first:end], self.rows).blocks())
        return np.concatenate(found, axis=1) if found else np.empty((end - first, 0))


Fit = Callable[[TrainingValues], tuple[Floats, Floats]]
"""How centre (F,) and scale (F,) come from training values."""

scalers: Registry[Fit] = Registry("scalers", package="backmix.data.scaling")


@dataclass(frozen=True, eq=False)
class Scaler:
    """``(x - center) / scale`` for F named features.

    center, scale: (F,) float64 in the units of the features; scale is never 0

    >>> scaler = fit_scaler("standard", np.array([[1.0], [3.0]]), ("T101",))
    >>> scaler.transform(np.array([[5.0]])).tolist()
    [[3.0]]
    >>> scaler.inverse(np.array([[3.0]])).tolist()
    [[5.0]]
    """

    kind: str
    names: tuple[str, ...]
    center: Floats
    scale: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        for field in ("center", "scale"):
            array = np.array(getattr(self, field), dtype=np.float64)
            if array.shape != (len(self.names),):
                raise ValueError(f"{field} has shape {array.shape} for {len(self.names)} features")
            array.flags.writeable = False
            object.__setattr__(self, field, array)

    def transform(self, x: Values) -> Floats:
        """Plant units to scaled numbers, any shape (..., F); float64."""
        found: Floats = (np.asarray(x, dtype=np.float64) - self.center) / self.scale
        return found

    def inverse(self, x: Values) -> Floats:
        """Scaled numbers back to plant units, any shape (..., F); float64."""
        found: Floats = np.asarray(x, dtype=np.float64) * self.scale + self.center
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives a scaler that is equal to the last bit."""
        return {
            "kind": self.kind,
            "names": list(self.names),
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Scaler:
        """The scaler of `to_dict`; BundleError (windows.bad_scaler) for anything else."""
        if not isinstance(data, dict) or set(data) != {"kind", "names", "center", "scale"}:
            raise BundleError("windows.bad_scaler", fault="kind, names, center, scale")
        kind, names = data["kind"], data["names"]
        if not isinstance(kind, str) or len(kind) > 100:
            raise BundleError("windows.bad_scaler", fault="kind")
        if (
            not isinstance(names, list | tuple)
            or not all(isinstance(name, str) for name in names)
            or len(names) > MOST_FEATURES
        ):
            raise BundleError("windows.bad_scaler", fault="names")
        for field in ("center", "scale"):
            numbers = data[field]
            if (
                not isinstance(numbers, list | tuple)
                or len(numbers) != len(names)
                or not all(type(n) in (int, float) and abs(n) <= LARGEST for n in numbers)
            ):
                raise BundleError("windows.bad_scaler", fault=field)
        if not all(n > 0 for n in data["scale"]):
            raise BundleError("windows.bad_scaler", fault="scale")
        return cls(
            kind=kind,
            names=tuple(names),
            center=np.array(data["center"], dtype=np.float64),
            scale=np.array(data["scale"], dtype=np.float64),
        )


def fit_scaler(
    kind: str,
    values: Values,
    names: tuple[str, ...],
    *,
    rows: Mask | None = None,
    columns: tuple[int, ...] | None = None,
) -> Scaler:
    """A scaler of a registered kind, learned from the rows of the training part and nothing else.

    values: (N, F), may be a memory map; names: the F features; rows: (N,) bool, None for all rows;
    columns: which F columns of wider values, so that no copy of them is needed.
    Raises PlanError for an unknown kind, InputError (windows.scale_empty) when a feature has no
    value on these rows, (windows.scale_overflow) when its values are too large for float64.
    """
    fit = scalers.get(kind)
    values = np.asarray(values)
    with np.errstate(all="ignore"):
        center, scale = fit(TrainingValues(values, tuple(range(len(names))) if columns is None else columns, rows))
    for name, middle, width in zip(names, center, scale, strict=True):
        if np.isnan(middle):
            raise InputError("windows.scale_empty", tag=name)
        if not (np.isfinite(middle) and np.isfinite(width)):
            raise InputError("windows.scale_overflow", tag=name)
    return Scaler(kind=kind, names=tuple(names), center=center, scale=scale)


def usable_scale(spread: Floats, size: Floats) -> Floats:
    """The spread (F,), with 1 where it is nothing but rounding of values of this size (F,)."""
    rounding = np.isfinite(spread) & (spread <= 16 * np.finfo(np.float64).eps * size)
    return np.where(rounding, 1.0, spread)
