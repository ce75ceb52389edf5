"""Whether prediction intervals hold.

This module measures coverage: how many results of the test part lie inside their intervals (or class sets), for
intervals as calibrated ("split") and for intervals that follow the plant ("adaptive"). It counts over all
windows, with a bootstrap interval of the coverage; over time, by batch or by stretch; and by stage of the batch or by
horizon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from backmix.data.windows.slices import sampled
from backmix.models.intervals.bands import Bands, Calibrated, ClassSets
from backmix.outcome import limits_of, within
from backmix.scoring.bootstrap import Interval, Resampler, block_length, exchanged, percentile_interval
from backmix.scoring.prediction_intervals import (
    IntervalSettings,
    calibrate,
    interval_ends,
    lateness,
    returns,
    with_intervals,
)
from backmix.scoring.predictions import Codes, Floats, prediction_frame, read_sample
from backmix.scoring.scores import Sampling
from backmix.simple.blocks import joined
from backmix.training.advice.distance import distance_factors
from backmix.training.prepared import RUNNING_BEFORE

if TYPE_CHECKING:
    import pandas as pd

    from backmix.scoring.judgement import Judgement
    from backmix.tasks import Task
    from backmix.training.ensemble import TrainedEnsemble
    from backmix.training.prepared import Prepared

Method = Literal["split", "adaptive", "sets"]
METHODS: tuple[Literal["split", "adaptive"], ...] = ("split", "adaptive")
STRETCHES, FEWEST_WINDOWS = 24, 15
"""How many stretches a long run is cut into, and the fewest windows of each."""
MOST_BATCHES = 60
MOST_EARLIER = 100_000
"""Windows of the training part that calibrate, at most."""
PIECES = 4
"""Stretches of a validation part, where one network alone was trained."""
SHOWN = 6
"""Horizons of a path that get a row of their own."""


@dataclass(frozen=True)
class Coverage:
    """The share of results inside their intervals.

    label: the class, for a row about one class; share: None when no window has an interval
    low, high: the interval of the share; None when there are too few independent stretches
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
    """The coverage in one stretch, batch, stage or horizon.

    place: where the group begins: a row, an elapsed time, a prediction or a horizon; size: mean width
    """

    method: Method
    target: str
    name: str
    place: float
    share: float
    windows: int
    size: float


@dataclass(frozen=True, eq=False)
class CoverageResult:
    """A prediction frame with intervals, and their coverage on the test part.

    calibrated: None for a run without intervals
    rows: the coverage over all windows; groups: by stage of the batch or by horizon
    over_time: the coverage in order, of batches when ``by_batch``, else of stretches of neighbouring windows
    """

    frame: pd.DataFrame
    settings: IntervalSettings
    calibrated: Calibrated | None = None
    rows: tuple[Coverage, ...] = ()
    over_time: tuple[CoverageGroup, ...] = ()
    groups: tuple[CoverageGroup, ...] = ()
    by_batch: bool = False

    @property
    def asked(self) -> tuple[Coverage, ...]:
        """One row per target: the kind of interval that the plan asks for, on all judged windows."""
        kind = self.calibrated.kind if isinstance(self.calibrated, Bands) else "sets"
        return tuple(row for row in self.rows if row.method == kind and row.part == "test" and not row.label)

    def to_dict(self) -> dict[str, Any] | None:
        """Ready for JSON; None without intervals."""
        if self.calibrated is None:
            return None
        return {
            "level": self.settings.level,
            "unit": self.calibrated.unit,
            "kind": self.calibrated.kind if isinstance(self.calibrated, Bands) else "sets",
            "coverage": [asdict(row) for row in self.rows],
        }


def calibrate_and_check(
    judgement: Judgement, prepared: Prepared, *, network: str, ensemble: TrainedEnsemble | None = None
) -> CoverageResult:
    """The frame of a judgement with the intervals of the plan, and their coverage.

    ensemble: the judged ensemble; its out-of-fold predictions of training blocks are used for the calibration, too
    """
    asked, task = prepared.plan.intervals, prepared.task
    kind: Literal["split", "adaptive"] = "adaptive" if asked.kind == "adaptive" else "split"
    spec = prepared.preprocessing.spec
    settings = IntervalSettings(network, asked.level, kind, lateness(spec), returns(spec, task))
    calibrated = (
        None
        if asked.kind == "none"
        else calibrate(
            _with_blocks(_with_out_of_fold(judgement.frame, task, network, ensemble), ensemble),
            task,
            settings,
            distance=_distance(prepared, ensemble, asked.level),
        )
    )
    evaluation = prepared.plan.evaluation
    sampling = Sampling(draws=evaluation.resamples, level=evaluation.level, seed=prepared.plan.training.seed)
    if calibrated is None:
        return CoverageResult(judgement.frame, settings)
    return check_coverage(judgement.frame, task, calibrated, settings, sampling)


def _with_out_of_fold(frame: pd.DataFrame, task: Task, network: str, ensemble: TrainedEnsemble | None) -> pd.DataFrame:
    """The frame, followed by the out-of-fold predictions of an ensemble on the training part."""
    import pandas as pd

    if ensemble is None or ensemble.blocks is None or ensemble.out_of_fold is None:
        return frame
    earlier = np.asarray(np.isfinite(ensemble.out_of_fold).all(axis=1))
    earlier[ensemble.blocks.blocks[-1].indices] = False  # the frame has those of the validation part
    indices = np.flatnonzero(earlier)
    indices = indices[sampled(len(indices), MOST_EARLIER)]
    windows = ensemble.blocks.pool.subset(indices)
    outcome = task.revise(task.answer.decode(ensemble.out_of_fold[indices], windows), windows)
    part = RUNNING_BEFORE if (frame["part"] == RUNNING_BEFORE).any() else "validation"
    return pd.concat([frame, prediction_frame(task, windows, outcome, model=network, part=part)], ignore_index=True)


def _with_blocks(frame: pd.DataFrame, ensemble: TrainedEnsemble | None) -> pd.DataFrame:
    """The frame with the ``block`` in time of each row: that of the ensemble, else a stretch of the rows."""
    origin = frame["origin"].to_numpy(np.int64)
    if ensemble is not None and ensemble.blocks is not None:
        known = ensemble.blocks
        order = np.argsort(known.pool.origins, kind="stable")
        origins = np.asarray(known.pool.origins, dtype=np.int64)[order]
        place = np.minimum(np.searchsorted(origins, origin), len(origins) - 1)
        return frame.assign(block=np.where(origins[place] == origin, known.code[order][place], len(known) - 1))
    mine = frame["part"].isin(["validation", RUNNING_BEFORE]).to_numpy()
    edges = np.quantile(origin[mine], np.arange(1, PIECES) / PIECES) if mine.any() else np.empty(0)
    return frame.assign(block=np.searchsorted(edges, origin, side="right"))


def _distance(prepared: Prepared, ensemble: TrainedEnsemble | None, level: float) -> dict[str, float]:
    """How much larger errors are as far away in time as the test part lies; nothing where batches are dealt whole."""
    spec, blocks = prepared.preprocessing.spec, None if ensemble is None else ensemble.blocks
    whole = prepared.task.target.whole_batches if blocks is None else blocks.whole
    if prepared.task.kind != "regression" or spec.lookback is None or spec.answer not in ("row", "path") or whole:
        return {}
    pool = joined(prepared.train, prepared.validation) if blocks is None else blocks.pool
    factors = distance_factors(pool, len(prepared.test), level=level, forward=blocks is None)
    return {tag.name: float(factor) for tag, factor in zip(prepared.task.targets, factors, strict=True)}


def check_coverage(
    frame: pd.DataFrame, task: Task, calibrated: Calibrated, settings: IntervalSettings, sampling: Sampling
) -> CoverageResult:
    """The frame with its intervals, and their coverage on the test part."""
    result = CoverageResult(with_intervals(frame, task, calibrated, settings), settings, calibrated)
    mine = frame[frame["model"] == settings.network]
    parts = [part for part in ("test", "running") if (mine["part"] == part).any()]
    if not parts:
        return result
    rows: list[Coverage] = []
    if isinstance(calibrated, ClassSets):
        rows += _of_sets(mine[mine["part"] == "test"], task, calibrated, sampling)
        inside = [_sets(mine[mine["part"] == "test"], task, calibrated)]
    else:
        inside = []
        for part in parts:
            for covered in _numbers(mine[mine["part"] == part], task, calibrated, settings):
                rows.append(coverage(covered, part, sampling))
                inside += [covered] if part == parts[-1] else []
    by_batch = any(len(np.unique(covered.runs)) > 1 for covered in inside)
    return replace(
        result,
        rows=tuple(rows),
        by_batch=by_batch,
        over_time=tuple(group for covered in inside for group in _over_time(covered, by_batch=by_batch)),
        groups=tuple(group for covered in inside for group in _groups(covered, calibrated)),
    )


@dataclass(frozen=True, eq=False)
class CoveredRows:
    """Rows with an interval, in order: whether the result lies inside, and how wide the interval is.

    runs: (n,) batch codes; paths: (n,) window of each row; origins: (n,) row of the prediction
    ahead: (n,) horizons; stages: (n,) the stage of the batch; names: of the batches
    """

    method: Method
    target: str
    unit: str
    inside: Floats
    width: Floats
    runs: Codes
    paths: Codes
    origins: Codes
    ahead: Codes
    stages: Codes
    names: tuple[str, ...] = ()

    def take(self, rows: NDArray[np.bool_]) -> CoveredRows:
        """Some of the rows."""
        return replace(
            self,
            **{
                name: getattr(self, name)[rows]
                for name in ("inside", "width", "runs", "paths", "origins", "ahead", "stages")
            },
        )


def _numbers(rows: pd.DataFrame, task: Task, bands: Bands, settings: IntervalSettings) -> Iterator[CoveredRows]:
    """The rows of every target and method."""
    import pandas as pd

    calibrated_for = {(band.target, band.horizon) for band in bands.bands}
    for tag in task.targets:
        mine = rows[(rows["target"] == tag.name) & rows["truth"].notna()]
        groups = [
            group
            for (_, horizon), group in mine.groupby(["target", "horizon"], sort=False)
            if (tag.name, horizon) in calibrated_for
        ]
        for method in METHODS:
            with_ends = []
            for group in groups:
                ends = interval_ends(group, task, bands, replace(settings, kind=method))
                with_ends.append(group.assign(low=ends[:, 0], high=ends[:, 1], stage=_stages(group, bands)))
            if not with_ends:
                continue
            sample = read_sample(pd.concat(with_ends))
            low, high = sample.facts["low"], sample.facts["high"]
            truth = within(sample.truth, limits_of(task.fitted))
            inside = ((low <= truth) & (truth <= high)).astype(np.float64)
            order = _ordered(pd.concat(with_ends))
            covered = CoveredRows(
                method,
                tag.name,
                tag.unit or "",
                inside,
                high - low,
                sample.runs,
                sample.paths,
                sample.made,
                order["horizon"].to_numpy(np.int64),
                order["stage"].to_numpy(np.int64),
                _batch_names(order),
            )
            yield covered.take(sample.usable & np.isfinite(high - low))


def _stages(rows: pd.DataFrame, bands: Bands) -> Codes:
    if bands.stage == "none":
        return np.zeros(len(rows), np.int64)
    band = bands.band(str(rows["target"].iloc[0]), int(rows["horizon"].iloc[0]))
    return band.stages(rows["prediction" if bands.stage == "told" else "elapsed"].to_numpy(float))


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows in the order of `read_sample`: by batch, origin and horizon."""
    import pandas as pd

    batch = rows["batch"].astype(object).where(rows["batch"].notna(), None).to_numpy(dtype=object)
    codes, _ = pd.factorize(batch, use_na_sentinel=False)
    return rows.iloc[np.lexsort((rows["horizon"].to_numpy(), rows["origin"].to_numpy(), codes))]


def _batch_names(rows: pd.DataFrame) -> tuple[str, ...]:
    """The names of the batches in the order of their codes."""
    return tuple(str(name) for name in rows["batch"].drop_duplicates())


def _sets(rows: pd.DataFrame, task: Task, sets: ClassSets) -> CoveredRows:
    mine = rows[rows["truth"].isin(sets.classes)]
    sample = read_sample(mine, classes=task.target.classes)
    assert sample.probabilities is not None
    members = sets.members(sample.probabilities[:, : len(sets.classes)])
    truth = sample.truth.astype(np.int64)
    covered = CoveredRows(
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
        _batch_names(_ordered(mine)),
    )
    return covered.take(np.asarray(np.isfinite(sample.probabilities).all(axis=1), dtype=np.bool_))


def _of_sets(rows: pd.DataFrame, task: Task, sets: ClassSets, sampling: Sampling) -> Iterator[Coverage]:
    """The coverage of class sets over all windows, then for each class."""
    covered = _sets(rows, task, sets)
    yield replace(
        coverage(covered, "test", sampling), empty=float(np.mean(covered.width == 0)) if len(covered.origins) else None
    )
    for code, name in enumerate(sets.classes):
        rows_of: NDArray[np.bool_] = np.equal(covered.stages, code)
        mine = covered.take(rows_of)
        if len(mine.origins):
            yield replace(coverage(mine, "test", sampling), label=name, empty=float(np.mean(mine.width == 0)))


def coverage(covered: CoveredRows, part: str, sampling: Sampling) -> Coverage:
    """The share of results inside, with its block-bootstrap interval.

    When all results (or none) lie inside, every draw gives the same share. The interval is then the exact binomial
    one over the independent stretches (Clopper & Pearson, Biometrika 26 (1934) 404).
    """
    blank = Coverage(covered.method, covered.target, part, None, None, None, 0, 0, None, covered.unit)
    if not len(covered.origins):
        return blank
    _, first, window = np.unique(covered.paths, return_index=True, return_inverse=True)
    share = np.bincount(window, covered.inside) / np.bincount(window)
    runs = covered.runs[first]
    length = block_length(share, runs)
    if covered.method != "sets":
        length = exchanged(length, runs)
    resampler = Resampler(runs, length, draws=sampling.draws, seed=sampling.seed)
    ends, mean = Interval(), float(covered.inside.mean())
    if resampler.blocks >= 2:
        drawn = np.concatenate([weights @ share / weights.sum(axis=1) for weights in resampler.weights()])
        ends = percentile_interval(drawn, level=sampling.level, blocks=resampler.blocks, estimate=mean)
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
        batches=len(np.unique(covered.runs)),
        size=float(covered.width.mean()),
    )


def _over_time(covered: CoveredRows, *, by_batch: bool) -> Iterator[CoverageGroup]:
    """The coverage of each batch in order, or of stretches of neighbouring windows."""
    if by_batch:
        for code in np.unique(covered.runs)[:MOST_BATCHES]:
            mine = np.equal(covered.runs, code)
            yield _group(covered, mine, covered.names[int(code)], float(code))
        return
    windows = len(np.unique(covered.paths))
    count = min(STRETCHES, windows // FEWEST_WINDOWS)
    for rows in np.array_split(np.arange(len(covered.origins)), count) if count > 1 else []:
        mine = np.zeros(len(covered.origins), bool)
        mine[rows] = True
        yield _group(covered, mine, "", float(covered.origins[rows[0]]))


def _groups(covered: CoveredRows, calibrated: Calibrated) -> Iterator[CoverageGroup]:
    """The coverage by horizon of a path, or by stage of the batch."""
    if isinstance(calibrated, ClassSets):
        return
    distances = np.unique(covered.ahead)
    if len(distances) > 1:
        for ahead in distances[np.unique(np.linspace(0, len(distances) - 1, SHOWN).round().astype(int))]:
            yield _group(covered, covered.ahead == ahead, "", float(ahead))
    elif calibrated.stage != "none":
        edges = calibrated.band(covered.target, int(distances[0])).edges if len(distances) else ()
        for stage in np.unique(covered.stages):
            place = edges[stage - 1] if stage else -np.inf
            yield _group(covered, covered.stages == stage, str(int(stage)), float(place))


def _group(covered: CoveredRows, mine: NDArray[np.bool_], name: str, place: float) -> CoverageGroup:
    return CoverageGroup(
        covered.method,
        covered.target,
        name,
        place,
        float(covered.inside[mine].mean()),
        int(mine.sum()),
        float(covered.width[mine].mean()),
    )
