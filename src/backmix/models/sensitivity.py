"""How the outputs of a network answer to its inputs.

This module differentiates any Keras network with respect to its input x, on whatever engine Keras
runs: what attributions need, whether the network is recurrent or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.engine import use_engine

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Outputs of B windows, (B, O), and the gradient of their weighted sum in x, (B, T, F)."""

    outputs: NDArray[np.float64]
    x: NDArray[np.float64]


def sensitivity(model: Any) -> Callable[[Arrays, NDArray[Any]], Sensitivity]:
    """A function (inputs, pull) -> `Sensitivity` for this network, without dropout.

    inputs: ``{"x": (B, T, F)}`` and, for a masked network, ``"mask": (B, T)``; pull: (B, O), the
    weight of each output in the sum that is differentiated. Calls with arrays of one shape share
    one compilation. Nothing in the network is changed.

    >>> from backmix.models.architecture import Architecture
    >>> from backmix.models.network import build
    >>> model = build(Architecture(features=2, lookback=3, units=(4,)), seed=0)
    >>> sensitivity(model)({"x": np.zeros((5, 3, 2), "float32")}, np.ones((5, 1))).x.shape
    (5, 3, 2)
    """
    return {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}[use_engine().backend.backend()](model)


def _jax(model: Any) -> Callable[[Arrays, NDArray[Any]], Sensitivity]:
    jax = import_module("jax")
    ops = use_engine().ops

    def total(x: Any, rest: Any, pull: Any, variables: Any) -> Any:
        outputs, _ = model.stateless_call(*variables, {"x": x, **rest}, training=False)
        return ops.sum(ops.reshape(outputs, pull.shape) * pull), outputs

    compiled = jax.jit(jax.value_and_grad(total, has_aux=True))

    def differentiate(inputs: Arrays, pull: NDArray[Any]) -> Sensitivity:
        variables = ([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables])
        (_, outputs), slope = compiled(*_parts(inputs), np.asarray(pull, np.float32), variables)
        return _taken(outputs, slope, pull)

    return differentiate


def _torch(model: Any) -> Callable[[Arrays, NDArray[Any]], Sensitivity]:
    torch = import_module("torch")
    ops = use_engine().ops

    def differentiate(inputs: Arrays, pull: NDArray[Any]) -> Sensitivity:
        x, rest = _parts(inputs)
        tracked = ops.convert_to_tensor(x).clone().requires_grad_(True)
        with _unchanged(model):
            outputs = model({"x": tracked, **_tensors(rest)}, training=False)
        weighted = ops.reshape(outputs, pull.shape) * ops.convert_to_tensor(np.asarray(pull, np.float32))
        (slope,) = torch.autograd.grad(weighted.sum(), tracked)
        return _taken(ops.convert_to_numpy(outputs), ops.convert_to_numpy(slope), pull)

    return differentiate


def _tensorflow(model: Any) -> Callable[[Arrays, NDArray[Any]], Sensitivity]:
    tensorflow = import_module("tensorflow")
    ops = use_engine().ops

    def differentiate(inputs: Arrays, pull: NDArray[Any]) -> Sensitivity:
        x, rest = _parts(inputs)
        tracked = ops.convert_to_tensor(x)
        with tensorflow.GradientTape() as tape, _unchanged(model):
            tape.watch(tracked)
            outputs = model({"x": tracked, **_tensors(rest)}, training=False)
            weighted = ops.sum(ops.reshape(outputs, pull.shape) * np.asarray(pull, np.float32))
        return _taken(outputs, tape.gradient(weighted, tracked), pull)

    return differentiate


@contextmanager
def _unchanged(model: Any) -> Iterator[None]:
    """Keras draws dropout seeds in prediction, too: give the network its own back."""
    numpy = use_engine().ops.convert_to_numpy
    fixed = [np.array(numpy(variable.value)) for variable in model.non_trainable_variables]
    yield
    for variable, array in zip(model.non_trainable_variables, fixed, strict=True):
        variable.assign(array)


def _parts(inputs: Arrays) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
    rest = {name: np.asarray(array) for name, array in inputs.items() if name != "x"}
    return np.asarray(inputs["x"], np.float32), rest


def _tensors(arrays: Arrays) -> dict[str, Any]:
    return {name: use_engine().ops.convert_to_tensor(array) for name, array in arrays.items()}


def _taken(outputs: Any, slope: Any, pull: NDArray[Any]) -> Sensitivity:
    return Sensitivity(np.asarray(outputs, np.float64).reshape(pull.shape), np.asarray(slope, np.float64))
