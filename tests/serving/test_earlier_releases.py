"""Bundles and answers of earlier releases: they open for ever, say what they said, and JSON keeps its keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from backmix.app.main import build
from backmix.results.run import Run
from backmix.serving.bundle import Bundle
from backmix.serving.history import score_history
from backmix.serving.runtime import Runtime
from backmix.workflow import fit
from small import small_plan, small_table

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").glob("*.*"))
BUNDLES = [path for folder in FIXTURES for path in sorted(folder.glob("*.backmix"))]
NAMES = [f"{path.parent.name}-{path.stem}" for path in BUNDLES]


def table_of(bundle: Path) -> Path:
    """The table that the bundle was trained on."""
    return bundle.parent / ("classes.csv" if bundle.stem == "classes" else "rows.csv")


def answers(bundle: Path) -> pd.DataFrame:
    """What the release that wrote the bundle said of the first windows of its table."""
    return pd.DataFrame(json.loads(bundle.with_suffix(".predict.json").read_text("utf-8")))


def assert_same(found: pd.DataFrame, kept: pd.DataFrame) -> None:
    """The columns that were kept, equal in words and to six digits in numbers."""
    for column in kept.columns.drop(["time", "model"]):
        now, then = found[column].to_numpy(), kept[column].to_numpy()
        if pd.api.types.is_float_dtype(kept[column]):
            np.testing.assert_allclose(now.astype(float), then, rtol=2e-6, atol=2e-6, err_msg=column)
        else:
            assert pd.Series(now).equals(pd.Series(then)) or list(now) == list(then), column


def keys(value: Any, at: str = "") -> set[str]:
    """Every path of keys in nested JSON, lists by their first element."""
    if isinstance(value, dict):
        places = [(f"{at}.{key}".lstrip("."), inner) for key, inner in value.items()]
        return {path for place, inner in places for path in (place, *keys(inner, place))}
    return keys(value[0], f"{at}[]") if isinstance(value, list) and value else set()


def test_every_release_has_bundles_of_all_three_kinds() -> None:
    assert FIXTURES
    for folder in FIXTURES:
        assert {"one_network", "numbers", "classes"} <= {path.stem for path in folder.glob("*.backmix")}


@pytest.mark.parametrize("path", BUNDLES, ids=NAMES)
def test_an_old_bundle_predicts_what_it_did(path: Path) -> None:
    kept = answers(path)
    frame, _ = Bundle.load(path).predict_file(table_of(path))
    assert_same(frame.head(len(kept)).drop(columns=["part", "truth"]), kept)


@pytest.mark.parametrize("path", BUNDLES, ids=NAMES)
def test_an_old_bundle_runs_in_the_light_runtime(path: Path, tmp_path: Path) -> None:
    kept = answers(path)
    table = tmp_path / "rows.parquet"
    runtime = Runtime.load(path)
    rows = pd.read_csv(table_of(path), parse_dates=["time"])
    if "quality (reported)" in runtime.inputs:  # the plan's delay: what is known of the target at each row
        rows["quality (reported)"] = rows["quality"].shift(3)
    rows.to_parquet(table)
    score_history(runtime, table, tmp_path / "scored.parquet", mode="windows", time="time")
    scored = pd.read_parquet(tmp_path / "scored.parquet").set_index("time")
    found = scored.loc[pd.to_datetime(kept["time"], utc=True).dt.tz_localize(None)]
    columns = [name for name in kept.columns if name.startswith("p:")]
    if not columns:
        np.testing.assert_allclose(found["prediction"], kept["prediction"], rtol=2e-5)
    for name in columns:
        np.testing.assert_allclose(found[name], kept[name], atol=2e-5)


@pytest.mark.parametrize("path", BUNDLES, ids=NAMES)
def test_show_keeps_its_keys(path: Path) -> None:
    kept = json.loads(path.with_suffix(".show.json").read_text("utf-8"))
    shown = CliRunner().invoke(build(), ["show", str(path), "--json"])
    assert shown.exit_code == 0, shown.output
    assert keys(kept) <= keys(json.loads(shown.stdout))


@pytest.mark.parametrize("folder", FIXTURES, ids=[folder.name for folder in FIXTURES])
def test_a_run_keeps_the_keys_of_its_summary(folder: Path, sensor_run: Run, diagnosis_run: Run, tmp_path: Path) -> None:
    kept = json.loads((folder / "answers.json").read_text("utf-8"))
    of_the_command = {"folder", "report", "bundle", "data.base"}
    ensemble = fit(
        small_table(),
        small_plan(task={"past_targets": {"delay": 3}}, model={"recipe": "auto"}),
        folder=tmp_path / "run",
        quiet=True,
    )
    for name, run in (("one_network", sensor_run), ("numbers", ensemble)):
        missing = set(kept["plans"][name]["keys"]) - keys(run.summary) - of_the_command
        assert not missing, name
    assert kept["plans"]["classes"]["judgement"].keys() <= diagnosis_run.summary["judgement"].keys()


@pytest.mark.parametrize("folder", FIXTURES, ids=[folder.name for folder in FIXTURES])
def test_audit_keeps_its_keys(folder: Path) -> None:
    kept = json.loads((folder / "answers.json").read_text("utf-8"))
    shown = CliRunner().invoke(build(), ["audit", str(folder / "rows.csv"), "--json"])
    assert shown.exit_code == 0, shown.output
    assert set(kept["audit"]) <= keys(json.loads(shown.stdout))
