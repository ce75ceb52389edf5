"""Intervals on their way: run, bundle, light runtime, command."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import children
from backmix.errors import BundleError, PlanError
from backmix.models.intervals.bands import Bands, ClassSets
from backmix.results.run import Run
from backmix.serving.archive import pack
from backmix.serving.bundle import Bundle
from backmix.serving.runtime import Runtime
from small import small_plan, small_table


def _members(run: Run) -> dict[str, bytes]:
    with zipfile.ZipFile(run.bundle_path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}


def test_a_run_leaves_intervals_in_predictions_summary_and_bundle(sensor_run: Run, diagnosis_run: Run) -> None:
    frame, name = sensor_run.predictions, sensor_run.summary["network"]
    mine = (frame["model"] == name) & (frame["part"] == "test")
    assert (frame["low"].notna() == mine).all()
    assert (frame["low"] < frame["prediction"])[mine].all()
    told = sensor_run.summary["intervals"]
    inside = ((frame["low"] <= frame["truth"]) & (frame["truth"] <= frame["high"]))[mine].mean()
    assert told["level"] == 0.9
    assert next(row for row in told["coverage"] if row["method"] == "split")["share"] == pytest.approx(inside)
    frame = diagnosis_run.predictions
    mine = (frame["model"] == diagnosis_run.summary["network"]) & (frame["part"] == "test")
    assert (frame["set"].notna() == mine).all()
    assert isinstance(diagnosis_run.bundle.intervals, ClassSets)


def test_law_a_round_trip_is_bit_equal(sensor_run: Run, tmp_path: Path) -> None:
    bundle = Bundle.load(sensor_run.bundle_path)
    again = Bundle.load(bundle.save(tmp_path / "again.backmix"))
    assert (tmp_path / "again.backmix").read_bytes() == sensor_run.bundle_path.read_bytes()
    assert bundle.intervals is not None
    assert again.intervals is not None
    assert again.intervals.to_dict() == bundle.intervals.to_dict()
    one, two = (some.predict(small_table())[0] for some in (bundle, again))
    pd.testing.assert_frame_equal(one, two)
    width = one["high"] - one["low"]
    assert width.min() == pytest.approx(width.max())


def test_the_light_runtime_gives_the_same_ends(sensor_run: Run, diagnosis_run: Run) -> None:
    frame, _ = sensor_run.bundle.predict(small_table())
    runtime = Runtime.load(sensor_run.bundle_path)
    low, high = runtime.interval(frame[["prediction"]].to_numpy())
    np.testing.assert_array_equal(np.column_stack([low, high]), frame[["low", "high"]].to_numpy())
    wider = runtime.interval(frame[["prediction"]].to_numpy(), level=0.95)
    assert (wider[0] <= low).all()
    y, _ = runtime.step(np.array([1.0, 2.0, 3.0]), runtime.start())
    assert runtime.interval(y)[1].shape == y.shape
    assert isinstance(runtime.intervals, Bands)
    _, state = runtime.intervals.begin("quality")
    assert state.factor == pytest.approx(1.0)
    frame, _ = diagnosis_run.bundle.predict(small_table(classes=True))
    runtime = Runtime.load(diagnosis_run.bundle_path)
    members = runtime.members(frame[[f"p:{name}" for name in runtime.classes]].to_numpy())
    assert ["|".join(np.array(runtime.classes)[row]) for row in members] == frame["set"].tolist()
    with pytest.raises(PlanError, match=r"^this bundle holds no intervals \(or no class sets\)"):
        runtime.interval([1.0])


def test_an_older_bundle_is_as_good_as_ever(sensor_run: Run, tmp_path: Path) -> None:
    members = _members(sensor_run)
    del members["intervals.json"]
    pack(tmp_path / "old.backmix", members, version="0.1.0")
    old = Bundle.load(tmp_path / "old.backmix")
    assert old.intervals is None
    frame, _ = old.predict(small_table())
    assert "low" not in frame.columns
    with pytest.raises(PlanError, match="made before there were any"):
        Runtime.load(tmp_path / "old.backmix").interval([1.0])


@pytest.mark.parametrize(
    "change",
    [{"level": 2.0}, {"stage": "elapsed"}, {"bands": []}, {"kind": "sets"}, {"unit": None}, "other target", "horizon"],
)
def test_row_36_intervals_from_outside_are_refused_by_name(sensor_run: Run, tmp_path: Path, change: Any) -> None:
    members = _members(sensor_run)
    told = json.loads(members["intervals.json"])
    if isinstance(change, dict):
        told |= change
    elif change == "horizon":
        told["bands"][0]["horizon"] = 5
    else:
        told["bands"][0]["target"] = "T101"
    pack(tmp_path / "bad.backmix", members | {"intervals.json": json.dumps(told).encode()}, version="0.1.0")
    with pytest.raises(BundleError, match=r"intervals\.json"):
        Bundle.load(tmp_path / "bad.backmix")


def test_the_command_writes_the_ends(sensor_run: Run, tmp_path: Path) -> None:
    table = small_table(60)
    frame = pd.DataFrame(np.asarray(table.values), columns=list(table.names)).assign(time=table.time)
    frame.to_csv(tmp_path / "new.csv", index=False)
    arguments = ["predict", str(sensor_run.bundle_path), str(tmp_path / "new.csv"), "--data", "time=time"]
    arguments += ["--out", str(tmp_path / "out.csv")]
    child = children.start(f"from backmix.app.main import main\nmain({arguments!r})")
    _, err = child.communicate()
    assert child.returncode == 0, err
    written = pd.read_csv(tmp_path / "out.csv")
    low, high = (next(name for name in written if name.startswith(end)) for end in ("low", "high"))
    assert (written[low] < written[high]).all()


def test_the_plan_names_what_cannot_be() -> None:
    with pytest.raises(PlanError, match=r"\[intervals\] kind"):
        small_plan(intervals={"kind": "wide"})
    with pytest.raises(PlanError, match=r"\[intervals\] level"):
        small_plan(intervals={"level": 1.0})
