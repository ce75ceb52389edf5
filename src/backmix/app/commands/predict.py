"""``backmix predict``: a bundle on a new table.

This module writes predictions as CSV, to a file or to stdout.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

import typer

from backmix.app.backend import Backend
from backmix.errors import PlanError
from backmix.text import say


class Mode(StrEnum):
    """How a long history is scored."""

    windows = "windows"
    carried = "carried"


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.predict"))
    def predict(
        bundle: Path = typer.Argument(..., help=say("app.arg_bundle")),
        file: Path = typer.Argument(..., help=say("app.arg_file")),
        out: Path | None = typer.Option(None, "--out", "-o", help=say("app.opt_out")),
        lab: Path | None = typer.Option(None, "--lab", help=say("lab.opt_lab")),
        data: list[str] = typer.Option([], "--data", help=say("app.opt_data")),
        history: Mode | None = typer.Option(None, "--history", help=say("app.opt_history")),
        time: str | None = typer.Option(None, "--time", help=say("app.opt_clock")),
        max_gap: float | None = typer.Option(None, "--max-gap", help=say("app.opt_max_gap")),
        workers: int = typer.Option(1, "--workers", min=1, help=say("ensemble.opt_scoring")),
        on: Backend = typer.Option(Backend.local, "--on", help=say("backtest.opt_on")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        if history is not None:
            _score(bundle, file, out, mode=history, time=time, max_gap=max_gap, as_json=as_json)
            return
        from backmix.app.data_options import data_section, without_plan
        from backmix.app.outcome import show_ledger
        from backmix.app.screen import note, show_json
        from backmix.data.export import readable, write_csv
        from backmix.parallel import Workers
        from backmix.serving.bundle import Bundle

        settings = data_section(data).model_dump(exclude_unset=True)
        model = Bundle.load(bundle)
        units = {tag.name: tag.unit for tag in model.preprocessing.task.targets}
        with without_plan():
            frame, ledger = model.predict_file(file, lab=lab, workers=Workers(workers, on.value), **settings)
        frame = frame.drop(columns=["part", "truth"])
        if out is not None:
            write_csv(readable(frame, units), out)
            note(say("app.predicted", rows=len(frame), where=out))
            if as_json:
                different = [entry.to_dict() for entry in ledger.differences]
                show_json({"rows": len(frame), "file": str(out), "read": ledger.read, "differences": different})
        elif as_json:
            show_json(frame.to_dict(orient="records"))
        else:
            write_csv(readable(frame, units), sys.stdout)
        show_ledger(ledger)  # shown last: no message may cost the predictions


def _score(
    bundle: Path, file: Path, out: Path | None, *, mode: Mode, time: str | None, max_gap: float | None, as_json: bool
) -> None:
    """A history of any length, block by block, with the light runtime."""
    from dataclasses import asdict

    from backmix.app.screen import note, show_json
    from backmix.serving.history import COMPARED, score_history
    from backmix.serving.runtime import Runtime

    if out is None:
        raise PlanError("app.history_out")
    account = score_history(Runtime.load(bundle), file, out, mode=mode.value, time=time, max_gap=max_gap)
    if as_json:
        show_json({**asdict(account), "file": str(out)})
        return
    values = asdict(account) | {"where": out}
    note(say("serving.scored", **values))
    if account.difference is not None:
        note(say("serving.carried_difference", difference=account.difference, rows=COMPARED))
    elif mode == "carried" and account.as_trained:
        note(say("carried.as_trained"))
    elif mode == "windows" and not account.as_trained:
        note(say("carried.windows_mode"))
