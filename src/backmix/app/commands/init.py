"""``backmix init``: a first plan for a table.

This module looks at files and writes a commented plan that `backmix run` accepts. What the files do not say is asked
on a terminal (``--interactive``), or named in one error. A plan that is there already is never overwritten unasked:
the difference is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backmix.text import say

if TYPE_CHECKING:
    from backmix.app.draft import Drafted, Wishes
    from backmix.data.sources import ReadPlan


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.init"))
    def init(
        files: list[Path] = typer.Argument(..., metavar="FILE...", help=say("draft.arg_files")),
        out: Path = typer.Option(Path("plan.toml"), "--out", "-o", help=say("app.opt_plan_out")),
        target: str | None = typer.Option(None, "--target", help=say("app.opt_target")),
        time: str | None = typer.Option(None, "--time", help=say("app.opt_time")),
        time_zone: str | None = typer.Option(None, "--time-zone", help=say("app.opt_time_zone")),
        batch: str | None = typer.Option(None, "--batch", help=say("app.opt_batch")),
        batches: Path | None = typer.Option(None, "--batches", help=say("draft.opt_batches")),
        lab: Path | None = typer.Option(None, "--lab", help=say("draft.opt_lab")),
        lab_option: list[str] = typer.Option([], "--lab-option", help=say("draft.opt_lab_option")),
        layout: Path | None = typer.Option(None, "--layout", help=say("draft.opt_layout")),
        save_layout: Path | None = typer.Option(None, "--save-layout", help=say("draft.opt_save_layout")),
        data: list[str] = typer.Option([], "--data", help=say("app.opt_data")),
        interactive: bool = typer.Option(False, "--interactive", "-i", help=say("draft.opt_interactive")),
        force: bool = typer.Option(False, "--force", help=say("app.opt_force")),
    ) -> None:
        from backmix.app.data_options import data_section, pairs, without_plan
        from backmix.app.draft import Wishes
        from backmix.app.drafting.asking import refuse_open
        from backmix.app.screen import note

        named: dict[str, Any] = {"time": time, "time_zone": time_zone, "batch": batch}
        named["file"] = str(files[0]) if len(files) == 1 else [str(file) for file in files]
        named["layout"] = None if layout is None else str(layout)
        named["batches"] = None if batches is None else {"file": str(batches)}
        settings = data_section(data, named)
        wishes = Wishes(
            target=target, lab=lab, lab_told=pairs(lab_option), layout=None if save_layout is None else str(save_layout)
        )
        with without_plan():
            drafted = _drafted(settings, wishes, out.parent, interactive=interactive)
        refuse_open(drafted.questions, ", ".join(map(str, files)))
        assert drafted.text is not None
        for line in drafted.shown():
            note(line)
        _write(drafted, out, save_layout, force=force)


def _drafted(settings: ReadPlan, wishes: Wishes, beside: Path, *, interactive: bool) -> Drafted:
    """The draft, after all questions were asked that a terminal can answer."""
    from dataclasses import replace

    from backmix.app.draft import propose
    from backmix.app.drafting.asking import ask, can_ask
    from backmix.training.plan import Plan

    drafted = propose(settings, wishes, beside=beside)
    while drafted.questions and interactive and can_ask():
        question = drafted.questions[0]
        answer = ask(question)
        section, _, key = question.key.rpartition(".")
        if section == "task":
            wishes = replace(wishes, target=answer)
        elif section == "data.lab":
            wishes = replace(wishes, lab_told={**wishes.lab_told, key: answer})
        else:
            section_given = settings.model_dump(exclude_unset=True) | {key: answer}
            settings = Plan.check({"data": section_given}, where=say("app.command_line")).data
        drafted = propose(settings, wishes, beside=beside)
    return drafted


def _write(drafted: Drafted, out: Path, layout: Path | None, *, force: bool) -> None:
    """Write plan and layout; over a plan that is there only the difference is shown, unless forced."""
    from difflib import unified_diff

    from backmix.app.screen import note, show_line
    from backmix.data.layout.layout import load_layout
    from backmix.errors import StorageError
    from backmix.storage import write_atomic

    assert drafted.text is not None
    if out.exists() and not force:
        edited = out.read_text("utf-8", errors="replace")
        for line in unified_diff(
            edited.splitlines(), drafted.text.splitlines(), str(out), say("draft.proposed"), lineterm=""
        ):
            show_line(line)
        if edited == drafted.text:
            note(say("draft.same", where=out))
            return
        raise StorageError("draft.exists", where=out)
    if layout is not None:
        if layout.exists() and not force:
            raise StorageError("app.exists", where=layout)
        write_atomic(layout, drafted.layout_text())
        load_layout(layout.name, layout.parent)  # what is written can be read
        note(say("draft.layout_saved", where=layout))
    write_atomic(out, drafted.text)
    note(say("app.init_done", where=out))
    show_line(str(out))
