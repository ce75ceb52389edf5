"""A false-alarm rate is promised where normal operation is alike from block to block, and then it is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.models.members.novelty import Subspace
from backmix.results.run import Run
from backmix.serving.bundle import Bundle
from backmix.tasks.shared.detectors import DEVIATION, MEMBERS, NETWORK, PCA, USUAL, Detectors
from backmix.tasks.shared.promise import ENOUGH, Promise, autocorrelation
from backmix.training.plan import Plan
from backmix.workflow import fit

BLOCKS = 5
Floats = np.ndarray


def noise(count: int, phi: float, seed: int) -> Floats:
    """Stationary noise with the autocorrelation phi per row, of variance 1."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(size=count + 500) * np.sqrt(1 - phi**2)
    values = np.zeros(count + 500)
    for row in range(1, len(values)):
        values[row] = phi * values[row - 1] + shocks[row]
    return values[500:]


def promised(scores: Floats, rate: float = 0.02) -> Promise:
    count = len(scores)
    return Promise.of(scores, np.arange(count) * BLOCKS // count, rate, windows=count // BLOCKS)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_stationary_noise_is_hardly_ever_called_drifting(phi: float) -> None:
    """Law: whatever the inertia of the plant, blocks that are alike pass."""
    whys = [promised(noise(3000, phi, seed) ** 2).why for seed in range(40)]
    assert whys.count("drifts") <= 2
    if not phi:
        assert whys.count("kept") >= 38


@pytest.mark.parametrize("change", [lambda v: v + np.linspace(0, 6, len(v)), lambda v: v * np.linspace(1, 4, len(v))])
def test_a_plant_that_drifts_is_promised_nothing(change: Any) -> None:
    whys = [promised(change(noise(3000, 0.3, seed)) ** 2).why for seed in range(20)]
    assert whys.count("drifts") >= 19


def test_few_windows_promise_nothing() -> None:
    """Of neighbours that alarm together many are as good as one."""
    assert promised(noise(300, 0.0, 0) ** 2).why == "few"
    inert = promised(noise(3000, 0.98, 0) ** 2)
    assert inert.why == "few"
    assert inert.together > 5
    assert inert.windows * inert.rate / inert.together < ENOUGH
    assert autocorrelation([np.zeros(50, bool)]) == 1.0
    assert "too few" in inert.decision.reason()
    assert inert.decision.value is None
    assert Promise.from_dict(inert.to_dict()) == inert
    with pytest.raises(ValueError, match="maybe"):
        Promise.from_dict(inert.to_dict() | {"why": "maybe"})


def plant(rows: int, *, drift: float = 0.0, seed: int = 0) -> Table:
    """Three tags of one stationary driver, and no fault anywhere."""
    driver = noise(rows, 0.5, seed)
    rng = np.random.default_rng(seed + 100)
    values = np.column_stack([driver, np.roll(driver, 1), -driver]) + 0.3 * rng.normal(size=(rows, 3))
    values[:, 1] += drift * np.arange(rows) / rows
    time = np.datetime64("2026-03-01T00:00", "ns") + np.arange(rows) * np.timedelta64(60_000_000_000, "ns")
    state = Tag("state", categories=("ok", "fault"), role="target")
    return Table(
        np.column_stack([values, np.zeros(rows)]), (Tag("A"), Tag("B"), Tag("C"), state), time=time, source="plant"
    )


def run_of(table: Table, folder: Path) -> Run:
    plan = Plan.check(
        {
            "task": {"kind": "anomaly_detection", "target": "state", "normal": "ok", "false_alarm_rate": 0.05},
            "windows": {"lookback": 5},
            "model": {"units": [5]},
            "training": {"epochs": 2, "batch_size": 64},
            "evaluation": {"resamples": 20},
        }
    )
    return fit(table, plan, folder=folder, quiet=True)


def test_a_promised_rate_is_kept_on_stationary_noise(tmp_path: Path) -> None:
    """Law: within a factor of two on rows that nobody has seen, of the ensemble, its network, and the baselines."""
    run = run_of(plant(6000), tmp_path / "run")
    decision = next(choice for choice in run.summary["choices"] if choice["setting"] == "task.false_alarm_rate")
    assert decision["reason_key"] == "anomaly.rate_kept"
    frame = run.predictions
    calm = frame[(frame["part"] == "test") & (frame["truth"] == "normal")]
    rates = (calm["prediction"] == "anomaly").groupby(calm["model"]).mean()
    assert set(rates.index) == {"ensemble", "gru", "pca", "largest_deviation"}
    assert ((rates > 0.025) & (rates < 0.1)).all(), rates
    text = run.summary["verdict"]["en"]
    assert "(5 % was asked)" in text
    assert "No rate can be promised" not in text
    page = run.report_path().read_text("utf-8")
    assert "so the rate can be promised within a factor of two" in page


def test_of_a_drifting_plant_the_verdict_says_that_no_rate_can_be_promised(tmp_path: Path) -> None:
    run = run_of(plant(3000, drift=8.0), tmp_path / "run")
    assert "No rate can be promised: normal operation of the training part itself" in run.summary["verdict"]["en"]
    assert "無法保證誤報率" in run.summary["verdict"]["zh_TW"]
    assert run.summary["judgement"]["detection"]["promise"]["why"] == "drifts"


def test_members_are_told_and_kept(tmp_path: Path) -> None:
    run = run_of(plant(1500), tmp_path / "run")
    assert run.summary["network"] == "ensemble"
    assert run.summary["runs"] == {"networks": 0.5, "pca": 0.5}
    assert run.summary["judgement"]["recurrent"] == 0.5
    bundle = run.bundle
    assert bundle.called == "ensemble"
    assert bundle.shares == {"networks": 0.5, "pca": 0.5}
    said, _ = bundle.predict(plant(1500, seed=5))
    again = Bundle.load(bundle.save(tmp_path / "again.backmix"))
    np.testing.assert_array_equal(said["score"], again.predict(plant(1500, seed=5))[0]["score"])
    # what an earlier release left has no members, and answers with the network's own threshold
    task = bundle.preprocessing.task
    earlier = replace(bundle, preprocessing=replace(bundle.preprocessing, task=task.alone()))
    assert earlier.called == "gru"
    alone = run.predictions[run.predictions["model"] == "gru"].set_index("origin")["score"]
    np.testing.assert_allclose(
        earlier.predict(plant(1500))[0].set_index("origin")["score"].loc[alone.index], alone, rtol=1e-5
    )


def _detectors(seed: int = 0) -> tuple[Detectors, Floats, dict[str, Floats], Floats]:
    """Members whose scores are random, the truth, and a member that knows it: which one is for the caller to say."""
    rng = np.random.default_rng(seed)
    truth = np.arange(400) >= 300
    statistics = {name: rng.chisquare(3, (400, 2)) for name in ("along", "beside", DEVIATION)}
    space = Subspace.fit(rng.normal(size=(50, 2)))
    return Detectors(space, {}, USUAL), rng.chisquare(3, (400, 2)), statistics, truth


@pytest.mark.parametrize("best", MEMBERS)
def test_labelled_anomalies_say_who_is_worth_it(best: str) -> None:
    detectors, own, statistics, truth = _detectors()
    knows = {NETWORK: [own], PCA: [statistics["along"], statistics["beside"]], DEVIATION: [statistics[DEVIATION]]}
    for parts in knows[best]:
        parts[truth] += 4.0
    normal = {name: parts[:300] for name, parts in statistics.items()}
    weighed = detectors.calibrated(own[:300], normal, 0.05).weighed(own, statistics, truth)
    assert weighed.weights[best] == max(weighed.weights.values()) > 0.25
    final = weighed.calibrated(own[:300], normal, 0.05)
    alarms = final.combined(own, statistics).sum(axis=1) > final.limit
    assert alarms[~truth].mean() <= 0.05
    assert alarms[truth].mean() > 0.4


def test_without_labels_the_usual_weights_stay() -> None:
    detectors, own, statistics, truth = _detectors()
    limited = detectors.calibrated(own, statistics, 0.05)
    assert limited.weighed(own, statistics, np.zeros(len(truth), bool)).weights == USUAL


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 0.0},
        {"limits": {"along": 1.0}},
        {"limits": {"along": float("nan")}},
        {"weights": {NETWORK: 2.0, PCA: -1.0, DEVIATION: 0.0}},
        {"weights": {NETWORK: 0.2, PCA: 0.2, DEVIATION: 0.0}},
    ],
)
def test_detectors_that_no_training_leaves_are_refused(change: dict[str, Any]) -> None:
    detectors, own, statistics, _ = _detectors()
    data = detectors.calibrated(own, statistics, 0.05).to_dict()
    assert Detectors.from_dict(data).to_dict() == data
    with pytest.raises(ValueError, match=r"limits|weights"):
        Detectors.from_dict(data | change)
