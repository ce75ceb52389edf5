"""What a bundle says of new rows; bundles from outside are in tests/bad_inputs/test_bundles.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

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
