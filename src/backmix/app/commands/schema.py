"""``backmix schema``: the JSON Schema of a plan, for editors that complete and check.

This module prints it.
"""

from __future__ import annotations

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.schema"))
    def schema() -> None:
        from backmix.app.screen import show_json
        from backmix.training.plan import json_schema

        show_json(json_schema())
