"""States as inputs, the whole way: plan, windows, bundle, light runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backmix.data.quality import Quality
from backmix.data.splitting.split import SplitPart
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.models.network import build
from backmix.models.weights import take_weights
from backmix.serving.bundle import Bundle
from backmix.serving.history import score_history
from backmix.serving.runtime import Runtime
from backmix.training.design import design
from backmix.training.fitting.warm import Start
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from small import reading, small_plan, small_table

RECIPES = ("A100", "B200", "C300", "Z900")


def plant(rows: int = 300) -> Table:
    """The small plant with a valve and a recipe, whose last rows show a recipe that no row before did."""
    table = small_table(rows)
    rng = np.random.default_rng(3)
    recipe = np.repeat(rng.integers(0, 3, size=1 + rows // 15), 15)[:rows].astype(float)
    recipe[-8:] = 3
    recipe[20] = np.nan
    valve = (np.arange(rows) // 9 % 2).astype(float)
    return table.with_columns(
        [Tag("Recipe", categories=RECIPES), Tag("XV105", categories=("CLOSED", "OPEN"))],
        np.column_stack([recipe, valve]),
    )


def untrained(prepared: Prepared) -> Bundle:
    architecture = design(prepared).architecture
    return Bundle(
        preprocessing=prepared.preprocessing,
        architecture=architecture,
        weights=take_weights(build(architecture, seed=0)),
    )


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(reading(plant()), small_plan())


@pytest.fixture(scope="module")
def bundle(prepared: Prepared) -> Bundle:
    return untrained(prepared)


def test_the_features_carry_the_names_of_the_states(prepared: Prepared) -> None:
    names = prepared.preprocessing.spec.feature_names
    assert names == ("F102", "P103", "Recipe = A100", "Recipe = B200", "Recipe = C300", "T101", "XV105 = OPEN")
    assert [tag.name for tag in prepared.preprocessing.measured] == ["F102", "P103", "Recipe", "T101", "XV105"]
    notes = {note.reason: note for note in prepared.ledger.notes}
    assert notes["read.reason_unseen_state"].example == "Z900"
    assert notes["read.reason_unseen_state"].count == 8
    said = [decision for decision in prepared.decisions if decision.reason_key == "prepare.states"]
    assert [decision.values["tag"] for decision in said] == ["Recipe", "XV105"]
    assert prepared.test.worst_quality()[-1] == Quality.UNCERTAIN


def test_rows_after_training_teach_no_state(prepared: Prepared) -> None:
    later = ~prepared.split.rows(SplitPart.TRAIN)
    table = plant()
    values = np.array(table.values)
    values[later, 4], values[later, 5] = 3, 0
    again = prepare(reading(replace(table, values=values)), small_plan()).preprocessing
    assert again.states == prepared.preprocessing.states
    assert again.scaler.to_dict() == prepared.preprocessing.scaler.to_dict()


def test_the_order_of_columns_and_of_states_changes_nothing(bundle: Bundle) -> None:
    table = plant()
    said, _ = bundle.predict(table)
    turned = table.select(["XV105", "quality", "Recipe", "P103", "T101", "F102"])
    values = np.array(turned.values)
    values[:, 2] = 3 - values[:, 2]
    other = replace(turned, values=values).retag({"Recipe": Tag("Recipe", categories=RECIPES[::-1])})
    assert bundle.predict(other)[0]["prediction"].equals(said["prediction"])
    assert bundle.predict(table.select(table.names))[0]["quality"].tolist()[-8:] == ["uncertain"] * 8


def test_a_bundle_with_states_comes_back_to_the_bit(bundle: Bundle, tmp_path: Path) -> None:
    path = bundle.save(tmp_path / "states.backmix")
    back = Bundle.load(path)
    assert back.preprocessing == bundle.preprocessing or back.preprocessing.to_dict() == bundle.preprocessing.to_dict()
    assert back.predict(plant())[0]["prediction"].equals(bundle.predict(plant())[0]["prediction"])


@pytest.mark.parametrize("kernels", [None, False])
def test_the_light_runtime_takes_states_by_name(bundle: Bundle, tmp_path: Path, kernels: bool | None) -> None:
    runtime = Runtime.load(bundle.save(tmp_path / "states.backmix"), kernels=kernels)
    assert runtime.stated.columns == ("F102", "P103", "Recipe", "T101", "XV105")
    table = plant()
    frame = table.select(list(runtime.stated.columns)).to_frame()
    encoded = runtime.encode(frame.to_dict("records"))
    assert encoded.uncertain.tolist() == [False] * 292 + [True] * 8
    windows, _ = bundle.preprocessing.windows(table, need_target=False)
    at = windows.origins > 40
    expected = bundle.predict(table)[0]["prediction"].to_numpy()[at]
    blocks = np.stack([encoded.values[row - 5 : row + 1] for row in windows.origins[at]])
    np.testing.assert_allclose(runtime.predict(blocks).ravel(), expected, rtol=2e-5, atol=2e-5)
    with pytest.raises(InputError, match="'P103'"):
        runtime.encode([{"F102": 1.0}])
    with pytest.raises(InputError, match="'wet'"):
        runtime.encode([dict.fromkeys(runtime.stated.columns, 1.0) | {"F102": "wet"}])
    odd = dict.fromkeys(runtime.stated.columns, 1.0) | {"Recipe": "Bad Input", "XV105": None}
    assert np.isnan(runtime.encode([odd]).values).sum() == 4


def test_a_history_with_states_is_scored_block_by_block(bundle: Bundle, tmp_path: Path) -> None:
    import pandas as pd

    runtime = Runtime.load(bundle.save(tmp_path / "states.backmix"))
    frame = plant().to_frame().reset_index()
    frame.to_parquet(tmp_path / "in.parquet")
    account = score_history(runtime, tmp_path / "in.parquet", tmp_path / "out.parquet")
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert account.read == 300
    assert out["quality"].tolist()[-8:] == ["uncertain"] * 8
    said = bundle.predict(plant())[0]
    np.testing.assert_allclose(out["prediction"].to_numpy()[-9:], said["prediction"].to_numpy()[-9:], rtol=2e-5)


def test_a_file_on_whose_day_a_pump_only_runs_is_read_the_same_way(tmp_path: Path) -> None:
    table = plant().retag({"XV105": Tag("XV105", categories=("Running", "Stopped"))})
    prepared = prepare(reading(table), small_plan())
    bundle = untrained(prepared)
    frame = table.to_frame().iloc[30:60].drop(columns="quality")
    frame.loc[:, "XV105"] = "Running"
    frame.to_csv(tmp_path / "day.csv")
    said, ledger = bundle.predict_file(tmp_path / "day.csv")
    assert len(said)
    assert not [note for note in ledger.notes if note.tag == "XV105" and note.action == "marked"]
    frame.iloc[3, frame.columns.get_loc("XV105")] = "Bad Input"
    frame.to_csv(tmp_path / "day.csv")
    _, ledger = bundle.predict_file(tmp_path / "day.csv")
    assert [
        note.count for note in ledger.notes if note.tag == "XV105" and note.reason == "read.reason_status_text"
    ] == [1]


def test_training_goes_on_with_the_states_of_the_model(bundle: Bundle) -> None:
    start: Start = bundle.start("states.backmix")
    again = prepare(reading(plant()), small_plan(), start=start)
    assert again.preprocessing.states == bundle.preprocessing.states
    assert again.preprocessing.spec.feature_names == bundle.preprocessing.spec.feature_names


def test_too_many_states_stop_with_the_way_out() -> None:
    table = plant()
    names = tuple(f"R{n:02d}" for n in range(30))
    values = np.array(table.values)
    values[:, 4] = np.arange(len(table)) % 30
    with pytest.raises(InputError, match=r"30 states.*states = 30"):
        prepare(reading(replace(table, values=values).retag({"Recipe": Tag("Recipe", categories=names)})), small_plan())


def test_a_state_that_lasts_one_row_is_no_spike() -> None:
    table = plant()
    values = np.array(table.values)
    values[:, 5] = np.arange(len(table)) % 2
    plan = small_plan(repair={"outliers": "mask", "frozen": 6})
    found = prepare(reading(replace(table, values=values)), plan)
    rules = {rule.name: rule for rule in found.preprocessing.repair.tags}
    assert rules["XV105 = OPEN"].scale is None
    assert not rules["Recipe = A100"].watched
    assert not np.isnan(found.table.column("XV105 = OPEN")).any()
