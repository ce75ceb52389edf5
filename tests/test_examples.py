"""Every example plan runs from its file to a report, with fewer epochs than it would take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.tasks import Task, tasks
from backmix.text import LANGUAGES
from backmix.training.plan import Plan
from backmix.workflow import fit
from readings import reading_of

HERE = Path(__file__).parent.parent / "examples"
PLANS = sorted(HERE.glob("*.toml"))
RUN = [path for path in PLANS if "refit" not in Plan.load(path).to_dict()]
"""Plans that `backmix run` is meant for; those of a refit have a test of their own."""
STRIDES = {
    "remaining_life_cmapss": 20,
    "forecast_etth1": 12,
    "forecast_cstr": 4,
    "diagnosis_tennessee_eastman": 4,
    "diagnosis_per_step_tennessee_eastman": 4,
    "anomaly_cstr": 4,
}
"""Fewer training windows where a table has many."""


MIXED = ("soft_sensor_cstr", "batch_quality_batch_reactor")
"""Examples that run with the default recipe here; the others with one network, for the sake of time."""


def quick(path: Path) -> Plan:
    """The plan with two epochs of a small network, and two of the task's baselines beside it."""
    plan = Plan.load(path)
    names = plan.evaluation.baselines or Task.of(plan.the_task).judging.baselines
    # an ensemble trains as one network does, with much beside it; two examples show that
    model = {"units": [8]} if path.stem in MIXED else {"units": [8], "recipe": "course"}
    changes: dict[str, Any] = {
        "training": {"epochs": 2},
        "model": model,
        "evaluation": {"resamples": 20, "baselines": list(names[:2])},
    }
    if path.stem in STRIDES:
        changes["windows"] = {"stride": STRIDES[path.stem]}
    return plan.merged(changes)


@pytest.mark.parametrize("path", RUN, ids=[path.stem for path in RUN])
@pytest.mark.usefixtures("shared_data")
def test_an_example_runs_to_its_report(path: Path, tmp_path: Path) -> None:
    """Course items 74 to 80: from the file to the report in both languages, and to predictions without labels."""
    plan = quick(path)
    reading = reading_of(plan, HERE)
    run = fit(reading, plan, folder=tmp_path / "run", base=HERE, quiet=True)
    assert run.summary["judgement"]["outcome"]
    assert run.summary["leakage"]
    assert all(result["passed"] is not False for result in run.summary["leakage"])
    for lang in LANGUAGES:
        assert 20_000 < (run.folder / f"report.{lang}.html").stat().st_size < 3_000_000
    preprocessing = run.bundle.preprocessing
    assert preprocessing.task.name == plan.the_task.kind
    table = reading.table
    needed = [tag.name for tag in preprocessing.wanted if tag.name in table.names]
    some = table.rows(slice(0, 1500)) if table.batch is None else table.rows(np.asarray(table.batch) < 3)
    frame, _ = run.bundle.predict(some.select(needed))
    assert len(frame)
    assert frame["prediction"].notna().all()


def test_every_task_has_an_example_on_real_data_and_one_on_a_simulated_plant() -> None:
    plans = [Plan.load(path) for path in PLANS]
    for name in tasks.names():
        mine = [plan.data for plan in plans if plan.the_task.kind == name]
        assert any(data.set for data in mine), f"no example of {name} on real data"
        assert any(data.plant for data in mine), f"no example of {name} on a simulated plant"


def test_an_example_says_in_a_comment_how_it_is_run() -> None:
    for path in PLANS:
        command = "run" if path in RUN else "refit"
        assert f"backmix {command} examples/{path.name}" in path.read_text("utf-8")
