"""Prediction intervals, computed from the prediction frame alone.

This module calibrates `models.intervals.bands` on predictions for rows that the model has not learned from, and adds
the intervals to the frame as further columns:

    low, high     the ends of the interval in the target's unit; NaN where there were too few results to calibrate it
    set           for a classification, the names of the classes that a window may belong to, joined by "|"

Windows of one batch are alike. With enough batches the calibration counts batches, and the coverage holds for a
window of a new batch. With fewer it counts windows, and the coverage is a goal without a guarantee.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.intervals.adaptive import PredictionSeries, follow
from backmix.models.intervals.bands import Band, Bands, Calibrated, ClassSets, Kind, Unit
from backmix.models.intervals.conformal import Scores, needed_units, spread_factor
from backmix.outcome import limits_of, within
from backmix.training.prepared import RUNNING_BEFORE

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.windows.windows import WindowSpec
    from backmix.tasks import Task

MOST_STAGES = 6
EACH_STAGE = 3
"""Where windows are counted, a stage needs at least this many times the fewest windows that the level needs."""
MOST_NUMBERS = 200_000
"""Scores of all bands together in a bundle; each keeps at least `FEWEST_KEPT`."""
FEWEST_KEPT, MOST_KEPT = 20, 2000
NEVER = np.iinfo(np.int64).max

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class IntervalSettings:
    """Which model of the frame gets intervals, and of which kind.

    network: the name of the model in the frame; level, kind: as in ``[intervals]`` of a plan
    late: rows from a value to the moment when it is known
    returns: whether results come back while the model runs, so that intervals can follow them
    """

    network: str
    level: float = 0.9
    kind: Kind = "split"
    late: int = 0
    returns: bool = True


def returns(spec: WindowSpec, task: Task) -> bool:
    """Whether results come back by themselves: past targets are inputs, the future arrives, a batch or unit ends."""
    return spec.known is not None or spec.horizon > 0 or task.target.whole_batches


def lateness(spec: WindowSpec) -> int:
    """How many rows after its own row a result is known, according to the windows."""
    return 0 if spec.known is None else spec.known.delay


def calibrate(
    frame: pd.DataFrame, task: Task, settings: IntervalSettings, *, distance: Mapping[str, float] | None = None
) -> Calibrated | None:
    """Intervals (or class sets) calibrated on the validation rows of the frame; None for a task that has none.

    distance: by what factor errors are larger as far away in time as new rows lie, for each target. Where the frame
    tells the ``block`` of rows in time and windows are counted, intervals are wide enough for a new block, too.
    A task that is judged by the last window of each batch is calibrated on all windows of the validation batches.
    Raises KeyError when the frame lacks a column of a prediction frame.
    """
    if task.kind == "classification" and not task.target.known_classes:
        return None
    part = RUNNING_BEFORE if (frame["part"] == RUNNING_BEFORE).any() else "validation"
    mine = frame[(frame["model"] == settings.network) & (frame["part"] == part)]
    mine = mine[mine["truth"].notna() & mine["prediction"].notna()]
    unit: Unit = "batches" if mine["batch"].nunique() >= needed_units(settings.level) else "windows"
    if task.kind == "classification":
        return _sets(mine, task, settings, unit)
    names = [tag.name for tag in task.targets]
    groups = list(mine[mine["target"].isin(names)].groupby(["target", "horizon"], sort=False))
    if not groups:
        return None
    most = min(MOST_KEPT, max(FEWEST_KEPT, MOST_NUMBERS // (len(groups) * MOST_STAGES)))
    if unit == "batches":
        distance = None  # what is exchanged are whole batches
    form = _BandSettings(task.judging.stage, unit, settings.level, most, limits_of(task.fitted), distance or {})
    bands = tuple(_band(rows, form) for _, rows in groups)
    return Bands(settings.level, settings.kind, task.judging.stage, unit, bands)


@dataclass(frozen=True)
class _BandSettings:
    stage: str
    unit: Unit
    level: float
    most: int
    limits: tuple[float, float] | None
    distance: Mapping[str, float]


def _band(rows: pd.DataFrame, form: _BandSettings) -> Band:
    error = np.abs(within(rows["truth"].to_numpy(float), form.limits) - rows["prediction"].to_numpy(float))
    units = rows["batch"].astype(str).to_numpy() if form.unit == "batches" else np.arange(len(rows))
    edges: tuple[float, ...] = ()
    stage = np.zeros(len(rows), dtype=np.int64)
    if form.stage != "none":
        position = rows["prediction" if form.stage == "told" else "elapsed"].to_numpy(float)
        edges = _edges(position, units, needed_units(form.level) * (EACH_STAGE if form.unit == "windows" else 1))
        stage = np.searchsorted(np.array(edges), position, side="right")
    blocks, (target, horizon) = 1.0, _target_and_horizon(rows)
    if form.unit == "windows" and "block" in rows.columns:
        blocks = spread_factor(error, rows["block"].to_numpy(np.int64), form.level)
    distance = form.distance.get(target, 1.0)
    scores = tuple(
        Scores.of(error[stage == k], units[stage == k] if form.unit == "batches" else None)
        .thinned(form.most, form.level)
        .widened(blocks * distance)
        for k in range(len(edges) + 1)
    )
    return Band(target, horizon, edges, scores, blocks, distance)


def _target_and_horizon(rows: pd.DataFrame) -> tuple[str, int]:
    """The target and the horizon of rows that share both."""
    return str(rows["target"].iloc[0]), int(rows["horizon"].iloc[0])


def _edges(position: Floats, units: NDArray[Any], least: int) -> tuple[float, ...]:
    """The bounds between stages of about equally many windows: as many stages as leave ``least`` units in each."""
    for count in range(MOST_STAGES, 1, -1):
        edges = np.unique(np.quantile(position, np.arange(1, count) / count))
        stage = np.searchsorted(edges, position, side="right")
        if len(edges) == count - 1 and all(len(np.unique(units[stage == k])) >= least for k in range(count)):
            return tuple(edges.tolist())
    return ()


def _sets(rows: pd.DataFrame, task: Task, settings: IntervalSettings, unit: Unit) -> ClassSets:
    scores = []
    for name in task.target.known_classes:
        mine = rows[rows["truth"] == name]
        units = mine["batch"].astype(str).to_numpy() if unit == "batches" else None
        strange = np.clip(1.0 - mine[f"p:{name}"].to_numpy(float), 0.0, 1.0)
        strange_of = np.isfinite(strange)
        some = Scores.of(strange[strange_of], None if units is None else units[strange_of])
        scores.append(some.thinned(MOST_KEPT, settings.level))
    return ClassSets(settings.level, unit, tuple(task.target.known_classes), tuple(scores))


def with_intervals(frame: pd.DataFrame, task: Task, calibrated: Calibrated, settings: IntervalSettings) -> pd.DataFrame:
    """The frame with the columns of the intervals, filled for the network on the parts that did not calibrate them.

    Adaptive intervals go through the rows of each part in the order of prediction. They learn from a result
    ``settings.late`` rows after its row, or at the end of its batch when it is known only then.
    """
    result = frame.copy()
    mine = ((frame["model"] == settings.network) & ~frame["part"].isin(["validation", RUNNING_BEFORE])).to_numpy()
    if isinstance(calibrated, ClassSets):
        result["set"] = None
        p = frame.loc[mine, [f"p:{name}" for name in calibrated.classes]].to_numpy(float)
        result.loc[mine, "set"] = set_names(calibrated, p)
        return result
    ends = np.full((len(frame), 2), np.nan)
    calibrated_for = {(band.target, band.horizon) for band in calibrated.bands}
    for _, rows in frame[mine].groupby(["part", "target", "horizon"], sort=False):
        if _target_and_horizon(rows) in calibrated_for:
            places = np.asarray(frame.index.get_indexer(rows.index))
            ends[places] = interval_ends(rows, task, calibrated, settings)
    result["low"], result["high"] = ends.T
    return result


def set_names(sets: ClassSets, probabilities: Floats) -> NDArray[np.object_]:
    """(n,) the class names in each set, joined by "|"; an empty string for an empty set.

    >>> set_names(ClassSets(0.5, "windows", ("A", "B"), (Scores.of([0.2]), Scores.of([0.7]))), np.array([[0.5, 0.5]]))
    array(['B'], dtype=object)
    """
    names = np.array(sets.classes, dtype=object)
    joined = np.empty(len(probabilities), dtype=object)
    joined[:] = ["|".join(names[member]) for member in sets.members(probabilities)]
    return joined


def interval_ends(rows: pd.DataFrame, task: Task, bands: Bands, settings: IntervalSettings) -> Floats:
    """(n, 2) low and high ends for rows of one model, part, target and horizon; NaN where they are not known."""
    target, horizon = _target_and_horizon(rows)
    prediction = rows["prediction"].to_numpy(float)
    elapsed = rows["elapsed"].to_numpy(float) if "elapsed" in rows.columns else None
    radius = bands.radius(target, prediction, horizon=horizon, elapsed=elapsed)
    limits = limits_of(task.fitted)
    truth = within(rows["truth"].to_numpy(float), limits)
    if settings.kind == "split" or not np.isfinite(truth).any():
        ends = np.column_stack([prediction - radius, prediction + radius])
    else:
        made = rows["origin"].to_numpy(np.int64)
        order = np.argsort(made, kind="stable")
        known = np.where(np.isfinite(truth), _known_from(rows, task, made + horizon + settings.late), NEVER)
        course = PredictionSeries(prediction[order], truth[order], radius[order], made[order], known[order])
        ends = np.empty((len(rows), 2))
        adaptive, state = bands.begin(target, horizon)
        ends[order] = follow(adaptive, course, state)[0]
    ends[~np.isfinite(ends).all(axis=1)] = np.nan
    return within(ends, limits)


def _known_from(rows: pd.DataFrame, task: Task, row: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the row from which each result is known: ``row``, or the last one of its batch."""
    if not task.target.whole_batches:
        return row
    last: NDArray[np.int64] = rows.assign(at=row).groupby("batch")["at"].transform("max").to_numpy(np.int64)
    return last
