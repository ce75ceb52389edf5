"""Where an attention layer looks.

This module reads the weights of a layer called ``attention_weights`` out of any network that has
one, (B, T) per window, and averages them by lag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.inspection.attribution import within
from backmix.inspection.subject import Effort, Floats, Subject
from backmix.models.engine import use_engine

LAYER = "attention_weights"


@dataclass(frozen=True, eq=False)
class Attention:
    """Mean weight of every lag.

    age: (T,) rows between a row and the moment of prediction, the newest first
    weight: (T,) mean over windows; low, high: (T,) the 10 % and 90 % quantiles
    """

    age: NDArray[np.int64]
    weight: Floats
    low: Floats
    high: Floats
    windows: int

    @property
    def half(self) -> int:
        """The age in rows within which half of the weight lies."""
        return int(self.age[within(self.weight, 0.5)])

    @property
    def peak(self) -> int:
        """The age in rows that has the largest weight."""
        return int(self.age[int(self.weight.argmax())])


def attend(subject: Subject, effort: Effort) -> Attention | None:
    """The attention weights on a sample of the test part; None for a network without attention."""
    model = subject.inside
    if model is None or all(layer.name != LAYER for layer in model.layers):
        return None
    sample = subject.alone.sample(subject.affordable(effort.scored, passes=1, work=effort.work))
    keras = use_engine()
    weights_of = keras.Model(model.inputs, model.get_layer(LAYER).output)
    weights = keras.ops.convert_to_numpy(weights_of(sample.inputs(), training=False))
    by_lag = sample.by_lag(weights.reshape(weights.shape[:2]))
    low, high = np.quantile(by_lag, [0.1, 0.9], axis=0)
    return Attention(
        age=np.arange(by_lag.shape[1]) + subject.windows.spec.dead_time,
        weight=by_lag.mean(axis=0),
        low=low,
        high=high,
        windows=len(sample.indices),
    )
