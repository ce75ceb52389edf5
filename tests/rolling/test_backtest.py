"""Backtests (course items 62, 63): no fold sees its future, everything is learned anew, workers change nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import backmix
from backmix.app.main import main
from backmix.data.repairing.repair import fit_repair
from backmix.data.splitting.split import SplitPart
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.windows import WindowSpec, build_windows, fit_scalers
from backmix.errors import InputError, Interrupted, PlanError
from backmix.parallel import Workers, spread
from backmix.rolling.backtest import FOLDS, backtest, set_up_backtest
from backmix.rolling.backtest_fold import BacktestFold, BacktestJob, run_fold
from backmix.rolling.backtest_record import Backtest
from backmix.training.plan import Plan
from backmix.training.sections.folds import BacktestPlan, lay_out_folds
from small import small_batches, small_plan, small_table


def plan_of(**settings: Any) -> Plan:
    return small_plan(
        evaluation={"baselines": ["ridge", "mean"], "resamples": 100}, backtest={"folds": 2, "seeds": 2} | settings
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    """Two folds with two seeds, by two workers."""
    return backtest(small_table(), plan_of(), workers=Workers(2), folder=tmp_path_factory.mktemp("two") / "backtest")


def job_of(table: Table, plan: Plan, number: int, folder: Path = Path("nowhere/at/all")) -> BacktestJob:
    return next(job for job in set_up_backtest(table, plan, Path(), folder).jobs if job.number == number)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def timeless(value: Any) -> Any:
    """A summary without what the clock says."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key != "seconds"}
    return [timeless(item) for item in value] if isinstance(value, list) else value


# --- laws of the layout ---------------------------------------------------------------------------------------------


@given(st.data())
def test_no_window_of_training_sees_the_test_part_or_the_embargo(data: st.DataObject) -> None:
    """Rows are counted through: what a window of training or validation spans lies before both."""
    rows, lookback, horizon = (data.draw(st.integers(*ends)) for ends in ((200, 300), (1, 6), (0, 4)))
    kind = data.draw(st.sampled_from(["expanding", "sliding"]))
    plan = BacktestPlan.model_validate(
        {
            "kind": kind,
            "folds": data.draw(st.integers(2, 4)),
            "embargo": data.draw(st.integers(0, 8)),
            "window": 80 if kind == "sliding" and data.draw(st.booleans()) else None,
        }
    )
    table = Table(np.random.default_rng(0).normal(size=(rows, 2)), (Tag("T101"), Tag("C_A", role="target")))
    spec = WindowSpec(("T101",), ("C_A",), lookback=lookback, horizon=horizon)
    layout = lay_out_folds(table, plan, whole=False)
    ends = [0]
    for number in range(1, layout.count + 1):
        first, end = layout.rows(number, table)
        seen = table.rows(slice(first, end))
        split = layout.divide(number, seen, spec.reach)
        test = np.flatnonzero(split.rows(SplitPart.TEST))
        assert end == first + test[-1] + 1
        ends.append(first + test[-1] + 1)
        assert len(test) == ends[-1] - max(ends[-2], layout.cuts[0])  # test parts follow one another, none is lost
        for part in (SplitPart.TRAIN, SplitPart.VALIDATION):
            windows = build_windows(seen, spec, split=split, part=part)
            assert len(windows)
            assert np.max(windows.target_rows) < test[0] - layout.embargo
            assert np.max(windows.origins) < test[0] - layout.embargo
        if kind == "sliding":
            assert test[0] <= (layout.window or 0)
    assert ends[-1] == rows


@given(st.integers(2, 4), st.integers(0, 15))
def test_batches_are_taught_tested_or_set_aside_as_wholes(folds: int, embargo: int) -> None:
    table = small_batches()
    layout = lay_out_folds(
        table, BacktestPlan.model_validate({"kind": "batch", "folds": folds, "embargo": embargo}), whole=True
    )
    tested = []
    for number in range(1, folds + 1):
        split = layout.divide(number, table, 5)
        for code in range(16):
            assert len(np.unique(split.part[table.batch == code])) == 1
        test = np.flatnonzero(split.rows(SplitPart.TEST))
        near = np.zeros(len(table), bool)
        near[max(0, test[0] - embargo) : test[-1] + 1 + embargo] = True
        assert not (split.rows(SplitPart.TRAIN) | split.rows(SplitPart.VALIDATION))[near].any()
        tested += test.tolist()
    assert sorted(tested) == list(range(len(table)))


def test_origins_that_roll_over_batches_cut_between_them() -> None:
    table = small_batches()
    layout = lay_out_folds(table, BacktestPlan(folds=3), whole=True)
    edges = {0, *(np.flatnonzero(np.diff(table.batch)) + 1).tolist(), len(table)}
    assert set(layout.cuts) <= edges
    for number in (1, 2, 3):
        first, end = layout.rows(number, table)
        split = layout.divide(number, table.rows(slice(first, end)), 5)
        for code in np.unique(table.batch[first:end]):
            assert len(np.unique(split.part[table.batch[first:end] == code])) == 1


@pytest.mark.parametrize("number", [1, 2])
def test_scalers_and_rules_of_a_fold_come_from_its_training_rows_alone(number: int) -> None:
    """Course item 63: fitted on those rows by themselves they are the same; other rows do not matter."""
    table, plan = small_table(), plan_of(seeds=1)
    prepared = job_of(table, plan, number).prepared()
    rows = prepared.split.rows(SplitPart.TRAIN)
    alone = job_of(table, plan, number).visible.rows(rows)
    repair = fit_repair(alone, plan.repair, rows=np.ones(len(alone), bool))
    fitted = fit_scalers(repair.apply(alone)[0], prepared.preprocessing.spec, rows=np.ones(len(alone), bool))
    for mine, wanted in zip((prepared.preprocessing.scaler, prepared.preprocessing.target_scaler), fitted, strict=True):
        assert json.dumps(mine.to_dict()) == json.dumps(wanted.to_dict())
    values = np.array(table.values)
    values[np.flatnonzero(rows)[-1] + 1 :] *= 7.0
    other = job_of(replace(table, values=values), plan, number).prepared()
    assert json.dumps(other.preprocessing.scaler.to_dict()) == json.dumps(prepared.preprocessing.scaler.to_dict())
    assert json.dumps(other.preprocessing.repair.to_dict()) == json.dumps(prepared.preprocessing.repair.to_dict())
    folds = {n: job_of(table, plan, n).prepared().preprocessing.scaler.to_dict() for n in (1, 2)}
    assert folds[1] != folds[2]  # a scaler for all folds would make them equal


@pytest.mark.parametrize("kind", ["expanding", "sliding"])
def test_rows_behind_a_fold_change_nothing_of_it(kind: str) -> None:
    """Course item 62, bit for bit: predictions of network and baselines, scores and choices."""
    table, plan = small_table(), plan_of(kind=kind, seeds=1)
    _, end = job_of(table, plan, 1).rows
    values = np.array(table.values)
    values[end:] = np.random.default_rng(1).permutation(values[end:]) * 3.0 + 1.0
    one, other = (run_fold(job_of(t, plan, 1)).get("fold 1") for t in (table, replace(table, values=values)))
    same(one.frame, other.frame)
    assert timeless(one.summary) == timeless(other.summary)
    assert set(one.frame["model"]) == {"network", "ridge", "mean"}


# --- a whole backtest -----------------------------------------------------------------------------------------------


def test_one_worker_and_a_resumed_backtest_give_the_bits_of_two_workers(two: Backtest, tmp_path: Path) -> None:
    """Interrupted after the first fold, then gone on with by one worker."""
    where = tmp_path / "backtest"

    def stop(result: BacktestFold, count: int) -> None:
        assert count == 4
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"the backtest was interrupted; [1-3] of 4 folds are finished and kept"):
        backtest(small_table(), plan_of(), workers=Workers(2), folder=where, watch=stop)
    shutil.rmtree(where / FOLDS / "fold-02-seed-1", ignore_errors=True)
    told: list[tuple[int, int]] = []
    with pytest.raises(PlanError, match="other"):
        backtest(small_table(seed=1), plan_of(), folder=where, resume=True)
    found = backtest(
        small_table(),
        plan_of(),
        folder=where,
        resume=True,
        watch=lambda result, _: told.append((result.number, result.seed)),
    )
    assert 1 <= len(told) < 4
    same(found.predictions, two.predictions)
    assert timeless(dict(found.summary)) == timeless(dict(two.summary))
    with pytest.raises(PlanError, match="holds a finished backtest"):
        backtest(small_table(), plan_of(), folder=where, resume=True)


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize("on", ["ray", "dask"])
def test_a_cluster_gives_the_bits_of_local_workers(two: Backtest, on: Any, tmp_path: Path) -> None:
    """A real cluster of two workers on this machine; nothing of it is left behind."""
    jobs = [job for job in set_up_backtest(small_table(), plan_of(), Path(), tmp_path / FOLDS).jobs if job.seed == 1]
    results = spread(run_fold, jobs, Workers(2, on))
    assert [result.number for result in results] == [1, 2]
    for result in results:
        frame = result.get("a fold").frame
        wanted = two.predictions
        wanted = wanted[(wanted["fold"] == result.number) & (wanted["seed"] == 1)].reset_index(drop=True)
        same(frame.assign(batch=frame["batch"].astype(object)), wanted)


def test_scores_folds_and_duels_are_told(two: Backtest) -> None:
    summary = two.summary
    frame = two.predictions
    assert set(frame["part"]) == {"validation", "test"}
    test = frame[(frame["part"] == "test") & (frame["model"] == "network")]
    for told in summary["folds"]:
        mine = test[test["fold"] == told["number"]]
        for seed, value in enumerate(told["scores"]["network"]["seeds"], start=1):
            error = (mine["prediction"] - mine["truth"])[mine["seed"] == seed]
            assert value == pytest.approx(np.sqrt(np.mean(error**2)))
        assert told["windows"] == (mine["seed"] == 1).sum()
    pooled = [np.sqrt(np.mean((test["prediction"] - test["truth"])[test["seed"] == seed] ** 2)) for seed in (1, 2)]
    assert summary["scores"]["network"]["mean"] == pytest.approx(np.mean(pooled))
    assert summary["scores"]["network"]["deviation"] == pytest.approx(np.std(pooled, ddof=1))
    assert pooled[0] != pooled[1]
    assert summary["scores"]["ridge"]["deviation"] == 0.0
    assert [duel["baseline"] for duel in summary["duels"]] == ["ridge", "mean"]
    assert summary["duels"][0]["outcome"] == "worse"
    assert summary["worth"] is False
    assert two.verdict.startswith("Over 2 folds the RNN is not worth it: ridge regression has RMSE")
    assert summary["windows"] == 210
    assert Backtest.load(two.folder).summary == summary
    assert summary["settings"]["embargo_rows"] == 6


def test_the_report_tells_it_in_both_languages(two: Backtest) -> None:
    for lang, words in (
        ("en", ("Fold by fold", "Diebold–Mariano", "The RNN is worse than ridge regression")),
        ("zh_TW", ("逐折結果", "Diebold–Mariano", "RNN 劣於脊迴歸")),
    ):
        page = (two.folder / f"report.{lang}.html").read_text("utf-8")
        assert all(word in page for word in words)
        assert "<svg" in page


def test_an_error_in_a_fold_names_it(tmp_path: Path) -> None:
    """The second fold's target is constant, which its training cannot learn from: no fold is left out silently."""
    table = small_table(420, classes=True)
    values = np.array(table.values)
    values[:250, 3] = np.arange(250) // 35 % 2
    values[210:, 3] = 2.0
    plan = small_plan(classes=True, backtest={"folds": 2, "kind": "sliding", "window": 100})
    with pytest.raises(InputError, match="nothing to tell apart") as caught:
        backtest(replace(table, values=values), plan, folder=tmp_path / "backtest")
    assert caught.value.__notes__ == ["This happened in fold 2, seed 1"]
    assert not (tmp_path / "backtest" / Backtest.summary_name).exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 100}, r"window is only for kind = \"sliding\", this is 'expanding'"),
        ({"kind": "sliding", "window": 0}, "0 rows is no stretch of rows"),
        ({"folds": 1}, r"\[backtest\] folds"),
        ({"kind": "rolling"}, r"\[backtest\] kind.*expanding"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan_of(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embargo": 200}, "with an embargo of 200 rows the validation part of a fold has none of its 315 rows left"),
        ({"folds": 500}, "420 rows do not make 500 test parts"),
        ({"kind": "batch"}, "batch"),
    ],
)
def test_tables_that_make_no_folds_are_refused_before_a_folder_is_made(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        backtest(small_table(), plan_of(**settings), folder=tmp_path / "backtest")
    assert not (tmp_path / "backtest").exists()


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="resume"):
        backtest(small_table(), plan_of(), folder=tmp_path / "none", resume=True)
    with pytest.raises(InputError, match="no finished backtest is here"):
        Backtest.load(tmp_path)


def test_the_command_runs_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small_table().to_frame().to_csv("plant.csv")
    tags = [{"name": "quality", "unit": "%", "role": "target"}]
    plan = plan_of().merged({"data": {"file": "plant.csv", "tags": tags}})
    Path("plan.toml").write_text(plan.to_toml())

    def run(*more: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["backtest", "plan.toml", "--seeds", "1", "--workers", "2", "--folder", "out", *more])
        return int(ended.value.code or 0)

    assert run("--folds", "1") == 2
    assert "[backtest] folds" in capsys.readouterr().err
    assert run("--json") == 0
    told = capsys.readouterr()
    said = json.loads(told.out)
    assert said["settings"]["seeds"] == 1
    assert len(said["folds"]) == 2
    lines = told.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("fold ") and "RMSE" in line and "ridge regression" in line for line in lines)
    assert run() == 2
    assert "holds a finished backtest" in capsys.readouterr().err


def test_batches_can_be_backtested_whole(tmp_path: Path) -> None:
    """Elapsed batches, a laboratory value at the end of each: no batch is on two sides."""
    plan = small_plan(
        task={"kind": "batch_quality", "target": "quality"},
        windows={"lookback": "elapsed"},
        backtest={"kind": "batch", "folds": 2, "validation": 0.4},
    )
    found = backmix.backtest(small_batches(), plan, workers=Workers(2), folder=tmp_path / "backtest")
    frame = found.predictions
    test = frame[(frame["part"] == "test") & (frame["model"] == "network")]
    assert sorted(test["batch"].unique()) == [f"B{n:02d}" for n in range(1, 17)]
    assert (test.groupby("batch")["fold"].nunique() == 1).all()
    assert "Training batches may be later" in found.report_path().read_text("utf-8")
