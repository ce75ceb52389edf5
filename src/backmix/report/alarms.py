"""The alarms of a run, one by one.

This module lists the alarms of an anomaly detection on the test part: when each began, how long
it lasted, how far it exceeded the threshold, which tags caused it, and whether there was a fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backmix.report.drawing.series import Series, series

if TYPE_CHECKING:
    import pandas as pd

    from backmix.report.data import ReportData


@dataclass(frozen=True)
class Alarm:
    """A stretch of alarming windows of one batch.

    first: time of its first row (UTC), or None without a clock; row: that row's number, from 1
    windows: how many; seconds: how long, None without a clock
    peak: the largest score, in units of the threshold; because: the tags at the peak
    real: whether a fault was there at any moment; None without labels
    """

    batch: str | None
    first: np.datetime64 | None
    row: int
    windows: int
    seconds: float | None
    peak: float
    because: str
    real: bool | None


@dataclass(frozen=True, eq=False)
class AlarmScores:
    """The scores of the network on the test part, in the order in which they are drawn.

    run: axis and batches; score: (N,) in units of the threshold, NaN where there is none
    alarm, fault: (N,); labelled: whether any truth is known
    frame: the rows of the prediction frame in that order
    """

    run: Series
    score: NDArray[np.float64]
    alarm: NDArray[np.bool_]
    fault: NDArray[np.bool_]
    labelled: bool
    frame: pd.DataFrame


def alarm_scores(data: ReportData) -> AlarmScores | None:
    """The scores of an anomaly detection on its test part; None for any other run."""
    frame = data.predictions
    if frame is None or "score" not in frame.columns or data.task.target.normal_class is None:
        return None
    frame = frame[(frame["model"] == data.network) & (frame["part"] == "test")]
    score = frame["score"].to_numpy(dtype=np.float64)
    if not np.isfinite(score).any():
        return None
    import pandas as pd

    batch = frame["batch"].astype(object).where(frame["batch"].notna(), None).to_numpy(dtype=object)
    codes, _ = pd.factorize(batch, use_na_sentinel=False)
    frame = frame.iloc[np.lexsort((frame["origin"].to_numpy(), codes))].reset_index(drop=True)
    run = series(frame)
    truth = frame["truth"].notna().to_numpy()
    fault = truth & (frame["truth"] != data.task.target.normal_class).to_numpy()
    alarm = frame["prediction"].notna().to_numpy() & (frame["prediction"] != data.task.target.normal_class).to_numpy()
    return AlarmScores(run, frame["score"].to_numpy(dtype=np.float64), alarm, fault, bool(truth.any()), frame)


def alarms(scores: AlarmScores, *, step: float | None = None) -> tuple[Alarm, ...]:
    """The alarms in the order of the test part; ``step`` is the time between two rows in seconds."""
    begins = scores.alarm.copy()
    begins[1:] &= ~scores.alarm[:-1] | scores.run.breaks[1:]
    ends = scores.alarm.copy()
    ends[:-1] &= ~scores.alarm[1:] | scores.run.breaks[1:]
    clock = bool(scores.frame["time"].notna().all())
    times = scores.frame["time"].to_numpy(dtype="datetime64[ns]")
    named = getattr(scores.frame["time"].dtype, "tz", None)
    wall = scores.frame["time"].dt.tz_localize(None).to_numpy(dtype="datetime64[ns]") if named is not None else times
    usual = step or 0.0
    listed = []
    for low, high in zip(np.flatnonzero(begins).tolist(), np.flatnonzero(ends).tolist(), strict=True):
        here = slice(low, high + 1)
        top = low + int(np.argmax(scores.score[here]))
        batch = scores.frame["batch"].iloc[low]
        listed.append(
            Alarm(
                batch=batch if isinstance(batch, str) else None,
                first=wall[low] if clock else None,
                row=int(scores.frame["origin"].iloc[low]) + 1,
                windows=high + 1 - low,
                seconds=float((times[high] - times[low]) / np.timedelta64(1, "s")) + usual if clock else None,
                peak=float(scores.score[top]),
                because=str(scores.frame["because"].iloc[top]),
                real=bool(scores.fault[here].any()) if scores.labelled else None,
            )
        )
    return tuple(listed)


def stretches(mask: NDArray[np.bool_], breaks: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where a mask (N,) is true: first and last position of each stretch; breaks end one.

    >>> stretches(np.array([True, True, False, True]), np.zeros(4, dtype=bool))
    [(0, 1), (3, 3)]
    """
    edges = np.flatnonzero(np.concatenate([[True], (mask[1:] != mask[:-1]) | breaks[1:], [True]]))
    return [(a, b - 1) for a, b in pairwise(edges.tolist()) if mask[a]]
