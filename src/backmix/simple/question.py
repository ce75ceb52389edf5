"""What a simple model must know of a task.

This module defines `TaskQuestion`: a task makes it, and no simple model sees more of the task than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows
from backmix.outcome import Outcome


@dataclass(frozen=True)
class TaskQuestion:
    """What is asked about each window.

    task: name of the task, for messages
    targets: the tags that are asked about
    outputs: O, how many numbers a network answers with; one for the second of two classes
    classes: C class names, those that can be learned first; () for numbers
    season: rows after which the target comes round again, where that is known
    false_alarm_rate: of normal windows, where normal operation is to be distinguished from everything else
    counted: how many rows of a window, the newest, make its score then
    """

    task: str
    kind: Literal["regression", "classification"]
    targets: tuple[Tag, ...]
    outputs: int
    classes: tuple[str, ...] = ()
    season: int | None = None
    false_alarm_rate: float | None = None
    counted: int = 1

    def outcome(self, raw: NDArray[Any], windows: Windows) -> Outcome:
        """Raw outputs (W, O), scaled numbers or chances of the classes that can be learned, in the plant's terms."""
        raw = np.asarray(raw, np.float64)
        if self.kind == "regression":
            return Outcome(values=windows.unscaled(raw))
        chances = np.hstack([1 - raw, raw]) if self.outputs == 1 else raw
        return Outcome(probabilities=np.pad(chances, [(0, 0), (0, len(self.classes) - chances.shape[1])]))
