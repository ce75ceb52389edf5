"""Both tasks through all doors: every setting a plan knows, every kind of table, on a small plant."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backmix
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.results.run import Run
from backmix.serving.bundle import Bundle
from backmix.training.plan import Plan
from backmix.training.prepare import LEAST_BATCHES, prepare
from backmix.workflow import fit
from small import reading, small_plan, small_table

Maker = Callable[[], Table]


def with_target(table: Table, values: np.ndarray, **tag: Any) -> Table:
    """The table with other target values, and perhaps another target tag."""
    changed = np.array(table.values)
    changed[:, 3] = values
    return replace(table, values=changed, tags=(*table.tags[:3], replace(table.tags[3], **tag)))


def classes_of(codes: np.ndarray, *names: str, shift: float = 3.0) -> Table:
    """The small plant in states ``names``, numbered by ``codes`` (N,), which move the first input."""
    table = with_target(small_table(len(codes), classes=True), codes.astype(float), categories=names)
    values = np.array(table.values)
    values[:, 0] = np.random.default_rng(1).normal(size=len(codes)) + shift * codes
    return replace(table, values=values)


def in_batches(table: Table, *, seed: int = 0) -> Table:
    """The rows in batches of 15 to 29 rows, B0, B1, ..."""
    lengths = np.random.default_rng(seed).integers(15, 30, size=len(table) // 15 + 1)
    batch = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[: len(table)]
    return replace(table, batch=batch, batch_names=tuple(f"B{n}" for n in range(batch[-1] + 1)))


def two() -> Table:
    return classes_of(np.arange(420) // 35 % 2, "normal", "fault")


def many() -> Table:
    return classes_of(np.arange(900) // 6 % 12, *(f"c{n:02d}" for n in range(12)))


def uneven_numbers() -> Table:
    """Classes 1, 6 and 11 as plain numbers, the first one in six of seven rows."""
    rows = np.arange(420)
    codes = np.where(rows % 35 < 10, 1 + rows // 35 % 2, 0)
    return with_target(classes_of(codes, "a", "b", "c"), 5.0 * codes + 1, categories=())


def class_batches() -> Table:
    table = in_batches(small_table(1000, classes=True))
    assert table.batch is not None
    moved = in_batches(classes_of(table.batch % 3, "normal", "fouling", "leak"))
    return replace(moved, batch=table.batch, batch_names=table.batch_names)


def batch_quality() -> Table:
    """A quality per batch, known in its last row only."""
    table = in_batches(small_table(1000))
    assert table.batch is not None
    last = np.r_[np.diff(table.batch) != 0, True]
    return with_target(table, np.where(last, table.values[:, 3], np.nan))


def several() -> Table:
    return small_table().retag({"P103": Tag("P103", unit="bar", role="target")})


def sparse() -> Table:
    table = small_table(900)
    return with_target(table, np.where(np.arange(900) % 7 == 0, table.values[:, 3], np.nan))


def positive() -> Table:
    """A target over several powers of ten, no clock, and names from a control room."""
    table = small_table()
    table = with_target(table, np.exp(np.clip(table.values[:, 3] / 8, -20, 20)))
    names = ("溫度 T101", "流量 (m³/h)", "=壓力", "品質%")
    return replace(
        table, time=None, tags=tuple(replace(tag, name=name) for tag, name in zip(table.tags, names, strict=True))
    )


DIAGNOSES: dict[str, tuple[Maker, dict[str, Any]]] = {
    "two classes": (
        two,
        {
            "task": {"normal": "normal"},
            "model": {"cell": "simple_rnn"},
            "training": {"metrics": ["accuracy", "precision", "recall", "auc"], "monitor": "val_auc"},
        },
    ),
    "many classes": (
        many,
        {
            "task": {"normal": None},
            "model": {"cell": "lstm", "units": [4, 3], "dropout": 0.1, "dense": [5]},
            "training": {"metrics": ["accuracy"]},
        },
    ),
    "uneven numbers": (
        uneven_numbers,
        {"task": {"normal": "1"}, "scaling": {"inputs": "robust"}, "training": {"optimizer": "rmsprop"}},
    ),
    "whole batches": (
        class_batches,
        {"windows": {"lookback": "batch"}, "split": {"kind": "batch"}, "model": {"summaries": True}},
    ),
    "resampled": (lambda: small_table(1500, classes=True), {"repair": {"resample": "5min"}}),
}
SENSORS: dict[str, tuple[Maker, dict[str, Any]]] = {
    "whole batches": (
        batch_quality,
        {
            "windows": {"lookback": "batch"},
            "split": {"kind": "batch"},
            "training": {"optimizer": "sgd"},
            "model": {"cell": "simple_rnn", "dense": [3]},
        },
    ),
    "several targets and their past": (
        several,
        {"task": {"target": ["quality", "P103"], "past_targets": {"delay": 4}}, "scaling": {"target": "minmax"}},
    ),
    "horizon, dead time and stride": (
        small_table,
        {
            "windows": {"lookback": "8min", "horizon": 3, "dead_time": "2min", "stride": 3},
            "model": {"cell": "gru", "reset_after": False, "recurrent_dropout": 0.1, "units": [4, 4]},
        },
    ),
    "sparse labels and their past": (
        sparse,
        {
            "task": {"past_targets": {"delay": "5min", "count": 2}},
            "model": {"cell": "lstm"},
            "training": {"loss": "huber", "clipvalue": 0.5, "metrics": ["mae"], "monitor": "val_mae"},
        },
    ),
    "resampled, lookback in hours": (
        lambda: small_table(1500),
        {"repair": {"resample": "5min"}, "windows": {"lookback": "0.5h"}},
    ),
    "powers of ten without a clock": (
        positive,
        {"task": {"target": "品質%"}, "scaling": {"target": "none"}, "training": {"loss": "msle"}},
    ),
    "everything auto": (
        small_table,
        {"windows": {"lookback": "auto"}, "model": {"units": "auto"}, "training": {"batch_size": "auto"}},
    ),
}


def _through(table: Table, plan: Plan, folder: Path) -> Run:
    """Run the plan, and hold what came out together: report, bundle, file of the bundle, predictions."""
    run = fit(table, plan, folder=folder / "run", quiet=True)
    assert run.verdict
    assert all((run.folder / f"report.{lang}.html").stat().st_size > 10_000 for lang in ("en", "zh_TW"))
    later, _ = run.bundle.predict(table)
    again, _ = Bundle.load(run.bundle_path).predict(table)
    assert later.equals(again)
    mine = run.predictions.query("model == @run.summary['network'] and part == 'test'")
    numbers = [name for name in mine if name.startswith("p:")] or ["prediction"]
    if plan.repair.resample is None:  # the clock of a resampled table begins elsewhere in a part
        both = mine.merge(later, on=["target", "origin"], suffixes=("", " later"))
        assert len(both) == len(mine), "every test window is predicted again"
        for name in numbers:
            np.testing.assert_array_equal(both[name], both[f"{name} later"])
    return run


@pytest.mark.parametrize("name", DIAGNOSES)
def test_a_diagnosis_goes_through(name: str, tmp_path: Path) -> None:
    """Course items 25, 26, 47, 49 and 76."""
    make, changes = DIAGNOSES[name]
    run = _through(make(), small_plan(classes=True, **changes), tmp_path)
    shares = run.predictions.filter(like="p:").to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    metrics = {row["metric"] for row in run.summary["scores"] if row["part"] == "test"}
    assert {"accuracy", "balanced_accuracy", "macro_f1", "detection_delay", "false_alarms_per_day"} <= metrics
    undefined = {row["metric"] for row in run.summary["scores"] if row["reason"]}
    if name == "many classes":
        assert {"detection_delay", "false_alarms_per_day"} <= undefined, "no class is named as normal"


@pytest.mark.parametrize("name", SENSORS)
def test_a_soft_sensor_goes_through(name: str, tmp_path: Path) -> None:
    """Course items 24, 30, 32, 40, 43, 44, 46, 75 and 78."""
    make, changes = SENSORS[name]
    run = _through(make(), small_plan(**changes), tmp_path)
    for target in {row["target"] for row in run.summary["scores"]}:
        rows = [row for row in run.summary["scores"] if row["target"] == target and row["metric"] == "rmse"]
        assert {row["model"] for row in rows} == {"mean", run.summary["network"]}
        assert all(np.isfinite(row["value"]) for row in rows)


def test_uneven_classes_are_weighted_and_only_when_wanted() -> None:
    prepared = prepare(reading(uneven_numbers()), small_plan(classes=True, task={"normal": "1"}))
    weights = prepared.task.answer.class_weights(prepared.train)
    counts = np.bincount(prepared.train.truth()[:, 0].astype(int))
    assert weights is not None
    np.testing.assert_allclose([weights[code] * n for code, n in enumerate(counts)], counts.sum() / 3)
    even = prepare(reading(two()), small_plan(classes=True, task={"normal": None}))
    assert even.task.answer.class_weights(even.train) is None


def test_a_class_that_training_never_saw_is_named(tmp_path: Path) -> None:
    codes = np.arange(420) // 35 % 2
    codes[260:330:2] = 2  # a leak happens in the validation part only
    run = _through(classes_of(codes, "normal", "fouling", "leak"), small_plan(classes=True), tmp_path)
    (decision,) = [decision for decision in run.summary["choices"] if decision["reason_key"] == "prepare.class_unseen"]
    assert decision["value"] == ["leak"]
    assert "not in the training part, so the network can never name it: leak" in (
        run.folder / "report.en.html"
    ).read_text("utf-8")
    undefined = {row["metric"] for row in run.summary["scores"] if row["part"] == "test" and row["reason"]}
    assert "auc" in undefined, "row 29: undefined on a part without a class, not 0 or 1"


def test_one_class_in_training_is_nothing_to_learn() -> None:
    codes = np.where(np.arange(420) < 300, 0, 1)
    with pytest.raises(
        InputError,
        match=re.escape(
            "small — all 241 training windows are \"normal\" in 'state', so there is nothing to tell apart. "
            'Choose training rows that hold at least two classes in [split], for example kind = "batch" '
            'or "named"'
        ),
    ):
        prepare(reading(classes_of(codes, "normal", "fault")), small_plan(classes=True))


def test_few_batches_are_enough_and_fewer_are_refused() -> None:
    """Rows 27 and 28: a part of whole batches counts batches, not rows."""

    def table(count: int) -> Table:
        every = batch_quality()
        assert every.batch is not None
        return every.rows(every.batch < count)

    plan = small_plan(windows={"lookback": "batch"}, split={"kind": "batch"})
    prepared = prepare(reading(table(5 * LEAST_BATCHES)), plan)
    assert [len(part) for part in prepared.parts.values()] == [9, 3, 3]
    with pytest.raises(
        InputError,
        match=re.escape(
            "small — the validation part has 2 batches with a target, at least 3 are needed. "
            "Give this part more batches in [split], or add batches to the table"
        ),
    ):
        prepare(reading(table(10)), plan)


def test_a_stride_thins_training_and_not_prediction(tmp_path: Path) -> None:
    run = fit(small_table(), small_plan(windows={"stride": 5}), folder=tmp_path / "run", quiet=True)
    assert run.summary["windows"]["train"] == pytest.approx(420 * 0.6 / 5, abs=2)
    frame, _ = run.bundle.predict(small_table())
    assert frame["origin"].tolist() == list(range(5, 420))


def test_frames_of_pandas_and_polars_are_the_same_table(tmp_path: Path) -> None:
    """Five lines of Python, whatever the frame."""
    import polars

    frame = small_table().to_frame().reset_index()
    plan = small_plan(data={"tags": [{"name": "quality", "unit": "%"}]})

    run = backmix.fit(frame, plan, folder=tmp_path / "pandas", quiet=True)
    print(run.verdict)
    bundle = backmix.load(run.bundle_path)
    predicted, ledger = bundle.predict(small_table())

    other = backmix.fit(polars.from_pandas(frame), plan, folder=tmp_path / "polars", quiet=True)
    assert other.predictions.equals(run.predictions)
    assert ledger.dropped == 0
    assert len(predicted) == 415


def test_the_users_callbacks_are_called(tmp_path: Path) -> None:
    """Course items 55 to 59: any Keras callback, after backmix's own."""
    import keras

    class Diary(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.epochs: list[dict[str, float]] = []

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.epochs.append(dict(logs or {}))

    diary = Diary()
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    run = backmix.fit(small_table(), small_plan(), folder=tmp_path / "run", quiet=True, callbacks=[diary, log])
    assert len(diary.epochs) == run.summary["epochs"] == 2
    assert {"loss", "val_loss"} <= diary.epochs[0].keys()
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
