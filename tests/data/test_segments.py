"""What a gap is, and the quality of a row; segments are in tests/laws/test_windows_laws.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backmix.data.quality import Quality
from backmix.data.segments import allowed_gap, row_quality
from backmix.data.table import Table
from backmix.data.tag import Tag

few = settings(max_examples=60, deadline=None)


def test_a_gap_is_more_than_three_steps_when_nothing_else_is_said() -> None:
    time = np.datetime64("2024-05-13", "ns") + np.array([0, 60, 120, 300, 361, 541, 722]).astype("timedelta64[s]")
    table = Table(np.zeros((7, 1)), (Tag("T"),), time=time)
    assert table.step == pytest.approx(120.5)
    assert allowed_gap(table, None) == pytest.approx(361.5)
    regular = Table(np.zeros((8, 1)), (Tag("T"),), time=time[0] + np.arange(8) * np.timedelta64(60, "s"))
    assert allowed_gap(regular, None) == 180
    assert allowed_gap(Table(np.zeros((3, 1)), (Tag("T"),)), None) is None


@few
@given(st.lists(st.tuples(*[st.sampled_from(list(Quality))] * 3), min_size=1, max_size=20))
def test_the_quality_of_a_row_is_the_worst_of_its_tags(qualities: list[tuple[int, ...]]) -> None:
    values = np.where(np.array(qualities) == Quality.BAD, np.nan, 1.0)
    table = Table(values, (Tag("a"), Tag("b"), Tag("c")), quality=np.array(qualities, np.uint8))
    assert row_quality(table, ("c", "a")).tolist() == [max(row[2], row[0]) for row in qualities]
