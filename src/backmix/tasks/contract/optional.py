"""What only a few tasks need; a new task leaves it out.

This module defines contracts that a part of a task may fulfil beside its own. They are found by `isinstance`.
What a task learns itself is kept in ``Task.fitted`` and goes into the bundle, so it must be ready for JSON. An answer
checks it when it is made: ValueError or KeyError for what no training could have left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.outcome import Outcome

MARGIN = 0.5
"""How far a path may leave the range of its target in training, as a share of that range, on either side. A path that
is fed with its own answers can run away; no plant goes where a model ends that does."""
BOUNDED = "bounded"
"""The column of a prediction frame that counts the rows of a path that were brought to the bounds."""
NEAR = 1e-5
"""What is nearer to a bound than this share of the range was brought to it."""


class LearnsFromWindows(ABC):
    """An answer that learns something from training and validation windows before any model is trained."""

    @abstractmethod
    def learn(self, train: Windows, validation: Windows) -> Mapping[str, Any]:
        """What the answer's ``fitted`` will be. Raises InputError when there are too few windows."""


class LearnsFromOutputs(ABC):
    """An answer that learns something (a threshold) from the raw outputs of a trained network."""

    @abstractmethod
    def calibrate(self, outputs: NDArray[Any], windows: Windows) -> Mapping[str, Any]:
        """What the answer's ``fitted`` will be; windows: the validation samples that the outputs are of."""


class HasMembers(ABC):
    """An answer that adds up what a network and other members say of a window."""

    @property
    @abstractmethod
    def shares(self) -> Mapping[str, float]:
        """The weight of each member, the network as "networks"; empty where the network is alone."""

    @abstractmethod
    def alone(self) -> Mapping[str, Any]:
        """What ``fitted`` would be for the network alone."""

    @abstractmethod
    def weigh(self, outputs: NDArray[Any], windows: Windows) -> Mapping[str, Any]:
        """What ``fitted`` will be with weights by labelled windows of the validation part, and outputs of them."""

    @abstractmethod
    def notes(self) -> tuple[Decision, ...]:
        """What was decided about the members and their threshold, with reasons."""


class Promises(ABC):
    """An answer that says how often it alarms in normal operation."""

    @property
    @abstractmethod
    def promise(self) -> Mapping[str, Any] | None:
        """A `tasks.shared.promise.Promise` as a dictionary; None where nothing was tested."""


class Revises(ABC):
    """An answer that has the last word on what any model says, network and baseline alike."""

    @abstractmethod
    def revise(self, outcome: Outcome, windows: Windows) -> Outcome:
        """The outcome after that word."""


class HasBounds(ABC):
    """An answer whose values stay within bounds that training has shown."""

    @property
    @abstractmethod
    def bounds(self) -> NDArray[np.float64] | None:
        """(2, G) the least and the most that each target may be told as; None where training has left none."""

    def at_bounds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values (..., G) lie at a bound, but for rounding, or beyond; none where there are no bounds."""
        if self.bounds is None:
            return np.zeros(values.shape, bool)
        low, high = self.bounds
        near = NEAR * (high - low)
        inside: NDArray[np.bool_] = (values > low + near) & (values < high - near)
        return ~inside


class TellsNormal(ABC):
    """A target that tells normal operation from everything else."""

    @property
    @abstractmethod
    def false_alarm_rate(self) -> float:
        """The share of normal windows that may alarm."""

    @abstractmethod
    def scored_rows(self, windows: Windows) -> int:
        """R: how many rows of a window, the newest, make its score."""


class HasSeason(ABC):
    """A target that may come round again."""

    @abstractmethod
    def season(self, step: float | None) -> int | None:
        """After how many rows, for rows ``step`` seconds apart; None when no period is given."""
