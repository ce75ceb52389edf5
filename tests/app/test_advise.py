"""``backmix advise`` for a plan, for a situation, and for the whole tree; and its page in the documentation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backmix.app.advice import page
from backmix.app.main import main
from backmix.text import LANGUAGES
from small import small_plan, small_table

NEEDS = "advise needs a plan (backmix advise plan.toml), a situation (--rows 60 --samples 5000), or --tree"
ROOT = Path(__file__).parent.parent.parent


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def test_a_situation(capsys: pytest.CaptureFixture[str]) -> None:
    """Course items 81 to 84: the path through the tree, then course, backmix and figures side by side."""
    assert run("advise", "--rows", "60", "--samples", "5000", "--budget", "ample") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "Fewer than 20 rows in a window? no: go on",
        "More than 100 rows? no: gru",
        "Fewer than 1000 training windows? no: lstm or gru",
        "Is computing time limited? no: lstm",
        "The course's answers contradict each other here: no cell satisfies all of them",
    ]
    assert any(line.startswith("• training.batch_size: 51 to 100 rows → 32") for line in lines)
    assert lines[-1].startswith("Measured ")


def test_a_situation_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("advise", "--rows", "10", "--samples", "500", "--task", "fault_diagnosis", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    recorded = {one["setting"]: one for one in result["counsel"]}
    assert recorded["model.cell"]["value"] == "gru"
    assert recorded["training.loss"]["value"] == "sparse_categorical_crossentropy"
    assert [rule["name"] for rule in recorded["model.cell"]["rules"]] == ["short", "few", "tight"]
    assert set(result["source"]) == {"log", "command", "commit", "machine", "date", "seeds"}


def test_the_whole_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("advise", "--tree", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert [step["question"] for step in result["tree"]] == ["short", "long", "few", "tight"]
    assert {rule["item"] for rule in result["rules"]} == {45, 50, 81, 82, 83, 84, 85}
    assert run("--lang", "zh_TW", "advise", "--tree") == 0
    assert "課程的決策樹" in capsys.readouterr().out


def test_a_plan_is_answered_with_the_known_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = small_table()
    assert table.time is not None
    rows = (
        ",".join([f"{time}Z", *(f"{value:.6g}" for value in row)])
        for time, row in zip(table.time.astype("datetime64[s]"), table.values, strict=True)
    )
    (tmp_path / "plant.csv").write_text("\n".join(["time,T101,F102,P103,quality", *rows]))
    plan = small_plan(task={"past_targets": {"delay": 3, "count": 1}}).to_dict()
    (tmp_path / "plan.toml").write_text(small_plan(**plan | {"data": {"file": "plant.csv"}}).to_toml())
    assert run("advise", str(tmp_path / "plan.toml")) == 0
    out = capsys.readouterr().out
    assert "Known labels: Past values of quality are shown to it only when they are at least 3 rows (3 min) old" in out
    assert "• model.cell: fewer than 20 rows → simple_rnn or gru" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], NEEDS),
        (["--rows", "5"], NEEDS),
        (["--rows", "0", "--samples", "5"], "--rows 0 is too small. Give 1 or more"),
        (
            ["--rows", "5", "--samples", "5", "--budget", "huge"],
            "--budget 'huge' is not known. Use one of: tight, ample",
        ),
        (["plan.toml", "--tree"], "a plan says the situation itself. Leave out --tree, or the plan"),
    ],
)
def test_what_cannot_be_answered(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("advise", *arguments) == 2
    assert capsys.readouterr().err == f"backmix: {message}\n"


def test_the_pages_of_the_documentation_are_up_to_date() -> None:
    names = {"en": "advice.md", "zh_TW": "advice.zh-TW.md"}
    for lang in LANGUAGES:
        assert (ROOT / "docs" / names[lang]).read_text("utf-8") == page(lang), "run scripts/docs"
    done = subprocess.run(
        [sys.executable, "docs/advice.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
