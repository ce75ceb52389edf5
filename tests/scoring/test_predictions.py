"""The prediction frame: physical units, right rows, right times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import WindowSpec, build_windows
from backmix.scoring.predictions import COLUMNS, prediction_frame, read_sample
from backmix.tasks import Outcome
from frames import diagnosis, lagged_table, sensor, windows_of


def test_numbers_are_in_the_units_of_the_plant() -> None:
    """Course items 19 and 65: whatever the network saw scaled, the frame is physical."""
    table = lagged_table()
    windows = windows_of(table)["test"]
    frame = prediction_frame(
        sensor(table.tag("y")), windows, Outcome(values=windows.truth() + 1), model="m", part="test"
    )
    assert tuple(frame.columns) == COLUMNS
    assert np.array_equal(frame["truth"], table.column("y")[windows.target_rows])
    assert np.allclose(frame["prediction"] - frame["truth"], 1.0)
    assert frame["time"].dt.tz is not None
    assert np.array_equal(frame["time"].to_numpy(dtype="datetime64[ns]"), table.time[windows.target_rows])


def test_the_time_is_that_of_the_predicted_row() -> None:
    """With a horizon the frame is stamped with the moment that is predicted, also past the table's end."""
    table = lagged_table(50)
    spec = WindowSpec(inputs=("u1",), targets=("y",), lookback=3, horizon=4)
    live = build_windows(table, spec.without_target())
    frame = prediction_frame(
        sensor(table.tag("y")), live, Outcome(values=np.zeros((len(live), 1))), model="m", part="new"
    )
    assert frame["origin"].iloc[-1] == 49
    assert frame["time"].iloc[-1] == pd.Timestamp(table.time[-1], tz="UTC") + pd.Timedelta("4min")
    assert np.isnan(frame["truth"].iloc[-1])
    assert (frame["horizon"] == 4).all()


def test_several_targets_stand_window_by_window() -> None:
    table = replace(lagged_table(tags=4)).retag({"u4": Tag("u4", unit="bar", role="target")})
    windows = windows_of(table, targets=("y", "u4"))["test"]
    frame = prediction_frame(
        sensor(table.tag("y"), table.tag("u4")), windows, Outcome(values=windows.truth()), model="m", part="test"
    )
    assert frame["target"].tolist()[:4] == ["y", "u4", "y", "u4"]
    assert np.array_equal(frame["truth"], frame["prediction"])


def test_classes_have_names_and_probabilities() -> None:
    codes = np.array([0.0, 1.0, 1.0, 0.0])
    tag = Tag("fault", role="target", categories=("calm", "leak"))
    table = Table(
        np.column_stack([np.arange(4.0), codes]),
        (Tag("u"), tag),
        batch=np.array([0, 0, 1, 1], np.int32),
        batch_names=("A", "B"),
    )
    windows = build_windows(table, WindowSpec(inputs=("u",), targets=("fault",), lookback=1))
    chances = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [np.nan, np.nan]])
    frame = prediction_frame(diagnosis("calm", "leak"), windows, Outcome(probabilities=chances), model="m", part="test")
    assert frame["truth"].tolist() == ["calm", "leak", "leak", "calm"]
    assert frame["prediction"].tolist()[:3] == ["calm", "leak", "calm"]
    assert frame["prediction"].isna().tolist() == [False, False, False, True]
    assert frame["batch"].tolist() == ["A", "A", "B", "B"]
    assert frame["time"].isna().all()
    assert frame["p:leak"].tolist()[:2] == [0.1, 0.8]


def test_a_sample_is_in_order_whatever_the_frame() -> None:
    table = lagged_table(200)
    windows = windows_of(table)["test"]
    frame = prediction_frame(sensor(table.tag("y")), windows, Outcome(values=windows.truth()), model="m", part="t")
    one, other = read_sample(frame), read_sample(frame.sample(frac=1.0, random_state=1))
    assert np.array_equal(one.truth, other.truth)
    assert one.clock
    assert one.step == pytest.approx(60.0)
