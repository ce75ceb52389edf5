"""What a bundle says of new rows; bundles from outside are in tests/bad_inputs/test_bundles.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backmix.data.export import readable
from backmix.text import say
from backmix.workflow import Run
from small import small_table


def test_a_prediction_is_as_good_as_the_worst_value_that_it_was_made_from(sensor_run: Run) -> None:
    """A hole that was filled makes the windows that hold it uncertain, and no other."""
    table = small_table()
    values = np.array(table.values)
    values[100, table.index("F102")] = np.nan
    frame, _ = sensor_run.bundle.predict(replace(table, values=values))
    lookback = sensor_run.bundle.preprocessing.spec.lookback
    assert lookback is not None
    doubted = frame.loc[frame["quality"] == "uncertain", "origin"]
    whole, _ = sensor_run.bundle.predict(table)
    before = whole.loc[whole["quality"] != "good", "origin"]
    assert sorted(set(doubted) - set(before)) == list(range(100, 100 + lookback))
    assert set(before) <= set(doubted)


def test_the_reason_of_a_doubt_stands_beside_it(sensor_run: Run) -> None:
    """Of the worst cells in a window the newest one is to blame: its tag, and what repair did to it."""
    table = small_table()
    values = np.array(table.values)
    values[100, table.index("F102")] = np.nan
    values[102, table.index("T101")] = 1e6
    frame, _ = sensor_run.bundle.predict(replace(table, values=values))
    frame = frame.set_index("origin")
    lookback = sensor_run.bundle.preprocessing.spec.lookback
    assert lookback is not None
    assert lookback > 3
    held, clamped = frame.loc[101], frame.loc[103]
    assert (held["quality"], held["quality_tag"], held["quality_reason"]) == ("uncertain", "F102", "repair.reason_held")
    assert (clamped["quality_tag"], clamped["quality_reason"]) == ("T101", "repair.reason_clamp_high")
    good = frame[frame["quality"] == "good"]
    assert len(good)
    assert good["quality_reason"].isna().all()
    said = readable(frame.reset_index(), {})
    assert said["quality_reason"].iloc[101 - frame.index[0]] == say("repair.reason_held")
    assert set(said.loc[said["quality"] == "good", "quality_reason"]) == {""}


def test_the_predictions_of_a_run_say_how_good_their_inputs_were(sensor_run: Run) -> None:
    """Every model's, on every part: the inputs are the same."""
    frame = sensor_run.predictions
    assert set(frame["quality"]) <= {"good", "uncertain", "bad"}
    doubted = frame["quality"] != "good"
    assert frame.loc[doubted, "quality_reason"].notna().all()
    assert frame.loc[~doubted, "quality_reason"].isna().all()
    assert (frame.groupby(["part", "origin"])["quality"].nunique() == 1).all()
