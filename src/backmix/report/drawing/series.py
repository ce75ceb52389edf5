"""What a figure over time draws.

This module takes one model's predictions of one target out of a prediction frame, as arrays with
an axis: the clock where it runs on evenly, else the order of the windows (batches side by side).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.text import say
from backmix.text.numbers import Tick, round_ticks, time_ticks

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
MOST_BATCH_MARKS = 24


@dataclass(frozen=True)
class Series:
    """N windows of one target in the order they are drawn.

    x: (N,) seconds since 1970 UTC when ``clock``, else 0, 1, 2, ...
    truth, prediction: (N,) as they stand in the frame (numbers or class names)
    breaks: (N,) true where a line must be lifted: a new batch, or a gap in time
    batches: (first position, name) of every batch, in order
    low, high: (N,) the ends of the intervals, where the frame has some
    zone: in which the marks of a clock are shown; None for UTC
    """

    x: Floats
    clock: bool
    truth: NDArray[Any]
    prediction: NDArray[Any]
    breaks: NDArray[np.bool_]
    batches: tuple[tuple[int, str], ...]
    low: Floats | None = None
    high: Floats | None = None
    zone: tzinfo | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def ends(self) -> tuple[float, float]:
        """The first and last place of the axis; never the same."""
        low, high = float(self.x[0]), float(self.x[-1])
        return (low, high) if high > low else (low - 0.5, high + 0.5)

    def ticks(self, width: float) -> list[Tick]:
        """Marks of the axis that fit into a width in px."""
        low, high = self.ends
        if self.clock:
            return time_ticks(low, high, max(2, int(width // 110)), self.zone)
        if 1 < len(self.batches) <= MOST_BATCH_MARKS:
            return [(float(start), name) for start, name in self.batches]
        return round_ticks(low, high, max(3, int(width // 90)))

    @property
    def axis(self) -> str:
        """What the axis counts, in the language of the moment."""
        if self.clock:
            return say("report.axis_time")
        return say("report.axis_batches" if len(self.batches) > 1 else "report.axis_windows")


def series(frame: pd.DataFrame) -> Series:
    """The windows of a prediction frame that holds one model, one part and one target."""
    import pandas as pd

    batch = frame["batch"].astype(object).where(frame["batch"].notna(), None).to_numpy(dtype=object)
    codes, names = pd.factorize(batch, use_na_sentinel=False)
    order = np.lexsort((frame["origin"].to_numpy(), codes))
    codes, seconds = codes[order], None
    if frame["time"].notna().all():
        stamps = pd.to_datetime(frame["time"], utc=True).to_numpy(dtype="datetime64[ns]")[order]
        seconds = stamps.astype(np.int64) / 1e9
    change = np.zeros(len(frame), dtype=bool)
    change[1:] = codes[1:] != codes[:-1]
    clock = seconds is not None and _even(seconds)
    x = seconds if clock and seconds is not None else np.arange(len(frame), dtype=np.float64)
    breaks = change.copy()
    if seconds is not None and len(seconds) > 2:
        steps = np.diff(seconds)
        usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        breaks[1:] |= steps > 5 * usual
    starts = np.flatnonzero(change | (np.arange(len(frame)) == 0))
    marks = tuple((int(start), str(names[codes[start]])) for start in starts) if len(names) > 1 else ()
    return Series(
        x=np.asarray(x, dtype=np.float64),
        clock=clock,
        breaks=breaks,
        batches=marks,
        truth=frame["truth"].to_numpy()[order],
        prediction=frame["prediction"].to_numpy()[order],
        zone=getattr(frame["time"].dtype, "tz", None),
        low=frame["low"].to_numpy(np.float64)[order] if "low" in frame.columns else None,
        high=frame["high"].to_numpy(np.float64)[order] if "high" in frame.columns else None,
    )


def class_names(values: NDArray[Any]) -> NDArray[np.object_]:
    """Class names as words, (N,)."""
    return np.array([str(value) for value in values.tolist()], dtype=object)


def _even(seconds: Floats) -> bool:
    """Whether a clock axis would be mostly filled: in order, and without long idle stretches."""
    steps = np.diff(seconds)
    if len(steps) == 0:
        return True
    if (steps < 0).any() or seconds[-1] <= seconds[0]:
        return False
    usual = np.median(steps[steps > 0])
    return bool(np.minimum(steps, 5 * usual).sum() >= 0.3 * (seconds[-1] - seconds[0]))
