"""A finished run explained after the fact: the command, the pages, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import backmix
from backmix.app.main import main
from backmix.data.export import write_csv
from backmix.errors import InputError, StorageError
from backmix.explanation import Explanation, explain
from backmix.report.render import MOST_BYTES
from backmix.results.run import Run
from backmix.text import LANGUAGES, say, speak
from backmix.workflow import fit
from small import small_plan, small_table


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plan beside its data, run from elsewhere."""
    folder = tmp_path_factory.mktemp("plant")
    (folder / "plans").mkdir()
    write_csv(small_table().to_frame().reset_index(), folder / "plans" / "plant.csv")
    plan = small_plan().merged({"data": {"file": "plant.csv"}, "model": {"cell": "lstm", "units": [4, 3]}})
    fit(None, plan, folder=folder / "runs" / "one", base=folder / "plans", quiet=True)
    return folder


def test_the_command_says_what_it_saw_and_writes_both_pages(
    plant: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(plant)
    assert _run("explain", "runs/one", "--at", "380", "--rows", "30") == 0
    said = capsys.readouterr().out
    assert said.count("• ") == 4
    assert said.rstrip().endswith(str(Path("runs/one/explain.en.html")))
    for lang in LANGUAGES:
        page = Path(f"runs/one/explain.{lang}.html").read_bytes()
        assert len(page) < MOST_BYTES
        text = page.decode()
        with speak(lang):
            assert say("insight.head") in text
            assert say("figures.gates") in text
            assert "c = f*c + i*candidate" in text
        assert "<script" not in text
    assert _run("--lang", "zh_TW", "explain", "runs/one", "--json", "--out", "elsewhere") == 0
    found = json.loads(capsys.readouterr().out)
    assert Path(found["pages"]["zh_TW"]) == Path("elsewhere/explain.zh_TW.html")
    assert Path("elsewhere/explain.en.html").exists()
    assert "回溯" in "".join(found["sentences"])
    assert found["memory"]["lookback_rows"] == 6


def test_every_report_shows_what_the_model_looks_at(plant: Path, sensor_run: Run, diagnosis_run: Run) -> None:
    for run in (Run.load(plant / "runs" / "one"), sensor_run, diagnosis_run):
        for lang in LANGUAGES:
            text = (run.folder / f"report.{lang}.html").read_text("utf-8")
            with speak(lang):
                assert say("insight.head") in text
                assert say("figures.attribution", unit="").split("{")[0] in text
        assert run.summary["insight"]["tags"]


def test_python_explains_a_run_that_was_made_of_a_frame(sensor_run: Run, tmp_path: Path) -> None:
    found = backmix.explain(sensor_run, data=small_table(), out=tmp_path)
    assert isinstance(found, Explanation)
    assert found.insight.source == ""  # the very table of the run: its test part
    assert found.page == tmp_path / "explain.en.html"
    assert len(found.sentences) == 4
    thorough, quick = found.insight.to_dict(), sensor_run.summary["insight"]
    assert thorough["tags"][0]["name"] == quick["tags"][0]["name"]
    assert thorough["windows"] >= quick["windows"]


def test_classes_are_explained_and_another_table_is_looked_at_whole(diagnosis_run: Run, tmp_path: Path) -> None:
    table = small_table(200, classes=True, seed=5)
    found = explain(diagnosis_run.folder, data=table, out=tmp_path, at=100, rows=50)
    assert found.insight.source == "small"
    assert found.insight.classes
    assert found.insight.gates is not None
    assert found.insight.gates.classes
    assert "windows of small, evenly" in found.page.read_text("utf-8")
    blind = explain(diagnosis_run, data=table.select(["T101", "F102", "P103"]), out=tmp_path)
    assert "insight.few_truths" in blind.insight.left_out
    assert blind.insight.permutation is None


def test_runs_that_cannot_be_explained_say_what_is_missing(
    plant: Path, sensor_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("explain", str(sensor_run.folder)) == 3
    assert "its plan does not say where the data is, because the table was handed over" in capsys.readouterr().err
    assert _run("explain", str(tmp_path)) == 3
    assert "no finished run" in capsys.readouterr().err
    assert _run("explain", str(plant / "runs" / "one"), "--target", "C_A") == 3
    assert "has no target C_A. Its targets are: quality" in capsys.readouterr().err
    assert _run("explain", str(plant / "runs" / "one"), "--at", "3") == 3
    assert "--at 3 is not among the rows that can be shown. They lie between" in capsys.readouterr().err


def test_data_that_is_gone_or_has_changed_is_told(plant: Path, tmp_path: Path) -> None:
    shutil.copytree(plant, tmp_path / "copy")
    run = tmp_path / "copy" / "runs" / "one"
    explain(run)  # the whole folder may move
    file = tmp_path / "copy" / "plans" / "plant.csv"
    moved = tmp_path / "moved.csv"
    file.rename(moved)
    with pytest.raises(InputError, match="the data of the run cannot be read again"):
        explain(run)
    assert explain(run, data=moved).insight.source == ""
    write_csv(small_table(seed=1).to_frame().reset_index(), file)
    with pytest.raises(InputError, match="the data that the plan names has changed since the run"):
        explain(run)


def test_a_place_that_cannot_be_written_is_told(plant: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(StorageError, match=r"explain\.en\.html"):
        explain(plant / "runs" / "one", out=tmp_path / "file")
