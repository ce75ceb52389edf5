"""Paths of several rows, from models that look one row ahead or all rows at once.

This module rolls one-row models on over arrays, so that training, bundle and light runtime do the same, and keeps
what they say within bounds: a path that feeds on its own answers can run away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Step = Callable[[NDArray[np.float32], NDArray[np.float32] | None], NDArray[Any]]
"""Windows x (B, T, F), and what is planned for their next K rows -> (B, G) the next row, or (B, K·G) the next rows."""
MOST_ROWS = 10_000


@dataclass(frozen=True)
class Paths:
    """What a path of K rows of G targets stands in; all numbers are scaled.

    horizon: K; targets: G
    first: the feature that shows the newest known value of the first target; the others follow
    planned: the features whose values are known ahead
    relative: as in `data.windows.form.WindowSpec`
    recursive: whether networks look one row ahead and are rolled on
    low, high: G bounds of each target; () for none. With ``relative = "window"`` the window does not show where it
        lies, so that only whole paths are kept within bounds
    """

    horizon: int
    targets: int
    first: int
    planned: tuple[int, ...] = ()
    relative: str = "answers"
    recursive: bool = False
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def outputs(self) -> int:
        """K·G."""
        return self.horizon * self.targets

    @property
    def columns(self) -> slice:
        """The features that show the targets."""
        return slice(self.first, self.first + self.targets)

    def bounded(self, level: NDArray[Any]) -> NDArray[Any]:
        """Values (..., G) of the targets within the bounds."""
        return np.asarray(np.clip(level, self.low, self.high))

    def kept(self, x: NDArray[np.float32], answers: NDArray[Any]) -> NDArray[Any]:
        """Answers (B, k·G) of windows x, so that the targets stay within the bounds; others are not touched."""
        if not self.low or self.relative == "window":
            return answers
        paths = answers.reshape(len(answers), -1, self.targets).astype(np.float64)
        base = x[:, -1:, self.columns].astype(np.float64) if self.relative == "answers" else 0.0
        bounded = self.bounded(paths + base)
        return np.where(bounded == paths + base, paths, bounded - base).astype(answers.dtype).reshape(answers.shape)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "horizon": self.horizon,
            "targets": self.targets,
            "first": self.first,
            "planned": list(self.planned),
            "relative": self.relative,
            "recursive": self.recursive,
            "low": list(self.low),
            "high": list(self.high),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], features: int) -> Self:
        """From JSON of unknown origin, for windows of F features; ValueError, KeyError or TypeError for nonsense."""
        paths = cls(
            **{
                **data,
                "planned": tuple(data["planned"]),
                "low": tuple(map(float, data["low"])),
                "high": tuple(map(float, data["high"])),
            }
        )
        whole = (paths.horizon, paths.targets, paths.first, *paths.planned)
        sound = (
            all(type(number) is int and number >= 0 for number in whole)
            and 1 <= paths.horizon <= MOST_ROWS
            and paths.targets >= 1
            and paths.first + paths.targets <= features
            and all(column < paths.first for column in paths.planned)
            and paths.relative in ("none", "answers", "window")
            and type(paths.recursive) is bool
            and len(paths.low) == len(paths.high)
            and len(paths.low) in (0, paths.targets)
            and bool(np.isfinite([*paths.low, *paths.high]).all())
            and all(low <= high for low, high in zip(paths.low, paths.high, strict=True))
        )
        if not sound:
            raise ValueError("paths")
        return paths


def rolled_path(
    step: Step, x: NDArray[np.float32], future: NDArray[np.float32] | None, paths: Paths, *, rows: int | None = None
) -> NDArray[np.float32]:
    """A model rolled on for ``rows`` rows (K without): (B, rows·G), row by row.

    step: a model of the next row, or of several next rows at once
    x: (B, T, F); future: (B, rows, M) what is planned

    After each call its own answers take the place of the targets' newest known values; inputs that are known ahead
    take their planned values, the others keep their last one. So no answer has seen anything behind the moment of
    prediction but what was planned.
    """
    rows, steps, goals = rows or paths.horizon, x.shape[1], paths.columns
    answers = np.empty((len(x), rows, paths.targets), np.float32)
    passed, row = np.zeros((len(x), paths.targets), np.float32), 0
    planned = list(paths.planned)
    while row < rows:
        next_rows = None if future is None else future[:, row : row + paths.horizon]
        given = np.asarray(step(x, next_rows), np.float32).reshape(len(x), -1)
        given = paths.kept(x, given).reshape(len(x), -1, paths.targets)[:, : rows - row]
        count = given.shape[1]
        answers[:, row : row + count] = given if paths.relative == "none" else passed[:, None] + given
        newer = np.repeat(x[:, -1:], count, axis=1)
        if future is not None:
            newer[:, :, planned] = future[:, row : row + count]
        newer[:, :, goals] = x[:, -1:, goals] + given if paths.relative == "answers" else given
        if paths.relative != "none":
            passed = passed + given[:, -1]
        x = np.concatenate([x, newer], axis=1)[:, -steps:]
        if paths.relative == "window":  # past values are relative to the newest, which has moved
            x[:, :, goals] -= given[:, -1:]
        row += count
    return answers.reshape(len(x), -1)
