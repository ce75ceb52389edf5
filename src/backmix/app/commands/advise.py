"""``backmix advise``: what "auto" would become for a plan, and why, without training.

This module prints the choices with their reasons, the size of the network, and the dead times of the tags.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.advise"))
    def advise(
        plan: Path = typer.Argument(..., help=say("app.arg_plan")),
        picture: Path | None = typer.Option(None, "--picture", help=say("dead_time.opt_picture")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.delays import save_picture
        from backmix.app.outcome import show_advice
        from backmix.data.sources import read
        from backmix.errors import PlanError
        from backmix.serving.bundle import start_of
        from backmix.training.delays import scan_prepared
        from backmix.training.design import design
        from backmix.training.plan import Plan
        from backmix.training.prepare import prepare

        wanted = Plan.load(plan)
        prepared = prepare(read(wanted.data, base=plan.parent), wanted, start=start_of(wanted, plan.parent))
        seen = scan_prepared(prepared)
        show_advice(prepared, design(prepared), dead_times=seen, as_json=as_json)
        if picture is not None:
            if seen is None:
                raise PlanError("dead_time.not_here", task=prepared.task.name, target=prepared.task.targets[0].name)
            save_picture(seen, picture)
