"""The verdict says what the numbers say, above all when they say no; and the score rows below it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from backmix.data.tag import Tag
from backmix.scoring.bootstrap import Interval
from backmix.scoring.metrics import metrics
from backmix.scoring.scores import Sampling, number, score_table
from backmix.scoring.verdict import judge, outcome_of
from backmix.scoring.verdict.draws import MetricDraws
from backmix.tasks import tasks
from frames import diagnosis, labels, numbers, persistent, sensor

Y = Tag("y", unit="degC", role="target")
N = 600
TRUTH = 10 * persistent(N, 0.95, 1)


def frame(**errors: float | tuple[float, float]) -> pd.DataFrame:
    """Models with these error sizes; a pair gives the size on the validation and on the test part."""
    parts = []
    for place, part in enumerate(("validation", "test")):
        said = {
            name: TRUTH + (size if isinstance(size, float) else size[place]) * persistent(N, 0.3, 7 + k)
            for k, (name, size) in enumerate(errors.items())
        }
        parts.append(numbers(TRUTH, said, part=part))
    return pd.concat(parts, ignore_index=True)


def test_clearly_better() -> None:
    verdict = judge(frame(network=0.5, ridge=1.0, mean=10.0), sensor(Y))
    assert (verdict.outcome, verdict.worth) == ("better", True)
    assert verdict.gain == pytest.approx(0.5, abs=0.1)
    assert verdict.gain_ends.low is not None
    assert verdict.gain_ends.low > 0
    said = str(verdict)
    assert said.startswith("The RNN is worth it: RMSE 0.")
    assert "degC of ridge regression, the best baseline on the validation part" in said
    assert said.endswith("600 test windows in 1 batch(es).")


def test_worse_than_the_mean_is_said_first() -> None:
    """R² below 0 for every model, the mean of the training part among them."""
    verdict = judge(frame(network=20.0, ridge=25.0, mean=15.0), sensor(Y))
    assert verdict.hopeless
    assert str(verdict).startswith("No model beats the mean of the test part here (R² below 0 for all of them)")
    assert verdict.text("zh_TW").startswith("此處沒有任何模型勝過測試部分的平均值")
    assert verdict.to_dict()["no_model_beats_the_mean"] is True
    one_good = judge(frame(network=20.0, ridge=1.0, mean=15.0), sensor(Y))
    assert not one_good.hopeless
    assert "No model beats" not in str(one_good)


def test_clearly_worse_says_that_the_network_is_not_worth_it() -> None:
    verdict = judge(frame(network=1.4, ridge=1.0, mean=10.0), sensor(Y))
    assert (verdict.outcome, verdict.worth) == ("worse", False)
    assert str(verdict).startswith("The RNN is not worth it here: ridge regression has RMSE ")
    assert verdict.text("zh_TW").startswith("RNN 在此不值得採用：脊迴歸的 RMSE 為 ")


def test_better_within_the_noise() -> None:
    verdict = judge(frame(network=0.97, ridge=1.0), sensor(Y), sampling=Sampling(block=60))
    assert verdict.outcome == "maybe_better"
    assert verdict.worth is None
    assert "within the noise" in str(verdict)


def test_the_same_is_not_worth_it() -> None:
    both = frame(ridge=1.0)
    twin = both.assign(model="network")
    verdict = judge(pd.concat([both, twin]), sensor(Y))
    assert (verdict.outcome, verdict.worth, verdict.gain) == ("same", False, 0.0)
    assert "does just as well" in str(verdict)


@pytest.mark.parametrize(
    ("metric", "baseline", "same"),
    [
        ("rmse", 2.0, 0.02),
        ("rmse", 0.5, 0.005),
        ("accuracy", 0.9, 0.001),
        ("accuracy", 0.2, 0.008),
        ("bias", -2.0, 0.02),
    ],
)
def test_scores_within_a_hundredth_of_the_baselines_error_are_the_same(
    metric: str, baseline: float, same: float
) -> None:
    """Of a share of right answers it is a hundredth of the wrong ones; a little more is ahead or behind."""
    facts, noise = MetricDraws(metrics.get(metric), [], Sampling()), Interval(-1.0, 1.0)
    for sign, other in ((1, "maybe_better"), (-1, "maybe_worse")):
        assert outcome_of(sign * 0.95 * same, noise, facts, baseline) == "same"
        assert outcome_of(sign * 1.05 * same, noise, facts, baseline) == other
    assert outcome_of(0.5 * same, Interval(0.1 * same, same), facts, baseline) == "better"  # beyond the noise


def test_worse_within_the_noise() -> None:
    verdict = judge(frame(network=1.1, ridge=1.0), sensor(Y), sampling=Sampling(block=60))
    assert (verdict.outcome, verdict.worth) == ("maybe_worse", False)


def test_a_baseline_that_beats_the_network_on_the_test_part_is_never_hidden() -> None:
    """The baseline is chosen on the validation part; another one that does better on test is named."""
    verdict = judge(frame(network=0.8, ridge=(1.0, 1.0), pls=(1.2, 0.5)), sensor(Y))
    assert verdict.baseline is not None
    assert verdict.baseline.model == "ridge"
    assert verdict.best_on_test is not None
    assert verdict.best_on_test.model == "pls"
    assert verdict.worth is False
    assert str(verdict).startswith("The RNN is not worth it here: with RMSE 0.")
    assert "but PLS has 0.5" in str(verdict)


def test_a_baseline_close_to_the_network_on_the_test_part_unsettles_the_verdict() -> None:
    verdict = judge(frame(network=0.80, ridge=(1.0, 1.0), pls=(1.2, 0.81)), sensor(Y), sampling=Sampling(block=40))
    assert verdict.outcome == "maybe_better"
    assert "within the noise of PLS, the best baseline on the test part" in str(verdict)


def test_a_better_choice_on_the_test_part_is_added_to_a_plain_no() -> None:
    verdict = judge(frame(network=2.0, ridge=(1.0, 1.0), pls=(1.2, 0.5)), sensor(Y))
    assert verdict.outcome == "worse"
    assert "; the best baseline on the test part itself is PLS with 0.5" in str(verdict)


def test_no_baseline_gives_no_verdict() -> None:
    silent = frame(network=0.5, last_value=1.0)
    silent.loc[silent["model"] == "last_value", "prediction"] = np.nan
    for made in (frame(network=0.5), silent):
        verdict = judge(made, sensor(Y))
        assert (verdict.outcome, verdict.worth) == ("no_baseline", None)
        assert str(verdict).startswith("There is no verdict: the RNN has RMSE 0.")


@pytest.mark.parametrize(("batches", "outcome"), [(3, "too_few"), (4, "too_few"), (12, "better")])
def test_of_three_batches_nobody_is_clearly_better_however_many_rows_they_have(batches: int, outcome: str) -> None:
    """All rows of a batch ask about its one end; of a soft sensor each stretch of rows is something new."""
    batch = [f"B{number * batches // N:02d}" for number in range(N)]
    made = frame(network=0.5, ridge=1.0).drop(columns="batch")
    made["batch"] = batch * (len(made) // N)
    kind = tasks.get("batch_quality")
    quality = kind(settings=kind.Settings(target="y"), targets=(Y,))
    verdict = judge(made, quality)
    assert verdict.outcome == outcome
    assert (verdict.batches, verdict.blocks) == (batches, batches)
    assert (verdict.network.ends.low is None) == (outcome == "too_few")  # type: ignore[union-attr]
    assert judge(made, sensor(Y)).outcome == "better"


def test_too_few_windows_give_no_verdict() -> None:
    made = frame(network=0.5, ridge=1.0)
    verdict = judge(made[(made["part"] != "test") | (made["origin"] < 12)], sensor(Y), sampling=Sampling(block=4))
    assert (verdict.outcome, verdict.worth) == ("too_few", None)
    assert str(verdict).startswith(
        "There are too few test windows for a verdict: 12 windows make 3 independent stretches and 5 are needed"
    )


def test_an_undefined_metric_gives_no_verdict() -> None:
    made = frame(network=0.5, ridge=1.0)
    made.loc[made["model"] == "network", "prediction"] = np.nan
    verdict = judge(made, sensor(Y))
    assert verdict.outcome == "undefined"
    assert "no window has both a truth and a prediction" in str(verdict)


def test_a_network_that_is_not_in_the_frame_is_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="no row of model 'lstm' in part 'test'"):
        judge(frame(network=0.5), sensor(Y), network="lstm")


def test_several_targets_are_judged_together() -> None:
    """Each in units of its own spread, so that a target in Pa does not drown one in degC."""
    one, other = frame(network=0.5, ridge=1.0), frame(network=0.5, ridge=1.0).assign(target="p")
    other[["truth", "prediction"]] *= 1e5
    verdict = judge(pd.concat([one, other]), sensor(Y, Tag("p", unit="Pa", role="target")))
    assert (verdict.outcome, verdict.targets, verdict.unit) == ("better", 2, "")
    assert "mean RMSE of 2 targets" in str(verdict)


def test_no_target_drowns_another_whatever_its_unit() -> None:
    """Half the error on the one, a little more on the other: better on the whole, also where the other is in Pa."""
    gains = []
    for unit in (1.0, 1e5):
        one, other = frame(network=0.5, ridge=1.0), frame(network=1.1, ridge=1.0).assign(target="p")
        other[["truth", "prediction"]] *= unit
        gains.append(judge(pd.concat([one, other]), sensor(Y, Tag("p", unit="Pa", role="target"))).gain)
    assert gains[0] == pytest.approx(gains[1])
    assert gains[0] * np.std(TRUTH) == pytest.approx((0.5 - 0.1) / 2, abs=0.1)


@pytest.mark.parametrize(
    ("metric", "best", "middle", "worst"),
    [("rmse", 0.0, 1.0, 2.0), ("accuracy", 1.0, 0.5, 0.0), ("bias", 0.0, -1.0, 2.0)],
)
def test_scores_are_turned_so_that_higher_is_better(metric: str, best: float, middle: float, worst: float) -> None:
    facts = MetricDraws(metrics.get(metric), [], Sampling())
    assert facts.good(best) > facts.good(middle) > facts.good(worst)


def test_a_diagnosis_is_judged_by_accuracy() -> None:
    generator = np.random.default_rng(0)
    truth = np.array(["calm", "leak"])[(np.arange(400) // 50) % 2]

    def confused(share: float) -> list[str]:
        flip = generator.random(400) < share
        return [{"calm": "leak", "leak": "calm"}[t] if f else t for t, f in zip(truth, flip, strict=True)]

    made = pd.concat(
        [
            labels(list(truth), confused(share), model=model, part=part)
            for part in ("validation", "test")
            for model, share in (("network", 0.3), ("lda", 0.05))
        ],
        ignore_index=True,
    )
    verdict = judge(made, diagnosis("calm", "leak"))
    assert verdict.outcome == "worse"
    assert str(verdict).startswith("The RNN is not worth it here: LDA has accuracy 9")
    assert " %" in str(verdict)


def test_the_verdict_is_ready_for_json() -> None:
    plain = json.loads(json.dumps(judge(frame(network=0.5, ridge=1.0), sensor(Y)).to_dict(), allow_nan=False))
    assert plain["baseline"]["model"] == "ridge"
    assert set(plain["text"]) == {"en", "zh_TW"}


def test_no_score_stands_alone() -> None:
    """Every row has model, metric, unit, part, interval and what it rests on."""
    rows = score_table(frame(network=0.5, ridge=1.0), sensor(Y))
    assert {(row.model, row.part) for row in rows} == {
        (m, p) for m in ("network", "ridge") for p in ("validation", "test")
    }
    for row in rows:
        assert (row.windows, row.batches) == (N, 1)
        assert row.unit == ("" if row.metric == "r2" else "degC")
        if row.metric != "max_error":  # the bootstrap does not work for a maximum
            assert row.low is not None
            assert row.high is not None
            assert row.low <= row.value <= row.high
        json.dumps(row.to_dict(), allow_nan=False)


def test_scores_do_not_depend_on_the_order_of_rows_or_models() -> None:
    made = frame(network=0.5, ridge=1.0)
    shuffled = made.sample(frac=1.0, random_state=0)

    def key(table: pd.DataFrame) -> list[tuple[object, ...]]:
        return sorted(
            (row.model, row.part, row.metric, row.value, row.low, row.high)
            for row in score_table(table, sensor(Y), names=["rmse", "r2"])
        )

    assert key(made) == key(shuffled)


def test_windows_that_one_model_skips_are_not_counted_against_it() -> None:
    made = frame(network=0.5, last_value=1.0)
    skipped = (made["model"] == "last_value") & (made["origin"] < 100)
    rows = {row.model: row for row in score_table(made[~skipped], sensor(Y), names=["rmse"]) if row.part == "test"}
    assert (rows["network"].windows, rows["last_value"].windows) == (N, N - 100)
    assert judge(made[~skipped], sensor(Y)).windows == N - 100  # compared on the same windows


@pytest.mark.parametrize(
    ("value", "share", "expected"),
    [
        (0.12912, False, "0.129"),
        (12.345, False, "12.3"),
        (123456.0, False, "123000"),
        (0.0, False, "0"),
        (1.5e-7, False, "1.5e-07"),
        (-0.5, False, "-0.500"),
        (0.9821, True, "98.21 %"),
        (2.5e9, False, "2.5e+09"),
    ],
)
def test_numbers_keep_three_figures(value: float, share: bool, expected: str) -> None:
    assert number(value, share=share) == expected
