"""Arrays in, arrays out: cells, networks, heads and losses, and the NumPy reference.

This module names what the later stages use. Nothing here loads Keras until a network is built.
"""

from backmix.models.architecture import Architecture
from backmix.models.choice import Choice
from backmix.models.network import ModelPlan, build

__all__ = ["Architecture", "Choice", "ModelPlan", "build"]
