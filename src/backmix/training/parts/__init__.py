"""What is tried beside the networks of an ensemble.

This module defines the contract of a candidate and the registry. A candidate learns from all windows that
may teach and, once per block, from those that are left while the block is held out: what it then says of
the block is what its weight is found by.

    @candidate("ridge", "regression")
    def fit(blocks: Blocks, task: Task, seed: int) -> Candidate | None: ...

A candidate that cannot exist for these windows gives None. Once registered it is tried in every ensemble of its kind
of answer, unless ``[model] beside`` names others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.decision import Decision
from backmix.models.members.member import Member
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

    part: Member
    held: Floats
    decisions: tuple[Decision, ...] = ()


Fit = Callable[[Blocks, "Task", int], Candidate | None]
Kind = Literal["regression", "classification", "any"]


@dataclass(frozen=True)
class Trial:
    """How a candidate is fitted, and the kind of answer that it can give."""

    fit: Fit
    kind: Kind


candidates: Registry[Trial] = Registry("candidates", package="backmix.training.parts")


def candidate(name: str, kind: Kind) -> Callable[[Fit], Fit]:
    """Decorator that registers a candidate; "any" for one that answers with numbers and with classes."""

    def file(fit: Fit) -> Fit:
        candidates.register(name)(Trial(fit, kind))
        return fit

    return file


def fitting(kind: str) -> tuple[str, ...]:
    """The names of all candidates for tasks of a kind.

    >>> fitting("classification")
    ('forest', 'lda')
    """
    return tuple(name for name, trial in candidates if trial.kind in ("any", kind))
