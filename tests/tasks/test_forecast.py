"""Forecasts of whole paths: what they see, what they answer, and what they are compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import Known, Windows, WindowSpec, build_windows, fit_scalers
from backmix.errors import BackmixError, InputError, PlanError
from backmix.results.run import Run
from backmix.scoring.judgement import free_runs
from backmix.scoring.leakage.audit import audit_run
from backmix.training.beside import fit_baselines
from backmix.training.predict import rolled
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from small import reading, small_plan, small_table

A, B = 0.9, 0.5


def linear_plant(rows: int = 300, *, seed: int = 0) -> Table:
    """y[t+1] = A y[t] + B u[t]: whoever knows y[t] and u[t] knows what comes."""
    rng = np.random.default_rng(seed)
    u = np.repeat(rng.normal(size=-(-rows // 5)), 5)[:rows]
    y = np.zeros(rows)
    for t in range(rows - 1):
        y[t + 1] = A * y[t] + B * u[t]
    time = np.datetime64("2026-03-01T00:00", "ns") + np.arange(rows) * np.timedelta64(3_600_000_000_000, "ns")
    return Table(np.column_stack([u, y]), (Tag("u"), Tag("y", unit="K", role="target")), time=time, source="linear")


def ahead(table: Table, *, lookback: int = 4, horizon: int = 6, **changes: Any) -> Windows:
    """Windows of a path over the linear plant, scaled."""
    spec = replace(
        WindowSpec(
            inputs=("u",),
            targets=("y",),
            lookback=lookback,
            horizon=horizon,
            known=Known(delay=0),
            answer="path",
            future=("u",),
        ),
        **changes,
    )
    scalers = fit_scalers(table, spec, rows=np.ones(len(table), bool))
    return build_windows(table, spec).scaled(*scalers)


def forecast_plan(**task: Any) -> Any:
    return small_plan(
        task={"kind": "forecast", "target": "quality"} | task,
        windows={"horizon": 3},
        evaluation={"baselines": ["last_value", "arx"]},
    )


def test_the_first_step_sees_the_newest_observation() -> None:
    """Trap N: a forecaster whose first horizon step never sees the newest observations."""
    table = linear_plant()
    windows = ahead(table)
    batch = windows.gather(windows.all_indices)
    scaler, target_scaler = windows.scaler, windows.target_scaler
    assert scaler is not None
    assert target_scaler is not None
    rows = windows.origins
    newest = (table.column("y")[rows] - target_scaler.center[0]) / target_scaler.scale[0]
    np.testing.assert_allclose(batch.x[:, -1, 1], newest, rtol=1e-5)
    np.testing.assert_allclose(windows.truth()[:, 0], table.column("y")[rows + 1])
    np.testing.assert_allclose(windows.truth()[:, -1], table.column("y")[rows + 6])
    assert batch.future is not None
    planned = (table.column("u")[rows[:, None] + np.arange(1, 7)] - scaler.center[0]) / scaler.scale[0]
    np.testing.assert_allclose(batch.future[:, :, 0], planned, rtol=1e-5)


@pytest.mark.parametrize("relative", ["none", "answers", "window"])
def test_a_perfect_model_of_the_next_row_rolls_to_the_whole_path(relative: str) -> None:
    """Trap W: a recursive forecast that is off by one. The true law of the plant must give the truth."""
    windows = ahead(linear_plant(), relative=relative)
    scaler, target_scaler = windows.scaler, windows.target_scaler
    assert scaler is not None
    assert target_scaler is not None
    levels = windows.gather(windows.all_indices)  # for "window": what the past was told relative to
    held = (windows.table.column("y")[windows.origins] - target_scaler.center[0]) / target_scaler.scale[0]
    walked = held.copy()

    def law(x: np.ndarray, _: np.ndarray | None) -> np.ndarray:
        nonlocal walked
        u = x[:, -1, 0] * scaler.scale[0] + scaler.center[0]
        now = x[:, -1, 1] if relative != "window" else walked
        y = A * (now * target_scaler.scale[0] + target_scaler.center[0]) + B * u
        said = (y - target_scaler.center[0]) / target_scaler.scale[0]
        step = said if relative == "none" else said - now
        walked = said
        return step[:, None]

    assert levels.future is not None
    said = rolled(law, windows, block=len(windows))
    np.testing.assert_allclose(windows.unscaled(said), windows.truth(), atol=2e-4)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99),
    lookback=st.integers(1, 6),
    horizon=st.integers(1, 7),
    delay=st.integers(0, 3),
    dead_time=st.integers(0, 2),
    relative=st.sampled_from(["none", "answers", "window"]),
)
def test_answers_come_back_in_plant_units_and_stay_in_their_batch(
    seed: int, lookback: int, horizon: int, delay: int, dead_time: int, relative: str
) -> None:
    """Trap O for paths: rows o+1 ... o+K of the same batch, and unscaling undoes scaling."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(12, 30, size=4)
    values = rng.normal(size=(int(sizes.sum()), 3))
    values[rng.random(len(values)) < 0.05, 2] = np.nan
    table = Table(
        values,
        (Tag("u"), Tag("v"), Tag("y", role="target")),
        batch=np.repeat(np.arange(4, dtype=np.int32), sizes),
        batch_names=("A", "B", "C", "D"),
    )
    spec = WindowSpec(
        inputs=("u", "v"),
        targets=("y",),
        lookback=lookback,
        horizon=horizon,
        answer="path",
        dead_time=dead_time,
        known=Known(delay=delay),
        future=("v",),
        relative=relative,
    )  # type: ignore[arg-type]
    try:
        windows = build_windows(table, spec)
    except InputError:
        reject()
    windows = windows.scaled(*fit_scalers(table, spec, rows=np.ones(len(table), bool)))
    rows = windows.answer_rows(windows.all_indices)
    np.testing.assert_array_equal(rows, windows.origins[:, None] + np.arange(1, horizon + 1))
    assert table.batch is not None
    assert (table.batch[rows] == table.batch[windows.origins][:, None]).all()
    assert np.isfinite(windows.truth()).all()
    np.testing.assert_allclose(windows.unscaled(windows.scaled_targets()), windows.truth(), atol=1e-9)
    batch = windows.gather(windows.all_indices)
    assert batch.y is not None
    np.testing.assert_allclose(batch.y, windows.scaled_targets(), atol=1e-5)
    assert np.isfinite(batch.x).all()
    if relative == "window":
        np.testing.assert_array_equal(batch.x[:, -1, 2], 0.0)


def test_baselines_of_a_path_are_what_they_say() -> None:
    """Persistence holds, the season comes again, and ARX finds a linear plant exactly."""
    table = linear_plant(400)
    plan = small_plan(
        task={"kind": "forecast", "target": "y", "known_ahead": ["u"], "season": "3 rows"},
        windows={"lookback": 8, "horizon": 5},
        repair={"outliers": "none", "clamp": False},
    )
    found = prepare(reading(table), plan)
    fitted = fit_baselines(
        found.task, found.train, found.validation, names=["last_value", "seasonal", "arx", "ridge", "mean"]
    )
    assert not fitted.unusable
    test = found.test
    values = {name: predictor.predict(test).values for name, predictor in fitted.predictors.items()}
    y, rows = table.column("y"), np.asarray(test.origins)
    assert all(v is not None and v.shape == (len(test), 5) for v in values.values())
    np.testing.assert_allclose(values["last_value"], np.tile(y[rows][:, None], (1, 5)), atol=1e-5)
    before = rows[:, None] + np.array([1, 2, 3, 1, 2]) - 3
    np.testing.assert_allclose(values["seasonal"], y[before], atol=1e-5)
    spread = y.std()
    assert np.abs(values["arx"] - test.truth()).max() < 0.02 * spread
    assert np.abs(values["ridge"] - test.truth()).max() < 0.02 * spread


def test_a_season_that_does_not_fit_says_so() -> None:
    plan = forecast_plan(season="20 rows")
    found = prepare(reading(small_table()), plan)
    fitted = fit_baselines(found.task, found.train, found.validation, names=["seasonal"])
    assert "the season has 20 rows, the window 6" in fitted.unusable["seasonal"].reason()


@pytest.fixture(scope="module", params=["direct", "recursive", "encoder_decoder"])
def forecast_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny run of each strategy, one input planned."""
    known = ["T101"] if request.param != "recursive" else ["T101", "F102", "P103"]
    plan = forecast_plan(strategy=request.param, known_ahead=known)
    return fit(small_table(), plan, folder=tmp_path_factory.mktemp(request.param) / "run", quiet=True)


def test_every_strategy_runs_from_table_to_report_and_bundle(forecast_run: Run) -> None:
    """Course items 29, 30, 31, 37 and 77: encoder-decoder, direct, one step rolled on, planned moves."""
    frame = forecast_run.predictions
    test = frame[(frame["part"] == "test") & (frame["model"] == "gru")]
    assert sorted(test["horizon"].unique()) == [1, 2, 3]
    assert (test.groupby("horizon").size() == test["origin"].nunique()).all()
    table = small_table()
    truth = table.column("quality")[(test["origin"] + test["horizon"]).to_numpy()]
    np.testing.assert_allclose(test["truth"], truth)
    assert forecast_run.summary["judgement"]["windows"] == test["origin"].nunique()
    for lang in ("en", "zh_TW"):
        page = (forecast_run.folder / f"report.{lang}.html").read_text("utf-8")
        assert "<svg" in page
        assert all(word in page for word in ("ARX", "quality"))
    said, _ = forecast_run.bundle.predict(table)
    again, _ = forecast_run.bundle.predict(table)
    assert said.equals(again)
    same = said.merge(test, on=["origin", "horizon"])
    np.testing.assert_allclose(same["prediction_x"], same["prediction_y"], rtol=1e-4, atol=1e-4)


def test_a_live_table_needs_the_plan_but_no_target_ahead(forecast_run: Run) -> None:
    """The last rows of a table hold planned moves only; the path ends with the plan."""
    table = small_table(60)
    values = np.array(table.values)
    values[57:, 3] = np.nan
    said, _ = forecast_run.bundle.predict(replace(table, values=values))
    assert said["origin"].max() == 56
    assert said["prediction"].notna().all()
    later = said[said["origin"] == 56]
    assert later["horizon"].tolist() == [1, 2, 3]
    assert later["truth"].isna().all()


@pytest.fixture(scope="module")
def planned() -> Prepared:
    return prepare(reading(small_table()), forecast_plan(strategy="recursive", known_ahead=["T101", "F102", "P103"]))


def test_what_is_planned_is_known_and_nothing_else_is(planned: Prepared) -> None:
    """The leakage audit changes everything behind a moment of prediction but the plan."""
    results = {result.name: result for result in audit_run(planned)}
    assert results["future"].passed
    assert results["overlap"].passed
    blind = replace(
        planned, preprocessing=replace(planned.preprocessing, spec=replace(planned.preprocessing.spec, future=()))
    )
    assert {result.name: result.passed for result in audit_run(blind)}["future"]


def test_a_free_run_starts_once_and_ends_with_its_stretch(planned: Prepared) -> None:
    """Course item 31: the model runs on its own answers as long as moves are planned."""
    (run,) = free_runs(planned.task, planned.test)
    assert len(run) == 1
    assert run.origins[0] == planned.test.origins[0]
    assert run.target_rows[0] == planned.test.target_rows[-1]
    assert run.truth().shape == (1, run.spec.horizon)
    without = prepare(reading(small_table()), forecast_plan(strategy="recursive", known_ahead=["T101"]))
    assert free_runs(without.task, without.test) == []


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        (
            {"windows": {"horizon": 0}},
            PlanError,
            r"a forecast looks ahead from windows of fixed length: \[windows\] horizon is 0\. Set horizon = \"12 rows\"",
        ),
        ({"task": {"known_ahead": ["T1O1"]}}, InputError, r"there is no column 'T1O1'\. Did you mean 'T101'\?"),
        (
            {"task": {"known_ahead": ["quality"]}},
            InputError,
            r"small — quality is a target and cannot be known ahead\. Take it out of known_ahead",
        ),
        ({"task": {"strategy": "both"}}, PlanError, r"strategy — 'both' is not allowed here\. Choose one of: 'direct'"),
        ({"windows": {"horizon": 500}}, InputError, r"small — too little data: .* 506 rows are purged"),
    ],
)
def test_a_forecast_that_cannot_be_is_refused(changes: dict[str, Any], kind: type[BackmixError], message: str) -> None:
    document = forecast_plan().to_dict()
    with pytest.raises(kind, match=message):
        prepare(
            reading(small_table()),
            small_plan(
                **{section: document.get(section, {}) | fields for section, fields in ({"task": {}} | changes).items()}
            ),
        )


def test_all_tags_may_be_targets(tmp_path: Path) -> None:
    """Several targets, no other input: each is its own past."""
    table = small_table()
    plan = small_plan(
        task={"kind": "forecast", "target": ["quality", "T101", "F102", "P103"], "relative": "window"},
        windows={"horizon": 4},
        evaluation={"baselines": ["last_value", "ridge"]},
    )
    run = fit(table, plan, folder=tmp_path / "run", quiet=True)
    test = run.predictions.query("part == 'test' and model == 'gru'")
    assert len(test) == 16 * test["origin"].nunique()
    assert set(test["target"]) == {"quality", "T101", "F102", "P103"}
    assert len(run.bundle.predict(table)[0])
