"""``backmix init``: a first plan for a table.

This module looks at a file and writes a commented plan that `backmix run` accepts.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.init"))
    def init(
        file: Path = typer.Argument(..., help=say("app.arg_file")),
        out: Path = typer.Option(Path("plan.toml"), "--out", "-o", help=say("app.opt_plan_out")),
        target: str | None = typer.Option(None, "--target", help=say("app.opt_target")),
        time: str | None = typer.Option(None, "--time", help=say("app.opt_time")),
        time_zone: str | None = typer.Option(None, "--time-zone", help=say("app.opt_time_zone")),
        batch: str | None = typer.Option(None, "--batch", help=say("app.opt_batch")),
        data: list[str] = typer.Option([], "--data", help=say("app.opt_data")),
        force: bool = typer.Option(False, "--force", help=say("app.opt_force")),
    ) -> None:
        from backmix.app.data_options import data_section, without_plan
        from backmix.app.draft import draft
        from backmix.app.screen import note, show_line
        from backmix.errors import StorageError
        from backmix.storage import write_atomic

        if out.exists() and not force:
            raise StorageError("app.exists", where=out)
        settings = data_section(data, {"time": time, "time_zone": time_zone, "batch": batch})
        with without_plan():
            text = draft(file, settings=settings, target=target, beside=out.parent)
        write_atomic(out, text)
        note(say("app.init_done", where=out))
        show_line(str(out))
