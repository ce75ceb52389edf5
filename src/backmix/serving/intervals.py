"""The prediction intervals of a bundle.

This module reads ``intervals.json`` from a bundle of unknown origin, checks that it fits the preprocessing, and adds
the intervals to new predictions. A bundle may have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backmix.models.intervals.bands import Bands, Calibrated, ClassSets, calibrated_from
from backmix.serving.archive import Members

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.windows.windows import Windows
    from backmix.training.preprocessing import Preprocessing

MEMBER = "intervals.json"


def read_intervals(members: Members) -> Calibrated | None:
    """The intervals of a bundle; None where it has none.

    Raises BundleError, ValueError, KeyError or TypeError when it is malformed.
    """
    return calibrated_from(members.json(MEMBER)) if MEMBER in members else None


def fits_preprocessing(intervals: Calibrated, preprocessing: Preprocessing) -> bool:
    """Whether these are intervals for the outputs of this preprocessing's task."""
    task = preprocessing.task
    if isinstance(intervals, Bands):
        names = {tag.name for tag in task.targets}
        return (
            task.kind == "regression"
            and intervals.stage == task.judging.stage
            and all(band.target in names and band.horizon in preprocessing.spec.horizons for band in intervals.bands)
        )
    return task.kind == "classification" and intervals.classes == task.target.known_classes != ()


def fits_outputs(intervals: Calibrated | None, targets: tuple[str, ...], classes: tuple[str, ...]) -> bool:
    """Whether these are intervals of what a model of these targets or classes answers, or none."""
    if intervals is None:
        return True
    if isinstance(intervals, ClassSets):
        return intervals.classes == classes
    return {band.target for band in intervals.bands} == set(targets) and not classes


def add_intervals(
    frame: pd.DataFrame, preprocessing: Preprocessing, intervals: Calibrated, windows: Windows
) -> pd.DataFrame:
    """The prediction frame of these windows with the columns of `scoring.prediction_intervals`."""
    from backmix.scoring.prediction_intervals import IntervalSettings, lateness, with_intervals
    from backmix.tasks.shared.batches import elapsed

    with_elapsed = frame
    if preprocessing.task.judging.stage == "elapsed" and len(windows):
        with_elapsed = frame.assign(elapsed=np.repeat(elapsed(windows), len(frame) // len(windows)))
    kind = intervals.kind if isinstance(intervals, Bands) else "split"
    settings = IntervalSettings(
        str(frame["model"].iloc[0]) if len(frame) else "", intervals.level, kind, lateness(preprocessing.spec)
    )
    result = with_intervals(with_elapsed, preprocessing.task, intervals, settings)
    return result[[name for name in result.columns if name != "elapsed" or name in frame.columns]]
