"""Intervals of predictions, from the prediction frame and from nothing else.

This module calibrates `models.intervals.bands` on what a model said of rows that it has not learned from, and writes
the intervals beside its other predictions, as further columns of the frame:

    low, high     the ends of the interval in the target's unit; NaN where too little is known to tell them
    set           for a classification, the names of the classes that a window may be of, joined by "|"

Windows of one batch resemble one another. Where there are enough batches they are what is counted, and the
share holds for a window of a new batch; else windows are, and the share may be missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.models.intervals.adaptive import PredictionSeries, follow
from backmix.models.intervals.bands import Band, Bands, Calibrated, ClassSets, Kind, Unit
from backmix.models.intervals.conformal import Scores, needed_units
from backmix.training.prepare import RUNNING_BEFORE

if TYPE_CHECKING:
    import pandas as pd

    from backmix.data.windows import WindowSpec
    from backmix.tasks import Task

MOST_STAGES = 6
EACH_STAGE = 3
"""Where windows are counted, a stage has at least so many times the fewest that tell the level."""
MOST_NUMBERS = 200_000
"""Scores of all bands together in a bundle; each keeps at least `FEWEST_KEPT`."""
FEWEST_KEPT, MOST_KEPT = 20, 2000
NEVER = np.iinfo(np.int64).max

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Banding:
    """Whose intervals, and which.

    network: the model in the frame; level, kind: as ``[intervals]`` of a plan
    late: rows from the moment that a value is of to the moment that it is known
    """

    network: str
    level: float = 0.9
    kind: Kind = "split"
    late: int = 0


def lateness(spec: WindowSpec) -> int:
    """How late results are, in rows, as far as the windows know it."""
    return 0 if spec.known is None else spec.known.delay


def calibrate(frame: pd.DataFrame, task: Task, banding: Banding) -> Calibrated | None:
    """Intervals (or class sets) from the validation rows of the frame; None for a task without such.

    Where only the last windows of the validation batches choose, those of running batches are used, too.
    Raises KeyError for a frame that is none.
    """
    if task.kind == "classification" and not task.sets:
        return None
    part = RUNNING_BEFORE if (frame["part"] == RUNNING_BEFORE).any() else "validation"
    mine = frame[(frame["model"] == banding.network) & (frame["part"] == part)]
    mine = mine[mine["truth"].notna() & mine["prediction"].notna()]
    unit: Unit = "batches" if mine["batch"].nunique() >= needed_units(banding.level) else "windows"
    if task.kind == "classification":
        return _sets(mine, task, banding, unit)
    names = [tag.name for tag in task.targets]
    groups = list(mine[mine["target"].isin(names)].groupby(["target", "horizon"], sort=False))
    if not groups:
        return None
    most = min(MOST_KEPT, max(FEWEST_KEPT, MOST_NUMBERS // (len(groups) * MOST_STAGES)))
    form = _Form(task.stage, unit, banding.level, most)
    bands = tuple(_band(rows, form) for _, rows in groups)
    return Bands(banding.level, banding.kind, task.stage, unit, bands)


@dataclass(frozen=True)
class _Form:
    stage: str
    unit: Unit
    level: float
    most: int


def _band(rows: pd.DataFrame, form: _Form) -> Band:
    error = np.abs(rows["truth"].to_numpy(float) - rows["prediction"].to_numpy(float))
    units = rows["batch"].astype(str).to_numpy() if form.unit == "batches" else np.arange(len(rows))
    edges: tuple[float, ...] = ()
    stage = np.zeros(len(rows), dtype=np.int64)
    if form.stage != "none":
        at = rows["prediction" if form.stage == "told" else "elapsed"].to_numpy(float)
        edges = _edges(at, units, needed_units(form.level) * (EACH_STAGE if form.unit == "windows" else 1))
        stage = np.searchsorted(np.array(edges), at, side="right")
    scores = tuple(
        Scores.of(error[stage == k], units[stage == k] if form.unit == "batches" else None).thinned(
            form.most, form.level
        )
        for k in range(len(edges) + 1)
    )
    return Band(*_place(rows), edges, scores)


def _place(rows: pd.DataFrame) -> tuple[str, int]:
    """The target and the distance of rows that share them."""
    return str(rows["target"].iloc[0]), int(rows["horizon"].iloc[0])


def _edges(at: Floats, units: NDArray[Any], least: int) -> tuple[float, ...]:
    """Where stages of about as many windows each end, as many as leave ``least`` units in every one."""
    for count in range(MOST_STAGES, 1, -1):
        edges = np.unique(np.quantile(at, np.arange(1, count) / count))
        stage = np.searchsorted(edges, at, side="right")
        if len(edges) == count - 1 and all(len(np.unique(units[stage == k])) >= least for k in range(count)):
            return tuple(edges.tolist())
    return ()


def _sets(rows: pd.DataFrame, task: Task, banding: Banding, unit: Unit) -> ClassSets:
    scores = []
    for name in task.known:
        mine = rows[rows["truth"] == name]
        units = mine["batch"].astype(str).to_numpy() if unit == "batches" else None
        strange = np.clip(1.0 - mine[f"p:{name}"].to_numpy(float), 0.0, 1.0)
        strange_of = np.isfinite(strange)
        some = Scores.of(strange[strange_of], None if units is None else units[strange_of])
        scores.append(some.thinned(MOST_KEPT, banding.level))
    return ClassSets(banding.level, unit, tuple(task.known), tuple(scores))


def with_bands(frame: pd.DataFrame, task: Task, calibrated: Calibrated, banding: Banding) -> pd.DataFrame:
    """The frame with the columns of the intervals: for the network, and on the parts that did not calibrate them.

    Bands that follow the plant need the rows of each part in the order in which they were predicted, and know a
    result ``banding.late`` rows after it, or when its batch has ended where it is known only then.
    """
    found = frame.copy()
    mine = ((frame["model"] == banding.network) & ~frame["part"].isin(["validation", RUNNING_BEFORE])).to_numpy()
    if isinstance(calibrated, ClassSets):
        found["set"] = None
        p = frame.loc[mine, [f"p:{name}" for name in calibrated.classes]].to_numpy(float)
        found.loc[mine, "set"] = named(calibrated, p)
        return found
    ends = np.full((len(frame), 2), np.nan)
    told = {(band.target, band.horizon) for band in calibrated.bands}
    for _, rows in frame[mine].groupby(["part", "target", "horizon"], sort=False):
        if _place(rows) in told:
            at = np.asarray(frame.index.get_indexer(rows.index))
            ends[at] = interval(rows, task, calibrated, banding)
    found["low"], found["high"] = ends.T
    return found


def named(sets: ClassSets, probabilities: Floats) -> NDArray[np.object_]:
    """(n,) the names in each set, joined; empty for a set of none.

    >>> named(ClassSets(0.5, "windows", ("A", "B"), (Scores.of([0.2]), Scores.of([0.7]))), np.array([[0.5, 0.5]]))
    array(['B'], dtype=object)
    """
    names = np.array(sets.classes, dtype=object)
    found = np.empty(len(probabilities), dtype=object)
    found[:] = ["|".join(names[member]) for member in sets.members(probabilities)]
    return found


def interval(rows: pd.DataFrame, task: Task, bands: Bands, banding: Banding) -> Floats:
    """(n, 2) the ends for rows of one model, part, target and distance; NaN where they are not known."""
    target, horizon = _place(rows)
    said = rows["prediction"].to_numpy(float)
    elapsed = rows["elapsed"].to_numpy(float) if "elapsed" in rows.columns else None
    radius = bands.radius(target, said, horizon=horizon, elapsed=elapsed)
    truth = rows["truth"].to_numpy(float)
    if banding.kind == "split" or not np.isfinite(truth).any():
        ends = np.column_stack([said - radius, said + radius])
    else:
        made = rows["origin"].to_numpy(np.int64)
        order = np.argsort(made, kind="stable")
        known = np.where(np.isfinite(truth), _known(rows, task, made + horizon + banding.late), NEVER)
        course = PredictionSeries(said[order], truth[order], radius[order], made[order], known[order])
        ends = np.empty((len(rows), 2))
        adaptive, state = bands.begin(target, horizon)
        ends[order] = follow(adaptive, course, state)[0]
    ends[~np.isfinite(ends).all(axis=1)] = np.nan
    return ends


def _known(rows: pd.DataFrame, task: Task, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the row from which on each result is known: that of its own, or the last of its batch."""
    if not task.whole_batches:
        return at
    found: NDArray[np.int64] = rows.assign(at=at).groupby("batch")["at"].transform("max").to_numpy(np.int64)
    return found
