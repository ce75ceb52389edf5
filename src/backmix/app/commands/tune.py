"""``backmix tune``: better settings for a plan, found on folds before the test part.

This module searches and prints the trials, which settings mattered, and where the plan is that was found.
It prints no score of the test part, for there is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from backmix.app.backend import Backend
from backmix.text import say

if TYPE_CHECKING:
    from backmix.tuning.record import Search, TrialRow


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("tune.command"))
    def tune(
        plan: Path = typer.Argument(..., help=say("app.arg_plan")),
        trials: int | None = typer.Option(None, "--trials", help=say("tune.opt_trials")),
        timeout: str | None = typer.Option(None, "--timeout", help=say("tune.opt_timeout")),
        folds: int | None = typer.Option(None, "--folds", help=say("tune.opt_folds")),
        storage: Path | None = typer.Option(None, "--storage", help=say("tune.opt_storage")),
        resume: bool = typer.Option(False, "--resume", help=say("tune.opt_resume")),
        workers: int | None = typer.Option(None, "--workers", help=say("tune.opt_workers")),
        on: Backend | None = typer.Option(None, "--on", help=say("backtest.opt_on")),
        folder: Path | None = typer.Option(None, "--folder", help=say("app.opt_folder")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.screen import note
        from backmix.results.claim import run_folder
        from backmix.tuning.record import shown_trial
        from backmix.tuning.search import tune

        options = {
            "trials": trials,
            "timeout": timeout,
            "folds": folds,
            "workers": workers,
            "on": None if on is None else on.value,
            "storage": None if storage is None else str(storage.absolute()),
        }

        def watch(row: TrialRow, count: int) -> None:
            note(shown_trial(row, count))

        search = tune(
            None,
            plan,
            settings={key: value for key, value in options.items() if value is not None},
            folder=folder or run_folder(f"tune-{plan.stem}", resume=resume),
            resume=resume,
            watch=watch,
        )
        _show(search, as_json=as_json)


def _show(search: Search, *, as_json: bool) -> None:
    from backmix.app.screen import show_json, show_line, show_table
    from backmix.tuning.record import error_title, shown_error, shown_settings

    summary = search.summary
    if as_json:
        show_json({**summary, "folder": str(search.folder), "tuned": str(search.plan_path)})
        return
    rows = sorted(search.rows, key=lambda row: (row.error is None, row.error, row.number))
    show_table(
        [
            say("tune.column_trial"),
            error_title(summary),
            say("tune.column_folds"),
            say("tune.column_seconds"),
            say("tune.column_settings"),
        ],
        [
            (
                row.number,
                shown_error(row.error, summary),
                " ".join(shown_error(error, {**summary, "unit": ""}) for error in row.folds),
                round(row.seconds),
                shown_settings(row),
            )
            for row in rows
        ],
    )
    if summary["importance"]:
        show_table(
            [say("tune.column_setting"), say("tune.column_importance")],
            [(name, f"{100 * share:.0f} %") for name, share in summary["importance"].items()],
        )
    for values in summary["left_out"].values():
        show_line(say("tune.left_out", values=", ".join(map(str, values))))
    show_line(say("tune.plan_at", where=search.plan_path))
    show_line(search.verdict)
    show_line(say("tune.no_test_score", where=search.plan_path))
