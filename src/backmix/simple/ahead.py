"""Baselines that look several rows ahead.

This module registers the seasonal persistence (the value one season before) and ARX, a linear model
of the next row on lagged inputs and targets that is rolled on row by row: Ljung, System
Identification, 2nd edition (1999), section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import slices
from backmix.data.windows import WindowBatch
from backmix.decision import Decision
from backmix.simple import Unusable, baselines
from backmix.simple.linear import Linear, ridge
from backmix.tasks import Outcome
from backmix.tasks.contract.optional import HasSeason
from backmix.training.predict import rolled

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task


@dataclass(frozen=True)
class Seasonal:
    """The newest known value of the target that is a whole number of ``season`` rows older."""

    season: int
    decisions: tuple[Decision, ...] = ()

    def predict(self, windows: Windows) -> Outcome:
        spec = windows.spec
        assert spec.known is not None
        first, goals = len(spec.columns), len(spec.targets)
        # row T - 1 of a window shows the value ``delay`` rows before its end
        ahead = np.array(spec.horizons) + spec.known.delay + spec.dead_time
        places = windows.steps - 1 + ahead - self.season * np.ceil(ahead / self.season).astype(np.int64)
        found = np.empty((len(windows), len(places), goals))
        for at in slices(windows):
            shown = windows.gather(at).x[:, :, first : first + goals]
            newest = shown[:, -1:] if spec.relative == "answers" else 0.0
            found[at] = shown[:, places] - newest
        return Outcome(values=windows.unscaled(found.reshape(len(windows), -1)))


@baselines.register("seasonal")
def fit_seasonal(train: Windows, validation: Windows | None, task: Task, seed: int) -> Seasonal:
    """The value one season before; needs a season and a window that reaches over it."""
    season = task.target.season(train.table.step) if isinstance(task.target, HasSeason) else None
    if train.spec.known is None or season is None:
        raise Unusable("evaluation.no_season")
    if season > train.steps:
        raise Unusable("evaluation.season_too_long", season=season, lookback=train.steps)
    return Seasonal(season, (Decision(season, "evaluation.season", {"season": season}, setting="baseline.seasonal"),))


@dataclass(frozen=True, eq=False)
class Arx:
    """A linear model of the next row, rolled on."""

    linear: Linear

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(replace(decision, setting="baseline.arx") for decision in self.linear.decisions)

    def step(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """The targets on the next row (B, G), scaled, for x (B, T, F)."""
        batch = WindowBatch(x=x, y=None, mask=None, at=np.arange(len(x)))
        found: NDArray[Any] = (
            self.linear.lags.of_batch(batch) - self.linear.mean
        ) @ self.linear.weights + self.linear.level
        return found

    def predict(self, windows: Windows) -> Outcome:
        return Outcome(values=windows.unscaled(rolled(self.step, windows)))


@baselines.register("arx")
def fit_arx(train: Windows, validation: Windows | None, task: Task, seed: int) -> Arx:
    """Ridge regression of the next row on every row of the window, past targets among them."""
    if train.spec.answer != "path":
        raise Unusable("evaluation.no_path")
    return Arx(ridge(train.one_ahead(), None if validation is None else validation.one_ahead()))
