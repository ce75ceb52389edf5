"""``backmix convert``: a file as a folder that is read from disk as rows are needed.

This module converts a table that may be larger than memory.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.convert"))
    def convert(
        file: Path = typer.Argument(..., help=say("app.arg_file")),
        out: Path | None = typer.Option(None, "--out", "-o", help=say("app.opt_convert_out")),
        time: str | None = typer.Option(None, "--time", help=say("app.opt_time")),
        time_zone: str | None = typer.Option(None, "--time-zone", help=say("app.opt_time_zone")),
        batch: str | None = typer.Option(None, "--batch", help=say("app.opt_batch")),
        data: list[str] = typer.Option([], "--data", help=say("app.opt_data")),
        force: bool = typer.Option(False, "--force", help=say("app.opt_convert_force")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.data_options import data_section, without_plan
        from backmix.app.outcome import show_ledger
        from backmix.app.screen import note, show_json, show_line
        from backmix.data.reading.mapped import map_file
        from backmix.errors import InputError, StorageError

        folder = out or file.with_suffix(".table")
        if file.is_dir():
            raise InputError("app.convert_folder", where=file)
        if folder.exists() and not (folder.is_dir() and (force or not any(folder.iterdir()))):
            raise StorageError("app.convert_exists", where=folder)
        settings = data_section(data, {"file": str(file), "time": time, "time_zone": time_zone, "batch": batch})
        with without_plan():
            reading = map_file(settings, folder)
        rows, tags = len(reading.table), len(reading.table.tags)
        size = sum(path.stat().st_size for path in folder.iterdir())
        if as_json:
            show_json({"rows": rows, "tags": tags, "bytes": size, "where": str(folder)})
        else:
            note(say("app.converted", rows=rows, tags=tags, megabytes=f"{size / 1e6:.1f}", where=folder.as_posix()))
            show_line(str(folder))
        show_ledger(reading.ledger)
