"""Numbers as people write them: units in cells, lost decimal marks, states of nearly one name, a table without a tag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.auditing.audit import audit
from backmix.data.auditing.lost_decimals import find_lost_decimals
from backmix.data.sources import Reading, ReadPlan, TagPlan, read
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import InputError
from backmix.text import LANGUAGES


def read_csv(tmp_path: Path, *rows: str, **settings: object) -> Reading:
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read(ReadPlan.model_validate({"file": "a.csv", **settings}), base=tmp_path)


@pytest.mark.parametrize(
    ("cells", "unit", "numbers"),
    [
        (["12.5 bar", "13 bar", "12.7bar", "Bad Input"], "bar", [12.5, 13, 12.7, np.nan]),
        (["85 °C", "86.5°C", "87 ℃", "-3 °C"], "degC", [85, 86.5, 87, -3]),
        (["3.2%", "4 %", "5", ""], "%", [3.2, 4, 5, np.nan]),
        (["1.5E+3 kg/h", "1e3 kg/h", "2 kg/h", "No Data"], "kg/h", [1500, 1000, 2, np.nan]),
        (["１２．５ m³/h", "13 m3/h", "14 m³/h", "15 m³/h"], "m3/h", [12.5, 13, 14, 15]),
    ],
)
def test_units_inside_cells_are_the_unit_of_the_column(
    tmp_path: Path, cells: list[str], unit: str, numbers: list[float]
) -> None:
    found = read_csv(tmp_path, "x,y", *(f"{cell},{k}.5" for k, cell in enumerate(cells)))
    assert found.table.tag("x").unit == unit
    np.testing.assert_array_equal(found.table.column("x"), numbers)
    (note,) = [note for note in found.ledger.notes if note.reason == "read.reason_cell_unit"]
    assert note.count == sum(cell.strip()[-1:] not in ("", "t", "a", "5") for cell in cells)
    assert note.example == cells[0]


def test_two_units_in_one_column_are_refused_naming_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv:4:x — '185 °F', but .*:2:x is '85 °C'.*degC, degF"):
        read_csv(tmp_path, "x,y", "85 °C,1", "86 °C,2", "185 °F,3")


def test_names_that_begin_with_digits_are_no_numbers_with_units(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "x,y", "3A,1", "4B,2", "3A,3", "5 C-line,4")
    assert found.table.tag("x").categories == ("3A", "4B", "5 C-line")
    sizes = read_csv(tmp_path, "x,y", "10 mm,1", "20 mm,2", tags=(TagPlan(name="x", type="text"),))
    assert sizes.table.tag("x").categories == ("10 mm", "20 mm")


@pytest.mark.parametrize(
    ("text", "number"), [("1.5E+3", 1500.0), ('"1,5E+3"', 1500.0), ("１２.５", 12.5), ("-1e-3", -1e-3)]
)
def test_scientific_and_full_width_numbers(tmp_path: Path, text: str, number: float) -> None:
    assert read_csv(tmp_path, "x,y", f"{text},1", f"{text},2").table.column("x")[0] == number


def test_a_censored_value_in_a_process_column_is_bad_and_counted_under_its_text(tmp_path: Path) -> None:
    """The limit is no measurement: a value is never made of it."""
    found = read_csv(tmp_path, "x,y", *["1.5,1"] * 8, "<0.5,2", ">100,3")
    assert np.isnan(found.table.column("x")[-2:]).all()
    assert found.ledger.status_texts()["x"] == {"<0.5": 1, ">100": 1}


FLOW = np.array([300.629, 297322, 304735, 296.884, 298906, 298.418, 306832, 304.517])


def test_lost_decimal_marks_are_a_finding_with_the_line_that_takes_them_out() -> None:
    table = Table(FLOW[:, None], (Tag("FI101"),))
    (found,) = [finding for finding in audit(table).findings if finding.kind == "decimals"]
    assert found.count == 4
    for lang in LANGUAGES:
        sentence = found.sentence(lang)
        assert "297322" in sentence
        assert "300.629" in sentence
        assert "high = 610" in sentence


@given(
    level=st.floats(1.1, 900),
    rows=st.lists(st.booleans(), min_size=20, max_size=60),
    power=st.integers(4, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_what_lost_its_mark_is_found_and_nothing_else(level: float, rows: list[bool], power: int, seed: int) -> None:
    sound = level * (1 + 0.1 * np.random.default_rng(seed).random(len(rows))) + 1e-7
    assert find_lost_decimals(Table(sound[:, None], (Tag("x"),))) == ()
    lost = np.array(rows)
    x = np.where(lost, np.floor(sound * 10.0**power), sound)
    found = find_lost_decimals(Table(x[:, None], (Tag("x"),)))
    if 3 <= lost.sum() <= len(rows) - 3:
        assert found[0].rows.tolist() == np.flatnonzero(lost).tolist()
        assert sound.max() < found[0].below < x[lost].min()


@pytest.mark.parametrize(
    "x",
    [
        np.geomspace(0.1, 1e6, 50),
        np.concatenate([np.linspace(1.5, 3.5, 20), [1000.0, 2000.0, 9000.0]]),
        np.arange(5000.0),
        np.full(9, 12345.0),
        np.full(9, np.nan),
        1000 + 9000 * np.random.default_rng(0).random(50),
    ],
)
def test_what_only_varies_widely_lost_no_mark(x: np.ndarray) -> None:
    assert find_lost_decimals(Table(x[:, None], (Tag("x"),))) == ()


TWICE = ("time,flow", *(f"2024-01-01 0{k // 4}:00,{value:.15g}" for k, value in enumerate(FLOW)))


def test_lost_marks_are_never_averaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'flow' mixes 300\.629 and 297322: 4 values .* high = 610"):
        read_csv(tmp_path, *TWICE, duplicates="mean")
    mean = read_csv(tmp_path, *TWICE, duplicates="mean", tags=(TagPlan(name="flow", high=610),))
    np.testing.assert_allclose(mean.table.column("flow"), [(300.629 + 296.884) / 2, (298.418 + 304.517) / 2])


def test_states_of_nearly_one_name_are_named_and_merged_only_when_told(tmp_path: Path) -> None:
    rows = ("x,y", "Attack,1", "A ttack,2", "Normal,3", "attack,4", "Attack,5", "Normal,6")
    table = read_csv(tmp_path, *rows).table
    assert len(table.tag("x").categories) == 4
    (found,) = [finding for finding in audit(table).findings if finding.kind == "alike"]
    assert found.count == 2
    for lang in LANGUAGES:
        assert "'A ttack' ×1" in found.sentence(lang)
        assert 'same = { "A ttack" = "Attack", "attack" = "Attack" }' in found.sentence(lang)
    merged = read_csv(tmp_path, *rows, tags=(TagPlan(name="x", same={"A ttack": "Attack", "attack": "Attack"}),))
    assert merged.table.tag("x").categories == ("Attack", "Normal")
    assert merged.table.column("x").tolist() == [0, 0, 1, 0, 0, 1]
    assert [note.count for note in merged.ledger.notes if note.reason == "read.reason_same_state"] == [2]
    assert not [finding for finding in audit(merged.table).findings if finding.kind == "alike"]


def test_a_table_without_a_tag_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column holds numbers or states"):
        read_csv(tmp_path, "time", "2024-01-01 00:00", "2024-01-01 00:01")
    with pytest.raises(InputError, match="no column holds numbers or states"):
        read_csv(tmp_path, "note", *(f"free text number {k} of many" for k in range(40)))
