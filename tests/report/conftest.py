"""The made-up reports that the tests of the report and its figures read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from backmix.report.data import ReportData
from reports import batch_runs, classes, numbers, paths, told


@pytest.fixture(scope="session")
def every_report() -> tuple[Callable[[], ReportData], ...]:
    """Makes one report of every kind of task."""
    return (
        numbers,
        classes,
        paths,
        batch_runs,
        *(partial(told, name) for name in ("batch_end_time", "remaining_life", "anomaly_detection")),
    )


@pytest.fixture(scope="session")
def number_report() -> Callable[..., ReportData]:
    """Makes the report of a soft sensor."""
    return numbers


@pytest.fixture(scope="session")
def class_report() -> Callable[..., ReportData]:
    """Makes the report of a fault diagnosis."""
    return classes
