"""``backmix explain``: what the network of a run does inside.

This module looks into the network of a finished run and writes a page about it in each language.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("insight.help"))
    def explain(
        run: Path = typer.Argument(..., help=say("insight.arg_run")),
        at: str | None = typer.Option(None, "--at", help=say("insight.opt_at")),
        rows: int | None = typer.Option(None, "--rows", help=say("insight.opt_rows")),
        target: str | None = typer.Option(None, "--target", help=say("insight.opt_target")),
        data: Path | None = typer.Option(None, "--data", help=say("insight.opt_file")),
        out: Path | None = typer.Option(None, "--out", "-o", help=say("insight.opt_out")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.screen import show_json, show_line
        from backmix.explanation import explain as look_inside

        explanation = look_inside(run, data=data, at=at, rows=rows, target=target, out=out)
        if as_json:
            show_json(
                {
                    **explanation.insight.to_dict(),
                    "sentences": list(explanation.sentences),
                    "pages": {lang: str(page) for lang, page in explanation.pages.items()},
                }
            )
            return
        for sentence in explanation.sentences:
            show_line(f"• {sentence}")
        show_line(say("insight.pages_at", where=explanation.page))
