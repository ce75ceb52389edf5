"""``backmix advise``: what "auto" would become for a plan, and why, without training.

This module prints the choices with their reasons and the size of the network.
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
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.outcome import show_advice
        from backmix.data.sources import read
        from backmix.serving.bundle import start_of
        from backmix.training.design import design
        from backmix.training.plan import Plan
        from backmix.training.prepare import prepare

        wanted = Plan.load(plan)
        prepared = prepare(read(wanted.data, base=plan.parent), wanted, start=start_of(wanted, plan.parent))
        show_advice(prepared, design(prepared), as_json=as_json)
