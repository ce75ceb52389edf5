"""Whether a scaling of their own for operating regimes helps here.

This module looks for settings that tell regimes (`data.scaling.finding`), and tries quick models with and without a
scaling per regime on blocks of the training and validation parts that are held out in turn: ridge on statistics of the
window, and boosted trees on the same. Regimes stay only where the better of the two becomes clearly better. The test
part is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.scaling.finding import Settings, candidates, find_regimes
from backmix.data.scaling.regime_plan import LEAST_ROWS, RegimePlan
from backmix.data.scaling.regimes import Regimes, moved_inputs
from backmix.data.segments import Mask
from backmix.data.splitting.split import Split, SplitPart
from backmix.data.states import StateCoding
from backmix.data.table import Table
from backmix.data.windows.slices import sampled
from backmix.data.windows.windows import Windows, WindowSpec, build_windows, fit_scalers
from backmix.decision import Decision
from backmix.errors import InputError, PlanError
from backmix.simple.blocks import Blocks, block_windows
from backmix.simple.forms import FlatView
from backmix.simple.threads import few_threads
from backmix.tasks import Task
from backmix.training.plan import Plan

Floats = NDArray[np.float64]

MOST_WINDOWS = 4000
LOOKBACK = 20
"""Rows of the windows that are tried where the lookback is chosen later."""
GAIN = 0.03
"""Held-out errors must fall by at least this share, and by twice their standard error over blocks."""
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
SETTING = "scaling.regimes"


@dataclass(frozen=True)
class RegimeSearch:
    """What regimes are looked for in.

    table: repaired, states coded; measured: the same before repair
    codings: of the states among its columns; rows: (N,) the training rows that teach
    """

    table: Table
    measured: Table
    split: Split
    spec: WindowSpec
    task: Task
    codings: tuple[StateCoding, ...]
    rows: Mask

    @property
    def kept(self) -> set[str]:
        """The columns that stay in their place whatever the regime.

        Targets, what is computed, coded states, and what is known ahead, whose regime need not be known yet.
        """
        coded = [name for coding in self.codings for name in coding.columns]
        judged = [tag.name for tag in self.task.targets]
        return {*judged, *self.task.target.computed, *coded, *self.spec.future}


@dataclass(frozen=True)
class RegimeDecision:
    """The settings that tell regimes, None for one scaling over all rows, and why."""

    settings: Settings | None
    least_rows: int
    decisions: tuple[Decision, ...] = ()


def choose_regimes(search: RegimeSearch, plan: Plan) -> RegimeDecision:
    """The settings that shall tell regimes.

    Raises PlanError (regimes.no_input, regimes.none_found) where the plan names tags that cannot.
    """
    asked, scaling = plan.scaling.regimes, plan.scaling.inputs
    least = asked.least_rows if isinstance(asked, RegimePlan) else LEAST_ROWS
    if asked == "off" or (scaling == "none" and asked == "auto"):
        return RegimeDecision(None, least)
    if isinstance(asked, RegimePlan):
        settings = _asked(search, asked)
        asked_for = fit_regimes(search, settings, least, scaling)
        if asked_for is None:
            raise PlanError("regimes.none_found", tags=", ".join(asked.tags), kind=settings.kind, least=least)
        return RegimeDecision(
            settings, least, (Decision(settings.columns, "regimes.asked", regime_values(asked_for), setting=SETTING),)
        )
    inputs = tuple(name for name in search.spec.inputs if name not in search.task.target.computed)
    settings_found = candidates(search.table, inputs, search.codings, rows=search.rows, least_rows=least)
    if settings_found is None:
        return RegimeDecision(None, least)
    regimes = fit_regimes(search, settings_found, least, scaling)
    if regimes is None:
        return RegimeDecision(None, least)
    values = regime_values(regimes) | {"explained": f"{settings_found.explained:.0%}"}
    trial = _tried(search, regimes, plan)
    if trial is None:
        return RegimeDecision(None, least, (Decision("off", "regimes.not_tried", values, setting=SETTING),))
    values |= {
        "without": f"{trial.without:.3g}",
        "within": f"{trial.within:.3g}",
        "change": f"{abs(trial.within / trial.without - 1):.1%}",
        "blocks": trial.blocks,
    }
    if not trial.clear:
        return RegimeDecision(None, least, (Decision("off", "regimes.no_help", values, setting=SETTING),))
    return RegimeDecision(
        settings_found, least, (Decision(settings_found.columns, "regimes.help", values, setting=SETTING),)
    )


def regimes_of(
    search: RegimeSearch, plan: Plan, choice: RegimeDecision | None
) -> tuple[Regimes | None, RegimeDecision]:
    """The regimes of a table by a choice that was made for it, or is made now."""
    for made in (choice, None):
        made = made or choose_regimes(search, plan)
        if made.settings is None:
            return None, made
        regimes = fit_regimes(search, made.settings, made.least_rows, plan.scaling.inputs)
        if regimes is not None:  # else the rows that teach have changed since, and no longer show them
            return regimes, made
    return None, RegimeDecision(None, LEAST_ROWS)


def fit_regimes(search: RegimeSearch, settings: Settings, least_rows: int, scaling: str) -> Regimes | None:
    """The regimes that these settings show in the rows that teach."""
    moved = moved_inputs(search.spec.inputs, settings.columns, search.kept)
    if not moved or not set(settings.columns) <= set(search.spec.inputs):
        return None
    return find_regimes(search.table, settings, moved, rows=search.rows, least_rows=least_rows, scaling=scaling)


def regime_values(regimes: Regimes) -> dict[str, Any]:
    """What there is to say of regimes, for a sentence."""
    sizes = [f"{label} ({rows:,})" for label, rows in zip(regimes.labels, regimes.rows, strict=True)]
    pooled = [label for label, few in zip(regimes.labels, regimes.pooled, strict=True) if few]
    return {
        "count": len(regimes.labels),
        "tags": ", ".join(regimes.tags),
        "sizes": "; ".join(sizes[:12]) + (" …" if len(sizes) > 12 else ""),
        "pooled": len(pooled),
        "least": regimes.least_rows,
    }


def _asked(search: RegimeSearch, asked: RegimePlan) -> Settings:
    coded = {coding.tag.name: coding.columns for coding in search.codings}
    columns: list[str] = []
    for name in asked.tags:
        used = [column for column in coded.get(name, (name,)) if column in search.spec.inputs]
        if not used:
            raise PlanError("regimes.no_input", tag=name, names=", ".join(search.spec.inputs))
        columns += used
    stated = all(name in coded for name in asked.tags)
    if asked.kind == "state" and not stated:
        name = next(name for name in asked.tags if name not in coded)
        raise PlanError("regimes.no_state", tag=name)
    kind = asked.kind or ("state" if stated else "levels")
    settings = Settings(tuple(sorted(columns)), kind, asked.count)
    if asked.kind is None and kind == "levels" and fit_regimes(search, settings, 2, "standard") is None:
        return replace(settings, kind="clusters")
    return settings


@dataclass(frozen=True)
class _Comparison:
    """Relative held-out errors without and with regimes; clear: whether regimes are clearly better."""

    without: float
    within: float
    clear: bool
    blocks: int


def _tried(search: RegimeSearch, regimes: Regimes, plan: Plan) -> _Comparison | None:
    """The comparison on blocks that are held out in turn; None where it cannot be made."""
    spec = search.spec
    if spec.answer != "row" or set(spec.targets) & set(spec.inputs) or not spec.targets:
        return None
    if spec.lookback is not None and plan.windows.lookback == "auto":
        spec = replace(spec, lookback=LOOKBACK)
    blocks = _blocks(search, search.table, spec)
    if blocks is None or len(blocks) < 3:
        return None
    levelled = regimes.apply(search.table, search.measured).table
    kinds = {"inputs": plan.scaling.inputs, "target": plan.scaling.target}
    errors = []
    for table in (search.table, levelled):
        scalers = fit_scalers(table, spec, rows=search.rows, **kinds)
        windows = replace(blocks.pool, table=table).scaled(*scalers)
        with few_threads(windows):
            errors.append(_held_out(blocks, windows, plan.training.seed))
    without, within = (each[:, each.mean(axis=0).argmin()] for each in errors)
    change = np.log(np.maximum(within, 1e-300)) - np.log(np.maximum(without, 1e-300))
    doubt = 2 * change.std(ddof=1) / np.sqrt(len(change))
    clear = change.mean() < np.log(1 - GAIN) and change.mean() + doubt < 0
    return _Comparison(float(without.mean()), float(within.mean()), bool(clear), len(blocks))


def _blocks(search: RegimeSearch, table: Table, spec: WindowSpec) -> Blocks | None:
    parts = []
    for part, most in ((SplitPart.TRAIN, MOST_WINDOWS), (SplitPart.VALIDATION, MOST_WINDOWS // 4)):
        try:
            windows = search.task.target.training_windows(build_windows(table, spec, split=search.split, part=part))
        except InputError:
            return None
        parts.append(windows.subset(sampled(len(windows), most)))
    return block_windows(*parts) if min(map(len, parts)) else None


def _held_out(blocks: Blocks, windows: Windows, seed: int) -> Floats:
    """(blocks, models) the relative error of each quick model on each block."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    form = FlatView.of(windows, "statistics")
    x = np.vstack([form.of_batch(windows.gather(block)) for block in np.array_split(windows.all_indices, 8)])
    y = (
        np.eye(len(windows.classes))[windows.truth()[:, 0].astype(np.intp)]
        if windows.classes
        else windows.scaled_targets()
    )
    by_block = []
    for block in blocks.blocks:
        teach, ask = x[block.taught].astype(np.float64), x[block.indices].astype(np.float64)
        answers, truth = y[block.taught], y[block.indices]
        size = np.sqrt(((truth - answers.mean(axis=0)) ** 2).mean()) or 1.0
        trees = np.column_stack(
            [
                HistGradientBoostingRegressor(max_iter=80, max_leaf_nodes=15, early_stopping=False, random_state=seed)
                .fit(teach, column)
                .predict(ask)
                for column in answers.T
            ]
        )
        errors = [*_ridge(teach, answers, ask, truth), np.sqrt(((trees - truth) ** 2).mean())]
        by_block.append(np.array(errors) / size)
    return np.array(by_block)


def _ridge(x: Floats, y: Floats, ask: Floats, truth: Floats) -> list[float]:
    """Held-out errors of ridge regression, one per penalty."""
    center, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 1e-9, spread, np.inf)
    x, ask, middle = (x - center) / spread, (ask - center) / spread, y.mean(axis=0)
    gram, moment = x.T @ x, x.T @ (y - middle)
    fits = (np.linalg.solve(gram + strength * len(x) * np.eye(len(gram)), moment) for strength in PENALTIES)
    return [float(np.sqrt(((ask @ fit + middle - truth) ** 2).mean())) for fit in fits]
