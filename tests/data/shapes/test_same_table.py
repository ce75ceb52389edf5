"""A table in any shape comes back equal, or a question is asked; never a third thing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.layout.evidence import OpenQuestion
from backmix.data.quality import Quality
from backmix.data.sources import ReadPlan, read
from backmix.data.table import Table

TAGS = ["FI101", "TI-102", "壓力", "Plant/U1/AI104.PV", "21_PIC_7", "x"]
STATES = ["RUN", "STOP", "清洗"]
FLAGS = [
    (" quality", 192, 0),
    (".Status", "Good", "Bad"),
    ("_Q", 216, 24),
    ("品質", "良好", "不良"),
    (" questionable", 0, 1),
    (" Quality", "0x00000000", "0x80000000"),
    (" good", True, False),
]
LONG_NAMES = [
    ("timestamp", "tag", "value", "quality", "unit"),
    ("時間", "標籤", "數值", "品質", "單位"),
    ("DateTime", "TagName", "Value", "Status", "EngUnits"),
    ("t", "name", "reading", "q", "uom"),
]


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """A wide table with a regular clock, some holes, perhaps a tag of states."""
    rows = draw(st.integers(8, 40))
    names = draw(st.lists(st.sampled_from(TAGS), min_size=2, max_size=5, unique=True))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    step = draw(st.sampled_from(["1s", "7s", "1min", "15min", "1h"]))
    time = pd.date_range("2024-03-13 05:00", periods=rows, freq=step, name="time")
    frame = pd.DataFrame(random.normal(50, 10, (rows, len(names))).round(3), index=time, columns=names)
    frame = frame.mask(random.random(frame.shape) < draw(st.sampled_from([0.0, 0.0, 0.2])))
    if draw(st.booleans()):
        frame["MODE"] = random.choice(STATES, rows)
        frame.iloc[:3, -1] = STATES  # all of them are there
    return frame


def equal(found: Table, frame: pd.DataFrame) -> None:
    """The table holds what the wide frame holds; rows without any value may be missing."""
    given = found.to_frame().reindex(columns=list(frame.columns))
    given.index = given.index.tz_localize(None)
    given = given.dropna(how="all")
    wanted = frame.dropna(how="all")
    assert list(given.index) == list(wanted.index)
    for name in frame:
        if name == "MODE":
            assert list(given[name]) == list(wanted[name])
        else:
            np.testing.assert_array_equal(given[name].to_numpy(float), wanted[name].to_numpy(float))
    assert set(found.names) == set(frame.columns)


def long_of(frame: pd.DataFrame, names: tuple[str, ...], *, empty: bool) -> pd.DataFrame:
    """The frame in long form, rows in the order of the tags; empty cells are rows or not."""
    time, tag, value, quality, unit = names
    pieces = [pd.DataFrame({time: frame.index, tag: name, value: frame[name].astype(object)}) for name in frame]
    made = pd.concat(pieces, ignore_index=True)
    made[quality], made[unit] = "Good", "%"
    return made if empty else made[made[value].notna()]


@given(tables(), st.data())
@settings(max_examples=20, deadline=None)
def test_long_form_in_any_order(frame: pd.DataFrame, data: Any) -> None:
    names = data.draw(st.sampled_from(LONG_NAMES))
    made = long_of(frame, names, empty=data.draw(st.booleans()))
    kept = [*names[:3], *data.draw(st.lists(st.sampled_from(names[3:]), unique=True))]
    made = made[data.draw(st.permutations(kept))]
    made = made.sample(frac=1, random_state=data.draw(st.integers(0, 99))) if data.draw(st.booleans()) else made
    if data.draw(st.booleans()):
        made[names[0]] = made[names[0]].astype(str)
    try:
        found = read(ReadPlan(time_zone="UTC"), made.reset_index(drop=True)).table
    except OpenQuestion as asked:
        assert asked.question.key in ("shape", "grid")  # noqa: PT017
        answers = {asked.question.key: "long" if asked.question.key == "shape" else "union"}
        found = read(ReadPlan(time_zone="UTC", **({"grid": "union"} | answers)), made.reset_index(drop=True)).table
    equal(found, frame)
    if names[4] in kept:
        assert set(made[names[4]]) == {"%"}


@given(tables(), st.data())
@settings(max_examples=20, deadline=None)
def test_pairs_of_any_length(frame: pd.DataFrame, data: Any) -> None:
    over_clock, status = data.draw(st.booleans()), data.draw(st.booleans())
    columns: dict[str, Any] = {}
    rows = len(frame)
    for at, name in enumerate(frame):
        own = frame[name].dropna()
        clock, value = (str(name), f"Value.{at}") if over_clock else (f"Time.{at}", str(name))
        padding = [None] * (rows - len(own))
        columns[clock] = pd.Series([*own.index, *padding], dtype="datetime64[ns]")
        columns[value] = [*own, *padding]
        if status:
            columns[f"Status.{at}"] = [*["Good"] * len(own), *padding]
    made = pd.DataFrame(columns)
    try:
        found = read(ReadPlan(time_zone="UTC"), made).table
    except OpenQuestion as asked:
        assert asked.question.key in ("shape", "grid")  # noqa: PT017
        found = read(ReadPlan(shape="pairs", grid="union"), made).table
    equal(found, frame)


@given(tables(), st.data())
@settings(max_examples=20, deadline=None)
def test_wide_with_status_columns(frame: pd.DataFrame, data: Any) -> None:
    ending, good, bad = data.draw(st.sampled_from(FLAGS))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    made, wanted = pd.DataFrame({"time": frame.index}), frame.copy()
    for name in frame:
        fails = random.random(len(frame)) < 0.3
        fails[:2] = [True, False]
        made[name] = frame[name].to_numpy()
        made[f"{name}{ending}"] = np.where(fails, bad, good)
        wanted.loc[fails, name] = None if name == "MODE" else np.nan
    if "MODE" in wanted:
        known = set(wanted["MODE"].dropna())
        if len(known) < 2:
            return
    made = made.iloc[random.permutation(len(made))].reset_index(drop=True)
    reading = read(ReadPlan(time_zone="UTC"), made)
    if "MODE" in wanted:
        wanted["MODE"] = wanted["MODE"].where(wanted["MODE"].notna(), None)
    equal(reading.table, wanted)
    bad_cells = np.isnan(reading.table.values)
    if reading.table.quality is not None:
        np.testing.assert_array_equal(reading.table.quality == Quality.BAD, bad_cells)
