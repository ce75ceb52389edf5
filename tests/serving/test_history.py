"""Long histories: equal to the table in one piece, whatever the blocks; holes and jumps end a stretch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backmix.errors import InputError, StorageError
from backmix.results.run import Run
from backmix.serving import history
from backmix.serving.history import score_history
from backmix.serving.runtime import Runtime
from small import small_table


@pytest.fixture(scope="module")
def runtime(sensor_run: Run) -> Runtime:
    return Runtime.load(sensor_run.bundle_path)


def frame_of(runtime: Runtime) -> pd.DataFrame:
    table = small_table()
    frame = pd.DataFrame({name: table.column(name) for name in reversed(runtime.inputs)})
    frame.insert(0, "clock", table.time)
    frame["other"] = "text"
    return frame


def scored(runtime: Runtime, frame: pd.DataFrame, folder: Path, **settings: Any) -> tuple[Any, pd.DataFrame]:
    frame.to_parquet(folder / "in.parquet")
    account = score_history(runtime, folder / "in.parquet", folder / "out.parquet", **settings)
    return account, pd.read_parquet(folder / "out.parquet")


def test_windows_equal_the_bundle(sensor_run: Run, runtime: Runtime, tmp_path: Path) -> None:
    account, found = scored(runtime, frame_of(runtime), tmp_path, time="clock", max_gap=90.0)
    expected, _ = sensor_run.bundle.predict(small_table())
    assert (account.read, account.without, account.stretches) == (420, 5, 1)
    assert found["quality"].tolist() == ["bad"] * 5 + ["good"] * 415
    assert found["prediction"].isna().sum() == 5
    np.testing.assert_allclose(found["prediction"].iloc[5:], expected["prediction"], atol=2e-5)
    assert list(found["time"]) == list(frame_of(runtime)["clock"])


def test_carried_equals_one_piece_and_says_what_it_differs(runtime: Runtime, tmp_path: Path) -> None:
    frame = frame_of(runtime)
    account, found = scored(runtime, frame, tmp_path, mode="carried")
    rows = frame[list(runtime.inputs)].to_numpy(copy=True)
    expected, _ = runtime.carry(rows, runtime.start())
    np.testing.assert_allclose(found["prediction"], expected[:, 0], atol=1e-6)
    assert account.difference == pytest.approx(np.abs(runtime.slide(rows) - expected[5:]).max(), abs=1e-6)
    assert found["quality"].tolist() == ["uncertain"] * 5 + ["good"] * 415
    assert found["row"].tolist() == list(range(1, 421))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    holes=st.sets(st.integers(0, 59), max_size=6),
    jumps=st.sets(st.integers(1, 59), max_size=4),
    block=st.integers(1, 70),
    mode=st.sampled_from(["windows", "carried"]),
)
def test_stretches_end_at_holes_and_jumps_whatever_the_blocks(
    runtime: Runtime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    holes: set[int],
    jumps: set[int],
    block: int,
    mode: str,
) -> None:
    """The reference cuts the table into its stretches first and runs each alone."""
    frame = frame_of(runtime).iloc[:60].copy()
    rows = frame[list(runtime.inputs)].to_numpy(copy=True)
    rows[sorted(holes), 0] = np.nan
    frame[runtime.inputs[0]] = rows[:, 0]
    late = np.zeros(60, int)
    late[sorted(jumps)] = 3600
    frame["clock"] = frame["clock"].to_numpy() + np.cumsum(late).astype("timedelta64[s]")
    expected = np.full(60, np.nan)
    stretches = [
        part
        for part in np.split(np.arange(60), sorted(jumps | holes | {at + 1 for at in holes}))
        if len(part) and part[0] not in holes
    ]
    for part in stretches:
        if mode == "carried":
            expected[part] = runtime.carry(rows[part], runtime.start())[0][:, 0]
        elif len(part) >= 6:
            expected[part[5:]] = runtime.slide(rows[part])[:, 0]
    monkeypatch.setattr(history, "BLOCK", block)
    account, found = scored(runtime, frame, tmp_path, mode=mode, time="clock", max_gap=90.0)
    np.testing.assert_allclose(found["prediction"].to_numpy(float), expected, atol=1e-5)
    assert account.stretches == len(stretches)
    assert account.predicted == np.isfinite(expected).sum()
    assert account.read == account.predicted + account.without == 60


def test_bad_files_are_refused_in_one_line_and_leave_nothing(runtime: Runtime, tmp_path: Path) -> None:
    frame = frame_of(runtime)
    first = runtime.inputs[0]
    cases = {
        f"there is no column '{first}'. It has:": frame.drop(columns=first),
        "the column holds large_string, not numbers": frame.assign(**{first: "a"}),
        "the file has no rows": frame.iloc[:0],
    }
    for message, bad in cases.items():
        with pytest.raises(InputError, match=message):
            scored(runtime, bad, tmp_path)
        assert not (tmp_path / "out.parquet").exists()
    (tmp_path / "torn.parquet").write_bytes((tmp_path / "in.parquet").read_bytes()[:-20])
    with pytest.raises(InputError, match="this is no readable Parquet file"):
        score_history(runtime, tmp_path / "torn.parquet", tmp_path / "out.parquet")
    with pytest.raises(InputError, match="max_gap needs a clock"):
        score_history(runtime, tmp_path / "in.parquet", tmp_path / "out.parquet", max_gap=5.0)
    frame.to_parquet(tmp_path / "in.parquet")
    with pytest.raises(StorageError):
        score_history(runtime, tmp_path / "in.parquet", tmp_path / "torn.parquet" / "out.parquet")


def test_statistics_of_windows_cannot_be_carried(diagnosis_run: Run, tmp_path: Path) -> None:
    runtime = Runtime.load(diagnosis_run.bundle_path)
    table = small_table(classes=True)
    frame = pd.DataFrame({name: table.column(name) for name in runtime.inputs})
    with pytest.raises(InputError, match="has no single step"):
        scored(runtime, frame, tmp_path, mode="carried")
    account, found = scored(runtime, frame, tmp_path)
    assert account.predicted == 415
    np.testing.assert_allclose(found[["p:normal", "p:fouling", "p:leak"]].iloc[5:].sum(axis=1), 1.0, atol=1e-5)


def test_the_command_scores_a_history(sensor_run: Run, runtime: Runtime, tmp_path: Path) -> None:
    import json
    import subprocess
    import sys

    frame_of(runtime).to_parquet(tmp_path / "year.parquet")
    command = [
        sys.executable,
        "-m",
        "backmix.app.main",
        "predict",
        str(sensor_run.bundle_path),
        str(tmp_path / "year.parquet"),
        "--history",
        "carried",
        "--json",
    ]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 2
    assert "--history writes a Parquet file. Name it: --out scored.parquet" in refused.stdout
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "scored.parquet")], capture_output=True, text=True, timeout=120, check=True
    )
    said = json.loads(done.stdout)
    assert (said["read"], said["predicted"], said["stretches"]) == (420, 420, 1)
    assert len(pd.read_parquet(tmp_path / "scored.parquet")) == 420
