"""Whether a forecast that feeds on its own answers runs away.

This module lets a model run freely: from the first window of a stretch of the data to the end of the stretch, on
nothing but its own answers and what was planned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.tasks import Outcome, Task
from backmix.tasks.contract.optional import HasBounds

Model = TypeVar("Model")
MOST_FREE_RUNS, MOST_FREE_ROWS = 4, 5000
"""Stretches on which the model runs freely, and the rows of each."""
MATCHED = 1.05
"""The error of the mean, times this: what a free run may have at most."""


@dataclass(frozen=True)
class FreeRun:
    """How a model did on its own answers: RMSE in spreads of the targets, that of the training mean, rows at bounds."""

    error: float
    mean: float
    bounded: int
    rows: int

    @property
    def stable(self) -> bool:
        """Whether it stayed within bounds, and was no worse than the mean."""
        return self.bounded == 0 and self.error <= MATCHED * self.mean


def free_runs(task: Task, windows: Windows) -> list[Windows]:
    """For a network that rolls on where all inputs are planned: one window at the start of each of the
    longest stretches of the windows, whose path reaches to the stretch's end."""
    spec = windows.spec
    if not task.answer.recursive or set(spec.future) != set(spec.inputs) or not len(windows):
        return []
    breaks = np.flatnonzero(np.diff(windows.origins) != spec.stride) + 1
    stretches = np.split(np.arange(len(windows)), breaks)
    runs = []
    for stretch in sorted(stretches, key=len, reverse=True)[:MOST_FREE_RUNS]:
        rows = int(windows.target_rows[stretch[-1]] - windows.origins[stretch[0]])
        rows = min(rows, max(spec.horizon, MOST_FREE_ROWS))
        first = windows.subset(stretch[:1])
        runs.append(replace(first, spec=replace(spec, horizon=rows), target_rows=first.origins + rows))
    return sorted(runs, key=lambda run: int(run.origins[0]))


def run_on(says: Callable[[Windows], Outcome], task: Task, train: Windows, validation: Windows) -> FreeRun | None:
    """The free runs of a recursive forecast over the validation part; of whole paths where not all is planned.

    None where the task has no bounds, or there is nothing to run on.
    """
    answer = task.answer
    if not answer.recursive or not isinstance(answer, HasBounds) or answer.bounds is None or not len(validation):
        return None
    goals = len(validation.spec.targets)
    mean = train.truth().reshape(-1, goals).mean(axis=0)
    off, from_mean, bounded = [], [], 0
    low, high = answer.bounds
    for windows in free_runs(task, validation) or [validation]:
        values = says(windows).values
        assert values is not None
        predicted, truth = values.reshape(-1, goals), windows.truth().reshape(-1, goals)
        bounded += int(answer.at_bounds(predicted).any(axis=1).sum())
        off.append((predicted - truth) / (high - low))
        from_mean.append((mean - truth) / (high - low))
    return FreeRun(_rms(off), _rms(from_mean), bounded, sum(map(len, off)))


def settled(
    model: Model, risky: Sequence[str], run: Callable[[Model], FreeRun | None], anew: Callable[[frozenset[str]], Model]
) -> tuple[Model, tuple[Decision, ...]]:
    """The model, weighed anew without one member after the other of ``risky`` until it runs stably, and the decision.

    risky: names of the members that feed on their own answers; run: lets a model run freely, None where it cannot
    anew: the model without some members
    """
    left_out: list[str] = []
    after = before = run(model)
    for name in risky:
        if after is None or after.stable:
            break
        left_out.append(name)
        model = anew(frozenset(left_out))
        after = run(model)
    if after is None or before is None:
        return model, ()
    values = {
        "rows": f"{before.rows:,}",
        "error": f"{before.error:.3g}",
        "mean": f"{before.mean:.3g}",
        "bounded": f"{before.bounded:,}",
        "names": ", ".join(left_out),
        "after": f"{after.error:.3g}",
    }
    key = "ensemble.unstable" if left_out else "ensemble.stable"
    return model, (Decision(not left_out, key, values, setting="model.stable"),)


def _rms(parts: list[NDArray[np.float64]]) -> float:
    every = np.concatenate(parts)
    every = every[np.isfinite(every).all(axis=1)]
    return float(np.sqrt(np.mean(np.square(every)))) if len(every) else 0.0
