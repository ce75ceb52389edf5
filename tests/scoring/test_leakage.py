"""The leakage audit finds what was planted, and nothing where nothing is (bad input 24, course item 64)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backmix.data.ledger import Ledger
from backmix.data.scaling import fit_scaler
from backmix.data.sources import Reading
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.reach import rows_used
from backmix.data.windows.windows import Known, Windows, WindowSpec, build_windows
from backmix.errors import LeakageError, PlanError
from backmix.scoring.leakage.audit import (
    LeakageResult,
    acknowledge,
    audit_run,
    future,
    refuse,
    scaler_rows,
    split_overlap,
    target_copies,
)
from backmix.scoring.leakage.copies import find_copies
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from frames import lagged_table, windows_of


def plan(**sections: Any) -> Plan:
    return Plan.model_validate({"task": {"kind": "soft_sensor", "target": "y"}, "windows": {"lookback": 8}, **sections})


def prepared(table: Table | None = None, **sections: Any) -> Prepared:
    table = lagged_table(500) if table is None else table
    return prepare(Reading(table=table, ledger=Ledger(read=len(table))), plan(**sections))


def with_input(table: Table, name: str, values: NDArray[Any]) -> Table:
    """The table with one more input."""
    return Table(
        np.column_stack([table.values, values]),
        (*table.tags, Tag(name)),
        time=table.time,
        batch=table.batch,
        batch_names=table.batch_names,
        source=table.source,
    )


def test_a_clean_run_passes_every_check() -> None:
    results = audit_run(prepared())
    assert [result.name for result in results] == ["overlap", "scaler", "copy", "availability", "future"]
    assert all(result.passed for result in results)
    refuse(results)
    for result in results:
        assert result.text("en") != result.text("zh_TW")
        assert set(result.to_dict()["text"]) == {"en", "zh_TW"}


@pytest.mark.parametrize("past", [None, {"delay": 3, "count": 2}])
def test_every_kind_of_window_is_replayed(past: dict[str, int] | None) -> None:
    run = prepared(task={"kind": "soft_sensor", "target": "y", "past_targets": past})
    assert future(run.preprocessing, run.test).passed is True


def test_rows_used_are_those_that_a_window_reads() -> None:
    """Law: changing any row outside ``rows_used`` changes no window; changing one inside changes some."""
    table = lagged_table(60)
    spec = WindowSpec(inputs=("u1",), targets=("y",), lookback=4, horizon=2, dead_time=1, known=Known(delay=3, count=2))
    windows = build_windows(table, spec).subset(np.array([5, 20]))

    def content(values: NDArray[Any]) -> bytes:
        batch = replace(windows, table=replace(table, values=values)).gather(windows.all_indices)
        assert batch.y is not None
        return batch.x.tobytes() + batch.y.tobytes()

    used, before = rows_used(windows), content(table.values)
    for row in range(60):
        values = np.array(table.values)
        values[row] += 1.0
        if not used[row]:
            assert content(values) == before
    values = np.array(table.values)
    values[used] += 1.0
    assert content(values) != before
    assert used.sum() < 30


def test_a_row_in_two_parts_is_found() -> None:
    """Trap J: windows cut before splitting reach across the boundary."""
    windows = windows_of(lagged_table(300))
    spec = windows["train"].spec
    every = build_windows(lagged_table(300), spec)
    leaky = {"train": every.subset(every.target_rows < 180), "test": every.subset(every.target_rows >= 180)}
    assert split_overlap(windows).passed
    result = split_overlap(leaky)
    assert result.passed is False
    with pytest.raises(LeakageError) as caught:
        refuse([result])
    assert str(caught.value) == (
        "plant.csv — 5 rows, the first is row 176, are looked at by windows of both the train and the test part. "
        "Set [split] gap = 6 or more"
    )
    assert caught.value.exit_code == 4


def test_a_scaler_that_saw_other_rows_is_found() -> None:
    """Trap P, course item 64: fitted on everything, or on what is later the validation tail."""
    table = lagged_table(300)
    train = windows_of(table)["train"]
    rows = np.arange(300) < 180
    kinds = {"inputs": "standard", "target": "standard"}
    assert scaler_rows(train, rows=rows, kinds=kinds).passed
    names = train.spec.inputs
    everything = fit_scaler("standard", table.select(names).values, names)
    result = scaler_rows(train.scaled(everything, train.target_scaler), rows=rows, kinds=kinds)
    assert result.passed is False
    assert result.text("en") == (
        "plant.csv — the scaling of u1, u2, u3 was not learned from the training rows alone. Fit it with "
        "fit_scalers(table, spec, rows=split.rows(Part.TRAIN))"
    )


def test_a_scaler_of_the_target_that_saw_other_rows_is_found() -> None:
    table = lagged_table(300)
    train = windows_of(table)["train"]
    everything = fit_scaler("standard", table.select(("y",)).values, ("y",))
    rows, kinds = np.arange(300) < 180, {"inputs": "standard", "target": "standard"}
    result = scaler_rows(train.scaled(train.scaler, everything), rows=rows, kinds=kinds)
    assert result.passed is False
    assert result.values["names"] == "y"


def test_a_copy_is_acknowledged_by_its_own_name_alone() -> None:
    copy = LeakageResult("copy", False, "evaluation.leak_copy_same", {"where": "t", "target": "y"}, tag="near")
    other = LeakageResult("overlap", False, "evaluation.leak_overlap", tag="near")
    assert acknowledge([copy], ["far"]) == (copy,)
    (mine, overlap) = acknowledge([copy, other], ["near"])
    assert (mine.passed, mine.acknowledged) == (None, True)
    assert overlap == other  # nothing but a copy can be acknowledged


def test_a_repair_that_looks_ahead_is_found() -> None:
    """Interpolation fills a hole with a value that comes after it."""
    run = prepared(repair={"fill": "interpolate"}, online=False)
    result = future(run.preprocessing, run.test)
    assert result.passed is False
    assert result.key == "evaluation.leak_future_features"
    assert '[repair] fill = "hold"' in result.text("en")
    with pytest.raises(LeakageError):
        refuse([result])
    results = audit_run(run)
    refuse(results)  # it was said that the model is used afterwards only
    assert results[-1].passed is None
    assert results[-1].text("en").endswith("(declared by online = false: the model is for use afterwards only)")


def test_a_prediction_that_looks_at_other_windows_is_found() -> None:
    run = prepared()

    def honest(windows: Windows) -> NDArray[Any]:
        return windows.gather(windows.all_indices).x.sum(axis=(1, 2))

    def leaky(windows: Windows) -> NDArray[Any]:
        own = honest(windows)
        return own - own.mean()

    assert future(run.preprocessing, run.test, predict=honest).key == "evaluation.leak_future_none_predictions"
    result = future(run.preprocessing, run.test, predict=leaky)
    assert (result.passed, result.key) == (False, "evaluation.leak_future_predictions")


def test_a_slow_honest_sensor_is_no_copy() -> None:
    table = lagged_table(500)
    noisy = table.column("y") + 0.2 * np.random.default_rng(5).normal(size=500)
    (result,) = target_copies(windows_of(with_input(table, "near", noisy))["train"])
    assert result.passed is True
    assert result.text("en").startswith("None of the 4 inputs is a copy of the target: the closest is near")


def test_the_past_of_the_target_is_no_copy_of_it() -> None:
    """A column that shows the target 5 rows late is known by then."""
    table = lagged_table(500)
    late = np.roll(table.column("y"), 5)
    assert find_copies(windows_of(with_input(table, "late", late))["train"])[0] == ()


@pytest.mark.parametrize(
    ("name", "make", "how"),
    [
        ("line", lambda y: 3.0 - 2.0 * y, "same"),
        ("early", lambda y: np.roll(y, -3), "ahead"),
        ("curve", lambda y: np.exp(y), "curve"),
    ],
)
def test_planted_copies_are_found(name: str, make: Any, how: str) -> None:
    """Course item 64: the target itself, scaled, noisy, or ahead of its time."""
    table = lagged_table(900)
    (copy,), _ = find_copies(windows_of(with_input(table, name, make(table.column("y"))))["train"])
    assert (copy.tag, copy.how, copy.ahead) == (name, how, 3 if how == "ahead" else 0)


@pytest.mark.parametrize(("rows", "found"), [(29, ()), (30, ("copy",))])
def test_on_few_rows_a_perfect_fit_proves_nothing(rows: int, found: tuple[str, ...]) -> None:
    table = lagged_table(300)
    train = windows_of(with_input(table, "copy", 2.0 * table.column("y")))["train"]
    assert tuple(copy.tag for copy in find_copies(train.subset(np.arange(rows)))[0]) == found


def test_a_clock_that_tells_a_single_fault_is_no_copy() -> None:
    """What is told is told on stretches that were held out: when a fault happened once, any counter knows it by heart."""
    rows = np.arange(400.0)
    fault = (rows >= 30) & (rows < 76)
    table = Table(
        np.column_stack([rows, fault]), (Tag("clock"), Tag("fault", role="target", categories=("calm", "leak")))
    )
    assert find_copies(windows_of(table, targets=("fault",))["train"])[0] == ()


def test_holes_in_a_copy_do_not_hide_it() -> None:
    table = lagged_table(900)
    holed = np.where(np.random.default_rng(0).random(900) < 0.1, np.nan, table.column("y"))
    windows = windows_of(table)["train"]
    held = with_input(table, "copy", holed)
    spec = replace(windows.spec, inputs=(*windows.spec.inputs, "copy"))
    (copy,), _ = find_copies(replace(windows, table=held, spec=spec))
    assert copy.tag == "copy"


def test_a_column_that_names_the_class_is_found() -> None:
    generator = np.random.default_rng(0)
    codes = (np.arange(800) // 40) % 2
    values = np.column_stack([generator.normal(size=800), codes * 7.0 + 1, codes])
    table = Table(values, (Tag("u"), Tag("flag"), Tag("fault", role="target", categories=("calm", "leak"))))
    (copy,), _ = find_copies(windows_of(table, targets=("fault",))["train"])
    assert (copy.tag, copy.how) == ("flag", "classes")


def test_a_rare_class_does_not_make_every_input_a_copy() -> None:
    """With one fault in a thousand windows, saying "calm" always is 99.9 % right; recall per class is not."""
    generator = np.random.default_rng(0)
    codes = (np.arange(6000) % 1200 == 600).astype(float)
    table = Table(
        np.column_stack([generator.normal(size=6000), codes]),
        (Tag("u"), Tag("fault", role="target", categories=("calm", "leak"))),
    )
    assert find_copies(windows_of(table, targets=("fault",))["train"])[0] == ()


def test_an_acknowledged_name_that_is_no_input_is_refused() -> None:
    with pytest.raises(PlanError) as caught:
        audit_run(prepared(evaluation={"acknowledged": ["u9"]}))
    assert str(caught.value) == (
        "plant.csv — [evaluation] acknowledged names 'u9', which is no input. Did you mean 'u3'?"
    )
