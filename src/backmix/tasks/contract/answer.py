"""What comes out of a model, and what it means.

This module defines `Answer`, the part of a task that names the head and the loss of the network and turns its raw
outputs into the plant's terms. `shared.numbers` and `shared.classes` have one that serves most tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.outcome import Outcome
from backmix.tasks.contract.target import Target

Kind = Literal["regression", "classification"]


@dataclass(frozen=True)
class Answer(ABC):
    """The answer of a task, by its network.

    fitted: what the task itself has learned (thresholds ...), ready for JSON; see `contract.optional`
    """

    target: Target
    fitted: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[Kind]
    """What an outcome holds: values, or probabilities."""

    @property
    @abstractmethod
    def head(self) -> str:
        """The registered head that the network ends in."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers the head puts out, for each row that it answers for."""

    @abstractmethod
    def loss(self, train: Windows) -> Decision:
        """The registered loss for these training samples, with the reason."""

    @abstractmethod
    def decode(self, outputs: NDArray[Any], windows: Windows) -> Outcome:
        """Raw network outputs in the plant's terms, window by window.

        outputs: (B, O); of a network that answers on every row its last answer, of one that gives the window
            back (B, T·O)
        """

    @property
    def light(self) -> bool:
        """Whether the light runtime can answer: raw outputs in the target's units, or as probabilities, are all.

        Where it is False a bundle is refused there, with the reason.
        """
        return False

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Fields of `models.architecture.Architecture` that the task wishes for where the plan says "auto"."""
        return {}

    @property
    def recursive(self) -> bool:
        """Whether the network looks one row ahead and is fed with its own answers to look further."""
        return False

    def class_weights(self, train: Windows) -> Mapping[int, float] | None:
        """A weight for each class code that the training samples show; None when all count the same."""
        return None
