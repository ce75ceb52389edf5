"""Intervals: what is drawn, how long stretches are, and whether they cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from backmix.scoring.bootstrap import Interval, Resampler, block_length, exchanged, percentile_interval
from frames import persistent


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 40), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_every_window_is_drawn_as_often_as_any_other(sizes: list[int], length: int, seed: int) -> None:
    """The law of a circular bootstrap inside batches: no edge effect, whatever the batch lengths."""
    runs = np.repeat(np.arange(len(sizes)), sizes)
    resampler = Resampler(runs=runs, length=length, draws=400, seed=seed)
    weights = np.concatenate(list(resampler.weights()))
    assert weights.shape == (400, len(runs))
    assert (weights >= 0).all()
    # each stratum draws a rounded number of stretches, so means agree within a stratum
    mean = weights.mean(axis=0)
    for code in range(len(sizes)):
        own = mean[runs == code]
        assert own.max() - own.min() <= 8 * np.sqrt(own.mean() * max(1, length) / 400) + 1e-9


def test_law_windows_of_short_batches_weigh_the_same_whatever_their_length() -> None:
    """A batch that is drawn as a whole is drawn as often as any other, so that long ones do not count for more."""
    sizes = [1, 2, 3, 4, 5] * 4
    resampler = Resampler(runs=np.repeat(np.arange(20), sizes), length=5, draws=4000)
    mean = np.concatenate(list(resampler.weights())).mean(axis=0)
    assert mean == pytest.approx(np.ones(60), abs=0.1)


def test_stretches_never_cross_a_batch() -> None:
    """Law: a drawn stretch lies in one batch; it wraps at the batch's end, not into the next."""
    runs = np.repeat([0, 1], [10, 10])
    for weights in Resampler(runs=runs, length=4, draws=300, seed=1).weights():
        # every long batch keeps its share: 10 windows in 2.5 -> 2 stretches of 4 that count 2.5 / 2
        assert weights[:, :10].sum(axis=1) == pytest.approx(np.full(300, 10.0))
        assert weights[:, 10:].sum(axis=1) == pytest.approx(np.full(300, 10.0))


def test_the_draws_are_those_of_the_seed() -> None:
    runs = np.zeros(50, dtype=int)

    def drawn(seed: int) -> bytes:
        return b"".join(w.tobytes() for w in Resampler(runs=runs, length=5, draws=50, seed=seed).weights())

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_batches_of_one_window_are_drawn_as_a_whole() -> None:
    runs = np.arange(40)
    (weights,) = Resampler(runs=runs, length=10, draws=100).weights()
    assert (weights.sum(axis=1) == 40).all()
    assert weights.std() > 0.5


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_stretches_are_as_long_as_theory_wants(share: float) -> None:
    """For an autoregressive series the best length is known: (1.5 (2 a / (1 - a²))²)^(1/3) n^(1/3)."""
    n = 4000
    ideal = (1.5 * (2 * share / (1 - share**2)) ** 2) ** (1 / 3) * n ** (1 / 3)
    found = np.median([block_length(persistent(n, share, seed), np.zeros(n, dtype=int)) for seed in range(7)])
    assert ideal / 2 - 2 <= found <= ideal * 2 + 2


def test_batches_that_differ_in_level_alone_need_no_stretches() -> None:
    """Long batches are drawn from for themselves, so a loss is measured from the mean of its own batch."""
    noise = np.random.default_rng(0).normal(size=500)
    level = np.repeat([0.0, 30.0, -20.0, 5.0, 90.0], 100)
    runs = np.repeat(np.arange(5), 100)
    assert block_length(noise + level, runs) == block_length(noise, runs) <= 4
    assert block_length(noise + level, np.zeros(500, dtype=int)) > 10


def test_windows_of_two_batches_are_no_neighbours() -> None:
    series = persistent(400, 0.9, 2)
    assert block_length(series, np.zeros(400, dtype=int)) > 10
    assert block_length(series, np.arange(400)) == 1


def test_every_chunk_of_draws_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws that do not fit into memory at once are as independent as all others, and the same on every call."""
    monkeypatch.setattr("backmix.scoring.bootstrap.CHUNK_NUMBERS", 50 * 30)
    resampler = Resampler(runs=np.zeros(50, dtype=int), length=5, draws=100)
    chunks = [weights.tobytes() for weights in resampler.weights()]
    assert len(chunks) == len(set(chunks)) == 4
    assert [weights.tobytes() for weights in resampler.weights()] == chunks


def test_constant_losses_need_no_stretches() -> None:
    assert block_length(np.ones(100), np.zeros(100, dtype=int)) == 1


def test_intervals_cover_what_they_promise() -> None:
    """Of the 90 % intervals of a mean of persistent values most hold the true mean; single draws fail badly."""
    covered, naive = 0, 0
    for seed in range(60):
        series = persistent(400, 0.8, seed)
        runs = np.zeros(400, dtype=int)
        for length in (block_length(series, runs), 1):
            resampler = Resampler(runs=runs, length=length, draws=200, seed=seed)
            values = np.concatenate([w @ series / w.sum(axis=1) for w in resampler.weights()])
            ends = percentile_interval(values, level=0.9, blocks=resampler.blocks)
            held = not ends.excludes(0.0)
            covered, naive = (covered + held, naive) if length > 1 else (covered, naive + held)
    assert covered / 60 >= 0.8
    assert naive / 60 <= 0.6


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("blocks", [5, 8, 30, 400])
def test_law_the_interval_of_a_mean_is_that_of_student(level: float, blocks: int) -> None:
    """Independent blocks of normal values: a bootstrap of their mean has the spread s / sqrt(n) with n in place of
    n - 1 and a normal tail; what is made of it is the textbook interval with the degrees of freedom of the blocks."""
    series = np.random.default_rng(blocks).normal(3.0, 2.0, size=blocks)
    drawn = norm.ppf((np.arange(40_000) + 0.5) / 40_000, loc=series.mean(), scale=series.std() / np.sqrt(blocks))
    ends = percentile_interval(drawn, level=level, blocks=blocks)
    low, high = t.interval(level, df=blocks - 1, loc=series.mean(), scale=series.std(ddof=1) / np.sqrt(blocks))
    assert (ends.low, ends.high) == pytest.approx((low, high), abs=2e-3 * (high - low))


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(1, 40), st.integers(0, 50), st.floats(-9.0, 9.0)
)
@settings(max_examples=60, deadline=None)
def test_law_intervals_contain_their_estimate(sizes: list[int], length: int, seed: int, level: float) -> None:
    """Whatever the batches and their levels: an interval that excludes its own estimate cannot be read."""
    rng = np.random.default_rng(seed)
    runs = np.repeat(np.arange(len(sizes)), sizes)
    error = rng.exponential(size=len(runs)) * np.repeat(rng.normal(level, 5.0, len(sizes)), sizes)
    resampler = Resampler(runs=runs, length=length, draws=100, seed=seed)
    drawn = np.concatenate([w @ error / w.sum(axis=1) for w in resampler.weights()])
    ends = percentile_interval(drawn, level=0.95, blocks=resampler.blocks, estimate=float(error.mean()))
    assert not ends.excludes(float(error.mean()))


def test_law_long_batches_of_any_length_keep_their_share() -> None:
    """Stretches come in whole numbers, batches do not: the mean of the draws is the mean of the windows."""
    sizes = [14, 26, 9]
    runs, level = np.repeat(np.arange(3), sizes), np.repeat([-5.0, 0.0, 9.0], sizes)
    weights = np.concatenate(list(Resampler(runs=runs, length=4, draws=300).weights()))
    assert (weights @ level / weights.sum(axis=1)) == pytest.approx(np.full(300, level.mean()))


def test_long_batches_are_exchanged_where_there_are_enough() -> None:
    """Eight batches that differ in level: the interval of their mean is that of eight values, not of 800."""
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        runs = np.repeat(np.arange(8), 100)
        error = np.repeat(rng.normal(size=8), 100) + 0.1 * rng.normal(size=800)
        length = exchanged(block_length(error, runs), runs)
        assert length == 100
        resampler = Resampler(runs=runs, length=length, draws=300, seed=seed)
        drawn = np.concatenate([w @ error / w.sum(axis=1) for w in resampler.weights()])
        held += not percentile_interval(drawn, level=0.9, blocks=resampler.blocks).excludes(0.0)
    assert 48 <= held <= 58
    assert exchanged(3, np.repeat(np.arange(4), 100)) == 3


def test_too_few_stretches_give_no_interval() -> None:
    assert not percentile_interval(np.random.default_rng(0).normal(size=200), level=0.95, blocks=4)
    assert percentile_interval(np.random.default_rng(0).normal(size=200), level=0.95, blocks=8)


def test_a_score_that_most_draws_leave_undefined_has_no_interval() -> None:
    values = np.full(200, np.nan)
    values[:40] = 1.0
    assert percentile_interval(values, level=0.95, blocks=50) == Interval()
