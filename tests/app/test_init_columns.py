"""A first plan for tables with codes for "no value", with states, with batches, and for short ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backmix.app.draft import Wishes, propose
from backmix.app.drafting.sizes import sizes_for
from backmix.app.drafting.states import judge_states
from backmix.app.main import main
from backmix.data.sources import ReadPlan, read
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.training.plan import Plan

Write = Callable[[pd.DataFrame, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a table into an empty folder, which is the working folder."""
    monkeypatch.chdir(tmp_path)

    def to_csv(frame: pd.DataFrame, name: str) -> Path:
        frame.to_csv(name, index=False)
        return Path(name)

    return to_csv


def _frame(rows: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    time = pd.date_range("2024-03-13", periods=rows, freq="min").strftime("%Y-%m-%d %H:%M:%S")
    flow, heat = 50 + rng.normal(size=rows), 80 + rng.normal(size=rows)
    return pd.DataFrame({"time": time, "FI101": flow, "TI102": heat, "AI104": 10 + 0.5 * flow + rng.normal(size=rows)})


def _draft(wishes: Wishes | None = None, **data: object) -> tuple[str, Plan]:
    drafted = propose(ReadPlan.model_validate(data), wishes or Wishes(), beside=Path())
    assert drafted.text is not None
    return drafted.text, Plan.parse(drafted.text, where="init")


def test_codes_without_doubt_are_taken_out_before_everything_else(write: Write) -> None:
    """Case: -9999 and -999.25 spoil limits and scale; the plan is drafted as if they were never there."""
    frame = _frame().rename(columns={"TI102": "TI102 [K]"})
    clean, _ = _draft(file=str(write(frame, "plant.csv")))
    frame.loc[::20, "TI102 [K]"] = -9999
    frame.loc[[5, 90, 133], "FI101"] = -999.25
    text, plan = _draft(file=str(write(frame, "plant.csv")))
    assert set(plan.data.missing or ()) == {-9999, -999.25}
    line = next(line for line in text.splitlines() if line.startswith("missing = "))
    assert "-9999.0" not in line
    assert "-9999: TI102 [K] 5.00%" in line
    assert "FI101 1.25%" in line
    assert plan.data.tags[1].low == 0  # a limit that 5 % of strays would have forbidden
    assert "low = 0.0" in clean
    assert np.nanmin(read(plan.data).table.column("TI102 [K]")) > 70


def test_what_a_person_says_of_codes_stands(write: Write) -> None:
    frame = _frame()
    frame.loc[::20, "TI102"] = -9999
    text, plan = _draft(file=str(write(frame, "plant.csv")), missing=[-5.0])
    assert plan.data.missing == (-5.0,)
    assert '# -9999 is a code for "no value" in TI102' in text


def test_few_states_become_inputs_and_many_do_not(write: Write) -> None:
    """Case: recipe, valve and pump are inputs."""
    frame = _frame()
    rows = np.arange(len(frame))
    frame["XV105"] = np.where(rows // 30 % 2, "OPEN", "CLOSED")
    frame["recipe"] = np.array(["A100", "B200", "C300"])[rows // 40 % 3]
    frame["operator"] = [f"shift {chr(65 + row % 26)}" for row in rows]
    text, plan = _draft(file=str(write(frame, "plant.csv")))
    tags = {tag.name: tag for tag in plan.data.tags}
    assert (tags["XV105"].type, tags["XV105"].role) == ("state", None)
    assert (tags["recipe"].type, tags["recipe"].role) == ("state", None)
    assert tags["operator"].role == "ignored"
    assert 'type = "state"  # 3 states (A100, B200, C300)' in text
    assert "26 different ones" in text


@pytest.mark.parametrize(
    ("counts", "fine"),
    [((60, 60), True), ((20,) * 12, True), ((20,) * 13, False), ((200, 3, 2), True), ((40, *(1,) * 30), False)],
)
def test_states_are_few_and_come_again(counts: tuple[int, ...], fine: bool) -> None:
    codes = np.repeat(np.arange(len(counts)), counts).astype(float)
    tag = Tag("mode", categories=tuple(f"s{code:02}" for code in range(len(counts))))
    table = Table(codes[:, None], (tag,))
    assert judge_states(table, tag)[0] == fine
    sparse = Table(np.append(codes, np.full(2 * len(codes), np.nan))[:, None], (tag,))
    assert not judge_states(sparse, tag)[0]


def _batches(write: Write) -> None:
    frame = _frame(400)
    write(frame.iloc[:200], "a.csv")
    write(frame.iloc[200:], "b.csv")
    time = pd.to_datetime(frame["time"])
    table = {
        "Batch": [f"B{number}" for number in range(10)],
        "Start": time[3::40].tolist(),
        "End": time[35::40].tolist(),
        "Recipe": ["A", "B"] * 5,
        "Yield": np.arange(10) * 0.7 + 88,
        "End weight": np.arange(10) * 1.3 + 400,
        "產率": np.arange(10) * 0.1,
    }
    write(pd.DataFrame(table), "batches.csv")


@pytest.mark.parametrize("lang", ["en", "zh_TW"])
def test_batches_are_shown_and_only_what_is_known_at_the_start_is_proposed(
    lang: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    _batches(write)
    with pytest.raises(SystemExit) as end:
        main(["--lang", lang, "init", "a.csv", "b.csv", "--batches", "batches.csv", "--target", "AI104"])
    assert end.value.code == 0
    shown, text = capsys.readouterr().err, Path("plan.toml").read_text("utf-8")
    assert shown.index("2024-03-13T00:43:00") < shown.index("plan.toml")
    plan = Plan.load("plan.toml")
    assert plan.data.batches is not None
    assert plan.data.batches.properties == ("Recipe",)
    assert "Yield, End weight, 產率" in text
    table = read(plan.data).table
    assert len(table.batch_names) == 10
    assert "Yield" not in table.names


def test_a_result_of_the_batch_can_be_the_target(write: Write) -> None:
    _batches(write)
    _, plan = _draft(Wishes(target="Yield"), file=["a.csv", "b.csv"], batches={"file": "batches.csv"})
    assert plan.the_task.kind == "batch_quality"
    assert plan.split.kind == "batch"
    assert plan.data.batches is not None
    assert plan.data.batches.properties == ("Recipe", "Yield")


def test_a_short_table_gets_parts_that_can_be_judged() -> None:
    table = Table(np.random.default_rng(0).normal(size=(59, 2)), (Tag("FI101"), Tag("AI104")))
    sizes = sizes_for(table, "AI104", "soft_sensor")
    assert min(int(59 * share) - (sizes.lookback or 20) for share in sizes.shares[1:]) >= 10
    assert sizes_for(table, "AI104", "fault_diagnosis").lookback is None
