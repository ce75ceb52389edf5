"""From a plant table to a recurrent model you can trust and run.

This module is the public face: nouns and verbs, loaded when first used, so that ``import backmix``
costs nothing.

    import backmix
    run = backmix.fit("plant.csv", backmix.Plan.load("plan.toml"))
    print(run.verdict)
    bundle = backmix.load(run.bundle_path)
    frame, ledger = bundle.predict_file("tomorrow.csv")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backmix.earlier import answer_earlier_names
from backmix.version import __version__

answer_earlier_names()

_HOMES = {
    "Tag": "backmix.data.tag",
    "Table": "backmix.data.table",
    "Windows": "backmix.data.windows.windows",
    "Task": "backmix.tasks",
    "Plan": "backmix.training.plan",
    "Run": "backmix.results.run",
    "Bundle": "backmix.serving.bundle",
    "audit": "backmix.data.auditing.audit",
    "read": "backmix.data.sources",
    "fit": "backmix.workflow",
    "load": "backmix.workflow",
    "explain": "backmix.explanation",
    "backtest": "backmix.rolling.backtest",
    "refit": "backmix.rolling.refit",
    "tune": "backmix.tuning.search",
    "RecurrentRegressor": "backmix.estimators",
    "RecurrentClassifier": "backmix.estimators",
}

if TYPE_CHECKING:
    from backmix.data.auditing.audit import audit as audit
    from backmix.data.sources import read as read
    from backmix.data.table import Table as Table
    from backmix.data.tag import Tag as Tag
    from backmix.data.windows.windows import Windows as Windows
    from backmix.estimators import RecurrentClassifier as RecurrentClassifier
    from backmix.estimators import RecurrentRegressor as RecurrentRegressor
    from backmix.explanation import explain as explain
    from backmix.results.run import Run as Run
    from backmix.rolling.backtest import backtest as backtest
    from backmix.rolling.refit import refit as refit
    from backmix.serving.bundle import Bundle as Bundle
    from backmix.tasks import Task as Task
    from backmix.training.plan import Plan as Plan
    from backmix.tuning.search import tune as tune
    from backmix.workflow import fit as fit
    from backmix.workflow import load as load

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'backmix' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
