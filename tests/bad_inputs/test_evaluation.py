"""Bad inputs that the evaluation answers: a column that leaks (#24), a class that is not there (#29)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backmix.data.ledger import Ledger
from backmix.data.sources import Reading
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import LeakageError
from backmix.scoring.leakage.audit import audit_run, refuse
from backmix.scoring.scores import score_table
from backmix.scoring.verdict import judge
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from frames import diagnosis, labels, lagged_table


def leaky(*copies: str, acknowledged: tuple[str, ...] = ()) -> Prepared:
    """A run on a table whose last inputs are the target in other units."""
    clean = lagged_table(500)
    columns = [1.8 * clean.column("y") + 32 + k for k in range(len(copies))]
    table = Table(
        np.column_stack([clean.values, *columns]), (*clean.tags, *map(Tag, copies)), time=clean.time, source="plant.csv"
    )
    settings: dict[str, Any] = {
        "task": {"kind": "soft_sensor", "target": "y"},
        "windows": {"lookback": 8},
        "evaluation": {"acknowledged": list(acknowledged)},
    }
    return prepare(Reading(table=table, ledger=Ledger(read=500)), Plan.model_validate(settings))


def test_row_24_a_column_that_leaks_the_target_stops_the_run() -> None:
    run = leaky("lab_degF")
    with pytest.raises(LeakageError) as caught:
        refuse(audit_run(run))
    assert str(caught.value) == (
        "plant.csv — input 'lab_degF' is nearly the target 'y' itself (correlation 1.0000 at the same row, "
        f'{len(run.train)} training rows). Leave it out with [[data.tags]] name = "lab_degF", role = "ignored"; '
        "if the plant really knows it at the moment of prediction, say so: [evaluation] acknowledged = "
        '["lab_degF"]'
    )
    assert caught.value.exit_code == 4


def test_row_24_several_leaking_columns_are_named_together() -> None:
    with pytest.raises(LeakageError) as caught:
        refuse(audit_run(leaky("lab_degF", "lab_R")))
    assert str(caught.value) == (
        "plant.csv — 2 inputs give the target 'y' away: lab_R, lab_degF. Leave each out with [[data.tags]] "
        'role = "ignored"; if the plant really knows them at the moment of prediction, say so: [evaluation] '
        'acknowledged = ["lab_R", "lab_degF"]'
    )


def test_row_24_goes_on_once_acknowledged_by_name_and_stays_in_the_report() -> None:
    results = audit_run(leaky("lab_degF", acknowledged=("lab_degF",)))
    refuse(results)
    (copy,) = [result for result in results if result.name == "copy"]
    assert (copy.passed, copy.acknowledged, copy.tag) == (None, True, "lab_degF")
    assert copy.text("zh_TW").endswith("（已指名確認，繼續執行）")
    refuse(audit_run(leaky("lab_degF")), acknowledged=("lab_degF",))


def test_row_24_acknowledging_one_column_does_not_excuse_another() -> None:
    with pytest.raises(LeakageError, match=r"input 'lab_R' is nearly the target"):
        refuse(audit_run(leaky("lab_degF", "lab_R", acknowledged=("lab_degF",))))


def test_row_29_a_class_absent_from_the_test_part_leaves_its_scores_undefined() -> None:
    """Undefined, with the reason; not 0 and not 1. What can be counted still is."""
    task = diagnosis("calm", "leak", "foul", normal="calm")
    frame = labels(
        ["calm"] * 30 + ["leak"] * 30,
        ["calm"] * 40 + ["leak"] * 20,
        probabilities={"calm": [0.5] * 60, "leak": [0.3] * 60, "foul": [0.2] * 60},
    )
    names = ["accuracy", "balanced_accuracy", "macro_f1", "auc", "recall", "precision"]
    rows = {(row.metric, row.label): row for row in score_table(frame, task, names=names)}
    assert rows["accuracy", ""].value == pytest.approx(5 / 6)
    assert rows["recall", "leak"].value == pytest.approx(2 / 3)
    for key in (("balanced_accuracy", ""), ("macro_f1", ""), ("auc", ""), ("recall", "foul")):
        row = rows[key]
        assert (row.value, row.low, row.high) == (None, None, None)
        assert row.reason == "no window is of class foul"
        assert row.text() == "undefined"
    assert rows["precision", "foul"].reason == "class foul is never predicted"


def test_row_29_the_verdict_says_so_when_its_metric_is_undefined() -> None:
    task = diagnosis("calm", "leak")
    frame = labels(["calm"] * 30, [None] * 30)
    verdict = judge(frame, task)
    assert verdict.outcome == "undefined"
    assert str(verdict) == (
        "There is no verdict: accuracy is undefined on the 0 test windows "
        "(no window has both a truth and a prediction)."
    )
