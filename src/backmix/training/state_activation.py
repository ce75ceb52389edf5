"""Whether the state of the networks is bounded.

This module trains the network of the last block twice, with a state that tanh bounds and with a linear one, and keeps
the one that says more of the block. A GRU whose candidate is linear is a gated linear state space,
h_t = z_t * h_{t-1} + (1 - z_t) * (W x_t + r_t * (U h_{t-1})): what it stores has no ceiling, so that it adds up as a
tank does. Measured beside a state space with a network of its own and an encoder of the first state (Beintema,
Schoukens & Toth, Automatica 156 (2023), arXiv 2210.14816), which is no better: benchmarks/LOG.md.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.simple.blocks import Blocks
from backmix.training.design import Design
from backmix.training.networks import Making, TrainedMember, try_states
from backmix.training.prepared import Prepared

BOUNDED, OPEN = "tanh", "linear"
CLEARLY = 0.95
"""A linear state is taken where the loss on the held-out block falls below this share of that with tanh."""


def choose_state(
    prepared: Prepared, chosen: Design, blocks: Blocks, offset: NDArray[np.float64] | None, making: Making
) -> tuple[Design, TrainedMember | None, tuple[Decision, ...]]:
    """The design with the activation that a held-out block prefers, the network of that block, and the decision.

    Nothing is trained where the plan names an activation, and for other cells and classes.
    """
    a = chosen.architecture
    if (
        prepared.plan.model.activation != "auto"
        or prepared.task.kind != "regression"
        or (a.cell, a.body, a.activation) != ("gru", "recurrent", BOUNDED)
    ):
        return chosen, None, ()
    bounded, linear = try_states(prepared, chosen, blocks, offset, making, (BOUNDED, OPEN))
    losses = [min(member.fitted.history["val_loss"]) for member in (bounded, linear)]
    values = {"bounded": f"{losses[0]:.4g}", "linear": f"{losses[1]:.4g}"}
    if not losses[1] < CLEARLY * losses[0]:
        return chosen, bounded, (Decision(BOUNDED, "ensemble.state_bounded", values, setting="model.activation"),)
    return (
        replace(chosen, architecture=replace(a, activation=OPEN)),
        linear,
        (Decision(OPEN, "ensemble.state_linear", values, setting="model.activation"),),
    )
