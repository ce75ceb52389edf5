"""An ensemble as it is kept and run: bit-equal out of its bundle, equal in the light runtime, step by step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from backmix.data.ledger import Ledger
from backmix.data.reading.reading import Reading
from backmix.data.windows.progress import complete
from backmix.errors import BundleError, InputError, PlanError
from backmix.models.ensemble import Ensemble
from backmix.models.kernels import available
from backmix.parallel import Workers
from backmix.results.run import Run
from backmix.serving.archive import pack, unpack
from backmix.serving.bundle import Bundle
from backmix.serving.exporters import exporters
from backmix.serving.runtime import Runtime
from backmix.simple.blocks import Blocks
from backmix.training.beside import begin
from backmix.training.design import design
from backmix.training.ensemble import ensemble_blocks, fit_model
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from small import small_batches, small_plan, small_table, small_task

native_only = pytest.mark.skipif(not available(), reason="the kernels were not built")
KERNELS = [pytest.param(True, marks=native_only, id="kernels"), pytest.param(False, id="numpy")]


@pytest.fixture(scope="session")
def mixed_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the default recipe, with past values of the target shown on two rows of a window."""
    plan = small_plan(
        model={"recipe": "auto", "members": 3},
        task={"kind": "soft_sensor", "target": "quality", "past_targets": {"delay": 2, "count": 2}},
    )
    return fit(small_table(), plan, folder=tmp_path_factory.mktemp("runs") / "mixed", quiet=True)


@pytest.fixture(scope="session")
def heavy(mixed_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the run with weights that let networks, a linear part and trees all have a say."""
    prepared = ready(
        small_table(),
        small_plan(
            model={"recipe": "auto", "members": 3},
            task={"kind": "soft_sensor", "target": "quality", "past_targets": {"delay": 2, "count": 2}},
        ),
    )
    model = all_heard(prepared)
    path = tmp_path_factory.mktemp("bundles") / "heavy.backmix"
    Bundle.of(model, preprocessing=prepared.preprocessing).save(path)
    return path


def ready(table: Any, plan: Any) -> Prepared:
    return prepare(Reading(table=table, ledger=Ledger(read=len(table))), plan)


def all_heard(prepared: Prepared) -> Ensemble:
    """An ensemble in which everything that can be in one has a weight."""
    from backmix.training.ensemble import fit_candidates

    blocks = ensemble_blocks(prepared)
    assert isinstance(blocks, Blocks)
    parts = tuple(found.part for found in fit_candidates(prepared, blocks))
    ensemble = fit_model(prepared, design(prepared), blocks)
    members = ensemble.alone.members if ensemble.alone else ()
    outputs = prepared.task.answer.outputs
    weights = np.linspace(0.5, 1.5, 1 + len(parts))[:, None].repeat(outputs, axis=1) / (1 + len(parts))
    return Ensemble(members[0].architecture, members, parts, weights)


def shown_rows(runtime: Runtime) -> np.ndarray:
    table = small_table()
    plain = [name for name in runtime.inputs if name in table.names]
    past = np.concatenate([[np.nan] * 2, table.column("quality")[:-2]])
    return np.column_stack([*(table.column(name) for name in plain), past])[2:]


def test_a_run_keeps_the_ensemble_and_says_what_the_networks_have_to_do_with_it(mixed_run: Run) -> None:
    summary, frame = mixed_run.summary, mixed_run.predictions
    assert summary["network"] == "ensemble"
    assert set(frame["model"]) >= {"ensemble", "gru", "mean"}
    assert 0 <= summary["judgement"]["recurrent"] <= 1
    assert "etworks" in summary["verdict"]["en"]
    assert "網路" in summary["verdict"]["zh_TW"]
    settings = {decision["setting"] for decision in summary["choices"]}
    assert {"model.recipe", "model.members", "model.beside"} <= settings
    report = mixed_run.report_path().read_text("utf-8")
    assert "ensemble" in report


def test_out_of_its_bundle_an_ensemble_says_the_same_bits(mixed_run: Run, heavy: Path, tmp_path: Path) -> None:
    for path in (mixed_run.bundle_path, heavy):
        one = Bundle.load(path)
        again = Bundle.load(one.save(tmp_path / "again.backmix"))
        assert path.read_bytes() == (tmp_path / "again.backmix").read_bytes()
        a, b = (bundle.predict(small_table())[0] for bundle in (one, again))
        np.testing.assert_array_equal(a["prediction"], b["prediction"])
        assert set(a["model"]) == {"ensemble"}


def test_the_frame_of_a_run_is_what_its_bundle_says(mixed_run: Run) -> None:
    frame = mixed_run.predictions
    mine = frame[(frame["model"] == "ensemble") & (frame["part"] == "test")].set_index("origin")["prediction"]
    said = mixed_run.bundle.predict(small_table())[0].set_index("origin")["prediction"]
    np.testing.assert_allclose(mine, said.loc[mine.index], rtol=1e-6)


@pytest.mark.parametrize("kernels", KERNELS)
def test_the_light_runtime_says_the_same(heavy: Path, kernels: bool) -> None:
    runtime = Runtime.load(heavy, kernels=kernels)
    rows = shown_rows(runtime)
    windows = np.stack([rows[at : at + 6] for at in range(len(rows) - 5)])
    said = runtime.predict(windows)[:, 0]
    truth = Bundle.load(heavy).predict(small_table())[0].set_index("origin")["prediction"]
    origins = np.arange(2 + 5, 2 + len(rows))
    np.testing.assert_allclose(said, truth.loc[origins], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("kernels", KERNELS)
def test_stepping_through_a_window_is_predicting_it(heavy: Path, kernels: bool) -> None:
    """Law, where a window shows all its past values; with two of them the networks' steps see more than a window."""
    bundle = Bundle.load(heavy)
    spec = replace(bundle.preprocessing.spec, known=replace(bundle.preprocessing.spec.known, count=None))
    path = heavy.with_name("all.backmix")
    replace(bundle, preprocessing=replace(bundle.preprocessing, spec=spec)).save(path)
    runtime = Runtime.load(path, kernels=kernels)
    rows = shown_rows(runtime)[10:16]
    state = runtime.start()
    for row in rows:
        before = state.copy()
        y, state = runtime.step(row, state)
        assert not np.array_equal(before, state)
    np.testing.assert_allclose(y, runtime.predict(rows[None])[0], rtol=1e-4, atol=1e-4)
    many, behind = runtime.carry(rows, runtime.start())
    np.testing.assert_allclose(many[-1], y, rtol=1e-6)
    np.testing.assert_allclose(behind, state, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernels", KERNELS)
def test_sliding_over_a_table_is_predicting_every_window(heavy: Path, kernels: bool) -> None:
    bundle = Bundle.load(heavy)
    spec = replace(bundle.preprocessing.spec, known=replace(bundle.preprocessing.spec.known, count=None))
    path = heavy.with_name("slide.backmix")
    replace(bundle, preprocessing=replace(bundle.preprocessing, spec=spec)).save(path)
    runtime = Runtime.load(path, kernels=kernels)
    rows = shown_rows(runtime)[:40]
    windows = np.stack([rows[at : at + 6] for at in range(35)])
    np.testing.assert_allclose(runtime.slide(rows), runtime.predict(windows), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def of_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of an ensemble that says classes."""
    prepared = ready(small_table(classes=True), small_plan(classes=True, model={"recipe": "auto", "members": 3}))
    bundle = Bundle.of(all_heard(prepared), preprocessing=prepared.preprocessing)
    return bundle.save(tmp_path_factory.mktemp("classes") / "classes.backmix")


@pytest.mark.parametrize("kernels", KERNELS)
def test_classes_in_the_light_runtime(of_classes: Path, kernels: bool) -> None:
    runtime, bundle = Runtime.load(of_classes, kernels=kernels), Bundle.load(of_classes)
    table = small_table(classes=True)
    rows = np.column_stack([table.column(name) for name in runtime.inputs])
    said = runtime.predict(np.stack([rows[at : at + 6] for at in range(50)]))
    frame = bundle.predict(table)[0].iloc[:50]
    np.testing.assert_allclose(said, frame[[f"p:{name}" for name in runtime.classes]], atol=2e-4)
    with pytest.raises(InputError, match="whole"):
        runtime.step(rows[0], runtime.start())


@pytest.fixture(scope="module")
def of_batches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Path]:
    """What an ensemble of whole batches has learnt from, and its bundle."""
    _, plan = small_task("batch_quality")
    prepared = ready(small_batches(60), plan.merged({"model": {"recipe": "auto", "members": 3, "units": [4]}}))
    heard = all_heard(prepared)
    assert "pls_evolving" in {part.name for part in heard.simple_members}
    bundle = Bundle.of(heard, preprocessing=prepared.preprocessing)
    return prepared, bundle.save(tmp_path_factory.mktemp("batches") / "batches.backmix")


@pytest.mark.parametrize("kernels", KERNELS)
def test_batches_of_any_length_in_the_light_runtime(of_batches: tuple[Prepared, Path], kernels: bool) -> None:
    prepared, path = of_batches
    runtime = Runtime.load(path, kernels=kernels)
    windows = prepared.test
    some = windows.all_indices[:12]
    batch = windows.gather(some)
    scaler = prepared.preprocessing.scaler
    plain = batch.x * scaler.scale + scaler.center
    lengths = batch.mask.sum(axis=1)
    said = runtime.predict(plain, lengths=lengths, ended=complete(windows.subset(some)))
    truth = Bundle.load(path).predict(small_batches(60))[0].set_index("origin")["prediction"]
    np.testing.assert_allclose(said[:, 0], truth.loc[windows.origins[some]], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kernels", KERNELS)
def test_the_usual_length_of_a_batch_in_the_light_runtime(tmp_path: Path, kernels: bool) -> None:
    """It is what is usually left, and never below zero, wherever it runs."""
    _, plan = small_task("batch_end_time")
    plan = plan.merged({"model": {"recipe": "auto", "members": 3, "units": [4]}, "training": {"epochs": 1}})
    prepared = ready(small_batches(30), plan)
    heard = all_heard(prepared)
    place = [part.name for part in heard.simple_members].index("usual_length")
    weights = np.zeros_like(heard.weights)
    weights[1 + place] = 1.0
    path = Bundle.of(replace(heard, weights=weights), preprocessing=prepared.preprocessing).save(
        tmp_path / "end.backmix"
    )
    runtime, windows = Runtime.load(path, kernels=kernels), prepared.test
    batch = windows.gather(windows.all_indices)
    scaler = prepared.preprocessing.scaler
    said = runtime.predict(
        batch.x * scaler.scale + scaler.center, lengths=batch.mask.sum(axis=1), ended=complete(windows)
    )
    usual = begin(prepared, ensemble_blocks(prepared)).more(["usual_length"])["usual_length"].model
    np.testing.assert_allclose(said, usual.predict(windows).values, rtol=1e-4, atol=1e-3)
    assert said.min() >= -1e-3


def _repacked(path: Path, target: Path, change: Any) -> Path:
    members = dict(unpack(path))
    blend = json.loads(members["mixture.json"])
    weights = dict(safetensors.numpy.load(members["weights.safetensors"]))
    blend, weights = change(blend, weights)
    members["mixture.json"] = json.dumps(blend).encode()
    members["weights.safetensors"] = safetensors.numpy.save(weights)
    pack(target, members, version="0.1.0")
    return target


def _without(weights: Mapping[str, Any], start: str) -> dict[str, Any]:
    return {name: array for name, array in weights.items() if not name.startswith(start)}


def _network(weights: Mapping[str, Any], change: Any) -> dict[str, Any]:
    """One array of the first network is another."""
    name = min(name for name in weights if name.startswith("network_1/"))
    return {**weights, name: change(weights[name])}


@pytest.mark.parametrize(
    "change",
    [
        lambda b, w: (b, _network(w, lambda array: np.ascontiguousarray(array[..., :-1]))),
        lambda b, w: (b, _network(w, lambda array: array * np.nan)),
        lambda b, w: ({**b, "members": 2}, w),
        lambda b, w: ({**b, "members": True}, w),
        lambda b, w: ({**b, "x": 1}, w),
        lambda b, w: ({**b, "members": 0}, _without(w, "network_")),
        lambda b, w: (b, _without(w, "part_forest/left")),
        lambda b, w: ({**b, "parts": [["ridge", "nothing", "linear", "linear"]]}, w),
        lambda b, w: ({**b, "parts": b["parts"] + b["parts"]}, w),
        lambda b, w: ({**b, "parts": "lags"}, w),
        lambda b, w: (b, {**w, "mixture/weights": w["mixture/weights"][1:]}),
        lambda b, w: (b, {**w, "mixture/weights": w["mixture/weights"] * np.nan}),
        lambda b, w: (b, {**w, "more/kernel": np.zeros(1, np.float32)}),
        lambda b, w: (b, {**w, "part_ridge/kernel": w["part_ridge/kernel"][:-1]}),
        lambda b, w: (b, {**w, "part_forest/left": np.zeros_like(w["part_forest/left"])}),
    ],
)
def test_an_ensemble_that_no_training_left_is_refused(heavy: Path, tmp_path: Path, change: Any) -> None:
    path = _repacked(heavy, tmp_path / "bad.backmix", change)
    for load in (Bundle.load, Runtime.load):
        with pytest.raises(BundleError, match=r"weights\.safetensors|mixture\.json"):
            load(path)


def _from(bundle: Path, folder: Path) -> Run:
    plan = small_plan(
        training={"warm_start": str(bundle), "epochs": 1},
        task={"kind": "soft_sensor", "target": "quality", "past_targets": {"delay": 2, "count": 2}},
    )
    return fit(small_table(seed=1), plan.merged({"model": {"recipe": "auto"}}), folder=folder, quiet=True)


def test_training_goes_on_from_a_network_of_an_ensemble(heavy: Path, tmp_path: Path) -> None:
    run = _from(heavy, tmp_path / "on")
    assert run.summary["network"] == "gru"
    assert any(decision["reason_key"] == "ensemble.alone_start" for decision in run.summary["choices"])


def test_training_begins_afresh_where_the_model_runs_no_network(mixed_run: Run, tmp_path: Path) -> None:
    run = _from(mixed_run.bundle_path, tmp_path / "on")
    assert run.summary["network"] == "ensemble"
    said = [choice for choice in run.summary["choices"] if choice["setting"] == "training.warm_start"]
    assert [choice["reason_key"] for choice in said] == ["warm.afresh"]


def test_networks_without_weight_are_not_in_the_bundle(mixed_run: Run, tmp_path: Path) -> None:
    """What runs is what is stored, explained, exported and described."""
    bundle = mixed_run.bundle
    assert mixed_run.summary["runs"] == {"pls": 1.0} == bundle.shares
    assert mixed_run.summary["judgement"]["recurrent"] == 0
    assert bundle.inside is None
    assert not any(name.startswith("network_") for name in bundle.weights)
    insight = mixed_run.summary["insight"]
    assert insight["runs"] == {"pls": 1.0}
    assert set(insight["memory"].values()) == {None}
    with pytest.raises(PlanError, match="ensemble of pls, which is no Keras network"):
        exporters.get("keras").write(bundle, tmp_path / "model.keras")
    report = mixed_run.report_path().read_text("utf-8")
    assert "What runs has no network in it: PLS" in report
    assert "was trained and tried, and is not part of the model" in report


@pytest.mark.parametrize("kernels", KERNELS)
def test_an_ensemble_without_networks_runs_and_is_stepped_without_them(mixed_run: Run, kernels: bool) -> None:
    runtime, rows = (
        Runtime.load(mixed_run.bundle_path, kernels=kernels),
        shown_rows(Runtime.load(mixed_run.bundle_path)),
    )
    assert not runtime.native
    assert runtime.lookback is not None
    said = mixed_run.bundle.predict(small_table())[0].set_index("origin")["prediction"]
    out, _ = runtime.carry(rows, runtime.start())
    ends = np.arange(runtime.lookback - 1, len(rows))
    np.testing.assert_allclose(out[ends, 0], said.loc[ends + 2], rtol=1e-5)


def test_a_network_without_weight_in_an_earlier_bundle_is_not_run(heavy: Path, tmp_path: Path) -> None:
    """Releases up to 0.1 kept one of them: their bundles say the same bits."""
    model = Bundle.load(heavy).network
    weights = model.weights.copy()
    weights[0] = 0.0
    old, new = (replace(model, members=members, weights=weights) for members in (model.members[-1:], ()))
    preprocessing = Bundle.load(heavy).preprocessing
    said = []
    for place, ensemble in enumerate((old, new)):
        path = Bundle.of(ensemble, preprocessing=preprocessing).save(tmp_path / f"{place}.backmix")
        bundle = Bundle.load(path)
        assert bundle.inside is None
        assert bundle.start("it").give is None
        said.append(bundle.predict(small_table())[0]["prediction"])
    np.testing.assert_array_equal(*said)
    assert (tmp_path / "1.backmix").stat().st_size < (tmp_path / "0.backmix").stat().st_size


def test_partitions_scored_side_by_side_are_the_whole(mixed_run: Run, diagnosis_run: Run) -> None:
    """Law: how many workers there are changes no bit; one worker here may round otherwise."""
    for run, table in ((mixed_run, small_table()), (diagnosis_run, small_table(classes=True))):
        here, two, three = (run.bundle.predict(table, workers=Workers(count))[0] for count in (1, 2, 3))
        numbers = [name for name in here.columns if name.startswith("p:")] or ["prediction", "low", "high"]
        np.testing.assert_array_equal(two[numbers], three[numbers])
        np.testing.assert_allclose(two[numbers], here[numbers], rtol=1e-4, atol=1e-4)
        assert two["origin"].tolist() == here["origin"].tolist()


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize("on", ["ray", "dask"])
def test_a_cluster_scores_the_bits_of_local_workers(mixed_run: Run, on: Any) -> None:
    """A real cluster of two workers on this machine."""
    here, there = (mixed_run.bundle.predict(small_table(), workers=Workers(2, where))[0] for where in ("local", on))
    pd.testing.assert_frame_equal(there, here)
