"""``backmix audit``: what is wrong with a table, before it is used for training.

This module reads a file and prints its audit.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.audit"))
    def audit(
        file: Path = typer.Argument(..., help=say("app.arg_file")),
        time: str | None = typer.Option(None, "--time", help=say("app.opt_time")),
        time_zone: str | None = typer.Option(None, "--time-zone", help=say("app.opt_time_zone")),
        batch: str | None = typer.Option(None, "--batch", help=say("app.opt_batch")),
        data: list[str] = typer.Option([], "--data", help=say("app.opt_data")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.data_options import data_section, without_plan
        from backmix.app.outcome import show_audit
        from backmix.data.auditing.audit import audit as look
        from backmix.data.sources import read

        settings = data_section(data, {"file": str(file), "time": time, "time_zone": time_zone, "batch": batch})
        with without_plan():
            reading = read(settings)
        show_audit(look(reading.table, ledger=reading.ledger), reading, as_json=as_json)
