"""One plan on one fold of a table: what a backtest and a search have in common.

This module defines `FoldJob`, which carries all that it takes to train on a fold, so that it can be done in any
process, and `FoldResult`. A fault in a worker would end all other jobs, so it is a part of the result; whoever
asked for the jobs raises it, with a note that names the fold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from backmix.data.sources import Reading
from backmix.data.table import Table
from backmix.errors import BackmixError, TrainingError
from backmix.training.fitting.warm import Start
from backmix.training.plan import Plan
from backmix.training.prepare import Divide, prepare
from backmix.training.prepared import Prepared

Job = TypeVar("Job", bound="FoldJob")
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldJob:
    """A plan on fold ``number`` of a table, for the time ``seed``; both are counted from 1.

    table: the whole table; rows: those that the fold may see, the first and the one behind the last
    divide: how the rows that it may see are divided; it can be pickled
    start: a model that training goes on from
    """

    table: Table
    plan: Plan
    number: int
    rows: tuple[int, int]
    divide: Divide
    seed: int = 1
    start: Start | None = None

    @property
    def visible(self) -> Table:
        """The rows that the fold may see."""
        return self.table.rows(slice(*self.rows))

    def prepared(self) -> Prepared:
        """The windows of the fold; repair rules, lookback and scalers are learned from its own training rows.

        Raises InputError when there are too few.
        """
        return prepare(Reading.of(self.visible), self.plan, start=self.start, divide=self.divide)


@dataclass(frozen=True, eq=False)
class FoldResult(Generic[Value]):
    """What came of a job in so many seconds: its value, or the fault that ended it."""

    number: int
    seed: int
    seconds: float
    value: Value | None = None
    fault: BackmixError | None = None

    def get(self, note: str) -> Value:
        """The value; a fault is raised with the note, which says what was tried."""
        if self.fault is not None:
            with noted(note):
                raise self.fault
        assert self.value is not None
        return self.value


def attempt(
    job: Job, work: Callable[[Job], Value], faults: type[BackmixError] | tuple[type[BackmixError], ...] = BackmixError
) -> FoldResult[Value]:
    """Do a job; errors of these kinds become the fault of the result, others are raised."""
    begun = time.monotonic()
    try:
        value = work(job)
    except TrainingError as fault:
        # one that diverged carries its network, which must not travel
        return FoldResult(
            job.number, job.seed, time.monotonic() - begun, fault=TrainingError(fault.key, **fault.values)
        )
    except faults as fault:
        return FoldResult(job.number, job.seed, time.monotonic() - begun, fault=fault)
    return FoldResult(job.number, job.seed, time.monotonic() - begun, value)


@contextmanager
def noted(note: str) -> Iterator[None]:
    """Add a note to an error of ours, such as the number of the fold that it happened in."""
    try:
        yield
    except BackmixError as fault:
        fault.add_note(note)
        raise
