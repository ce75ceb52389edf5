"""What the dead times of the tags do to the windows of a plan."""

from __future__ import annotations

import numpy as np
import pytest

from backmix.data.delays.dead_time import DeadTime, Scan, scan
from backmix.data.splitting.split import SplitPlan, split
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import WindowSpec
from backmix.training.advice.delays import plan_lines, rows_back, scan_prepared
from backmix.training.advice.lookback import CLOSE, choose_lookback
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from small import reading, small_batches, small_plan, small_table

SPEC = WindowSpec(inputs=("a", "b"), targets=("y",), lookback=1)


def weak_and_late(rows: int = 4000) -> Table:
    """One input that matters at once, and one that matters a little, thirty rows later."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2))
    y = x[:, 0] + 0.15 * np.append(np.zeros(30), x[:-30, 1]) + 0.3 * rng.normal(size=rows)
    return Table(np.column_stack([x, y]), (Tag("a"), Tag("b"), Tag("y", role="target")))


def found(rows: int, *, sure: bool = True) -> Scan:
    one = DeadTime("b", rows, None, rows, rows, rows, 0.3, "correlation", 0.0, sure, "found" if sure else "vague")
    return Scan("y", (one,), (), 900, 60, None)


def errors(said: str) -> dict[int, float]:
    return {int(pair.split(": ")[0]): float(pair.split(": ")[1]) for pair in said.split(", ")}


def test_a_lookback_covers_a_delay_that_may_be_relied_on() -> None:
    table = weak_and_late()
    parts = split(table, SplitPlan(), gap=1)
    plain = choose_lookback(table, parts, SPEC)
    for told in (scan(table, ["a", "b"], "y", rows=parts.rows(1), lags=60), found(30)):
        chosen = choose_lookback(table, parts, SPEC, dead_times=told)
        assert (plain.value, chosen.value) == (5, 40)
        assert (chosen.reason_key, chosen.values["tag"]) == ("dead_time.lookback", "b")
        assert "b is seen in the target after 30 rows" in chosen.reason("en")


def test_a_sure_delay_is_a_lower_bound_even_where_less_scores_better() -> None:
    """A quick linear model is no judge of what a network does with a late tag; the scan is sure of it."""
    table = small_table()
    parts = split(table, SplitPlan(), gap=1)
    spec = WindowSpec(inputs=("T101", "F102"), targets=("quality",), lookback=1)
    plain = choose_lookback(table, parts, spec)
    bound = choose_lookback(table, parts, spec, dead_times=found(30))
    tried = errors(bound.values["errors"])
    assert plain.value < 31 <= bound.value
    assert bound.value == min(
        rows
        for rows in tried
        if rows >= 31 and tried[rows] <= CLOSE * 1.01 * min(e for r, e in tried.items() if r >= 31)
    )


@pytest.mark.parametrize("told", [found(3000), found(30, sure=False), found(2)])
def test_a_delay_that_is_not_sure_covered_or_beyond_the_table_changes_nothing(told: Scan) -> None:
    table = small_table()
    parts = split(table, SplitPlan(), gap=1)
    spec = WindowSpec(inputs=("T101", "F102"), targets=("quality",), lookback=1)
    assert choose_lookback(table, parts, spec, dead_times=told).value == choose_lookback(table, parts, spec).value


def test_age_and_horizon_shorten_what_a_window_must_show() -> None:
    one = found(12).found[0]
    assert rows_back(one, SPEC) == 13
    assert rows_back(one, WindowSpec(inputs=("b",), targets=("y",), lookback=1, horizon=5, dead_time=3)) == 5
    assert plan_lines(found(12), SPEC) == ("[windows]", "lookback = 13  # b: 12")
    assert plan_lines(found(12, sure=False), SPEC) == ()
    assert plan_lines(found(0), SPEC) == ()


def test_the_lines_to_paste_are_a_plan() -> None:
    task = '\n[task]\nkind = "soft_sensor"\ntarget = "y"'
    plan = Plan.parse("\n".join(plan_lines(found(12), SPEC)) + task)
    assert str(plan.windows.lookback) == "13 rows"


def test_only_training_rows_are_scanned() -> None:
    """Other validation and test rows: the same findings, to the last bit."""
    plan, table = small_plan(), small_table()
    first = prepare(reading(table), plan)
    values = np.array(table.values)
    values[~first.fitted_on] = values[~first.fitted_on][::-1]
    second = prepare(reading(Table(values, table.tags, time=table.time, source="small")), plan)
    one, other = scan_prepared(first), scan_prepared(second)
    assert one is not None
    assert other is not None
    assert one.found == other.found
    assert one.found[2].sure  # T101, three rows late


def test_where_there_is_no_dead_time_none_is_looked_for() -> None:
    countdown = small_plan(
        task={"kind": "batch_end_time"},
        split={"kind": "batch"},
        windows={"lookback": "elapsed"},
        evaluation={"baselines": ["mean"]},
    )
    assert scan_prepared(prepare(reading(small_batches()), countdown)) is None
