"""What is tried beside the networks of a mixture.

This module defines the contract of a candidate and the registry. A candidate learns from all windows that
may teach and, once per block, from those that are left while the block is held out: what it then says of
the block is what its weight is found by.

    @candidates.register("ridge")
    def fit(blocks: Blocks, task: Task, seed: int) -> Candidate | None: ...

A candidate that cannot exist for these windows gives None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.models.choice import Choice
from backmix.models.parts import Part
from backmix.registry import Registry
from backmix.training.blocks import Blocks

if TYPE_CHECKING:
    from backmix.tasks import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A part that was fitted on all W windows of the pool.

    held: (W, O) what it says of each window when the window's block was held out
    """

    part: Part
    held: Floats
    choices: tuple[Choice, ...] = ()


Fit = Callable[[Blocks, "Task", int], Candidate | None]

candidates: Registry[Fit] = Registry("candidates", package="backmix.training.parts")

USUAL = {"regression": ("ridge", "pls", "ridge_statistics", "ridge_summaries", "forest", "forest_lags", "boosting",
                         "pls_evolving"),
         "classification": ("lda", "forest")}
"""What is tried unless the plan says otherwise."""
