"""The default model: weights from blocks nobody had seen, networks and parts that are there for a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.metrics import log_loss

from backmix.data.ledger import Ledger
from backmix.data.reading.reading import Reading
from backmix.data.table import Table
from backmix.decision import Decision
from backmix.errors import PlanError
from backmix.models.ensemble import Ensemble, combine
from backmix.parallel import Workers
from backmix.simple import answering
from backmix.simple.blocks import block_windows
from backmix.training.beside import begin, candidates_of
from backmix.training.blocks import pool
from backmix.training.design import design
from backmix.training.ensemble import (
    LEAST_SHARE,
    TrainedEnsemble,
    ensemble_blocks,
    fit_model,
    independent_stretches,
    log_linear_weights,
    shrunk_weights,
    sparse_stacking_weights,
    stacking_weights,
)
from backmix.training.fitting.callbacks import Callback
from backmix.training.networks import Making
from backmix.training.plan import Plan
from backmix.training.predict import predict_network
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.training.state_activation import CLEARLY
from small import small_batches, small_plan, small_table, small_task

AUTO = {"recipe": "auto", "units": [4]}


def steady_table(rows: int = 420, *, classes: bool = False) -> Table:
    """The small plant without a drift: the test part lies where the others lie."""
    table = small_table(rows, classes=classes)
    rng = np.random.default_rng(5)
    u = rng.normal(size=(rows, 3))
    lagged = np.vstack([u[:3], u[:-3]])
    y = 40 + 3 * lagged[:, 0] - 2 * u[:, 1] + 0.1 * rng.normal(size=rows)
    if classes:
        y = (np.arange(rows) // 14 % 3).astype(float)
        u[:, 0] += 3 * y
    return replace(table, values=np.column_stack([u, y]))


def ready(table: Table, plan: Plan) -> Prepared:
    return prepare(Reading(table=table, ledger=Ledger(read=len(table))), plan)


def auto(*, classes: bool = False, **changes: Any) -> Plan:
    return small_plan(classes=classes, **{"model": {**AUTO, "members": 3}, **changes})


def mixed_of(prepared: Prepared, folder: Path | None = None) -> TrainedEnsemble:
    return fit_model(prepared, design(prepared), ensemble_blocks(prepared), Making(folder=folder))


@pytest.fixture(scope="module")
def sensor() -> tuple[Prepared, TrainedEnsemble]:
    prepared = ready(steady_table(), auto())
    return prepared, mixed_of(prepared)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), many=st.integers(1, 5))
def test_convex_weights_are_the_minimum_that_another_solver_finds(seed: int, many: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(60, 2))
    said = [truth + rng.normal(size=truth.shape) * rng.uniform(0.1, 2) + 0.5 * rng.normal() for _ in range(many)]
    found = stacking_weights(said, truth)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1)

    def cost(weights: Any) -> float:
        return float(np.mean((sum(w * one for w, one in zip(weights, said, strict=True)) - truth) ** 2))

    other = minimize(
        cost,
        np.full(many, 1 / many),
        bounds=[(0, 1)] * many,
        method="SLSQP",
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12},
    )
    assert cost(found) <= other.fun * (1 + 1e-5) + 1e-12


def chances_of(kind: str, codes: Any, sure: float, rng: Any) -> tuple[Any, Any]:
    """The true classes, and what a model that is so sure says of them."""
    truth = np.eye(3)[codes] if kind == "classes" else (codes > 0)[:, None].astype(float)
    raw = truth * sure + rng.normal(size=truth.shape)
    return truth, np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True) if kind == "classes" else 1 / (
        1 + np.exp(0.5 - raw)
    )


def assert_least(found: Any, said: list[Any], truth: Any, kind: Any, block: Any) -> None:
    """No weights nearby give a smaller geometric mean of the blocks' losses, which are those of scikit-learn."""
    rng = np.random.default_rng(0)

    def cost(weights: Any) -> float:
        chances = combine(said, np.repeat(np.asarray(weights)[:, None], truth.shape[1], axis=1), kind)
        blocks = [block == code for code in np.unique(block)]
        return float(
            np.mean(
                [
                    np.log(log_loss(truth[at], chances[at], labels=[0, 1] if kind == "binary" else None) + 1 / at.sum())
                    for at in blocks
                ]
            )
        )

    best = cost(found)
    for _ in range(25):
        assert cost(np.maximum(0, found + 0.1 * rng.normal(size=len(found)))) >= best - 1e-4


@pytest.mark.parametrize("kind", ["classes", "binary"])
def test_powers_have_the_least_geometric_mean_of_the_losses_of_blocks(kind: Any) -> None:
    rng = np.random.default_rng(3)
    codes, block = rng.integers(0, 3, size=300), np.repeat(np.arange(3), 100)
    made = [chances_of(kind, codes, sure, rng) for sure in (1.0, 2.0, 0.0)]
    truth, said = made[0][0], [one for _, one in made]
    found = log_linear_weights(said, truth, kind, block)
    assert found[1] > found[0] > found[2] >= 0
    assert_least(found, said, truth, kind, block)


@pytest.mark.parametrize("kind", ["classes", "binary"])
def test_a_model_that_is_mostly_wrong_has_no_weight(kind: Any) -> None:
    """Its opposite is not asked: weights are none below zero, and the others are the best that there are without it."""
    rng = np.random.default_rng(5)
    codes, block = rng.integers(0, 3, size=300), np.repeat(np.arange(3), 100)
    made = [chances_of(kind, codes, sure, rng) for sure in (1.0, -2.0, 2.0)]
    truth, said = made[0][0], [one for _, one in made]
    found = log_linear_weights(said, truth, kind, block)
    assert found[1] == 0
    assert_least(found, said, truth, kind, block)


@pytest.mark.parametrize("kind", ["classes", "binary"])
def test_a_block_that_is_told_without_a_fault_does_not_rule(kind: Any) -> None:
    """It counts as if one more window had been told with a chance of 1/e: its loss cannot fall without end."""
    rng = np.random.default_rng(6)
    codes, block = rng.integers(0, 3, size=200), np.repeat(np.arange(2), 100)
    made = [chances_of(kind, codes, sure, rng) for sure in (0.5, 2.0)]
    truth, said = made[0][0], [one for _, one in made]
    said[0][:100] = np.where(truth[:100] == 1, 1 - 1e-9, 1e-9 / max(1, truth.shape[1] - 1))
    found = log_linear_weights(said, truth, kind, block)
    assert_least(found, said, truth, kind, block)
    assert found[0] < found[1]


@pytest.mark.parametrize("kind", ["classes", "binary"])
def test_a_block_that_looks_like_no_other_does_not_outweigh_them(kind: Any) -> None:
    """In it everybody is wrong, and he least who knows nothing; in the others the second model knows most."""
    rng = np.random.default_rng(4)
    codes, block = rng.integers(0, 3, size=400), np.repeat(np.arange(4), 100)
    made = [chances_of(kind, codes, sure, rng) for sure in (0.3, 4.0)]
    truth, said = made[0][0], [one for _, one in made]
    odd = block == 0
    said[1][odd] = np.roll(said[1][odd], 1, axis=1) if kind == "classes" else 1 - said[1][odd]
    found = log_linear_weights(said, truth, kind, block)
    pooled = log_linear_weights(said, truth, kind, np.zeros_like(block))  # all windows alike: the greatest likelihood
    assert found[1] > 2 * pooled[1] > 0


def test_what_is_not_worth_a_tenth_is_left_out_and_what_is_useless_has_no_weight() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 1))
    good, poor = truth + 0.1 * rng.normal(size=truth.shape), truth + 3 * rng.normal(size=truth.shape)
    assert sparse_stacking_weights([poor, good], truth).tolist() == [0, 1]
    twins = [truth + 0.1 * rng.normal(size=truth.shape) for _ in range(20)]
    found = sparse_stacking_weights(twins, truth)
    assert found.sum() == pytest.approx(1)
    assert (found[found > 0] >= 0.1).all()
    assert (found > 0).any()


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_shrunk_weights_lie_between_what_was_fitted_and_what_needs_no_correlations(
    seed: int, many: int, count: int
) -> None:
    """They are shares, the surer the more there is to rest on, and the worst never weighs more than by its error."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(60, 1))
    predictions = [truth + rng.uniform(0.1, 3.0) * rng.normal(size=(60, 1)) for _ in range(many)]
    errors = np.array([np.mean((prediction - truth) ** 2) for prediction in predictions])
    precise = 1 / errors / (1 / errors).sum()
    fitted = sparse_stacking_weights(predictions, truth)
    shrunk = shrunk_weights(fitted, predictions, truth, count)
    assert shrunk.sum() == pytest.approx(1.0)
    assert (shrunk >= 0).all()
    kept = shrunk > 0
    assert (shrunk[kept] >= LEAST_SHARE).all()
    worst = int(np.argmax(errors))
    # what is dropped is shared out again, so that each may have a little more than the larger of both
    assert shrunk[worst] <= max(fitted[worst], precise[worst]) / (1 - (many - 1) * LEAST_SHARE) + 1e-12
    np.testing.assert_allclose(shrunk_weights(fitted, predictions, truth, 1e9), fitted, atol=1e-6)


def test_a_plant_with_few_batches_trusts_no_fitted_weight_alone() -> None:
    """Of two that are equally good in three batches, one by luck a little better, both keep a share."""
    rng = np.random.default_rng(1)
    truth = np.zeros((30, 1))
    predictions = [truth + rng.normal(size=truth.shape) for _ in range(2)]
    said = [shrunk_weights(np.array([1.0, 0.0]), predictions, truth, count) for count in (1, 3, 10, 100)]
    assert [float(weights[1]) for weights in said] == sorted((float(weights[1]) for weights in said), reverse=True)
    assert said[1][1] > 0.2
    assert said[-1][1] == 0


def test_batches_are_counted_as_one_each_where_all_their_rows_ask_about_one_end() -> None:
    table = small_batches(24)
    _, plan = small_task("batch_quality")
    whole = ready(table, plan)
    assert independent_stretches(whole.train, whole=True) == len(np.unique(table.batch[whole.train.origins]))  # type: ignore[index]
    steady = ready(steady_table(), auto(windows={"lookback": 10}))
    assert independent_stretches(steady.train, whole=False) == len(steady.train) // 10


def test_the_ensemble_is_the_weighed_sum_of_its_networks_and_parts(sensor: tuple[Prepared, TrainedEnsemble]) -> None:
    prepared, found = sensor
    model, windows = found.model, prepared.test
    assert isinstance(model, Ensemble)
    batch = windows.gather(windows.all_indices)
    whole = np.zeros((len(windows), 1))
    if model.members:
        whole += model.weights[0] * np.mean([predict_network(one, windows) for one in model.members], axis=0)
    for part, weight in zip(model.simple_members, model.weights[1:], strict=True):
        whole += weight * part.outputs(batch.x)
    np.testing.assert_allclose(predict_network(model, windows), whole, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.weights.sum(axis=0), 1.0)
    few = windows.subset(np.arange(7))
    np.testing.assert_array_equal(predict_network(model, few), predict_network(model, windows)[:7])


def test_the_ensemble_beats_the_networks_alone_where_the_plant_is_linear(
    sensor: tuple[Prepared, TrainedEnsemble],
) -> None:
    prepared, found = sensor
    truth = prepared.test.scaled_targets()
    error = np.mean((predict_network(found.model, prepared.test) - truth) ** 2)
    alone = np.mean((predict_network(found.alone, prepared.test) - truth) ** 2)
    assert error < 0.2 * alone
    assert found.share < 0.5


def test_of_validation_windows_it_says_what_it_said_before_it_had_seen_them(
    sensor: tuple[Prepared, TrainedEnsemble],
) -> None:
    prepared, found = sensor
    said = found.says(prepared.task, prepared.validation).values
    seen = prepared.validation.unscaled(predict_network(found.model, prepared.validation))
    assert said is not None
    truth = prepared.validation.truth()
    assert np.mean((said - truth) ** 2) > np.mean((seen - truth) ** 2)
    other = found.says(prepared.task, prepared.test).values
    np.testing.assert_allclose(other, prepared.test.unscaled(predict_network(found.model, prepared.test)))


def test_rows_of_the_test_part_change_nothing_of_the_ensemble(sensor: tuple[Prepared, TrainedEnsemble]) -> None:
    prepared, found = sensor
    table = steady_table()
    values = np.array(table.values)
    values[int(prepared.test.origins[0]) + 1 :] = (
        7 + np.random.default_rng(9).normal(size=values.shape)[int(prepared.test.origins[0]) + 1 :]
    )
    other = mixed_of(ready(replace(table, values=values), auto()))
    np.testing.assert_array_equal(found.model.weights, other.model.weights)
    few = prepared.validation
    np.testing.assert_array_equal(predict_network(found.model, few), predict_network(other.model, few))


def test_the_same_seed_gives_the_same_ensemble_and_finished_networks_are_not_trained_again(
    sensor: tuple[Prepared, TrainedEnsemble], tmp_path: Path
) -> None:
    prepared, found = sensor
    first, again = mixed_of(prepared, tmp_path), mixed_of(prepared, tmp_path)
    kept = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert kept == ["network_1", "network_2", "network_3", "network_3_linear"]
    for other in (first, again):
        np.testing.assert_array_equal(
            predict_network(found.model, prepared.test), predict_network(other.model, prepared.test)
        )
    assert again.fitted.resumed == len(again.fitted.history["loss"])


def test_the_last_held_out_block_chooses_whether_the_state_is_bounded(sensor: tuple[Prepared, TrainedEnsemble]) -> None:
    """The network of that block is a member as it is; the loss of the other activation stands in the reason."""
    _, found = sensor
    (decision,) = [one for one in found.decisions if one.setting == "model.activation"]
    bounded, linear = (float(decision.values[name]) for name in ("bounded", "linear"))
    assert decision.value == ("linear" if linear < CLEARLY * bounded else "tanh")
    assert found.model.architecture.activation == decision.value
    assert {member.architecture.activation for member in found.model.members} <= {decision.value}
    assert f"{min(found.fitted.history['val_loss']):.4g}" in decision.reason()


def test_an_activation_that_the_plan_names_is_not_tried(tmp_path: Path) -> None:
    plan = auto().merged({"model": {"activation": "linear"}, "training": {"epochs": 1}})
    found = mixed_of(ready(steady_table(), plan), tmp_path)
    assert found.model.architecture.activation == "linear"
    assert not [one for one in found.decisions if one.setting == "model.activation"]
    assert not list(tmp_path.glob("network_*_*"))


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_are_mixed_as_probabilities(classes: int) -> None:
    table = steady_table(classes=True)
    if classes == 2:
        from backmix.tasks.shared.classes import recoded

        table = recoded(table, "state", [0, 1, 1], ("normal", "fault"))
    prepared = ready(table, auto(classes=True))
    found = mixed_of(prepared)
    said = found.says(prepared.task, prepared.test).probabilities
    assert said is not None
    assert said.shape == (len(prepared.test), classes)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-6)
    assert (said >= -1e-9).all()
    assert np.mean(said.argmax(axis=1) == prepared.test.truth()[:, 0]) > 0.5


def test_networks_can_learn_what_the_others_leave() -> None:
    prepared = ready(steady_table(), auto(model={**AUTO, "members": 3, "learns": "residual"}))
    found = mixed_of(prepared)
    truth = prepared.test.scaled_targets()
    assert np.mean((predict_network(found.model, prepared.test) - truth) ** 2) < 0.02
    # what the networks alone answer holds the parts whose rest they learned
    assert found.alone is not None
    assert np.mean((predict_network(found.alone, prepared.test) - truth) ** 2) < 0.1


def test_a_residual_is_of_numbers_and_of_something() -> None:
    with pytest.raises(PlanError, match="the task fault_diagnosis answers with classes"):
        mixed_of(
            ready(steady_table(classes=True), auto(classes=True, model={**AUTO, "members": 3, "learns": "residual"}))
        )
    with pytest.raises(PlanError, match="finds no model beside the networks"):
        mixed_of(
            ready(steady_table(), auto(model={**AUTO, "members": 3, "learns": "residual", "beside": ["pls_evolving"]}))
        )


def test_batches_of_any_length_are_mixed_too() -> None:
    _, plan = small_task("batch_quality")
    prepared = ready(small_batches(24), plan.merged({"model": {"recipe": "auto", "members": 3, "units": [4]}}))
    found = mixed_of(prepared)
    assert isinstance(found.model, Ensemble)
    said = found.says(prepared.task, prepared.test).values
    assert np.isfinite(said).all()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model": {"recipe": "course", "units": [4]}}, "ensemble.asked"),
        ({"training": {"state": "carried"}}, "ensemble.alone_carried"),
    ],
)
def test_one_network_alone_where_mixing_means_nothing(changes: dict[str, Any], key: str) -> None:
    plan = small_plan(**{"model": AUTO, **changes})
    why = ensemble_blocks(ready(steady_table(), plan))
    assert isinstance(why, Decision)
    assert why.reason_key == key


def test_one_network_alone_gives_a_window_back() -> None:
    table, plan = small_task("anomaly_detection")
    why = ensemble_blocks(ready(table, plan.merged({"model": {"recipe": "auto"}})))
    assert isinstance(why, Decision)
    assert why.reason_key == "ensemble.alone_answer"


def test_only_what_is_asked_for_stands_beside() -> None:
    prepared = ready(steady_table(), auto(model={**AUTO, "members": 3, "beside": []}))
    found = mixed_of(prepared)
    assert found.model.simple_members == ()
    assert len(found.model.members) == 3
    one = mixed_of(ready(steady_table(), auto(model={**AUTO, "members": 1, "beside": ["ridge"]})))
    assert len(one.model.members) <= 1
    assert [part.name for part in one.model.simple_members] == ["ridge"]


def test_where_the_answer_is_that_of_the_networks_each_block_gets_two(tmp_path: Path) -> None:
    """The second round begins elsewhere: what is said of a block that is held out is the mean of its two."""
    prepared = ready(steady_table(), auto(model={**AUTO, "beside": []}, training={"epochs": 2}))
    over = ensemble_blocks(prepared)
    assert not isinstance(over, Decision)
    ensemble = mixed_of(prepared, tmp_path)
    assert len(ensemble.model.members) == 2 * len(over)
    block = over.blocks[-1]
    both = [predict_network(ensemble.model.members[at], block.held_out) for at in (len(over) - 1, 2 * len(over) - 1)]
    assert not np.allclose(both[0], both[1])
    assert ensemble.out_of_fold is not None
    np.testing.assert_allclose(ensemble.out_of_fold[block.indices], np.mean(both, axis=0), rtol=1e-5, atol=1e-6)
    assert ensemble.decisions[0].reason_key == "ensemble.recipe_twice"
    assert {path.name for path in tmp_path.iterdir()} >= {f"network_{2 * len(over)}", "network_1"}


def test_every_usual_candidate_says_numbers_and_is_fitted_once() -> None:
    for kind in ("regression", "classification"):
        prepared = ready(steady_table(classes=kind == "classification"), auto(classes=kind == "classification"))
        blocks = block_windows(*pool(prepared), count=4)
        assert blocks is not None
        models, found = candidates_of(begin(prepared, blocks), prepared.task, blocks, "auto")
        # windows that do not grow with a batch have no stages and no usual length, those of a given lookback no longer past
        assert [one.part.name for one in found] == [
            name for name in answering(kind, members=True) if name not in ("pls_evolving", "usual_length", "ridge_long")
        ]
        for one in found:
            assert one.out_of_fold.shape == (len(blocks.pool), prepared.task.answer.outputs)
            assert np.isfinite(one.out_of_fold).all()
        again, _ = candidates_of(models, prepared.task, blocks, "auto")
        assert all(again[name] is models[name] for name in models.fitted)


def test_what_answers_another_kind_of_question_is_not_tried() -> None:
    with pytest.raises(PlanError, match=r"lda answers another kind of question than the task soft_sensor\. Beside its"):
        mixed_of(ready(steady_table(), auto(model={**AUTO, "members": 3, "beside": ["lda"]})))
    with pytest.raises(PlanError, match="nothing"):
        mixed_of(ready(steady_table(), auto(model={**AUTO, "members": 3, "beside": ["nothing"]})))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"recipe": "course", "members": 3}, 'members is for recipe = "auto"; the recipe "course" trains one network'),
        ({"members": 0}, 'members are 1 to 50 networks, or "auto"'),
        ({"learns": "residual", "beside": []}, 'learns = "residual" needs a model beside the networks'),
    ],
)
def test_what_does_not_go_together_is_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message.replace("(", r"\(")):
        Plan.check({"model": model})


@pytest.fixture(scope="module")
def side_by_side(sensor: tuple[Prepared, TrainedEnsemble]) -> TrainedEnsemble:
    """The same ensemble, its networks trained by two workers."""
    prepared, _ = sensor
    return fit_model(prepared, design(prepared), ensemble_blocks(prepared), Making(workers=Workers(2)))


def test_networks_are_trained_side_by_side_in_other_processes(
    sensor: tuple[Prepared, TrainedEnsemble], side_by_side: TrainedEnsemble
) -> None:
    prepared, here = sensor
    # a worker has one thread and rounds in another order than all of this process's
    np.testing.assert_allclose(
        predict_network(side_by_side.model, prepared.test),
        predict_network(here.model, prepared.test),
        rtol=2e-3,
        atol=2e-3,
    )
    assert side_by_side.fitted.history.keys() == here.fitted.history.keys()
    with pytest.raises(PlanError, match="callbacks of your own hear of nothing in 2 other processes"):
        fit_model(
            prepared, design(prepared), ensemble_blocks(prepared), Making(workers=Workers(2), callbacks=[Callback()])
        )


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize("on", ["ray", "dask"])
def test_a_cluster_trains_the_bits_of_local_workers(
    sensor: tuple[Prepared, TrainedEnsemble], side_by_side: TrainedEnsemble, on: Any
) -> None:
    """A real cluster of two workers on this machine."""
    prepared, _ = sensor
    there = fit_model(prepared, design(prepared), ensemble_blocks(prepared), Making(workers=Workers(2, on)))
    assert there.out_of_fold is not None
    np.testing.assert_array_equal(there.out_of_fold, side_by_side.out_of_fold)
    np.testing.assert_array_equal(
        predict_network(there.model, prepared.test), predict_network(side_by_side.model, prepared.test)
    )
