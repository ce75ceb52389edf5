"""What a plant without a model says of a running batch: it will take as long as they usually do.

This module registers the mean length of the training batches less the time that has passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.progress import SECONDS, edges, passed
from backmix.decision import Decision
from backmix.simple import Again, baselines
from backmix.tasks import Outcome

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task


@dataclass(frozen=True, eq=False)
class UsualLength:
    """The time that remains of a batch of usual length, never below zero.

    length: (G,) mean length of the training batches, in ``unit``
    """

    length: NDArray[np.float64]
    unit: str
    decisions: tuple[Decision, ...] = ()
    learn_again: Again | None = None

    def predict(self, windows: Windows) -> Outcome:
        since = passed(windows.table, self.unit)[windows.origins]
        return Outcome(values=np.maximum(self.length - since[:, None], 0.0))


@baselines.register("usual_length")
def fit_usual_length(train: Windows, validation: Windows | None, task: Task, seed: int) -> UsualLength:
    """The mean over the training batches of time that has passed plus time that remains, less the former."""
    unit = task.targets[0].unit
    unit = unit if unit in SECONDS and train.table.time is not None else "rows"
    whole = passed(train.table, unit)[train.origins, None] + train.truth()
    first, _ = edges(train.table)
    starts, batch, counts = np.unique(first[train.origins], return_inverse=True, return_counts=True)
    length = (1.0 / counts[batch]) @ whole / len(starts)  # each batch counts the same, however long
    return UsualLength(
        length,
        unit,
        (
            Decision(
                float(length[0]),
                "course.usual_length",
                {"length": f"{length[0]:.4g}", "unit": unit},
                setting="baseline.usual_length",
            ),
        ),
        lambda windows: fit_usual_length(windows, None, task, seed),
    )
