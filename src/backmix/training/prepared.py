"""A table made ready for a network.

This module defines `Prepared`: the windows of every part, what turned the table into them, and what was decided
on the way. `training.prepare` makes it; whatever trains, judges, reports or looks inside reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

from backmix.data.ledger import Account, Ledger
from backmix.data.scaling.regimes import Codes
from backmix.data.segments import Mask
from backmix.data.splitting.split import Split
from backmix.data.table import Table
from backmix.data.windows.reach import rows_used
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.tasks import Task
from backmix.training.fitting.warm import Period, Start
from backmix.training.plan import Plan
from backmix.training.preprocessing import Preprocessing

RUNNING_BEFORE = "running_validation"
"""The part of the prediction frame with all windows of validation batches of which only some choose."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that training and evaluation need of the data.

    table: the repaired table, rows as in the windows
    preprocessing: what turned the table into windows; goes into the bundle
    train, validation, test: the windows that are judged, and that baselines learn from
    running: all windows of the test part where only some are judged (the last of each batch ...), else None
    training_samples: the windows of training and validation as the network learns them
    fitted_on: (N,) the rows that repair rules and scalers were learned from
    ledger, account: what was done to the rows, adding up
    decisions: what "auto" became
    start: the model that training goes on from, if any
    regime_codes: (N,) the operating regime of each row; None where rows are scaled all together
    """

    plan: Plan
    table: Table
    split: Split
    preprocessing: Preprocessing
    train: Windows
    validation: Windows
    test: Windows
    running: Windows | None
    training_samples: tuple[Windows, Windows]
    fitted_on: Mask
    ledger: Ledger
    account: Account
    decisions: tuple[Decision, ...]
    start: Start | None = None
    regime_codes: Codes | None = None

    @property
    def task(self) -> Task:
        """The task, bound to its target."""
        return self.preprocessing.task

    @property
    def parts(self) -> dict[str, Windows]:
        """The windows of each part by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def period(self) -> Period | None:
        """The time that a network and what it started from have learned from; None where it is not known."""
        period = Period.of(self.table, rows_used(self.train) | rows_used(self.validation))
        if self.start is None:
            return period
        earlier = self.start.period
        return None if period is None or earlier is None else period.joined(earlier)

    @property
    def scored(self) -> dict[str, Windows]:
        """The windows that network and baselines are asked about: those that choose, judge, and go beside."""
        choosing = self.task.judging.selection_windows(self.validation)
        # what was learned of running batches before the test part, so that their intervals can be calibrated
        before = {} if len(choosing) == len(self.validation) else {RUNNING_BEFORE: self.validation}
        running = {} if self.running is None else {"running": self.running}
        return {"validation": choosing, **before, "test": self.test, **running}
