"""What the plant will do next: several rows ahead, of one or several targets.

This module is the forecast task, for planning and predictive control. A window ends at the moment of
prediction and shows everything measured until then, the targets' own newest values included; the
answer is the path of the next rows. Inputs whose plan is known (setpoints, moves of manipulated
variables) may be shown ahead.

    direct            one network answers for all rows of the path at once
    recursive         a network looks one row ahead and is fed with its own answers
    encoder_decoder   the encoder's state is handed over to a decoder that writes the path row by row

Direct and recursive: Ben Taieb, Bontempi, Atiya & Sorjamaa, Expert Systems with Applications 39 (2012)
7067. Encoder-decoder: Sutskever, Vinyals & Le, NIPS 2014; teacher forcing: Williams & Zipser, Neural
Computation 1 (1989) 270.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.windows.form import Relative
from backmix.data.windows.windows import Known, Windows, WindowSpec
from backmix.duration import Duration, DurationField
from backmix.errors import InputError, PlanError
from backmix.tasks import Regression, TaskPlan, tasks
from backmix.tasks.contract import Judging, Outcome, Presentation
from backmix.tasks.contract.optional import BOUNDED, MARGIN, HasBounds, HasSeason, LearnsFromWindows, Revises
from backmix.tasks.shared.numbers import NumericAnswer, NumericTarget

TEACHER_FORCING = 0.5
"""Share of training steps in which the decoder is shown the true row before; the other half it lives with
its own answers, as it must live (scheduled sampling: Bengio et al., NIPS 2015)."""
DAY = 86400.0


class ForecastPlan(TaskPlan):
    """``[task]`` of a forecast; ``[windows] horizon`` says how far.

    strategy: see the module
    known_ahead: inputs whose values over the path are known at the moment of prediction
    delay: age of the newest target value that is known at the moment of prediction
    relative: "answers" are given relative to the newest known value, so that the network begins at
        persistence; "window" takes that value off the past values as well, for series whose level
        wanders; "none" for neither
    season: the period of the seasonal persistence; "auto" is a day where rows have a clock
    """

    kind: Literal["forecast"] = "forecast"
    strategy: Literal["direct", "recursive", "encoder_decoder"] = "direct"
    known_ahead: tuple[str, ...] = ()
    delay: DurationField = Duration.parse(0)
    relative: Relative = "answers"
    season: DurationField | Literal["auto", "none"] = "auto"


def _is_known(name: str, ahead: Sequence[str]) -> bool:
    """Whether an input is known ahead; of a tag with states (``Recipe = A100``) it is the tag that the plan names."""
    return name in ahead or any(name.startswith(f"{tag} = ") for tag in ahead)


class ForecastTarget(NumericTarget, HasSeason):
    """The next rows of one or several quantities, whose newest values are shown."""

    settings: ForecastPlan

    def adapt(self, table: Table) -> Table:
        """As all numbers; InputError (tasks.ahead_is_target) for a target that shall be known ahead."""
        for name in self.settings.known_ahead:
            table.index(name)
            if name in self.settings.targets:
                raise InputError("tasks.ahead_is_target", where=table.source, tag=name)
        return super().adapt(table)

    def window_form(self, spec: WindowSpec, step: float | None) -> WindowSpec:
        """The plan's windows with the whole path as their answer.

        Raises PlanError (tasks.forecast_horizon, windows.relative_to_nothing).
        """
        plan = self.settings
        if spec.horizon < 1 or spec.lookback is None:
            raise PlanError("tasks.forecast_horizon", horizon=spec.horizon)
        delay = plan.delay.rows(step) if plan.delay.count != 0 else 0
        return replace(
            spec,
            known=Known(delay=delay),
            answer="path",
            relative=plan.relative,
            future=tuple(name for name in spec.inputs if _is_known(name, plan.known_ahead)),
        )

    def training_samples(self, windows: Windows) -> Windows:
        return windows.one_ahead() if self.settings.strategy == "recursive" else windows

    def season(self, step: float | None) -> int | None:
        """That of the plan; "auto" is a day where a day holds at least two rows."""
        season = self.settings.season
        if isinstance(season, Duration):
            return season.rows(step)
        if season == "none" or step is None or step > DAY / 2:
            return None
        return round(DAY / step)


class ForecastAnswer(NumericAnswer, LearnsFromWindows, Revises, HasBounds):
    """The path, row by row, within the range that training has shown and `MARGIN` beyond it.

    fitted: ``low`` and ``high``, the bounds of each target; nothing in bundles of earlier releases
    """

    target: ForecastTarget

    def __post_init__(self) -> None:
        bounds = self.bounds
        if bounds is None:
            return
        if bounds.shape != (2, len(self.target.tags)) or not np.isfinite(bounds).all() or (bounds[0] > bounds[1]).any():
            raise ValueError("bounds")

    @property
    def bounds(self) -> NDArray[np.float64] | None:
        if not self.fitted:
            return None
        return np.array([self.fitted["low"], self.fitted["high"]], np.float64)

    def learn(self, train: Windows, validation: Windows) -> Mapping[str, Any]:
        values = []
        for windows in (train, validation):
            rows = np.unique(windows.answer_rows(windows.all_indices))
            columns = [windows.table.column(name)[rows] for name in windows.spec.targets]
            values.append(np.stack(columns, axis=-1).astype(np.float64))
        every = np.concatenate(values)
        low, high = np.nanmin(every, axis=0), np.nanmax(every, axis=0)
        beyond = MARGIN * (high - low)
        return {"low": (low - beyond).tolist(), "high": (high + beyond).tolist()}

    def revise(self, outcome: Outcome, windows: Windows) -> Outcome:
        """Values beyond the bounds are brought to them; ``bounded`` counts the rows of each path that were."""
        bounds = self.bounds
        if bounds is None or outcome.values is None:
            return outcome
        paths = outcome.values.reshape(len(outcome.values), -1, bounds.shape[1])
        beyond = self.at_bounds(paths)
        # a path that has become infinite, or no number at all, ends at a bound, too
        kept = np.clip(np.where(np.isnan(paths), np.inf, paths), bounds[0], bounds[1])
        columns = {**outcome.columns, BOUNDED: beyond.any(axis=2).sum(axis=1)}
        return replace(outcome, values=kept.reshape(outcome.values.shape), columns=columns)

    @property
    def recursive(self) -> bool:
        return self.target.settings.strategy == "recursive"

    @property
    def architecture(self) -> Mapping[str, Any]:
        if self.target.settings.strategy != "encoder_decoder":
            return {}
        return {"decoder": "states", "teacher_forcing": TEACHER_FORCING}


class ForecastJudging(Judging):
    """The error over all rows of the path."""

    metrics = ("rmse", "mae", "mse", "r2", "bias")
    baselines = ("last_value", "seasonal", "ridge", "arx", "mean")
    members = ("last_value", "seasonal", "drift", "mean", "ridge", "ridge_lags", "ridge_own", "arx")


class ForecastPresentation(Presentation):
    """Errors by how far ahead, and some of the paths."""

    figures = ("scores", "horizons", "paths", "free_run", "parity", "learning")


@tasks.register("forecast", title={"en": "forecast", "zh_TW": "多步預測"})
class Forecast(Regression):
    """Regression of the paths of one or several targets in their own units."""

    Settings = ForecastPlan
    Target = ForecastTarget
    Answer = ForecastAnswer
    Judging = ForecastJudging
    Presentation = ForecastPresentation
