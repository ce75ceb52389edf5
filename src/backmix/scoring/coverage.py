"""Whether intervals of predictions hold.

This module counts how many results of the test part lay inside their intervals (or sets), for those of the
calibration and for those that follow the plant, side by side: over all windows with an interval by the block
bootstrap, stretch by stretch or batch by batch, and by how far a batch has come or how far ahead was looked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.slices import sampled
from backmix.models.intervals.bands import Bands, Calibrated, ClassSets
from backmix.scoring.bands import Banding, calibrate, interval, lateness, with_bands
from backmix.scoring.interval import Interval, Resampler, block_length
from backmix.scoring.interval import interval as bootstrap
from backmix.scoring.predictions import Codes, Floats, prediction_frame, read_sample
from backmix.scoring.scores import Sampling
from backmix.training.prepare import RUNNING_BEFORE

if TYPE_CHECKING:
    import pandas as pd

    from backmix.scoring.judgement import Judgement
    from backmix.tasks import Task
    from backmix.training.ensemble import TrainedEnsemble
    from backmix.training.prepare import Prepared

Method = Literal["split", "adaptive", "sets"]
METHODS: tuple[Literal["split", "adaptive"], ...] = ("split", "adaptive")
STRETCHES, FEWEST_WINDOWS = 24, 15
"""How many stretches a long run is cut into, and the fewest windows of each."""
MOST_BATCHES = 60
MOST_EARLIER = 100_000
"""Windows of the training part that calibrate, at most."""
SHOWN = 6
"""Distances of a path that are told."""


@dataclass(frozen=True)
class Coverage:
    """How many results lay inside.

    label: the class of a row about one class; share: None where no window has an interval
    low, high: the interval of the share; None where too few independent stretches tell one
    size: mean width in the target's unit, or mean number of classes in a set; empty: share of empty sets
    """

    method: Method
    target: str
    part: str
    share: float | None
    low: float | None
    high: float | None
    windows: int
    batches: int
    size: float | None
    unit: str = ""
    label: str = ""
    empty: float | None = None

    @property
    def ends(self) -> Interval:
        """The interval of the share."""
        return Interval(self.low, self.high)


@dataclass(frozen=True)
class CoverageGroup:
    """Results of one stretch, batch, stage or distance.

    place: where it begins: row, elapsed time, prediction or distance; size: mean width
    """

    method: Method
    target: str
    name: str
    place: float
    share: float
    windows: int
    size: float


@dataclass(frozen=True, eq=False)
class Banded:
    """A prediction frame with intervals, and how they held on the test part; calibrated: None without intervals.

    rows: over everything; course: batch by batch, or stretch by stretch in order; pieces: by stage or distance
    by_batch: whether the course goes by batches
    """

    frame: pd.DataFrame
    banding: Banding
    calibrated: Calibrated | None = None
    rows: tuple[Coverage, ...] = ()
    course: tuple[CoverageGroup, ...] = ()
    pieces: tuple[CoverageGroup, ...] = ()
    by_batch: bool = False

    @property
    def asked(self) -> tuple[Coverage, ...]:
        """One row per target: what the plan asks for, on all windows that are judged."""
        kind = self.calibrated.kind if isinstance(self.calibrated, Bands) else "sets"
        return tuple(row for row in self.rows if row.method == kind and row.part == "test" and not row.label)

    def to_dict(self) -> dict[str, Any] | None:
        """Ready for JSON; None without intervals."""
        if self.calibrated is None:
            return None
        return {
            "level": self.banding.level,
            "unit": self.calibrated.unit,
            "kind": self.calibrated.kind if isinstance(self.calibrated, Bands) else "sets",
            "coverage": [asdict(row) for row in self.rows],
        }


def band(judgement: Judgement, prepared: Prepared, *, network: str, ensemble: TrainedEnsemble | None = None) -> Banded:
    """The frame of a judgement with intervals as the plan asks for them, and how they hold.

    ensemble: the ensemble that was judged: what it said of each block before it had seen it calibrates, too
    """
    asked, task = prepared.plan.intervals, prepared.task
    kind: Literal["split", "adaptive"] = "adaptive" if asked.kind == "adaptive" else "split"
    banding = Banding(network, asked.level, kind, lateness(prepared.preprocessing.spec))
    calibrated = (
        None if asked.kind == "none" else calibrate(_unseen(judgement.frame, task, network, ensemble), task, banding)
    )
    settings = prepared.plan.evaluation
    sampling = Sampling(draws=settings.resamples, level=settings.level, seed=prepared.plan.training.seed)
    if calibrated is None:
        return Banded(judgement.frame, banding)
    return cover(judgement.frame, task, calibrated, banding, sampling)


def _unseen(frame: pd.DataFrame, task: Task, network: str, ensemble: TrainedEnsemble | None) -> pd.DataFrame:
    """The frame, and below it what an ensemble said of blocks of the training part when they were held out."""
    import pandas as pd

    if ensemble is None or ensemble.blocks is None or ensemble.held is None:
        return frame
    earlier = np.asarray(np.isfinite(ensemble.held).all(axis=1))
    earlier[ensemble.blocks.blocks[-1].at] = False  # the frame has those of the validation part
    at = np.flatnonzero(earlier)
    at = at[sampled(len(at), MOST_EARLIER)]
    windows = ensemble.blocks.pool.subset(at)
    outcome = task.finished(task.decode(ensemble.held[at], windows), windows)
    part = RUNNING_BEFORE if (frame["part"] == RUNNING_BEFORE).any() else "validation"
    return pd.concat([frame, prediction_frame(task, windows, outcome, model=network, part=part)], ignore_index=True)


def cover(frame: pd.DataFrame, task: Task, calibrated: Calibrated, banding: Banding, sampling: Sampling) -> Banded:
    """The frame with the columns of its intervals, and what became of them on the test part."""
    found = Banded(with_bands(frame, task, calibrated, banding), banding, calibrated)
    mine = frame[frame["model"] == banding.network]
    parts = [part for part in ("test", "running") if (mine["part"] == part).any()]
    if not parts:
        return found
    rows: list[Coverage] = []
    if isinstance(calibrated, ClassSets):
        rows += _of_sets(mine[mine["part"] == "test"], task, calibrated, sampling)
        inside = [_sets(mine[mine["part"] == "test"], task, calibrated)]
    else:
        inside = []
        for part in parts:
            for some in _numbers(mine[mine["part"] == part], task, calibrated, banding):
                rows.append(coverage(some, part, sampling))
                inside += [some] if part == parts[-1] else []
    by_batch = any(len(np.unique(some.runs)) > 1 for some in inside)
    return replace(
        found,
        rows=tuple(rows),
        by_batch=by_batch,
        course=tuple(piece for some in inside for piece in _course(some, by_batch=by_batch)),
        pieces=tuple(piece for some in inside for piece in _pieces(some, calibrated)),
    )


@dataclass(frozen=True, eq=False)
class CoveredRows:
    """Rows with an interval, in order: whether the result lay in it, and how wide it was.

    runs: (n,) batch codes; paths: (n,) window of each row; at: (n,) origins; ahead: (n,) distances
    stages: (n,) the stage of the batch; names: of the batches
    """

    method: Method
    target: str
    unit: str
    inside: Floats
    width: Floats
    runs: Codes
    paths: Codes
    at: Codes
    ahead: Codes
    stages: Codes
    names: tuple[str, ...] = ()

    def take(self, rows: NDArray[np.bool_]) -> CoveredRows:
        """Some of the rows."""
        return replace(
            self,
            **{
                name: getattr(self, name)[rows]
                for name in ("inside", "width", "runs", "paths", "at", "ahead", "stages")
            },
        )


def _numbers(rows: pd.DataFrame, task: Task, bands: Bands, banding: Banding) -> Iterator[CoveredRows]:
    """Every target with every method."""
    import pandas as pd

    told = {(band.target, band.horizon) for band in bands.bands}
    for tag in task.targets:
        mine = rows[(rows["target"] == tag.name) & rows["truth"].notna()]
        groups = [
            group
            for (_, horizon), group in mine.groupby(["target", "horizon"], sort=False)
            if (tag.name, horizon) in told
        ]
        for method in METHODS:
            found = []
            for group in groups:
                ends = interval(group, task, bands, replace(banding, kind=method))
                found.append(group.assign(low=ends[:, 0], high=ends[:, 1], stage=_stages(group, bands)))
            if not found:
                continue
            sample = read_sample(pd.concat(found))
            low, high = sample.facts["low"], sample.facts["high"]
            within = ((low <= sample.truth) & (sample.truth <= high)).astype(np.float64)
            order = _ordered(pd.concat(found))
            some = CoveredRows(
                method,
                tag.name,
                tag.unit or "",
                within,
                high - low,
                sample.runs,
                sample.paths,
                sample.made,
                order["horizon"].to_numpy(np.int64),
                order["stage"].to_numpy(np.int64),
                _batches(order),
            )
            yield some.take(sample.usable & np.isfinite(high - low))


def _stages(rows: pd.DataFrame, bands: Bands) -> Codes:
    if bands.stage == "none":
        return np.zeros(len(rows), np.int64)
    band = bands.band(str(rows["target"].iloc[0]), int(rows["horizon"].iloc[0]))
    return band.stages(rows["prediction" if bands.stage == "told" else "elapsed"].to_numpy(float))


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as `read_sample` puts them: batch by batch, by origin, by distance."""
    import pandas as pd

    batch = rows["batch"].astype(object).where(rows["batch"].notna(), None).to_numpy(dtype=object)
    codes, _ = pd.factorize(batch, use_na_sentinel=False)
    return rows.iloc[np.lexsort((rows["horizon"].to_numpy(), rows["origin"].to_numpy(), codes))]


def _batches(rows: pd.DataFrame) -> tuple[str, ...]:
    """The names of the batches in the order of their codes."""
    return tuple(str(name) for name in rows["batch"].drop_duplicates())


def _sets(rows: pd.DataFrame, task: Task, sets: ClassSets) -> CoveredRows:
    mine = rows[rows["truth"].isin(sets.classes)]
    sample = read_sample(mine, classes=task.classes)
    assert sample.probabilities is not None
    members = sets.members(sample.probabilities[:, : len(sets.classes)])
    truth = sample.truth.astype(np.int64)
    some = CoveredRows(
        "sets",
        task.targets[0].name,
        "",
        members[np.arange(len(truth)), truth].astype(np.float64),
        members.sum(axis=1).astype(np.float64),
        sample.runs,
        sample.paths,
        sample.made,
        np.zeros(len(truth), np.int64),
        truth,
        _batches(_ordered(mine)),
    )
    return some.take(np.asarray(np.isfinite(sample.probabilities).all(axis=1), dtype=np.bool_))


def _of_sets(rows: pd.DataFrame, task: Task, sets: ClassSets, sampling: Sampling) -> Iterator[Coverage]:
    """All windows, and those of each class."""
    some = _sets(rows, task, sets)
    yield replace(coverage(some, "test", sampling), empty=float(np.mean(some.width == 0)) if len(some.at) else None)
    for code, name in enumerate(sets.classes):
        rows_of: NDArray[np.bool_] = np.equal(some.stages, code)
        mine = some.take(rows_of)
        if len(mine.at):
            yield replace(coverage(mine, "test", sampling), label=name, empty=float(np.mean(mine.width == 0)))


def coverage(some: CoveredRows, part: str, sampling: Sampling) -> Coverage:
    """The share of results inside, with an interval from draws of whole stretches of neighbouring windows.

    Where all (or none) lay inside every draw says the same; then the stretches are counted as throws of a coin
    (Clopper & Pearson, Biometrika 26 (1934) 404).
    """
    blank = Coverage(some.method, some.target, part, None, None, None, 0, 0, None, some.unit)
    if not len(some.at):
        return blank
    _, first, window = np.unique(some.paths, return_index=True, return_inverse=True)
    share = np.bincount(window, some.inside) / np.bincount(window)
    runs = some.runs[first]
    resampler = Resampler(runs, block_length(share, runs), draws=sampling.draws, seed=sampling.seed)
    ends = Interval()
    if resampler.blocks >= 2:
        drawn = np.concatenate([weights @ share / weights.sum(axis=1) for weights in resampler.weights()])
        ends = bootstrap(drawn, level=sampling.level, blocks=resampler.blocks)
    mean = float(some.inside.mean())
    if ends and mean in (0.0, 1.0):
        tail = float((0.5 - 0.5 * sampling.level) ** (1.0 / resampler.blocks))
        ends = Interval(tail, 1.0) if mean else Interval(0.0, 1.0 - tail)
    if ends.low is not None and ends.high is not None:
        ends = Interval(max(ends.low, 0.0), min(ends.high, 1.0))
    return replace(
        blank,
        share=mean,
        low=ends.low,
        high=ends.high,
        windows=len(first),
        batches=len(np.unique(some.runs)),
        size=float(some.width.mean()),
    )


def _course(some: CoveredRows, *, by_batch: bool) -> Iterator[CoverageGroup]:
    """Batch by batch in order, or in stretches of neighbouring windows."""
    if by_batch:
        for code in np.unique(some.runs)[:MOST_BATCHES]:
            mine = np.equal(some.runs, code)
            yield _piece(some, mine, some.names[int(code)], float(code))
        return
    windows = len(np.unique(some.paths))
    count = min(STRETCHES, windows // FEWEST_WINDOWS)
    for rows in np.array_split(np.arange(len(some.at)), count) if count > 1 else []:
        mine = np.zeros(len(some.at), bool)
        mine[rows] = True
        yield _piece(some, mine, "", float(some.at[rows[0]]))


def _pieces(some: CoveredRows, calibrated: Calibrated) -> Iterator[CoverageGroup]:
    """By stage of the batch, or by distance of a path."""
    if isinstance(calibrated, ClassSets):
        return
    distances = np.unique(some.ahead)
    if len(distances) > 1:
        for ahead in distances[np.unique(np.linspace(0, len(distances) - 1, SHOWN).round().astype(int))]:
            yield _piece(some, some.ahead == ahead, "", float(ahead))
    elif calibrated.stage != "none":
        edges = calibrated.band(some.target, int(distances[0])).edges if len(distances) else ()
        for stage in np.unique(some.stages):
            place = edges[stage - 1] if stage else -np.inf
            yield _piece(some, some.stages == stage, str(int(stage)), float(place))


def _piece(some: CoveredRows, mine: NDArray[np.bool_], name: str, place: float) -> CoverageGroup:
    return CoverageGroup(
        some.method,
        some.target,
        name,
        place,
        float(some.inside[mine].mean()),
        int(mine.sum()),
        float(some.width[mine].mean()),
    )
