"""The weights of a network by name.

This module names a network's variables ``layer/role`` and checks that arrays of unknown origin are
exactly the weights of an architecture, before anything is built from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.architecture import Architecture
from backmix.models.ensemble import Ensemble
from backmix.models.shape.size import weight_shapes

Weights = Mapping[str, NDArray[Any]]


def take_weights(model: Any) -> dict[str, NDArray[Any]]:
    """The weights of a network by ``layer/role``; dropout's random state is not part of a model."""
    return {variable_name(variable): np.asarray(variable.value) for variable in model.weights}


def put_weights(model: Any, weights: Weights) -> None:
    """Set the weights of a network of the same architecture."""
    for variable in model.weights:
        variable.assign(weights[variable_name(variable)])


def take_ensemble(ensemble: Ensemble) -> dict[str, NDArray[Any]]:
    """All arrays of an ensemble: ``network_k/layer/role``, ``part_NAME/role`` of a simple member, ``mixture/weights``.

    A bundle keeps them under these names.
    """
    arrays = {
        f"network_{number}/{name}": array
        for number, network in enumerate(ensemble.members, 1)
        for name, array in take_weights(network).items()
    }
    arrays |= {
        f"part_{member.name}/{role}": array
        for member in ensemble.simple_members
        for role, array in member.arrays.items()
    }
    return {**arrays, "mixture/weights": ensemble.weights}


def network_weights(weights: Weights, number: int) -> dict[str, NDArray[Any]]:
    """The weights of network ``number`` of an ensemble, counted from 1."""
    return _below(weights, f"network_{number}/")


def member_arrays(weights: Weights, name: str) -> dict[str, NDArray[Any]]:
    """The arrays of a simple member of an ensemble, by role."""
    return _below(weights, f"part_{name}/")


def _below(weights: Weights, prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}


def fits(weights: Weights, architecture: Architecture) -> bool:
    """Whether the weights are exactly those of the architecture, known before a network is built."""
    shapes = {name: array.shape for name, array in weights.items()}
    return shapes == weight_shapes(architecture) and all(
        array.dtype == np.float32 and np.isfinite(array).all() for array in weights.values()
    )


def variable_name(variable: Any) -> str:
    """``recurrent_1/kernel`` for Keras's ``recurrent_1/gru_cell/kernel``: a cell is no layer of its own."""
    return "/".join(part for part in variable.path.split("/") if not part.endswith("_cell"))
