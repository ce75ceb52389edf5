"""The intervals and class sets of one model, calibrated and ready to use.

This module holds the result of conformal calibration in plain NumPy and JSON. `Bands` give each predicted number a
low and a high end, per target, step ahead and stage of a batch; `ClassSets` give the set of classes that a window
may have. A bundle keeps either as ``intervals.json``.

Stages (a partition known at prediction): Vovk et al., Algorithmic Learning in a Random World (2005), section
4.5. Sets with a threshold per class: Sadinle, Lei & Wasserman, J. Am. Stat. Assoc. 114 (2019) 223.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backmix.models.intervals.adaptive import RECENT, Adaptive, AdaptiveState
from backmix.models.intervals.conformal import Scores

Floats = NDArray[np.float64]
Kind = Literal["split", "adaptive"]
Stage = Literal["none", "elapsed", "told"]
"""How the stage of a batch is known: not at all, from the time since it began, or from the prediction ("told")."""
Unit = Literal["windows", "batches"]


@dataclass(frozen=True, eq=False)
class Band:
    """The calibrated errors of one target at one step ahead.

    edges: (S - 1,) ascending, where one stage ends and the next begins; scores: absolute errors in the target's
        unit, one set for each of the S stages
    blocks, distance: by what factor scores were enlarged, since errors differ from block to block in time, and since
        new rows lie farther away in time than the held-out ones
    """

    target: str
    horizon: int
    edges: tuple[float, ...]
    scores: tuple[Scores, ...]
    blocks: float = 1.0
    distance: float = 1.0

    def stages(self, progress: Floats) -> NDArray[np.int64]:
        """The stage at each progress (n,) of a batch."""
        stage: NDArray[np.int64] = np.searchsorted(np.array(self.edges), progress, side="right").astype(np.int64)
        return stage

    def radii(self, level: float) -> Floats:
        """(S,) half the width in each stage; infinite where there were too few units."""
        return np.array([scores.radius(level) for scores in self.scores])


@dataclass(frozen=True, eq=False)
class Bands:
    """Prediction intervals of all targets.

    level: the coverage asked for; kind: "split", or "adaptive" for a width that follows the plant
    stage: how the stage of a batch is known; unit: what was counted as independent
    """

    level: float
    kind: Kind
    stage: Stage
    unit: Unit
    bands: tuple[Band, ...]

    def band(self, target: str, horizon: int = 0) -> Band:
        """The band of a target ``horizon`` rows ahead; KeyError where there is none."""
        return self._by[target, horizon]

    def radius(
        self,
        target: str,
        prediction: ArrayLike,
        *,
        horizon: int = 0,
        elapsed: ArrayLike | None = None,
        level: float | None = None,
    ) -> Floats:
        """Half the width (n,) around predictions (n,), in the target's unit; infinite where it is not known.

        elapsed: (n,) time since the batch began, as `Task.elapsed` tells it, for bands with that stage
        level: another share than that of the calibration
        """
        predictions = np.atleast_1d(np.asarray(prediction, dtype=np.float64))
        band = self.band(target, horizon)
        radii = band.radii(self.level if level is None else level)
        if self.stage == "none":
            return np.full(len(predictions), radii[0])
        if self.stage == "elapsed" and elapsed is None:
            return np.full(len(predictions), radii.max())  # the stage is unknown: the widest
        progress = predictions if self.stage == "told" else np.atleast_1d(np.asarray(elapsed, dtype=np.float64))
        radius: Floats = np.where(np.isfinite(progress), radii[band.stages(progress)], math.inf)
        return radius

    def begin(self, target: str, horizon: int = 0) -> tuple[Adaptive, AdaptiveState]:
        """An adaptive interval for live results, and its state before the first one."""
        adaptive = Adaptive(self.level)
        scores = max(self.band(target, horizon).scores, key=lambda candidate: len(candidate.values))
        radius = scores.radius(self.level)
        if not (math.isfinite(radius) and radius > 0):
            return adaptive, adaptive.start()
        candidate = np.linspace(0, len(scores.values) - 1, min(RECENT, len(scores.values))).round().astype(np.int64)
        return adaptive, adaptive.start((scores.values[candidate] / radius).tolist())

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "kind": self.kind,
            "level": self.level,
            "stage": self.stage,
            "unit": self.unit,
            "bands": [
                {
                    "target": band.target,
                    "horizon": band.horizon,
                    "edges": list(band.edges),
                    "scores": [scores.to_dict() for scores in band.scores],
                    "widened": {"blocks": band.blocks, "distance": band.distance},
                }
                for band in self.bands
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The bands of `to_dict`; ValueError, KeyError or TypeError when they are malformed."""
        _one_of(data["kind"], Kind)
        _one_of(data["stage"], Stage)
        _one_of(data["unit"], Unit)
        bands = tuple(_band(band) for band in data["bands"])
        if not bands or len({(band.target, band.horizon) for band in bands}) != len(bands):
            raise ValueError("expected one band for each target and distance")
        if data["stage"] == "none" and any(band.edges for band in bands):
            raise ValueError("stages that nothing tells")
        return cls(_level(data), data["kind"], data["stage"], data["unit"], bands)

    @property
    def _by(self) -> dict[tuple[str, int], Band]:
        return {(band.target, band.horizon): band for band in self.bands}


@dataclass(frozen=True, eq=False)
class ClassSets:
    """Prediction sets of a classification.

    classes: the C classes of the training; scores: one minus the probability of the true class, per class
    """

    level: float
    unit: Unit
    classes: tuple[str, ...]
    scores: tuple[Scores, ...]

    def members(self, probabilities: ArrayLike, *, level: float | None = None) -> NDArray[np.bool_]:
        """(..., C) whether each class is in the set, from probabilities (..., C).

        A class with too few calibration windows is in every set. A set may be empty: the window is less like any
        class than its calibration windows were.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        limits = np.array([scores.radius(self.level if level is None else level) for scores in self.scores])
        inside: NDArray[np.bool_] = (1.0 - p <= limits) & np.isfinite(p)
        return inside

    def few(self) -> tuple[str, ...]:
        """The classes that are in every set, because they have too few calibration windows."""
        return tuple(
            name
            for name, scores in zip(self.classes, self.scores, strict=True)
            if not math.isfinite(scores.radius(self.level))
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "kind": "sets",
            "level": self.level,
            "unit": self.unit,
            "classes": list(self.classes),
            "scores": [scores.to_dict() for scores in self.scores],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The sets of `to_dict`; ValueError, KeyError or TypeError when they are malformed."""
        classes = tuple(_name(name) for name in data["classes"])
        scores = tuple(Scores.from_dict(entry) for entry in data["scores"])
        _one_of(data["unit"], Unit)
        if data["kind"] != "sets" or len(scores) != len(classes) or len(set(classes)) != len(classes) or not classes:
            raise ValueError("expected scores for every class")
        if any(len(entry.values) and (entry.values[0] < 0 or entry.values[-1] > 1) for entry in scores):
            raise ValueError("expected scores between 0 and 1")
        return cls(_level(data), data["unit"], classes, scores)


Calibrated = Bands | ClassSets
"""What a bundle may hold."""


def calibrated_from(data: Mapping[str, Any]) -> Calibrated:
    """Bands or sets from what their `to_dict` gave; ValueError, KeyError or TypeError when it is malformed."""
    return ClassSets.from_dict(data) if data["kind"] == "sets" else Bands.from_dict(data)


def _band(data: Mapping[str, Any]) -> Band:
    edges = np.asarray(data["edges"], dtype=np.float64)
    scores = tuple(Scores.from_dict(entry) for entry in data["scores"])
    horizon = data["horizon"]
    if not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 0:
        raise ValueError("expected a number of rows")
    if edges.ndim != 1 or len(scores) != len(edges) + 1:
        raise ValueError("expected scores for every stage")
    if not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
        raise ValueError("expected ascending edges")
    if any(len(entry.values) and entry.values[0] < 0 for entry in scores):
        raise ValueError("expected absolute errors")
    widened = [float(data.get("widened", {}).get(name, 1.0)) for name in ("blocks", "distance")]
    if not all(math.isfinite(factor) and factor >= 1.0 for factor in widened):
        raise ValueError("expected factors of 1 or more")
    return Band(_name(data["target"]), horizon, tuple(edges.tolist()), scores, *widened)


def _level(data: Mapping[str, Any]) -> float:
    level = data["level"]
    if not isinstance(level, float) or not 0 < level < 1:
        raise ValueError("expected a level between 0 and 1")
    return level


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a name")
    return value


def _one_of(value: Any, names: Any) -> None:
    if value not in get_args(names):
        raise ValueError(f"expected one of {get_args(names)}")
