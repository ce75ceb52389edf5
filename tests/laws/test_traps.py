"""Traps that peers fell into, where no other test covers their letter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import keras
import numpy as np
import pytest

import children
from backmix import layers as ours
from backmix.results.run import Run
from backmix.serving.runtime import Runtime
from small import small_table

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}


@pytest.mark.parametrize("module", [keras.layers, ours], ids=["keras", "backmix"])
@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_the_backward_half_has_seen_the_whole_window(module: object, kind: str) -> None:
    """Trap M: the last time step of a bidirectional layer knows one row in its backward half; its output knows all."""
    x = np.random.default_rng(0).normal(size=(1, 8, 3)).astype("float32")
    other = x.copy()
    other[:, :-1] += 1.0  # all rows but the last
    steps = module.Bidirectional(getattr(module, kind)(4, return_sequences=True))  # type: ignore[attr-defined]
    last = module.Bidirectional(getattr(module, kind)(4))  # type: ignore[attr-defined]
    for both in (steps, last):
        both.build(x.shape)
    last.set_weights([np.asarray(v.value) for v in steps.weights])
    naive, naive_other = (np.asarray(steps(rows))[:, -1, 4:] for rows in (x, other))
    np.testing.assert_array_equal(naive, naive_other)  # the trap: blind to everything before
    own, own_other = (np.asarray(last(rows))[:, 4:] for rows in (x, other))
    assert np.abs(own - own_other).max() > 1e-3
    np.testing.assert_allclose(own, np.asarray(steps(x))[:, 0, 4:], atol=1e-6)


def test_a_state_belongs_to_the_caller_and_not_to_a_batch_size(sensor_run: Run) -> None:
    """Trap T: carried states of any number of machines, in any company, whatever batch the training had."""
    runtime = Runtime.load(sensor_run.bundle_path)
    rows = np.random.default_rng(0).normal(size=(12, 3))
    alone, state = [], runtime.start()
    for row in rows:
        y, state = runtime.step(row, state)
        alone.append(y.copy())
    interleaved: list[list[np.ndarray]] = [[], []]
    states = [runtime.start(), runtime.start()]
    for row in rows:  # two machines take turns, the second sees its rows in another scale
        for machine, shown in enumerate((row, 2 * row)):
            y, states[machine] = runtime.step(shown, states[machine])
            interleaved[machine].append(y.copy())
    np.testing.assert_array_equal(alone, interleaved[0])
    assert np.abs(np.array(alone) - np.array(interleaved[1])).max() > 0


def test_a_bundle_opens_where_other_versions_are_installed(sensor_run: Run) -> None:
    """Trap V: no member that could hold a pickle or code; the versions it was made with are noted and not asked for."""
    with ZipFile(sensor_run.bundle_path) as archive:
        kinds = {Path(name).suffix for name in archive.namelist()}
        assert kinds <= {".json", ".toml", ".safetensors", ".html", ""}, kinds
    table = small_table()
    code = (
        "import importlib.metadata as m, json, sys\n"
        "real = m.version\n"
        "m.version = lambda name: '99.0' if name in ('keras', 'jax', 'numpy', 'pandas') else real(name)\n"
        "import backmix, numpy as np\nfrom small import small_table\n"
        "frame, _ = backmix.load(sys.argv[1]).predict(small_table())\n"
        "print(json.dumps(frame['prediction'].tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(sensor_run.bundle_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    wanted, _ = sensor_run.bundle.predict(table)
    np.testing.assert_array_equal(json.loads(done.stdout), wanted["prediction"])


def test_runs_side_by_side_keep_apart_and_quiet(
    sensor_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap Y: two runs started together, each in its folder, say nothing and give what one alone gives."""
    code = (
        "import sys, time; from pathlib import Path; from backmix.workflow import fit\n"
        "from small import small_table, small_plan\n"
        "Path(f'ready-{sys.argv[1]}').touch()\n"
        "while len(list(Path().glob('ready-*'))) < 2: time.sleep(0.001)\n"
        "fit(small_table(), small_plan(), folder=f'runs/{sys.argv[1]}', quiet=True)"
    )
    monkeypatch.chdir(tmp_path)
    runs = {name: children.start(code, name) for name in ("one", "other")}
    said = [run.communicate(timeout=200) for run in runs.values()]
    assert said == [("", ""), ("", "")]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.parent.name == "runs") == ["one", "other"]
    for name in runs:
        assert Run.load(tmp_path / "runs" / name).predictions.equals(sensor_run.predictions)
