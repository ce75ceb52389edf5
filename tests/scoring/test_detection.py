"""Alarms are judged at the threshold that was set, against models that alarm as often in normal operation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backmix.data.tag import Tag
from backmix.scoring.verdict import judge
from backmix.scoring.verdict.detection import at_same_rate
from backmix.tasks import Task, tasks
from frames import labels

EVENTS, CALM, LONG = 20, 100, 20


def task() -> Task:
    kind = tasks.get("anomaly_detection")
    settings = kind.Settings(target="state", normal="normal", false_alarm_rate=0.02)
    return kind(settings, (Tag("state", role="target", categories=("normal", "anomaly")),), {"inputs": 3})


def detector(name: str, *, seen: int, after: int, limit: float, seed: int, other: float = 0.0) -> pd.DataFrame:
    """A model that scores the first ``seen`` of the events high, from their row ``after`` on; the threshold is limit."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0, 1, EVENTS * (CALM + LONG))
    truth = np.tile([0] * CALM + [1] * LONG, EVENTS)
    for event in range(EVENTS):
        first = event * (CALM + LONG) + CALM
        score[first : first + LONG] *= 0.5  # what is missed looks calmer than calm
        if event < seen:
            score[first + after : first + LONG] = 2.0
    score[truth == 0] += other
    chance = score / (score + limit)
    named = np.array(["normal", "anomaly"])
    return labels(
        named[truth].tolist(),
        named[(score > limit).astype(int)].tolist(),
        model=name,
        probabilities={"normal": (1 - chance).tolist(), "anomaly": chance.tolist()},
    ).assign(target="state")


def said(network: dict[str, Any], pca: dict[str, Any]) -> Any:
    return judge(pd.concat([detector("network", **network, seed=1), detector("pca", **pca, seed=2)]), task())


def test_events_found_decide_not_the_area() -> None:
    """The network ranks better over all thresholds, and finds less at its own."""
    verdict = said({"seen": 7, "after": 0, "limit": 0.98}, {"seen": 15, "after": 0, "limit": 0.5})
    assert verdict.metric == "event_recall"
    assert (verdict.outcome, verdict.worth) == ("worse", False)
    detection = verdict.detection
    assert detection is not None
    assert detection.baseline is not None
    assert (detection.network.noticed, detection.baseline.noticed) == (7, 15)
    # PCA's own threshold would alarm on half of all normal windows
    assert detection.baseline.rate == pytest.approx(detection.network.rate, abs=1e-3)
    text = verdict.text("en")
    assert text.startswith("The RNN is not worth it here: at the threshold that was set it finds 7 of 20 events")
    assert "with as many false alarms finds 15 of 20 events" in text
    assert "clearly better" in text
    assert "(2 % was asked)" in text
    assert verdict.text("zh_TW").startswith("RNN 在此不值得採用：在所設的門檻下找到 20 起事件中的 7 起")


def test_where_all_events_are_found_the_delay_decides() -> None:
    verdict = said({"seen": 20, "after": 1, "limit": 0.98}, {"seen": 20, "after": 9, "limit": 0.98})
    assert verdict.metric == "detection_delay"
    assert (verdict.outcome, verdict.worth) == ("better", True)
    assert "20 of 20 events, after 1 min on average" in verdict.text("en")


def test_without_an_event_there_is_no_verdict_but_the_false_alarms_are_said() -> None:
    frames = pd.concat([detector(name, seen=0, after=0, limit=0.9, seed=3) for name in ("network", "pca")])
    verdict = judge(frames[frames["truth"] == "normal"], task())
    assert verdict.outcome == "undefined"
    assert "of its windows alarm (2 % was asked)" in verdict.text("en")


def test_other_models_get_the_false_alarms_of_the_one_that_is_judged() -> None:
    frames = pd.concat(
        [detector("network", seen=5, after=0, limit=0.95, seed=1), detector("pca", seen=5, after=0, limit=0.2, seed=2)]
    )
    equal = at_same_rate(frames, task(), "network", "test")
    calm = equal[equal["truth"] == "normal"]
    rates = (calm["prediction"] == "anomaly").groupby(calm["model"]).mean()
    assert rates["pca"] == pytest.approx(rates["network"], abs=1 / (EVENTS * CALM))
    mine = equal[equal["model"] == "network"]
    pd.testing.assert_frame_equal(mine, frames[frames["model"] == "network"])
