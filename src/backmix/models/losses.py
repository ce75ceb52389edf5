"""The losses that training minimises.

This module registers the losses and chooses one, with the reason. It refuses a loss that cannot work with the
outputs or targets, such as a logarithmic loss on a target that goes below -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.errors import PlanError
from backmix.models.engine import use_engine
from backmix.models.heads import Kind
from backmix.registry import Registry

OUTLIER = 6.0
"""An outlier lies more than this many robust standard deviations from the median."""
OUTLIER_SHARE = 0.005
"""From this share of outliers on, large errors must not rule the loss."""
WIDE = 1000.0
"""A positive target whose 99th percentile is this many times its 1st spans orders of magnitude."""


@dataclass(frozen=True)
class Loss:
    """A loss by name: which kinds of output it fits, its Keras class and the settings of that class.

    floor: the loss is undefined for targets at or below this; None where any number will do
    """

    name: str
    kinds: tuple[Kind, ...]
    keras_name: str
    source: str
    floor: float | None = None
    delta: float | None = None

    def make(self) -> Any:
        """A new Keras loss object."""
        settings = {} if self.delta is None else {"delta": self.delta}
        return getattr(use_engine().losses, self.keras_name)(**settings)


losses: Registry[Loss] = Registry("losses", package="backmix.models.losses")

losses.register("mse")(Loss("mse", ("regression",), "MeanSquaredError", "mean of (y - p)^2"))
losses.register("mae")(Loss("mae", ("regression",), "MeanAbsoluteError", "mean of |y - p|"))
losses.register("huber")(Loss("huber", ("regression",), "Huber", "Huber, Ann. Math. Statist. 35 (1964)", delta=1.0))
losses.register("msle")(
    Loss("msle", ("regression",), "MeanSquaredLogarithmicError", "mean of (log(1+y) - log(1+p))^2", floor=-1.0)
)
losses.register("binary_crossentropy")(
    Loss("binary_crossentropy", ("binary",), "BinaryCrossentropy", "-mean of log p of what happened")
)
losses.register("sparse_categorical_crossentropy")(
    Loss(
        "sparse_categorical_crossentropy",
        ("classes",),
        "SparseCategoricalCrossentropy",
        "-mean of log p of the class that happened; classes as codes",
    )
)


def choose_loss(kind: Kind, *, targets: NDArray[np.floating[Any]] | None = None) -> Decision:
    """The loss for a kind of output and the training targets as the network will see them.

    targets: (N, K), scaled; NaN rows are left out. Only for regression.

    >>> choose_loss("classes").value
    'sparse_categorical_crossentropy'
    >>> clean = np.random.default_rng(0).normal(size=(500, 1))
    >>> choose_loss("regression", targets=clean).value
    'mse'
    >>> clean[::50] = 80.0
    >>> choose_loss("regression", targets=clean).value
    'huber'
    """
    if kind == "binary":
        return _decision("binary_crossentropy")
    if kind == "classes":
        return _decision("sparse_categorical_crossentropy")
    if targets is None or not np.isfinite(targets).any():
        return _decision("mse")
    columns = np.asarray(targets, dtype=np.float64)
    columns = columns.reshape(len(columns), -1)
    if all(_spans_decades(column) for column in columns.T):
        return _decision("msle", ratio=f"{WIDE:g}")
    share = max(outlier_share(column) for column in columns.T)
    if share >= OUTLIER_SHARE:
        return _decision("huber", percent=f"{100 * share:.1f}", spread=f"{OUTLIER:g}")
    return _decision("mse")


def check_loss(name: str, kind: Kind, *, targets: NDArray[np.floating[Any]] | None = None) -> Loss:
    """The loss called ``name`` if it can be used for this kind of output and these targets.

    targets: (N, K), as the network will see them, or None when they are not known yet

    Raises PlanError: models.loss_kind when the loss is for another kind of output,
    models.loss_floor when targets reach values where the loss is undefined (a logarithmic loss on
    a standardised target), core.unknown_part for an unknown name.
    """
    loss = losses.get(name)
    if kind not in loss.kinds:
        fitting = [n for n, loss_entry in losses if kind in loss_entry.kinds]
        raise PlanError("models.loss_kind", loss=name, kind=kind, fitting=", ".join(fitting))
    if loss.floor is not None and targets is not None:
        lowest = float(np.nanmin(targets)) if np.isfinite(targets).any() else 0.0
        # a target that dips below zero was centred; new data will dip further, below the floor
        if lowest < 0:
            raise PlanError("models.loss_floor", loss=name, lowest=f"{lowest:.3g}", floor=f"{loss.floor:g}")
    return loss


def outlier_share(values: NDArray[np.floating[Any]]) -> float:
    """Part of the finite values that lie more than OUTLIER robust deviations from the median.

    The robust deviation is 1.4826 times the median absolute deviation; 0 when that is zero.
    """
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return 0.0
    distance = np.abs(finite - np.median(finite))
    spread = 1.4826 * np.median(distance)
    return float(np.mean(distance > OUTLIER * spread)) if spread > 0 else 0.0


def _spans_decades(values: NDArray[np.floating[Any]]) -> bool:
    finite = values[np.isfinite(values)]
    if len(finite) == 0 or finite.min() <= 0:
        return False
    low, high = np.percentile(finite, [1, 99])
    return bool(high >= WIDE * low)


def _decision(name: str, **values: str) -> Decision:
    return Decision(name, f"models.loss_{name}", values, "training.loss")
