"""How errors grow with the distance in time from the rows that taught."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Windows, WindowSpec, build_windows
from backmix.training.advice.distance import MOST, distance_factors


def windows_of(y: np.ndarray, x: np.ndarray) -> Windows:
    tags = (Tag("u"), Tag("v"), Tag("y", role="target"))
    table = Table(np.column_stack([x, y]), tags)
    return build_windows(table, WindowSpec(("u", "v"), ("y",), lookback=3))


def plant(seed: int, *, drift: float, rows: int = 2000) -> Windows:
    """A plant whose gain goes from 1 to 1 + drift."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    gain = 1.0 + drift * np.linspace(0, 1, rows)
    return windows_of(gain * x[:, 0] + x[:, 1] + 0.3 * rng.normal(size=rows), x)


@pytest.mark.parametrize("forward", [False, True])
def test_law_a_plant_that_stays_needs_no_wider_intervals(forward: bool) -> None:
    factors = [distance_factors(plant(seed, drift=0.0), 400, level=0.9, forward=forward)[0] for seed in range(5)]
    assert 1.0 <= max(factors) < 1.05


def test_law_a_plant_that_drifts_needs_the_wider_ones_the_farther_the_test_part_reaches() -> None:
    near, far = (distance_factors(plant(0, drift=3.0), ahead, level=0.9)[0] for ahead in (200, 1000))
    assert 1.2 < near < far <= MOST


def test_few_windows_say_nothing() -> None:
    assert distance_factors(plant(0, drift=3.0, rows=200), 100, level=0.9).tolist() == [1.0]


def test_rows_in_another_order_say_the_same() -> None:
    windows = plant(1, drift=2.0)
    mixed = windows.subset(np.random.default_rng(0).permutation(len(windows)))
    assert distance_factors(mixed, 400, level=0.9).tolist() == distance_factors(windows, 400, level=0.9).tolist()


def test_a_wide_table_is_seen_by_its_largest_components() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 120))
    y = x[:, 0] * np.linspace(1, 4, 1200) + 0.3 * rng.normal(size=1200)
    tags = (*(Tag(f"u{number}") for number in range(120)), Tag("y", role="target"))
    windows = build_windows(
        Table(np.column_stack([x, y]), tags), WindowSpec(tuple(tag.name for tag in tags[:-1]), ("y",), lookback=3)
    )
    (factor,) = distance_factors(windows, 400, level=0.9)
    assert 1.0 <= factor <= MOST
