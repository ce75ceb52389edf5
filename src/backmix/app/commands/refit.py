"""``backmix refit``: champion and challengers, forward in time.

This module refits a model round by round and prints each decision with its reason.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from backmix.text import say

if TYPE_CHECKING:
    from backmix.rolling.refit_record import Refit
    from backmix.scoring.rounds import Round


class Begin(StrEnum):
    """How a challenger begins."""

    warm = "warm"
    fresh = "fresh"


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("refit.command"))
    def refit(
        source: Path = typer.Argument(..., help=say("refit.arg_source")),
        data: Path | None = typer.Option(None, "--data", help=say("refit.opt_data")),
        old: Path | None = typer.Option(None, "--old", help=say("refit.opt_old")),
        every: str | None = typer.Option(None, "--every", help=say("refit.opt_every")),
        window: str | None = typer.Option(None, "--window", help=say("refit.opt_window")),
        start: Begin | None = typer.Option(None, "--start", help=say("refit.opt_start")),
        replay: float | None = typer.Option(None, "--replay", help=say("refit.opt_replay")),
        bound: str | None = typer.Option(None, "--bound", help=say("refit.opt_bound")),
        rounds: int | None = typer.Option(None, "--rounds", help=say("refit.opt_rounds")),
        folder: Path | None = typer.Option(None, "--folder", help=say("app.opt_folder")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        from backmix.app.screen import note
        from backmix.results.claim import run_folder
        from backmix.rolling.refit import refit

        options = {
            "every": every,
            "window": window,
            "start": None if start is None else start.value,
            "replay": replay,
            "bound": _number(bound),
            "rounds": rounds,
        }

        def watch(finished: Round, count: int) -> None:
            note(say("refit.told_round", number=finished.number, rounds=count, reason=finished.decision.reason()))

        outcome = refit(
            source,
            data,
            old=old,
            settings={key: value for key, value in options.items() if value is not None},
            folder=folder or run_folder(f"refit-{source.stem}"),
            watch=watch,
        )
        _show(outcome, as_json=as_json)


def _number(bound: str | None) -> float | str | None:
    """A bound as a plan writes it; what is no number is left to the plan to refuse."""
    try:
        return None if bound is None else float(bound)
    except ValueError:
        return bound


def _show(outcome: Refit, *, as_json: bool) -> None:
    from backmix.app.screen import show_json, show_line, show_table
    from backmix.text import language

    summary = outcome.summary
    if as_json:
        show_json(outcome.to_dict())
        return
    rows = [
        (
            entry["number"],
            *(
                None if entry[key] is None else entry[key]["value"]
                for key in ("in_charge", "never_updated", "baseline")
            ),
            entry["decision"]["reason"][language()],
        )
        for entry in summary["rounds"]
    ]
    heads = [say(f"refit.column_{key}") for key in ("round", "in_charge", "never", "baseline", "decision")]
    show_table(heads, rows)
    show_line(say("app.report_at", where=outcome.report_path()))
    since = summary["in_charge_since"]
    who = say("refit.of_round", number=since) if since else say("refit.first_champion")
    show_line(say("refit.champion_at", where=outcome.bundle_path, who=who))
    show_line(outcome.verdict)
