"""Every registered metric on samples on which something is divided by nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.scoring.bootstrap import Resampler, percentile_interval
from backmix.scoring.metrics import flat, metrics
from backmix.scoring.metrics.classes import UNKNOWN
from backmix.scoring.predictions import Sample
from backmix.scoring.scores import draw_scores, focus

SHAPES = ("constant", "nearly constant", "one odd one", "noise", "two levels")
SIZES = (0.0, 1e-300, 1e-12, 1.0, 1e9, 1e155, 1e300)


def _numbers(shape: str, count: int, size: float, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    plain = {
        "constant": np.full(count, 0.3),
        "nearly constant": 0.3 + draw.integers(0, 2, count) * 5e-17,
        "one odd one": np.where(np.arange(count) == count // 2, 1.0, 0.0),
        "noise": draw.normal(size=count),
        "two levels": np.repeat([1.0, 2.0], count)[:count],
    }
    return plain[shape] * size


def _sample(truth: np.ndarray, said: np.ndarray, **others: object) -> Sample:
    count = len(truth)
    facts = {"late_cost": np.ones(count), "early_cost": np.ones(count), "share": np.linspace(0, 1, count)}
    plain = Sample(
        truth=truth,
        prediction=said,
        runs=np.zeros(count, np.int64),
        places=60.0 * np.arange(count),
        made=np.arange(count),
        clock=True,
        facts=facts,
    )
    return replace(plain, **others)  # type: ignore[arg-type]


def _samples(kind: str, shapes: tuple[str, str], count: int, size: float, seed: int) -> Sample:
    if kind == "regression":
        return _sample(*(_numbers(shape, count, size, seed + k) for k, shape in enumerate(shapes)))
    draw = np.random.default_rng(seed)
    classes = ("calm", "leak", UNKNOWN)
    truth, said = (
        np.full(count, 1.0) if "constant" in shape else draw.integers(0, 3, count).astype(float) for shape in shapes
    )
    chances = np.full((count, 3), 1 / 3) if size == 0 else draw.dirichlet(np.ones(3), count)
    return _sample(truth, said, classes=classes, normal=0, probabilities=chances)


@pytest.mark.parametrize("name", metrics.names())
@settings(max_examples=30, deadline=None)
@given(
    shapes=st.tuples(st.sampled_from(SHAPES), st.sampled_from(SHAPES)),
    count=st.sampled_from([1, 2, 7, 60]),
    size=st.sampled_from(SIZES),
    seed=st.integers(0, 99),
)
def test_a_score_is_within_its_bounds_or_there_is_none(
    name: str, shapes: tuple[str, str], count: int, size: float, seed: int
) -> None:
    metric = metrics.get(name)
    whole = _samples(metric.kind, shapes, count, size, seed)
    low, high = (
        (-np.inf if metric.bounds[0] is None else metric.bounds[0]),
        (np.inf if metric.bounds[1] is None else metric.bounds[1]),
    )
    for sample in focus(whole, metric):
        score = metric.score(sample)
        assert (score.undefined is None) == np.isfinite(score.value)
        assert score.undefined is not None or low <= score.value <= high
        (drawn,) = draw_scores([(metric, sample)], Resampler(sample.runs, length=2, draws=40))
        defined = drawn[~np.isnan(drawn)]
        assert np.isfinite(defined).all()
        assert ((low <= defined) & (defined <= high)).all()
        ends = percentile_interval(drawn, level=0.95, blocks=count / 2) if len(drawn) else None
        if ends:
            assert low <= ends.low <= ends.high <= high


def test_r2_of_a_rare_event_never_exceeds_one_and_says_how_many_draws_it_left_out() -> None:
    """A target that is 0 but for three windows: most draws hold none of them, and 1 - SSE / SST was 8e16 there."""
    truth = np.zeros(90) + 1e-13 * np.random.default_rng(1).normal(size=90)
    truth[[40, 41, 42]] = 5.0
    sample = _sample(truth, np.where(truth > 1, 4.0, 0.01))
    (drawn,) = draw_scores([(metrics.get("r2"), sample)], Resampler(sample.runs, length=4, draws=300))
    assert np.isnan(drawn).sum() > 20
    assert np.nanmax(drawn) <= 1
    assert np.nanmin(drawn) > -5
    assert metrics.get("r2")(sample) == pytest.approx(1 - np.sum((sample.prediction - truth) ** 2) / (90 * truth.var()))


@pytest.mark.parametrize("truth", [np.full(9, 0.3), np.full(9, 0.3) + 5e-17, 1e9 + 1e-3 * np.arange(9)])
def test_a_truth_that_hardly_varies_has_no_r2(truth: np.ndarray) -> None:
    assert flat(truth)
    for name in ("r2", "nrmse"):
        score = metrics.get(name).score(_sample(truth, truth + 1.0))
        assert np.isnan(score.value)
        assert score.undefined is not None
        assert "in every window" in score.undefined.text("en")


def test_what_varies_a_little_around_a_large_value_keeps_its_r2() -> None:
    truth = 1.7e9 + 60.0 * np.arange(50)
    assert metrics.get("r2")(_sample(truth, truth + 1.0)) > 0.99
