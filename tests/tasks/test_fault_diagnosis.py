"""Fault diagnosis: a label on every row of a window, and faults that were never taught."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError, PlanError
from backmix.models.network import build
from backmix.results.run import Run
from backmix.scoring.metrics import metrics
from backmix.scoring.predictions import prediction_frame, read_sample
from backmix.serving.bundle import Bundle
from backmix.tasks import Outcome
from backmix.tasks.fault_diagnosis import UNKNOWN
from backmix.tasks.shared.rejection import RejectionGate
from backmix.training.beside import fit_baselines
from backmix.training.design import design
from backmix.training.fitting.feed import Feed
from backmix.training.plan import Plan, PlanFaults
from backmix.training.predict import predict_network
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from small import reading, small_plan, small_table

NAMES = ("normal", "hot", "stuck", "leak", "surge")
OPEN = {"left_out": ["leak", "surge"], "reject": 0.05}


def plant(rows: int = 1600, seed: int = 0) -> Table:
    """Four tags, five classes in turn, 40 rows each; every fault shows in a way of its own."""
    rng = np.random.default_rng(seed)
    state = np.arange(rows) // 40 % 5
    u = rng.normal(size=(rows, 4))
    u[state == 1, 0] += 3
    u[state == 2, 1] = 0.2 * u[state == 2, 1]
    u[state == 3, 2] -= 6
    u[state == 4, 3] *= 8
    time = np.datetime64("2026-03-01T00:00", "ns") + np.arange(rows) * np.timedelta64(60_000_000_000, "ns")
    tags = (*(Tag(f"T{k}") for k in range(4)), Tag("state", role="target", categories=NAMES))
    return Table(np.column_stack([u, state]), tags, time=time, source="plant")


def plan(task: dict[str, Any] | None = None, **changes: Any) -> Plan:
    """A quick plan for `plant`."""
    document = small_plan(classes=True, windows={"lookback": 10}, evaluation={"baselines": None}, **changes).to_dict()
    document["task"] |= task or {}
    return Plan.check(document)


@cache
def prepared(opened: bool = False, per_step: bool = False) -> Prepared:
    return prepare(reading(plant()), plan({"per_step": per_step, **(OPEN if opened else {})}))


@pytest.fixture(scope="module")
def open_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a label per row, two classes left out, and a gate."""
    return fit(plant(), plan({"per_step": True, **OPEN}), folder=tmp_path_factory.mktemp("d") / "run", quiet=True)


def test_a_lesson_per_step_labels_every_row() -> None:
    """Course items 27 and 76: what the network is taught is the label of each row of the window."""
    training_samples = prepared(per_step=True).training_samples[0]
    batch = training_samples.gather(np.array([0, 33, 90]))
    labels = np.asarray(training_samples.table.column("state"))
    for place, origin in enumerate(training_samples.origins[[0, 33, 90]].tolist()):
        np.testing.assert_array_equal(batch.y[place], labels[origin - 9 : origin + 1])
    assert batch.weight is not None
    assert (batch.weight == 1).all()


def test_a_row_without_a_label_weighs_nothing() -> None:
    """Course item 27: the windows are those with a label on their newest row; older rows may lack one."""
    table = plant()
    values = np.array(table.values)
    values[::3, 4] = np.nan
    found = prepare(reading(replace(table, values=values)), plan({"per_step": True}))
    training_samples = found.training_samples[0]
    batch = training_samples.gather(training_samples.all_indices)
    rows = training_samples.origins[:, None].astype(int) + np.arange(-9, 1)
    np.testing.assert_array_equal(batch.weight, np.isfinite(values[rows, 4]))
    assert (batch.weight[:, -1] == 1).all()


def test_class_weights_count_the_rows_that_are_asked_about() -> None:
    """Row by row, and every class with the same weight in all."""
    table = plant()
    values = np.array(table.values)
    values[values[:, 4] == 2, 4] = 1  # twice as many of one
    found = prepare(reading(replace(table, values=values)), plan({"per_step": True}))
    training_samples = found.training_samples[0]
    weights = found.task.answer.class_weights(training_samples)
    assert weights is not None
    batch = training_samples.gather(training_samples.all_indices)
    total = {code: weights[code] * (batch.y == code).sum() for code in weights}
    assert len(total) == 4
    np.testing.assert_allclose(list(total.values()), next(iter(total.values())), rtol=1e-9)
    feed = Feed(training_samples, design(found).architecture, batch_size=8, class_weights=weights)
    _, y, weight = feed.batch(0)
    np.testing.assert_allclose(weight, np.vectorize(weights.get)(y), rtol=1e-6)


def test_a_network_per_step_is_judged_by_its_last_row_and_looks_back_only() -> None:
    """Course items 27 and 76: the answer on a row does not depend on the rows behind it."""
    found = prepared(per_step=True)
    assert found.test.spec == prepared().test.spec  # the same windows as with a label per window
    np.testing.assert_array_equal(found.test.origins, prepared().test.origins)
    model = build(design(found).architecture, seed=0)
    some = found.test.subset(np.arange(40))
    x = some.gather(some.all_indices).x
    every = np.asarray(model.predict_on_batch({"x": x}))
    assert every.shape == (40, 10, 5)
    np.testing.assert_allclose(predict_network(model, some), every[:, -1], rtol=1e-5, atol=1e-6)
    later = x.copy()
    later[:, 6:] = 99.0
    np.testing.assert_array_equal(np.asarray(model.predict_on_batch({"x": later}))[:, :6], every[:, :6])


def test_what_is_left_out_is_never_learned_from() -> None:
    """Scalers, repair rules, network and baselines: other values in the faults that are left out change nothing."""
    table, found = plant(), prepared(True)
    values = np.array(table.values)
    out = values[:, 4] >= 3
    values[out, :4] = np.random.default_rng(1).normal(scale=100, size=(int(out.sum()), 4))
    other = prepare(reading(replace(table, values=values)), plan(dict(OPEN)))
    assert other.preprocessing.scaler.to_dict() == found.preprocessing.scaler.to_dict()
    assert other.task.fitted == found.task.fitted
    for mine, theirs in zip(found.training_samples, other.training_samples, strict=True):
        assert not np.isin(mine.truth(), 3).any()
        np.testing.assert_array_equal(mine.gather(mine.all_indices).x, theirs.gather(theirs.all_indices).x)
    known = found.test.subset(np.flatnonzero([not out[o - 9 : o + 1].any() for o in found.test.origins.tolist()]))
    there = other.test.subset(np.isin(other.test.origins, known.origins))
    for name in ("lda", "trees_statistics"):
        one, two = (
            fit_baselines(p.task, p.train, p.validation, names=[name]).predictors[name].predict(windows)
            for p, windows in ((found, known), (other, there))
        )
        np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_what_is_left_out_is_unknown_in_the_test_part() -> None:
    found = prepared(True)
    assert found.task.target.classes == ("normal", "hot", "stuck", UNKNOWN)
    assert found.task.target.known_classes == ("normal", "hot", "stuck")
    raw = plant().column("state")[found.test.origins]
    np.testing.assert_array_equal(found.test.truth()[:, 0], np.minimum(raw, 3))
    architecture = design(found).architecture
    assert architecture.outputs == 3
    assert np.asarray(build(architecture, seed=0).output_shape)[-1] == 3


def test_the_gate_finds_what_it_has_not_seen_and_keeps_its_rate() -> None:
    """Faults that nobody taught are far; known windows of new rows are rejected about as rarely as was asked."""
    found = prepared(True)
    gate = RejectionGate.from_dict(found.task.fitted)
    novelty = gate.novelty(found.test)
    starts = np.asarray(found.test.origins) % 40 >= 9  # windows that lie in one class
    raw = plant().column("state")[found.test.origins]
    unknown = raw >= 3
    assert (novelty[(raw == 3) & starts] > 1).mean() > 0.95  # a level that nobody has seen
    assert (novelty[(raw == 4) & starts] > 1).mean() > 0.5  # a spread: noisy in a window of ten rows
    assert (novelty[~unknown & starts] > 1).mean() < 0.2
    assert RejectionGate.from_dict(gate.to_dict()).to_dict() == gate.to_dict()


def test_the_gate_answers_for_every_model_alike() -> None:
    """Network and baselines are rejected on the same windows; what is not rejected keeps its class."""
    found = prepared(True)
    rng = np.random.default_rng(0)
    gate = RejectionGate.from_dict(found.task.fitted)
    rejected = gate.novelty(found.test) > 1
    for _ in range(3):
        raw = rng.dirichlet(np.full(3, 0.3), size=len(found.test))
        before = found.task.answer.decode(raw, found.test)
        after = found.task.revise(before, found.test).probabilities
        assert before.probabilities is not None
        assert after is not None
        np.testing.assert_allclose(after.sum(axis=1), 1.0)
        said = after.argmax(axis=1)
        np.testing.assert_array_equal(said == 3, rejected)
        np.testing.assert_array_equal(said[~rejected], before.probabilities.argmax(axis=1)[~rejected])


def test_the_whole_way_with_unknown_faults(open_run: Run) -> None:
    """Course item 76: unknown faults are rejected, the report has the class, and the bundle says the same."""
    rows = {
        (row["model"], row["metric"]): row["value"]
        for row in open_run.summary["scores"]
        if row["part"] == "test" and not row["label"]
    }
    models = {model for model, _ in rows}
    assert {"majority", "lda", "trees_statistics"} < models
    assert len({rows[model, "unknown_recall"] for model in models}) == 1
    assert rows["lda", "unknown_recall"] > 0.6
    assert rows["lda", "known_accuracy"] > 0.8
    page = (open_run.folder / "report.en.html").read_text("utf-8")
    for words in ("unknown faults rejected", "known windows rejected", "detection delay", "false alarms per day"):
        assert words in page
    assert ">unknown<" in page  # a lane and a row of the confusion
    assert "未知故障拒絕率" in (open_run.folder / "report.zh_TW.html").read_text("utf-8")
    new, _ = Bundle.load(open_run.bundle_path).predict(plant())
    old = open_run.predictions
    old = old[(old["part"] == "test") & (old["model"] == open_run.summary["network"])]
    both = old.merge(new, on="origin", suffixes=("", "_new"))
    assert len(both) == len(old)
    np.testing.assert_allclose(both["p:unknown"], both["p:unknown_new"], rtol=1e-5)
    assert not open_run.bundle.preprocessing.light


def _sample(truth: list[int], said: list[int]) -> Any:
    found = prepared(True)
    windows = found.test.subset(np.arange(len(truth)))
    frame = prediction_frame(found.task, windows, Outcome(probabilities=np.eye(4)[said]), model="m", part="test")
    frame["truth"] = np.array(found.task.target.classes, dtype=object)[truth]
    return read_sample(frame, classes=found.task.target.classes, normal="normal")


def test_the_metrics_of_unknown_faults_count_what_they_say() -> None:
    sample = _sample([0, 0, 1, 1, 2, 3, 3, 3], [0, 3, 1, 2, 2, 3, 0, 3])
    assert metrics.get("unknown_recall")(sample) == pytest.approx(2 / 3)
    assert metrics.get("false_rejection")(sample) == pytest.approx(1 / 5)
    assert metrics.get("known_accuracy")(sample) == pytest.approx(3 / 4)


def test_an_absent_class_leaves_a_mean_undefined_but_unknown_need_not_occur() -> None:
    """Bad input 29: undefined, never 0; "unknown" is an answer, and its absence takes nothing away."""
    every = _sample([0, 1, 2, 0], [0, 1, 1, 3])
    assert metrics.get("balanced_accuracy")(every) == pytest.approx((0.5 + 1 + 0) / 3)
    assert metrics.get("unknown_recall").score(every).undefined is not None
    missing = metrics.get("balanced_accuracy").score(_sample([0, 1, 3], [0, 1, 3]))
    assert missing.undefined is not None
    assert missing.undefined.text() == "no window is of class stuck"
    assert np.isnan(missing.value)


def _refused(task: dict[str, Any], table: Table | None = None, **changes: Any) -> str:
    with pytest.raises((InputError, PlanError)) as caught:
        prepare(reading(plant() if table is None else table), plan(task, **changes))
    return str(caught.value)


def test_refusals_say_what_where_and_how_to_mend() -> None:
    """Whole messages of what cannot be left out, rejected or labelled row by row."""
    assert _refused({"left_out": ["leek"]}) == (
        "plant — target 'state' has no class 'leek' that could be left out. Did you mean 'leak'?"
    )
    assert _refused({"normal": None, "left_out": list(NAMES)}) == (
        "plant — left_out names all 5 classes of 'state', so nothing is left to learn. Keep at least two"
    )
    assert _refused({"left_out": list(NAMES[1:])}) == (
        "plant — left_out leaves a single class of 'state' (normal), so there is nothing to tell apart. Keep at least "
        'two, or use [task] kind = "anomaly_detection"'
    )
    assert _refused({"reject": 0.001}) == (
        "plant — to reject a share of 0.001 needs at least 999 known validation windows, and there are 310. Give the "
        "validation part more rows in [split], or set reject to 0.0033 or more"
    )
    named = plant().retag({"state": replace(plant().tag("state"), categories=(*NAMES[:4], UNKNOWN))})
    assert _refused({"reject": 0.05}, named) == (
        "plant — target 'state' has a class 'unknown' already, which is the answer for classes outside the "
        "training. Give that class another name, or add it to left_out"
    )
    values = np.array(plant().values)
    values[(values[:, 4] == 4) & (np.arange(len(values)) > 165), 4] = 0
    assert _refused({"reject": 0.05}, replace(plant(), values=values)) == (
        "plant — class 'surge' has 6 training windows, and at least 10 are needed to know what it looks like. Give "
        "more of them in [split], add 'surge' to left_out, or leave reject out"
    )
    document = plan({"per_step": True}).to_dict()
    document["windows"]["horizon"] = 2
    with pytest.raises(PlanError) as caught:
        prepare(reading(plant()), Plan.check(document))
    assert str(caught.value) == (
        "per_step needs [windows] horizon = 0 and dead_time = 0 (found 2 and 0 rows): every row is labelled by its own "
        "time. Leave both out, or set per_step = false"
    )
    with pytest.raises(
        PlanFaults, match="normal = 'normal' is among left_out: normal operation must be in the training"
    ):
        plan({"left_out": ["normal"]})


def test_two_known_classes_are_told_apart_by_one_number(tmp_path: Path) -> None:
    """A class left out of three leaves a binary head per row, and a third column for the gate."""
    document = small_plan(classes=True, evaluation={"baselines": ["lda"]}).to_dict()
    document["task"] |= {"left_out": ["leak"], "reject": 0.1, "per_step": True}
    run = fit(small_table(classes=True), Plan.check(document), folder=tmp_path / "run", quiet=True)
    assert run.summary["architecture"]["head"] == "binary"
    assert run.summary["architecture"]["answer"] == "every"
    columns = run.predictions.filter(like="p:")
    assert list(columns) == ["p:normal", "p:fouling", "p:unknown"]
    np.testing.assert_allclose(columns.sum(axis=1), 1.0, rtol=1e-6)


def test_a_gate_that_would_be_too_large_is_refused_before_it_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backmix.tasks.shared.rejection.MOST_NUMBERS", 150)
    assert _refused({"reject": 0.05}) == (
        "plant — models of 5 classes with 4 inputs are too large for a bundle; up to 2 inputs fit. Give fewer columns "
        'the role "input", or leave reject out'
    )


def test_a_gate_that_no_training_leaves_is_refused() -> None:
    task = prepared(True).task
    for change in ({"limits": [[1.0, 1.0]]}, {"limit": 0.0}, {"limits": [[1.0, -1.0]] * 3}):
        with pytest.raises(ValueError, match="limits of shape"):
            replace(task, fitted={**task.fitted, **change})
