"""A model that may be in charge, and how one is trained.

This module trains a challenger as a run trains its model, and lets any model predict any rows of a table
that is known up to some moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backmix.data.layout.detect import TrainingFile
from backmix.data.segments import Mask
from backmix.data.sources import Reading
from backmix.data.table import Table
from backmix.data.windows.windows import Windows
from backmix.errors import InputError
from backmix.results.summary import trained_on
from backmix.scoring.predictions import prediction_frame
from backmix.serving.bundle import Bundle
from backmix.training.design import design
from backmix.training.fitting.warm import Start
from backmix.training.plan import Plan
from backmix.training.predict import calibrate, predict_outcome
from backmix.training.prepare import Divide, prepare
from backmix.training.prepared import Prepared

if TYPE_CHECKING:
    import pandas as pd

    from backmix.training.ensemble import TrainedEnsemble


@dataclass(frozen=True, eq=False)
class Contender:
    """A model; since: the round whose challenger it was, 0 for the first champion."""

    bundle: Bundle
    since: int = 0

    def windows(self, table: Table, rows: Mask) -> Windows | None:
        """The windows whose target lies in some rows (N,) of a table; None when there is none."""
        try:
            windows, _ = self.bundle.preprocessing.windows(table, need_target=True)
        except InputError as fault:
            if not fault.key.startswith("windows."):
                raise
            return None
        chosen = windows.subset(rows[np.asarray(windows.target_rows)])
        return chosen if len(chosen) else None

    def frame(self, table: Table, rows: Mask, *, model: str, part: str) -> pd.DataFrame | None:
        """Its prediction frame of these rows, under the name ``model``; None when it has no window on them."""
        windows = self.windows(table, rows)
        if windows is None:
            return None
        task = self.bundle.preprocessing.task
        outcome = predict_outcome(self.bundle.network, task, windows)
        return prediction_frame(task, windows, outcome, model=model, part=part)


@dataclass(frozen=True, eq=False)
class TrainedContender:
    """A model that was just trained, the windows it was trained with, and the training itself."""

    prepared: Prepared
    bundle: Bundle
    ensemble: TrainedEnsemble


def train_contender(
    table: Table, plan: Plan, file: TrainingFile, *, start: Start | None = None, divide: Divide | None = None
) -> TrainedContender:
    """Train the model of a plan on a table that is known up to some moment; ``file``: where it was read from.

    Raises InputError when the rows are too few, TrainingError when training diverges.
    """
    from backmix.training.ensemble import ensemble_blocks, fit_model

    prepared = prepare(Reading.of(table), plan, start=start, divide=divide)
    chosen = design(prepared)
    ensemble = fit_model(prepared, chosen, ensemble_blocks(prepared))
    prepared = calibrate(prepared, ensemble.model)
    return TrainedContender(
        prepared,
        Bundle.of(
            ensemble.model,
            preprocessing=prepared.preprocessing,
            read=file.read,
            profile=file.profile,
            plan=plan.to_toml(),
            scores={"network": chosen.architecture.cell, "trained_on": trained_on(prepared)},
        ),
        ensemble,
    )


def one_network(plan: Plan) -> Plan:
    """The plan with one network alone, which another training can go on from."""
    return plan.model_copy(update={"model": plan.model.model_copy(update={"recipe": "course"})})


def places(table: Table, first: int, end: int) -> tuple[str, str]:
    """First and last of some rows: their times, or their numbers from 1 where there is no clock."""
    last = max(first, end - 1)
    if table.time is None:
        return str(first + 1), str(last + 1)
    return str(np.datetime64(table.time[first], "s")), str(np.datetime64(table.time[last], "s"))
