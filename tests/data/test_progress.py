"""What is known of a row once its batch has ended, and what already before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.progress import (
    asked_targets,
    complete,
    counts_down,
    every_row,
    last_value,
    left,
    of_batches,
    passed,
    share,
)
from backmix.data.windows.windows import WindowSpec, build_windows
from backmix.errors import PlanError
from batches import batch_table


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from(["rows", "s", "min", "h", "d"]))
def test_passed_and_left_add_up_to_the_length_of_the_batch(sizes: list[int], unit: str) -> None:
    """Each row by a loop over its batch, the independent way."""
    batch = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    steps = np.random.default_rng(sum(sizes)).integers(1, 500, sum(sizes))
    time = np.datetime64("2026-01-01", "ns") + np.cumsum(steps).astype("m8[s]").astype("m8[ns]")
    table = Table(
        np.zeros((len(batch), 1)), (Tag("T"),), time=time, batch=batch, batch_names=tuple(map(str, range(len(sizes))))
    )
    since, ahead = passed(table, unit), left(table, unit)
    size = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    for row in range(len(table)):
        mine = np.flatnonzero(batch == batch[row])
        if unit == "rows":
            assert (since[row], ahead[row]) == (row - mine[0], mine[-1] - row)
        else:
            assert since[row] == pytest.approx((time[row] - time[mine[0]]) / np.timedelta64(1, "s") / size[unit])
            assert ahead[row] == pytest.approx((time[mine[-1]] - time[row]) / np.timedelta64(1, "s") / size[unit])


def test_a_time_needs_a_clock() -> None:
    with pytest.raises(PlanError, match="min"):
        passed(batch_table(clock=False), "min")


def test_rows_behind_a_row_do_not_change_the_time_that_has_passed() -> None:
    table = batch_table()
    for end in (1, 9, 40):
        assert np.array_equal(passed(table.rows(slice(0, end)), "min"), passed(table, "min")[:end])


def test_the_last_value_of_a_batch_stands_on_all_its_rows() -> None:
    table = batch_table(4)
    values = np.array(table.values)
    values[table.batch == 1, 2] = np.nan
    values[np.flatnonzero(table.batch == 2)[2], 2] = 1.0  # an earlier value is not the last
    found = last_value(replace(table, values=values), "purity")
    for code in range(4):
        mine = found[table.batch == code]
        expected = values[table.batch == code, 2][-1]
        assert np.array_equal(mine, np.full(len(mine), expected), equal_nan=True)


def _growing(table: Table, stride: int = 1) -> WindowSpec:
    return WindowSpec(inputs=("rate",), targets=("purity",), lookback=None, stride=stride, growing=True)


def test_windows_know_how_far_their_batch_has_come() -> None:
    table = batch_table()
    table = table.with_columns([table.tag("purity")], last_value(table, "purity"))
    windows = build_windows(table, _growing(table, stride=3))
    assert windows.lengths is not None
    assert windows.batches is not None
    done = complete(windows)
    assert done.sum() == len(table.batch_names), "the last row of every batch is a window"
    assert np.array_equal(share(windows) == 1.0, done)
    sizes = np.bincount(np.asarray(table.batch))
    of = np.array([table.batch_names.index(name) for name in windows.batches])
    assert np.allclose(share(windows), windows.lengths / sizes[of])


def test_one_window_per_batch_asks_on_every_row_what_all_its_windows_ask() -> None:
    table = batch_table(5).with_columns([Tag("left")], left(batch_table(5), "rows"))
    spec = WindowSpec(inputs=("rate",), targets=("left",), lookback=None, growing=True)
    windows = build_windows(table, spec)
    training_samples = every_row(windows)
    assert len(training_samples) == 5
    taught = training_samples.gather(training_samples.all_indices)
    assert taught.weight is not None
    assert taught.y is not None
    assert taught.weight.sum() == len(windows)
    asked = taught.y[taught.weight > 0][:, 0]
    assert np.array_equal(asked, windows.truth()[:, 0].astype(np.float32))
    assert np.array_equal(asked_targets(training_samples), asked_targets(windows))


def test_of_batches_and_counting_down() -> None:
    table = batch_table(3)
    assert np.array_equal(of_batches(table, ["B02", "gone"]), table.batch == 1)
    assert not of_batches(table, []).any()
    table = table.with_columns([Tag("left")], left(table, "min"))
    windows = build_windows(table, WindowSpec(inputs=("rate",), targets=("left",), lookback=2))
    assert counts_down(windows, "left", "min")
    assert not counts_down(windows, "left", "rows")
    assert not counts_down(windows, "rate", "min")
    assert not counts_down(windows, "left", "bar")
