"""The progress of a training on the screen.

This module shows one line on stderr: epoch, loss, the best validation loss, the baseline's score
to beat, and the time left. On a pipe it stays quiet and says one line at the end.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from backmix.text import say

REFRESH = 0.1
"""Seconds between two updates of the bar."""


class ProgressListener(Protocol):
    """What hears of the progress of a training; all calls come from the training thread."""

    def begin(self, epochs: int, steps: int, epoch: int) -> None:
        """Training begins (or goes on) after ``epoch`` finished epochs."""

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Batch ``step`` of an epoch is done; ``loss`` is the mean of the epoch so far."""

    def epoch(self, epoch: int, logs: dict[str, float], best: float | None) -> None:
        """An epoch has ended with these logs; ``best`` is the best monitored value so far."""

    def end(self, epoch: int, best: float | None, why: str) -> None:
        """Training is over: ``why`` is "patience", "epochs", "callback", "interrupted" or "error"."""


@dataclass(frozen=True)
class ScoreToBeat:
    """The score to beat: the best baseline's, in the unit of the monitored loss."""

    name: str
    value: float


class Progress:
    """A bar on a terminal, one line at the end on a pipe."""

    def __init__(self, *, mark: ScoreToBeat | None = None, title: str = "", stream: TextIO | None = None) -> None:
        self._mark, self._title = mark, title
        self._stream = stream or sys.stderr
        self._live = bool(getattr(self._stream, "isatty", lambda: False)())
        self._bar: Any = None
        self._task: Any = None
        self._epochs, self._steps, self._last, self._began = 1, 1, 0.0, time.monotonic()
        self._loss, self._best = math.nan, math.nan

    def begin(self, epochs: int, steps: int, epoch: int) -> None:
        """Open the bar."""
        self._epochs, self._steps, self._began = epochs, steps, time.monotonic()
        if not self._live:
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(compact=True),
            console=Console(file=self._stream),
            transient=True,
            refresh_per_second=1 / REFRESH,
        )
        self._task = self._bar.add_task(
            self._title or say("training.bar_title"), total=epochs * steps, completed=epoch * steps, said=""
        )
        self._bar.start()

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Move the bar, at most ten times a second."""
        now = time.monotonic()
        if self._bar is None or now - self._last < REFRESH:
            return
        self._last, self._loss = now, loss
        self._show(epoch, epoch * self._steps + step + 1)

    def epoch(self, epoch: int, logs: dict[str, float], best: float | None) -> None:
        """Show the scores of an epoch."""
        self._loss = logs.get("loss", math.nan)
        self._best = math.nan if best is None else best
        if self._bar is not None:
            self._show(epoch, (epoch + 1) * self._steps)

    def end(self, epoch: int, best: float | None, why: str) -> None:
        """Close the bar and say one line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if why == "error":
            return
        seconds = time.monotonic() - self._began
        line = say(
            "training.bar_end",
            title=self._title or say("training.bar_title"),
            epochs=epoch,
            seconds=f"{seconds:.1f}",
            best="–" if best is None else f"{best:.4g}",
            why=say(f"training.why_{why}"),
        )
        print(line + self._to_beat(), file=self._stream)

    def _show(self, epoch: int, completed: int) -> None:
        best = "–" if math.isnan(self._best) else f"{self._best:.4g}"
        text = (
            say("training.bar_said", epoch=epoch + 1, epochs=self._epochs, loss=f"{self._loss:.4g}", best=best)
            + self._to_beat()
        )
        self._bar.update(self._task, completed=completed, said=text)

    def _to_beat(self) -> str:
        if self._mark is None:
            return ""
        return say("training.bar_mark", name=self._mark.name, value=f"{self._mark.value:.4g}")
