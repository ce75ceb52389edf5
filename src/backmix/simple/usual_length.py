"""What a plant without a model says of a running batch: it will take as long as they usually do.

This module registers the mean length of the training batches less the time that has passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.progress import SECONDS, edges, passed
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.outcome import Outcome
from backmix.simple import Fitted, SimpleModel, learned, simple_model
from backmix.simple.trial import Trial, WindowSubset


@dataclass(frozen=True, eq=False)
class UsualLength(SimpleModel):
    """The time that remains of a batch of usual length, never below zero.

    length: (G,) mean length of the training batches, in ``unit``
    """

    length: NDArray[np.float64]
    unit: str

    def predict(self, windows: Windows) -> Outcome:
        since = passed(windows.table, self.unit)[windows.origins]
        return Outcome(values=np.maximum(self.length - since[:, None], 0.0))


@simple_model("usual_length", "regression", title={"en": "usual batch length", "zh_TW": "平均批次長度"})
def fit_usual_length(trial: Trial) -> Fitted:
    """The mean over the training batches of time that has passed plus time that remains, less the former."""
    unit = trial.question.targets[0].unit
    unit = unit if unit in SECONDS and trial.final.base.table.time is not None else "rows"

    def learn(sample: WindowSubset) -> UsualLength:
        windows = sample.windows
        whole = passed(windows.table, unit)[windows.origins, None] + windows.truth()
        first, _ = edges(windows.table)
        starts, batch, counts = np.unique(first[windows.origins], return_inverse=True, return_counts=True)
        # each batch counts the same, however long
        return UsualLength((1.0 / counts[batch]) @ whole / len(starts), unit)

    length = float(learn(trial.final).length[0])
    values = {"length": f"{length:.4g}", "unit": unit}
    return learned(trial, learn, (Decision(length, "course.usual_length", values, setting="usual_length"),))
