"""Whether cuDNN can run the recurrent layers on a GPU.

This module lists the settings that cuDNN's fused kernels do not support, such as recurrent dropout, so that the user
knows. On a CPU they make no difference.
"""

from __future__ import annotations

from backmix.decision import Decision
from backmix.models.architecture import Architecture
from backmix.models.cells import cells


def leaves_fast_path(architecture: Architecture) -> tuple[Decision, ...]:
    """The settings with which cuDNN cannot run a cell that it has a kernel for; empty when it can.

    >>> leaves_fast_path(Architecture(features=2, dropout=0.2))
    ()
    >>> [c.setting for c in leaves_fast_path(Architecture(features=2, recurrent_dropout=0.2))]
    ['model.recurrent_dropout']
    """
    a = architecture
    if a.body == "transformer" or not cells.get(a.cell).fused:
        return ()
    reasons = []
    if a.recurrent_dropout:
        reasons.append(Decision(a.recurrent_dropout, "models.slow_recurrent_dropout", {}, "model.recurrent_dropout"))
    if a.activation != "tanh":
        reasons.append(Decision(a.activation, "models.slow_activation", {"needed": "tanh"}, "model.activation"))
    if a.recurrent_activation != "sigmoid":
        reasons.append(
            Decision(
                a.recurrent_activation, "models.slow_activation", {"needed": "sigmoid"}, "model.recurrent_activation"
            )
        )
    if a.cell == "gru" and not a.reset_after:
        reasons.append(Decision(False, "models.slow_reset", {}, "model.reset_after"))
    if a.feedback:
        reasons.append(Decision(a.decoder, "forms.slow_feedback", {}, "model.decoder"))
    return tuple(reasons)
