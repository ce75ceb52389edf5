"""``backmix predict``: a bundle on a new table.

This module writes predictions as CSV, to a file or to stdout.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.predict"))
    def predict(
        bundle: Path = typer.Argument(..., help=say("app.arg_bundle")),
        file: Path = typer.Argument(..., help=say("app.arg_file")),
        out: Path | None = typer.Option(None, "--out", "-o", help=say("app.opt_out")),
        data: list[str] = typer.Option([], "--data", help=say("app.opt_data")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.outcome import show_ledger
        from backmix.app.screen import note, show_json
        from backmix.app.told import told, without_plan
        from backmix.data.export import write_csv
        from backmix.serving.bundle import Bundle

        settings = told(data).model_dump(exclude_unset=True)
        with without_plan():
            frame, ledger = Bundle.load(bundle).predict_file(file, **settings)
        frame = frame.drop(columns=["part", "truth"])
        show_ledger(ledger)
        if out is not None:
            write_csv(frame, out)
            note(say("app.predicted", rows=len(frame), where=out))
            if as_json:
                show_json({"rows": len(frame), "file": str(out), "read": ledger.read})
        elif as_json:
            show_json(frame.to_dict(orient="records"))
        else:
            write_csv(frame, sys.stdout)
