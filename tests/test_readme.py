"""The README does what it says, in both languages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from backmix.app.main import COMMANDS, main
from backmix.data.export import write_csv
from small import small_plan, small_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
TWIN = (ROOT / "README.zh-TW.md").read_text("utf-8")


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _bare(block: str) -> list[str]:
    return [line.split("#")[0].rstrip() for line in block.splitlines()]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README speaks of."""
    monkeypatch.chdir(tmp_path)
    frame = small_table().to_frame().reset_index()
    write_csv(frame.iloc[:340], tmp_path / "plant.csv")
    write_csv(frame.iloc[340:], tmp_path / "tomorrow.csv")
    return tmp_path


def _quick(path: Path) -> None:
    """Make the plan train in a second."""
    text = (
        path.read_text("utf-8")
        .replace("seed = 0", "seed = 0\nepochs = 2")
        .replace('lookback = "auto"', "lookback = 6")
        .replace('cell = "auto"', 'cell = "auto"\nunits = [4]')
    )
    path.write_text(text + "\n[evaluation]\nbaselines = ['mean']\nresamples = 20\n", "utf-8")


def test_the_shell_commands_run_as_written(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [b for b in _blocks(README, "sh") if "backmix init" in b]
    for line in filter(None, _bare(block)):
        program, *arguments = shlex.split(line)
        assert program == "backmix"
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0, capsys.readouterr().err
        if arguments[0] == "init":
            _quick(plant / "plan.toml")
    assert (plant / "predictions.csv").read_text("utf-8-sig").count("\n") > 10


def test_the_python_snippets_run_as_written(plant: Path) -> None:
    small = small_plan().to_toml().replace("[task]", "[data]\n[task]")
    (plant / "plan.toml").write_text(small, "utf-8")
    fit, estimator, program, stepping = _blocks(README, "python")
    found: dict[str, object] = {}
    exec(compile(fit, "README.md", "exec"), found)  # noqa: S102  # our own README
    assert len(found["frame"]) > 0  # type: ignore[arg-type]
    exec(compile(estimator, "README.md", "exec"), found)  # noqa: S102
    assert found["model"].steps == 20  # type: ignore[attr-defined]
    exec(compile(program, "README.md", "exec"), found)  # noqa: S102
    assert found["program"].layers  # type: ignore[attr-defined]
    exec(compile(stepping, "README.md", "exec"), found)  # noqa: S102
    assert found["y"].shape == (1,)  # type: ignore[attr-defined]


def test_the_chinese_twin_has_the_same_commands_and_snippets() -> None:
    for language in ("sh", "python"):
        blocks = [_bare(b) for b in _blocks(README, language)]
        assert blocks
        assert blocks == [_bare(b.replace("：", ":")) for b in _blocks(TWIN, language)]


def test_every_command_stands_in_both_tables() -> None:
    for text in (README, TWIN):
        named = set(re.findall(r"^\| `(\w+)", text, re.MULTILINE))
        assert named >= set(COMMANDS)


def test_pictures_and_links_exist() -> None:
    for text in (README, TWIN):
        targets = re.findall(r"\]\(([^)]+)\)", text)
        assert targets
        for target in targets:
            assert (ROOT / target).exists(), target
