"""A run with operating regimes: when they are used, and that bundle and light runtime scale by them too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backmix.data.splitting.split import SplitPart
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.decision import Decision
from backmix.errors import PlanError
from backmix.models.network import build
from backmix.models.weights import take_weights
from backmix.serving.bundle import Bundle
from backmix.serving.history import score_history
from backmix.serving.runtime import Runtime
from backmix.text import LANGUAGES
from backmix.training.design import design
from backmix.training.plan import Plan, PlanFaults
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from small import reading, small_plan, small_table

LOADS = np.array([0.2, 0.5, 1.0])
ROWS = 1500
STATES = ("full", "half", "low")


def plant(rows: int = ROWS, *, states: bool = False, hides: bool = True) -> Table:
    """A drive at three loads that change all the time; wear moves its sensors by much less than the load does."""
    rng = np.random.default_rng(5)
    code = rng.integers(0, 3, rows)
    wear = np.zeros(rows)
    for row in range(1, rows):
        wear[row] = 0.9 * wear[row - 1] + rng.standard_normal()
    level = np.array([10.0, 300.0, 90.0])[code] if hides else np.array([10.0, 10.1, 9.9])[code]
    gain = np.array([1.0, 0.2, 3.0])[code] if hides else np.ones(rows)
    power = level + gain * (wear + 0.2 * rng.standard_normal(rows))
    heat = np.array([50.0, 10.0, 80.0])[code] + 0.1 * rng.standard_normal(rows)
    load = code.astype(float) if states else LOADS[code]
    time = np.datetime64("2026-03-01T00:00", "ns") + np.arange(rows) * np.timedelta64(60_000_000_000, "ns")
    tags = (Tag("load", categories=STATES if states else ()), Tag("power"), Tag("heat"), Tag("wear", role="target"))
    return Table(np.column_stack([load, power, heat, wear]), tags, time=time, source="drive")


def plan_of(**scaling: Any) -> Plan:
    task = {"kind": "soft_sensor", "target": "wear"}
    return small_plan(task=task, scaling=scaling) if scaling else small_plan(task=task)


def told(prepared: Prepared) -> list[Decision]:
    return [decision for decision in prepared.decisions if decision.setting == "scaling.regimes"]


def untrained(prepared: Prepared) -> Bundle:
    architecture = design(prepared).architecture
    return Bundle(
        preprocessing=prepared.preprocessing,
        architecture=architecture,
        weights=take_weights(build(architecture, seed=0)),
    )


def test_regimes_that_hide_the_signal_are_found_and_used() -> None:
    prepared = prepare(reading(plant()), plan_of())
    (decision,) = told(prepared)
    assert decision.reason_key == "regimes.help"
    assert decision.value == ("load",)
    assert "3 operating regimes by load" in decision.reason("en")
    assert all(decision.reason(lang) for lang in LANGUAGES)
    regimes = prepared.preprocessing.regimes
    assert regimes is not None
    assert regimes.names == ("heat", "power")
    assert prepared.regime_codes is not None
    assert set(prepared.regime_codes) == {0, 1, 2}
    assert abs(np.corrcoef(prepared.table.column("power"), prepared.table.column("wear"))[0, 1]) > 0.9


def test_a_table_without_settings_says_nothing_and_is_left_as_it_is() -> None:
    asked, off = (prepare(reading(small_table()), small_plan(scaling={"regimes": word})) for word in ("auto", "off"))
    assert not told(asked)
    assert asked.preprocessing.regimes is None
    assert asked.preprocessing.to_dict() == off.preprocessing.to_dict()
    np.testing.assert_array_equal(asked.table.values, off.table.values)


def test_regimes_that_do_not_help_are_named_with_the_reason() -> None:
    table = plant(hides=False)
    prepared = prepare(reading(table), plan_of())
    (decision,) = told(prepared)
    assert (decision.value, decision.reason_key) == ("off", "regimes.no_help")
    assert all(decision.reason(lang) for lang in LANGUAGES)
    assert prepared.preprocessing.regimes is None
    assert prepared.regime_codes is None


def test_off_is_off_and_the_plan_can_ask() -> None:
    table = plant()
    assert not told(prepare(reading(table), plan_of(regimes="off")))
    for asked in ({"tags": ["load"]}, {"tags": ["load"], "kind": "clusters", "count": 3}):
        prepared = prepare(reading(table), plan_of(regimes=asked))
        (decision,) = told(prepared)
        assert decision.reason_key == "regimes.asked"
        assert prepared.preprocessing.regimes is not None
        assert prepared.preprocessing.regimes.kind == asked.get("kind", "levels")
        counts = sorted(prepared.preprocessing.regimes.rows)
    few = prepare(reading(table), plan_of(regimes={"tags": ["load"], "least_rows": counts[1]}))
    assert few.preprocessing.regimes is not None
    assert few.preprocessing.regimes.pooled.sum() == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"tags": ["lod"]}, "[scaling.regimes] — 'lod' is no input of the model. Name inputs: heat, load, power"),
        (
            {"tags": ["load"], "kind": "state"},
            "[scaling.regimes] — kind = \"state\" needs tags with states, and 'load' holds numbers. "
            'Set kind = "levels" or "clusters"',
        ),
        (
            {"tags": ["power"], "kind": "levels"},
            "[scaling.regimes] — power (levels) do not show two regimes with at least 100 training rows each. "
            'Name other tags, lower least_rows, set kind = "clusters", or regimes = "off"',
        ),
    ],
)
def test_what_cannot_tell_regimes_is_refused(asked: dict[str, Any], message: str) -> None:
    table = plant()
    smooth = table.with_columns([Tag("power")], np.linspace(0, 1, ROWS) ** 2)
    with pytest.raises(PlanError) as refused:
        prepare(reading(smooth), plan_of(regimes=asked))
    assert str(refused.value) == message


def test_a_count_belongs_to_clusters() -> None:
    with pytest.raises(PlanFaults, match='count is the number of clusters: set kind = "clusters" with it'):
        plan_of(regimes={"tags": ["load"], "count": 3})


def test_the_plan_is_written_back_as_it_was() -> None:
    plan = plan_of(regimes={"tags": ["load"], "kind": "levels", "least_rows": 50})
    assert Plan.parse(plan.to_toml()) == plan


def test_test_rows_teach_nothing() -> None:
    """Whatever stands in the test part, regimes and scalers are byte-identical."""
    table = plant()
    first = prepare(reading(table), plan_of())
    rows = first.split.rows(SplitPart.TEST)
    values = np.array(table.values)
    values[rows] = values[rows][::-1] * 1.5
    second = prepare(reading(replace(table, values=values)), plan_of())
    assert first.preprocessing.to_dict() == second.preprocessing.to_dict()


def test_the_order_of_columns_changes_nothing() -> None:
    table = plant()
    mixed = prepare(reading(table.select(["wear", "heat", "load", "power"])), plan_of()).preprocessing.to_dict()
    same = prepare(reading(table), plan_of()).preprocessing.to_dict()
    assert (mixed["regimes"], mixed["scaler"]) == (same["regimes"], same["scaler"])


def test_a_window_crosses_regimes_and_each_row_has_its_own_scaling() -> None:
    prepared = prepare(reading(plant()), plan_of())
    windows, regimes = prepared.train, prepared.preprocessing.regimes
    assert regimes is not None
    raw, x = plant(), windows.gather(np.array([40])).x[0]
    end = int(windows.origins[40])
    rows = np.arange(end - 5, end + 1)
    assert len(set(prepared.regime_codes[rows])) > 1  # type: ignore[index]
    for row, given in zip(rows, x, strict=True):
        code = int(np.abs(LOADS - raw.column("load")[row]).argmin())
        for name in regimes.names:
            at = regimes.names.index(name)
            own = (raw.column(name)[row] - regimes.own_center[code, at]) / regimes.own_scale[code, at]
            place = prepared.preprocessing.spec.inputs.index(name)
            whole = regimes.center[at] + regimes.scale[at] * own
            scaler = prepared.preprocessing.scaler
            assert given[place] == pytest.approx((whole - scaler.center[place]) / scaler.scale[place], abs=1e-5)


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("states", [True, False])
def test_bundle_and_runtime_say_the_same_row_by_row(tmp_path: Path, states: bool, kernels: bool) -> None:
    bundle = untrained(prepare(reading(plant(states=states)), plan_of()))
    assert bundle.preprocessing.regimes is not None
    path = tmp_path / "drive.backmix"
    bundle.save(path)
    again = Bundle.load(path)
    assert again.preprocessing.to_dict() == bundle.preprocessing.to_dict()
    table = plant(200, states=states)
    frame, _ = bundle.predict(table)
    same, _ = again.predict(table)
    pd.testing.assert_frame_equal(frame, same)
    runtime = Runtime.load(path, kernels=kernels)
    columns = {tag.name: table.column(tag.name) for tag in table.tags[:3]}
    if states:
        columns["load"] = np.array(STATES, dtype=object)[columns["load"].astype(int)]
    rows = runtime.encode([dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)])
    assert not rows.uncertain.any()
    np.testing.assert_allclose(runtime.slide(rows.values)[:, 0], frame["prediction"], atol=1e-5)
    state, last = runtime.start(), None
    for row in rows.values[20:26]:
        last, state = runtime.step(row, state)
    np.testing.assert_allclose(last, frame["prediction"].iloc[20], atol=1e-5)
    carried, _ = runtime.carry(rows.values[20:26], runtime.start())
    np.testing.assert_allclose(carried[-1], last, atol=1e-6)


def test_a_new_regime_and_a_bad_state_are_uncertain_everywhere(tmp_path: Path) -> None:
    bundle = untrained(prepare(reading(plant(states=True)), plan_of()))
    path = tmp_path / "drive.backmix"
    bundle.save(path)
    table = plant(120, states=True)
    values = np.array(table.values)
    values[50, 0] = 3
    values[80:95, 0] = np.nan
    tags = (Tag("load", categories=(*STATES, "overload")), *table.tags[1:])
    frame, ledger = bundle.predict(replace(table, values=values, tags=tags))
    expected = np.zeros(120, bool)
    for row in (50, *range(80, 95)):
        expected[row : row + 6] = True
    assert (frame["quality"] == "uncertain").tolist() == expected[5:].tolist()
    reasons = {note.reason for note in ledger.notes}
    assert {"regimes.reason_unseen", "regimes.reason_missing_state"} <= reasons
    words = [None if np.isnan(code) else (*STATES, "overload")[int(code)] for code in values[:, 0]]
    pd.DataFrame({"load": words, "power": values[:, 1], "heat": values[:, 2]}).to_parquet(tmp_path / "in.parquet")
    score_history(Runtime.load(path), tmp_path / "in.parquet", tmp_path / "out.parquet")
    scored = pd.read_parquet(tmp_path / "out.parquet")
    assert (scored["quality"].iloc[5:] == "uncertain").tolist() == expected[5:].tolist()


def test_a_bundle_without_regimes_has_no_such_key_and_a_foreign_one_is_refused() -> None:
    plain = prepare(reading(small_table()), small_plan()).preprocessing
    assert "regimes" not in plain.to_dict()
    data = prepare(reading(plant()), plan_of()).preprocessing.to_dict()
    data["regimes"]["names"] = ["heat", "pressure"]
    with pytest.raises(ValueError, match="regimes"):
        type(plain).from_dict(data)
