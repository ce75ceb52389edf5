"""``backmix demo``: the whole main job on real data, or on the simulated plant.

This module chooses the input (a real data set when one can be had, else the simulated CSTR that
ships with the package), says which, and runs its standard plan.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import say

REAL = "debutanizer"
SIMULATED = "cstr"


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.demo"))
    def demo(
        name: str = typer.Argument("", help=say("app.arg_set")),
        protocol: str = typer.Option("", "--protocol", help=say("app.opt_protocol")),
        folder: Path | None = typer.Option(None, "--folder", help=say("app.opt_folder")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.data_options import known_source
        from backmix.app.outcome import show_run
        from backmix.app.screen import note
        from backmix.data.plants import plants
        from backmix.data.sets import sets
        from backmix.errors import InputError, Interrupted, PlanError
        from backmix.results.claim import run_folder
        from backmix.training.plan import Plan
        from backmix.workflow import fit

        chosen = name or REAL
        known_source(chosen)
        if chosen in sets:
            plans = sets.get(chosen).plans
            try:
                from backmix.data.sets import fetch

                fetch(chosen)
                note(say("app.demo_real", name=chosen))
            except InputError as fault:
                if name:
                    raise
                note(str(fault))
                chosen = SIMULATED
        if chosen not in sets:
            plans = plants.get(chosen).plans
            note(say("app.demo_simulated", name=chosen))
        if not plans:
            raise PlanError("app.demo_no_plan", name=chosen)
        key = protocol or next(iter(plans))
        if key not in plans:
            raise PlanError("app.demo_no_protocol", name=chosen, got=key, known=", ".join(plans))
        where = folder or run_folder(f"demo-{chosen}")
        try:
            run = fit(None, Plan.check(dict(plans[key])), folder=where, quiet=as_json)
        except Interrupted:
            raise Interrupted("app.demo_interrupted", where=where) from None
        show_run(run, as_json=as_json)
