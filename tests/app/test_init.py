"""A first plan: what is proposed with which reason, what is asked, and what is never overwritten."""

from __future__ import annotations

import json
import os
import pty
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backmix.app.draft import draft
from backmix.app.drafting.leaks import find_suspects
from backmix.app.drafting.sizes import Sizes, sizes_for
from backmix.app.drafting.target import Chosen, choose_target, is_alarm, kind_of, normal_of
from backmix.app.main import main
from backmix.data.sources import Reading, ReadPlan, read
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.form import WindowSpec
from backmix.errors import PlanError
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from backmix.training.sections.folds import lay_out_folds
from backmix.training.sections.rounds import lay_out_rounds
from backmix.tuning.setup import set_up_search
from backmix.workflow import fit

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in an empty folder: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        said = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    return run


def _frame(rows: int = 300, *, seed: int = 0, day: str = "2024-03-13") -> pd.DataFrame:
    """Four instruments, one of them an analyser, a row a minute."""
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.normal(size=(rows, 3))
    for row in range(1, rows):
        x[row] += 0.9 * x[row - 1]
    x += [50.0, 80.0, 2.5]
    y = 10 + 0.5 * np.roll(x[:, 0], 3) + 0.1 * rng.normal(size=rows)
    time = pd.date_range(day, periods=rows, freq="min").strftime("%Y-%m-%d %H:%M:%S")
    named = zip(("FI101", "TI102", "PI103"), x.T.round(4), strict=True)
    return pd.DataFrame({"time": time, **dict(named), "AI104": y.round(4)})


def _plan(name: str = "plan.toml") -> Plan:
    return Plan.load(name)


# The target


def _table(**columns: Any) -> Table:
    values = np.column_stack([np.asarray(column, float) for column in columns.values()])
    return Table(values, tuple(Tag(name) for name in columns))


NOISE = np.random.default_rng(1).normal(size=(8, 200))


@pytest.mark.parametrize(
    ("names", "wanted", "reason"),
    [
        (("FI101", "TI102", "AI104"), "AI104", "draft.target_analyser"),
        (("FI101", "TI102", "U2_QIC-77"), "U2_QIC-77", "draft.target_analyser"),
        (("FI101", "純度", "TI1"), "純度", "draft.target_word"),
        (("FI101", "TI1", "x conc"), "x conc", "draft.target_word"),
    ],
)
def test_a_target_is_taken_from_strong_evidence_with_its_reason(
    names: tuple[str, ...], wanted: str, reason: str
) -> None:
    chosen = choose_target(_table(**dict(zip(names, NOISE, strict=False))))
    assert isinstance(chosen, Chosen)
    assert (chosen.name, chosen.reason) == (wanted, reason)
    assert chosen.sentence()


@pytest.mark.parametrize(
    "names", [("FI101", "TI102"), ("AI101", "AI102"), ("purity a", "yield b", "FI1"), ("available", "PI1", "LIC3")]
)
def test_anything_less_is_a_question_with_the_candidates(names: tuple[str, ...]) -> None:
    chosen = choose_target(_table(**dict(zip(names, NOISE, strict=False))))
    assert isinstance(chosen, tuple)
    assert set(chosen) == set(names)


def test_a_mostly_empty_column_is_a_laboratory_value() -> None:
    sparse = np.where(np.arange(200) % 9 == 0, NOISE[3], np.nan)
    chosen = choose_target(_table(FI1=NOISE[0], C=sparse, TI2=NOISE[1]))
    assert isinstance(chosen, Chosen)
    assert (chosen.name, chosen.reason) == ("C", "draft.target_sparse")


def test_the_quality_of_a_tag_is_no_target() -> None:
    chosen = choose_target(_table(**{"FI1": NOISE[0], "FI1 quality": np.abs(NOISE[1]), "TI2": NOISE[2]}))
    assert isinstance(chosen, tuple)
    assert "FI1 quality" not in chosen


@pytest.mark.parametrize(
    ("name", "values", "alarm"),
    [
        ("x", [0, 1, 0, 1], True),
        ("x", [1, 2, 2, 1], True),
        ("x", [0.5, 1, 0.5, 1], False),
        ("x", [0, 1, 2, 3], False),
        ("fault", [0, 1, 2, 3], True),
        ("fault", [0, 1.5, 2, 3], False),
        ("x", [1, 1, 1, 1], False),
    ],
)
def test_two_states_are_an_alarm_and_not_a_quantity(name: str, values: list[float], alarm: bool) -> None:
    table = _table(**{name: values})
    assert is_alarm(table, table.tags[0]) == alarm
    assert kind_of(table, name)[0] == ("fault_diagnosis" if alarm else "soft_sensor")


def test_a_plan_for_two_states_runs_as_classes_with_the_normal_one_named(command: Command) -> None:
    frame = _frame(400).drop(columns="AI104")
    frame["ATTACK"] = (np.arange(400) // 40 % 2).astype(int)
    frame.to_csv("plant.csv", index=False)
    assert command("init", "plant.csv")[0] == 0
    plan = _plan()
    assert (plan.the_task.kind, plan.the_task.targets) == ("fault_diagnosis", ("ATTACK",))
    assert plan.the_task.normal == "0"  # type: ignore[attr-defined]
    code, out, _ = command("advise", "plan.toml", "--json")
    assert code == 0
    assert json.loads(out)["windows"]["train"] > 100


@pytest.mark.parametrize(("word", "sure"), [("Normal", True), ("正常", True), ("A", False)])
def test_the_normal_class_is_set_only_when_it_says_so(word: str, sure: bool) -> None:
    table = Table(np.array([[0.0], [1.0], [1.0]]), (Tag("state", categories=("leak", word)),))
    assert normal_of(table, "state") == (word, sure)


# Leaks


def test_sister_labels_and_what_comes_after_the_target_are_named() -> None:
    y = np.cumsum(NOISE[0]) + NOISE[1]
    late, early = np.full(200, np.nan), np.full(200, np.nan)
    late[7:], early[:-5] = y[:-7], y[5:]
    table = _table(
        quality=y,
        copy=3 - 2 * y,
        late=late,
        early=early,
        quality_lab2=NOISE[2],
        **{"quality flag": np.abs(np.sign(NOISE[3])), "quality SP": NOISE[4], "FI101": NOISE[5]},
    )
    found = find_suspects(table, "quality")
    assert {name: suspect.reason for name, suspect in found.items()} == {
        "copy": "draft.leak_copy",
        "late": "draft.leak_late",
        "early": "draft.leak_early",
        "quality_lab2": "draft.leak_name",
        "quality flag": "draft.leak_flag",
    }
    assert (found["late"].values["rows"], found["early"].values["rows"]) == (7, 5)


def test_neighbours_of_a_line_are_no_suspects() -> None:
    """The same stem of letters, a common building, a filtered signal: all are honest inputs."""
    y = np.cumsum(NOISE[0])
    table = _table(
        **{"Reactor Conc": y, "Reactor Temp": y + NOISE[1], "AI105": NOISE[2], "R1": np.convolve(y, np.ones(9), "same")}
    )
    assert find_suspects(table, "Reactor Conc") == {}
    assert find_suspects(table, "AI105") == {}


def test_a_state_that_is_the_target_under_other_names_is_a_suspect() -> None:
    codes = (np.arange(200) // 20 % 3).astype(float)
    tags = (Tag("state", categories=("a", "b", "c")), Tag("grade", categories=("x", "y", "z")), Tag("FI1"))
    table = Table(np.column_stack([codes, (codes + 1) % 3, NOISE[0]]), tags)
    assert {n: s.reason for n, s in find_suspects(table, "state").items()} == {"grade": "draft.leak_classes"}


# Proposals


def test_missing_minutes_are_still_minutes(command: Command) -> None:
    """Case: every tenth row is not there."""
    frame = _frame(600)
    frame[np.arange(600) % 10 != 3].to_csv("plant.csv", index=False)
    assert command("init", "plant.csv")[0] == 0
    assert str(_plan().repair.resample) == "1min"
    assert command("advise", "plan.toml", "--json")[0] == 0


def test_what_the_audit_found_is_proposed_with_its_reason(command: Command) -> None:
    frame = _frame(1500)
    frame.loc[[200, 700, 1100], "TI102"] += 60
    frame.loc[400:460, "FI101"] = frame.loc[400, "FI101"]
    frame["LIC7 [%]"] = (50 + 10 * np.sin(np.arange(1500) / 30) + NOISE[0, 0]).round(3)
    frame["dead"] = 5.0
    frame.to_csv("plant.csv", index=False)
    assert command("init", "plant.csv")[0] == 0
    text, plan = Path("plan.toml").read_text("utf-8"), _plan()
    assert plan.repair.outliers == "mask"
    assert 'outliers = "mask"  # the audit found spikes: TI102 × 3' in text
    assert str(plan.repair.frozen) == "10min"
    assert 'frozen = "10min"  # the audit found values that stand still: FI101' in text
    level = next(tag for tag in plan.data.tags if tag.name == "LIC7 [%]")
    assert (level.low, level.high, level.unit) == (0, 100, "%")
    assert 'name = "dead"\nunit = ""\nrole = "ignored"  # constant\n' in text
    assert "the scan finds FI101 acting 3 (3min) rows later" in text


@pytest.mark.parametrize("lang", ["en", "zh_TW"])
def test_every_plan_is_parsed_before_it_is_written(lang: str, command: Command) -> None:
    frame = _frame().rename(columns={"FI101": 'Feed "A" \\ [m3/h]', "TI102": "T.1 = 反應器 # 1", "AI104": "純度"})
    frame.to_csv("plant table.csv", index=False)
    assert command("--lang", lang, "init", "plant table.csv", "--out", "sub plan.toml")[0] == 0
    plan = _plan("sub plan.toml")
    assert {'Feed "A" \\ [m3/h]', "T.1 = 反應器 # 1"} <= {tag.name for tag in plan.data.tags}
    assert plan.the_task.targets == ("純度",)


# The laboratory


def _lab(rows: int = 40, **columns: Any) -> pd.DataFrame:
    at = pd.Timestamp("2024-03-13 00:05") + pd.to_timedelta(np.arange(rows) * 7, unit="min")
    result = [f"{value:.2f}" for value in 12 + NOISE[0, :rows]]
    frame = pd.DataFrame({"Sampled": at, "Reported": at + pd.Timedelta("75min"), "Purity": result})
    for name in ("Sampled", "Reported"):
        frame[name] = frame[name].dt.strftime("%d/%m/%Y %H:%M")
    return frame.assign(**columns)


def test_a_laboratory_is_found_with_sample_report_limits_and_repeats(command: Command) -> None:
    _frame().drop(columns="AI104").to_csv("plant.csv", index=False)
    lab = _lab()
    lab.loc[3, "Purity"], lab.loc[5, "Purity"] = "<0.5", "11.25 (重測)"
    lab["Analyst"], lab["No."] = "CH", np.arange(1, 41)
    pd.concat([lab, lab.iloc[[8]].assign(Purity="12.5")]).to_csv("lab.csv", index=False)
    code, _, err = command("init", "plant.csv", "--lab", "lab.csv")
    assert code == 0, err
    plan, text = _plan(), Path("plan.toml").read_text("utf-8")
    lab_plan = plan.data.lab
    assert lab_plan is not None
    assert (lab_plan.sample, lab_plan.report, lab_plan.columns) == ("Sampled", "Reported", ("Purity",))
    assert (lab_plan.below, lab_plan.duplicates, lab_plan.day_first) == (0.5, "last", True)
    assert "results below the limit of detection, such as <0.5: 1" in text
    assert plan.the_task.targets == ("Purity",)
    table = read(plan.data).table
    values = table.column("Purity")
    assert np.nanmin(values) == 0.25
    assert 11.25 in values
    assert np.isfinite(values).sum() == 40


@pytest.mark.parametrize(
    ("columns", "sample", "report"),
    [
        (("取樣時間", "報告時間"), "取樣時間", "報告時間"),
        (("t1", "t2"), "t1", "t2"),
        (("Result released", "When"), "When", "Result released"),
    ],
)
def test_sample_and_report_are_told_apart_by_name_or_by_order(
    columns: tuple[str, str], sample: str, report: str, command: Command
) -> None:
    _frame().drop(columns="AI104").to_csv("plant.csv", index=False)
    renamed = {"Sampled": columns[columns.index(sample)], "Reported": columns[columns.index(report)]}
    _lab().rename(columns=renamed).to_excel("lab.xlsx", index=False)
    assert command("init", "plant.csv", "--lab", "lab.xlsx")[0] == 0
    lab_plan = _plan().data.lab
    assert lab_plan is not None
    assert (lab_plan.sample, lab_plan.report) == (sample, report)


def _parted(lab: pd.DataFrame, form: str = "%d/%m/%Y") -> pd.DataFrame:
    """The laboratory with date and time of day in columns of their own."""
    made = {}
    for name in lab.columns:
        if name in ("Sampled", "Reported"):
            at = pd.to_datetime(lab[name], format="%d/%m/%Y %H:%M")
            made |= {f"{name} date": at.dt.strftime(form), f"{name} time": at.dt.strftime("%H:%M")}
        else:
            made[name] = lab[name]
    return pd.DataFrame(made)


def test_sample_and_report_in_several_columns_are_found_and_written(command: Command) -> None:
    _frame().drop(columns="AI104").to_csv("plant.csv", index=False)
    _lab().to_csv("lab.csv", index=False)
    assert command("init", "plant.csv", "--lab", "lab.csv", "--out", "plain.toml")[0] == 0
    plain = read(_plan("plain.toml").data).table
    _parted(_lab()).to_csv("parted.csv", index=False)
    code, _, err = command("init", "plant.csv", "--lab", "parted.csv")
    assert code == 0, err
    lab_plan = _plan().data.lab
    assert lab_plan is not None
    assert lab_plan.sample == ("Sampled date", "Sampled time")
    assert lab_plan.report == ("Reported date", "Reported time")
    assert lab_plan.day_first is True
    table = read(_plan().data).table
    assert table.names == plain.names
    assert np.array_equal(table.values, plain.values, equal_nan=True)
    # as the user names them, and as the order of day and month is asked for
    told = ("--lab-option", 'sample=["Sampled date", "Sampled time"]', "--lab-option", "report_delay=75min")
    code, _, err = command("init", "plant.csv", "--lab", "parted.csv", *told, "--force")
    assert code == 0, err
    again = _plan().data.lab
    assert again is not None
    assert again.sample == ("Sampled date", "Sampled time")
    early = _parted(_lab(9).replace({"13/03": "03/04"}, regex=True))
    early.to_csv("early.csv", index=False)
    code, _, err = command("init", "plant.csv", "--lab", "early.csv", "--force")
    assert code == 2
    assert "data.lab.day_first" in err


def test_what_a_laboratory_does_not_say_is_asked(command: Command) -> None:
    _frame().drop(columns="AI104").to_csv("plant.csv", index=False)
    _lab().drop(columns="Reported").to_csv("lab.csv", index=False)
    code, out, err = command("init", "plant.csv", "--lab", "lab.csv")
    assert (code, out) == (2, "")
    assert "data.lab.report_delay" in err
    assert "--lab-option report_delay=1h" in err
    assert command("init", "plant.csv", "--lab", "lab.csv", "--lab-option", "report_delay=2h")[0] == 0
    lab_plan = _plan().data.lab
    assert lab_plan is not None
    assert str(lab_plan.report_delay) == "2h"
    early = _lab(9)
    early["Sampled"] = early["Sampled"].str.replace("13/03", "03/04")
    early["Reported"] = early["Reported"].str.replace("13/03", "03/04")
    early.to_csv("early.csv", index=False)
    code, _, err = command("init", "plant.csv", "--lab", "early.csv", "--force")
    assert code == 2
    assert "data.lab.day_first" in err


def test_a_lab_option_in_data_is_written_as_valid_toml(command: Command) -> None:
    """Case: the columns keep their own case."""
    _frame().drop(columns="AI104").to_csv("plant.csv", index=False)
    _lab().to_csv("lab.csv", index=False)
    told = 'lab={file="lab.csv", sample="Sampled", report="Reported"}'
    assert command("init", "plant.csv", "--target", "Purity", "--data", told)[0] == 0
    lab_plan = _plan().data.lab
    assert lab_plan is not None
    assert (lab_plan.sample, lab_plan.report) == ("Sampled", "Reported")
    assert command("advise", "plan.toml", "--json")[0] in (0, 3)


def _labelled(labels: int, rows: int = 4000) -> Table:
    rng = np.random.default_rng(3)
    y = np.full(rows, np.nan)
    y[np.sort(rng.choice(np.arange(60, rows), labels, replace=False))] = rng.normal(size=labels)
    return Table(np.column_stack([rng.normal(size=rows), y]), (Tag("FI101"), Tag("Purity", role="target")))


def test_few_results_give_folds_and_rounds_that_hold_enough_of_them() -> None:
    """83 results in two weeks: a backtest, a search and a refit can be laid out."""
    table = _labelled(83)
    sizes = sizes_for(table, "Purity", "soft_sensor")
    text = "\n".join(sizes.sections)
    document = tomllib.loads(text) | {"windows": {"lookback": sizes.lookback}, "training": {"epochs": 1}}
    document["task"] = {"kind": "soft_sensor", "target": "Purity"}
    document["split"] = dict(zip(("train", "validation", "test"), sizes.shares, strict=True))
    plan = Plan.check(document)
    assert {"backtest", "tune", "refit"} <= set(document)
    layout = lay_out_folds(table, plan.backtest, whole=False)
    known = np.isfinite(table.column("Purity"))
    for number in range(1, layout.count + 1):
        first, end = layout.rows(number, table)
        part = layout.divide(number, table.rows(slice(first, end)), sizes.lookback or 0).part
        assert min(known[first:end][part == code].sum() for code in (1, 2, 3)) >= 10
    assert len(set_up_search(Reading.of(table), plan).judged) == plan.tune.folds
    old = round(plan.refit.first * len(table))
    spec = WindowSpec(("FI101",), ("Purity",), lookback=sizes.lookback)
    rounds = lay_out_rounds(table, plan.refit, spec, old=old, held_out=None, whole=False)
    assert rounds.count >= 1
    assert all(known[slice(*rounds.judged_rows(n))].sum() >= 10 for n in range(1, rounds.count + 1))


def test_too_few_results_say_how_many_more_each_needs() -> None:
    sections = sizes_for(_labelled(25), "Purity", "soft_sensor").sections
    assert [line.split(" needs")[0] for line in sections if line] == [
        "# A backtest",
        "# A search (backmix tune)",
        "# A refit",
    ]
    assert all(re.search(r"these 25 labels, about \d+ more", line) for line in sections if line)


def test_many_results_keep_the_usual_sizes() -> None:
    assert sizes_for(_labelled(1500), "Purity", "soft_sensor") == Sizes()


# Questions, layouts, and a plan that is there already


@pytest.fixture
def unclear(command: Command) -> Path:
    frame = _frame(200)
    frame["time"] = pd.to_datetime(frame["time"]).dt.strftime("03/05/2024 %H:%M")
    frame.to_csv("plant.csv", index=False)
    return Path("plant.csv")


@pytest.mark.parametrize("lang", ["en", "zh_TW"])
def test_open_questions_stop_with_their_keys_and_answers(unclear: Path, command: Command, lang: str) -> None:
    code, out, err = command("--lang", lang, "init", str(unclear), "--interactive")
    assert (code, out) == (2, "")
    assert "data.day_first" in err.splitlines()[-1]
    assert "--data day_first=true  2024-05-03" in err
    assert not Path("plan.toml").exists()
    with pytest.raises(PlanError, match="day_first"):
        draft(unclear, settings=ReadPlan(), target="AI104", beside=Path())


def test_an_audit_lists_layout_evidence_and_questions_beside_the_old_keys(unclear: Path, command: Command) -> None:
    code, out, _ = command("audit", str(unclear), "--json")
    found = json.loads(out)
    assert code == 0
    (question,) = found["questions"]
    assert question["plan_key"] == "data.day_first"
    assert [reading["line"] for reading in question["readings"]] == [
        "day_first = true  # 2024-05-03",
        "day_first = false  # 2024-03-05",
    ]
    assert {"source", "rows", "first", "last", "step", "tags", "findings", "notes", "layout", "evidence"} <= set(found)
    assert {"name", "unit", "role"} <= set(found["tags"][0])
    code, out, _ = command("audit", str(unclear), "--data", "day_first=true", "--json")
    assert json.loads(out)["questions"] == []
    assert json.loads(out)["layout"]["day_first"] is True


def test_questions_are_asked_one_by_one_on_a_terminal(
    unclear: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real terminal: the answer 2 reads month first, the answer 1 takes the first candidate."""
    frame = pd.read_csv(unclear).rename(columns={"AI104": "XI104"})
    frame.to_csv(unclear, index=False)
    keyboard, other_end = pty.openpty()
    os.write(keyboard, b"2\n1\n")
    with os.fdopen(other_end) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        code, out, err = command("init", str(unclear), "--interactive")
    os.close(keyboard)
    assert code == 0, err
    assert "data.day_first" in err
    assert "task.target" in err
    plan = _plan()
    assert plan.data.day_first is False
    assert plan.the_task.targets == ("XI104",)
    assert out.strip().endswith("plan.toml")


def test_a_layout_is_saved_once_and_used_again(unclear: Path, command: Command) -> None:
    saved = ("--save-layout", "historian.toml", "--data", "day_first=true", "--time-zone", "Asia/Taipei")
    assert command("init", str(unclear), *saved)[0] == 0
    plan = _plan()
    assert plan.data.layout == "historian.toml"
    assert plan.data.day_first is None
    Path("plans").mkdir()
    code, _, err = command("init", str(unclear), "--layout", "historian.toml", "--out", "plans/may.toml")
    assert code == 0, err
    again = _plan("plans/may.toml")
    assert (again.data.layout, again.data.file) == ("../historian.toml", "../plant.csv")
    assert command("audit", str(unclear), "--layout", "historian.toml")[0] == 0
    assert command("advise", "plans/may.toml", "--json")[0] == 0


def test_an_edited_plan_is_shown_the_difference_and_never_touched(command: Command) -> None:
    _frame().to_csv("plant.csv", index=False)
    assert command("init", "plant.csv")[0] == 0
    code, out, err = command("init", "plant.csv")
    assert (code, out) == (0, ""), "nothing has changed"
    assert "nothing was changed" in err
    edited = Path("plan.toml").read_text("utf-8").replace("seed = 0", "seed = 7")
    Path("plan.toml").write_text(edited, "utf-8")
    code, out, err = command("init", "plant.csv")
    assert code == 8
    assert "-seed = 7" in out
    assert "+seed = 0" in out
    assert "was not touched" in err
    assert Path("plan.toml").read_text("utf-8") == edited
    assert command("init", "plant.csv", "--force")[0] == 0
    assert "seed = 0" in Path("plan.toml").read_text("utf-8")


def test_an_audit_says_which_rows_and_units_cannot_be_judged(command: Command) -> None:
    frame = _frame(40)
    frame["unit"] = np.repeat(["E1", "E2"], 20)
    frame.loc[39, "unit"] = "E3"
    frame.loc[5, ["time", "FI101", "TI102", "PI103", "AI104", "unit"]] = None
    frame.to_csv("plant.csv", index=False)
    code, out, _ = command("audit", "plant.csv", "--batch", "unit", "--json")
    assert code == 0
    lost = json.loads(out)["not_judged"]
    assert lost["units"] == {"E3": "windows.reason_short_batch"}
    assert lost["rows"] == {"read.reason_blank_row": 1}
    code, out, _ = command("audit", "plant.csv", "--batch", "unit")
    assert any("not judged: 1 (E3)" in line for line in out.splitlines())


TWO_STATES = {"True": "False", "TRUE": "FALSE", "是": "否", "Y": "N", "Yes": "No", "T": "F"}


@pytest.mark.parametrize("on", TWO_STATES)
def test_a_target_of_two_words_is_a_class_in_the_words_of_the_file(on: str, command: Command) -> None:
    """True and false are numbers everywhere else; as a target they are the states that the file shows."""
    off = TWO_STATES[on]
    frame = _frame(600)
    faulty = np.arange(600) // 25 % 3 == 1
    frame["FI101"] += 0.5 * faulty
    frame.assign(Tripped=np.where(faulty, on, off)).to_csv("plant.csv", index=False)
    code, _, err = command("init", "plant.csv", "--target", "Tripped")
    assert code == 0, err
    plan, text = _plan(), Path("plan.toml").read_text("utf-8")
    assert plan.the_task.kind == "fault_diagnosis"
    assert f'normal = "{off}"' in text
    if on.casefold() == "true":
        assert 'type = "state"  # true and false are the classes here, as they are written' in text
        assert getattr(plan.the_task, "normal", None) == off
    table = read(plan.data).table
    assert set(table.tag("Tripped").categories) == {on, off}
    quick = plan.merged({"windows": {"lookback": 3}, "model": {"recipe": "course", "units": [2]}})
    run = fit(
        None, quick.merged({"training": {"epochs": 1}, "evaluation": {"resamples": 10}}), folder="run", quiet=True
    )
    assert set(run.bundle.preprocessing.task.target.classes) == {on, off}
    # a plan by hand, which does not say that the column holds states
    by_hand = {"file": "plant.csv"}
    plain = Plan.check({"data": by_hand, "task": {"kind": "fault_diagnosis", "target": "Tripped", "normal": off}})
    assert set(prepare(read(plain.data), plain).task.target.classes) == {on, off}
