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

from backmix.decision import Decision
from backmix.simple import Again, baselines
from backmix.simple.linear import Linear, pls
from backmix.tasks import Outcome
from backmix.training.parts.evolving import stage_ends, stages

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task


@dataclass(frozen=True, eq=False)
class Evolving:
    """The models by their stage; ends: (S - 1,) the longest windows of all running stages but the last."""

    models: dict[int, Linear]
    ends: NDArray[np.float64]
    decisions: tuple[Decision, ...] = ()
    learn_again: Again | None = None

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


@baselines.register("pls_evolving")
def fit_evolving(train: Windows, validation: Windows | None, task: Task, seed: int) -> Evolving:
    """PLS models for windows of similar length, and one for finished batches."""
    ends = stage_ends(train)
    taught = stages(train, ends)
    checked = None if validation is None else stages(validation, ends)
    models: dict[int, Linear] = {}
    for number in np.unique(taught).tolist():
        mine = train.subset(taught == number)
        check = None if validation is None or checked is None else validation.subset(checked == number)
        models[number] = pls(mine, check if check is not None and len(check) else None)

    def learn(windows: Windows) -> Evolving:
        stage = stages(windows, ends)
        again = {
            number: old.learn_again(windows.subset(stage == number))
            if old.learn_again and (stage == number).any()
            else old
            for number, old in models.items()
        }
        return Evolving(again, ends, decisions, learn)  # type: ignore[arg-type]

    components = ", ".join(str(model.decisions[0].value) for model in models.values())
    decisions = (
        Decision(
            len(models),
            "course.evolving",
            {"models": len(models), "components": components},
            setting="baseline.pls_evolving",
        ),
    )
    return Evolving(models, ends, decisions, learn)
