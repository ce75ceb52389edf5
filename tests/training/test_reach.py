"""A member that looks farther back than the networks: chosen on held-out blocks, and the same wherever it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backmix.data.ledger import Ledger
from backmix.data.reading.reading import Reading
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.reach import reaches
from backmix.data.windows.windows import Windows, WindowSpec, build_windows
from backmix.errors import BundleError, InputError, PlanError
from backmix.inspection import QUICK, Subject, look
from backmix.models.ensemble import Ensemble
from backmix.models.kernels import available
from backmix.serving.archive import pack, unpack
from backmix.serving.bundle import Bundle
from backmix.serving.runtime import Runtime
from backmix.simple.blocks import Blocks
from backmix.training.beside import begin
from backmix.training.design import design
from backmix.training.ensemble import ensemble_blocks, fit_candidates, fit_model
from backmix.training.predict import predict_arrays, predict_network
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from small import small_plan

KERNELS = [
    pytest.param(True, marks=pytest.mark.skipif(not available(), reason="the kernels were not built"), id="kernels"),
    pytest.param(False, id="numpy"),
]
SLOW = 150.0
"""Time constant of the tank in rows."""


def tank(slow: float = SLOW, rows: int = 4000) -> Table:
    """A level that follows two flows, slowly or at once."""
    rng = np.random.default_rng(4)
    u = np.repeat(rng.normal(size=(rows // 20, 2)), 20, axis=0) + 0.3 * rng.normal(size=(rows, 2))
    level = np.zeros(rows)
    for row in range(1, rows):
        level[row] = level[row - 1] + (u[row - 1] @ [1.0, -0.5] - level[row - 1]) / slow
    level += 0.01 * level.std() * rng.normal(size=rows)
    tags = (Tag("flow_in"), Tag("flow_out"), Tag("level", role="target"))
    return Table(np.column_stack([u, level]), tags)


def prepared_of(table: Table) -> Prepared:
    plan = small_plan(
        task={"kind": "soft_sensor", "target": "level"},
        windows={"lookback": "auto", "stride": 4},
        model={"recipe": "auto", "members": 3, "units": [4], "summaries": False},
        training={"epochs": 1},
    )
    return prepare(Reading(table=table, ledger=Ledger(read=len(table))), plan)


@pytest.fixture(scope="module")
def slow() -> Prepared:
    return prepared_of(tank())


@pytest.fixture(scope="module")
def ensemble(slow: Prepared) -> Ensemble:
    """An ensemble in which networks, a usual member and the one that looks farther back all have a say."""
    blocks = ensemble_blocks(slow)
    assert isinstance(blocks, Blocks)
    found = {candidate.part.name: candidate.part for candidate in fit_candidates(slow, blocks)}
    trained = fit_model(slow, design(slow), blocks)
    assert trained.alone is not None
    weights = np.array([[0.2], [0.3], [0.5]])
    lookback = slow.preprocessing.spec.lookback
    parts = (found["ridge"], found["ridge_long"])
    return Ensemble(trained.alone.architecture, trained.alone.members, parts, weights, lookback)


@pytest.fixture(scope="module")
def kept(slow: Prepared, ensemble: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "tank.backmix"
    return Bundle.of(ensemble, preprocessing=slow.preprocessing).save(path)


def test_a_slow_plant_gets_a_longer_lookback_and_its_networks_do_not(slow: Prepared) -> None:
    spec = slow.preprocessing.spec
    assert spec.lookback is not None
    assert spec.seen is not None
    assert spec.lookback > 1.5 * spec.seen
    assert design(slow).architecture.lookback == spec.seen == slow.train.steps
    (why,) = [decision for decision in slow.decisions if decision.reason_key == "simple.longer"]
    assert why.value == spec.lookback
    assert f"the newest {spec.seen}" in why.reason("en")
    # parts are kept apart by what the farthest-looking member sees
    _, last = reaches(slow.train)
    first, _ = reaches(slow.validation)
    assert first.min() - last.max() >= 1
    models = begin(slow, ensemble_blocks(slow)).more(["ridge", "ridge_long"])
    errors = {
        name: np.sqrt(np.mean((models[name].model.predict(slow.test).values - slow.test.truth()) ** 2))
        for name in ("ridge", "ridge_long")
    }
    assert errors["ridge_long"] < 0.9 * errors["ridge"]


def test_a_quick_plant_does_not() -> None:
    quick = prepared_of(tank(slow=5.0))
    assert quick.preprocessing.spec.seen is None
    models = begin(quick, ensemble_blocks(quick)).more(["ridge_long"])
    assert models.why("ridge_long").key == "simple.no_longer"


def test_what_most_models_see_is_the_newest_of_the_entire_window() -> None:
    table = tank(rows=200)
    plain = WindowSpec(inputs=("flow_in", "flow_out"), targets=("level",), lookback=30, dead_time=2)
    windows = build_windows(table, replace(plain, seen=10))
    whole = build_windows(table, plain)
    np.testing.assert_array_equal(windows.origins, whole.origins)
    some = np.arange(5)
    np.testing.assert_array_equal(windows.gather(some).x, whole.gather(some).x[:, -10:])
    np.testing.assert_array_equal(windows.entire.gather(some).x, whole.gather(some).x)
    for mine, theirs in zip(reaches(windows), reaches(whole), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert windows.spec.reach == whole.spec.reach
    for wrong in ({"seen": 31}, {"seen": 0}, {"seen": 5, "lookback": None}):
        with pytest.raises(PlanError, match="seen"):
            replace(plain, dead_time=0, **wrong)


def test_the_ensemble_is_the_weighed_sum_of_what_each_sees(slow: Prepared, ensemble: Ensemble) -> None:
    windows: Windows = slow.test
    models = begin(slow, ensemble_blocks(slow)).more(["ridge", "ridge_long"])
    each = [
        np.mean([predict_network(network, windows) for network in ensemble.members], axis=0),
        *(models[name].model.raw(windows) for name in ("ridge", "ridge_long")),  # type: ignore[attr-defined]
    ]
    wanted = sum(weight * one for weight, one in zip(ensemble.weights, each, strict=True))
    np.testing.assert_allclose(predict_network(ensemble, windows), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="rows"):
        predict_arrays(ensemble, {"x": windows.gather(np.arange(3)).x})


def test_it_is_explained_with_all_that_its_members_see(slow: Prepared, ensemble: Ensemble) -> None:
    """Permutation and attribution of the whole reach, memory of the newest rows that its networks see."""
    subject = Subject.of(slow, ensemble, ensemble.architecture)
    assert subject.sample(4).x.shape[1] == slow.test.spec.lookback
    assert subject.alone.sample(4).x.shape[1] == ensemble.architecture.lookback < slow.test.spec.lookback
    insight = look(subject, QUICK)
    assert insight.attribution is not None
    assert len(insight.attribution.age) == slow.test.spec.lookback
    assert insight.permutation is not None
    assert insight.memory is None or insight.memory.lookback == ensemble.architecture.lookback


def test_out_of_its_bundle_it_says_the_same_bits(kept: Path, tmp_path: Path) -> None:
    one = Bundle.load(kept)
    again = Bundle.load(one.save(tmp_path / "again.backmix"))
    assert kept.read_bytes() == (tmp_path / "again.backmix").read_bytes()
    a, b = (bundle.predict(tank())[0] for bundle in (one, again))
    np.testing.assert_array_equal(a["prediction"], b["prediction"])
    assert a["origin"].min() == one.preprocessing.spec.lookback - 1  # type: ignore[operator]
    start = one.start("tank")
    assert start.preprocessing.spec.lookback == start.architecture.lookback
    assert start.preprocessing.spec.seen is None


@pytest.mark.parametrize("kernels", KERNELS)
def test_the_light_runtime_says_the_same(kept: Path, kernels: bool) -> None:
    runtime, table = Runtime.load(kept, kernels=kernels), tank()
    steps = runtime.lookback
    assert steps == Bundle.load(kept).preprocessing.spec.lookback
    rows = np.column_stack([table.column(name) for name in runtime.inputs])[: steps + 40]
    windows = np.stack([rows[at : at + steps] for at in range(41)])
    truth = Bundle.load(kept).predict(table)[0].set_index("origin")["prediction"]
    said = runtime.predict(windows)
    np.testing.assert_allclose(said[:, 0], truth.loc[np.arange(steps - 1, steps + 40)], rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(runtime.slide(rows), said, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="whole"):
        runtime.step(rows[0], runtime.start())
    with pytest.raises(InputError, match="whole"):
        runtime.carry(rows, runtime.start())


@pytest.mark.parametrize("lookback", [3, True, 10**9, "60", None])
def test_a_bundle_with_another_lookback_is_refused(kept: Path, tmp_path: Path, lookback: object) -> None:
    import json

    members = dict(unpack(kept))
    mixture = json.loads(members["mixture.json"])
    mixture["lookback"] = lookback
    members["mixture.json"] = json.dumps(mixture).encode()
    pack(tmp_path / "bad.backmix", members, version="0.1.0")
    with pytest.raises(BundleError):
        Bundle.load(tmp_path / "bad.backmix")
