"""Operating regimes: how they are found, and what a scaling per regime does to the rows of a table."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.quality import Quality
from backmix.data.scaling import fit_scaler
from backmix.data.scaling.finding import Settings, candidates, clustered, find_regimes, levels, silhouette
from backmix.data.scaling.regimes import UNKNOWN, Regimes, RowLevelling, at_one_level
from backmix.data.states import code_states, learn_states
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.text import LANGUAGES

LEVELS = np.array([0.0, 20.0, 42.0])
ROWS = 600


def plant(seed: int = 0, rows: int = ROWS, jitter: float = 0.005) -> Table:
    """Three loads that change from row to row, two sensors that follow them, and one that does not."""
    rng = np.random.default_rng(seed)
    code = rng.integers(0, 3, rows)
    wear = rng.standard_normal(rows)
    flow = np.array([100.0, 300.0, 900.0])[code] + np.array([1.0, 5.0, 2.0])[code] * wear
    heat = np.array([50.0, 10.0, 80.0])[code] + 0.1 * rng.standard_normal(rows)
    load = LEVELS[code] + jitter * rng.uniform(-1, 1, rows)
    values = np.column_stack([load, flow, heat, rng.standard_normal(rows), wear])
    names = ("load", "flow", "heat", "weather")
    return Table(values, (*map(Tag, names), Tag("wear", role="target")))


INPUTS = ("load", "flow", "heat", "weather")
MOVED = ("flow", "heat", "weather")


def found_in(table: Table, rows: np.ndarray | None = None, least_rows: int = 20) -> Regimes:
    teach = np.ones(len(table), bool) if rows is None else rows
    regimes = find_regimes(table, Settings(("load",), "levels"), MOVED, rows=teach, least_rows=least_rows)
    assert regimes is not None
    return regimes


def test_levels_are_narrow_heaps_with_hardly_anything_between_them() -> None:
    rng = np.random.default_rng(0)
    jittered = np.concatenate([level + 0.01 * rng.standard_normal(200) for level in LEVELS])
    heaps = levels(jittered)
    assert heaps is not None
    assert not heaps.between
    np.testing.assert_allclose(heaps.centers, LEVELS, atol=0.01)
    ramps = np.concatenate([jittered, np.linspace(0, 42, 40)])
    on_the_way = levels(ramps)
    assert on_the_way is not None
    assert on_the_way.between
    np.testing.assert_allclose(on_the_way.centers, LEVELS, atol=0.05)
    assert levels(rng.standard_normal(2000)) is None
    assert levels(np.full(50, 3.0)) is None


def test_the_setting_that_the_others_follow_tells_the_regimes() -> None:
    table = plant()
    settings_found = candidates(table, INPUTS, (), rows=np.ones(len(table), bool), least_rows=20)
    assert settings_found is not None
    assert (settings_found.columns, settings_found.kind) == (("load",), "levels")
    assert settings_found.explained > 0.5
    tags = [table.tag(name) for name in INPUTS]
    loose = table.with_columns(tags, np.random.default_rng(1).standard_normal((len(table), 4)))
    assert candidates(loose, INPUTS, (), rows=np.ones(len(table), bool), least_rows=20) is None


def test_rows_come_to_one_level() -> None:
    table = plant()
    levelled = at_one_level(found_in(table), table, table)
    assert levelled.codes is not None
    assert set(levelled.codes) == {0, 1, 2}
    assert abs(np.corrcoef(table.column("flow"), table.column("wear"))[0, 1]) < 0.1
    assert np.corrcoef(levelled.table.column("flow"), table.column("wear"))[0, 1] > 0.99
    np.testing.assert_array_equal(levelled.table.column("load"), table.column("load"))
    np.testing.assert_array_equal(levelled.table.column("wear"), table.column("wear"))
    np.testing.assert_allclose(levelled.table.column("flow").mean(), table.column("flow").mean())
    np.testing.assert_allclose(levelled.table.column("flow").std(), table.column("flow").std(), rtol=1e-6)
    assert not levelled.notes
    assert levelled.table.quality is None


def test_a_scaling_per_regime_is_that_of_its_own_rows() -> None:
    table = plant()
    regimes = found_in(table)
    whole = fit_scaler("standard", table.values[:, 1:4], MOVED)
    for code in range(3):
        mine = np.abs(table.column("load") - LEVELS[code]) < 1
        own = fit_scaler("standard", table.values[mine, 1:4], MOVED)
        scaled = whole.transform(regimes.apply(table, table).table.values[mine, 1:4])
        np.testing.assert_allclose(scaled, own.transform(table.values[mine, 1:4]), atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(300, 560))
def test_only_training_rows_teach(seed: int, cut: int) -> None:
    """Other rows may be anything: to the last bit the regimes are the same."""
    table, rows = plant(seed), np.arange(ROWS) < cut
    values = np.array(table.values)
    values[cut:] = np.random.default_rng(seed).normal(0, 1e6, values[cut:].shape)
    one, other = found_in(table, rows), found_in(replace(table, values=values), rows)
    assert one.to_dict() == other.to_dict()


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(5)), seed=st.integers(0, 50))
def test_the_order_of_columns_and_targets_changes_nothing(order: list[int], seed: int) -> None:
    table = plant(seed)
    mixed = table.select([table.names[place] for place in order])
    rows = np.ones(ROWS, bool)
    for inputs in (INPUTS, tuple(name for name in mixed.names if name != "wear")):
        chosen = candidates(mixed, inputs, (), rows=rows, least_rows=20)
        assert chosen is not None
        assert chosen.columns == ("load",)
    assert found_in(mixed).to_dict() == found_in(table).to_dict()
    shuffled = table.with_columns([table.tag("wear")], np.random.default_rng(0).permutation(table.column("wear")))
    assert found_in(shuffled).to_dict() == found_in(table).to_dict()


def test_a_regime_never_seen_is_scaled_as_all_rows_and_uncertain() -> None:
    table = plant()
    regimes = found_in(table)
    values = np.array(table.values[:4])
    values[1, 0] = 30.0
    values[2, 0] = 70.0
    asked = replace(table, values=values)
    clamped = np.array(values)
    clamped[2, 0] = 42.005  # what repair makes of a load beyond the training range
    levelled = regimes.apply(replace(asked, values=clamped), asked)
    assert levelled.codes is not None
    assert (levelled.codes == UNKNOWN).tolist() == [False, True, True, False]
    np.testing.assert_array_equal(levelled.table.column("flow")[1:3], values[1:3, 1])
    assert levelled.table.quality is not None
    assert levelled.table.quality[:, 1].tolist() == [Quality.GOOD, Quality.UNCERTAIN, Quality.UNCERTAIN, Quality.GOOD]
    (note,) = levelled.notes
    assert (note.action, note.reason, note.count, note.tag) == ("marked", "regimes.reason_unseen", 2, "load")
    assert all(note.sentence(lang) for lang in LANGUAGES)


def test_a_regime_of_few_rows_is_pooled_but_known() -> None:
    table = plant()
    values = np.array(table.values)
    values[:5, 0] = 90.0
    values[:5, 1] = 5000.0
    rare = replace(table, values=values)
    regimes = found_in(rare)
    assert regimes.pooled.tolist() == [False, False, False, True]
    assert regimes.rows[-1] == 5
    levelled = regimes.apply(rare, rare)
    np.testing.assert_array_equal(levelled.table.values[:5, 1], 5000.0)
    assert levelled.codes is not None
    assert (levelled.codes[:5] == 3).all()
    assert not levelled.notes
    assert find_regimes(rare, Settings(("load",), "levels"), MOVED, rows=np.ones(ROWS, bool), least_rows=ROWS) is None


def test_what_stands_still_in_a_regime_is_not_blown_up() -> None:
    """A sensor that has one value in a regime, or hardly moves there, keeps a scale that the other regimes justify."""
    table = plant()
    values = np.array(table.values)
    values[np.abs(values[:, 0] - 20) < 1, 2] = 10.0
    still = replace(table, values=values)
    regimes = found_in(still)
    column = regimes.names.index("heat")
    assert (regimes.own_scale[:, column] >= 0.05 * regimes.own_scale[:, column].max()).all()
    assert np.isfinite(regimes.apply(still, still).table.values).all()


def test_regimes_by_the_state_of_a_tag() -> None:
    table = plant()
    grades = ("A", "B", "C")
    coded = np.searchsorted(LEVELS, np.round(table.column("load")))
    stated = table.with_columns([Tag("grade", categories=grades)], coded.astype(float)).select(
        ["grade", "flow", "heat", "weather", "wear"]
    )
    rows = np.ones(ROWS, bool)
    codings = learn_states(stated, rows=rows, most=12, rare=1)
    numbers = code_states(stated, codings).table
    inputs = tuple(name for name in numbers.names if name != "wear")
    settings_found = candidates(numbers, inputs, codings, rows=rows, least_rows=20)
    assert settings_found is not None
    assert settings_found.kind == "state"
    regimes = find_regimes(numbers, settings_found, MOVED, rows=rows, least_rows=20)
    assert regimes is not None
    assert sorted(regimes.labels) == ["grade = A", "grade = B", "grade = C"]
    new = replace(stated, tags=(Tag("grade", categories=("A", "Z")), *stated.tags[1:]), values=stated.values[:3].copy())
    values = np.array(new.values)
    values[:, 0] = [0, 1, np.nan]
    asked = code_states(replace(new, values=values), codings).table
    levelled = regimes.apply(asked, asked)
    assert levelled.codes is not None
    assert (levelled.codes == UNKNOWN).tolist() == [False, True, True]
    assert np.isfinite(levelled.table.values[:, :4]).all()
    assert levelled.table.quality is not None
    assert levelled.table.quality[0].max() == Quality.GOOD
    assert (levelled.table.quality[1:, : levelled.table.index("weather") + 1] >= Quality.UNCERTAIN).all()
    assert {note.reason for note in levelled.notes} == {"regimes.reason_unseen", "regimes.reason_missing_state"}


def test_clusters_of_settings() -> None:
    rng = np.random.default_rng(3)
    middles = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 5.0], [4.0, 5.0]])
    points = np.vstack([middle + 0.3 * rng.standard_normal((150, 2)) for middle in middles])
    centers = clustered(points, None)
    assert centers is not None
    assert len(centers) == 4
    np.testing.assert_allclose(np.sort(centers.sum(axis=1)), np.sort(middles.sum(axis=1)), atol=0.2)
    assert silhouette(points, centers) > 0.7
    three = clustered(points, 3)
    assert three is not None
    assert len(three) == 3
    table = Table(np.column_stack([points, points @ [100.0, 10.0]]), (Tag("feed"), Tag("steam"), Tag("flow")))
    regimes = find_regimes(
        table, Settings(("feed", "steam"), "clusters"), ("flow",), rows=np.ones(600, bool), least_rows=20
    )
    assert regimes is not None
    assert regimes.rows == (150,) * 4
    assert regimes.assign(np.array([[40.0, 40.0]])).tolist() == [UNKNOWN]


def test_a_round_trip_through_json_is_bit_equal() -> None:
    table = plant()
    regimes = found_in(table)
    again = Regimes.from_dict(json.loads(json.dumps(regimes.to_dict())))
    assert again.to_dict() == regimes.to_dict()
    np.testing.assert_array_equal(again.apply(table, table).table.values, regimes.apply(table, table).table.values)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "season"},
        {"rows": [1, 2]},
        {"labels": []},
        {"own_scale": [[0.0] * 3] * 3},
        {"center": [float("nan")] * 3},
        {"reach": [1.0]},
        {"extra": 1},
    ],
)
def test_malformed_regimes_are_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Regimes.from_dict({**found_in(plant()).to_dict(), **change})


def test_rows_of_the_runtime_are_those_of_the_table() -> None:
    """One by one or all together, with the clipping of repair."""
    table = plant()
    regimes = found_in(table)
    low, high = table.values[:, :4].min(axis=0), table.values[:, :4].max(axis=0)
    rows = np.array(table.values[:50, :4])
    rows[3, 1] = 5000.0
    rows[4, 0] = 60.0
    clipped = np.clip(rows, low, high)
    tags = table.tags[:4]
    whole = regimes.apply(Table(clipped, tags), Table(rows, tags)).table.values
    levelling = RowLevelling(regimes, INPUTS, low, high)
    np.testing.assert_array_equal(levelling.level(rows), whole)
    np.testing.assert_array_equal(np.stack([levelling.level(row) for row in rows]), whole)
    np.testing.assert_array_equal(levelling.level(rows.reshape(5, 10, 4)).reshape(50, 4), whole)
    uncertain = levelling.complete(rows, np.zeros(50, bool))[1]
    assert np.flatnonzero(uncertain).tolist() == [4]
