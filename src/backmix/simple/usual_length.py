"""What a plant without a model says of a running batch: it will take as long as they usually do.

This module registers the mean length of the training batches less the time that has passed. Where that time is an
input, it is a member of ensembles, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.progress import SECONDS, edges, passed
from backmix.data.windows.slices import slices
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.models.members.member import Member
from backmix.outcome import Outcome
from backmix.simple import Fitted, Floats, SimpleModel, simple_model
from backmix.simple.trial import Trial, WindowSubset


@dataclass(frozen=True, eq=False)
class UsualLength(SimpleModel):
    """The time that remains of a batch of usual length, never below zero.

    length: (G,) mean length of the training batches, in ``unit``
    clock: which of how many inputs is the time that has passed, and its centre and scale; None where none is
    answers: centre and scale of scaled answers, (G,) each
    """

    length: NDArray[np.float64]
    unit: str
    clock: tuple[int, int, float, float] | None = None
    answers: tuple[Floats, Floats] | None = None

    def predict(self, windows: Windows) -> Outcome:
        since = passed(windows.table, self.unit)[windows.origins]
        return Outcome(values=np.maximum(self.length - since[:, None], 0.0))

    def to_member(self) -> Member | None:
        """A rectified line on the time that has passed, so that what remains is never below zero."""
        if self.clock is None or self.answers is None:
            return None
        column, features, center, scale = self.clock
        goals, (level, spread) = len(self.length), self.answers
        kernel = np.zeros((features, goals))
        kernel[column] = -1.0
        arrays: dict[str, NDArray[Any]] = {  # hidden units are lengths in units of the clock's scale
            "kernel": kernel.astype(np.float32),
            "bias": ((self.length - center) / scale).astype(np.float32),
            "head": np.diag(scale / spread),
            "level": -level / spread,
        }
        return Member("usual_length", "last", "perceptron", arrays)

    def raw(self, windows: Windows) -> Floats:
        """(W, G) scaled answers, as the member gives them."""
        member = self.to_member()
        if member is None:
            return np.full((len(windows), len(self.length)), np.nan)
        parts = [member.outputs(batch.x, batch.mask) for batch in map(windows.gather, slices(windows))]
        return np.concatenate(parts) if parts else np.empty((0, len(self.length)))


@simple_model("usual_length", "regression", member=True, title={"en": "usual batch length", "zh_TW": "平均批次長度"})
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
        return UsualLength((1.0 / counts[batch]) @ whole / len(starts), unit, clock, answers)

    clock, answers = _clock(trial.folds[-1].taught.windows, unit), _answers(trial.final.base)
    final, models = learn(trial.final), [learn(fold.taught) for fold in trial.folds]
    values = {"length": f"{final.length[0]:.4g}", "unit": unit}
    return Fitted(
        final,
        models[-1],
        tuple(model.raw(fold.held_out.windows) for model, fold in zip(models, trial.folds, strict=True)),
        (Decision(float(final.length[0]), "course.usual_length", values, setting="usual_length"),),
    )


def _clock(windows: Windows, unit: str) -> tuple[int, int, float, float] | None:
    """The input that is the time since the batch began: place, number of inputs, centre and scale; None without one."""
    spec, scaler = windows.spec, windows.scaler
    since = passed(windows.table, unit)[windows.origins]
    if scaler is None or spec.dead_time or spec.horizon or not _counted_down(windows, since):
        return None
    for column, name in enumerate(spec.inputs):
        if np.array_equal(windows.table.column(name)[windows.origins], since):
            return column, len(spec.feature_names), float(scaler.center[column]), float(scaler.scale[column])
    return None


def _counted_down(windows: Windows, since: Floats) -> bool:
    """Whether the targets are what is left of each batch: together with what has passed they do not change in it."""
    whole = since[:, None] + windows.truth()
    first = edges(windows.table)[0][windows.origins]
    same = first[1:] == first[:-1]
    return bool(same.any()) and bool(np.allclose(whole[1:][same], whole[:-1][same]))


def _answers(windows: Windows) -> tuple[Floats, Floats] | None:
    """Centre and scale of scaled answers; None where they are not the plain targets on one row."""
    scaler, spec = windows.target_scaler, windows.spec
    plain = spec.answer == "row" and spec.relative == "none" and windows.told is None
    return (scaler.center, scaler.scale) if scaler is not None and plain else None
