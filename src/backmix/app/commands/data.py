"""``backmix data``: public data sets and simulated plants by name.

This module lists them and gets one as files.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.text import language, say


def add(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help=say("app.data"), no_args_is_help=True)
    app.add_typer(group, name="data")

    @group.command("list", help=say("app.data_list"))
    def show_list(as_json: bool = typer.Option(False, "--json", help=say("app.opt_json"))) -> None:
        from backmix.app.screen import show_json, show_table
        from backmix.data.plants import plants
        from backmix.data.sets import available, sets

        rows = [
            (
                name,
                entry.title[language()],
                entry.licence,
                ", ".join(entry.plans),
                say("app.yes") if available(name) else say("app.no"),
            )
            for name, entry in sets
        ]
        rows += [
            (name, entry.title[language()], say("app.simulated"), ", ".join(entry.plans), say("app.yes"))
            for name, entry in plants
        ]
        if as_json:
            keys = ("name", "title", "licence", "protocols", "here")
            show_json([dict(zip(keys, row, strict=True)) for row in rows])
        else:
            show_table([say(f"app.col_{key}") for key in ("name", "title", "licence", "protocols", "here")], rows)

    @group.command("get", help=say("app.data_get"))
    def get(
        name: str = typer.Argument(..., help=say("app.arg_set")),
        out: Path | None = typer.Option(None, "--out", "-o", help=say("app.opt_table_out")),
        protocol: str | None = typer.Option(None, "--protocol", help=say("app.opt_protocol")),
    ) -> None:
        from backmix.app.data_options import known_source
        from backmix.app.screen import note, show_line
        from backmix.data.export import write_csv
        from backmix.data.plants import plants, simulate
        from backmix.data.sets import fetch, load, sets

        known_source(name)
        if name in plants:
            table = simulate(name).table
        elif out is None:
            for path in fetch(name).values():
                show_line(str(path))
            note(sets.get(name).citation)
            return
        else:
            table = load(name, protocol)
            note(sets.get(name).citation)
        frame = table.to_frame()
        if table.time is not None:
            frame = frame.reset_index()
        write_csv(frame, out or Path(f"{name}.csv"))
        show_line(str(out or f"{name}.csv"))
