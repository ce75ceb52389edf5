"""Laws of a whole run, for every registered task that runs on the small plant."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backmix
from backmix.data.ledger import Ledger
from backmix.data.sources import Reading
from backmix.data.table import Table
from backmix.results.run import Run
from backmix.training.prepare import prepare
from backmix.workflow import fit
from small import small_plan, small_table

LAWFUL = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _reading(table: Table) -> Reading:
    return Reading(table=table, ledger=Ledger(read=len(table)))


def _changed(table: Table, rows: slice, seed: int) -> Table:
    """The table with other input and target values in some rows."""
    values = np.array(table.values)
    rng = np.random.default_rng(seed)
    values[rows, :3] += rng.normal(scale=50, size=values[rows, :3].shape)
    if not table.tags[3].categories:
        values[rows, 3] += rng.normal(scale=50, size=values[rows, 3].shape)
    return replace(table, values=values)


@pytest.mark.parametrize("name", ["sensor_run", "diagnosis_run"])
@LAWFUL
@given(cut=st.integers(60, 400), seed=st.integers(0, 10_000))
def test_changing_the_future_leaves_past_predictions_bit_identical(
    request: pytest.FixtureRequest, name: str, cut: int, seed: int
) -> None:
    run: Run = request.getfixturevalue(name)
    table = small_table(classes=name == "diagnosis_run")
    numbers = ["prediction"] if name == "sensor_run" else ["p:normal", "p:fouling", "p:leak"]
    before, _ = run.bundle.predict(table)
    after, _ = run.bundle.predict(_changed(table, slice(cut, None), seed))
    past = before["origin"] < cut
    np.testing.assert_array_equal(before.loc[past, numbers].to_numpy(), after.loc[past, numbers].to_numpy())


@LAWFUL
@given(seed=st.integers(0, 10_000), classes=st.booleans())
def test_changing_the_other_rows_leaves_all_that_was_learned_byte_identical(seed: int, classes: bool) -> None:
    """Trap P and course items 20 and 63: rules and scalers know the training rows only."""
    table, plan = small_table(classes=classes), small_plan(classes=classes)
    first = prepare(_reading(table), plan)
    last_training_row = int(first.train.target_rows.max())
    second = prepare(_reading(_changed(table, slice(last_training_row + 1, None), seed)), plan)
    assert json.dumps(first.preprocessing.to_dict()) == json.dumps(second.preprocessing.to_dict())


@pytest.mark.parametrize("name", ["sensor_run", "diagnosis_run"])
def test_a_bundle_survives_its_file_bit_for_bit(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> None:
    """Course items 21, 70 and 72; traps V and X: scaler, units and form come back without the training set."""
    run: Run = request.getfixturevalue(name)
    table = small_table(classes=name == "diagnosis_run")
    path = run.save(tmp_path / "again.backmix")
    again = backmix.load(path)
    assert path.read_bytes() == run.bundle_path.read_bytes()
    assert again.save(tmp_path / "third.backmix").read_bytes() == path.read_bytes()
    one, _ = run.bundle.predict(table)
    two, _ = again.predict(table)
    assert one.equals(two)
    assert again.preprocessing.to_dict() == run.bundle.preprocessing.to_dict()
    assert again.preprocessing.task.targets[0].unit == table.tags[3].unit


def test_the_order_of_the_columns_means_nothing(sensor_run: Run, tmp_path: Path) -> None:
    table = small_table()
    ensemble = table.select(["P103", "quality", "T101", "F102"])
    run = fit(ensemble, small_plan(), folder=tmp_path / "mixed", quiet=True)
    one, _ = sensor_run.bundle.predict(table)
    two, _ = run.bundle.predict(ensemble)
    np.testing.assert_array_equal(one["prediction"].to_numpy(), two["prediction"].to_numpy())


def test_the_same_seed_gives_the_same_run(sensor_run: Run, tmp_path: Path) -> None:
    again = fit(small_table(), small_plan(), folder=tmp_path / "again", quiet=True)
    other = fit(small_table(), small_plan(training={"seed": 1}), folder=tmp_path / "other", quiet=True)
    assert again.predictions.equals(sensor_run.predictions)
    assert not other.predictions.equals(sensor_run.predictions)


@LAWFUL
@given(holes=st.lists(st.tuples(st.integers(0, 419), st.integers(0, 3), st.integers(1, 20)), max_size=6))
def test_read_rows_are_used_repaired_or_dropped(holes: list[tuple[int, int, int]]) -> None:
    table = small_table()
    values = np.array(table.values)
    for row, column, length in holes:
        values[row : row + length, column] = np.nan
    prepared = prepare(_reading(replace(table, values=values)), small_plan())
    account = prepared.account
    assert account.read == len(table)
    assert account.read == account.used + account.repaired + account.dropped
