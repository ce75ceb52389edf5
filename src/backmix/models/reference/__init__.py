"""Recurrent networks in plain NumPy, float64: forward pass and backpropagation through time.

In: weights and arrays (B, T, F).
Out: a `Trace` of every gate and state, and `Gradients`.
This module is the oracle: slow, written to be read beside the equations, and checked against finite differences
and against Keras. Fast layers and kernels are compared with it, and figures of gates and gradients are drawn
from it.
"""

from backmix.models.reference.network import Network, NetworkGradients, NetworkTrace, summarise
from backmix.models.reference.recurrent import CellForm, Gradients, Trace, Weights, backward, forward

__all__ = [
    "CellForm",
    "Gradients",
    "Network",
    "NetworkGradients",
    "NetworkTrace",
    "Trace",
    "Weights",
    "backward",
    "forward",
    "summarise",
]
