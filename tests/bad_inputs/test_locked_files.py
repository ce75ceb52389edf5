"""A file behind a password ends every door in one line, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from backmix.app.main import main
from backmix.results.run import Run
from backmix.text import LANGUAGES, Language, say, speak
from workbooks import KINDS, locked, locked_zip

FILES = {f"plant.{kind}": ("read.locked", locked(kind)) for kind in KINDS} | {
    "plant.zip": ("read.locked_file", locked_zip("plant.csv", b"time,T101\n2024-05-02,1\n2024-05-03,2\n"))
}


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("door", ["audit", "init", "predict", "convert"])
@pytest.mark.parametrize("name", FILES)
def test_a_locked_file_at_every_door(
    name: str,
    door: str,
    lang: Language,
    sensor_run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    key, raw = FILES[name]
    Path(name).write_bytes(raw)
    arguments = [str(sensor_run.bundle_path), name] if door == "predict" else [name]
    with speak(lang), pytest.raises(SystemExit) as end:
        main([door, *arguments])
    assert (end.value.code, capsys.readouterr().err) == (3, f"backmix: {say(key, lang, where=name)}\n")
    assert [path.name for path in Path().iterdir()] == [name], "nothing was written"
