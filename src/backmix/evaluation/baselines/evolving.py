"""One PLS model per stage of a running batch.

This module registers local models of a batch: windows that reach equally far are modelled together,
and finished batches for themselves, because a stretch of a running batch is another thing than the
same share of a finished one. Where windows do not grow with a batch it is the plain PLS.

Ramaker, van Sprang, Westerhuis & Smilde, Fault detection properties of global, local and time
evolving models for batch process monitoring, J. Process Control 15 (2005) 799.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.data.course import complete
from backmix.evaluation.baselines import baselines
from backmix.evaluation.baselines.linear import Linear, pls
from backmix.models.choice import Choice
from backmix.tasks import Outcome

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task

MOST_STAGES = 8
FINISHED = MOST_STAGES
"""The number of the model of finished batches."""


@dataclass(frozen=True, eq=False)
class Evolving:
    """The models by their stage; ends: (S - 1,) the longest windows of all running stages but the last."""

    models: dict[int, Linear]
    ends: NDArray[np.float64]
    choices: tuple[Choice, ...] = ()

    def predict(self, windows: Windows) -> Outcome:
        stage = stages(windows, self.ends)
        found = np.empty((len(windows), len(windows.spec.horizons) * len(windows.spec.targets)))
        for number in np.unique(stage).tolist():
            at = np.flatnonzero(stage == number)
            # a stage that nothing was learned of is told by the nearest one
            nearest = min(self.models, key=lambda known: abs(known - number))
            values = self.models[nearest].predict(windows.subset(at)).values
            assert values is not None
            found[at] = values
        return Outcome(values=found)


def stages(windows: Windows, ends: NDArray[np.float64]) -> NDArray[np.int64]:
    """(W,) the number of the model that each window is told by."""
    if not windows.spec.growing or windows.lengths is None:
        return np.zeros(len(windows), dtype=np.int64)
    return np.where(complete(windows), FINISHED, np.searchsorted(ends, windows.lengths))


@baselines.register("pls_evolving")
def fit_evolving(train: Windows, validation: Windows | None, task: Task, seed: int) -> Evolving:
    """PLS models for windows of similar length, and one for finished batches."""
    ends = np.empty(0)
    if train.spec.growing and train.lengths is not None:
        ends = np.unique(np.quantile(train.lengths, np.linspace(0, 1, MOST_STAGES + 1)[1:-1]))
    taught = stages(train, ends)
    checked = None if validation is None else stages(validation, ends)
    models: dict[int, Linear] = {}
    for number in np.unique(taught).tolist():
        mine = train.subset(taught == number)
        check = None if validation is None or checked is None else validation.subset(checked == number)
        models[number] = pls(mine, check if check is not None and len(check) else None)
    components = ", ".join(str(model.choices[0].value) for model in models.values())
    return Evolving(models, ends, (Choice(len(models), "course.evolving", {
        "models": len(models), "components": components}, setting="baseline.pls_evolving"),))
