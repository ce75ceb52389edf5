"""Every example plan runs from its file to a report, with fewer epochs than it would take."""

from __future__ import annotations

from pathlib import Path

import pytest

from backmix.tasks import tasks
from backmix.text import LANGUAGES
from backmix.training.plan import Plan
from backmix.workflow import fit

HERE = Path(__file__).parent.parent / "examples"
PLANS = sorted(HERE.glob("*.toml"))
QUICK = {"training": {"epochs": 2}, "evaluation": {"resamples": 50}}


@pytest.mark.parametrize("path", PLANS, ids=[path.stem for path in PLANS])
@pytest.mark.usefixtures("shared_data")
def test_an_example_runs_to_its_report(path: Path, tmp_path: Path) -> None:
    plan = Plan.load(path).merged(QUICK)
    run = fit(None, plan, folder=tmp_path / "run", base=HERE, quiet=True)
    assert run.summary["judgement"]["outcome"]
    assert run.summary["leakage"]
    assert all(result["passed"] is not False for result in run.summary["leakage"])
    for lang in LANGUAGES:
        assert (run.folder / f"report.{lang}.html").stat().st_size > 20_000
    assert run.bundle.recipe.task.name == plan.the_task.kind


def test_every_task_has_an_example_on_real_data_and_one_on_a_simulated_plant() -> None:
    plans = [Plan.load(path) for path in PLANS]
    for name in tasks.names():
        mine = [plan.data for plan in plans if plan.the_task.kind == name]
        assert any(data.set for data in mine), f"no example of {name} on real data"
        assert any(data.plant for data in mine), f"no example of {name} on a simulated plant"


def test_an_example_says_in_a_comment_how_it_is_run() -> None:
    for path in PLANS:
        assert f"backmix run examples/{path.name}" in path.read_text("utf-8")
