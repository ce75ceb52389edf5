"""A finished run of each kind, small and made up, for the tests of the report and its figures."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from backmix.data.auditing.audit import audit
from backmix.data.delays.dead_time import scan
from backmix.data.ledger import Account, Note
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Known, WindowSpec
from backmix.decision import Decision
from backmix.inspection import Insight
from backmix.inspection.attention import Attention
from backmix.inspection.attribution import Attribution
from backmix.inspection.gates import Gates, GateTrace
from backmix.inspection.memory import Memory, Residence
from backmix.inspection.permutation import Permutation
from backmix.models.architecture import Architecture
from backmix.report.data import PartSummary, ReportData, TrainingRecord
from backmix.scoring.coverage import CoverageResult, check_coverage
from backmix.scoring.judgement import baseline_frame
from backmix.scoring.prediction_intervals import IntervalSettings, calibrate
from backmix.scoring.scores import Sampling, score_table
from backmix.scoring.verdict import judge
from backmix.tasks import Task
from backmix.tasks.batch_quality import BatchQuality, BatchQualityPlan
from backmix.tasks.fault_diagnosis import FaultDiagnosis, FaultDiagnosisPlan
from backmix.tasks.forecast import Forecast, ForecastPlan
from backmix.tasks.soft_sensor import SoftSensor, SoftSensorPlan
from backmix.training.beside import fit_baselines
from backmix.training.prepare import prepare
from backmix.training.sections.settings import FitSettings
from small import reading, small_task

START = np.datetime64("2024-03-01T00:00", "ns")
STEP = np.timedelta64(360, "s")
CLASSES = ("normal", "IDV 1", "IDV 4")


def frame_of(model: str, part: str, target: str, **columns: Any) -> pd.DataFrame:
    """A prediction frame of one model: truth, prediction, and what else is given."""
    count = len(columns["truth"])
    time = columns.pop("time", np.full(count, np.datetime64("NaT"), dtype="datetime64[ns]"))
    batch = columns.pop("batch", np.full(count, None, dtype=object))
    return pd.DataFrame(
        {
            "model": model,
            "part": part,
            "target": target,
            "time": pd.DatetimeIndex(time, tz="UTC"),
            "batch": batch,
            "origin": np.arange(count),
            "horizon": 0,
            **columns,
        }
    )


def insight_of(target: str, features: tuple[str, ...], *, names: tuple[str, ...] = ()) -> Insight:
    """A look inside a GRU of two layers with attention, on ten rows of lookback."""
    random = np.random.default_rng(2)
    heat = random.random((10, len(features))) * np.exp(-np.arange(10.0) / 3)[:, None]
    push = heat.sum(axis=0)
    at = np.arange(40)
    gates = tuple(
        GateTrace(layer, gate, middle, middle - 0.1, middle + 0.1)
        for layer in (1, 2)
        for gate, middle in (("z", 0.6 + 0.2 * np.sin(at / 6)), ("r", 0.4 + 0.1 * np.cos(at / 6)))
    )
    fall = 0.7 ** np.arange(10.0)
    return Insight(
        target=target,
        step=None if names else 360.0,
        attribution=Attribution(
            features=features,
            unit="" if names else "mol/mol",
            age=np.arange(10) + 2,
            heat=heat,
            push=push,
            occluded=0.8 * push,
            moved=float(push.sum()),
            gap=1e-6,
            windows=48,
        ),
        permutation=Permutation(
            features=features, error=0.3, increase=push[:, None] * np.array([0.1, 0.12]), block=3, windows=60
        ),
        memory=Memory(
            norm=(fall, fall**2),
            lookback=10,
            dead_time=2,
            residence=(Residence("z", 0.6, np.array([2.0, 3.0])), Residence("z", 0.0, np.array([0.0]))),
            state_moves=0.2,
            statistics_move=0.1,
            windows=48,
        ),
        gates=Gates(
            kept_by="z",
            x=at + 1.0 if names else (START + at * STEP).astype("datetime64[ns]").astype(np.int64) / 1e9,
            clock=not names,
            gates=gates,
            convention="h = z*h + (1-z)*candidate",
            activation="sigmoid",
            tags=tuple((Tag(name), random.normal(size=40)) for name in features[:2]),
            target=Tag(target),
            truth=np.where(at % 4 == 0, 0.3, np.nan),
            prediction=0.3 + 0.01 * np.sin(at),
            classes=tuple(names[k // 20] for k in range(40)) if names else (),
            batch="",
            run_up=9,
        ),
        attention=Attention(
            age=np.arange(10) + 2,
            weight=fall / fall.sum(),
            low=0.5 * fall / fall.sum(),
            high=1.5 * fall / fall.sum(),
            windows=60,
        ),
        left_out=("insight.few_truths",),
        classes=bool(names),
        summaries=True,
        whole=False,
    )


def banded_of(frame: pd.DataFrame, task: Task, sampling: Sampling) -> CoverageResult:
    """The frame with intervals of the network called "network"."""
    calibrated = calibrate(frame, task, IntervalSettings("network"))
    assert calibrated is not None
    return check_coverage(frame, task, calibrated, IntervalSettings("network"), sampling)


@cache
def numbers(
    *,
    target: str = "C4",
    inputs: tuple[str, ...] = ("U1", "U2", "U3"),
    windows: int = 60,
    title: str = "Butane in the bottom",
) -> ReportData:
    """A soft sensor that is better than ridge regression."""
    random = np.random.default_rng(0)
    task = SoftSensor(settings=SoftSensorPlan(target=target), targets=(Tag(target, unit="mol/mol", role="target"),))
    at = np.arange(windows)
    truth = 0.3 + 0.1 * np.sin(at / 5)
    errors = {"network": 0.01, "ridge": 0.03, "mean": 0.1}
    frame = pd.concat(
        [
            frame_of(
                model,
                part,
                target,
                truth=truth,
                time=START + at * STEP,
                prediction=truth + size * random.normal(size=windows),
            )
            for part in ("validation", "test")
            for model, size in errors.items()
        ],
        ignore_index=True,
    )
    sampling = Sampling(draws=100, block=3)
    values = random.normal(size=(200, len(inputs) + 1))
    values[20:40, 0] = np.nan
    tags = (*(Tag(name) for name in inputs), Tag(target, unit="mol/mol", role="target"))
    table = Table(values, tags, time=START + np.arange(200) * STEP, source="column.csv")
    coverage = banded_of(frame, task, sampling)
    return ReportData(
        title=title,
        task=task,
        verdict=judge(frame, task, sampling=sampling),
        scores=score_table(frame, task, sampling=sampling),
        predictions=coverage.frame,
        coverage=coverage,
        training=TrainingRecord(
            history={"loss": [1.0, 0.5, 0.3], "val_loss": [1.1, 0.6, 0.7]},
            best_epoch=2,
            seconds=3.5,
            stopped="patience",
            architecture=Architecture(features=4, lookback=10),
            engine="jax",
            settings=FitSettings(),
        ),
        decisions=(Decision("mse", "models.loss_mse", setting="training.loss"),),
        parts=(
            PartSummary("train", 120, 100, ((START, START + 119 * STEP),)),
            PartSummary("validation", 30, 20, ((START + 130 * STEP, START + 159 * STEP),)),
            PartSummary("test", 60, windows, ((START + 170 * STEP, START + 229 * STEP),)),
        ),
        spec=WindowSpec(inputs=inputs, targets=(target,), lookback=10, known=Known(delay=5)),
        step=360.0,
        audit=audit(table),
        account=Account(read=230, used=225, repaired=3, dropped=2, reasons=(("repair.reason_merged", 2),)),
        notes=(Note("marked", "repair.reason_limit_low", 3, tag=inputs[0], example="-1.2"),),
        insight=insight_of(target, (*inputs, f"{target} (reported)")),
        dead_times=scan(table, inputs, target, rows=np.arange(200) < 120, lags=12),
        plan='[task]\nkind = "soft_sensor"\n',
        environment={"backmix": "0.1.0", "seed": "0"},
    )


@cache
def classes(*, names: tuple[str, ...] = CLASSES, windows: int = 90) -> ReportData:
    """A fault diagnosis with a few wrong windows, in three batches."""
    random = np.random.default_rng(1)
    task = FaultDiagnosis(
        settings=FaultDiagnosisPlan(target="fault", normal=names[0]),
        targets=(Tag("fault", role="target", categories=names),),
    )
    codes = np.repeat(np.arange(len(names)), -(-windows // len(names)))[:windows]
    batch = np.array([f"run {1 + 3 * k // windows}" for k in range(windows)], dtype=object)
    called = np.array(names, dtype=object)
    frames = []
    for part in ("validation", "test"):
        for model, right in (("network", 0.95), ("lda", 0.8)):
            said = np.where(random.random(windows) < right, codes, random.integers(0, len(names), windows))
            chance = np.full((windows, len(names)), 0.1 / len(names))
            chance[np.arange(windows), said] += 0.9
            frames.append(
                frame_of(
                    model,
                    part,
                    "fault",
                    truth=called[codes],
                    prediction=called[said],
                    batch=batch,
                    **{f"p:{name}": chance[:, k] for k, name in enumerate(names)},
                )
            )
    frame = pd.concat(frames, ignore_index=True)
    sampling = Sampling(draws=50, block=3)
    coverage = banded_of(frame, task, sampling)
    return ReportData(
        title="Which fault?",
        task=task,
        verdict=judge(frame, task, sampling=sampling),
        scores=score_table(frame, task, sampling=sampling),
        predictions=coverage.frame,
        coverage=coverage,
        parts=(PartSummary("train", 300, 280, ((0, 299),)), PartSummary("test", windows, windows, ((300, 389),))),
        spec=WindowSpec(inputs=("X1",), targets=("fault",), lookback=1),
        insight=insight_of("fault", ("X1",), names=names),
    )


@cache
def paths(*, target: str = "T_reactor", rows: int = 5, windows: int = 40) -> ReportData:
    """A forecast of ``rows`` rows, better than persistence, and a free run."""
    random = np.random.default_rng(2)
    task = Forecast(settings=ForecastPlan(target=target), targets=(Tag(target, unit="degC", role="target"),))
    frames = []
    for part, count, ahead in (("validation", windows, rows), ("test", windows, rows), ("free_run", 1, windows)):
        origin, horizon = np.repeat(np.arange(count), ahead), np.tile(np.arange(1, ahead + 1), count)
        truth = 80 + 5 * np.sin((origin + horizon) / 6)
        for model, size in (("network", 0.1), ("arx", 0.3), ("last_value", 0.8)):
            said = truth + size * np.sqrt(horizon) * random.normal(size=len(truth))
            frame = frame_of(model, part, target, truth=truth, prediction=said, time=START + (origin + horizon) * STEP)
            frames.append(frame.assign(origin=origin, horizon=horizon))
    frame = pd.concat(frames, ignore_index=True)
    sampling = Sampling(draws=50, block=3)
    return ReportData(
        title="Ahead",
        task=task,
        verdict=judge(frame, task, sampling=sampling),
        scores=score_table(frame, task, sampling=sampling),
        predictions=frame,
        spec=WindowSpec(
            inputs=("U1",), targets=(target,), lookback=10, horizon=rows, answer="path", known=Known(delay=0)
        ),
    )


@cache
def batch_runs(*, target: str = "purity", rows: int = 40, batches: int = 8) -> ReportData:
    """The quality of batches, predicted better the longer they run, and judged at their ends."""
    random = np.random.default_rng(3)
    task = BatchQuality(settings=BatchQualityPlan(target=target), targets=(Tag(target, unit="%", role="target"),))
    frames = []
    for part in ("validation", "test", "running"):
        row, batch = np.tile(np.arange(rows), batches), np.repeat(np.arange(batches), rows)
        seen = (row + 1) / rows
        kept = (row == rows - 1) | (part == "running")
        truth = 90 + np.arange(batches)[batch]
        for model, size in (("network", 0.5), ("mean", 2.0)):
            said = truth + size * (1.2 - seen) * random.normal(size=len(row))
            frame = frame_of(
                model,
                part,
                target,
                truth=truth,
                prediction=said,
                batch=np.array([f"B{code}" for code in batch], dtype=object),
            )
            frames.append(frame.assign(elapsed=row, share=seen)[kept])
    frame = pd.concat(frames, ignore_index=True)
    sampling = Sampling(draws=50)
    return ReportData(
        title="Batches",
        task=task,
        verdict=judge(frame, task, sampling=sampling),
        scores=score_table(frame, task, sampling=sampling),
        predictions=frame,
        spec=WindowSpec(inputs=("U1",), targets=(target,), lookback=None, growing=True),
    )


@cache
def told(name: str) -> ReportData:
    """The first of a task's baselines on the small plant, in the place of a network."""
    table, plan = small_task(name)
    found = prepare(reading(table), plan)
    first = found.task.judging.baselines[0]
    frame = baseline_frame(
        fit_baselines(found.task, found.train, found.validation, names=[first]), found.task, found.scored
    )
    sampling = Sampling(draws=20)
    return ReportData(
        title=name,
        task=found.task,
        verdict=judge(frame, found.task, network=first, sampling=sampling),
        scores=score_table(frame, found.task, sampling=sampling),
        predictions=frame,
        network=first,
        spec=found.preprocessing.spec,
    )
