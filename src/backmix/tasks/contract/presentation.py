"""What the report shows of a task.

This module defines `Presentation`. The name of a task in both languages is given where it is registered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.tasks.contract.target import Target


@dataclass(frozen=True)
class Presentation(ABC):
    """What a report shows of a task; ``figures`` are registered names, usually a class attribute."""

    target: Target

    @property
    @abstractmethod
    def figures(self) -> tuple[str, ...]:
        """The figures of the report, in order."""

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        """What the task decided or assumed about the target."""
        return ()
