"""Models that look several rows ahead.

This module registers the seasonal persistence (the value one season before) and ARX, a linear model
of the next row on lagged inputs and targets that is rolled on row by row: Ljung, System
Identification, 2nd edition (1999), section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.slices import slices
from backmix.data.windows.windows import WindowBatch, Windows
from backmix.decision import Decision
from backmix.outcome import Outcome
from backmix.simple import Fitted, SimpleModel, Unusable, learned, simple_model
from backmix.simple.flat import FlatModel
from backmix.simple.forms import Lags
from backmix.simple.ridge import ridge
from backmix.simple.trial import Trial

Step = Callable[[NDArray[np.float32]], NDArray[Any]]
"""One row ahead: x (B, T, F) -> the targets on the next row (B, G), scaled."""


def rolled(step: Step, windows: Windows, *, block: int = 4096) -> NDArray[np.float32]:
    """Any model that looks one row ahead, rolled K rows on: (W, K·G), row by row.

    After each row its own answer takes the place of the target's newest known value; inputs that are
    known ahead take their planned values, the others keep their last one. So the answer on row k has
    seen nothing behind the moment of prediction but what was planned.
    """
    spec = windows.spec
    goals = slice(len(spec.columns), len(spec.columns) + len(spec.targets))
    planned = [spec.inputs.index(name) for name in spec.future]
    answers = np.empty((len(windows), spec.horizon, len(spec.targets)), np.float32)
    for low in range(0, len(windows), block):
        some = np.arange(low, min(low + block, len(windows)))
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # what float32 cannot hold becomes infinite, for the caller to name
            batch = windows.gather(some)
        x, passed = batch.x, np.zeros((len(some), len(spec.targets)), np.float32)
        for row in range(spec.horizon):
            answer = np.asarray(step(x), np.float32).reshape(len(some), -1)
            newest = x[:, -1].copy()
            if batch.future is not None:
                newest[:, planned] = batch.future[:, row]
            if spec.relative == "none":
                answers[some, row], newest[:, goals] = answer, answer
            else:
                passed = passed + answer
                answers[some, row] = passed
                newest[:, goals] = answer if spec.relative == "window" else x[:, -1, goals] + answer
            x = np.concatenate([x[:, 1:], newest[:, None]], axis=1)
            if spec.relative == "window":  # past values are relative to the newest, which has moved
                x[:, :, goals] -= answer[:, None]
    return answers.reshape(len(windows), -1)


@dataclass(frozen=True)
class Seasonal(SimpleModel):
    """The newest known value of the target that is a whole number of ``season`` rows older."""

    season: int

    def predict(self, windows: Windows) -> Outcome:
        spec = windows.spec
        assert spec.known is not None
        first, goals = len(spec.columns), len(spec.targets)
        # row T - 1 of a window shows the value ``delay`` rows before its end
        ahead = np.array(spec.horizons) + spec.known.delay + spec.dead_time
        places = windows.steps - 1 + ahead - self.season * np.ceil(ahead / self.season).astype(np.int64)
        answers = np.empty((len(windows), len(places), goals))
        for block in slices(windows):
            shown = windows.gather(block).x[:, :, first : first + goals]
            newest = shown[:, -1:] if spec.relative == "answers" else 0.0
            answers[block] = shown[:, places] - newest
        return Outcome(values=windows.unscaled(answers.reshape(len(windows), -1)))


@simple_model("seasonal", "regression", title={"en": "value one season before", "zh_TW": "前一週期的值"})
def fit_seasonal(trial: Trial) -> Fitted:
    """The value one season before; needs a season and a window that reaches over it."""
    windows, season = trial.final.base, trial.question.season
    if windows.spec.known is None or season is None:
        raise Unusable("evaluation.no_season")
    if season > windows.steps:
        raise Unusable("evaluation.season_too_long", season=season, lookback=windows.steps)
    decision = Decision(season, "evaluation.season", {"season": season}, setting="seasonal")
    return learned(trial, lambda sample: Seasonal(season), (decision,))


@dataclass(frozen=True, eq=False)
class Arx(SimpleModel):
    """A linear model of the next row, rolled on."""

    linear: FlatModel

    def step(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """The targets on the next row (B, G), scaled, for x (B, T, F)."""
        batch = WindowBatch(x=x, y=None, mask=None, at=np.arange(len(x)))
        return self.linear.member.answers(self.linear.form.of_batch(batch))

    def predict(self, windows: Windows) -> Outcome:
        return Outcome(values=windows.unscaled(rolled(self.step, windows)))


@simple_model("arx", "regression", title={"en": "linear ARX", "zh_TW": "線性 ARX"})
def fit_arx(trial: Trial) -> Fitted:
    """Ridge regression of the next row on every row of the window, past targets among them."""
    if trial.final.base.spec.answer != "path":
        raise Unusable("evaluation.no_path")
    ahead = trial.turned(Windows.one_ahead)
    answers = ridge(ahead, "arx", Lags.of(ahead.final.base), "evaluation.ridge_penalty")
    model, before = (Arx(model) for model in (answers.model, answers.before))  # type: ignore[arg-type]
    return Fitted(model, before, (), answers.decisions)
