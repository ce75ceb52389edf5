"""The intervals that a bundle holds.

This module reads ``intervals.json`` from a bundle of unknown origin, looks whether it belongs to the bundle's
preprocessing, and writes the intervals beside new predictions. Bundles without it are as good as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.models.intervals.bands import Bands, Calibrated, calibrated_from
from backmix.serving.archive import Members

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.windows import Windows
    from backmix.training.preprocessing import Preprocessing

MEMBER = "intervals.json"


def read_intervals(members: Members) -> Calibrated | None:
    """What the members of a bundle say of intervals; None where they say nothing.

    Raises BundleError, ValueError, KeyError or TypeError when it is malformed.
    """
    return calibrated_from(members.json(MEMBER)) if MEMBER in members else None


def fits_preprocessing(intervals: Calibrated, preprocessing: Preprocessing) -> bool:
    """Whether these are intervals of what the task of the preprocessing answers."""
    task = preprocessing.task
    if isinstance(intervals, Bands):
        names = {tag.name for tag in task.targets}
        return (
            task.kind == "regression"
            and intervals.stage == task.stage
            and all(band.target in names and band.horizon in preprocessing.spec.horizons for band in intervals.bands)
        )
    return task.kind == "classification" and task.sets and intervals.classes == task.known


def add_intervals(
    frame: pd.DataFrame, preprocessing: Preprocessing, intervals: Calibrated, windows: Windows
) -> pd.DataFrame:
    """The prediction frame of these windows with the columns of `scoring.prediction_intervals`."""
    from backmix.scoring.prediction_intervals import IntervalSettings, lateness, with_intervals

    elapsed = preprocessing.task.elapsed(windows)
    with_elapsed = (
        frame
        if elapsed is None or len(windows) == 0
        else frame.assign(elapsed=np.repeat(elapsed, len(frame) // len(windows)))
    )
    kind = intervals.kind if isinstance(intervals, Bands) else "split"
    settings = IntervalSettings(
        str(frame["model"].iloc[0]) if len(frame) else "", intervals.level, kind, lateness(preprocessing.spec)
    )
    result = with_intervals(with_elapsed, preprocessing.task, intervals, settings)
    return result[[name for name in result.columns if name != "elapsed" or name in frame.columns]]
