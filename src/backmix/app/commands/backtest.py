"""``backmix backtest``: a plan on several folds of its table.

This module runs the folds, prints a line for each that is finished, and the comparison at the end.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backmix.app.backend import Backend
from backmix.text import say

if TYPE_CHECKING:
    from backmix.rolling.backtest_fold import BacktestFold
    from backmix.rolling.backtest_record import Backtest


class Kind(StrEnum):
    """How a table is divided into folds."""

    expanding = "expanding"
    sliding = "sliding"
    batch = "batch"


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("backtest.command"))
    def backtest(
        plan: Path = typer.Argument(..., help=say("app.arg_plan")),
        data: Path | None = typer.Option(None, "--data", help=say("backtest.opt_data")),
        kind: Kind | None = typer.Option(None, "--kind", help=say("backtest.opt_kind")),
        folds: int | None = typer.Option(None, "--folds", help=say("backtest.opt_folds")),
        seeds: int | None = typer.Option(None, "--seeds", help=say("backtest.opt_seeds")),
        workers: int = typer.Option(1, "--workers", min=1, help=say("backtest.opt_workers")),
        on: Backend = typer.Option(Backend.local, "--on", help=say("backtest.opt_on")),
        folder: Path | None = typer.Option(None, "--folder", help=say("app.opt_folder")),
        resume: bool = typer.Option(False, "--resume", help=say("backtest.opt_resume")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.parallel import Workers
        from backmix.rolling.backtest import backtest

        options = {"kind": None if kind is None else kind.value, "folds": folds, "seeds": seeds}
        settings = {key: value for key, value in options.items() if value is not None}
        outcome = backtest(
            data,
            plan,
            settings=settings,
            workers=Workers(workers, on.value),
            folder=folder,
            resume=resume,
            watch=_Progress(),
        )
        _show(outcome, as_json=as_json)


class _Progress:
    """One line on stderr for every fold that is finished."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self, fold: BacktestFold, count: int) -> None:
        from backmix.app.screen import note, number
        from backmix.scoring.comparison import NETWORK
        from backmix.scoring.metrics import metrics
        from backmix.scoring.scores import model_title

        self.done += 1
        summary = fold.summary
        best = summary["best_baseline"]
        beside = (
            ""
            if best is None
            else say("backtest.told_baseline", name=model_title(best), score=number(summary["scores"][best]))
        )
        note(
            say(
                "backtest.told_fold",
                fold=fold.number,
                seed=fold.seed,
                done=self.done,
                count=count,
                metric=metrics.get(summary["metric"]).title(),
                network=number(summary["scores"][NETWORK]),
                baseline=beside,
                seconds=f"{summary['seconds']:.0f}",
            )
        )


def _show(outcome: Backtest, *, as_json: bool) -> None:
    from backmix.app.screen import show_json, show_line, show_table
    from backmix.scoring.metrics import metrics
    from backmix.scoring.scores import model_title

    summary = outcome.summary
    if as_json:
        show_json(outcome.to_dict())
        return
    comparisons: dict[str, Any] = {pair["baseline"]: pair for pair in summary["duels"]}
    rows = []
    for model, score in summary["scores"].items():
        pair = comparisons.get(model)
        rows.append(
            (
                model_title(model),
                score["mean"],
                score["deviation"],
                None if pair is None else pair["gain"],
                None if pair is None else pair["diebold_mariano"]["p_value"],
            )
        )
    unit = f" [{summary['unit']}]" if summary["unit"] else ""
    heads = [
        say("backtest.column_model"),
        say("backtest.column_score", metric=metrics.get(summary["metric"]).title()) + unit,
        *(say(f"backtest.column_{key}") for key in ("deviation", "gain", "p")),
    ]
    show_table(heads, rows)
    show_line(say("app.report_at", where=outcome.report_path()))
    show_line(outcome.verdict)
