"""``backmix advise``: what a course says, what "auto" becomes, why, and what was measured, without training.

This module answers for a plan (with the dead times of its tags), for a situation without data, or with the whole
tree of the course.
"""

from __future__ import annotations

from pathlib import Path

import typer

from backmix.errors import PlanError
from backmix.text import say


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.advise"))
    def advise(
        plan: Path | None = typer.Argument(None, help=say("rules.arg_plan")),
        rows: int | None = typer.Option(None, "--rows", help=say("rules.opt_rows")),
        samples: int | None = typer.Option(None, "--samples", help=say("rules.opt_samples")),
        budget: str = typer.Option("tight", "--budget", help=say("rules.opt_budget")),
        task: str = typer.Option("soft_sensor", "--task", help=say("rules.opt_task")),
        tags: int = typer.Option(8, "--tags", help=say("rules.opt_tags")),
        picture: Path | None = typer.Option(None, "--picture", help=say("dead_time.opt_picture")),
        tree: bool = typer.Option(False, "--tree", help=say("rules.opt_tree")),
        as_json: bool = typer.Option(False, "--json", help=say("app.opt_json")),
    ) -> None:
        options = [
            name
            for name, value in (("--rows", rows), ("--samples", samples), ("--tree", tree or None))
            if value is not None
        ]
        if plan is not None:
            if options:
                raise PlanError("rules.two_situations", options=", ".join(options))
            _of_plan(plan, picture, as_json=as_json)
        elif tree:
            from backmix.app.advice import show_tree

            show_tree(as_json=as_json)
        elif rows is None or samples is None:
            raise PlanError("rules.no_situation")
        else:
            for option, number in (("--rows", rows), ("--samples", samples), ("--tags", tags)):
                if number < 1:
                    raise PlanError("rules.bad_number", option=option, got=number)
            _of_situation((rows, samples, tags), budget, task, as_json=as_json)


def _of_plan(plan: Path, picture: Path | None, *, as_json: bool) -> None:
    from backmix.app.delays import save_picture
    from backmix.app.outcome import show_advice
    from backmix.data.sources import read
    from backmix.serving.bundle import start_of
    from backmix.training.advice.delays import scan_prepared
    from backmix.training.design import design
    from backmix.training.plan import Plan
    from backmix.training.prepare import prepare

    plan_read = Plan.load(plan)
    prepared = prepare(read(plan_read.data, base=plan.parent), plan_read, start=start_of(plan_read, plan.parent))
    dead_times = scan_prepared(prepared)
    if picture is not None:
        if dead_times is None:
            raise PlanError("dead_time.not_here", task=prepared.task.name, target=prepared.task.targets[0].name)
        save_picture(dead_times, picture)
    show_advice(prepared, design(prepared), dead_times=dead_times, as_json=as_json)


def _of_situation(sizes: tuple[int, int, int], budget: str, task: str, *, as_json: bool) -> None:
    from backmix.app.advice import path_lines, show_counsel
    from backmix.app.screen import show_json
    from backmix.tasks import tasks
    from backmix.training.advice.counsel import kind_of, situation
    from backmix.training.advice.course_rules import CourseFacts
    from backmix.training.advice.measured import source

    for option, got, names in (("--budget", budget, ("tight", "ample")), ("--task", task, tuple(tasks.names()))):
        if got not in names:
            raise PlanError("rules.bad_choice", option=option, got=got, names=", ".join(names))
    rows, samples, tags = sizes
    facts = CourseFacts(
        rows=rows, samples=samples, budget="tight" if budget == "tight" else "ample", kind=kind_of(task)
    )
    counsel = situation(facts, tags=tags)
    if as_json:
        show_json({"path": path_lines(facts), "counsel": [advice.to_dict() for advice in counsel], "source": source()})
        return
    show_counsel(counsel)
