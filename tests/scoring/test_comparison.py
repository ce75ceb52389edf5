"""A network against baselines over folds and seeds, on predictions made up for it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backmix.data.tag import Tag
from backmix.scoring.comparison import compare_with_baselines, scores_of
from backmix.scoring.equal_accuracy import diebold_mariano
from backmix.scoring.scores import Sampling
from frames import diagnosis, labels, numbers, sensor

TASK, SAMPLING = sensor(Tag("y", unit="degC", role="target")), Sampling(draws=200)
WINDOWS = 150


def told(errors: dict[str, list[float]], *, folds: int = 3, seed: int = 0) -> pd.DataFrame:
    """A frame of ``folds`` folds; errors: the size of each model's errors by seed. Noise is the same in all seeds."""
    rng = np.random.default_rng(seed)
    frames = []
    for fold in range(1, folds + 1):
        truth, noise = rng.normal(size=WINDOWS), {name: rng.normal(size=WINDOWS) for name in errors}
        for part in ("validation", "test"):
            for k in range(len(next(iter(errors.values())))):
                said = {name: truth + sizes[k] * noise[name] for name, sizes in errors.items()}
                frame = numbers(truth, said, part=part)
                frames.append(frame.assign(fold=fold, seed=k + 1, origin=frame["origin"] + 1000 * fold))
    return pd.concat(frames, ignore_index=True)


def test_the_network_is_compared_with_every_baseline_on_the_same_windows() -> None:
    frame = told({"network": [1.0], "ridge": [1.4], "mean": [3.0], "trees": [1.0]})
    found = compare_with_baselines(frame, TASK, sampling=SAMPLING)
    assert [pair.baseline for pair in found.comparisons] == ["trees", "ridge", "mean"]  # the best on validation first
    outcomes = {pair.baseline: pair.outcome for pair in found.comparisons}
    assert (outcomes["ridge"], outcomes["mean"]) == ("better", "better")
    assert outcomes["trees"] in ("same", "maybe_better", "maybe_worse")
    assert (found.windows, found.folds, found.chosen) == (3 * WINDOWS, 3, "trees")
    assert found.worth is not True
    ridge = next(pair for pair in found.comparisons if pair.baseline == "ridge")
    test = frame[frame["part"] == "test"]
    squares = {name: ((piece["prediction"] - piece["truth"]) ** 2).to_numpy() for name, piece in test.groupby("model")}
    wanted = np.sqrt(squares["ridge"].mean()) - np.sqrt(squares["network"].mean())
    assert ridge.gain == pytest.approx(wanted)
    assert ridge.ends.low is not None
    assert 0 < ridge.ends.low < wanted < ridge.ends.high  # type: ignore[operator]
    again = diebold_mariano(squares["ridge"] - squares["network"], runs=np.repeat([0, 1, 2], WINDOWS))
    assert ridge.equal == again
    assert "The RNN is better than ridge regression: RMSE differs by" in ridge.text("en")
    assert f"t = {again.statistic:.2f}" in ridge.text("en")
    assert "RNN 優於脊迴歸" in ridge.text("zh_TW")


def test_more_seeds_are_no_more_windows() -> None:
    """The same network four times is one network: counts, interval and test stay."""
    one = compare_with_baselines(told({"network": [1.0], "ridge": [1.2]}), TASK, sampling=SAMPLING)
    four = compare_with_baselines(told({"network": [1.0] * 4, "ridge": [1.2] * 4}), TASK, sampling=SAMPLING)
    assert four.windows == one.windows
    assert four.comparisons[0].ends.low == pytest.approx(one.comparisons[0].ends.low)
    assert four.comparisons[0].equal.statistic == pytest.approx(one.comparisons[0].equal.statistic)
    assert four.scores["network"].deviation == pytest.approx(0.0)


def test_seeds_that_differ_are_averaged_and_their_spread_is_told() -> None:
    found = compare_with_baselines(told({"network": [0.8, 1.2], "ridge": [3.0, 3.0]}), TASK, sampling=SAMPLING)
    network = found.scores["network"]
    assert network.mean == pytest.approx(np.mean(network.values))
    assert network.deviation == pytest.approx(abs(network.values[1] - network.values[0]) / np.sqrt(2))
    assert found.comparisons[0].gain == pytest.approx(found.scores["ridge"].mean - network.mean)
    assert "(seeds 0.7" in found.verdict("en") or "(seeds 0.8" in found.verdict("en")
    assert found.verdict("en").startswith("Over 3 folds the RNN is worth it")
    assert found.worth is True


def test_a_long_horizon_is_given_to_the_test_in_windows() -> None:
    frame = told({"network": [1.0], "ridge": [1.2]})
    frame["origin"] *= 3  # a window every third row
    assert compare_with_baselines(frame, TASK, sampling=SAMPLING, horizon_rows=12).comparisons[0].equal.lags == 3


def test_a_network_alone_and_a_frame_without_one() -> None:
    alone = compare_with_baselines(told({"network": [1.0]}), TASK, sampling=SAMPLING)
    assert (alone.outcome, alone.comparisons, alone.worth) == ("no_baseline", (), None)
    assert "no baseline could be used" in alone.verdict("en")
    with pytest.raises(ValueError, match="no row of the network"):
        compare_with_baselines(told({"ridge": [1.0]}), TASK, sampling=SAMPLING)


def test_too_few_windows_give_no_outcome() -> None:
    frame = told({"network": [1.0], "ridge": [5.0]}, folds=2)
    found = compare_with_baselines(frame[frame["origin"] % 1000 < 2], TASK, sampling=SAMPLING)
    assert found.comparisons[0].outcome == "too_few"
    assert "no interval can be drawn" in found.comparisons[0].text("en")
    assert "cannot be made: 4 windows" in found.comparisons[0].text("en")
    assert found.worth is None


def test_classes_are_judged_by_their_metric_and_tested_by_wrong_answers() -> None:
    rng = np.random.default_rng(0)
    task, frames = diagnosis("normal", "fouling"), []
    for fold in (1, 2):
        truth = np.where(rng.random(200) < 0.5, "normal", "fouling")
        other = np.where(truth == "normal", "fouling", "normal")
        for part in ("validation", "test"):
            for model, share in (("network", 0.1), ("majority", 0.4)):
                said = np.where(rng.random(200) < share, other, truth)
                frames.append(
                    labels(truth.tolist(), said.tolist(), model=model, part=part).assign(
                        fold=fold, seed=1, origin=np.arange(200) + 1000 * fold
                    )
                )
    frame = pd.concat(frames, ignore_index=True)
    found = compare_with_baselines(frame, task, sampling=SAMPLING)
    assert found.share
    assert found.comparisons[0].outcome == "better"
    test = frame[frame["part"] == "test"]
    wrong = {model: (piece["prediction"] != piece["truth"]).mean() for model, piece in test.groupby("model")}
    assert found.comparisons[0].equal.mean == pytest.approx(wrong["majority"] - wrong["network"])
    assert set(scores_of(frame, task)) == {"network", "majority"}
