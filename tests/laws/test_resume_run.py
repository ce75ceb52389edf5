"""However a whole run ends before its time, ``backmix run --resume`` ends as if it had not.

The reference is one run that nobody disturbed. The others are processes of their own that are
killed, interrupted or refused by the disk, again and again; what they end with must have the same
bits: predictions, weights, history. Dropout is on and the windows are shuffled.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import children
from backmix.app.main import main
from backmix.data.export import write_csv
from backmix.results.run import Run
from backmix.serving.bundle import Bundle
from small import small_plan, small_table

EPOCHS, STEPS = 4, 8
HEAD = """
import os, signal, sys, time
from backmix import storage
from backmix.app.main import main

def kill(): os.kill(os.getpid(), signal.SIGKILL)

def at_file(name, act, number=0):
    "Act when the draft of a file is about to take its place."
    true, seen = os.replace, iter(range(1000))
    def replace(source, target):
        if str(target).endswith(name) and next(seen) == number:
            act(source)
        true(source, target)
    storage.os.replace = replace

def at_batch(epoch, place, act):
    "Act when a batch is gathered for training."
    from backmix.training.fitting.feed import Feed
    true = Feed.batch
    def batch(self, number):
        if self.epoch == epoch and number == place and self._seed is not None:
            act()
        return true(self, number)
    Feed.batch = batch
"""


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plant.csv and plan.toml; the run lies in runs/plan."""
    monkeypatch.chdir(tmp_path)
    write_plant(tmp_path)
    return tmp_path / "runs" / "plan"


def write_plant(folder: Path) -> None:
    write_csv(small_table().to_frame().reset_index(), folder / "plant.csv")
    plan = small_plan(
        data={"file": "plant.csv"}, model={"units": [4], "dropout": 0.2}, training={"epochs": EPOCHS, "batch_size": 32}
    )
    (folder / "plan.toml").write_text(plan.to_toml(), "utf-8")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_plant(folder)
    assert command("run", str(folder / "plan.toml"), "--folder", str(folder / "run")) == 0
    run = Run.load(folder / "run")
    assert (run.summary["epochs"], run.summary["windows"]["train"]) == (EPOCHS, 241)
    return run


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


def start(trap: str, *options: str) -> children.Child:
    """``backmix run plan.toml`` in a process of its own, with a trap laid in it."""
    return children.start(f"{HEAD}\n{trap}\nmain(['run', 'plan.toml', *{list(options)!r}])")


def killed(trap: str, *options: str) -> None:
    child = start(trap, *options)
    said, noise = child.communicate(timeout=200)
    assert child.returncode == -signal.SIGKILL, noise
    assert "Traceback" not in noise
    assert said == ""


def ends_alike(folder: Path, undisturbed: Run) -> None:
    ours = Run.load(folder)
    predictions = "predictions.parquet"
    assert (folder / predictions).read_bytes() == (undisturbed.folder / predictions).read_bytes()
    assert ours.summary["history"] == undisturbed.summary["history"]
    theirs = undisturbed.bundle.weights
    mine = Bundle.load(folder / "model.backmix").weights
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name])
    assert ours.summary["scores"] == undisturbed.summary["scores"]
    left = sorted(path.name for path in folder.iterdir())
    assert left == sorted(path.name for path in undisturbed.folder.iterdir()), "no drafts are left"


def test_row_41_killed_again_and_again_it_ends_bit_equal(undisturbed: Run, plant: Path) -> None:
    """SIGKILL before training, within an epoch, after a checkpoint, and while results are written."""
    killed("at_file('plan.toml', lambda draft: kill())")
    assert (plant / "started.json").exists()
    assert not (plant / "training").exists()
    killed("at_batch(1, 5, kill)", "--resume")
    assert (plant / "training" / "checkpoint.safetensors").exists()
    # a checkpoint takes its place, and the next file after it is never begun
    killed("at_file('best.safetensors', lambda draft: kill(), 1)", "--resume")
    killed("at_file('model.backmix', lambda draft: (os.truncate(draft, 900), kill()))", "--resume")
    assert (plant / "report.en.html").exists()
    assert list(plant.glob(".partial-*")), "the torn draft is there"
    assert not (plant / "model.backmix").exists()
    assert command("run", "plan.toml", "--resume") == 0
    ends_alike(plant, undisturbed)


SLOW = """
from backmix.training.fitting.feed import Feed
batch = Feed.batch
Feed.batch = lambda self, number: (time.sleep(0.05), batch(self, number))[1]
"""


def test_row_39_and_row_42_a_second_process_and_ctrl_c(
    undisturbed: Run, plant: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second process is told who holds the folder; Ctrl-C ends the first one with 130, to be resumed."""
    child = start(SLOW)
    checkpoint = plant / "training" / "checkpoint.safetensors"
    until = time.monotonic() + 200
    while not checkpoint.exists() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    holder = json.loads((plant / ".lock").read_text())
    for options in (["--resume"], ["--folder", "runs/plan"]):
        assert command("run", "plan.toml", *options) == 7
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == (
            f"backmix: runs/plan — another process holds this folder: pid {child.pid} on "
            f"{holder['host']} since {holder['since']}. Wait for it, stop it, or choose another "
            "folder\n"
        )
    child.send_signal(signal.SIGINT)
    said_, noise = child.communicate(timeout=200)
    assert child.returncode == 130
    assert said_ == ""
    *_, last = noise.splitlines()
    assert re.fullmatch(
        rf"backmix: runs/plan — training was interrupted in epoch \d after batch \d of {STEPS}, and saved\. "
        "Go on with: backmix run PLAN --folder runs/plan --resume",
        last,
    )
    assert "Traceback" not in noise
    assert command("run", "plan.toml", "--folder", "runs/plan", "--resume") == 0
    ends_alike(plant, undisturbed)


@pytest.mark.parametrize("moment", ["audit", "score_baselines", "render"])
def test_row_42_ctrl_c_outside_of_training(
    plant: Path, monkeypatch: pytest.MonkeyPatch, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"backmix.workflow.{moment}", interrupt)
    assert command("run", "plan.toml") == 130
    last = capsys.readouterr().err.splitlines()[-1]
    if moment == "audit":  # nothing has begun, so nothing is there to be resumed
        assert last == "backmix: interrupted"
        assert not plant.exists()
    else:
        assert last == (
            "backmix: runs/plan — the run was interrupted; what was finished is kept. "
            "Go on with: backmix run PLAN --folder runs/plan --resume"
        )
        assert (plant / "started.json").exists()


def test_only_the_same_plan_and_data_are_resumed(
    plant: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("backmix.workflow.score_baselines", interrupt)
        assert command("run", "plan.toml") == 130
    before = (plant / "started.json").read_bytes()
    for file, change in (
        ("plan.toml", lambda text: text.replace("epochs = 4", "epochs = 5")),
        ("plant.csv", lambda text: text[: text.rindex("\n", 0, -1) + 1]),
    ):
        whole = Path(file).read_text("utf-8")
        Path(file).write_text(change(whole), "utf-8")
        capsys.readouterr()
        assert command("run", "plan.toml", "--resume") == 2
        assert capsys.readouterr().err == (
            "backmix: runs/plan — the plan or the data changed since this run was interrupted. Resume with the same "
            "ones, or start anew in another --folder\n"
        )
        Path(file).write_text(whole, "utf-8")
    assert (plant / "started.json").read_bytes() == before


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_row_40_a_disk_without_room(undisturbed: Run, plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 8, one line, and all that was there before is still there."""
    for limit, file in ((10, "started.json"), (4_000, "training/checkpoint.safetensors"), (30_000, "report.en.html")):
        options = ["--resume"] if (plant / "started.json").exists() else []
        with full_disk(limit):
            assert command("run", "plan.toml", "--folder", "runs/plan", *options) == 8
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.splitlines()[-1] == (
            f"backmix: runs/plan/{file} — cannot be written: the file would be larger than this process may "
            "write. What was there before is intact; mend that and start again"
        )
        assert not list(plant.rglob(".partial-*"))
        assert not (plant / file).exists()
    assert command("run", "plan.toml", "--resume") == 0
    ends_alike(plant, undisturbed)
    capsys.readouterr()
    for kept, arguments in (
        ("plan.toml", ["init", "plant.csv", "--force"]),
        ("old.csv", ["predict", "runs/plan/model.backmix", "plant.csv", "--out", "old.csv"]),
    ):
        before = Path(kept).read_bytes() if Path(kept).exists() else b"old"
        Path(kept).write_bytes(before)
        with full_disk(100):
            assert command(*arguments) == 8
        assert capsys.readouterr().err.splitlines()[-1] == (
            f"backmix: {kept} — cannot be written: the file would be larger than this process may write. "
            "What was there before is intact; mend that and start again"
        )
        assert Path(kept).read_bytes() == before
