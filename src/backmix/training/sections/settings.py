"""How a network is trained: what the user may say, and what it became.

This module holds `TrainingPlan`, the ``[training]`` section of a plan, and `FitSettings`, the same
with every "auto" decided. It loads no numerical engine.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import ByteSize, Field, field_validator, model_validator

from backmix.decision import Decision
from backmix.duration import Duration, DurationField
from backmix.errors import PlanError
from backmix.section import PlanSection
from backmix.text import say

Optimizer = Literal["adam", "rmsprop", "sgd"]
Metric = Literal["mse", "mae", "rmse", "accuracy", "precision", "recall", "auc"]
HIGHER = frozenset({"accuracy", "precision", "recall", "auc"})
"""Metrics that are better when larger; of all others a smaller value is better."""
LONG = 200
"""Rows from which on a window counts as long when the learning rate is chosen."""
METRICS = {
    "regression": {"mse": "MeanSquaredError", "mae": "MeanAbsoluteError", "rmse": "RootMeanSquaredError"},
    "binary": {"accuracy": "BinaryAccuracy", "precision": "Precision", "recall": "Recall", "auc": "AUC"},
    "classes": {"accuracy": "SparseCategoricalAccuracy"},
}
"""Metrics that fit a kind of output: name in a plan -> Keras class."""


class TrainingPlan(PlanSection):
    """``[training]``: optimiser, loss, length and watchfulness of the training.

    clipnorm: largest norm of the gradient of each weight array; "none" to let it grow. Not used
        beside a ``clipvalue``, which bounds every element of the gradient instead.
    patience: epochs without a better ``monitor`` before training ends; the best weights are kept
    plateau_patience, plateau_factor, min_learning_rate: after so many epochs without a better
        ``monitor`` the learning rate is multiplied by the factor, down to the minimum
    schedule: "plateau" lowers the learning rate as the three above say, "cosine" along half a wave to the minimum
        over all ``epochs`` (Loshchilov & Hutter, ICLR 2017)
    weight_decay: share of the weights (not of biases) that is taken off at every step, times the learning rate
        (Loshchilov & Hutter, ICLR 2019)
    average: at the end of an epoch the weights become their moving average over steps, each counting so much of the
        one behind it (0.99); 0 for no average (Polyak & Juditsky, SIAM J. Control Optim. 30 (1992) 838)
    min_delta: a smaller improvement counts as none
    shuffle: draw the training windows in a new order every epoch. Whole windows change places,
        rows inside a window never do, and the split stays chronological.
    class_weight: "auto" weighs uneven classes as the task says
    memory_limit: the most memory that training may take (``"4GB"``); what is free when left out
    checkpoint: name of the file with the best weights; ``{epoch}`` and metrics may stand in it
        (``"{epoch:03d}-{val_loss:.4f}"``), then every improvement has its own file
    tensorboard: also write events for TensorBoard (pip install "backmix[tensorboard]")
    state: "windows" begins every window from rest; "carried" hands the state on from row to row, from
        the first row of every batch (gap, part) on; ``batch_size`` is then the number of lanes side by side
    stretch: rows between two steps of the optimiser when the state is carried; the gradient reaches no
        further back
    warm_start: a bundle whose weights training goes on from, with its network, tags and scalers; the
        path counts from the folder of the plan
    """

    optimizer: Optimizer = "adam"
    learning_rate: float | Literal["auto"] = "auto"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    clipnorm: float | Literal["none"] = 1.0
    clipvalue: float | None = Field(default=None, gt=0)
    loss: str = "auto"
    metrics: tuple[Metric, ...] = ()
    epochs: int = Field(default=300, ge=1)
    batch_size: int | Literal["auto"] = "auto"
    patience: int = Field(default=20, ge=1)
    plateau_patience: int = Field(default=8, ge=1)
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)
    min_learning_rate: float = Field(default=1e-6, ge=0)
    schedule: Literal["plateau", "cosine"] = "plateau"
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    average: float = Field(default=0.0, ge=0, lt=1)
    min_delta: float = Field(default=0.0, ge=0)
    monitor: str = "val_loss"
    shuffle: bool = True
    seed: int = Field(default=0, ge=0, lt=2**31)
    class_weight: Literal["auto", "none"] = "auto"
    memory_limit: ByteSize | None = None
    checkpoint: str = "best"
    tensorboard: bool = False
    state: Literal["windows", "carried"] = "windows"
    stretch: DurationField | Literal["auto"] = "auto"
    warm_start: str | None = None

    @field_validator("learning_rate", "clipnorm", "batch_size")
    @classmethod
    def _above_zero(cls, value: Any) -> Any:
        if not isinstance(value, str) and not value > 0:
            raise ValueError(say("training.plan_positive", got=value))
        return value

    @field_validator("stretch")
    @classmethod
    def _some_rows(cls, stretch: Duration | str) -> Duration | str:
        if isinstance(stretch, Duration) and stretch.empty:
            raise ValueError(say("carried.stretch_zero", got=stretch))
        return stretch

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, name: str) -> str:
        from backmix.models.losses import losses

        if name != "auto" and name not in losses:
            raise ValueError(say("training.plan_loss", got=name, names=", ".join(["auto", *losses.names()])))
        return name

    @field_validator("checkpoint")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        try:
            fields = [field for _, field, _, _ in string.Formatter().parse(name) if field is not None]
            fine = all(field.isidentifier() for field in fields)
        except ValueError:
            fine = False
        if not fine or not name.strip() or any(c in name for c in "/\\\0") or name.startswith("."):
            raise ValueError(say("training.plan_checkpoint", got=name))
        return name

    @model_validator(mode="after")
    def _one_clipping(self) -> Self:
        if self.clipvalue is not None and "clipnorm" in self.model_fields_set and self.clipnorm != "none":
            raise ValueError(say("training.plan_two_clippings"))
        known = {"loss", *self.metrics}
        if self.monitor.removeprefix("val_") not in known:
            names = ", ".join(f"val_{name}" for name in sorted(known))
            raise ValueError(say("training.plan_monitor", got=self.monitor, names=names))
        return self


_USUAL = TrainingPlan()


@dataclass(frozen=True)
class FitSettings:
    """A `TrainingPlan` with nothing left open; the fields mean the same.

    clipnorm, clipvalue: at most one of them is a number
    class_weights: weight per class code, None when all windows count the same
    stretch: rows per step of a carried state, ``batch_size`` lanes side by side; None for windows
    answer_scale: what answers are divided by in training, target by target, so that small changes are learned as well
        as large ones; the trained head gives them back. None for answers as they are
    resume: go on from the checkpoint of the run folder when there is one

    >>> FitSettings(loss="mae").monitor
    'val_loss'
    """

    loss: str = "mse"
    optimizer: Optimizer = _USUAL.optimizer
    learning_rate: float = 1e-3
    momentum: float = _USUAL.momentum
    clipnorm: float | None = 1.0
    clipvalue: float | None = None
    metrics: tuple[Metric, ...] = ()
    epochs: int = _USUAL.epochs
    batch_size: int = 32
    patience: int = _USUAL.patience
    plateau_patience: int = _USUAL.plateau_patience
    plateau_factor: float = _USUAL.plateau_factor
    min_learning_rate: float = _USUAL.min_learning_rate
    schedule: Literal["plateau", "cosine"] = _USUAL.schedule
    weight_decay: float = _USUAL.weight_decay
    average: float = _USUAL.average
    min_delta: float = _USUAL.min_delta
    monitor: str = _USUAL.monitor
    shuffle: bool = _USUAL.shuffle
    seed: int = _USUAL.seed
    class_weights: Mapping[int, float] | None = None
    memory_limit: int | None = None
    checkpoint: str = _USUAL.checkpoint
    tensorboard: bool = _USUAL.tensorboard
    stretch: int | None = None
    answer_scale: tuple[float, ...] | None = None
    resume: bool = True

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value of ``monitor`` is a better one."""
        return self.monitor.removeprefix("val_") in HIGHER


def resolve(
    plan: TrainingPlan,
    *,
    loss: str,
    batch_size: int,
    lookback: int | None,
    class_weights: Mapping[int, float] | None = None,
    resume: bool = True,
) -> FitSettings:
    """The settings of a plan with what others have chosen put in the place of "auto".

    ``loss``, ``batch_size`` and ``class_weights`` are the choices of the task and the advice; what
    the plan itself names wins. ``lookback``: T in rows, None for windows of any length.

    >>> resolve(TrainingPlan(clipvalue=0.5), loss="mse", batch_size=64, lookback=30).clipnorm is None
    True
    """
    same = (
        "optimizer",
        "momentum",
        "clipvalue",
        "metrics",
        "epochs",
        "patience",
        "plateau_patience",
        "plateau_factor",
        "min_learning_rate",
        "schedule",
        "weight_decay",
        "average",
        "min_delta",
        "monitor",
        "shuffle",
        "seed",
        "checkpoint",
        "tensorboard",
    )
    auto_rate = plan.learning_rate == "auto"
    rate = choose_learning_rate(plan.optimizer, lookback).value if auto_rate else plan.learning_rate
    return FitSettings(
        **{name: getattr(plan, name) for name in same},
        loss=loss if plan.loss == "auto" else plan.loss,
        learning_rate=float(rate),
        clipnorm=None if plan.clipnorm == "none" or plan.clipvalue is not None else float(plan.clipnorm),
        batch_size=batch_size if plan.batch_size == "auto" else plan.batch_size,
        class_weights=dict(class_weights) if class_weights and plan.class_weight == "auto" else None,
        memory_limit=None if plan.memory_limit is None else int(plan.memory_limit),
        resume=resume,
    )


def choose_learning_rate(optimizer: Optimizer, lookback: int | None) -> Decision:
    """The learning rate to start from; the plateau rule lowers it from there.

    >>> choose_learning_rate("sgd", 30).value
    0.01
    """
    if optimizer == "sgd":
        return Decision(0.01, "training.rate_sgd", setting="training.learning_rate")
    if lookback is not None and lookback > LONG:
        values = {"rows": lookback, "long": LONG}
        return Decision(0.0005, "training.rate_long", values, "training.learning_rate")
    return Decision(0.001, "training.rate_usual", {"optimizer": optimizer}, "training.learning_rate")


def check_metric(name: str, kind: str) -> None:
    """PlanError (training.metric_kind) for a metric that does not fit outputs of this kind."""
    if name not in METRICS[kind]:
        raise PlanError("training.metric_kind", metric=name, kind=kind, fitting=", ".join(METRICS[kind]))
