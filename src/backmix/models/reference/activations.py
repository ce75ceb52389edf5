"""Activations and their slopes.

This module gives each activation as a pair of functions of the pre-activation z, as Keras 3
defines them (its hard_sigmoid is relu6(z + 3) / 6).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), written so that no z overflows."""
    return 0.5 * np.tanh(0.5 * z) + 0.5


def softmax(z: Array) -> Array:
    """exp(z) / sum of exp(z) over the last axis."""
    e: Array = np.exp(z - z.max(axis=-1, keepdims=True))
    total: Array = e.sum(axis=-1, keepdims=True)
    return e / total


VALUES: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": lambda z: np.maximum(z, 0.0),
    "hard_sigmoid": lambda z: np.clip(z / 6.0 + 0.5, 0.0, 1.0),
    "linear": lambda z: z,
}
"""Activation by name."""

SLOPES: dict[str, Callable[[Array], Array]] = {
    "tanh": lambda z: 1.0 - np.tanh(z) ** 2,
    "sigmoid": lambda z: sigmoid(z) * (1.0 - sigmoid(z)),
    "relu": lambda z: (z > 0).astype(np.float64),
    "hard_sigmoid": lambda z: ((z > -3) & (z < 3)) / 6.0,
    "linear": np.ones_like,
}
"""Derivative of the activation by name."""
