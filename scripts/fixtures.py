"""What a release has answered, kept so that later ones can be held to it.

    python scripts/fixtures.py make tests/fixtures/0.1    # write tables, plans, bundles and answers (once a release)
    python scripts/fixtures.py check tests/fixtures/0.1   # train the plans again and compare

This script makes twelve small plans (every task) and keeps what they answered: predictions with their
intervals, scores, the keys of ``--json``. Three of the bundles are kept with what they say of a new table.
Numbers are equal to the last bit on a processor of the same kind; elsewhere within the noise of float32.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

DATA = """[data]
file = "{table}.csv"
time = "time"
{batch}
"""
ROWS, CLASSES = ("rows", ""), ("classes", "")
BATCHES, RUNNING = ("batches", 'batch = "batch"'), ("running", 'batch = "batch"')
QUICK = """[training]
epochs = 3
batch_size = 32

[evaluation]
resamples = 20
"""
NARROW = "[model]\nunits = [4]\n"
ONE = '[model]\nrecipe = "course"\nunits = [4]\n'
BATCHED = '[split]\nkind = "batch"\n'
PLANS: dict[str, tuple[tuple[str, str], str]] = {
    "one_network": (ROWS, ONE + '[task]\nkind = "soft_sensor"\ntarget = "quality"\n[windows]\nlookback = 6\n'),
    "numbers": (
        ROWS,
        NARROW + '[task]\nkind = "soft_sensor"\ntarget = "quality"\npast_targets = {delay = 3}\n'
        "[windows]\nlookback = 6\n",
    ),
    "classes": (
        CLASSES,
        NARROW + '[task]\nkind = "fault_diagnosis"\ntarget = "state"\nnormal = "normal"\n[windows]\nlookback = 6\n',
    ),
    "adaptive": (
        ROWS,
        ONE + '[task]\nkind = "soft_sensor"\ntarget = ["quality", "P103"]\n'
        '[windows]\nlookback = 6\n[intervals]\nkind = "adaptive"\nlevel = 0.8\n',
    ),
    "carried": (ROWS, ONE + '[task]\nkind = "soft_sensor"\ntarget = "quality"\n[windows]\nlookback = 6\n'),
    "batch_quality": (
        BATCHES,
        BATCHED + NARROW + '[task]\nkind = "batch_quality"\ntarget = "quality"\n[windows]\nlookback = "elapsed"\n',
    ),
    "batch_end_time": (
        RUNNING,
        BATCHED + NARROW + '[task]\nkind = "batch_end_time"\n[windows]\nlookback = "elapsed"\n',
    ),
    "per_step": (
        CLASSES,
        ONE + '[task]\nkind = "fault_diagnosis"\ntarget = "state"\nnormal = "normal"\n'
        "per_step = true\n[windows]\nlookback = 6\n",
    ),
    "anomaly": (
        CLASSES,
        ONE + '[task]\nkind = "anomaly_detection"\ntarget = "state"\nnormal = "normal"\n'
        "false_alarm_rate = 0.1\n[windows]\nlookback = 2\n",
    ),
    "forecast": (
        ROWS,
        ONE + '[task]\nkind = "forecast"\ntarget = "quality"\nseason = "4 rows"\n'
        "[windows]\nlookback = 6\nhorizon = 3\n",
    ),
    "rolled": (
        ROWS,
        ONE + '[task]\nkind = "forecast"\ntarget = "quality"\n'
        'strategy = "recursive"\n[windows]\nlookback = 6\nhorizon = 4\n',
    ),
    "remaining_life": (RUNNING, BATCHED + NARROW + '[task]\nkind = "remaining_life"\n[windows]\nlookback = 5\n'),
}
"""Plan -> its table and what stands in it beside `DATA` and `QUICK`."""
MORE = {"carried": 'state = "carried"\nstretch = 6\n'}
"""Lines that belong to ``[training]``."""
KEPT = ("one_network", "numbers", "classes")
"""Plans whose bundles are kept."""
RENAMED = {"mixture": "ensemble"}
"""What a model was called in the frames of an earlier release, and what it is called."""
KEPT_NEW = 60
"""Rows of the table that kept bundles are asked about."""


def plan_text(name: str) -> str:
    """The plan as it is written into the folder."""
    (table, batch), text = PLANS[name]
    return DATA.format(table=table, batch=batch) + text + QUICK.replace("batch_size", MORE.get(name, "") + "batch_size")


def write_tables(folder: Path) -> None:
    """The three tables as CSV, every digit of them."""
    from small import small_batches, small_table

    running = small_batches().select(["T101", "F102", "P103"])
    for (name, _), table in (
        (ROWS, small_table()),
        (CLASSES, small_table(classes=True)),
        (BATCHES, small_batches()),
        (RUNNING, running),
    ):
        table.to_frame().to_csv(folder / f"{name}.csv", date_format="%Y-%m-%dT%H:%M:%SZ")


def processor() -> str:
    """What decides the last bit of a training: architecture, kernels, and what the compiler may use."""
    from backmix import native

    flags = {}
    if Path("/proc/cpuinfo").exists():
        flags = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    model = next((value.strip() for key, value in flags.items() if key.strip() == "model name"), "")
    return f"{platform.machine()} {native.instruction_set()} {model}".strip()


def asked(*words: str) -> Any:
    """What a command answers with ``--json``; SystemExit when it fails."""
    from backmix.app.main import main

    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
            main([*words, "--json"])
    except SystemExit as end:
        if end.code:
            raise SystemExit(f"backmix {' '.join(words)}: {shown.getvalue()}") from None
    return json.loads(shown.getvalue())


def answer(name: str, folder: Path, runs: Path) -> dict[str, Any]:
    """Run a plan through the command line; its ``--json`` output."""
    found: dict[str, Any] = asked("run", str(folder / f"{name}.toml"), "--folder", str(runs / name))
    return found


def keys(value: Any, at: str = "") -> list[str]:
    """Every path of keys in nested JSON, lists by their first element."""
    if isinstance(value, dict):
        places = [(f"{at}.{key}".lstrip("."), inner) for key, inner in value.items()]
        return [path for place, inner in places for path in (place, *keys(inner, place))]
    return keys(value[0], f"{at}[]") if isinstance(value, list) and value else []


def make(folder: Path) -> None:
    """Write everything into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(folder)
    kept: dict[str, Any] = {"processor": processor(), "plans": {}}
    with tempfile.TemporaryDirectory() as runs:
        for name in PLANS:
            (folder / f"{name}.toml").write_text(plan_text(name))
            shown = answer(name, folder, Path(runs))
            frame = pd.read_parquet(Path(runs) / name / "predictions.parquet")
            frame.to_parquet(folder / f"{name}.parquet", compression="zstd")
            kept["plans"][name] = {
                "keys": sorted(keys(shown)),
                "scores": shown["scores"],
                "judgement": shown["judgement"],
            }
            if name in KEPT:
                bundle = folder / f"{name}.backmix"
                bundle.write_bytes((Path(runs) / name / "model.backmix").read_bytes())
                table = folder / f"{PLANS[name][0][0]}.csv"
                (folder / f"{name}.show.json").write_text(json.dumps(asked("show", str(bundle)), indent=1))
                (folder / f"{name}.predict.json").write_text(
                    json.dumps(asked("predict", str(bundle), str(table))[:KEPT_NEW], indent=0)
                )
            print(name, len(frame), flush=True)
    audited = asked("audit", str(folder / "rows.csv"))
    kept["audit"] = sorted(keys(audited))
    (folder / "answers.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1))


def check(folder: Path, names: list[str]) -> None:
    """Train the plans again and say how far their answers are from those that are kept."""
    kept = json.loads((folder / "answers.json").read_text())
    same = kept["processor"] == processor()
    print(f"kept on {kept['processor']}; here {processor()}")
    failed = False
    with tempfile.TemporaryDirectory() as runs:
        for name in names or PLANS:
            shown = answer(name, folder, Path(runs))
            missing = sorted(set(kept["plans"][name]["keys"]) - set(keys(shown)))
            old = pd.read_parquet(folder / f"{name}.parquet")
            new = pd.read_parquet(Path(runs) / name / "predictions.parquet")
            lines = [f"keys missing: {missing}"] if missing else []
            lines += differences(old, new)
            failed = failed or bool(missing) or (same and bool(lines))
            print(f"{name}: {'the same' if not lines else ''}", *lines, sep="\n  " if lines else "", flush=True)
    sys.exit(1 if failed else 0)


def differences(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Where two prediction frames differ, model by model and column by column, in the order of the rows."""
    lines = []
    old = old.assign(model=old["model"].replace(RENAMED))
    models = {str(model) for model in pd.concat([old["model"], new["model"]]).unique()}
    for model in sorted(models):
        was, now = (frame[frame["model"] == model].reset_index(drop=True) for frame in (old, new))
        if len(was) != len(now):
            lines.append(f"{model}: {len(was)} rows, now {len(now)}")
            continue
        for column in was.columns:
            if column not in now:
                lines.append(f"{model}: no column {column}")
            elif not was[column].equals(now[column]):
                if pd.api.types.is_float_dtype(was[column]):
                    away = float(np.nanmax(np.abs(was[column].to_numpy() - now[column].to_numpy())))
                    lines.append(f"{model}: {column} differs by up to {away:.3g}")
                else:
                    lines.append(f"{model}: {column} differs")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["make", "check"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="some of the plans")
    told = parser.parse_args()
    if told.what == "make":
        make(told.folder)
    else:
        check(told.folder, told.names)
