"""What the network has to beat.

This module defines the contract of a baseline and fits all baselines of a task. They learn from
exactly the windows that the network learns from, choose their settings on the validation part as
the network does, and see nothing else.

    @baselines.register("mean")
    def fit(train: Windows, validation: Windows, task: Task, seed: int) -> Predictor: ...

A baseline that cannot exist for a task raises `Unusable` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from backmix.decision import Decision
from backmix.errors import PlanError
from backmix.registry import Registry
from backmix.tasks import Outcome
from backmix.training.threads import few_threads

if TYPE_CHECKING:
    from backmix.data.windows import Windows
    from backmix.tasks import Task


class Predictor(Protocol):
    """A fitted baseline.

    decisions: what was decided on the validation part, and every cap that was applied, with reasons
    """

    @property
    def decisions(self) -> tuple[Decision, ...]: ...

    def predict(self, windows: Windows) -> Outcome:
        """What the baseline says about B windows, in the plant's terms."""
        ...


Again = Callable[["Windows"], Predictor]
"""Learn from other windows with what was decided already: penalty, components, rounds ..."""


class Unusable(Exception):
    """A baseline cannot exist for this task; ``key`` and ``values`` say why."""

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


Fit = Callable[["Windows", "Windows | None", "Task", int], Predictor]

baselines: Registry[Fit] = Registry("baselines", package="backmix.simple")


@dataclass(frozen=True)
class FittedBaselines:
    """The baselines of a task: those that could be fitted, and why the others could not.

    seconds: how long each took to fit
    """

    predictors: Mapping[str, Predictor]
    unusable: Mapping[str, Decision]
    seconds: Mapping[str, float]

    def again(self, windows: Windows) -> FittedBaselines:
        """The same baselines, taught by these windows with what was decided on the validation part.

        One without a ``learn_again`` has learned nothing and stays as it is.
        """
        found = {}
        for name, predictor in self.predictors.items():
            learn: Again | None = getattr(predictor, "learn_again", None)
            with few_threads(windows):
                found[name] = predictor if learn is None else learn(windows)
        return replace(self, predictors=found)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What the baselines decided, and which of them could not be used, for the report."""
        decided = (decision for predictor in self.predictors.values() for decision in predictor.decisions)
        return (*decided, *self.unusable.values())


def fit_baselines(
    task: Task,
    train: Windows,
    validation: Windows | None,
    *,
    seed: int = 0,
    names: Sequence[str] | None = None,
    watch: Callable[[str], None] | None = None,
) -> FittedBaselines:
    """Fit the baselines of a task (or those in ``names``) on the windows of the network.

    ``watch`` is told the name of each one before it is fitted. Without validation windows the last
    fifth of the training windows chooses. Raises PlanError for a name that is not registered.
    """
    import time

    train = task.target.training_windows(train)
    validation = task.target.training_windows(validation) if validation is not None and len(validation) else None
    chosen = {name: baselines.get(name) for name in (task.judging.baselines if names is None else names)}
    predictors: dict[str, Predictor] = {}
    unusable: dict[str, Decision] = {}
    seconds: dict[str, float] = {}
    for name, fit in chosen.items():
        if watch is not None:
            watch(name)
        begin = time.perf_counter()
        try:
            with few_threads(train):
                predictors[name] = fit(train, validation, task, seed)
        except Unusable as reason:
            unusable[name] = Decision(None, reason.key, reason.values, setting=f"baseline.{name}")
        seconds[name] = time.perf_counter() - begin
        if name in predictors:
            _check_kind(name, predictors[name], task, train)
    return FittedBaselines(predictors, unusable, seconds)


def _check_kind(name: str, predictor: Predictor, task: Task, train: Windows) -> None:
    """PlanError for a baseline that a plan names and that answers another kind of question."""
    outcome = predictor.predict(train.subset(train.all_indices[:1]))
    if (outcome.values if task.kind == "regression" else outcome.probabilities) is None:
        raise PlanError(
            "evaluation.baseline_kind", name=name, task=task.name, fitting=", ".join(task.judging.baselines)
        )
