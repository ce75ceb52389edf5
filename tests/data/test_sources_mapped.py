"""Mapped tables: the same as read ones, only on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backmix.data.reading.mapped import map_file, open_mapped, save_mapped
from backmix.data.sources import ReadPlan, TagPlan, read
from backmix.data.table import Table
from backmix.errors import InputError

ROWS = 3000
FRAME = pd.DataFrame(
    {
        "t": pd.date_range("2024-05-02", periods=ROWS, freq="min"),
        "x": np.arange(ROWS) + 0.5,
        "y": [None if at % 7 else float(at) for at in range(ROWS)],
        "state": np.where(np.arange(ROWS) % 3 == 0, "on", "off"),
        "b": [f"B{at // 1000}" for at in range(ROWS)],
    }
)


def same(a: Table, b: Table) -> None:
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.time, b.time)
    assert a.tags == b.tags
    assert a.batch_names == b.batch_names
    np.testing.assert_array_equal(a.batch, b.batch)


def test_a_table_comes_back_mapped(tmp_path: Path) -> None:
    table = read(ReadPlan(time="t", batch="b"), frame=FRAME).table
    back = open_mapped(save_mapped(table, tmp_path / "m"))
    same(back, table)
    assert isinstance(back.values.base, np.memmap)
    tagged = read(ReadPlan(file="m", tags=(TagPlan(name="x", unit="degC"),)), base=tmp_path).table
    assert tagged.tag("x").unit == "degC"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_mapped_in_blocks_is_the_file_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backmix.data.sources.csv.BLOCK", 10_000)
    monkeypatch.setattr("backmix.data.sources.csv_pieces.BLOCK", 10_000)
    monkeypatch.setattr("backmix.data.sources.parquet._ROWS", 700)
    if kind == "csv":
        text = FRAME.astype({"x": object})
        text.loc[2500, "x"] = "Bad Input"
        text.loc[10, "x"] = "1e999"
        text.to_csv(tmp_path / "a.csv", index=False, encoding="utf-8-sig")
    else:
        FRAME.to_parquet(tmp_path / "a.parquet")
    plan = ReadPlan(file=f"a.{kind}", time="t", batch="b")
    plain, mapped = read(plan, base=tmp_path), map_file(plan, tmp_path / "m", base=tmp_path)
    same(mapped.table, plain.table)
    assert mapped.ledger.status_texts() == plain.ledger.status_texts()
    assert mapped.ledger.read == plain.ledger.read == ROWS
    assert {(n.reason, n.tag) for n in mapped.ledger.notes} == {(n.reason, n.tag) for n in plain.ledger.notes}


def test_rows_out_of_order_are_not_sorted_on_disk(tmp_path: Path) -> None:
    FRAME.iloc[::-1].to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError) as fault:
        map_file(ReadPlan(file="a.csv", time="t"), tmp_path / "m", base=tmp_path)
    assert str(fault.value) == (
        "a.csv — rows are not in order of time, or a time occurs twice. Sort the file before it is "
        "converted, or read it as it is"
    )
    assert not (tmp_path / "m").exists(), "nothing is written before the order of the rows is known"


def test_only_utf8_text_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("時間,溫度\n2024-01-01,1\n".encode("cp950"))
    with pytest.raises(InputError) as fault:
        map_file(ReadPlan(file="a.csv"), tmp_path / "m", base=tmp_path)
    assert str(fault.value) == (
        "a.csv — only UTF-8 text is converted in blocks. Export the file as UTF-8, or read it as it is"
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"rows": 5}, "values do not fit the tags"),
        ({"form": 2}, "form 2"),
        ({"arrays": ["time"]}, "values do not fit"),
        ({"batch_names": ["only"]}, "batch codes without names"),
        ({"arrays": ["../values"]}, "no"),
        ({"tags": 5}, "int"),
    ],
)
def test_a_folder_that_was_altered_is_refused(tmp_path: Path, change: dict[str, object], fault: str) -> None:
    save_mapped(read(ReadPlan(time="t", batch="b"), frame=FRAME).table, tmp_path)
    description = json.loads((tmp_path / "table.json").read_text("utf-8"))
    (tmp_path / "table.json").write_text(json.dumps(description | change), "utf-8")
    with pytest.raises(InputError, match=f"is not a whole converted table.*{fault}"):
        open_mapped(tmp_path)


def test_arrays_that_were_altered_are_refused(tmp_path: Path) -> None:
    save_mapped(read(ReadPlan(time="t"), frame=FRAME).table, tmp_path)
    whole = (tmp_path / "values.npy").read_bytes()
    for content in (whole[:200], b"\x80\x04K\x01.", b""):
        (tmp_path / "values.npy").write_bytes(content)
        with pytest.raises(InputError, match="is not a whole converted table"):
            open_mapped(tmp_path)
    np.save(tmp_path / "values.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="is not a whole converted table"):
        open_mapped(tmp_path)


def test_json_nested_a_million_deep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text("[" * 1_000_000)
    with pytest.raises(InputError, match="is not a whole converted table"):
        open_mapped(tmp_path)
