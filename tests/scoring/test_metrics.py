"""Metrics against scikit-learn, a brute-force oracle, and hand-made alarms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn import metrics as oracle

from backmix.scoring.metrics import metrics
from backmix.scoring.metrics.alarms import restricted_mean
from backmix.scoring.predictions import Sample, read_sample
from backmix.text import LANGUAGES, declared
from frames import labels, numbers

CLASSES = ("calm", "leak", "foul")


def regression(truth: NDArray[Any], said: NDArray[Any]) -> Sample:
    return read_sample(numbers(truth, {"mine": said}))


def classified(truth: list[str], said: list[str], **settings: Any) -> Sample:
    normal = settings.pop("normal", "calm")
    return read_sample(labels(truth, said, **settings), classes=CLASSES, normal=normal)


def test_every_metric_has_a_name_in_both_languages() -> None:
    for name in metrics.names():
        assert set(declared()[f"metrics.{name}"]) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("mse", oracle.mean_squared_error),
        ("rmse", oracle.root_mean_squared_error),
        ("mae", oracle.mean_absolute_error),
        ("r2", oracle.r2_score),
        ("max_error", oracle.max_error),
        ("nrmse", lambda truth, said: oracle.root_mean_squared_error(truth, said) / (truth.max() - truth.min())),
        ("bias", lambda truth, said: said.mean() - truth.mean()),
    ],
)
@given(data=arrays(np.float64, (20, 2), elements=st.floats(-1e3, 1e3)))
@settings(max_examples=25, deadline=None)
def test_errors_equal_scikit_learn(name: str, reference: Any, data: NDArray[np.float64]) -> None:
    """Course items 48 and 65: in the unit of the target, and equal to an independent implementation."""
    truth = data[:, 0] + np.arange(20)  # not constant
    sample = regression(truth, data[:, 1])
    assert metrics.get(name)(sample) == pytest.approx(reference(truth, data[:, 1]), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_weights_are_repeated_windows(seed: int) -> None:
    """A weight of 2 is a window that was drawn twice, one of 0 was not drawn: what every interval rests on."""
    generator = np.random.default_rng(seed)
    truth, said = generator.normal(size=30), generator.normal(size=30)
    counts = generator.integers(0, 3, size=30)
    again = np.repeat(np.arange(30), counts)
    for name in ("mse", "rmse", "mae", "bias", "r2", "max_error"):
        whole = metrics.get(name).compute(regression(truth, said), counts[None, :].astype(float))[0]
        assert whole == pytest.approx(metrics.get(name)(regression(truth[again], said[again]))), name


def test_a_draw_without_a_window_to_count_is_undefined() -> None:
    """Neither 0 nor 1: such a draw must not pull an interval to either side."""
    sample = classified(["calm", "leak", "foul"], ["calm", "leak", "foul"])
    nothing_foul = np.array([[1.0, 1.0, 0.0]])
    assert np.isnan(metrics.get("recall").compute(replace(sample, focus=2), nothing_foul)).all()
    assert np.isnan(metrics.get("balanced_accuracy").compute(sample, nothing_foul)).all()
    assert np.isnan(metrics.get("mae").compute(regression(np.ones(3), np.ones(3)), np.zeros((1, 3)))).all()


def test_bias_says_which_way() -> None:
    assert metrics.get("bias")(regression(np.array([1.0, 2.0]), np.array([2.0, 3.0]))) == 1.0


@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_classes_equal_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    """Course item 49."""
    truth = [*CLASSES, *(a for a, _ in pairs)]
    said = [*reversed(CLASSES), *(b for _, b in pairs)]
    sample = classified(truth, said)
    assert metrics.get("accuracy")(sample) == pytest.approx(oracle.accuracy_score(truth, said))
    assert metrics.get("balanced_accuracy")(sample) == pytest.approx(oracle.balanced_accuracy_score(truth, said))
    assert metrics.get("macro_f1")(sample) == pytest.approx(oracle.f1_score(truth, said, average="macro"))
    recalls = oracle.recall_score(truth, said, average=None, labels=list(CLASSES))
    precisions = oracle.precision_score(truth, said, average=None, labels=list(CLASSES))
    for code in range(3):
        focused = replace(sample, focus=code)
        assert metrics.get("recall")(focused) == pytest.approx(recalls[code])
        assert metrics.get("precision")(focused) == pytest.approx(precisions[code])


@pytest.mark.parametrize("count", [2, 3])
@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_auc_equals_scikit_learn(count: int, seed: int) -> None:
    """Course item 49, ties included."""
    generator = np.random.default_rng(seed)
    classes = CLASSES[:count]
    codes = np.concatenate([np.arange(count), generator.integers(0, count, size=30)])
    chances = np.round(generator.dirichlet(np.ones(count), size=len(codes)), 1) + 0.01
    chances /= chances.sum(axis=1, keepdims=True)
    names = [classes[code] for code in codes]
    frame = labels(names, names, probabilities={name: chances[:, k] for k, name in enumerate(classes)})
    sample = read_sample(frame, classes=classes)
    scores = chances[:, 1] if count == 2 else chances
    expected = oracle.roc_auc_score(codes, scores, multi_class="ovr")
    assert metrics.get("auc")(sample) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "sample", "reason"),
    [
        ("r2", regression(np.ones(5), np.arange(5.0)), "the truth is 1 in every window"),
        ("nrmse", regression(np.ones(5), np.arange(5.0)), "the truth is 1 in every window"),
        (
            "rmse",
            regression(np.array([1.0, np.nan]), np.array([np.nan, 1.0])),
            "no window has both a truth and a prediction",
        ),
        ("balanced_accuracy", classified(["calm", "leak"], ["calm", "leak"]), "no window is of class foul"),
        ("auc", classified(["calm", "leak", "foul"], ["calm"] * 3), "the model gives no probabilities"),
        (
            "detection_delay",
            classified(["calm", "leak"], ["calm", "leak"], normal=None),
            'no class is named as normal operation: [task] normal = "..."',
        ),
        ("detection_delay", classified(["calm"], ["calm"]), "no window is faulty"),
        ("false_alarms_per_day", classified(["calm"], ["calm"], step=None), "the table has no time axis"),
        ("false_alarm_rate", classified(["leak"], ["calm"]), "no window is normal"),
        ("event_precision", classified(["leak"], ["calm"]), "no alarm is raised"),
    ],
)
def test_an_undefined_score_is_nan_and_says_why(name: str, sample: Sample, reason: str) -> None:
    """Never 0, never 1 (bad input #29)."""
    score = metrics.get(name).score(sample)
    assert np.isnan(score.value)
    assert score.undefined is not None
    assert score.undefined.text("en") == reason


def test_a_missed_fault_counts_until_its_end() -> None:
    """Trap R: averaging over noticed faults alone would reward a model for missing the hard ones."""
    calm, leak = ["calm"] * 5, ["leak"] * 10
    truth = [*calm, *leak, *calm, *leak]
    noticed = [*calm, *["calm"] * 2, *["leak"] * 8, *calm, *["calm"] * 4, *["leak"] * 6]
    missed = [*calm, *["calm"] * 2, *["leak"] * 8, *calm, *["calm"] * 10]
    delay = metrics.get("detection_delay")
    assert delay(classified(truth, noticed)) == pytest.approx(60 * (2 + 4) / 2)
    assert delay(classified(truth, missed)) == pytest.approx(60 * (2 + 10) / 2)
    assert delay(classified(truth, missed)) > delay(classified(truth, noticed))
    assert metrics.get("event_recall")(classified(truth, missed)) == 0.5


def test_the_delay_is_counted_in_rows_without_a_clock() -> None:
    sample = classified(["calm", "leak", "leak"], ["calm", "calm", "leak"], step=None)
    assert metrics.get("detection_delay")(sample) == 1.0


def test_faults_do_not_run_on_into_the_next_batch() -> None:
    sample = classified(["leak"] * 4, ["calm", "leak", "calm", "calm"], batch=["A", "A", "B", "B"])
    assert metrics.get("event_recall")(sample) == 0.5


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_the_mean_delay_is_the_area_under_the_kaplan_meier_curve(events: list[tuple[float, bool]]) -> None:
    """Against the textbook product formula, evaluated time by time."""
    delay, noticed = (np.array(column) for column in zip(*events, strict=True))
    area, alive, before = 0.0, 1.0, 0.0
    for time in np.unique(delay):
        area += alive * (time - before)
        at_risk = np.sum(delay >= time)
        alive *= 1 - np.sum((delay == time) & noticed) / at_risk
        before = time
    assert restricted_mean(delay, noticed, np.ones((1, len(delay))))[0] == pytest.approx(area)


def test_one_alarm_in_a_long_fault_is_one_hit() -> None:
    """Trap S: point adjustment would turn this model, right once in a hundred windows, into a perfect one."""
    truth = ["calm"] * 100 + ["leak"] * 100
    said = ["calm"] * 150 + ["leak"] + ["calm"] * 49
    sample = classified(truth, said)
    assert metrics.get("detection_rate")(sample) == 0.01
    assert metrics.get("event_recall")(sample) == 1.0
    assert metrics.get("event_precision")(sample) == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_law_alarms_and_faults_are_counted_batch_by_batch(seed: int) -> None:
    """Against walking along the windows: an alarm, like a fault, begins anew with every batch."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(generator.choice(CLASSES, size=40), generator.integers(1, 5, size=40)).tolist()
    said = np.resize(np.repeat(generator.choice(CLASSES, size=60), generator.integers(1, 4, size=60)), len(truth))
    batch = np.resize(np.repeat([f"B{n}" for n in range(30)], generator.integers(2, 9, size=30)), len(truth))
    sample = classified(truth, said.tolist(), batch=batch.tolist())
    calm_begins, hits, alarms = 0, [], []
    for at in range(len(truth)):
        fresh = at == 0 or batch[at] != batch[at - 1]
        if truth[at] != "calm" and (fresh or truth[at] != truth[at - 1]):
            hits.append(False)
        if truth[at] != "calm":
            hits[-1] |= bool(said[at] != "calm")
        if said[at] != "calm":
            if fresh or said[at - 1] == "calm":
                calm_begins += truth[at] == "calm"
                alarms.append(False)
            alarms[-1] |= truth[at] != "calm"
    calm_days = truth.count("calm") * 60 / 86400
    assert metrics.get("event_recall")(sample) == pytest.approx(np.mean(hits))
    assert metrics.get("event_precision")(sample) == pytest.approx(np.mean(alarms))
    assert metrics.get("false_alarms_per_day")(sample) == pytest.approx(calm_begins / calm_days)


def test_noise_scores_like_noise_point_by_point() -> None:
    """Trap S: random alarms look splendid when point-adjusted; here they have the rate they are raised at."""
    generator = np.random.default_rng(0)
    truth = (["calm"] * 400 + ["leak"] * 100) * 8
    said = ["leak" if alarm else "calm" for alarm in generator.random(len(truth)) < 0.05]
    sample = classified(truth, said)
    assert metrics.get("detection_rate")(sample) == pytest.approx(0.05, abs=0.02)
    assert metrics.get("false_alarm_rate")(sample) == pytest.approx(0.05, abs=0.02)
    assert metrics.get("event_precision")(sample) < 0.4


def test_false_alarms_are_counted_by_their_begin_per_day_of_normal_operation() -> None:
    day = ["calm"] * 1440
    said = list(day)
    said[100:110] = ["leak"] * 10  # one alarm of ten minutes
    said[500] = "foul"
    truth = [*day, *["leak"] * 60, *day]
    late = ["leak"] * 60 + ["leak"] * 3 + ["calm"] * 1437  # goes on for three minutes after the fault
    rate = metrics.get("false_alarms_per_day")
    assert rate(classified(truth, [*said, *late])) == pytest.approx(1.0)
