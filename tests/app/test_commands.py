"""The command line: results on stdout, the rest on stderr, one line and a code for every error."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import backmix
from backmix.app.main import COMMANDS, main
from backmix.data.export import write_csv
from backmix.duration import Duration
from backmix.results.run import Run
from backmix.training.plan import Plan
from small import small_plan, small_table

MINUTE = Duration.parse("1min")


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plant.csv and a quick plan.toml."""
    monkeypatch.chdir(tmp_path)
    write_csv(small_table().to_frame().reset_index(), tmp_path / "plant.csv")
    plan = small_plan().merged({"data": {"file": "plant.csv"}})
    (tmp_path / "plan.toml").write_text(plan.to_toml(), "utf-8")
    return tmp_path


@pytest.mark.parametrize("lang", ["en", "zh_TW"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_in_both_languages(command: str, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--lang", lang, command, "--help") == 0
    text = capsys.readouterr().out
    assert any("\u4e00" <= c <= "\u9fff" for c in text) == (lang == "zh_TW")


def test_help_loads_no_numerical_framework() -> None:
    program = (
        "import sys, backmix.app.main as m\n"
        "try: m.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'keras', 'jax', 'numpy', 'pandas', 'pydantic', 'sklearn', 'matplotlib', 'scipy', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stderr.strip() == "[]"


def test_import_backmix_loads_nothing_else() -> None:
    program = "import sys, backmix; print(sorted({'keras', 'jax', 'numpy', 'pandas'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_run_then_show_predict_and_compare(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("run", "plan.toml") == 0
    said = capsys.readouterr()
    assert "runs/plan/report.en.html" in said.out
    assert said.out.rstrip().endswith(Run.load("runs/plan").verdict)
    lost = Run.load("runs/plan").summary["not_judged"]
    assert set(lost["rows"]) <= {"windows.reason_run_up", "windows.reason_unusable", "windows.reason_no_label"}
    assert all(line in said.out for line in lost["text"]["en"])
    assert "\r" not in said.err, "a pipe sees no progress bar"

    assert _run("show", "runs/plan/model.backmix", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["targets"][0]["name"] == "quality"
    assert shown["scores"]["verdict"]["en"] == Run.load("runs/plan").verdict

    assert _run("show", "runs/plan") == 0
    assert _run("predict", "runs/plan/model.backmix", "plant.csv") == 0
    lines = capsys.readouterr().out.splitlines()
    (start,) = [at for at, line in enumerate(lines) if line.startswith("model,target,time")]
    lines = lines[start:]

    # tomorrow's file is read by the layout that the model keeps, and what is different about it is said
    text = Path("plant.csv").read_text("utf-8-sig")
    Path("other.csv").write_text(text.replace(",", ";"), "utf-8")
    assert _run("predict", "runs/plan/model.backmix", "other.csv") == 3
    assert "the separator is not that of the training file" in capsys.readouterr().err
    assert _run("predict", "runs/plan/model.backmix", "other.csv", "--data", "delimiter=;") == 0
    assert capsys.readouterr().out.splitlines() == lines
    Path("titled.csv").write_text("Report of unit 100\n" + text, "utf-8")
    assert _run("predict", "runs/plan/model.backmix", "titled.csv", "--data", "preamble=1") == 0
    assert capsys.readouterr().out.splitlines() == lines

    assert _run("run", "plan.toml", "--seed", "3", "--json") == 0
    assert json.loads(capsys.readouterr().out)["folder"] == "runs/plan-2"
    assert _run("compare", "runs/plan", "runs/plan-2", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in rows] == ["plan", "plan-2"]
    assert rows[0]["test_rows"] == rows[1]["test_rows"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_run_on_a_converted_folder_is_the_run_on_the_file(
    plant: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    small_table().to_frame().reset_index().to_parquet("plant.parquet")
    assert _run("convert", f"plant.{kind}", "--out", "converted") == 0
    said = capsys.readouterr()
    assert said.out == "converted\n"
    assert '[data] file = "converted"' in said.err
    table = small_table()
    assert f"{len(table)} rows and {len(table.tags)} tags" in said.err
    scores = []
    for file in (f"plant.{kind}", "converted"):
        Path("plan.toml").write_text(small_plan().merged({"data": {"file": file}}).to_toml(), "utf-8")
        assert _run("run", "plan.toml", "--json") == 0
        scores.append(json.loads(capsys.readouterr().out)["scores"])
    assert scores[0] == scores[1]


def test_convert_never_overwrites_without_saying(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("convert", "plant.csv", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    table = small_table()
    assert (found["rows"], found["tags"], found["where"]) == (len(table), len(table.tags), "plant.table")
    assert found["bytes"] == sum(path.stat().st_size for path in Path("plant.table").iterdir())
    before = Path("plant.table/table.json").read_bytes()
    assert _run("convert", "plant.csv") == 8
    assert capsys.readouterr().err == (
        "backmix: plant.table — is there already. Name another folder with --out, "
        "or replace the converted table with --force\n"
    )
    table.to_frame().iloc[:9].reset_index().to_csv("short.csv", index=False)
    assert _run("convert", "short.csv", "--out", "plant.csv", "--force") == 8, "a file is no folder"
    capsys.readouterr()
    assert Path("plant.table/table.json").read_bytes() == before
    assert _run("convert", "short.csv", "--out", "plant.table", "--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 9


def test_convert_reads_a_sheet_whole_and_refuses_a_folder(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_table().to_frame().iloc[:20].tz_localize(None).reset_index().to_excel("plant.xlsx", index=False)
    assert _run("convert", "plant.xlsx", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 20
    assert _run("convert", "plant.table") == 3
    assert "is a folder, not a file" in capsys.readouterr().err
    assert _run("audit", "plant.table", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 20
    assert _run("convert", "plant.csv", "--out", "bad", "--data", "time_zone=Mars/Base") == 2
    assert not Path("bad").exists()


def test_advise_tells_dead_times_and_saves_their_picture(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """T101 is seen in the quality three rows later, as the table was made."""
    assert _run("advise", "plan.toml", "--picture", "delays.svg") == 0
    told = capsys.readouterr()
    line = next(line for line in told.out.splitlines() if line.strip().startswith("T101"))
    assert "3 (3min)" in line
    assert "yes" in line
    assert told.err.strip() == "picture of the dead times: delays.svg"
    assert Path("delays.svg").read_text("utf-8").startswith("<svg")
    assert _run("advise", "plan.toml", "--json") == 0
    found = {one["tag"]: one for one in json.loads(capsys.readouterr().out)["dead_times"]["found"]}
    assert (found["T101"]["rows"], found["T101"]["seconds"], found["T101"]["sure"]) == (3, 180.0, True)


def test_advise_says_what_auto_becomes_without_training(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("advise", "plan.toml", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {"model.cell", "training.loss"} <= {decision["setting"] for decision in found["choices"]}
    assert all(decision["reason"] for decision in found["choices"])
    assert found["parameters"] > 0
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"body": "transformer", "units": [8, 8]}, "transformer 8 → 8"),
        ({"attention": True, "layer_norm": True, "noise": 0.1}, "gru 4, layer_norm, attention"),
    ],
)
def test_any_form_shows_its_size_before_training(
    plant: Path, capsys: pytest.CaptureFixture[str], form: dict[str, object], said: str
) -> None:
    """Course items 4, 51, 86: parameters and memory of a form without training it, the same as in Keras."""
    from backmix.models import build
    from backmix.models.shape.forms import describe
    from backmix.training.advice.choose import Situation, advise

    plan = Plan.load("plan.toml").merged({"model": form})
    Path("plan.toml").write_text(plan.to_toml(), "utf-8")
    assert _run("advise", "plan.toml", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    a = advise(plan.model, Situation(features=3, lookback=6, samples=200)).architecture
    assert found["parameters"] == build(a, seed=0).count_params()
    assert found["memory_bytes"] > 4 * 4 * found["parameters"]
    assert describe(a) == said


def test_a_finished_run_is_never_overwritten(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("run", "plan.toml", "--folder", "here", "--json") == 0
    before = Path("here/run.json").read_bytes()
    capsys.readouterr()
    assert _run("run", "plan.toml", "--folder", "here") == 2
    assert capsys.readouterr().err == (
        "backmix: here — this folder holds a finished run, which is kept. Name another --folder\n"
    )
    assert Path("here/run.json").read_bytes() == before


def test_resuming_needs_the_same_plan_and_data(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("run", "plan.toml", "--resume") == 2
    assert "there is nothing to resume. Run without --resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["run", "none.toml"],
            2,
            "none.toml — the plan cannot be opened: No such file or directory. Write one with: backmix init TABLE.csv",
        ),
        (
            ["predict", "none.backmix", "plant.csv"],
            6,
            "none.backmix — there is no such bundle. A run leaves it as runs/NAME/model.backmix",
        ),
        (
            ["show", "none.backmix"],
            6,
            "none.backmix — there is no such bundle. A run leaves it as runs/NAME/model.backmix",
        ),
        (["compare", "."], 3, ". — there is no finished run here. Finish it with: backmix run PLAN --resume"),
        (["demo", "debutanizr"], 2, None),
        (["audit", "none.csv"], 3, None),
        (["flurb"], 2, None),
        (["run"], 2, None),
        (["--lang", "xx", "doctor"], 2, None),
    ],
)
def test_an_error_is_one_line_and_a_code(
    plant: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str | None
) -> None:
    assert _run(*arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("backmix: ")
    assert said.err.count("\n") == 1
    if message is not None:
        assert said.err == f"backmix: {message}\n"


def test_errors_are_json_when_asked(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", "none.backmix", "--json") == 6
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["key"] == "bundle.not_found"
    assert error["exit_code"] == 6


def test_doctor_schema_and_data_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("doctor", "--json") == 0
    assert {"keras", "jax"} <= {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert _run("schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Plan"
    assert _run("data", "list", "--json") == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert {"debutanizer", "tennessee_eastman", "cstr"} <= names


def _doctor_on_kernels(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert _run("doctor", "--json") == 0
    (row,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "native kernels"]
    return row["value"], row["remark"]


def test_doctor_names_what_the_kernels_run_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernels = SimpleNamespace(instruction_set=lambda: "avx2", threads=lambda: 3)
    monkeypatch.setattr("backmix.app.commands.doctor.find_spec", lambda name: kernels)
    monkeypatch.setattr(backmix, "native", kernels, raising=False)
    assert _doctor_on_kernels(capsys) == ("yes", "instruction set avx2, threads: 3")


@pytest.mark.parametrize(("found", "remedy"), [(None, "Install a C++ compiler"), (object(), "Install backmix again")])
def test_doctor_says_what_is_lost_without_kernels(
    monkeypatch: pytest.MonkeyPatch, found: object, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("backmix.app.commands.doctor.find_spec", lambda name: found)
    monkeypatch.delattr(backmix, "native", raising=False)
    monkeypatch.setitem(sys.modules, "backmix.native", None)  # importing it fails
    value, remark = _doctor_on_kernels(capsys)
    assert value == "no"
    assert "correct but slower" in remark
    assert remedy in remark


def test_data_get_writes_a_plant_as_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run("data", "get", "cstr", "--out", "cstr.csv") == 0
    assert (tmp_path / "cstr.csv").stat().st_size > 10_000


@pytest.mark.parametrize("lang", ["en", "zh_TW"])
def test_predictions_are_written_before_anything_is_told(
    sensor_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lang: str
) -> None:
    """Rows that resampling adds are in the ledger; telling of them comes last and costs nothing."""
    monkeypatch.chdir(tmp_path)
    preprocessing = sensor_run.bundle.preprocessing
    rules = replace(preprocessing.repair, plan=preprocessing.repair.plan.model_copy(update={"resample": MINUTE}))
    replace(sensor_run.bundle, preprocessing=replace(preprocessing, repair=rules)).save("model.backmix")
    write_csv(small_table().to_frame().drop(small_table().to_frame().index[50:52]).reset_index(), Path("new.csv"))
    assert _run("--lang", lang, "predict", "model.backmix", "new.csv", "--out", "out.csv") == 0
    told = capsys.readouterr().err.splitlines()
    assert "out.csv" in told[0]
    assert any(line.startswith({"en": "added: ", "zh_TW": "加入: "}[lang]) and "2" in line for line in told[1:])
    assert len(Path("out.csv").read_text("utf-8-sig").splitlines()) > 300
    monkeypatch.setattr("backmix.app.outcome.show_ledger", _fails)
    with pytest.raises(SystemExit):
        main(["--lang", lang, "predict", "model.backmix", "new.csv", "--out", "again.csv"])
    assert Path("again.csv").read_bytes() == Path("out.csv").read_bytes()


def _fails(*_: object) -> None:
    raise RuntimeError("told")


@pytest.mark.parametrize("kind", ["keras", "weights", "h5"])
def test_export_writes_what_plain_keras_opens(sensor_run: Run, tmp_path: Path, kind: str) -> None:
    """Course items 70 to 72; letter G: .h5 only as an export."""
    import keras
    import numpy as np

    suffix = {"keras": ".keras", "weights": ".weights.h5", "h5": ".h5"}[kind]
    out = tmp_path / f"model{suffix}"
    assert _run("export", str(sensor_run.bundle_path), "--to", kind, "--out", str(out)) == 0
    x = np.random.default_rng(0).normal(size=(3, 6, 3)).astype("float32")
    wanted = np.asarray(sensor_run.bundle.network.predict_on_batch({"x": x}))
    if kind == "weights":
        from backmix.models.network import build

        model = build(sensor_run.bundle.architecture, seed=5)
        model.load_weights(out)
    else:
        model = keras.models.load_model(out, compile=False)
    got = np.asarray(model.predict_on_batch({"x": x}))
    np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize("reader", ["head -c 10", "true"])
def test_a_pipe_that_closes_is_no_error(reader: str) -> None:
    program = "from backmix.app.main import main; main(['schema'])"
    found = subprocess.run(  # noqa: S602
        f'{sys.executable} -c "{program}" | {reader}', shell=True, capture_output=True, text=True, check=False
    )
    assert found.stderr == ""
