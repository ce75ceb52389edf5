"""``backmix compare``: several runs side by side.

This module prints the first metric of each run with its interval and its best baseline.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.compare"))
    def compare(
        runs: list[Path] = typer.Argument(..., help=say("app.arg_runs")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.outcome import show_comparison
        from backmix.results.run import Run

        show_comparison([Run.load(folder) for folder in runs], as_json=as_json)
