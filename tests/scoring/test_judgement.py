"""What is known before a network is trained: the baselines, and the score to beat."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.scoring.judgement import Baselines, score_baselines
from backmix.training.prepare import prepare
from small import reading, small_plan, small_table


@pytest.fixture(scope="module")
def baselines() -> Baselines:
    """The mean and ridge regression on the small plant."""
    plan = small_plan(evaluation={"baselines": ["mean", "ridge"]})
    return score_baselines(prepare(reading(small_table()), plan))


@pytest.mark.parametrize("loss", ["mse", "mae"])
def test_the_score_to_beat_is_the_loss_of_the_best_baseline_on_the_validation_part(
    baselines: Baselines, loss: str
) -> None:
    """Counted anew in the numbers that the network learns: the loss that Keras would report for these predictions."""
    windows, found = baselines.prepared.validation, baselines.mark(loss)
    scaler = windows.target_scaler
    assert scaler is not None
    losses = {}
    for name, predictor in baselines.fitted.before.items():
        said = predictor.predict(windows).values
        assert said is not None
        off = scaler.transform(said) - windows.scaled_targets()
        losses[name] = float(np.mean(off**2 if loss == "mse" else np.abs(off)))
    assert len(losses) == 2
    best = min(losses, key=lambda name: losses[name])
    assert found is not None
    assert (found.name, found.value) == (best, pytest.approx(losses[best], rel=1e-6))


def test_a_loss_in_another_unit_has_no_score_to_beat(baselines: Baselines) -> None:
    assert baselines.mark("huber") is None
