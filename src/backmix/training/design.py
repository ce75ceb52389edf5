"""Which network, and how it is trained.

This module turns the "auto" of ``[model]`` and ``[training]`` into an architecture and settings,
each choice with its reason. What the plan names is taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backmix.data.windows.progress import asked_targets
from backmix.data.windows.slices import sampled
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.models.architecture import Architecture
from backmix.models.heads import heads
from backmix.models.losses import check_loss
from backmix.models.shape.forms import check_carries
from backmix.training.advice.choose import Advice, Situation, advise, choose_batch_size
from backmix.training.fitting.warm import gentle
from backmix.training.prepared import Prepared
from backmix.training.sections.settings import FitSettings, TrainingPlan, check_metric, choose_learning_rate, resolve

MOST_SCALING = 5000
"""Windows by which the size of changes is measured."""
LEAST_CHANGE = 1e-6
"""Changes below this, in spreads of the target, are none."""


@dataclass(frozen=True)
class Design:
    """An architecture, the settings to train it with, and the choices behind them."""

    architecture: Architecture
    settings: FitSettings
    decisions: tuple[Decision, ...]


def design(prepared: Prepared, *, resume: bool = True) -> Design:
    """Decide everything the plan leaves open, from the training windows alone.

    Raises PlanError for a loss that does not fit the task (models.loss_kind, models.loss_floor).
    """
    plan, task, train = prepared.plan.training, prepared.task, prepared.training_samples[0]
    rows, spec = train.steps, train.spec
    start = prepared.start
    situation = Situation(
        features=len(train.feature_names),
        lookback=None if spec.lookback is None else rows,
        samples=len(train),
        head=task.answer.head,
        outputs=task.answer.outputs,
        masked=train.lengths is not None,
        rows=rows,
        answer=spec.answer,
        horizon=len(spec.horizons),
        future=len(spec.future),
        shape=task.answer.architecture,
    )
    asked = prepared.plan.model
    carried = plan.state == "carried"
    chosen: tuple[Decision, ...] = ()
    if carried and asked.summaries == "auto":
        asked = asked.model_copy(update={"summaries": False})
        chosen = (Decision(False, "carried.no_summaries", setting="model.summaries"),)
    advice = advise(asked, situation) if start is None else Advice(start.network(asked), ())
    loss = task.answer.loss(train)
    batch = choose_batch_size(rows, samples=len(train))
    stretch = None
    if carried:
        check_carries(advice.architecture)
        stretch, batch, carried_decisions = _lanes(plan, train)
        chosen += carried_decisions
    rate = choose_learning_rate(plan.optimizer, rows)
    gentler: tuple[Decision, ...] = ()
    if start is not None:
        plan, gentler = gentle(plan, rows)
    settings = resolve(
        plan,
        loss=str(loss.value),
        batch_size=int(batch.value),
        lookback=rows,
        class_weights=task.answer.class_weights(train),
        resume=resume,
    )
    scale = _answer_scale(train, advice.architecture) if start is None else None
    settings = replace(settings, stretch=stretch, answer_scale=scale)
    kind = heads.get(task.answer.head).kind
    for name in settings.metrics:
        check_metric(name, kind)
    check_loss(settings.loss, kind, targets=asked_targets(train) if kind == "regression" else None)
    decided = ((plan.loss, loss), (plan.batch_size, batch), (plan.learning_rate, rate))
    decisions = (*advice.decisions, *chosen, *gentler, *(decision for given, decision in decided if given == "auto"))
    return Design(architecture=advice.architecture, settings=settings, decisions=decisions)


def _answer_scale(train: Windows, architecture: Architecture) -> tuple[float, ...] | None:
    """The size of the changes that a forecast's network learns, target by target; None where it learns none.

    The changes of a slow target from its newest value are a small part of the target's own spread, and would
    drown in the noise of a network that begins at that spread.
    """
    if train.spec.relative == "none" or architecture.decoder != "none" or train.told is not None:
        return None
    goals = len(train.spec.targets)
    few = train.subset(sampled(len(train), MOST_SCALING))
    size = np.sqrt(np.square(few.scaled_targets().reshape(-1, goals)).mean(axis=0))
    return tuple(float(change) if change > LEAST_CHANGE else 1.0 for change in size)


def _lanes(plan: TrainingPlan, train: Windows) -> tuple[int, Decision, tuple[Decision, ...]]:
    """Rows per step of a carried state, the choice of lanes, and the choice of rows if there was one."""
    from backmix.training.fitting.lanes import choose_lanes

    if plan.stretch != "auto":
        stretch = plan.stretch.rows(train.table.step)
        return stretch, choose_lanes(train, stretch), ()
    stretch = train.steps
    return stretch, choose_lanes(train, stretch), (Decision(stretch, "carried.stretch", setting="training.stretch"),)
