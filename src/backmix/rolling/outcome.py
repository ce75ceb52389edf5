"""What is left of a backtest: its folder.

This module pools the folds, writes the report in both languages, the predictions and the summary, and
reads the summary of a finished one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.errors import InputError
from backmix.report.backtest import FoldsReport, FoldSummary, render_folds
from backmix.scoring.comparison import BacktestResult, compare_with_baselines, scores_of
from backmix.scoring.scores import Sampling
from backmix.serving.folders import ResultFolder
from backmix.storage import write_atomic
from backmix.text import LANGUAGES
from backmix.training.plan import Plan
from backmix.training.sections.folds import FoldLayout

if TYPE_CHECKING:
    import pandas as pd

    from backmix.tasks import Task

SUMMARY = "backtest.json"
PREDICTIONS = "predictions.parquet"

Found = tuple[dict[str, Any], "pd.DataFrame"]
"""Summary and predictions of one fold and seed."""


class Backtest(ResultFolder):
    """A finished backtest.

    summary: verdict (per language), folds, scores over all folds, comparisons ("duels"), settings;
        ready for JSON
    """

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The prediction frame of network and baselines; ``fold`` and ``seed`` count from 1, ``origin`` is a
        row of the whole table."""
        import pandas as pd

        return pd.read_parquet(self.folder / PREDICTIONS)

    @classmethod
    def load(cls, folder: Path | str) -> Backtest:
        """A backtest from its folder; InputError (backtest.no_backtest) when it holds no finished one."""
        folder = Path(folder)
        try:
            summary = json.loads((folder / SUMMARY).read_text("utf-8"))
        except (OSError, ValueError):
            summary = None
        if not isinstance(summary, dict) or not summary.keys() >= {"folds", "verdict", "scores", "duels", "settings"}:
            raise InputError("backtest.no_backtest", where=folder)
        return cls(folder=folder, summary=summary)


def record_backtest(folder: Path, plan: Plan, layout: FoldLayout, task: Task, found: Sequence[Found]) -> Backtest:
    """Write everything into a folder, the summary last."""
    import pandas as pd

    frame = pd.concat([frame for _, frame in found], ignore_index=True)
    told = tuple(
        _told(number, [one for one in found if one[0]["fold"] == number], task) for number in range(1, layout.count + 1)
    )
    sampling = Sampling(draws=plan.evaluation.resamples, level=plan.evaluation.level, seed=plan.training.seed)
    over_all = compare_with_baselines(frame, task, sampling=sampling, horizon_rows=found[0][0]["horizon"])
    data = FoldsReport(
        task=task,
        folds=told,
        result=over_all,
        settings=_settings(plan, layout, found),
        plan=plan.to_toml(),
        title=plan.report.title,
    )
    for lang in LANGUAGES:
        write_atomic(folder / f"report.{lang}.html", render_folds(data, lang))
    write_atomic(folder / PREDICTIONS, lambda file: frame.to_parquet(file))
    summary = _plain(_summary(data, over_all, found))
    write_atomic(folder / SUMMARY, json.dumps(summary, ensure_ascii=False, allow_nan=False, indent=1))
    return Backtest(folder=folder, summary=summary)


def _told(number: int, found: Sequence[Found], task: Task) -> FoldSummary:
    """One fold with the scores of all its seeds."""
    import pandas as pd

    first = found[0][0]
    return FoldSummary(
        number=number,
        taught=tuple(first["taught"]),
        judged=tuple(first["judged"]),
        rows=first["rows"],
        windows=first["windows"]["test"],
        lookback=first["lookback"],
        scores=scores_of(pd.concat([frame for _, frame in found], ignore_index=True), task),
    )


def _settings(plan: Plan, layout: FoldLayout, found: Sequence[Found]) -> dict[str, Any]:
    """The settings that were used, with what was left open."""
    reach = max(summary["reach"] for summary, _ in found)
    return plan.backtest.model_dump(mode="json") | {
        "network": found[0][0]["network"],
        "window_rows": layout.window,
        "embargo_rows": None if layout.whole and not layout.embargo else max(layout.embargo, reach),
        "whole_batches": layout.whole,
        "first_seed": plan.training.seed,
    }


def _summary(data: FoldsReport, over_all: BacktestResult, found: Sequence[Found]) -> dict[str, Any]:
    return {
        "verdict": {lang: over_all.verdict(lang) for lang in LANGUAGES},
        "outcome": over_all.outcome,
        "worth": over_all.worth,
        "metric": over_all.metric,
        "unit": over_all.unit,
        "best_baseline": over_all.chosen,
        "best_on_test": over_all.best,
        "windows": over_all.windows,
        "scores": {name: spread.to_dict() for name, spread in over_all.scores.items()},
        "duels": [pair.to_dict() for pair in over_all.comparisons],
        "folds": [told.to_dict() for told in data.folds],
        "runs": [summary for summary, _ in found],
        "settings": dict(data.settings),
        "plan": data.plan,
    }


def _plain(value: Any) -> Any:
    """A value as JSON takes it: a number that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
