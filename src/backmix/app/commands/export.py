"""``backmix export``: a bundle's network for other programs.

This module writes a registered export format.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.export"))
    def export(
        bundle: Path = typer.Argument(..., help=say("app.arg_bundle")),
        to: str = typer.Option("keras", "--to", help=say("app.opt_to")),
        out: Path | None = typer.Option(None, "--out", "-o", help=say("app.opt_out")),
    ) -> None:
        from backmix.app.screen import show_line
        from backmix.serving.bundle import Bundle
        from backmix.serving.exporters import exporters

        exporter = exporters.get(to)
        path = out or bundle.with_suffix(exporter.suffix)
        exporter.write(Bundle.load(bundle), path)
        show_line(str(path))
