"""The Diebold-Mariano test against independent computations of the papers' formulas (course items 62, 63)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from backmix.scoring.equal_accuracy import FEWEST, diebold_mariano


def oracle(d: np.ndarray, h: int) -> tuple[float, float, float]:
    """Harvey, Leybourne & Newbold (1997), equations 5 to 9, sum by sum; also the variance of the mean."""
    n, mean = len(d), sum(d) / len(d)
    gamma = [sum((d[t] - mean) * (d[t - k] - mean) for t in range(k, n)) / n for k in range(h)]
    variance = (gamma[0] + 2 * sum(gamma[1:])) / n
    if variance <= 0:
        return float("nan"), float("nan"), variance
    statistic = mean / variance**0.5 * ((n + 1 - 2 * h + h * (h - 1) / n) / n) ** 0.5
    return statistic, 2 * (1 - stats.t(n - 1).cdf(abs(statistic))), variance


@given(st.integers(1, 6), st.integers(20, 120), st.integers(0, 2**32 - 1), st.floats(0, 0.95))
def test_it_is_the_formula_of_the_paper(h: int, n: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.2, 1.0, size=n)
    d = np.convolve(noise, share ** np.arange(h))[:n]
    statistic, p, variance = oracle(d, h)
    found = diebold_mariano(d, horizon=h)
    assert (found.windows, found.lags) == (n, h - 1)
    assert found.mean == pytest.approx(np.mean(d))
    assert (found.kernel == "bartlett") == (variance <= 0)
    if variance > 0:
        assert found.statistic == pytest.approx(statistic, rel=1e-7, abs=1e-9)
        assert found.p_value == pytest.approx(p, rel=1e-6, abs=1e-9)


def test_with_one_step_it_is_the_t_test_with_the_other_variance() -> None:
    """At h = 1 the correction turns the biased variance into the unbiased one: Student's t exactly."""
    d = np.random.default_rng(1).normal(0.3, 2.0, size=40)
    wanted = stats.ttest_1samp(d, 0.0)
    found = diebold_mariano(d)
    assert found.statistic == pytest.approx(wanted.statistic)
    assert found.p_value == pytest.approx(wanted.pvalue)


def test_it_keeps_its_level_on_forecasts_of_several_steps() -> None:
    """Differences of h-step errors are a moving average of order h - 1; ignoring that rejects far too often."""
    rng = np.random.default_rng(2)
    h, n, draws = 4, 120, 600
    rejected = {1: 0, h: 0}
    for _ in range(draws):
        d = np.convolve(rng.normal(size=n + h - 1), np.ones(h), mode="valid")
        for horizon in rejected:
            p = diebold_mariano(d, horizon=horizon).p_value
            rejected[horizon] += p is not None and p < 0.05
    assert 0.02 < rejected[h] / draws < 0.11
    assert rejected[1] / draws > 0.25


def test_a_variance_that_is_none_is_tapered_and_says_so() -> None:
    d = np.tile([1.0, -1.0], 20) + np.linspace(0.0, 0.1, 40)
    found = diebold_mariano(d, horizon=2)
    assert found.kernel == "bartlett"
    assert found.statistic is not None
    assert np.isfinite(found.statistic)


def test_windows_of_two_stretches_are_no_neighbours() -> None:
    """The variance of two stretches is that of their own pairs; an order of stretches changes nothing."""
    rng = np.random.default_rng(3)
    one, two = (np.convolve(rng.normal(0.3, 1, size=60), [1, 1, 1])[:60] for _ in range(2))
    runs = np.repeat([0, 1], 60)
    found = diebold_mariano(np.concatenate([one, two]), horizon=3, runs=runs)
    turned = diebold_mariano(np.concatenate([two, one]), horizon=3, runs=runs)
    assert found.statistic == pytest.approx(turned.statistic)
    both, mean = np.concatenate([one, two]), np.mean([one, two])
    sums = sum(
        ((a[k:] - mean) * (a[: len(a) - k] - mean)).sum() * (1 if k == 0 else 2) for a in (one, two) for k in range(3)
    )
    few = (120 + 1 - 6 + 6 / 120) / 120
    assert found.statistic == pytest.approx(both.mean() / (sums / 120 / 120) ** 0.5 * few**0.5)


@pytest.mark.parametrize(
    ("d", "horizon"),
    [(np.zeros(50), 1), (np.full(50, 0.3), 2), (np.arange(FEWEST - 1.0), 1), (np.arange(15.0), 8), (np.zeros(0), 1)],
)
def test_where_there_is_nothing_to_test_there_is_no_statistic(d: np.ndarray, horizon: int) -> None:
    found = diebold_mariano(d, horizon=horizon)
    assert (found.statistic, found.p_value) == (None, None)


def test_errors_that_outlast_the_horizon_are_named() -> None:
    rng = np.random.default_rng(4)
    slow = np.convolve(rng.normal(size=400), 0.9 ** np.arange(30))[:400]
    assert diebold_mariano(slow).persists
    assert not diebold_mariano(rng.normal(size=400)).persists


@given(st.integers(1, 3), st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_turned_differences_turn_the_statistic_and_units_do_not_matter(h: int, seed: int, unit: float) -> None:
    d = np.random.default_rng(seed).normal(0.1, 1.0, size=50)
    found, turned, scaled = (diebold_mariano(x, horizon=h) for x in (d, -d, unit * d))
    assert found.statistic == pytest.approx(-turned.statistic)
    assert found.statistic == pytest.approx(scaled.statistic, rel=1e-6)
    assert found.p_value == pytest.approx(turned.p_value)
