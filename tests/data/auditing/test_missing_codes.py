"""Codes for "no value": what is one, what is none, and what the plan's setting does with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.auditing.audit import audit
from backmix.data.auditing.missing_codes import MissingCode, find_missing_codes
from backmix.data.notation.missing import KNOWN
from backmix.data.sources import Reading, ReadPlan, read
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.text import LANGUAGES

ROWS = 200


def noise(level: float = 50.0, spread: float = 5.0, seed: int = 0) -> np.ndarray:
    return level + spread * np.random.default_rng(seed).normal(size=ROWS)


def found_in(*columns: np.ndarray, units: tuple[str, ...] = ()) -> tuple[MissingCode, ...]:
    tags = tuple(Tag(f"T{k}", unit=units[k] if units else "") for k in range(len(columns)))
    return find_missing_codes(Table(np.column_stack(columns), tags))


def holed(x: np.ndarray, code: float, rows: slice | list[int]) -> np.ndarray:
    x = x.copy()
    x[rows] = code
    return x


@pytest.mark.parametrize("code", [-999.25, -9999.0, 9999.0, 3276.7, 1e30, 65535.0, -32768.0, float(np.float32(3276.7))])
def test_the_usual_codes_are_found_and_there_is_no_doubt(code: float) -> None:
    (found,) = found_in(holed(noise(), code, [3, 50, 51, 120]), noise(seed=1))
    assert found.strong
    assert (found.tags, found.counts, found.shares) == (("T0",), (4,), (0.02,))
    assert found.value == pytest.approx(code, rel=1e-6)


def test_a_code_may_be_most_of_a_column_and_several_may_be_in_one() -> None:
    x = holed(holed(noise(), -200.0, slice(0, 180)), 9999.0, [181, 190])
    assert {code.value for code in found_in(x) if code.strong} == {-200.0, 9999.0}


def test_one_cell_of_a_well_known_code_is_enough_where_it_is_very_far_away() -> None:
    (found,) = found_in(holed(noise(10, 0.3), -999.25, [7]))
    assert found.strong
    assert not found_in(holed(noise(10, 0.3), -731.4, [7]))


def test_an_unknown_number_far_away_that_comes_again_is_found() -> None:
    (found,) = found_in(holed(noise(), -4321.5, [3, 50, 51, 120, 160]))
    assert found.strong
    in_one_stretch = found_in(holed(noise(), -4321.5, slice(50, 80)))  # may be a regime of its own
    assert [code.strong for code in in_one_stretch] == [False]
    in_two_tags = found_in(*(holed(noise(seed=k), -4321.5, slice(50, 80)) for k in range(2)))
    assert [code.strong for code in in_two_tags] == [True]


def test_zero_is_never_more_than_a_weak_finding() -> None:
    (found,) = found_in(holed(noise(400), 0.0, [3, 50, 51, 120, 160]))
    assert (found.value, found.strong) == (0.0, False)


@pytest.mark.parametrize(
    ("x", "unit"),
    [
        (np.minimum(noise(), 52.0), ""),
        (np.maximum(noise(), 45.0), ""),
        (holed(np.clip(noise(2, 0.5), 0, 3), 100.0, slice(50, 80)), "%"),
        (holed(np.clip(noise(97, 0.5), 95, 99), 0.0, slice(50, 80)), "%"),
        (holed(np.clip(noise(12, 0.1), 11, 13), 20.5, slice(50, 80)), "mA"),
        (holed(np.clip(noise(12, 0.1), 11, 13), 3.6, [3, 8, 80, 90]), "mA"),
        (np.repeat([20.0, 500.0], ROWS // 2), ""),
        (np.where(np.arange(ROWS) // 20 % 2, 1500.0, 0.0), "rpm"),
        (np.round(noise(), 0), ""),
        (np.arange(9900.0, 9900.0 + ROWS), ""),
        (np.full(ROWS, -9999.0), ""),
        (np.full(ROWS, np.nan), ""),
    ],
)
def test_ends_of_ranges_levels_and_counters_are_no_codes(x: np.ndarray, unit: str) -> None:
    assert found_in(x, noise(), units=(unit, "")) == ()


def test_what_is_measured_in_another_tag_is_left_to_a_person() -> None:
    wide = np.repeat(np.arange(-1000.0, 1000.0, 100.0), 10)
    (found,) = found_in(holed(noise(), -200.0, [3, 50, 51, 120]), wide)
    assert not found.strong


@given(
    level=st.floats(-500, 500),
    spread=st.floats(0.01, 50),
    code=st.sampled_from(sorted(code for code in KNOWN if abs(code) > 8000)),
    rows=st.lists(st.integers(0, ROWS - 1), min_size=3, max_size=150, unique=True),
)
@settings(max_examples=50, deadline=None)
def test_any_noise_without_a_code_has_none_and_with_one_has_that(
    level: float, spread: float, code: float, rows: list[int]
) -> None:
    x = noise(level, spread)
    assert found_in(x) == ()
    (found,) = found_in(holed(x, code, rows))
    assert found.strong
    assert found.counts == (len(rows),)


def test_the_audit_names_them_and_takes_none_for_the_end_of_a_range() -> None:
    table = Table(holed(noise(), -9999.0, [3, 50, 51, *range(120, 140)])[:, None], (Tag("FI101"),))
    found = [finding for finding in audit(table).findings if finding.tag == "FI101"]
    assert [(one.kind, one.severity, one.count) for one in found] == [("code", "warning", 23)]
    for lang in LANGUAGES:
        assert "[data] missing = [-9999]" in found[0].sentence(lang)
        (code,) = find_missing_codes(table)
        assert "FI101" in code.sentence(lang)


CSV = """time,FI101,TI102,State,PUMP
2024-03-13 00:00:00,49.4,-200,OPEN,1
2024-03-13 00:01:00,-9999,82.1,-9999,1
2024-03-13 00:02:00,-9999.00,82.3,CLOSED,0
2024-03-13 00:03:00,n.m.,82.9,N.M. ,1
2024-03-13 00:04:00,51.0,-200.0,OPEN,0
"""


def read_csv(tmp_path: Path, text: str = CSV, **settings: object) -> Reading:
    (tmp_path / "a.csv").write_text(text)
    return read(ReadPlan.model_validate({"file": "a.csv", **settings}), base=tmp_path)


def test_the_setting_takes_codes_out_of_every_tag_and_counts_them(tmp_path: Path) -> None:
    found = read_csv(tmp_path, missing=(-9999, -200, "n.m."))
    table = found.table
    assert np.isnan(table.column("FI101")).tolist() == [False, True, True, True, False]
    assert np.isnan(table.column("TI102")).tolist() == [True, False, False, False, True]
    assert table.tag("State").categories == ("CLOSED", "OPEN")
    assert np.isnan(table.column("State")).tolist() == [False, True, False, True, False]
    counts = {(note.tag, note.count) for note in found.ledger.notes if note.reason == "read.reason_missing_code"}
    assert counts == {("FI101", 2), ("FI101", 1), ("TI102", 2), ("State", 2)}
    assert not [note for note in found.ledger.notes if note.reason == "read.reason_status_text"]


def test_without_the_setting_nothing_is_taken_out(tmp_path: Path) -> None:
    text = CSV.replace("n.m.", "48.0").replace("N.M. ", "OPEN").replace("-9999,1", "OPEN,1")
    assert (read_csv(tmp_path, text).table.column("FI101") == -9999).sum() == 2


def test_every_source_obeys_the_setting(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=4, freq="min"), "x": [1.0, -9999, 2, 3]})
    frame.to_parquet(tmp_path / "a.parquet")
    plan = ReadPlan(missing=(-9999,))
    for found in (read(plan, frame), read(plan.of_file("a.parquet"), base=tmp_path)):
        assert np.isnan(found.table.column("x")).tolist() == [False, True, False, False]
    plant = read(ReadPlan(plant="heat_exchanger", missing=(12345.0,)))
    assert not np.isnan(plant.table.values).all()
    some = float(plant.table.values[5, 0])
    again = read(ReadPlan(plant="heat_exchanger", missing=(some,)))
    assert np.isnan(again.table.values[5, 0])
    assert again.ledger.notes[0].reason == "read.reason_missing_code"
