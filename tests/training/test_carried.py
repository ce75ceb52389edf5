"""A state carried across windows (course item 38): laws of lanes, of resets, and of prediction."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.table import Table
from backmix.data.windows.carry import NONE, carry
from backmix.data.windows.windows import Known, Windows, WindowSpec, build_windows, fit_scalers
from backmix.errors import BundleError, PlanError, TrainingError
from backmix.models.architecture import Architecture
from backmix.models.body.carried import build_stateful, copy_weights
from backmix.models.network import build
from backmix.models.reference.forms import outputs
from backmix.models.weights import take_weights
from backmix.results.run import Run
from backmix.serving.bundle import Bundle
from backmix.serving.history import score_history
from backmix.serving.runtime import Runtime
from backmix.training.design import design
from backmix.training.fitting.carried import predict_carried
from backmix.training.fitting.fit import fit_network
from backmix.training.fitting.lanes import LaneFeed, assign_to_lanes, stretches_of
from backmix.training.prepare import prepare
from backmix.training.sections.settings import FitSettings
from backmix.workflow import fit
from small import reading, small_plan, small_table

SHAPE = Architecture(features=3, lookback=6, units=(4,))


def in_batches(table: Table, *lengths: int) -> Table:
    batch = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[: len(table)]
    names = tuple(f"B{number}" for number in range(len(lengths)))
    return replace(table.rows(slice(0, len(batch))), batch=batch, batch_names=names)


def carried(table: Table, part: Any = None, **form: Any) -> Windows:
    inputs = tuple(tag.name for tag in table.tags if tag.role == "input")
    (goal,) = (tag.name for tag in table.tags if tag.role == "target")
    spec = WindowSpec(inputs=inputs, targets=(goal,), lookback=6, carried=True, **form)
    scalers = fit_scalers(table, spec, rows=np.ones(len(table), bool))
    return build_windows(table, spec, part=part).scaled(*scalers)


def random_network(shape: Architecture, seed: int = 3) -> Any:
    """A network with weights that are not small, biases included."""
    model, rng = build(shape, seed=0), np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.5, size=variable.shape))
    return model


def one_long_pass(model: Any, x: np.ndarray) -> Any:
    """The answers on every row of x (B, T, F) by the NumPy reference, in one pass from rest."""
    return outputs(replace(model.architecture, answer="every"), take_weights(model), {"x": x})


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
@pytest.mark.parametrize(
    ("units", "extra"), [((4,), {}), ((5, 3), {"dense": (3,)}), ((4, 4), {"layer_norm": True, "residual": True})]
)
def test_stretches_one_after_the_other_equal_one_long_pass(
    cell: str, units: tuple[int, ...], extra: dict[str, Any]
) -> None:
    """Course items 37 and 38: the state is handed on, and two lanes do not know of each other."""
    shape = Architecture(features=3, cell=cell, units=units, **extra)
    plain = random_network(shape)
    x = np.random.default_rng(0).normal(size=(2, 24, 3)).astype(np.float32)
    twin = build_stateful(shape, lanes=2, rows=6, seed=0)
    copy_weights(plain, twin)
    said = np.concatenate(
        [
            np.asarray(twin.predict_on_batch({"x": x[:, at : at + 6], "keep": np.full(2, at > 0, np.float32)}))
            for at in range(0, 24, 6)
        ],
        axis=1,
    )
    np.testing.assert_allclose(said, one_long_pass(plain, x), atol=1e-6)


def test_a_lane_begins_from_rest_exactly_where_it_is_told() -> None:
    twin = build_stateful(SHAPE, lanes=2, rows=5, seed=0)
    copy_weights(random_network(SHAPE), twin)
    rng = np.random.default_rng(0)
    first, x = rng.normal(size=(2, 2, 5, 3)).astype(np.float32)
    fresh = np.asarray(twin.predict_on_batch({"x": x, "keep": np.zeros(2, np.float32)}))
    twin.predict_on_batch({"x": first, "keep": np.zeros(2, np.float32)})
    ensemble = np.asarray(twin.predict_on_batch({"x": x, "keep": np.array([0, 1], np.float32)}))
    np.testing.assert_array_equal(ensemble[0], fresh[0])
    assert np.abs(ensemble[1] - fresh[1]).max() > 1e-3


def test_the_twin_begins_with_the_weights_of_the_plain_network() -> None:
    shape = replace(SHAPE, units=(4, 3), dense=(2,), noise=0.1, dropout=0.2, head_dropout=0.1)
    plain, twin = build(shape, seed=5), build_stateful(shape, lanes=3, rows=4, seed=5)
    mine = {v.path.split("/")[0] + v.path.split("/")[-1]: np.asarray(v.value) for v in twin.trainable_variables}
    assert len(mine) == len(plain.trainable_variables)
    for variable in plain.trainable_variables:
        np.testing.assert_array_equal(mine[variable.path.split("/")[0] + variable.path.split("/")[-1]], variable.value)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    holes=st.sets(st.integers(0, 100), max_size=4),
    lanes=st.integers(1, 5),
    stretch=st.integers(1, 20),
    epoch=st.integers(0, 3),
    horizon=st.integers(0, 2),
    dead=st.integers(0, 2),
    delay=st.sampled_from([None, 2]),
)
def test_lanes_hold_every_label_once_and_reset_exactly_at_new_runs(
    lengths: list[int],
    holes: set[int],
    lanes: int,
    stretch: int,
    epoch: int,
    horizon: int,
    dead: int,
    delay: int | None,
) -> None:
    """Trap O and course item 38, for any batches, holes, lanes and stretches; the reference walks row by row."""
    table = in_batches(small_table(600), 70, *lengths)
    values = np.array(table.values)
    values[[row for row in holes if row < len(table)], 0] = np.nan
    table = replace(table, values=values)
    known = None if delay is None else Known(delay=delay)
    windows = carried(table, horizon=horizon, dead_time=dead, known=known)
    feed = LaneFeed(windows, replace(SHAPE, features=len(windows.feature_names)), lanes=lanes, stretch=stretch, seed=1)
    feed.begin_epoch(epoch)
    begins = np.zeros(len(table), int)
    for row in range(len(table)):
        bad = ~np.isfinite(values[row, :3]).all()
        new = row == 0 or table.batch[row] != table.batch[row - 1]  # type: ignore[index]
        begins[row] = row + 1 if bad else row if new else begins[row - 1]
    if delay is not None:
        # nothing is known before the first sample of the batch is `delay` rows old
        for row in range(len(table)):
            start = int(np.flatnonzero(table.batch == table.batch[row])[0])  # type: ignore[index]
            begins[row] = max(begins[row], start + delay) if row >= start + delay else row + 1
    counted: dict[int, float] = {}
    states: list[int | None] = [None] * lanes
    for step in range(len(feed)):
        inputs, y, weight = feed.batch(step)
        rows = feed._planned()
        assert inputs["x"].shape == (lanes, stretch, len(windows.feature_names))
        for lane in range(lanes):
            first, count = int(rows.first[lane, step]), int(rows.count[lane, step])
            if count == 0:
                assert not weight[lane].any()
                continue
            run = set(begins[first : first + count].tolist())
            assert len(run) == 1  # one run, no row that cannot be used
            begin = run.pop()
            if inputs["keep"][lane]:
                assert states[lane] == first > begin
            else:
                cut = int(rows.counts[lane, step])
                assert first == begin or first == max(begin, cut - 6)
            states[lane] = first + count
            for at in np.flatnonzero(weight[lane]):
                row = first + int(at)
                assert row not in counted
                target = row + dead + horizon
                counted[row] = float(weight[lane, at])
                truth = (values[target, 3] - windows.target_scaler.center) / windows.target_scaler.scale  # type: ignore[union-attr]
                assert y[lane, at] == pytest.approx(truth, abs=1e-5)
                assert inputs["x"][lane, at, :3] == pytest.approx(
                    (values[row, [0, 1, 2]] - windows.scaler.center) / windows.scaler.scale, abs=1e-5
                )  # type: ignore[union-attr]
            assert not weight[lane, count:].any()
    batch = np.asarray(table.batch)
    wanted = {
        row
        for row in range(len(table) - dead - horizon)
        if begins[row] <= row and batch[row] == batch[row + dead + horizon]
    }
    assert set(counted) == wanted
    assert sum(counted.values()) == pytest.approx(len(feed) * lanes * stretch, rel=1e-4)


def test_pieces_of_one_long_run_overlap_by_the_lookback_only() -> None:
    made = stretches_of(carried(small_table(420)), lanes=4)
    assert [(piece.first, piece.counts, piece.end) for piece in made] == [
        (0, 0, 105),
        (99, 105, 210),
        (204, 210, 315),
        (309, 315, 420),
    ]
    assert [len(lane) for lane in assign_to_lanes(made, lanes=4, stretch=10)] == [1, 1, 1, 1]


@pytest.mark.parametrize("chunk", [7, 256])
def test_what_lies_before_a_run_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Course item 38: the reset at the start of every batch and behind every hole is exact, to the last bit."""
    from backmix.training.fitting import carried as module

    monkeypatch.setattr(module, "CHUNK", chunk)
    model = random_network(SHAPE)
    table = in_batches(small_table(), 150, 130, 140)
    values = np.array(table.values)
    values[350, 1] = np.nan
    table = replace(table, values=values)
    windows = carried(table)
    said = predict_carried(model, windows)
    other = np.array(values)
    other[:280, :3] += 5.0
    other[351:, :3] += 5.0
    again = predict_carried(model, replace(windows, table=replace(table, values=other)))
    same = (windows.origins >= 280) & (windows.origins < 350)
    np.testing.assert_array_equal(said[same], again[same])
    assert np.abs(said[~same] - again[~same]).min() > 0
    alone = predict_carried(model, replace(windows, table=table).subset(windows.origins >= 280))
    np.testing.assert_array_equal(alone, said[windows.origins >= 280])


def test_a_prediction_is_one_pass_from_the_start_of_the_run() -> None:
    model = random_network(replace(SHAPE, units=(4, 3)))
    windows = carried(in_batches(small_table(), 20, 30))
    said = predict_carried(model, windows)
    for at, origin in enumerate(windows.origins):
        first = 0 if origin < 20 else 20
        rows = (windows.table.values[first : origin + 1, :3] - windows.scaler.center) / windows.scaler.scale  # type: ignore[union-attr]
        np.testing.assert_allclose(said[at], one_long_pass(model, rows[None])[0, -1], atol=1e-6)


def weights_of(model: Any) -> list[np.ndarray]:
    return [np.array(variable.value) for variable in model.weights]


def test_one_row_needs_no_training_lanes(run: Run) -> None:
    """Trap T: stateful prediction that needs the training batch size. One window alone is as good as many."""
    assert run.summary["architecture"]["lookback"] == 6
    windows = run.bundle.preprocessing.windows(small_table(), need_target=False)[0]
    everything = predict_carried(run.bundle.network, windows)
    one = predict_carried(run.bundle.network, windows.subset(np.array([300])))
    np.testing.assert_array_equal(one[0], everything[300])
    assert build_stateful(run.bundle.architecture, lanes=1, rows=1, seed=0).predict_on_batch(
        {"x": np.zeros((1, 1, 3)), "keep": np.zeros(1)}
    ).shape == (1, 1, 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(
        small_table(),
        small_plan(training={"state": "carried", "epochs": 3, "batch_size": 4, "stretch": 6}),
        folder=tmp_path_factory.mktemp("carried") / "run",
        quiet=True,
    )


def test_a_run_with_a_carried_state_learns_and_its_bundle_knows(run: Run, tmp_path: Path) -> None:
    losses = run.summary["history"]["loss"]
    assert losses[-1] < losses[0]
    again = Bundle.load(run.save(tmp_path / "m.backmix"))
    assert again.preprocessing.spec.carried
    one, _ = run.bundle.predict(small_table())
    two, _ = again.predict(small_table())
    assert one.equals(two)
    windowed = replace(
        again, preprocessing=replace(again.preprocessing, spec=replace(again.preprocessing.spec, carried=False))
    )
    other, _ = windowed.predict(small_table())
    assert np.abs(other["prediction"] - one["prediction"]).iloc[50:].max() > 1e-4


def test_stepping_row_by_row_is_the_offline_prediction(run: Run) -> None:
    """Law: streaming equals offline. `runtime.start()` is the explicit reset (course item 38)."""
    runtime = Runtime.load(run.bundle_path)
    assert runtime.carried
    table = in_batches(small_table(), 200, 220)
    frame, _ = run.bundle.predict(table)
    expected = dict(zip(frame["origin"], frame["prediction"], strict=True))
    rows = table.select(list(runtime.inputs)).values
    state = runtime.start()
    for row in range(len(table)):
        if row == 200:
            state = runtime.start()
        y, state = runtime.step(np.ascontiguousarray(rows[row], np.float64), state)
        if row in expected:
            assert y[0] == pytest.approx(expected[row], abs=2e-4)
    assert len(expected) == len(table) - 2 * 5


def test_lanes_and_stretches_change_training_and_prediction_only_through_the_weights() -> None:
    prepared = prepare(reading(small_table()), small_plan(training={"state": "carried"}))
    shape = design(prepared).architecture
    base = FitSettings(epochs=1, stretch=6, batch_size=4)
    found = [
        fit_network(shape, prepared.train, prepared.validation, settings=one).model
        for one in (base, replace(base, batch_size=2), replace(base, stretch=12), base)
    ]
    weights = [weights_of(model)[0] for model in found]
    assert (weights[0] != weights[1]).any()
    assert (weights[0] != weights[2]).any()
    np.testing.assert_array_equal(weights[0], weights[3])
    found[1].set_weights(weights_of(found[0]))
    np.testing.assert_array_equal(predict_carried(found[0], prepared.test), predict_carried(found[1], prepared.test))


def test_several_steps_in_one_call_carry_the_state_as_single_steps_do() -> None:
    """A listener to batches makes Keras take one step per call; the weights must come out the same."""
    keras = pytest.importorskip("keras")

    class Listener(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            """One step per call from now on."""

    prepared = prepare(reading(small_table()), small_plan(training={"state": "carried"}))
    settings = FitSettings(epochs=2, stretch=6, batch_size=2)
    one, other = (
        fit_network(
            design(prepared).architecture, prepared.train, prepared.validation, settings=settings, callbacks=callbacks
        ).model
        for callbacks in ([], [Listener()])
    )
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_an_interrupted_training_resumes_within_an_epoch_with_its_states(tmp_path: Path) -> None:
    """The states of the lanes are in the checkpoint: resume equals uninterrupted, bit for bit."""
    from backmix.errors import Interrupted
    from backmix.training.fitting.progress import ProgressListener

    prepared = prepare(reading(small_table()), small_plan(training={"state": "carried"}))
    settings = FitSettings(epochs=2, stretch=3, batch_size=2)

    class Stop(ProgressListener):
        def step(self, epoch: int, step: int, loss: float) -> None:
            if (epoch, step) == (1, 17):
                os.kill(os.getpid(), 2)

    whole = fit_network(SHAPE, prepared.train, prepared.validation, settings=settings).model
    with pytest.raises(Interrupted):
        fit_network(SHAPE, prepared.train, prepared.validation, settings=settings, folder=tmp_path, watch=Stop())
    again = fit_network(SHAPE, prepared.train, prepared.validation, settings=settings, folder=tmp_path)
    assert again.resumed == 1
    for a, b in zip(weights_of(whole), weights_of(again.model), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("count", [2, 3])
def test_classes_are_learned_per_row(count: int, tmp_path: Path) -> None:
    table = small_table(classes=True)
    if count == 2:
        values = np.array(table.values)
        values[:, 3] = values[:, 3] > 0
        table = replace(
            table, values=values, tags=(*table.tags[:3], replace(table.tags[3], categories=("normal", "fouling")))
        )
    made = fit(
        table, small_plan(classes=True, training={"state": "carried", "epochs": 2}), folder=tmp_path / "run", quiet=True
    )
    decisions = {decision["setting"]: decision["value"] for decision in made.summary["choices"]}
    assert decisions["model.summaries"] is False
    assert decisions["training.stretch"] == 6
    assert made.summary["scores"]


def test_a_warm_start_goes_on_with_a_carried_state(run: Run, tmp_path: Path) -> None:
    later = small_table(seed=1)
    assert later.time is not None
    later = replace(later, time=later.time + np.timedelta64(420 * 60, "s"))
    plan = small_plan(
        training={
            "state": "carried",
            "epochs": 1,
            "batch_size": 4,
            "learning_rate": 1e-30,
            "warm_start": str(run.bundle_path),
        }
    )
    made = fit(later, plan, folder=tmp_path / "run", quiet=True)
    assert made.summary["best_epoch"] == 0
    for name, array in run.bundle.weights.items():
        np.testing.assert_array_equal(made.bundle.weights[name], array)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windows": {"lookback": "batch"}}, "past targets on every row: lookback = None does not go with it"),
        (
            {"task": {"kind": "soft_sensor", "target": "quality", "past_targets": {"delay": 3, "count": 1}}},
            r"past_targets.count = 1 does not go with it",
        ),
        ({"model": {"summaries": True}}, r"leave out summaries = true in \[model\]"),
        ({"model": {"bidirectional": True}, "online": False}, r"leave out bidirectional = true in \[model\]"),
    ],
)
def test_what_cannot_be_carried_is_refused(changes: dict[str, Any], message: str) -> None:
    plan = small_plan(training={"state": "carried"}, **changes)
    table = in_batches(small_table(1000), *([25] * 40)) if "windows" in changes else small_table()
    with pytest.raises(PlanError, match=message):
        design(prepare(reading(table), plan))


def test_a_stretch_of_nothing_is_refused() -> None:
    with pytest.raises(PlanError, match="stretch is 0 rows: give at least 1 row"):
        small_plan(training={"state": "carried", "stretch": 0})


def test_a_number_beyond_all_bounds_is_named() -> None:
    windows = carried(small_table())
    values = np.array(windows.table.values)
    values[200, 1] = 1e300
    feed = LaneFeed(replace(windows, table=replace(windows.table, values=values)), SHAPE, lanes=1, stretch=50)
    with pytest.raises(TrainingError, match=r"F102.*2026-03-01 03:20:00Z"):
        feed.batch(4)


def test_rows_without_a_label_answer_for_nothing() -> None:
    table = small_table()
    values = np.array(table.values)
    values[np.arange(420) % 7 != 0, 3] = np.nan
    found = carry(carried(replace(table, values=values)))
    assert np.flatnonzero(found.labels != NONE).tolist() == list(range(0, 420, 7))


def test_a_bundle_that_claims_to_carry_what_cannot_be_carried_is_refused(run: Run, tmp_path: Path) -> None:
    shape = replace(run.bundle.architecture, summaries=True)
    replace(run.bundle, architecture=shape).save(tmp_path / "odd.backmix")
    with pytest.raises(BundleError, match=r"recipe.json is not what a bundle holds"):
        Bundle.load(tmp_path / "odd.backmix")


def test_normalised_layers_with_a_residual_are_carried_too() -> None:
    prepared = prepare(
        reading(small_table()),
        small_plan(
            training={"state": "carried", "epochs": 1}, model={"units": [4, 4], "layer_norm": True, "residual": True}
        ),
    )
    made = design(prepared)
    model = fit_network(made.architecture, prepared.train, prepared.validation, settings=made.settings).model
    said = predict_carried(model, prepared.test)
    first = int(prepared.test.origins[0])
    begin = int(carry(prepared.test).begins[first])
    rows = prepared.test.table.select(list(prepared.test.spec.inputs)).values[begin : first + 1]
    scaler = prepared.test.scaler
    assert scaler is not None
    np.testing.assert_allclose(said[0], one_long_pass(model, scaler.transform(rows)[None])[0, -1], atol=1e-5)


def frame_file(runtime: Runtime, folder: Path) -> Path:
    import pandas as pd

    table = small_table()
    pd.DataFrame({name: table.column(name) for name in runtime.inputs}).to_parquet(folder / "in.parquet")
    return folder / "in.parquet"


def test_a_history_with_a_carried_state_is_the_offline_prediction(run: Run, tmp_path: Path) -> None:
    import pandas as pd

    runtime = Runtime.load(run.bundle_path)
    account = score_history(runtime, frame_file(runtime, tmp_path), tmp_path / "out.parquet", mode="carried")
    assert account.as_trained
    assert account.difference is None
    found = pd.read_parquet(tmp_path / "out.parquet")["prediction"].to_numpy()
    expected, _ = run.bundle.predict(small_table())
    np.testing.assert_allclose(found[expected["origin"]], expected["prediction"], atol=2e-4)


@pytest.mark.parametrize(
    ("mode", "said"), [("carried", "the state is carried as in training"), ("windows", "Use --history carried")]
)
def test_the_command_says_whether_the_model_was_trained_so(
    run: Run, tmp_path: Path, mode: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from backmix.app.main import main

    path = frame_file(Runtime.load(run.bundle_path), tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(run.bundle_path), str(path), "--history", mode, "--out", str(tmp_path / "out.parquet")])
    assert ended.value.code == 0
    assert said in capsys.readouterr().err
