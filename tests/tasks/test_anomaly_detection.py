"""Anomaly detection: learned from normal rows alone, judged without adjustment, honest about its threshold."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.explanation import explain
from backmix.models.members.novelty import Ellipse, finest, needed, threshold
from backmix.report.alarms import alarm_scores, alarms
from backmix.report.data import ReportData
from backmix.report.figures import figures
from backmix.results.run import Run
from backmix.scoring.metrics import metrics
from backmix.scoring.predictions import prediction_frame, read_sample
from backmix.serving.bundle import Bundle
from backmix.tasks import Outcome
from backmix.tasks.anomaly_detection import crossed
from backmix.training.beside import fit_baselines
from backmix.training.plan import Plan, PlanFaults
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from small import reading

ROWS = 900


def plant(*, faults: bool = True, text: bool = True, seed: int = 3) -> Table:
    """Three tags that follow one another, one row a minute; in a fault the third one loses the others."""
    rng = np.random.default_rng(seed)
    driver = np.zeros(ROWS)
    for at in range(1, ROWS):
        driver[at] = 0.9 * driver[at - 1] + rng.normal()
    u = np.column_stack([driver, np.roll(driver, 1), 0.5 * driver]) + 0.1 * rng.normal(size=(ROWS, 3))
    state = np.zeros(ROWS)
    for first in (150, 700, 800) if faults else ():
        state[first : first + 40] = 1 + (first > 750)
        u[first : first + 40, 2] += 4.0
    time = np.datetime64("2026-03-01T00:00", "ns") + np.arange(ROWS) * np.timedelta64(60_000_000_000, "ns")
    tags = (Tag("T1", unit="degC"), Tag("F2", unit="m3/h"), Tag("P3", unit="bar"))
    label = Tag("state", categories=("ok", "stuck", "leak") if text else (), role="target")
    return Table(np.column_stack([u, state]), (*tags, label), time=time, source="plant")


def plan(**changes: Any) -> Plan:
    """A quick plan for `plant`."""
    document: dict[str, Any] = {
        "task": {"kind": "anomaly_detection", "target": "state", "normal": "ok", "false_alarm_rate": 0.02},
        "windows": {"lookback": 6},
        "model": {"units": [6]},
        "training": {"epochs": 3, "batch_size": 32},
        "evaluation": {"resamples": 20},
    }
    for section, fields in changes.items():
        document[section] = document.get(section, {}) | fields
    return Plan.check(document)


@cache
def prepared(method: str = "prediction") -> Prepared:
    return prepare(reading(plant()), plan(task={"method": method}))


@pytest.fixture(scope="module", params=["prediction", "reconstruction"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of each method."""
    return fit(plant(), plan(task={"method": request.param}), folder=tmp_path_factory.mktemp("a") / "run", quiet=True)


@pytest.mark.parametrize("method", ["prediction", "reconstruction"])
def test_nothing_is_learned_from_an_abnormal_row(method: str) -> None:
    """Course items 28, 80 and 88: scalers, repair rules, lessons and baselines see normal operation only."""
    table = plant()
    found = prepared(method)
    values = np.array(table.values)
    bad = values[:, 3] > 0
    values[bad, :3] = np.random.default_rng(0).normal(scale=1e3, size=(int(bad.sum()), 3))
    other = prepare(reading(replace(table, values=values)), plan(task={"method": method}))
    assert other.preprocessing.scaler.to_dict() == found.preprocessing.scaler.to_dict()
    assert other.preprocessing.repair.to_dict() == found.preprocessing.repair.to_dict()
    for mine, theirs in zip(found.training_samples, other.training_samples, strict=True):
        one, two = (windows.gather(windows.all_indices) for windows in (mine, theirs))
        np.testing.assert_array_equal(one.x, two.x)
        np.testing.assert_array_equal(one.y, two.y)
    for name in found.task.judging.baselines:
        one, two = (
            fit_baselines(p.task, p.train, p.validation, names=[name]).predictors[name].predict(found.test)
            for p in (found, other)
        )
        np.testing.assert_array_equal(one.columns["score"], two.columns["score"])


def test_a_lesson_is_normal_from_its_first_row_to_its_target() -> None:
    found = prepared()
    bad = np.asarray(found.table.column("state")) != 0
    for windows in found.training_samples:
        for origin in windows.origins.tolist():
            assert not bad[origin - 6 : origin + 1].any()
    rows = np.flatnonzero(~bad[6:540]) + 6  # the training part, less what the windows must not touch
    expected = [row for row in rows.tolist() if not bad[row - 6 : row + 1].any()]
    assert set(found.training_samples[0].origins.tolist()) <= set(expected)
    assert len(found.training_samples[0]) >= len(expected) - 7


def test_a_row_is_predicted_from_the_rows_before_it() -> None:
    """The window ends on the row before: the row itself is what is asked for."""
    windows = prepared().training_samples[0]
    batch = windows.gather(np.array([20]))
    origin = int(windows.origins[20])
    scaler = windows.scaler
    assert scaler is not None
    rows = scaler.transform(np.asarray(windows.table.values)[origin - 6 : origin + 1][:, [1, 2, 0]])  # by name
    assert windows.spec.inputs == ("F2", "P3", "T1")
    np.testing.assert_allclose(batch.x[0], rows[:-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(batch.y[0], rows[-1], rtol=1e-5, atol=1e-6)


def test_a_doubtful_value_on_the_judged_row_makes_its_score_doubtful() -> None:
    """The window ends on the row before, but the score is about the row itself."""
    windows = prepared().test
    quality = np.zeros(windows.table.values.shape, dtype=np.uint8)
    row = int(windows.origins[30])
    quality[row, windows.table.index("P3")] = 1
    worst = replace(windows, table=replace(windows.table, quality=quality)).worst_quality()
    np.testing.assert_array_equal(np.flatnonzero(worst), np.arange(30, 37))  # the row itself, then six windows


def test_the_whole_way_finds_the_faults_and_names_the_tag(run: Run) -> None:
    """Course items 80 and 88: the fault is in P3, and alarms during it say so."""
    frame = run.predictions
    test = frame[(frame["model"] == run.summary["network"]) & (frame["part"] == "test")]
    stretch = (test["truth"] != test["truth"].shift()).cumsum()
    deep = test[test["truth"] == "anomaly"].groupby(stretch).nth(slice(4, 30))
    assert (deep["prediction"] == "anomaly").mean() > 0.7
    assert (deep["tag_1"] == "P3").mean() > 0.7
    shares = test[["share_1", "share_2", "share_3"]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-6)  # three tags, three shares
    rows = {(row["model"], row["metric"]): row["value"] for row in run.summary["scores"] if row["part"] == "test"}
    assert rows[run.summary["network"], "auc"] > 0.9
    assert {"pca", "largest_deviation"} <= {model for model, _ in rows}


def test_an_alarm_is_a_score_above_the_threshold(run: Run) -> None:
    frame = run.predictions
    assert ((frame["prediction"] == "anomaly") == (frame["score"] > 1)).all()
    np.testing.assert_allclose(frame["p:anomaly"], frame["score"] / (1 + frame["score"]))


def test_the_bundle_says_what_the_run_said(run: Run) -> None:
    """Thresholds travel with the model, and labels are not needed for new rows."""
    table = plant()
    unlabelled = table.select([name for name in table.names if name != "state"])
    new, _ = Bundle.load(run.bundle_path).predict(unlabelled)
    old = run.predictions
    old = old[(old["model"] == run.summary["network"]) & (old["part"] == "test")]
    both = old.merge(new, on="origin", suffixes=("", "_new"))
    assert len(both) == len(old)
    np.testing.assert_allclose(both["score"], both["score_new"], rtol=1e-5)
    assert (both["because"] == both["because_new"]).all()
    assert not Bundle.load(run.bundle_path).preprocessing.light


def test_the_report_lists_alarms_and_states_both_rates(run: Run) -> None:
    page = (run.folder / "report.en.html").read_text("utf-8")
    assert "The threshold was set for false alarms in 2.00% of normal windows; on normal test windows it gave" in page
    assert "Alarms on the test part" in page
    assert "a fault was there" in page
    assert "What the alarms are about" in page
    chinese = (run.folder / "report.zh_TW.html").read_text("utf-8")
    assert "測試部分的警報" in chinese


def test_looking_inside_is_refused_with_where_to_look_instead(run: Run) -> None:
    with pytest.raises(InputError, match="learns its inputs, so no target can be traced back to them"):
        explain(run)


def test_alarms_are_listed_as_they_were() -> None:
    """Times, lengths and peaks of two made-up alarms, one of them real; an alarm ends where its batch does."""
    task, windows = prepared().task, prepared().test.subset(np.arange(60))
    score = np.full(60, 0.2)
    score[10:14], score[30:32] = [2.0, 9.0, 3.0, 2.0], 4.0
    chance = score / (1 + score)
    because = np.where(score > 8, "P3 90%", "T1 60%").astype(object)
    outcome = Outcome(
        probabilities=np.column_stack([1 - chance, chance]),
        columns={
            "score": score,
            "because": because,
            "tag_1": np.full(60, "P3", dtype=object),
            "share_1": np.full(60, 0.9),
        },
    )
    frame = prediction_frame(task, windows, outcome, model="network", part="test")
    frame["truth"] = np.where(np.arange(60) < 20, "anomaly", "normal")
    data = ReportData(title="", task=task, verdict="", predictions=frame)
    found = alarm_scores(data)
    assert found is not None
    first, second = alarms(found, step=60.0)
    assert (first.windows, first.seconds, first.peak, first.because, first.real) == (4, 240.0, 9.0, "P3 90%", True)
    assert (second.windows, second.peak, second.real) == (2, 4.0, False)
    assert first.row == int(windows.origins[10]) + 1
    figure = figures.get("contributions")(data, 900)
    assert figure is not None
    assert "P3" in figure.svg
    frame["score"] = 0.5
    frame["prediction"] = "normal"
    assert figures.get("contributions")(replace(data, predictions=frame), 900) is None


def test_labels_are_not_needed(tmp_path: Path) -> None:
    """Course item 80: without labels alarms are listed, and no score is made up."""
    table = plant(faults=False)
    table = table.select([name for name in table.names if name != "state"])
    document = plan().to_dict()
    document["task"] = {"kind": "anomaly_detection", "false_alarm_rate": 0.02}
    run = fit(table, Plan.check(document), folder=tmp_path / "run", quiet=True)
    assert run.summary["judgement"]["outcome"] == "undefined"
    assert all(row["value"] is None and row["reason"] for row in run.summary["scores"])
    page = (run.folder / "report.en.html").read_text("utf-8")
    assert "No test window has a label" in page
    assert "what was reached here cannot be said" in page


def test_a_test_part_without_a_fault_leaves_detection_undefined(tmp_path: Path) -> None:
    run = fit(plant(faults=False), plan(), folder=tmp_path / "run", quiet=True)
    rows = {
        row["metric"]: row
        for row in run.summary["scores"]
        if row["part"] == "test" and row["model"] == run.summary["network"]
    }
    assert rows["auc"]["value"] is None
    assert rows["auc"]["reason"]["values"] == {"classes": "anomaly"}
    assert rows["detection_rate"]["value"] is None
    assert 0 <= rows["false_alarm_rate"]["value"] < 0.2


def _scores(score: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """What the metrics of the task say about scores (n,) in units of the threshold."""
    task = prepared().task
    windows = prepared().test.subset(np.arange(len(score)))
    chance = score / (1 + score)
    outcome = Outcome(probabilities=np.column_stack([1 - chance, chance]))
    frame = prediction_frame(task, windows, outcome, model="m", part="test")
    frame["truth"] = np.where(truth, "anomaly", "normal")
    sample = read_sample(frame, classes=task.target.classes, normal="normal")
    return {name: metrics.get(name)(sample) for name in (*task.judging.metrics, "macro_f1")}


def _point_adjusted_f1(alarm: np.ndarray, truth: np.ndarray) -> float:
    """F1 as many papers compute it: one hit turns the whole fault into hits."""
    adjusted = alarm.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], truth.astype(int), [0]])))
    for first, end in edges.reshape(-1, 2):
        adjusted[first:end] |= alarm[first:end].any()
    hits = (adjusted & truth).sum()
    return float(2 * hits / (adjusted.sum() + truth.sum()))


def test_scores_are_not_point_adjusted() -> None:
    """Trap S: point-adjusted F1 rewards random alarms; no metric of the task does."""
    rng = np.random.default_rng(5)
    truth = np.zeros(150, dtype=bool)
    truth[30:130] = True
    alarm = rng.random(150) < 0.1
    assert _point_adjusted_f1(alarm, truth) > 0.9  # this is what flatters noise
    found = _scores(np.where(alarm, 2.0, 0.5), truth)
    assert found["detection_rate"] == pytest.approx((alarm & truth).sum() / truth.sum())
    assert found["detection_rate"] < 0.2
    assert found["macro_f1"] < 0.5
    assert abs(found["auc"] - 0.5) < 0.1


def test_a_missed_fault_counts_as_late_as_it_lasted() -> None:
    """Trap R: a missed fault is censored at its end; a detector cannot gain by missing one."""
    truth = np.zeros(150, dtype=bool)
    truth[20:40] = truth[80:120] = True
    soon = np.where(np.isin(np.arange(150), [25, 85]), 2.0, 0.5)
    one_missed = np.where(np.isin(np.arange(150), [25]), 2.0, 0.5)
    both, one = _scores(soon, truth), _scores(one_missed, truth)
    assert both["detection_delay"] == pytest.approx(5 * 60)
    assert one["detection_delay"] > both["detection_delay"]
    assert one["detection_delay"] == pytest.approx((5 + 40) / 2 * 60)  # alarmed after 5, watched for 40 rows
    assert (both["event_recall"], one["event_recall"]) == (1.0, 0.5)


def test_an_ellipse_must_not_set_its_own_threshold() -> None:
    """With as many tags as a plant has, errors that shaped the ellipse lie much closer than new ones."""
    rng = np.random.default_rng(1)
    ensemble = rng.normal(size=(40, 40)) * 0.9 ** np.arange(40)[:, None]
    errors = rng.normal(size=(150, 1, 40)) @ ensemble
    new = Ellipse.fit(errors[:, 0]).shares(rng.normal(size=(4000, 40)) @ ensemble).sum(axis=1)
    naive = threshold(Ellipse.fit(errors[:, 0]).shares(errors[:, 0]).sum(axis=1), 0.05)
    honest = threshold(crossed(errors), 0.05)
    assert np.mean(new > naive) > 0.12
    assert np.mean(new > honest) < 0.06


def _message(changes: dict[str, Any], table: Table | None = None) -> str:
    with pytest.raises(InputError) as caught:
        prepare(reading(plant() if table is None else table), plan(**changes))
    return str(caught.value)


def test_refusals_say_what_where_and_how_to_mend() -> None:
    """Bad inputs 16, 20, 28 and 29 as they meet this task; the whole message."""
    assert _message({"task": {"normal": "fine"}}) == (
        "plant — target 'state' has no class 'fine'. Name one of its classes as normal: ok, stuck, leak"
    )
    document = plan().to_dict()
    del document["task"]["normal"]
    with pytest.raises(InputError) as caught:
        prepare(reading(plant()), Plan.check(document))
    assert str(caught.value) == (
        "plant — target 'state' holds labels, and [task] does not say which one is normal operation. "
        'Add normal = "ok" or another of: ok, stuck, leak'
    )
    values = np.array(plant().values)
    values[:, 3] = 1
    assert _message({}, replace(plant(), values=values)) == (
        "plant — none of the 533 training rows may be learned from: in 'state' all of them are of a class that "
        "anomaly_detection keeps out. Choose other training rows in [split]"
    )
    assert _message({"task": {"false_alarm_rate": 0.001}}) == (
        "plant — a false alarm rate of 0.001 needs at least 999 normal validation windows, and there are 160. Give the "
        "validation part more normal rows in [split], or set false_alarm_rate to 0.0063 or more"
    )
    assert all(needed(float(finest(count))) <= count for count in range(3, 4000))
    values = np.array(plant().values)
    values[::5, 3] = 1
    assert _message({}, replace(plant(), values=values)) == (
        "plant — none of 527 windows is normal on all of its 7 rows in 'state'. Use a shorter lookback, or choose rows "
        "with longer normal stretches in [split]"
    )
    assert "horizon is 2 rows, but an anomaly is looked for on the row that has just been measured" in _fault(
        {"windows": {"horizon": 2}}
    )
    assert "dead_time is 2 rows, but a window that is given back ends on the row that is judged" in _fault(
        {"task": {"method": "reconstruction"}, "windows": {"dead_time": 2}}
    )
    with pytest.raises(PlanFaults, match="normal = 'ok' names a class, but target names no column"):
        Plan.check({"task": {"kind": "anomaly_detection", "normal": "ok"}})


def _fault(changes: dict[str, Any]) -> str:
    from backmix.errors import PlanError

    with pytest.raises(PlanError) as caught:
        prepare(reading(plant()), plan(**changes))
    return str(caught.value)


def test_alarms_are_judged_at_the_threshold_that_was_set(tmp_path: Path) -> None:
    """Against PCA with as many false alarms, which validation need not choose."""
    table = plant()
    values = np.array(table.values)
    values[540:730, 3] = 0
    run = fit(replace(table, values=values), plan(training={"epochs": 2}), folder=tmp_path / "run", quiet=True)
    judged = run.summary["judgement"]
    assert judged["baseline"]["model"] == "pca"
    detection = judged["detection"]
    frame = run.predictions
    test = frame[(frame["part"] == "test") & (frame["model"] == "ensemble")]
    calm = test["truth"] == "normal"
    assert detection["network"]["rate"] == pytest.approx((test.loc[calm, "score"] > 1).mean())
    assert detection["baseline"]["rate"] == pytest.approx(detection["network"]["rate"], abs=1.5 / calm.sum())
    assert detection["promised"] == 0.02
    assert detection["network"]["events"] == 2
    text = run.summary["verdict"]["en"]
    assert "There are too few events for a verdict (2; 5 are needed): at the threshold that was set" in text
    assert "of 2 events" in text
    assert "(2 % was asked)" in text
    assert "area under ROC" in text
    page = (run.folder / "report.en.html").read_text("utf-8")
    assert "(with as many false alarms)" in page
    assert "by validation)" not in page


@pytest.mark.parametrize(
    "change", [{"threshold": 0.0}, {"threshold": float("nan")}, {"inputs": 2}, {"root": [[1.0]]}, {"center": ["x"] * 3}]
)
def test_thresholds_that_no_training_leaves_are_refused(run: Run, change: dict[str, Any]) -> None:
    """A bundle with other numbers than `calibrated` writes is malformed when it is opened, not when it alarms."""
    task = run.bundle.preprocessing.task
    with pytest.raises(ValueError, match=r"ellipse|root|finite|convert"):
        replace(task, fitted={**task.fitted, **change})


def test_one_input_is_enough(tmp_path: Path) -> None:
    """Nothing lies beside the only component of one tag; its share is all of the score."""
    table = plant().select(["P3", "state"])
    found = fit(table, plan(), folder=tmp_path / "run", quiet=True).predictions
    assert set(found["model"]) == {"ensemble", "gru", "pca", "largest_deviation"}
    assert np.isfinite(found["score"]).all()
    np.testing.assert_allclose(found["share_1"], 1.0)
