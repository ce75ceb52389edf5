"""``backmix audit``: how a table is laid out and what is wrong with it, before it is used for training.

This module looks at a file and shows its layout with the evidence, the questions that the file leaves open, and the
audit of its table. What is shown while a question is open is the table under the first answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.audit"))
    def audit(
        files: list[Path] = typer.Argument(..., metavar="FILE...", help=say("draft.arg_files")),
        time: str | None = typer.Option(None, "--time", help=say("app.opt_time")),
        time_zone: str | None = typer.Option(None, "--time-zone", help=say("app.opt_time_zone")),
        batch: str | None = typer.Option(None, "--batch", help=say("app.opt_batch")),
        layout: Path | None = typer.Option(None, "--layout", help=say("draft.opt_layout")),
        data: list[str] = typer.Option([], "--data", help=say("app.opt_data")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.data_options import data_section, without_plan
        from backmix.app.layout import show_detection
        from backmix.app.outcome import show_audit
        from backmix.data.auditing.audit import audit as look
        from backmix.data.layout.detect import detect

        named: dict[str, Any] = {"time": time, "time_zone": time_zone, "batch": batch}
        named["file"] = str(files[0]) if len(files) == 1 else [str(file) for file in files]
        named["layout"] = None if layout is None else str(layout)
        detection = detect(data_section(data, named))
        reading = detection.reading
        if reading is None:
            if not as_json:
                show_detection(detection, fault=True)
            assert detection.fault is not None
            with without_plan():
                raise detection.fault
        if not as_json:
            show_detection(detection)
        audited = look(reading.table, ledger=reading.ledger)
        show_audit(audited, reading, detection=detection if as_json else None)
