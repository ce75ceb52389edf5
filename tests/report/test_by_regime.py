"""Scores by operating regime, as they stand in run.json and on the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backmix.data.scaling.regimes import UNKNOWN, Regimes
from backmix.report.by_regime import RegimeScore, scores_by_regime
from backmix.report.page import page
from backmix.text import LANGUAGES, speak
from reports import classes

REGIMES = Regimes(
    kind="levels",
    tags=("load",),
    labels=("load = 1", "load = 2"),
    centers=np.array([[1.0], [2.0]]),
    spread=np.ones(1),
    reach=np.full(2, 0.1),
    usual=np.array([1.5]),
    rows=(500, 7),
    least_rows=100,
    names=("flow",),
    center=np.zeros(1),
    scale=np.ones(1),
    own_center=np.zeros((2, 1)),
    own_scale=np.ones((2, 1)),
)


def frame(**changes: object) -> pd.DataFrame:
    columns = {
        "model": ["net"] * 4 + ["ridge"] * 4,
        "part": "test",
        "target": "wear",
        "origin": [0, 1, 2, 3] * 2,
        "truth": [0.0] * 8,
        "prediction": [3.0, 4.0, 1.0, 7.0, 1.0, 1.0, 1.0, 1.0],
    }
    return pd.DataFrame({**columns, **changes})


CODES = np.array([0, 0, 1, UNKNOWN])


def test_each_regime_has_its_own_error() -> None:
    scores = scores_by_regime(frame(), REGIMES, CODES, ["net", "ridge"])
    assert [(score.model, score.regime, score.count) for score in scores] == [
        ("net", "load = 1", 2),
        ("ridge", "load = 1", 2),
        ("net", "load = 2", 1),
        ("ridge", "load = 2", 1),
        ("net", None, 1),
        ("ridge", None, 1),
    ]
    assert scores[0] == RegimeScore("net", "wear", "load = 1", 500, False, "rmse", pytest.approx(np.sqrt(12.5)), 2)
    assert [score.pooled for score in scores[::2]] == [False, True, True]
    assert scores[4].value == 7.0


def test_classes_are_scored_by_the_share_that_is_right() -> None:
    words = {"truth": ["a"] * 8, "prediction": ["a", "b", "a", "a"] * 2, "p:a": 0.5}
    scores = scores_by_regime(frame(**words), REGIMES, CODES, ["net"])
    assert [(score.metric, score.value) for score in scores] == [
        ("accuracy", 0.5),
        ("accuracy", 1.0),
        ("accuracy", 1.0),
    ]


def test_without_regimes_there_is_nothing() -> None:
    assert scores_by_regime(frame(), None, None, ["net"]) == ()
    assert scores_by_regime(frame(part="validation"), REGIMES, CODES, ["net"]) == ()


def test_the_page_has_a_table_of_them() -> None:
    scores = scores_by_regime(frame(), REGIMES, CODES, ["net", "ridge"])
    for lang in LANGUAGES:
        with speak(lang):
            for shown in (True, False):
                text = str(page(replace(classes(), by_regime=scores if shown else ())))
                assert ("load = 1" in text) is shown
                assert ("scaled as all rows are" in text or "與全部列一起縮放" in text) is shown
