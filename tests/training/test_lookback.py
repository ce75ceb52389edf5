"""Which lookback is chosen: all are judged on the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.data.splitting.split import SplitPlan, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import WindowSpec
from backmix.training.advice.lookback import choose_lookback


def batches(hard: int, *, count: int = 24, rows: int = 150) -> Table:
    """Batches in which the newest input says all, but for noise on the first ``hard`` rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=count * rows)
    begin = np.tile(np.arange(rows), count) < hard
    y = x + np.where(begin, 1.0, 0.3) * rng.normal(size=len(x))
    batch = np.repeat(np.arange(count), rows).astype(np.int32)
    names = tuple(f"B{number}" for number in range(count))
    return Table(np.column_stack([x, y]), (Tag("u"), Tag("y", role="target")), batch=batch, batch_names=names)


@pytest.mark.parametrize("stride", [1, 7])
@pytest.mark.parametrize("padded", [False, True])
def test_law_a_long_lookback_is_not_spared_the_rows_that_are_hard(stride: int, padded: bool) -> None:
    table = batches(100, count=120)
    parts = split(table, SplitPlan(kind="batch"), gap=0)
    found = choose_lookback(table, parts, WindowSpec(("u",), ("y",), lookback=1, stride=stride, padded=padded))
    assert found.value == 5
