"""What is left of a backtest: its folder.

This module pools the folds, writes the report in both languages, the predictions and the summary, and
reads the summary of a finished one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.report.backtest import FoldsReport, FoldSummary, render_folds
from backmix.results.folders import PREDICTIONS, ResultFolder
from backmix.rolling.backtest_fold import BacktestFold
from backmix.scoring.comparison import BacktestResult, compare_with_baselines, scores_of
from backmix.scoring.scores import Sampling
from backmix.storage import json_ready, write_atomic, write_json
from backmix.text import LANGUAGES
from backmix.training.plan import Plan
from backmix.training.sections.folds import FoldLayout

if TYPE_CHECKING:
    from backmix.tasks import Task


class Backtest(ResultFolder):
    """A finished backtest.

    summary: verdict (per language), folds, scores over all folds, comparisons (``duels``), settings;
        ready for JSON
    predictions: of network and baselines; ``fold`` and ``seed`` count from 1, ``origin`` is a row of the whole table
    """

    summary_name = "backtest.json"
    needed = frozenset({"folds", "verdict", "scores", "duels", "settings"})
    missing = "backtest.no_backtest"


def record_backtest(
    folder: Path, plan: Plan, layout: FoldLayout, task: Task, folds: Sequence[BacktestFold]
) -> Backtest:
    """Write everything into a folder, the summary last."""
    import pandas as pd

    frame = pd.concat([fold.frame for fold in folds], ignore_index=True)
    sampling = Sampling(draws=plan.evaluation.resamples, level=plan.evaluation.level, seed=plan.training.seed)
    result = compare_with_baselines(frame, task, sampling=sampling, horizon_rows=folds[0].summary["horizon"])
    report = FoldsReport(
        task=task,
        folds=tuple(
            _over_seeds([fold for fold in folds if fold.number == number], task)
            for number in range(1, layout.count + 1)
        ),
        result=result,
        settings=_settings(plan, layout, folds),
        plan=plan.to_toml(),
        title=plan.report.title,
    )
    for lang in LANGUAGES:
        write_atomic(folder / f"report.{lang}.html", render_folds(report, lang))
    write_atomic(folder / PREDICTIONS, lambda file: frame.to_parquet(file))
    summary = json_ready(_summary(report, result, folds))
    write_json(folder / Backtest.summary_name, summary)
    return Backtest(folder=folder, summary=summary)


def _over_seeds(folds: Sequence[BacktestFold], task: Task) -> FoldSummary:
    """One fold with the scores of all its seeds."""
    import pandas as pd

    first = folds[0].summary
    return FoldSummary(
        number=folds[0].number,
        taught=tuple(first["taught"]),
        judged=tuple(first["judged"]),
        rows=first["rows"],
        windows=first["windows"]["test"],
        lookback=first["lookback"],
        scores=scores_of(pd.concat([fold.frame for fold in folds], ignore_index=True), task),
    )


def _settings(plan: Plan, layout: FoldLayout, folds: Sequence[BacktestFold]) -> dict[str, Any]:
    """The settings that were used, with what was left open."""
    reach = max(fold.summary["reach"] for fold in folds)
    return plan.backtest.model_dump(mode="json") | {
        "network": folds[0].summary["network"],
        "window_rows": layout.window,
        "embargo_rows": None if layout.whole and not layout.embargo else max(layout.embargo, reach),
        "whole_batches": layout.whole,
        "first_seed": plan.training.seed,
    }


def _summary(report: FoldsReport, result: BacktestResult, folds: Sequence[BacktestFold]) -> Mapping[str, Any]:
    return {
        "verdict": {lang: result.verdict(lang) for lang in LANGUAGES},
        "outcome": result.outcome,
        "worth": result.worth,
        "metric": result.metric,
        "unit": result.unit,
        "best_baseline": result.chosen,
        "best_on_test": result.best,
        "windows": result.windows,
        "scores": {name: spread.to_dict() for name, spread in result.scores.items()},
        "duels": [pair.to_dict() for pair in result.comparisons],
        "folds": [fold.to_dict() for fold in report.folds],
        "runs": [fold.summary for fold in folds],
        "settings": dict(report.settings),
        "plan": report.plan,
    }
