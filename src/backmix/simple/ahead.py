"""Models that look several rows ahead.

This module registers, for forecasts, persistence of several kinds (the value one season before, the drift of the
newest rows), ridge regressions with a number of lags of their own, and ARX, a linear model of the next row on lagged
inputs and targets that is rolled on row by row: Ljung, System Identification, 2nd edition (1999), section 4.2.

All of them are linear in the window and in what is known ahead, so that as members of an ensemble they are a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.slices import sampled, slices
from backmix.data.windows.windows import WindowBatch, Windows
from backmix.decision import Decision
from backmix.models.members.member import PLANNED, Member
from backmix.models.members.paths import Paths, Step, rolled_path
from backmix.outcome import Outcome
from backmix.simple import Fitted, Floats, SimpleModel, Unusable, simple_model
from backmix.simple.flat import FlatModel, crossed, linear
from backmix.simple.forms import Lags
from backmix.simple.moments import PENALTIES, Moments, errors, moments, ridge_path
from backmix.simple.question import TaskQuestion
from backmix.simple.ridge import MOST_CHOOSING
from backmix.simple.trial import Trial, WindowSubset

FEW_PENALTIES = PENALTIES[::3]
"""Penalties that are tried with every number of lags."""
MOST_WINDOWS = 200
"""Windows of each block over which an order of ARX, or a drift, is judged."""
MOST_NUMBERS = 5_000_000
"""Numbers of a matrix from windows to paths; an ARX that needs more stays out of ensembles."""
TINY = 1e-12
"""Beside squared errors, so that those that are 0 have a logarithm. Settings are chosen by the mean logarithm over the
blocks: what a plant does in its wildest block must not decide for its quiet ones."""
ALIKE = 512
"""Numbers of a window whose effect on a path is computed at a time."""
DAMPINGS = (1.0, 0.9, 0.7)
"""By what the drift falls from row to row."""


def paths_of(windows: Windows, *, recursive: bool = False) -> Paths:
    """What the paths of these windows stand in, without bounds."""
    spec = windows.spec
    return Paths(
        horizon=spec.horizon,
        targets=len(spec.targets),
        first=len(spec.columns),
        planned=tuple(spec.inputs.index(name) for name in spec.future),
        relative=spec.relative,
        recursive=recursive,
    )


def rolled(step: Step, windows: Windows, *, block: int = 4096, paths: Paths | None = None) -> NDArray[np.float32]:
    """Any model that looks one row or several rows ahead, rolled on to the windows' horizon: (W, K·G), row by row.

    paths: with the bounds to keep, where there are some; see `rolled_path`
    """
    form = paths_of(windows) if paths is None else paths
    answers = np.empty((len(windows), windows.spec.horizon * len(windows.spec.targets)), np.float32)
    for low in range(0, len(windows), block):
        some = np.arange(low, min(low + block, len(windows)))
        # what float32 cannot hold becomes infinite, for the caller to name
        with np.errstate(over="ignore", invalid="ignore"):
            batch = windows.gather(some)
        answers[some] = rolled_path(step, batch.x, batch.future, form, rows=windows.spec.horizon)
    return answers


@dataclass(frozen=True, eq=False)
class PathModel(SimpleModel):
    """A model of whole paths, as its arrays."""

    question: TaskQuestion
    member: Member

    def raw(self, windows: Windows) -> Floats:
        """(W, K·G) scaled."""
        answers = np.empty((len(windows), len(windows.spec.horizons) * len(windows.spec.targets)))
        for block in slices(windows):
            batch = windows.gather(block)
            answers[block] = self.member.outputs(batch.x, future=batch.future)
        return answers

    def predict(self, windows: Windows) -> Outcome:
        return self.question.outcome(self.raw(windows), windows)

    def to_member(self) -> Member | None:
        return self.member


@dataclass(frozen=True, eq=False)
class Terms:
    """Outputs (B, K·G) as sums of a few numbers of windows of T rows and F features."""

    windows: Windows

    @property
    def ahead(self) -> NDArray[np.int64]:
        """(K,) how many rows the rows of the path lie behind the newest value that a window shows."""
        spec = self.windows.spec
        assert spec.known is not None
        # row T - 1 of a window shows the value ``delay`` rows before its end
        return np.array(spec.horizons) + spec.known.delay + spec.dead_time

    def picked(self, name: str, terms: Sequence[tuple[Any, Any]], bias: Any = 0.0) -> Member:
        """The member of terms (row of the window (K,), factor (K,)) of each target itself, and a bias (K·G,).

        They sum up to the value of the target; where answers are relative the newest value is taken off.
        """
        spec, steps, width = self.windows.spec, self.windows.steps, len(self.windows.feature_names)
        count, goals = len(spec.horizons), len(spec.targets)
        terms = [*terms, (steps - 1, -1.0)] if spec.relative == "answers" else terms
        columns = np.tile(np.arange(goals) + len(spec.columns), count)
        rows = [np.repeat(np.broadcast_to(row, count), goals) for row, _ in terms]
        factors = [np.repeat(np.broadcast_to(factor, count), goals) for _, factor in terms]
        arrays: dict[str, NDArray[Any]] = {
            "index": np.array([row * width + columns for row in rows], np.int32).reshape(-1, count * goals),
            "factor": np.array(factors, np.float64).reshape(-1, count * goals),
            "bias": np.array(np.broadcast_to(bias, count * goals), np.float64),
        }
        return Member(name, "lags", "picked", arrays)


def _told(trial: Trial, models: Sequence[PathModel], final: PathModel, decisions: tuple[Decision, ...] = ()) -> Fitted:
    """A model of paths per fold, with what it says of the windows that are held out, and the final one."""
    held_out = zip(models, trial.folds, strict=True)
    return Fitted(final, models[-1], tuple(model.raw(fold.held_out.windows) for model, fold in held_out), decisions)


def _alike(trial: Trial, member: Member, decisions: tuple[Decision, ...] = ()) -> Fitted:
    """A model that learns nothing."""
    model = PathModel(trial.question, member)
    return _told(trial, [model] * len(trial.folds), model, decisions)


def persistence(trial: Trial) -> Fitted:
    """The newest known value, on every row of the path."""
    windows = trial.final.base
    return _alike(trial, Terms(windows).picked("last_value", [(windows.steps - 1, 1.0)]))


def reverting(trial: Trial) -> Fitted | None:
    """The mean of the targets that teach, as a model of paths; None where windows do not show where they lie."""
    windows = trial.final.base
    spec, scaler = windows.spec, windows.target_scaler
    if spec.relative == "window" or scaler is None or spec.known is None:
        return None

    def learn(sample: WindowSubset) -> PathModel:
        plain = sample.windows.truth().reshape(-1, len(spec.targets)).mean(axis=0, keepdims=True)
        bias = np.tile(scaler.transform(plain)[0], len(spec.horizons))
        return PathModel(trial.question, Terms(windows).picked("mean", [], bias))

    return _told(trial, [learn(fold.taught) for fold in trial.folds], learn(trial.final))


@simple_model("seasonal", "regression", title={"en": "value one season before", "zh_TW": "前一週期的值"})
def fit_seasonal(trial: Trial) -> Fitted:
    """The value one season before; needs a season and a window that reaches over it."""
    windows, season = trial.final.base, trial.question.season
    if windows.spec.known is None or season is None:
        raise Unusable("evaluation.no_season")
    if season > windows.steps:
        raise Unusable("evaluation.season_too_long", season=season, lookback=windows.steps)
    decision = Decision(season, "evaluation.season", {"season": season}, setting="seasonal")
    terms = Terms(windows)
    places = windows.steps - 1 + terms.ahead - season * np.ceil(terms.ahead / season).astype(np.int64)
    return _alike(trial, terms.picked("seasonal", [(places, 1.0)]), (decision,))


@simple_model("drift", "regression", title={"en": "drift of the newest rows", "zh_TW": "最新數列的漂移"})
def fit_drift(trial: Trial) -> Fitted:
    """The newest known value, which goes on as it went over the newest rows, perhaps ever more slowly.

    Over how many rows, and how slowly, is chosen on windows that are held out.
    """
    windows = trial.final.base
    if windows.spec.answer != "path" or windows.spec.known is None:
        raise Unusable("evaluation.no_path")
    if windows.steps < 2:
        raise Unusable("evaluation.no_drift")
    terms, last = Terms(windows), windows.steps - 1

    def member(rows: int, damping: float) -> Member:
        far = terms.ahead if damping == 1 else damping * (1 - damping**terms.ahead) / (1 - damping)
        return terms.picked("drift", [(last, 1.0 + far / rows), (last - rows, -far / rows)])

    tried = {
        (rows, damping): sum(
            _squared(PathModel(trial.question, member(rows, damping)), trial, fold.held_out) for fold in trial.folds
        )
        for rows in _halves(last)
        for damping in DAMPINGS
    }
    rows, damping = min(tried, key=lambda key: tried[key])
    values = {"rows": rows, "damping": f"{damping:g}"}
    return _alike(trial, member(rows, damping), (Decision(rows, "evaluation.drift_rows", values, setting="drift"),))


def _squared(model: PathModel, trial: Trial, held_out: WindowSubset) -> float:
    """The logarithm of the squared error on some of the windows that are held out."""
    few = held_out.few(MOST_WINDOWS)
    return float(np.log(np.square(model.raw(few.windows) - trial.targets(few)).sum() + TINY))


def _halves(most: int) -> tuple[int, ...]:
    """The numbers of lags that are tried: all, half of them, a quarter ..., 1.

    >>> _halves(12)
    (12, 6, 3, 2, 1)
    """
    numbers = [most]
    while numbers[-1] > 1:
        numbers.append((numbers[-1] + 1) // 2)
    return tuple(numbers)


@dataclass(frozen=True, eq=False)
class LagModel:
    """Ridge regressions on the newest lags of a window.

    form: all lags; own: whether a target sees itself alone, beside what is known ahead
    """

    form: Lags
    first: int
    targets: int
    own: bool = False

    def columns(self, places: int, target: int) -> NDArray[np.int64]:
        """The columns of flat rows that a target sees with so many lags."""
        lags, features = len(self.form.starts), self.form.features
        shown = np.arange((lags - places) * features, lags * features)
        if self.own:
            shown = shown[shown % features == self.first + target]
        return np.concatenate([shown, np.arange(lags * features, self.form.width)])

    def path(
        self, known: Moments, places: int, penalties: tuple[float, ...], answers: NDArray[np.int64] | None = None
    ) -> Floats:
        """`ridge_path` (A, P, K) with 0 for what is not seen."""
        asked = np.arange(known.xy.shape[1]) if answers is None else answers
        weights = np.zeros((len(penalties), self.form.width, len(asked)))
        for target in range(self.targets if self.own else 1):
            mine = np.flatnonzero(asked % self.targets == target) if self.own else np.arange(len(asked))
            columns = self.columns(places, target)
            if not len(mine):
                continue
            part = replace(known, xx=known.xx[np.ix_(columns, columns)], xy=known.xy[np.ix_(columns, asked[mine])])
            weights[:, columns[:, None], mine] = ridge_path(part, penalties)
        return weights


def _by_lags(trial: Trial, name: str, *, own: bool) -> Fitted:
    """Ridge regression of whole paths with a number of lags of its own."""
    base = trial.final.base
    if base.spec.answer != "path" or base.spec.known is None:
        raise Unusable("evaluation.no_path")
    model = LagModel(Lags.of(base), len(base.spec.columns), len(base.spec.targets), own)
    some = sampled(trial.targets(trial.folds[-1].held_out).shape[1], MOST_CHOOSING)
    known = [_kept_moments(trial, model.form, fold.taught) for fold in trial.folds]
    tried: dict[tuple[int, float], float] = {}
    for places in _halves(len(model.form.starts)):
        lost = np.zeros(len(FEW_PENALTIES))
        for sums, fold in zip(known, trial.folds, strict=True):
            path = model.path(sums, places, FEW_PENALTIES, some)
            lost += np.log(errors(trial, model.form, sums, path, fold.held_out, some) + TINY)
        tried |= {(places, penalty): float(error) for penalty, error in zip(FEW_PENALTIES, lost, strict=True)}
    places, penalty = min(tried, key=lambda key: tried[key])

    def fitted(sums: Moments) -> FlatModel:
        return linear(trial, name, model.form, *sums.affine(model.path(sums, places, (penalty,))[0]))

    values = {"places": places, "penalty": f"{penalty:.3g}"}
    decision = Decision(places, "evaluation.own_lags", values, setting=name)
    final = fitted(_kept_moments(trial, model.form, trial.final))
    return crossed(trial, [fitted(sums) for sums in known], final, (decision, *model.form.decisions))


def _kept_moments(trial: Trial, form: Lags, sample: WindowSubset) -> Moments:
    key = ("moments", form, id(sample))
    if key not in trial.kept:
        trial.kept[key] = moments(trial, form, sample)
    sums: Moments = trial.kept[key]
    return sums


@simple_model("ridge_lags", "regression", title={"en": "ridge on its own lags", "zh_TW": "自選落後期脊迴歸"})
def fit_ridge_lags(trial: Trial) -> Fitted:
    """Ridge regression of the path on as many of the newest rows as held-out blocks ask for."""
    return _by_lags(trial, "ridge_lags", own=False)


@simple_model(
    "ridge_own", "regression", title={"en": "ridge on each target's own past", "zh_TW": "各目標自身過去值脊迴歸"}
)
def fit_ridge_own(trial: Trial) -> Fitted:
    """The same on the past of each target alone, and on what is known ahead."""
    return _by_lags(trial, "ridge_own", own=True)


@dataclass(frozen=True, eq=False)
class Arx(SimpleModel):
    """A linear model of the next row, rolled on.

    paths: of the windows that it was fitted for; member: the same as one matrix, where that is not too large
    """

    linear: FlatModel
    paths: Paths
    member: Member | None = None

    def step(self, x: NDArray[np.float32], future: NDArray[np.float32] | None = None) -> NDArray[Any]:
        """The targets on the next row (B, G), scaled, for x (B, T, F)."""
        batch = WindowBatch(x=x, y=None, mask=None, at=np.arange(len(x)))
        return self.linear.member.answers(self.linear.form.of_batch(batch))

    def raw(self, windows: Windows) -> Floats:
        """(W, K·G) scaled."""
        if self.member is not None and windows.spec.horizon == self.paths.horizon:
            return PathModel(self.linear.question, self.member).raw(windows)
        return rolled(self.step, windows).astype(np.float64)

    def predict(self, windows: Windows) -> Outcome:
        return Outcome(values=windows.unscaled(self.raw(windows)))

    def to_member(self) -> Member | None:
        return self.member


def unrolled(kernel: Floats, bias: Floats, steps: int, features: int, paths: Paths) -> Member | None:
    """A linear model of the next row, kernel (T·F, G) and bias (G,), as one matrix from windows to paths.

    None where the matrix would be too large, or the model runs away within the path.
    """
    ahead, width = paths.horizon * len(paths.planned), steps * features
    if (width + ahead) * paths.outputs > MOST_NUMBERS:
        return None
    matrix = np.empty((width + ahead + 1, paths.outputs))
    for low in range(0, len(matrix), ALIKE):
        matrix[low : low + ALIKE] = _responses(kernel, bias, (steps, features), paths, low)
    if not np.isfinite(matrix).all():
        return None
    view = f"lags{PLANNED}" if ahead else "lags"
    return Member("arx", view, "linear", {"kernel": np.ascontiguousarray(matrix[:-1]), "bias": matrix[-1].copy()})


def _responses(kernel: Floats, bias: Floats, shape: tuple[int, int], paths: Paths, low: int) -> Floats:
    """(N, K·G) what paths become for each of N numbers from ``low`` on: of the window, of what is planned, and 1."""
    steps, features = shape
    width = steps * features
    alike = np.eye(width + paths.horizon * len(paths.planned) + 1)[:, low : low + ALIKE]
    count = alike.shape[1]
    seen = alike[:width].reshape(steps, features, count)
    planned = alike[width:-1].reshape(paths.horizon, len(paths.planned), count)
    level, passed, path = bias[:, None] * alike[-1], np.zeros((paths.targets, count)), []
    with np.errstate(over="ignore", invalid="ignore"):
        for row in range(paths.horizon):
            answer = kernel.T @ seen.reshape(width, -1) + level
            newest = seen[-1].copy()
            newest[list(paths.planned)] = planned[row]
            newest[paths.columns] = answer if paths.relative != "answers" else newest[paths.columns] + answer
            passed = answer if paths.relative == "none" else passed + answer
            path.append(passed)
            seen = np.concatenate([seen[1:], newest[None]])
            if paths.relative == "window":
                seen[:, paths.columns] -= answer
    return np.asarray(np.concatenate(path).T)


@simple_model("arx", "regression", title={"en": "linear ARX", "zh_TW": "線性 ARX"})
def fit_arx(trial: Trial) -> Fitted:
    """Ridge regression of the next row on the newest rows of the window, past targets among them, rolled on.

    Order and penalty are those whose whole paths are best on held-out blocks.
    """
    base = trial.final.base
    if base.spec.answer != "path":
        raise Unusable("evaluation.no_path")
    ahead, paths = trial.turned(Windows.one_ahead), paths_of(base)
    model = LagModel(Lags.of(ahead.final.base), paths.first, paths.targets)
    known = [moments(ahead, model.form, fold.taught) for fold in ahead.folds]

    def fitted(sums: Moments, places: int, penalty: float) -> FlatModel:
        return linear(ahead, "arx", model.form, *sums.affine(model.path(sums, places, (penalty,))[0]))

    choosing = [fold.held_out.few(MOST_WINDOWS) for fold in trial.folds]
    tried = {}
    for places in _halves(len(model.form.starts)):
        for penalty in FEW_PENALTIES:
            lost = 0.0
            for sums, few in zip(known, choosing, strict=True):
                step = Arx(fitted(sums, places, penalty), paths).step
                with np.errstate(over="ignore", invalid="ignore"):
                    off = rolled(step, few.windows) - trial.targets(few)
                    lost += float(np.log(np.square(off).sum() + TINY))
            tried[places, penalty] = lost if np.isfinite(lost) else np.inf  # one that runs away is none
    places, penalty = min(tried, key=lambda key: tried[key])

    def arx(sums: Moments) -> Arx:
        next_row = fitted(sums, places, penalty)
        kernel = model.form.every_row(next_row.member.arrays["kernel"])
        member = unrolled(kernel, next_row.member.arrays["bias"], base.steps, len(base.feature_names), paths)
        return Arx(next_row, paths, member)

    models, final = [arx(sums) for sums in known], arx(moments(ahead, model.form, ahead.final))
    if any(each.member is None for each in models):
        final = replace(final, member=None)
    out_of_fold = (
        tuple(each.raw(fold.held_out.windows) for each, fold in zip(models, trial.folds, strict=True))
        if final.member is not None
        else ()
    )
    values = {"places": places, "penalty": f"{penalty:.3g}"}
    decision = Decision(places, "evaluation.arx_order", values, setting="arx")
    return Fitted(final, models[-1], out_of_fold, (decision, *model.form.decisions))
