"""Subjects that were really trained, shared by the tests that look into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backmix.data.plants import simulate
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.inspection.subject import Subject
from backmix.report.data import ReportData
from backmix.results.run import Run
from backmix.training.design import design
from backmix.training.fitting.fit import fit_network
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from reports import classes, numbers
from small import reading, small_plan, small_table

PIPE = 4


def trained(table: Table, plan: Plan, folder: Path) -> Subject:
    """The network that a plan gives, on its test part."""
    prepared = prepare(reading(table), plan)
    chosen = design(prepared, resume=False)
    fitted = fit_network(
        chosen.architecture, prepared.train, prepared.validation, settings=chosen.settings, folder=folder
    )
    return Subject.of(prepared, fitted.model, chosen.architecture)


@pytest.fixture(scope="session")
def sensor_subject(sensor_run: Run) -> Subject:
    """The network of the shared soft-sensor run."""
    prepared = prepare(reading(small_table()), small_plan())
    return Subject.of(prepared, sensor_run.bundle.network, sensor_run.bundle.architecture)


@pytest.fixture(scope="session")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    """By tag: a network that predicts what leaves a pipe 4 rows behind that tag of the simulated reactor."""
    plant = simulate("cstr", seed=3, days=3.0, faults=0, dirt=0.0, noise=20.0).table
    table = plant.select(["T_jacket", "q_feed", "T_feed"])
    plan = small_plan().merged(
        {
            "task": {"kind": "soft_sensor", "target": "T_out"},
            "windows": {"lookback": 16},
            "model": {"units": [16], "cell": "gru"},
            "training": {"epochs": 15, "batch_size": 32, "learning_rate": 0.01},
        }
    )
    found = {}
    for tag in ("T_feed", "T_jacket"):
        out = np.full(len(table), np.nan)
        out[PIPE:] = table.column(tag)[:-PIPE]
        piped = replace(
            table,
            values=np.column_stack([table.values, out]),
            tags=(*table.tags, Tag("T_out", unit="degC", role="target")),
        )
        found[tag] = trained(piped, plan, tmp_path_factory.mktemp("pipe"))
    return found


@pytest.fixture(scope="session")
def number_report() -> Callable[..., ReportData]:
    """Makes the report of a soft sensor."""
    return numbers


@pytest.fixture(scope="session")
def class_report() -> Callable[..., ReportData]:
    """Makes the report of a fault diagnosis."""
    return classes
