"""One PLS model per stage of a running batch.

This module registers local models of a batch: windows that reach equally far are modelled together, and finished
batches for themselves, because a stretch of a running batch is another thing than the same share of a finished one.
Where windows do not grow with a batch it is the plain PLS.

Ramaker, van Sprang, Westerhuis & Smilde, Fault detection properties of global, local and time
evolving models for batch process monitoring, J. Process Control 15 (2005) 799.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.progress import complete
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.models.members.member import Member
from backmix.outcome import Outcome
from backmix.simple import Fitted, Floats, SimpleModel, Unusable, simple_model
from backmix.simple.flat import FlatModel
from backmix.simple.pls import fit_pls
from backmix.simple.question import TaskQuestion
from backmix.simple.trial import Trial

NAME = "pls_evolving"
MOST_STAGES = 8
LEAST = 5
"""Windows of a stage that must be left to teach it while a block is held out."""


@dataclass(frozen=True, eq=False)
class Staged(SimpleModel):
    """The models by their stage; ends: (S - 1,) the longest windows of all running stages but the last.

    A stage that nothing was learned of is answered by the nearest one.
    """

    question: TaskQuestion
    models: Mapping[int, FlatModel]
    ends: NDArray[np.float64]

    def raw(self, windows: Windows) -> Floats:
        """(W, K) scaled numbers."""
        stage = stages(windows, self.ends)
        parts = {number: np.flatnonzero(stage == number) for number in np.unique(stage).tolist()}
        answers = np.empty((len(windows), next(iter(self.models.values())).member.arrays["bias"].shape[0]))
        for number, in_stage in parts.items():
            answers[in_stage] = self._nearest(number).raw(windows.subset(in_stage))
        return answers

    def predict(self, windows: Windows) -> Outcome:
        return self.question.outcome(self.raw(windows), windows)

    def to_member(self) -> Member | None:
        """None where windows do not grow: the plain PLS is a member already."""
        last = len(self.ends) + 1
        members = [self._nearest(number).to_member() for number in range(last + 1)]
        first = members[0]
        if last not in self.models or len(self.models) < 2 or first is None:
            return None
        arrays = {role: np.stack([member.arrays[role] for member in members if member]) for role in ("kernel", "bias")}
        return Member(NAME, first.view, "staged", {"ends": self.ends, **arrays})

    def _nearest(self, number: int) -> FlatModel:
        return self.models[min(self.models, key=lambda known: abs(known - number))]


@simple_model(NAME, "regression", member=True, title={"en": "PLS stage by stage", "zh_TW": "逐階段 PLS"})
def fit_evolving(trial: Trial) -> Fitted:
    """PLS models for windows of similar length, and one for batches that have ended."""
    ends = stage_ends(trial.final.windows)
    stage_fits: dict[int, Fitted] = {}
    for number in range(len(ends) + 2):
        mine = trial.only(lambda windows, number=number: stages(windows, ends) == number)  # type: ignore[misc]
        enough = all(len(fold.taught) >= LEAST for fold in mine.folds)
        if enough and any(len(fold.held_out) for fold in mine.folds):
            stage_fits[number] = fit_pls(mine)
    if not stage_fits:
        raise Unusable("simple.few_of_a_stage", least=LEAST)

    def staged(models: Mapping[int, FlatModel]) -> Staged:
        return Staged(trial.question, models, ends)

    final = staged({number: fitted.model for number, fitted in stage_fits.items()})  # type: ignore[misc]
    before = staged({number: fitted.before for number, fitted in stage_fits.items()})  # type: ignore[misc]
    components = ", ".join(str(fitted.decisions[0].value) for fitted in stage_fits.values())
    values = {"models": len(stage_fits), "components": components}
    return Fitted(
        final,
        before,
        _told(trial, stage_fits, ends),
        (Decision(len(stage_fits), "course.evolving", values, setting=NAME),),
    )


def _told(trial: Trial, stage_fits: Mapping[int, Fitted], ends: Floats) -> tuple[Floats, ...]:
    """What is said of held-out windows; of a stage without a model, the mean of what is said of the others."""
    out_of_fold = []
    for place, fold in enumerate(trial.folds):
        stage = stages(fold.held_out.windows, ends)
        answers = np.full((len(fold.held_out), trial.targets(fold.held_out).shape[1]), np.nan)
        for number, fitted in stage_fits.items():
            answers[stage == number] = fitted.out_of_fold[place]
        missing = ~np.isfinite(answers).all(axis=1)
        answers[missing] = answers[~missing].mean(axis=0)
        out_of_fold.append(answers)
    return tuple(out_of_fold)


def stage_ends(windows: Windows) -> Floats:
    """(S - 1,) the longest windows of all stages but the last; () where windows do not grow with a batch."""
    if not windows.spec.growing or windows.lengths is None:
        return np.empty(0)
    return np.unique(np.quantile(windows.lengths, np.linspace(0, 1, MOST_STAGES + 1)[1:-1])).astype(np.float64)


def stages(windows: Windows, ends: Floats) -> NDArray[np.int64]:
    """(W,) the stage of each window, the last one for batches that have ended; 0 where windows do not grow."""
    if not windows.spec.growing or windows.lengths is None:
        return np.zeros(len(windows), dtype=np.int64)
    return np.where(complete(windows), len(ends) + 1, np.searchsorted(ends, windows.lengths))
