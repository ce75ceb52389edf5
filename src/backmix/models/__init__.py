"""Arrays in, arrays out.

In: an `Architecture` in numbers and names, and arrays (B, T, F).
Out: a Keras network with its head and loss, or the same network in NumPy, and arrays (B, O).
`cells` holds one file per recurrent cell, `kernels` calls the C++ code, `reference` is the float64 oracle that both
are checked against. Nothing here knows a data frame. Names are loaded when first used, so that the light runtime
loads neither Keras nor pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backmix.models.architecture import Architecture as Architecture
    from backmix.models.network import ModelPlan as ModelPlan
    from backmix.models.network import build as build

_HOMES = {"Architecture": "architecture", "ModelPlan": "network", "build": "network"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'backmix.models' has no attribute {name!r}")
    return getattr(import_module(f"backmix.models.{_HOMES[name]}"), name)
