"""The simple models of a run: what a plan asks for, fitted once.

This module hands windows and question of a prepared run to `backmix.simple`, and takes what it gives in two forms:
baselines, which are judged beside the network, and candidates, which may be members of an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.errors import PlanError
from backmix.models.members.member import Member
from backmix.simple import ALIASES, SimpleModel, SimpleModels, answering, simple_models
from backmix.simple.blocks import Blocks
from backmix.simple.question import TaskQuestion
from backmix.simple.trial import Trial
from backmix.tasks import Task
from backmix.tasks.contract.optional import HasSeason, TellsNormal
from backmix.training.prepared import Prepared

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FittedBaselines:
    """The baselines of a task: those that could be fitted, and why the others could not.

    predictors: taught by all windows that teach; before: by those of training alone, for the validation part
    seconds: how long each took to fit
    """

    predictors: Mapping[str, SimpleModel]
    before: Mapping[str, SimpleModel]
    unusable: Mapping[str, Decision]
    seconds: Mapping[str, float]
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A simple model that may stand in an ensemble.

    out_of_fold: (W, O) what it says of each window of the pool when the window's block was held out
    """

    part: Member
    out_of_fold: Floats
    decisions: tuple[Decision, ...] = ()


def question(task: Task, windows: Windows) -> TaskQuestion:
    """What a simple model must know of the task, to answer it on windows like these."""
    target = task.target
    normal = target if isinstance(target, TellsNormal) else None
    return TaskQuestion(
        task=task.name,
        kind=task.kind,
        targets=task.targets,
        outputs=task.answer.outputs,
        classes=target.classes,
        season=target.season(windows.table.step) if isinstance(target, HasSeason) else None,
        false_alarm_rate=normal.false_alarm_rate if normal else None,
        counted=normal.scored_rows(windows) if normal else 1,
    )


def answers_of(task: Task, windows: Windows) -> int:
    """How many numbers a model answers with for each window: O, or K·G for a path."""
    return task.answer.outputs * len(windows.spec.horizons)


def aims(prepared: Prepared, blocks: Blocks) -> Floats:
    """(W, O) what the outputs should be: scaled targets, or 1 for the true class."""
    pool, task = blocks.pool, prepared.task
    if task.kind == "regression":
        return pool.scaled_targets()
    codes = pool.truth()[:, 0].astype(np.int64)
    known = np.eye(len(task.target.known_classes))[codes]
    return known[:, 1:] if task.answer.outputs == 1 else known


def begin(prepared: Prepared, over: Blocks | Decision | None) -> SimpleModels:
    """The simple models of a run, none fitted yet; over: its blocks, else the validation part is held out."""
    task, seed = prepared.task, prepared.plan.training.seed
    if isinstance(over, Blocks):
        return SimpleModels(Trial.of_blocks(over, question(task, over.pool), seed))
    return SimpleModels(_one_fold(task, prepared.train, prepared.validation, seed))


def fit_together(prepared: Prepared, over: Blocks | Decision | None, known: SimpleModels | None = None) -> SimpleModels:
    """All simple models that a run asks for, baselines and members of its ensemble, fitted beside one another.

    known: simple models of the run; those are not fitted again. Raises PlanError as `baselines_of` and `candidates_of`.
    """
    task, plan = prepared.task, prepared.plan
    names = [*_baselines(task, plan.evaluation.baselines)]
    if isinstance(over, Blocks):
        names += _members(task, plan.model.beside)
    return (known or begin(prepared, over)).more(names)


def _baselines(task: Task, names: Sequence[str] | None) -> Sequence[str]:
    names = task.judging.baselines if names is None else names
    for name in names:
        if simple_models.get(name).kind not in ("any", task.kind):
            raise PlanError(
                "evaluation.baseline_kind", name=name, task=task.name, fitting=", ".join(task.judging.baselines)
            )
    return names


def _members(task: Task, asked: Sequence[str] | str) -> Sequence[str]:
    usual = answering(task.kind, members=True) if task.judging.members is None else task.judging.members
    names = usual if isinstance(asked, str) else asked
    for name in names:
        simple_models.get(name)
        if ALIASES.get(name, name) not in usual:
            raise PlanError("ensemble.beside_kind", name=name, task=task.name, fitting=", ".join(usual))
    return names


def baselines_of(
    models: SimpleModels, task: Task, names: Sequence[str] | None = None
) -> tuple[SimpleModels, FittedBaselines]:
    """The models and the baselines among them, those of the task or in ``names``; what is missing is fitted.

    Raises PlanError for a name that is not registered or answers another kind of question.
    """
    names = _baselines(task, names)
    models = models.more(names)
    usable = [name for name in names if name in models]
    unusable = {name: models.why(name) for name in names if name not in models}
    refused = {name: Decision(None, why.key, why.values, setting=f"baseline.{name}") for name, why in unusable.items()}
    decisions = [_set(decision, f"baseline.{name}") for name in usable for decision in models[name].decisions]
    return models, FittedBaselines(
        {name: models[name].model for name in usable},
        {name: models[name].before for name in usable},
        refused,
        {name: models.seconds[ALIASES.get(name, name)] for name in names},
        (*decisions, *refused.values()),
    )


def fit_baselines(
    task: Task, train: Windows, validation: Windows | None, *, seed: int = 0, names: Sequence[str] | None = None
) -> FittedBaselines:
    """Fit the baselines of a task (or those in ``names``): validation windows choose settings, and teach in the end.

    Both are windows of one table. Without validation windows the last fifth of the training windows chooses.
    Raises PlanError for a name that is not registered.
    """
    return baselines_of(SimpleModels(_one_fold(task, train, validation, seed)), task, names)[1]


def candidates_of(
    models: SimpleModels, task: Task, blocks: Blocks, asked: Sequence[str] | str
) -> tuple[SimpleModels, list[Candidate]]:
    """The models and those that may stand beside the networks, all ("auto") or some; what is missing is fitted.

    Raises PlanError (ensemble.beside_kind) for one that answers another kind of question.
    """
    names = _members(task, asked)
    models = models.more(names)
    candidates = []
    for name in names:
        part = models[name].model.to_member() if name in models else None
        if part is None:
            continue
        out_of_fold = np.empty((len(blocks.pool), answers_of(task, blocks.pool)))
        for block, answers in zip(blocks.blocks, models[name].out_of_fold, strict=True):
            out_of_fold[block.indices] = answers
        decisions = tuple(_set(decision, f"model.{part.name}") for decision in models[name].decisions)
        candidates.append(Candidate(part, out_of_fold, decisions))
    return models, candidates


def _one_fold(task: Task, train: Windows, validation: Windows | None, seed: int) -> Trial:
    train = task.target.training_windows(train)
    chosen_on = task.target.training_windows(validation) if validation is not None and len(validation) else None
    return Trial.of_parts(
        train, chosen_on if chosen_on is not None and len(chosen_on) else None, question(task, train), seed
    )


def _set(decision: Decision, setting: str) -> Decision:
    """A decision about a model itself under the setting that shows what it is used as."""
    return replace(decision, setting=setting) if decision.setting else decision


def offset_of(
    prepared: Prepared, blocks: Blocks, candidates: list[Candidate], weigh: Callable[[Sequence[Floats], Floats], Floats]
) -> Floats:
    """(W, O) what the candidates together say of windows that were held out.

    Raises PlanError (ensemble.residual_numbers, ensemble.residual_nothing).
    """
    if prepared.task.answer.recursive:
        raise PlanError("ensemble.residual_rows")
    if prepared.task.kind != "regression":
        raise PlanError("ensemble.residual_numbers", task=prepared.task.name)
    if not candidates:
        raise PlanError("ensemble.residual_nothing", windows=len(blocks.pool))
    weights = weigh([candidate.out_of_fold for candidate in candidates], aims(prepared, blocks))
    return np.asarray(
        sum(weight * candidate.out_of_fold for weight, candidate in zip(weights, candidates, strict=True))
    )
