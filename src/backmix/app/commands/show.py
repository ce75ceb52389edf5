"""``backmix show``: the content of a bundle or run folder.

This module prints the verdict, the scores, the tags and the network of a bundle or run folder.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.show"))
    def show(
        what: Path = typer.Argument(..., help=say("app.arg_bundle_or_run")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.outcome import show_bundle, show_run
        from backmix.results.run import Run
        from backmix.serving.bundle import Bundle

        if what.is_dir():
            show_run(Run.load(what), as_json=as_json)
        else:
            show_bundle(Bundle.load(what), as_json=as_json)
