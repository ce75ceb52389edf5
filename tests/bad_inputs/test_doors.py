"""What a user is told through the command line: one line, a documented code, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backmix.app.main import main
from backmix.data.export import write_csv
from backmix.data.reading.reading import ReadPlan
from backmix.results.run import Run
from backmix.simple import simple_models
from small import small_plan, small_table

Said = tuple[int, str, str]
Door = Callable[..., Said]

DATA_KEYS = ", ".join(sorted(ReadPlan.model_fields, key=lambda name: name not in ReadPlan.__annotations__))
"""The keys of ``[data]``: first those of its own, then those of a layout."""


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Door:
    """The command line in an empty folder: arguments -> exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def backmix(*arguments: str) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    return backmix


def plant(rows: slice = slice(None)) -> pd.DataFrame:
    frame = small_table().to_frame().reset_index()
    frame["time"] = frame["time"].dt.strftime("%Y-%m-%d %H:%M:%S")
    return frame.iloc[rows].reset_index(drop=True)


def refused(door: Door, code: int, message: str, *arguments: str) -> None:
    before = sorted(path.name for path in Path().iterdir())
    assert door(*arguments) == (code, "", f"backmix: {message}\n")
    assert sorted(path.name for path in Path().iterdir()) == before, "nothing was written"


def run_of(frame: pd.DataFrame, **changes: Any) -> None:
    """plant.csv and plan.toml."""
    write_csv(frame, Path("plant.csv"))
    Path("plan.toml").write_text(small_plan(**{"data": {"file": "plant.csv"}, **changes}).to_toml(), "utf-8")


def test_row_24_a_copy_of_the_target_stops_the_run_until_it_is_acknowledged(door: Door) -> None:
    frame = plant()
    frame["copy"] = frame["quality"] * 1.8 + 32
    run_of(frame)
    refused(
        door,
        4,
        "plant.csv — input 'copy' is nearly the target 'quality' itself (correlation 1.0000 at the same "
        'row, 241 training rows). Leave it out with [[data.tags]] name = "copy", role = "ignored"; if the '
        'plant really knows it at the moment of prediction, say so: [evaluation] acknowledged = ["copy"]',
        "run",
        "plan.toml",
    )
    run_of(frame, evaluation={"acknowledged": ["copi"]})
    refused(
        door,
        2,
        "plant.csv — [evaluation] acknowledged names 'copi', which is no input. Did you mean 'copy'?",
        "run",
        "plan.toml",
    )
    run_of(frame, evaluation={"acknowledged": ["copy"]})
    code, out, _ = door("run", "plan.toml")
    assert code == 0
    assert "runs/plan/report.en.html" in out


@pytest.mark.parametrize(
    ("change", "plan", "message"),
    [
        (
            lambda f: f.iloc[:30],
            {},
            "plant.csv — too little data: of 30 rows none is left for the validation part when 6 rows are purged between "
            "parts. Give about 80 rows, or purge at most 5: a shorter lookback, or [split] gap",
        ),
        (
            lambda f: f.iloc[:60],
            {},
            "plant.csv — the validation part has 6 windows, at least 10 are needed. A window spans 6 rows and the part has "
            "6. Give about 80 rows in all, use a shorter lookback, or give this part more rows in [split]",
        ),
        (
            lambda f: f.assign(quality=50.0),
            {},
            "plant.csv — target 'quality' is 50 in all 241 training windows, so there is nothing to learn. Name another "
            "target, or give training rows in which it changes: [split]",
        ),
        (
            lambda f: f.assign(quality=[f"remark {n}" for n in range(len(f))]),
            {},
            "plant.csv — target 'quality' holds free text in 420 rows, such as 'remark 0', which is neither numbers nor a "
            "few classes. Name another target",
        ),
        (
            lambda f: f.assign(quality=np.where(f.index // 35 % 3 == 0, "ok", "off")),
            {},
            "plant.csv — target 'quality' holds text (off, ok), soft_sensor needs numbers. Use [task] kind = "
            '"fault_diagnosis", or name another target',
        ),
        (
            lambda f: f.rename(columns={"quality": "qualty"}),
            {},
            "plant.csv — there is no column 'quality'. Did you mean 'qualty'? Found: T101, F102, P103, qualty",
        ),
        (
            lambda f: f[f.index % 7 != 0],
            {},
            "plant.csv — 59 of 359 times between rows are not even (step 60 s, but 120 s after 2026-03-01T00:06:00Z). "
            'Put the rows on a regular grid: [repair] resample = "1min"',
        ),
        (
            lambda f: f.assign(quality=f["quality"].where(f.index % 30 == 0)),
            {},
            "plant.csv — the training part has 8 windows with a value of the target, at least 10 are needed; 233 more have "
            "none. Give more labelled rows, or give this part more rows in [split]",
        ),
        (
            lambda f: f,
            {"split": {"kind": "batch"}},
            'plant.csv — the table has no batches. Name the batch column: [data] batch = "..."',
        ),
    ],
)
def test_a_table_that_cannot_be_trained_on_leaves_no_run(
    door: Door, change: Callable[[pd.DataFrame], pd.DataFrame], plan: dict[str, Any], message: str
) -> None:
    """Rows 5 and 28 among them."""
    run_of(change(plant()), **plan)
    refused(door, 3, message, "run", "plan.toml")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            {"evaluation": {"baselines": ["ridgee"]}},
            "there is no 'ridgee' among the simple_models. Did you mean 'ridge'? Known: "
            + ", ".join(simple_models.names()),
        ),
        (
            {"training": {"metrics": ["auc"], "epochs": 1}},
            "metric 'auc' does not fit this network (regression). Choose among: mse, mae, rmse",
        ),
        (
            {"data": {"set": "debutaniser"}},
            "there is no 'debutaniser' among the sets. Did you mean 'debutanizer'? Known: batch_dryer, bibmon, "
            "cmapss_fd001, cmapss_fd002, cmapss_fd003, daisy_cstr, daisy_evaporator, daisy_exchanger, debutanizer, "
            "etth1, tennessee_eastman",
        ),
    ],
)
def test_a_plan_that_cannot_be_run_leaves_no_run(door: Door, plan: dict[str, Any], message: str) -> None:
    run_of(plant(), **plan)
    refused(door, 2, message, "run", "plan.toml")


def test_an_input_of_more_states_than_may_be_coded_is_refused(door: Door) -> None:
    run_of(plant().assign(state=[f"R{row % 15:02d}" for row in plant().index]))
    refused(
        door,
        3,
        "plant.csv — input 'state' has 15 states with at least 5 training rows each (R00, R01, R02, R03 …), more than "
        'the 12 that an input may have. Leave it out: [[data.tags]] name = "state", role = "ignored"; merge states in '
        "the source; or allow them all: [scaling] states = 15",
        "run",
        "plan.toml",
    )


def test_row_28_as_many_rows_as_were_asked_for_are_enough(door: Door) -> None:
    run_of(plant(slice(0, 80)))
    assert door("advise", "plan.toml")[0] == 0
    run_of(plant(slice(0, 75)))
    assert door("advise", "plan.toml")[0] == 3


def test_every_fault_of_a_plan_once_and_in_order(door: Door) -> None:
    Path("plan.toml").write_text(
        """[data]
fil = "plant.csv"
time_zone = "Asia/Taipai"
[task]
kind = "soft_sensor"
target = ["quality", "quality"]
[windows]
lookback = "six"
[model]
units = "many"
[training]
learning_rate = "fast"
optimizer = "adm"
[scaling]
inputs = "stnadard"
[evaluation]
level = 95
resamples = -5
""",
        "utf-8",
    )
    faults = [
        f"line 2: [data] fil — unknown key. Did you mean 'file'? Known here: {DATA_KEYS}",
        "line 3: [data] time_zone — there is no time zone 'Asia/Taipai'. Did you mean \"Asia/Taipei\"? An offset such "
        'as "+08:00" will do too',
        "line 6: [task] target — 'quality' is named twice. Name each target once",
        'line 8: [windows] lookback — duration \'six\' cannot be read. Write a time such as "90s", "5min", "2h", '
        "\"1d\", or whole rows such as 30, or one of: 'auto', 'batch', 'elapsed'",
        "line 10: [model] units — got 'many', wanted a list in brackets, or one of: 'auto'",
        "line 12: [training] learning_rate — got 'fast', wanted a number, or one of: 'auto'",
        "line 13: [training] optimizer — 'adm' is not allowed here. Choose one of: 'adam', 'rmsprop', 'sgd'. "
        "Did you mean 'adam'?",
        "line 15: [scaling] inputs — there is no 'stnadard' among the scalers. Did you mean 'standard'? Known: "
        "minmax, none, robust, standard",
        "line 17: [evaluation] level — got 95, must be < 1.0",
        "line 18: [evaluation] resamples — got -5, must be ≥ 1",
    ]
    code, out, err = door("run", "plan.toml")
    assert (code, out) == (2, "")
    assert err.removeprefix("backmix: ").splitlines() == [f"plan.toml: {fault}" for fault in faults]


def test_row_32_and_35_columns_in_another_order_and_more_of_them(door: Door, sensor_run: Run) -> None:
    write_csv(plant(slice(300, None)), Path("later.csv"))
    write_csv(plant(slice(300, None))[["P103", "quality", "time", "F102", "T101"]].assign(T999=1.0), Path("other.csv"))
    bundle = str(sensor_run.bundle_path)
    _, one, _ = door("predict", bundle, "later.csv")
    code, two, notes = door("predict", bundle, "other.csv")
    assert code == 0
    assert one == two
    assert "converted: columns put into the order of the model · 360" in notes
    assert "converted: column that the model does not use · T999 · 120" in notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.rename(columns={"T101": "T_101"}),
            "later.csv — there is no column 'T101'. Did you mean 'T_101'? Found: T_101, F102, P103, quality",
        ),
        (
            lambda f: f.drop(columns=["T101", "quality"]),
            "later.csv — there is no column 'T101'. Did you mean 'P103'? Found: F102, P103",
        ),
        (
            lambda f: f.iloc[:4],
            "later.csv — too few rows to predict from: the model looks back over 6 rows in a row, the longest stretch has "
            "4. Give more rows before the first prediction",
        ),
        (lambda f: f.iloc[:0], "later.csv — has a header but no data rows. Export the table again with its rows"),
        (
            lambda f: f.assign(T101=np.nan),
            "later.csv — column 'T101' has no usable value in any row, and the model needs it. Mend the export",
        ),
        (
            lambda f: f.assign(T101="Bad Input"),
            "later.csv — column 'T101' has no usable value in any row, and the model needs it. Mend the export",
        ),
        (
            lambda f: f.assign(T101=f["T101"].where(f.index > 116)),
            "later.csv — missing values leave no stretch of 6 rows, as the model looks back; most are missing in 'T101' "
            "(117). Mend the export of that column",
        ),
        (
            lambda f: f.iloc[::5],
            "later.csv — rows are 300 s apart, but the model was trained on rows 60 s apart. Export the table with the step "
            "of training, or train with [repair] resample",
        ),
        (
            lambda f: f[f.index % 7 != 0],
            "later.csv — 16 of 101 times between rows are not even (step 60 s, but 120 s after 2026-03-01T05:06:00Z). "
            'Export the table with the even step of training, or train with [repair] resample = "1min"',
        ),
        (
            lambda f: f.drop(columns="time"),
            "later.csv — the model was trained on a table with a clock, this table has none. Name the time column: [data] "
            'time = "...". There is no plan here: say it as --data KEY=VALUE',
        ),
    ],
)
def test_row_33_a_table_that_the_model_cannot_use(
    door: Door, sensor_run: Run, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    """Rows 5, 16, 21 and 28 at prediction, too: what is said can be done without the plan."""
    write_csv(change(plant(slice(300, None))), Path("later.csv"))
    refused(door, 3, message, "predict", str(sensor_run.bundle_path), "later.csv", "--out", "out.csv")


def test_row_18_what_lies_outside_the_training_range_is_uncertain_in_the_output(door: Door, sensor_run: Run) -> None:
    frame = plant(slice(0, 60))
    frame.loc[40, "P103"] = 1e6
    write_csv(frame, Path("later.csv"))
    code, _, notes = door("predict", str(sensor_run.bundle_path), "later.csv", "--out", "out.csv")
    assert code == 0
    assert "brought to its edge · P103 · 1 · 2026-03-01T00:40:00Z" in notes
    made = pd.read_csv("out.csv")
    in_window = (made["origin"] >= 40) & (made["origin"] < 46)
    assert made.filter(regex="^prediction").notna().all(axis=None)
    assert (made.loc[in_window, "quality"] == "uncertain").all()
    assert (made.loc[made["origin"] >= 46, "quality"] == "good").all()


def test_a_question_of_the_reader_is_answered_without_a_plan(door: Door, sensor_run: Run) -> None:
    """Rows 2, 3 and 8: init, audit and predict take what a plan would say under [data]."""
    frame = plant(slice(0, 200))
    days = frame.assign(time=pd.to_datetime(frame["time"]).dt.strftime("%d/%m/%Y %H:%M"))
    write_csv(days, Path("days.csv"))
    question = (
        "days.csv:2:time — '01/03/2026 00:00' may be day-month or month-day, and no row shows which. Say it: "
        "[data] day_first = true or false. There is no plan here: say it as --data KEY=VALUE"
    )
    predict = ["predict", str(sensor_run.bundle_path), "days.csv"]
    refused(door, 3, question, *predict)
    code, out, err = door("init", "days.csv")
    assert (code, out) == (2, "")
    assert "  --data day_first=true  2026-03-01\n  --data day_first=false  2026-01-03\n" in err
    assert err.splitlines()[-1].startswith("backmix: days.csv — not decided by the file: data.day_first. Answer with")
    assert not Path("plan.toml").exists()
    code, out, _ = door("audit", "days.csv")
    assert code == 0
    assert "  --data day_first=true  2026-03-01\n  --data day_first=false  2026-01-03\n" in out
    for command in (["init", "days.csv"], ["audit", "days.csv"], predict):
        assert door(*command, "--data", "day_first=true")[0] == 0
    assert "day_first = true\n" in Path("plan.toml").read_text("utf-8")
    twice = pd.concat([frame.iloc[:9], frame.iloc[8:].assign(T101=1.5)])
    write_csv(twice, Path("twice.csv"))
    assert door("audit", "twice.csv")[0] == 3
    assert door("audit", "twice.csv", "--data", "duplicates=last")[0] == 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--data", "day_frist=true"],
            2,
            f"command line: [data] day_frist — unknown key. Did you mean 'day_first'? Known here: {DATA_KEYS}",
        ),
        (
            ["--data", "dayfirst"],
            2,
            "--data 'dayfirst' is no setting. Write KEY=VALUE, for example --data day_first=true",
        ),
        (
            ["--time-zone", "Europe/Berln"],
            2,
            "command line: [data] time_zone — there is no time zone 'Europe/Berln'. Did you mean \"Europe/Berlin\"? An "
            'offset such as "+08:00" will do too',
        ),
        (
            ["--time", "T101", "--batch", "T101"],
            2,
            "command line: [data] — column 'T101' cannot be both time and batch. Change one of them",
        ),
        (
            ["--time", "zeit"],
            3,
            "plant.csv — there is no column 'zeit'. Did you mean 'quality'? Found: time, T101, F102, P103, quality",
        ),
    ],
)
def test_options_that_cannot_be(door: Door, options: list[str], code: int, message: str) -> None:
    write_csv(plant(), Path("plant.csv"))
    for command in ("init", "audit"):
        refused(door, code, message, command, "plant.csv", *options)


def test_the_language_may_stand_anywhere(door: Door) -> None:
    Path("empty.csv").touch()
    for arguments in (
        ["--lang", "zh-TW", "audit", "empty.csv"],
        ["audit", "empty.csv", "--lang=zh_TW"],
        ["audit", "--lang", "zh-tw", "empty.csv"],
    ):
        assert door(*arguments) == (3, "", "backmix: empty.csv — 沒有內容。請連同標題列重新匯出資料表\n")
    refused(
        door,
        2,
        "Invalid value: language 'fr' is not spoken here. Choose one of: en, zh_TW",
        "audit",
        "empty.csv",
        "--lang",
        "fr",
    )


def test_names_of_data_sets_and_plants(door: Door) -> None:
    for command in (["demo"], ["data", "get"]):
        refused(
            door,
            2,
            "there is no data set or plant 'reactor'. Did you mean 'batch_reactor'? Known: batch_dryer, "
            "bibmon, cmapss_fd001, cmapss_fd002, cmapss_fd003, daisy_cstr, daisy_evaporator, daisy_exchanger, "
            "debutanizer, etth1, tennessee_eastman, batch_reactor, compressor, cstr, heat_exchanger",
            *command,
            "reactor",
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "runs — there is no finished run here. Finish it with: backmix run PLAN --resume"),
        ("{}", "runs/run.json — this summary is damaged or of another release. Run the plan again in a new folder"),
        ("[]", "runs/run.json — this summary is damaged or of another release. Run the plan again in a new folder"),
    ],
)
def test_a_run_folder_that_holds_no_run(door: Door, content: str, message: str) -> None:
    Path("runs").mkdir()
    Path("runs/run.json").write_text(content)
    for command in ("show", "compare"):
        refused(door, 3, message, command, "runs")


def test_a_group_without_a_command_shows_its_help(door: Door) -> None:
    code, out, err = door("data")
    assert (code, out) == (2, "")
    assert err.startswith("Usage: backmix data [OPTIONS] COMMAND [ARGS]...\n")
    assert "Traceback" not in err


def test_a_fault_of_our_own_is_one_line_too(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("backmix.data.export.write_csv", fail)
    code, out, err = door("data", "get", "cstr", "--out", "cstr.csv")
    assert (code, out) == (1, "")
    assert err.startswith("backmix: a fault of backmix itself: ZeroDivisionError: two lines (test_doors.py:")
    assert err.endswith("). Please report it with what BACKMIX_TRACEBACK=1 shows\n")
    assert err.count("\n") == 1


def test_a_plan_is_drafted_for_rows_at_uneven_times_and_for_a_few_classes(door: Door) -> None:
    write_csv(plant()[plant().index % 7 != 0], Path("uneven.csv"))
    assert door("init", "uneven.csv")[0] == 0
    assert '[repair]\nresample = "1min"  # 59 of 359 times' in Path("plan.toml").read_text("utf-8")
    text = Path("plan.toml").read_text("utf-8").replace('lookback = "auto"', "lookback = 5")
    Path("plan.toml").write_text(text, "utf-8")  # every seventh row is missing, and drifts leave some of them unfilled
    assert door("advise", "plan.toml")[0] == 0
    write_csv(plant().assign(quality=np.where(plant().index // 35 % 3 == 0, "ok", "off")), Path("classes.csv"))
    assert door("init", "classes.csv", "--out", "classes.toml")[0] == 0
    text = Path("classes.toml").read_text("utf-8")
    assert 'kind = "fault_diagnosis"' in text
    assert 'target = "quality"' in text


def test_a_line_break_in_a_header_and_a_column_that_counts(door: Door) -> None:
    frame = plant().rename(columns={"T101": " T101\n[°C] "})
    frame["No."] = np.arange(1, len(frame) + 1)
    frame.to_excel("plant.xlsx", index=False)
    assert door("init", "plant.xlsx")[0] == 0
    text = Path("plan.toml").read_text("utf-8")
    assert 'name = "T101 [°C]"\nunit = "°C"\n' in text
    assert 'name = "No."\nunit = ""\nrole = "ignored"  # counts rows: a model would learn the calendar\n' in text


def test_the_demo_goes_on_without_a_network(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mirror, an empty cache, a closed network: the simulated plant, said so, within seconds."""

    def closed(*_: Any, **__: Any) -> None:
        raise OSError(101, "Network is unreachable")

    ran: list[Any] = []

    def fit(_: None, plan: Any, **__: Any) -> None:
        ran.append(plan)
        raise KeyboardInterrupt

    monkeypatch.delenv("BACKMIX_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("cache").absolute()))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("socket.create_connection", closed)
    monkeypatch.setattr("backmix.workflow.fit", fit)
    code, out, err = door("demo")
    assert (code, out, [plan.data.plant for plan in ran]) == (130, "", ["cstr"])
    assert err.splitlines() == [
        "data set 'debutanizer' — debutanizer/Debutanizer_Column_Data.txt is not on this machine and "
        "raw.githubusercontent.com cannot be reached (Network is unreachable). Put the file into a folder as "
        "<folder>/debutanizer/Debutanizer_Column_Data.txt and set BACKMIX_DATA=<folder>, or use a simulated plant: "
        '[data] plant = "cstr"',
        "input: the simulated plant cstr, which ships with backmix",
        "backmix: interrupted",
    ]


def test_what_cannot_be_resumed_leaves_no_folder(door: Door) -> None:
    run_of(plant())
    refused(door, 2, "runs/plan — there is nothing to resume. Run without --resume", "run", "plan.toml", "--resume")
