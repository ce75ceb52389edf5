"""Tables that installed packages ship, and public sets: each written in other layouts and compared cell by cell."""

from __future__ import annotations

import zlib
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backmix.data.layout.detect import detect
from backmix.data.sets import load, sets
from backmix.data.sources import ReadPlan, read
from layouts import Form, Plant, answers, compare, write

ROWS, COLUMNS = 120, 8
STATSMODELS = (
    "anes96/anes96", "ccard/ccard", "committee/committee", "copper/copper", "cpunish/cpunish", "elnino/elnino",
    "engel/engel", "fair/fair", "grunfeld/grunfeld", "heart/heart", "longley/longley", "macrodata/macrodata",
    "modechoice/modechoice", "nile/nile", "randhie/randhie", "scotland/scotvote", "stackloss/stackloss",
    "star98/star98", "statecrime/statecrime", "strikes/strikes", "sunspots/sunspots",
)  # fmt: skip
LEARN = ("breast_cancer.csv", "iris.csv", "wine_data.csv")
OTHER_FORMS = (
    Form("day_first", "wide", ";", ",", "cp1252", header=("name", "unit"), preamble=(("Export", "Unit 100"), ())),
    Form("iso", "long", ",", quote=True),
    Form("epoch_s", "wide", "\t", status=True, empty="Bad Input"),
    Form("month_name", "pairs", "|", encoding="utf-16"),
    Form("date_time", "wide", ",", encoding="utf-8-sig", footer=(("(48 rows affected)",),), pack=".gz"),
    Form("iso", "wide", kind="xlsx", header=("name", "unit", "description"), preamble=(("Report: Unit 100",),)),
)


@cache
def frame(name: str) -> pd.DataFrame:
    """A table as a careful person reads it with pandas: numbers only."""
    package, _, entry = name.partition(":")
    if package == "statsmodels":
        raw = files("statsmodels.datasets").joinpath(f"{entry}.csv").read_bytes()
        mark = "," if b"," in raw.split(b"\n")[0] else ";" if b";" in raw.split(b"\n")[0] else r"\s+"
        found = pd.read_csv(BytesIO(raw), sep=mark, encoding="utf-8", quotechar="'" if raw[:1] == b"'" else '"')
    elif package == "scikit-learn":
        raw = files("sklearn.datasets.data").joinpath(entry).read_bytes()
        found = pd.read_csv(BytesIO(raw))
    else:
        table = load(entry, None)
        found = pd.DataFrame(np.asarray(table.values[:ROWS]), columns=table.names)
    return found.select_dtypes("number")


def plant(name: str) -> Plant:
    """The first rows and columns of a table, on a clock of minutes."""
    found = frame(name).iloc[:ROWS, :COLUMNS]
    found = found.loc[:, [column for column in found if str(column).strip() and found[column].notna().any()]]
    time = pd.date_range("2024-03-13 00:00", periods=len(found), freq="1min").to_numpy()
    units = tuple(("m3/h", "degC", "bar", "%")[column % 4] for column in range(found.shape[1]))
    return Plant(time, tuple(map(str, found.columns)), units, np.round(found.to_numpy(float), 6), "1min")


SHIPPED = [f"statsmodels:{name}" for name in STATSMODELS] + [f"scikit-learn:{name}" for name in LEARN]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_table_comes_back_from_other_layouts(name: str, tmp_path: Path) -> None:
    _check(plant(name), tmp_path, zlib.crc32(name.encode()))


@pytest.mark.parametrize("entry", [*STATSMODELS, "co2/co2", "spector/spector", "interest_inflation/E6"])
def test_a_file_is_read_as_pandas_reads_it(entry: str) -> None:
    found = detect(ReadPlan(file=str(files("statsmodels.datasets").joinpath(f"{entry}.csv"))))
    assert found.fault is None
    assert found.questions == ()
    table = found.reading.table  # type: ignore[union-attr]
    for name, values in frame(f"statsmodels:{entry}").items():
        if name not in found.layout.clock:
            np.testing.assert_array_equal(table.column(str(name).strip("'")), values.to_numpy(float), err_msg=str(name))


@pytest.mark.parametrize("name", sets.names())
def test_a_public_set_comes_back_from_other_layouts(name: str, tmp_path: Path, shared_data: Path) -> None:
    _check(plant(f"set:{name}"), tmp_path, zlib.crc32(name.encode()))


def _check(table: Plant, folder: Path, number: int) -> None:
    for form in (OTHER_FORMS[number % len(OTHER_FORMS)], OTHER_FORMS[(number // 7 + 1) % len(OTHER_FORMS)]):
        path = write(table, form, folder)
        found = detect(ReadPlan(file=str(path)))
        assert found.fault is None, (form, found.fault)
        known = answers(form)
        told = {question.key: known[question.key] for question in found.questions}
        taken = read(ReadPlan(file=str(path), **told)).table
        compare(taken, table, form)
        path.unlink()
