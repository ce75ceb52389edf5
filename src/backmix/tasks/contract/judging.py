"""By what a model is judged, and against whom.

This module defines `Judging`, the part of a task that names metrics and baselines and picks the windows that count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.models.intervals.bands import Stage
from backmix.tasks.contract.target import Target


@dataclass(frozen=True)
class Judging(ABC):
    """How a task is judged. ``metrics`` and ``baselines`` are registered names, usually class attributes."""

    target: Target

    by_alarms: ClassVar[bool] = False
    """Whether the verdict is about alarms at the threshold that was set (`scoring.verdict.detection`)."""
    stage: ClassVar[Stage] = "none"
    """What tells how far a batch has come, where errors depend on it: "told" by the prediction, or "elapsed" time,
    for which `frame_columns` gives ``elapsed`` of `shared.batches`; see `models.intervals.bands`."""

    members: ClassVar[tuple[str, ...] | None] = None
    """The models without a memory that an ensemble tries; None for all that give answers of its kind."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the report. The verdict is about the first."""

    @property
    @abstractmethod
    def baselines(self) -> tuple[str, ...]:
        """The models without a memory that the network has to beat."""

    @property
    def test_at_every_row(self) -> bool:
        """Whether test windows are made at every row, whatever ``[windows] stride`` says."""
        return False

    def test_windows(self, windows: Windows) -> Windows:
        """The windows of the test part that count."""
        return windows

    def selection_windows(self, windows: Windows) -> Windows:
        """The windows of the validation part on which models are compared."""
        return windows

    def frame_columns(self, windows: Windows) -> Mapping[str, NDArray[Any]]:
        """(W,) further columns of every model's prediction frame, for metrics and figures.

        Asked for only where labels are known: what is known afterwards may be among them.
        """
        return {}

    @property
    def convention(self) -> Decision | None:
        """What must be said beside every verdict, because scores mean something else without it."""
        return None
