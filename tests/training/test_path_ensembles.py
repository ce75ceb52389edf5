"""Ensembles for forecasts: members of whole paths, weights by how far ahead, and nothing that runs away."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.table import Table
from backmix.errors import BundleError
from backmix.explanation import explain
from backmix.models.ensemble import Ensemble
from backmix.models.members.member import Member
from backmix.models.members.paths import Paths, rolled_path
from backmix.serving.archive import pack, unpack
from backmix.serving.bundle import Bundle
from backmix.simple.ahead import unrolled
from backmix.simple.blocks import Blocks
from backmix.tasks.contract.optional import BOUNDED, MARGIN
from backmix.training.beside import begin, candidates_of
from backmix.training.design import design
from backmix.training.ensemble import TrainedEnsemble, ensemble_blocks, fit_model
from backmix.training.paths.stability import free_runs, run_on
from backmix.training.paths.weights import path_weights
from backmix.training.predict import predict_outcome
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from small import reading, small_plan, small_table

KNOWN = ["T101", "F102", "P103"]


def ready(strategy: str, *, table: Table | None = None, **task: Any) -> Prepared:
    """A forecast of three rows, its inputs planned."""
    plan = small_plan(
        task={"kind": "forecast", "target": "quality", "strategy": strategy, "known_ahead": KNOWN, **task},
        windows={"lookback": 6, "horizon": 3},
        model={"recipe": "auto", "units": [4], "members": 2},
    )
    return prepare(reading(small_table() if table is None else table), plan)


def trained(prepared: Prepared) -> TrainedEnsemble:
    return fit_model(prepared, design(prepared), ensemble_blocks(prepared))


@pytest.fixture(scope="module", params=["direct", "recursive"])
def forecast(request: pytest.FixtureRequest) -> tuple[Prepared, TrainedEnsemble]:
    prepared = ready(request.param)
    return prepared, trained(prepared)


def all_heard(prepared: Prepared, found: TrainedEnsemble) -> Ensemble:
    """The ensemble in which every member has a weight at every row."""
    assert found.simple is not None
    assert found.blocks is not None
    _, candidates = candidates_of(found.simple, prepared.task, found.blocks, "auto")
    model, parts = found.model, tuple(candidate.part for candidate in candidates)
    weights = np.random.default_rng(0).uniform(0.5, 1.5, size=(1 + len(parts), 3))
    assert found.alone is not None
    return Ensemble(model.architecture, found.alone.members, parts, weights / weights.sum(axis=0), paths=model.paths)


def test_a_forecast_is_an_ensemble_whose_weights_sum_to_one(forecast: tuple[Prepared, TrainedEnsemble]) -> None:
    prepared, found = forecast
    assert isinstance(found.model, Ensemble)
    np.testing.assert_allclose(found.model.weights.sum(axis=0), 1.0)
    assert found.model.weights.shape[1] == 3
    said = found.says(prepared.task, prepared.test).values
    assert said is not None
    assert said.shape == (len(prepared.test), 3)
    assert found.out_of_fold is not None
    assert np.isfinite(found.out_of_fold).all()


def test_out_of_its_bundle_every_member_says_the_same_bits(
    forecast: tuple[Prepared, TrainedEnsemble], tmp_path: Path
) -> None:
    prepared, found = forecast
    bundle = Bundle.of(all_heard(prepared, found), preprocessing=prepared.preprocessing)
    again = Bundle.load(bundle.save(tmp_path / "a.backmix"))
    assert Bundle.load(again.save(tmp_path / "b.backmix")) is not None
    assert (tmp_path / "a.backmix").read_bytes() == (tmp_path / "b.backmix").read_bytes()
    one, two = (each.predict(small_table())[0] for each in (bundle, again))
    np.testing.assert_array_equal(one["prediction"], two["prediction"])
    assert set(one["model"]) == {"ensemble"}


@pytest.mark.parametrize(
    "change",
    [
        {"horizon": 4},
        {"horizon": True},
        {"first": 9},
        {"planned": [5]},
        {"relative": "nothing"},
        {"low": [float("nan")]},
        {"low": []},
        {"recursive": 1},
        {"more": 1},
    ],
)
def test_paths_that_no_training_left_are_refused(
    forecast: tuple[Prepared, TrainedEnsemble], tmp_path: Path, change: dict[str, Any]
) -> None:
    prepared, found = forecast
    Bundle.of(all_heard(prepared, found), preprocessing=prepared.preprocessing).save(tmp_path / "a.backmix")
    members = dict(unpack(tmp_path / "a.backmix"))
    blend = json.loads(members["mixture.json"])
    members["mixture.json"] = json.dumps({**blend, "paths": {**blend["paths"], **change}}).encode()
    pack(tmp_path / "bad.backmix", members, version="0.1.0")
    with pytest.raises(BundleError, match=r"weights\.safetensors|mixture\.json"):
        Bundle.load(tmp_path / "bad.backmix")


def test_what_comes_later_changes_nothing_but_by_plan(forecast: tuple[Prepared, TrainedEnsemble]) -> None:
    """Rows behind the planned ones, and targets behind the moment of prediction, are not looked at."""
    prepared, found = forecast
    model, windows = all_heard(prepared, found), prepared.test.subset(np.arange(3))
    before = predict_outcome(model, prepared.task, windows).values
    values, last = np.array(windows.table.values), int(windows.origins[-1])
    rng = np.random.default_rng(1)
    values[last + 1 :, windows.table.index("quality")] += rng.normal(size=len(values) - last - 1)
    values[last + 4 :] += rng.normal(size=values[last + 4 :].shape)
    changed = replace(windows, table=replace(windows.table, values=values))
    np.testing.assert_array_equal(before, predict_outcome(model, prepared.task, changed).values)


def test_no_member_has_seen_what_it_is_weighed_by(forecast: tuple[Prepared, TrainedEnsemble]) -> None:
    """Labels of the block that is held out last change nothing of what was learned without it."""
    prepared, found = forecast
    blocks = found.blocks
    assert isinstance(blocks, Blocks)
    held_out = blocks.blocks[-1].held_out
    table = prepared.table
    values = np.array(table.values)
    rows = np.setdiff1d(
        np.arange(int(held_out.target_rows.min()), int(held_out.target_rows.max()) + 1),
        blocks.blocks[-1].teach.answer_rows(blocks.blocks[-1].teach.all_indices),
    )
    values[rows, table.index("quality")] += 1e-4 * np.arange(len(rows))  # settings stay what they were
    pool = replace(blocks.pool, table=replace(table, values=values))
    names = prepared.task.judging.members
    assert names is not None
    one = begin(prepared, blocks).more(names)
    two = begin(prepared, replace(blocks, pool=pool)).more(names)
    early = blocks.blocks[0].held_out
    for name in names:
        if name in one:
            mine, other = one[name].before.predict(early).values, two[name].before.predict(early).values
            # sums without a block are those of all rows less those of the block, which differs by rounding
            np.testing.assert_allclose(mine, other, rtol=1e-9, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), relative=st.sampled_from(["none", "answers", "window"]))
def test_a_linear_model_of_the_next_row_is_a_matrix_of_paths(seed: int, relative: str) -> None:
    rng = np.random.default_rng(seed)
    steps, planned, horizon = int(rng.integers(1, 5)), int(rng.integers(0, 3)), int(rng.integers(1, 6))
    paths = Paths(horizon, 2, 2, tuple(range(planned)), relative)
    kernel, bias = rng.normal(size=(steps * 4, 2)) * 0.3, rng.normal(size=2)
    member = unrolled(kernel, bias, steps, 4, paths)
    assert member is not None
    member.check(steps=steps, features=4, outputs=paths.outputs, planned=horizon * planned)
    x = rng.normal(size=(7, steps, 4)).astype(np.float32)
    if relative == "window":
        x[:, -1, 2:] = 0.0
    future = rng.normal(size=(7, horizon, planned)).astype(np.float32) if planned else None
    expected = rolled_path(lambda seen, _: seen.reshape(7, -1) @ kernel + bias, x, future, paths)
    np.testing.assert_allclose(member.outputs(x, future=future), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("relative", ["none", "answers"])
def test_a_model_that_runs_away_stays_within_bounds(relative: str) -> None:
    paths = Paths(50, 1, 1, (), relative, True, (-1.5,), (2.0,))
    x = np.full((2, 3, 2), 0.5, np.float32)
    said = rolled_path(lambda seen, _: 3.0 * seen[:, -1, 1:] + 0.1, x, None, paths)
    level = said + (0.5 if relative == "answers" else 0.0)
    assert level.max() <= 2.0 + 1e-6
    assert level[:, -1] == pytest.approx(2.0)


def test_a_path_beyond_the_range_of_training_is_brought_back_and_counted() -> None:
    prepared = ready("recursive")
    task, target = prepared.task, prepared.table.column("quality")
    low, high = task.answer.bounds  # type: ignore[attr-defined]
    rows = np.arange(int(prepared.validation.target_rows.max()) + 1)
    span = np.ptp(target[rows])
    assert low[0] >= target[rows].min() - MARGIN * span - 1e-9
    wild = np.array([[-1e3, np.inf, 40.0], [np.nan, -np.inf, 1e9], [40.0, 40.0, 40.0]])
    from backmix.outcome import Outcome

    kept = task.revise(Outcome(values=wild), prepared.test.subset(np.arange(3)))
    assert kept.values is not None
    assert (kept.values >= low).all()
    assert (kept.values <= high).all()
    assert kept.columns[BOUNDED].tolist() == [2, 3, 0]


def exploding(prepared: Prepared) -> Member:
    """A member that leaves by ten times the newest value on every row."""
    width = len(prepared.train.feature_names)
    index = np.full((1, 3), 5 * width + len(prepared.train.spec.columns), np.int32)
    return Member("arx", "lags", "picked", {"index": index, "factor": np.full((1, 3), 10.0), "bias": np.ones(3)})


def test_a_free_run_is_bounded_and_found_unstable(forecast: tuple[Prepared, TrainedEnsemble], tmp_path: Path) -> None:
    prepared, found = forecast
    if not prepared.task.answer.recursive:
        return
    assert found.alone is not None
    model = found.model
    wild = Ensemble(
        model.architecture,
        found.alone.members,
        (exploding(prepared),),
        np.array([[0.0] * 3, [1.0] * 3]),
        paths=model.paths,
    )
    runs = free_runs(prepared.task, prepared.validation)
    assert runs
    assert runs[0].spec.horizon > 3
    low, high = prepared.task.answer.bounds  # type: ignore[attr-defined]
    for ensemble in (wild, all_heard(prepared, found)):
        said = predict_outcome(ensemble, prepared.task, runs[0]).values
        assert said is not None
        assert (said >= low).all()
        assert (said <= high).all()
    run = run_on(lambda w: predict_outcome(wild, prepared.task, w), prepared.task, prepared.train, prepared.validation)
    assert run is not None
    assert not run.stable
    assert run.bounded > 0
    assert any(decision.setting == "model.stable" for decision in found.decisions)
    frame = Bundle.of(wild, preprocessing=prepared.preprocessing).predict(small_table())[0]
    assert set(frame.loc[frame[BOUNDED] > 0, "quality"]) == {"uncertain"}


def test_weights_follow_the_horizon_where_blocks_say_so() -> None:
    """The first model is right on the next rows, the second one later."""
    rng = np.random.default_rng(0)
    truth, block = rng.normal(size=(600, 16)), np.repeat(np.arange(5), 120)
    far = np.arange(16) >= 4
    early = truth + rng.normal(size=truth.shape) * np.where(far, 1.0, 0.1)
    late = truth + rng.normal(size=truth.shape) * np.where(far, 0.1, 1.0)
    weights = path_weights([early, late], truth, block, targets=1)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0)
    assert weights[0, 0] > 0.9
    assert weights[1, -1] > 0.9


def test_one_model_alone_where_the_others_add_nothing() -> None:
    rng = np.random.default_rng(1)
    truth, block = rng.normal(size=(200, 4)), np.repeat(np.arange(4), 50)
    best = truth + 0.1 * rng.normal(size=truth.shape)
    noisy = best + rng.normal(size=truth.shape)
    weights = path_weights([noisy, best], truth, block, targets=2)
    np.testing.assert_allclose(weights, [[0.0] * 4, [1.0] * 4])


def test_a_wild_block_does_not_decide_for_the_quiet_ones() -> None:
    """In the newest block the plant is quiet: there the second model errs a tenth as much as the first."""
    rng = np.random.default_rng(2)
    truth, block = np.zeros((500, 2)), np.repeat(np.arange(5), 100)
    size = np.where(block < 4, 1.0, 0.05)[:, None]
    first = size * rng.normal(size=truth.shape) * np.where(block < 4, 0.9, 10.0)[:, None]
    second = size * rng.normal(size=truth.shape)
    weights = path_weights([first, second], truth, block, targets=1)
    assert weights[1].min() > 0.5


@pytest.mark.parametrize("strategy", ["direct", "recursive", "encoder_decoder"])
def test_an_ensemble_runs_from_table_to_report_bundle_and_explanation(strategy: str, tmp_path: Path) -> None:
    plan = small_plan(
        task={"kind": "forecast", "target": "quality", "strategy": strategy, "known_ahead": KNOWN},
        windows={"lookback": 6, "horizon": 3},
        model={"recipe": "auto", "units": [4], "members": 2},
        evaluation={"baselines": ["last_value", "arx", "mean"], "resamples": 20},
    )
    run = fit(small_table(), plan, folder=tmp_path / "run", quiet=True)
    frame = run.predictions
    mine = frame[(frame["part"] == "test") & (frame["model"] == "ensemble")]
    assert sorted(mine["horizon"].unique()) == [1, 2, 3]
    same = run.bundle.predict(small_table())[0].merge(mine, on=["origin", "horizon"])
    np.testing.assert_allclose(same["prediction_x"], same["prediction_y"], rtol=1e-5, atol=1e-5)
    assert "of 3 rows of the path" in run.summary["verdict"]["en"]
    if strategy == "recursive":
        assert set(frame.loc[frame["part"] == "free_run", "model"]) == {"ensemble", "arx"}
        assert "on its own answers" in run.summary["verdict"]["en"]
        assert "model.stable" in {decision["setting"] for decision in run.summary["choices"]}
    assert explain(run, data=small_table()).insight.target == "quality"
