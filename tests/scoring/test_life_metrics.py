"""Scores of predictions for which late and early are not the same. Course items 74 and 79."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backmix.scoring.metrics import metrics
from backmix.scoring.predictions import Sample


def _sample(error: list[float], *, runs: list[int] | None = None, **facts: list[float]) -> Sample:
    count = len(error)
    return Sample(
        truth=np.full(count, 50.0),
        prediction=50.0 + np.array(error),
        runs=np.arange(count) if runs is None else np.array(runs),
        places=np.arange(count, dtype=float),
        made=np.arange(count),
        facts={name: np.array(values) for name, values in facts.items()},
    )


def test_nasa_score_is_the_published_sum() -> None:
    """Course item 79. Saxena et al. 2008: a0 = 13 for early and 10 for late errors, summed over the units."""
    error = [-26.0, -1.0, 0.0, 5.0, 20.0]
    expected = sum(math.exp(-d / 13) - 1 if d < 0 else math.exp(d / 10) - 1 for d in error)
    assert metrics.get("nasa_score")(_sample(error)) == pytest.approx(expected, rel=1e-12)


def test_nasa_score_punishes_late_more_than_early() -> None:
    score = metrics.get("nasa_score")
    assert all(score(_sample([d])) > score(_sample([-d])) for d in (0.5, 3.0, 40.0))


def test_nasa_score_of_many_predictions_per_unit_is_undefined() -> None:
    """The published score has one prediction per unit; a sum over all rows would be another number."""
    score = metrics.get("nasa_score").score(_sample([1.0, 2.0], runs=[0, 0]))
    assert math.isnan(score.value)
    assert score.undefined is not None
    assert score.undefined.text("en") == 'it is defined for one prediction per unit: [task] judged = "last"'
    assert "judged" in score.undefined.text("zh_TW")


def test_an_absurd_prediction_does_not_break_the_sum() -> None:
    score = metrics.get("nasa_score")
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = score.compute(_sample([3.0, 1e6]), weights)
    assert found[0] == pytest.approx(math.expm1(0.3))
    assert found[1] == 1e300


def test_late_and_early_are_told_apart() -> None:
    sample = _sample([-4.0, -2.0, 0.0, 7.0], late_cost=[5.0] * 4, early_cost=[1.0] * 4)
    expected = {"late_share": 0.25, "late_error": 7.0, "early_error": 3.0, "late_early_cost": (7 * 5 + 6) / 4}
    assert {name: metrics.get(name)(sample) for name in expected} == expected


def test_what_cannot_be_known_is_undefined_with_its_reason() -> None:
    early = _sample([-1.0])
    for name, reason in (
        ("late_error", "no prediction is too long"),
        ("late_early_cost", "no costs are given with the predictions"),
        ("last_quarter_mae", "it is not known how far the batches had come"),
    ):
        found = metrics.get(name).score(early)
        assert math.isnan(found.value)
        assert found.undefined is not None
        assert found.undefined.text("en") == reason
    late = metrics.get("early_error").score(_sample([1.0]))
    assert late.undefined is not None
    assert late.undefined.text("en") == "no prediction is too short"


def test_the_last_quarter_counts_what_lies_in_it() -> None:
    sample = _sample([9.0, 9.0, 1.0, -3.0], share=[0.25, 0.5, 0.75, 1.0])
    assert metrics.get("last_quarter_mae")(sample) == 2.0


def test_facts_follow_their_windows() -> None:
    sample = _sample([1.0, 2.0, 3.0], share=[0.1, 0.2, 0.3]).take(np.array([True, False, True]))
    assert sample.facts["share"].tolist() == [0.1, 0.3]
