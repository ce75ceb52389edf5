"""``backmix run``: a plan from the table to the report.

This module runs a plan, or goes on with one that was interrupted.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.app.backend import Backend
from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.run"))
    def run(
        plan: Path = typer.Argument(..., help=say("app.arg_plan")),
        folder: Path | None = typer.Option(None, "--folder", help=say("app.opt_folder")),
        resume: bool = typer.Option(False, "--resume", help=say("app.opt_resume")),
        seed: int | None = typer.Option(None, "--seed", min=0, help=say("app.opt_seed")),
        warm_start: Path | None = typer.Option(None, "--warm-start", help=say("warm.option")),
        workers: int = typer.Option(1, "--workers", min=1, help=say("ensemble.opt_workers")),
        on: Backend = typer.Option(Backend.local, "--on", help=say("backtest.opt_on")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.outcome import show_run
        from backmix.parallel import Workers
        from backmix.results.claim import run_folder
        from backmix.training.plan import Plan
        from backmix.workflow import fit

        plan_read = Plan.load(plan)
        if seed is not None:
            plan_read = plan_read.merged({"training": {"seed": seed}})
        if warm_start is not None:
            plan_read = plan_read.merged({"training": {"warm_start": str(warm_start.absolute())}})
        where = folder or run_folder(plan.stem, resume=resume)
        show_run(
            fit(
                None,
                plan_read,
                folder=where,
                resume=resume,
                base=plan.parent,
                quiet=as_json,
                workers=Workers(workers, on.value),
            ),
            as_json=as_json,
        )
