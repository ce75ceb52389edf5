"""Arrays in, arrays out: cells, networks, heads and losses, and the NumPy reference.

This module names what the later stages use, loaded when first asked for: the light runtime needs an
`Architecture` and neither pydantic nor Keras. Nothing here loads Keras until a network is built.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backmix.decision import Decision as Decision
    from backmix.models.architecture import Architecture as Architecture
    from backmix.models.network import ModelPlan as ModelPlan
    from backmix.models.network import build as build

_HOMES = {"Architecture": "architecture", "Choice": "choice", "ModelPlan": "network", "build": "network"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'backmix.models' has no attribute {name!r}")
    return getattr(import_module(f"backmix.models.{_HOMES[name]}"), name)
