"""Conformal prediction: against MAPIE, and the laws that make it worth having."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.classification import SplitConformalClassifier
from mapie.regression import SplitConformalRegressor
from scipy.stats import binom
from sklearn.linear_model import LinearRegression, LogisticRegression

from backmix.models.intervals.adaptive import MOST_PENDING, Adaptive, PendingPrediction, PredictionSeries, follow
from backmix.models.intervals.bands import Band, Bands, ClassSets, calibrated_from
from backmix.models.intervals.conformal import Scores, needed_units, spread_factor

LEVELS = (0.5, 0.8, 0.9, 0.95)


def bands_of(scores: Scores, level: float = 0.9) -> Bands:
    return Bands(level, "split", "none", "windows", (Band("y", 0, (), (scores,)),))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("count", [60, 99, 250])
def test_split_intervals_are_those_of_mapie(level: float, count: int) -> None:
    rng = np.random.default_rng(count)
    x, y = rng.normal(size=(3 * count, 2)), rng.normal(size=3 * count)
    model = LinearRegression().fit(x[:count], y[:count])
    known, new = slice(count, 2 * count), slice(2 * count, None)
    theirs = SplitConformalRegressor(model, confidence_level=level).conformalize(x[known], y[known])
    said, ends = theirs.predict_interval(x[new])
    radius = bands_of(Scores.of(np.abs(y[known] - model.predict(x[known])))).radius("y", said, level=level)
    np.testing.assert_allclose(np.column_stack([said - radius, said + radius]), ends[:, :, 0], rtol=0, atol=1e-12)


def test_class_sets_are_those_of_mapie_calibrated_class_by_class() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, size=900)
    x = rng.normal(size=(900, 2)) + np.array([[0, 0], [1, 1], [2, -1]])[y]
    model = LogisticRegression().fit(x[:300], y[:300])
    p, truth = model.predict_proba(x[300:600]), y[300:600]
    scores = tuple(Scores.of(1 - p[truth == code, code]) for code in range(3))
    mine = ClassSets(0.9, "windows", ("A", "B", "C"), scores).members(model.predict_proba(x[600:]))
    for code in range(3):
        some = 300 + np.flatnonzero(truth == code)
        with pytest.warns(UserWarning, match="less labels"):  # one class at a time is what is meant here
            theirs = SplitConformalClassifier(model, confidence_level=0.9).conformalize(x[some], y[some])
        np.testing.assert_array_equal(mine[:, code], theirs.predict_set(x[600:])[1][:, code, 0])


@pytest.mark.parametrize("level", LEVELS)
def test_law_exchangeable_rows_are_covered(level: float) -> None:
    rng = np.random.default_rng(0)
    times = 4000
    inside = sum(rng.exponential() <= Scores.of(rng.exponential(size=30)).radius(level) for _ in range(times))
    assert binom.cdf(inside, times, level) > 1e-4
    assert inside / times < level + 1 / 31 + 0.03


def test_law_a_window_of_a_new_batch_is_covered_where_windows_alone_would_fail() -> None:
    rng = np.random.default_rng(1)
    inside, naive, times = 0, 0, 2000
    for _ in range(times):
        sizes = rng.integers(1, 40, size=12)
        spread = rng.exponential(size=13)
        batch = np.repeat(np.arange(12), sizes)
        scores = np.abs(rng.normal(size=len(batch))) * spread[batch]
        new = abs(rng.normal()) * spread[12]
        inside += new <= Scores.of(scores, batch).radius(0.8)
        naive += new <= Scores.of(scores).radius(0.8)
    assert binom.cdf(inside, times, 0.8) > 1e-4
    assert naive < inside


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.data())
def test_law_radii_are_monotone_in_the_level_and_thinning_never_narrows(scores: list[float], data: Any) -> None:
    units = data.draw(st.lists(st.integers(0, 8), min_size=len(scores), max_size=len(scores)))
    known = Scores.of(scores, units)
    low, high = sorted(data.draw(st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99))))
    assert known.radius(low) <= known.radius(high)
    thin = known.thinned(5, low)
    assert thin.radius(low) == known.radius(low)
    assert thin.radius(high) >= known.radius(high)
    assert len(thin.values) <= 5
    again = Scores.from_dict(thin.to_dict())
    assert (again.values.tolist(), again.shares.tolist()) == (thin.values.tolist(), thin.shares.tolist())


@given(st.floats(0.5, 0.995))
def test_too_few_units_are_told_and_never_invented(level: float) -> None:
    needed = needed_units(level)
    assert math.isfinite(Scores.of(np.arange(needed)).radius(level))
    assert Scores.of(np.arange(needed - 1)).radius(level) == math.inf
    few = ClassSets(level, "windows", ("A", "B"), (Scores.of(np.zeros(needed)), Scores.of(np.zeros(needed - 1))))
    assert few.few() == ("B",)
    assert few.members([0.5, 0.0]).tolist() == [False, True]


def drifting(rows: int = 3000) -> tuple[Scores, PredictionSeries]:
    """Errors that grow fourfold behind the calibration, results 20 rows late."""
    rng = np.random.default_rng(5)
    known = np.abs(rng.normal(size=400))
    scores = Scores.of(known)
    truth = rng.normal(size=rows) * np.linspace(1, 4, rows)
    at = np.arange(rows)
    return scores, PredictionSeries(np.zeros(rows), truth, np.full(rows, scores.radius(0.9)), at, at + 20)


def _share(ends: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])))


def test_law_adaptive_intervals_hold_in_the_long_run_where_split_ones_fail() -> None:
    scores, course = drifting()
    adaptive, state = bands_of(scores).begin("y")
    ends, _ = follow(adaptive, course, state)
    assert _share(np.column_stack([-course.radius, course.radius]), course.truth) < 0.65
    assert abs(_share(ends, course.truth) - 0.9) < 0.02
    assert abs(_share(ends[2000:], course.truth[2000:]) - 0.9) < 0.04
    assert np.isfinite(ends).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 149), st.integers(0, 40))
def test_law_the_future_changes_nothing_and_delays_are_respected(changed: int, late: int) -> None:
    scores, course = drifting(150)
    course = PredictionSeries(course.prediction, course.truth, course.radius, course.made, course.made + late)
    adaptive, state = bands_of(scores).begin("y")
    before = follow(adaptive, course, state)[0]
    other = course.truth.copy()  # from inside at every speed to outside at every speed, or the other way round
    other[changed] = 1000.0 if abs(other[changed]) <= before[changed, 1] else 0.0
    after = follow(
        adaptive, PredictionSeries(course.prediction, other, course.radius, course.made, course.known), state
    )[0]
    first = changed + max(late, 1)
    np.testing.assert_array_equal(before[:first], after[:first])
    if first < 150:
        assert (before[first] != after[first]).any()


def test_steps_one_by_one_are_the_course_and_leave_the_state_given_alone() -> None:
    scores, course = drifting(120)
    adaptive, state = bands_of(scores).begin("y")
    first, kept = state, repr(state)
    whole, last = follow(adaptive, course, state)
    for row in range(120):
        results = {row - 20: float(course.truth[row - 20])} if row >= 20 else {}
        ends, state = adaptive.step(PendingPrediction(row, 0.0, float(course.radius[row])), results, state)
        assert ends == tuple(whole[row])
    assert state == last
    assert repr(first) == kept


def test_a_result_is_judged_by_the_interval_that_was_given_for_it() -> None:
    """It may come late, when the interval has become wider than it was then."""
    adaptive = Adaptive(0.9)
    state = adaptive.start()
    for row in (0, 1):
        _, state = adaptive.step(PendingPrediction(row, 0.0, 1.0), {}, state)
    _, wide = adaptive.step(PendingPrediction(2, 0.0, 1.0), {0: 10.0}, state)
    assert min(wide.factors) > 1.005
    _, wider = adaptive.step(
        PendingPrediction(3, 0.0, 1.0), {1: 1.005}, wide
    )  # outside what was said then, inside what is said now
    assert all(after > before for before, after in zip(wide.factors, wider.factors, strict=True))


def test_the_speed_that_would_have_fitted_counts_more() -> None:
    """A jump of the errors favours the fast ones, errors that stay as they are the slow ones."""
    rng = np.random.default_rng(0)
    scores = Scores.of(np.abs(rng.normal(size=400)))
    at = np.arange(400)
    for rows, growth, favoured in ((60, np.where(at < 20, 1, 6), 3), (400, np.ones(400), 0)):
        adaptive, state = bands_of(scores).begin("y")
        truth, made = (rng.normal(size=400) * growth)[:rows], at[:rows]
        series = PredictionSeries(np.zeros(rows), truth, np.full(rows, scores.radius(0.9)), made, made + 1)
        weights = follow(adaptive, series, state)[1].weights
        assert sum(weights) == pytest.approx(1.0)
        assert int(np.argmax(weights)) == favoured


def test_an_interval_never_turns_inside_out() -> None:
    """However well predictions fit, the low end stays below the high one."""
    at, nothing = np.arange(600), np.zeros(600)
    ends, state = follow(
        Adaptive(0.5), PredictionSeries(nothing, nothing, np.ones(600), at, at + 1), Adaptive(0.5).start()
    )
    assert (ends[:, 0] <= ends[:, 1]).all()
    assert min(state.factors) == 0.0


def test_a_class_at_its_limit_is_in_the_set_and_one_without_a_probability_is_not() -> None:
    sets = ClassSets(0.5, "windows", ("A", "B"), (Scores.of([0.25, 0.5, 0.75]), Scores.of([0.25, 0.5, 0.75])))
    assert sets.scores[0].radius(0.5) == 0.5
    assert sets.members([[0.5, 0.49], [np.nan, 1.0]]).tolist() == [[True, False], [False, True]]
    few = ClassSets(0.9, "windows", ("A",), (Scores.of([0.25]),))
    assert few.members([[np.nan], [0.0]]).tolist() == [[False], [True]]


def test_results_that_never_come_do_not_fill_the_memory() -> None:
    adaptive = Adaptive(0.9)
    state = adaptive.start()
    for row in range(MOST_PENDING + 5):
        _, state = adaptive.step(PendingPrediction(row, 0.0, 1.0), {}, state)
    assert len(state.pending) == MOST_PENDING
    assert 0 not in state.pending
    assert adaptive.step(PendingPrediction(0, 0.0, math.inf), {0: 3.0}, state)[0] == (-math.inf, math.inf)
    assert adaptive.step(PendingPrediction(9999, 0.0, 1.0), {5000: 3.0, 1000: math.nan}, state)[1].factor == 1.0


def test_stages_have_widths_of_their_own() -> None:
    early, late = Scores.of(np.arange(1.0, 20.0) * 10), Scores.of(np.arange(1.0, 20.0))
    for stage, places in (("elapsed", [1.0, 5.0, 9.0]), ("told", [1.0, 5.0, 9.0])):
        bands = Bands(0.9, "split", stage, "windows", (Band("y", 0, (5.0,), (early, late)),))  # type: ignore[arg-type]
        assert bands.radius("y", places, elapsed=places).tolist() == [180.0, 18.0, 18.0]
        again = calibrated_from(bands.to_dict())
        assert again.to_dict() == bands.to_dict()
    unknown = Bands(0.9, "split", "elapsed", "windows", (Band("y", 0, (5.0,), (early, late)),))
    assert unknown.radius("y", [3.0]).tolist() == [180.0]


def _one(target: Any = "y", horizon: int = 0, **scores: Any) -> dict[str, Any]:
    """The list of one band, with these scores."""
    told = {"values": [1.0], "shares": [0.5], "units": 1} | scores
    return {"bands": [{"target": target, "horizon": horizon, "edges": [], "scores": [told]}]}


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "all"},
        {"level": 1.0},
        {"level": "0.9"},
        {"stage": "late"},
        {"unit": "rows"},
        {"bands": []},
        _one(horizon=-1),
        _one(target=3),
        _one(values=[-1.0]),
        _one(values=[2, 1], shares=[0.3, 0.5], units=2),
        _one(shares=[1.5]),
        _one(values=[float("nan")]),
        _one(values=[], shares=[], units=4),
        _one(units=True),
        {"bands": [{"target": "y", "horizon": 0, "edges": [1.0], "scores": []}]},
        {"bands": _one()["bands"] * 2},
    ],
)
def test_bands_from_outside_are_looked_at(broken: dict[str, Any]) -> None:
    sound = bands_of(Scores.of(np.arange(1.0, 20.0))).to_dict()
    assert isinstance(calibrated_from(sound | _one()), Bands)  # nothing but the damage is refused
    with pytest.raises((ValueError, KeyError, TypeError)):
        calibrated_from(sound | broken)


def test_law_wider_for_blocks_that_differ_and_no_wider_for_those_that_do_not() -> None:
    """Sizes of errors drawn anew for every block: a radius for windows holds too little in new blocks, the wider one
    about what was asked."""
    rng = np.random.default_rng(0)
    plain, wide = [], []
    for _ in range(200):
        size = np.exp(0.7 * rng.normal(size=6))
        errors = np.abs(rng.normal(size=(6, 200))) * size[:, None]
        known, code = errors[:5].reshape(-1), np.repeat(np.arange(5), 200)
        radius = Scores.of(known).radius(0.9)
        plain.append((errors[5] <= radius).mean())
        wide.append((errors[5] <= radius * spread_factor(known, code, 0.9)).mean())
    assert np.mean(plain) < 0.87
    assert 0.88 <= np.mean(wide) <= 0.95
    same = np.abs(rng.normal(size=1000))
    assert spread_factor(same, np.arange(1000) // 200, 0.9) < 1.06


def test_bands_keep_by_what_they_were_widened_and_older_ones_are_as_they_were() -> None:
    band = Band("y", 0, (), (Scores.of(range(1, 20)).widened(2.0),), 1.25, 1.6)
    assert band.radii(0.9).tolist() == [36.0]
    data = Bands(0.9, "split", "none", "windows", (band,)).to_dict()
    assert Bands.from_dict(data).to_dict() == data
    older = {**data, "bands": [{name: value for name, value in data["bands"][0].items() if name != "widened"}]}
    assert Bands.from_dict(older).bands[0].blocks == 1.0
    data["bands"][0]["widened"]["distance"] = 0.5
    with pytest.raises(ValueError, match="factors"):
        Bands.from_dict(data)
