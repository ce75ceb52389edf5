"""The search (`backmix tune`): blind to the test part, never worse on the folds, goes on where it was killed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import root_mean_squared_error

import backmix
from backmix.app.main import main
from backmix.data.export import write_csv
from backmix.data.table import Table
from backmix.errors import InputError, Interrupted, PlanError, TrainingError
from backmix.folds import FoldResult
from backmix.training.design import design
from backmix.training.fitting.fit import fit_network
from backmix.training.plan import Plan, PlanFaults
from backmix.training.predict import predict_outcome
from backmix.training.sections.space import Range
from backmix.tuning import search, setup
from backmix.tuning.record import Search, TrialRow
from backmix.tuning.search import tune
from backmix.tuning.setup import set_up_search
from backmix.tuning.space import changed
from backmix.tuning.trial import FoldError, TrialJob
from small import reading, small_plan, small_table

RATE = "training.learning_rate"
SPACE = {
    RATE: {"low": 1e-4, "high": 0.1, "log": True},
    "model.cell": ["gru", "simple_rnn"],
    "model.dropout": "fixed",
    "model.summaries": "fixed",
}
FIRST_TEST_ROW = 336  # four fifths of 420 rows


def plan_of(*, trials: int = 4, folds: int = 2, space: dict[str, Any] | None = None, **changes: Any) -> Plan:
    return small_plan(tune={"trials": trials, "folds": folds, "space": SPACE if space is None else space}, **changes)


def with_rows(table: Table, rows: slice, value: float | None) -> Table:
    """The table with other values in some rows: one number, or garbage (None)."""
    values = np.array(table.values)
    garbage = np.random.default_rng(9).normal(size=values[rows].shape) * 1e4
    values[rows] = garbage if value is None else value
    return replace(table, values=values)


def told(found: Search) -> list[dict[str, Any]]:
    """The trials, all but their seconds."""
    return [{key: value for key, value in asdict(row).items() if key != "seconds"} for row in found.rows]


def surrogate(job: TrialJob) -> FoldResult[FoldError]:
    """What a fold would give, without training: best at a learning rate of 10^-1.5, fold 2 harder than fold 1."""
    rate = job.plan.training.learning_rate
    rate = 1e-3 if rate == "auto" else rate
    worse = 0.5 if job.plan.model.cell == "simple_rnn" else 0.0
    error = abs(math.log10(rate) + 1.5) + 0.1 * (job.number - 1) + worse + 0.05
    return FoldResult(job.number, job.seed, 0.01, FoldError(error, metric="rmse", unit="%"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that take no time: everything but the training itself is as it is."""
    monkeypatch.setattr(search, "run_trial", surrogate)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A search with real trainings, shared by all tests that only read it."""
    return tune(small_table(), plan_of(), folder=tmp_path_factory.mktemp("tune") / "small")


# blind to the test part


def differs(found: Search, folder: Path, value: float | None) -> bool:
    """Whether other values in the test part change any trial of the search: what must never be."""
    other = tune(with_rows(small_table(), slice(FIRST_TEST_ROW, None), value), plan_of(), folder=folder)
    return told(other) != told(found)


@pytest.mark.parametrize("value", [math.nan, None])
def test_no_trial_depends_on_the_test_part(found: Search, tmp_path: Path, value: float | None) -> None:
    """Course item 62: cross-validation in time, here to choose settings."""
    assert not differs(found, tmp_path / "other", value)
    assert found.summary["rows"] == {"seen": FIRST_TEST_ROW, "kept_from_the_search": 420 - FIRST_TEST_ROW}


def test_the_same_check_catches_a_search_that_sees_the_test_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must be able to fail: here the rows are no longer cut off."""
    monkeypatch.setattr(setup, "known_rows", lambda table, plan: np.ones(len(table), bool))
    leaking = tune(small_table(), plan_of(trials=1), folder=tmp_path / "leaking")
    other = tune(
        with_rows(small_table(), slice(FIRST_TEST_ROW, None), None), plan_of(trials=1), folder=tmp_path / "other"
    )
    assert told(leaking) != told(other)


def test_the_check_can_see_the_rows_that_are_not_cut_off(found: Search, tmp_path: Path) -> None:
    other = tune(
        with_rows(small_table(), slice(FIRST_TEST_ROW - 20, FIRST_TEST_ROW), None),
        plan_of(trials=1),
        folder=tmp_path / "other",
    )
    assert told(other)[0] != told(found)[0]


def test_nothing_of_a_search_tells_a_score_of_the_test_part(found: Search) -> None:
    text = json.dumps(found.summary) + found.plan_path.read_text("utf-8")
    assert '"test"' not in text
    assert found.verdict.endswith("No trial has seen the 84 rows that were kept from the search") or (
        "no trial has seen the 84 rows" in found.verdict
    )


# what a trial is


def test_the_error_of_a_trial_is_that_of_networks_trained_on_each_fold(found: Search) -> None:
    """By hand: the folds as they are cut, a network for each, scikit-learn's error on the windows of the stretch."""
    ready = set_up_search(reading(small_table()), plan_of())
    for row in (found.rows[0], next(row for row in found.rows[1:] if row.error is not None)):
        plan = changed(plan_of(), row.settings)
        errors = []
        for number in (1, 2):
            prepared = ready.job(number, plan).prepared()
            chosen = design(prepared)
            model = fit_network(chosen.architecture, *prepared.training_samples, settings=chosen.settings).model
            values = predict_outcome(model, prepared.task, prepared.test).values
            errors.append(root_mean_squared_error(prepared.test.truth(), values))
        np.testing.assert_allclose(row.folds, errors, rtol=1e-6)
        assert row.error == pytest.approx(np.mean(errors))


def test_the_rows_between_two_parts_of_a_fold_are_those_of_the_plan() -> None:
    ready = set_up_search(reading(small_table()), plan_of(split={"gap": 9}))
    prepared = ready.job(2, ready.plan).prepared()
    assert prepared.test.target_rows.min() - prepared.validation.target_rows.max() == 10


def test_folds_follow_one_another_in_time_and_scalers_are_their_own() -> None:
    ready = set_up_search(reading(small_table()), plan_of(folds=3))
    ends, centers = [], []
    for number in (1, 2, 3):
        prepared = ready.job(number, ready.plan).prepared()
        taught = np.concatenate([prepared.train.target_rows, prepared.validation.target_rows])
        assert taught.max() < prepared.test.target_rows.min() - prepared.preprocessing.spec.reach + 1
        np.testing.assert_array_equal(prepared.test.target_rows, ready.judged[number - 1])
        ends.append(int(prepared.test.target_rows.max()))
        centers.append(tuple(prepared.preprocessing.scaler.center))
    assert ends == sorted(ends)
    assert ends[-1] == FIRST_TEST_ROW - 1
    assert len(set(centers)) == 3


def test_the_first_trial_is_the_plan_as_it_is_and_what_is_found_is_never_worse(found: Search) -> None:
    first = found.rows[0]
    assert (first.state, dict(first.settings)) == ("as_is", {})
    assert found.summary["as_is_error"] == first.error
    assert found.summary["best_error"] <= found.summary["as_is_error"]
    assert found.summary["best_error"] == min(row.error for row in found.rows if row.error is not None)
    assert found.summary["better"]
    gain = 100 * found.summary["gain"]
    assert gain == pytest.approx(100 * (1 - found.summary["best_error"] / found.summary["as_is_error"]))
    assert f"The search found {gain:.1f} % less error than the plan as it is: RMSE" in found.verdict


def test_the_plan_that_was_found_is_the_old_one_with_the_best_settings(found: Search) -> None:
    best = found.rows[found.summary["best"] - 1]
    assert found.plan == changed(plan_of(), best.settings)
    first, second, third = found.plan_path.read_text("utf-8").splitlines()[:3]
    assert first == f"# {found.summary['verdict']['en']}"
    assert second == f"# {found.summary['verdict']['zh_TW']}"
    assert third.startswith("# training.learning_rate ")
    assert Search.load(found.folder).summary == found.summary
    lines = (found.folder / "trials.csv").read_text("utf-8").splitlines()
    assert lines[0] == f"trial,state,error,fold_1,fold_2,seconds,{RATE},model.cell"
    assert len(lines) == 5


@pytest.mark.usefixtures("quick")
def test_where_nothing_is_better_the_plan_stays_as_it_is(tmp_path: Path) -> None:
    plan = plan_of(training={"learning_rate": 10**-1.5})
    found = tune(small_table(), plan, folder=tmp_path / "tune")
    assert found.summary["best"] == 1
    assert not found.summary["better"]
    assert found.plan.to_dict() == plan.to_dict()
    assert found.verdict.startswith(
        "Nothing better was found: RMSE 0.100 % of the plan as it is stands, mean over 2 folds, 4 trials."
    )


@pytest.mark.usefixtures("quick")
def test_one_trial_is_the_plan_as_it_is(tmp_path: Path) -> None:
    found = tune(small_table(), plan_of(trials=1), folder=tmp_path / "tune")
    assert found.verdict.startswith("Only the plan as it is was tried: RMSE")


# trials: the same ones, given up, impossible, resumed


@pytest.mark.usefixtures("quick")
def test_the_same_seed_tries_the_same_and_another_seed_does_not(tmp_path: Path) -> None:
    one = tune(small_table(), plan_of(trials=14), folder=tmp_path / "one")
    two = tune(
        small_table(), plan_of(trials=14), folder=tmp_path / "two", settings={"storage": str(tmp_path / "j.log")}
    )
    three = tune(small_table(), plan_of(trials=14, training={"seed": 1}), folder=tmp_path / "three")
    assert told(one) == told(two)
    assert told(one) != told(three)
    assert one.summary["importance"] is not None
    assert sum(one.summary["importance"].values()) == pytest.approx(1)
    assert set(one.summary["importance"]) == {RATE, "model.cell"}


@pytest.mark.usefixtures("quick")
def test_a_trial_behind_the_median_is_given_up_after_its_first_fold(tmp_path: Path) -> None:
    found = tune(small_table(), plan_of(trials=12), folder=tmp_path / "tune")
    given_up = [row for row in found.rows if row.state == "given_up"]
    assert given_up
    for row in given_up:
        earlier = sorted(
            other.folds[0]
            for other in found.rows[: row.number - 1]
            if other.error is not None and other.folds[0] is not None
        )
        assert len(row.folds) == 1
        assert row.folds[0] > np.median(earlier)
        assert row.error is None
        assert row.reason("en") == "given up after fold 1 of 2: behind the other trials"
    whole = tune(small_table(), plan_of(trials=12), folder=tmp_path / "whole", settings={"pruner": "none"})
    assert all(len(row.folds) == 2 for row in whole.rows)
    assert min(row.error for row in found.rows if row.error is not None) < 0.5


@pytest.mark.usefixtures("quick")
def test_settings_that_were_tried_are_not_tried_again(tmp_path: Path) -> None:
    calls = []
    plan = plan_of(
        trials=9,
        space={
            "model.cell": ["gru", "simple_rnn"],
            RATE: "fixed",
            "model.dropout": "fixed",
            "model.summaries": "fixed",
        },
    )
    found = tune(small_table(), plan, folder=tmp_path / "tune", watch=lambda row, count: calls.append((row, count)))
    assert [row.number for row, _ in calls] == list(range(1, 10))
    assert {count for _, count in calls} == {9}
    repeated = [row for row in found.rows if "not repeated" in row.reason("en")]
    assert len(repeated) >= 6
    assert all(row.seconds == 0 for row in repeated)
    assert all(row.error in (None, *(other.error for other in found.rows[: row.number - 1])) for row in repeated)


def test_a_trial_that_cannot_be_trained_is_told_and_the_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(job: TrialJob) -> FoldResult[FoldError]:
        if job.plan.model.cell == "simple_rnn":
            return FoldResult(job.number, job.seed, 0.0, fault=TrainingError("training.no_validation", where="small"))
        return surrogate(job)

    monkeypatch.setattr(search, "run_trial", failing)
    found = tune(small_table(), plan_of(trials=8), folder=tmp_path / "tune")
    failed = [row for row in found.rows if row.settings.get("model.cell") == "simple_rnn"]
    assert failed
    assert all(row.error is None and "small" in row.reason("en") for row in failed)
    assert found.rows[found.summary["best"] - 1].settings.get("model.cell") != "simple_rnn"


def test_settings_that_do_not_fit_together_are_a_trial_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "run_trial", surrogate)
    space = dict.fromkeys(("model.cell", "model.dropout", "model.summaries", RATE), "fixed")
    plan = plan_of(trials=8, space=space | {"training.clipvalue": [0.5], "training.clipnorm": [1.0, 2.0]})
    with pytest.raises(PlanError, match="clipvalue"):
        tune(
            small_table(),
            plan_of(trials=2, training={"clipvalue": 0.5}, space=space | {"training.clipnorm": [1.0]}),
            folder=tmp_path / "never",
        )
    found = tune(small_table(), plan, folder=tmp_path / "tune")
    assert any("clipvalue" in row.reason("en") for row in found.rows[1:])


def test_a_plan_that_cannot_be_trained_is_refused_with_the_fold(tmp_path: Path) -> None:
    with pytest.raises(InputError) as fault:
        tune(small_table(80), plan_of(folds=4), folder=tmp_path / "tune")
    assert fault.value.__notes__ == [
        "This is about the plan as it is, in fold 1 of 4. Fewer folds leave more training rows: [tune] folds (--folds)"
    ]
    assert not (tmp_path / "tune").exists()


@pytest.mark.parametrize("name", ["study.db", "study.log"])
@pytest.mark.parametrize("at", ["between trials", "in a trial"])
def test_a_killed_search_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: str
) -> None:
    calls: list[TrialJob] = []

    def kill(after: int | None) -> Callable[[TrialJob], FoldResult[FoldError]]:
        def one(job: TrialJob) -> FoldResult[FoldError]:
            if len(calls) == after:
                raise KeyboardInterrupt
            calls.append(job)
            return surrogate(job)

        return one

    settings = {"storage": str(tmp_path / name), "pruner": "none"}
    monkeypatch.setattr(search, "run_trial", kill(None))
    whole = tune(small_table(), plan_of(trials=12), folder=tmp_path / "whole", settings={"pruner": "none"})
    assert len(calls) == 24
    calls.clear()
    monkeypatch.setattr(search, "run_trial", kill(8 if at == "between trials" else 19))
    with pytest.raises(Interrupted, match=r"the search was interrupted; trials that are over are kept"):
        tune(small_table(), plan_of(trials=12), folder=tmp_path / "cut", settings=settings)
    monkeypatch.setattr(search, "run_trial", kill(None))
    done = len(calls) // 2
    resumed = tune(small_table(), plan_of(trials=12), folder=tmp_path / "cut", settings=settings, resume=True)
    assert told(resumed) == told(whole)
    assert len(calls) == 24 + len(calls[2 * done : 2 * done + (at != "between trials")]), (
        "no finished trial is repeated"
    )
    more = tune(small_table(), plan_of(trials=14), folder=tmp_path / "cut", settings=settings, resume=True)
    assert told(more)[:12] == told(whole)
    assert len(more.rows) == 14


@pytest.mark.usefixtures("quick")
def test_a_study_of_another_search_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "tune"
    begun = tune(small_table(), plan_of(trials=2), folder=folder)
    for table, plan, what in (
        (small_table(), plan_of(trials=2, training={"epochs": 3}), "settings of the plan"),
        (small_table(seed=1), plan_of(trials=2), "the rows before the test part"),
        (small_table(), plan_of(trials=2, folds=3), "folds, pruner or space"),
    ):
        with pytest.raises(PlanError, match=rf"study.db — this study is of another search: {what} have changed"):
            tune(table, plan, folder=folder, resume=True)
    beyond = with_rows(small_table(), slice(FIRST_TEST_ROW, None), None)
    assert told(tune(beyond, plan_of(trials=2), folder=folder, resume=True)) == told(begun)


@pytest.mark.usefixtures("quick")
def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"there is no study to go on with. Leave out --resume"):
        tune(small_table(), plan_of(), folder=tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()
    tune(small_table(), plan_of(trials=1), folder=tmp_path / "there")
    with pytest.raises(PlanError, match=r"a study is there already. Go on with it"):
        tune(small_table(), plan_of(), folder=tmp_path / "there")
    with pytest.raises(PlanError, match="this folder holds a finished search, which is kept"):
        tune(small_table(), plan_of(), folder=tmp_path / "there", settings={"storage": str(tmp_path / "new.db")})
    with pytest.raises(InputError, match="there is no finished search"):
        Search.load(tmp_path)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["study.db", "study.log"])
def test_a_file_that_is_no_study_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(PlanError, match=r"study.csv — the ending does not say what kind of file"):
        tune(small_table(), plan_of(), folder=tmp_path / "tune", settings={"storage": str(tmp_path / "study.csv")})
    (tmp_path / name).write_text("time,T101\n1,2\n" * 100)
    with pytest.raises(InputError, match=rf"{name} — this file cannot hold a study \(.+\)\. Name another file"):
        tune(
            small_table(), plan_of(), folder=tmp_path / "tune", settings={"storage": str(tmp_path / name)}, resume=True
        )


@pytest.mark.usefixtures("quick")
def test_no_trial_begins_when_the_time_is_up(tmp_path: Path) -> None:
    found = tune(small_table(), plan_of(trials=50), folder=tmp_path / "tune", settings={"timeout": "1ms"})
    assert len(found.rows) == 1, "the plan as it is has its turn"


@pytest.mark.usefixtures("quick")
def test_optuna_stays_quiet_and_as_loud_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    tune(small_table(), plan_of(trials=2), folder=tmp_path / "tune")
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """The same search by two workers."""
    return tune(
        small_table(), plan_of(trials=3), folder=tmp_path_factory.mktemp("two") / "tune", settings={"workers": 2}
    )


def test_two_workers_try_side_by_side(found: Search, side_by_side: Search) -> None:
    # the plan as it is runs alone, but with the one thread of a worker, which rounds in another order
    first, alone = told(side_by_side)[0], told(found)[0]
    assert {**first, "error": None, "folds": None} == {**alone, "error": None, "folds": None}
    assert first["folds"] == pytest.approx(alone["folds"], rel=1e-5)
    assert len(side_by_side.rows) == 3
    assert all(np.isfinite(row.error) for row in side_by_side.rows if row.error is not None)


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize("on", ["ray", "dask"])
def test_a_cluster_finds_the_bits_of_local_workers(side_by_side: Search, on: str, tmp_path: Path) -> None:
    """A real cluster of two workers on this machine tries the same settings and finds the same plan."""
    there = tune(small_table(), plan_of(trials=3), folder=tmp_path / "tune", settings={"workers": 2, "on": on})
    assert told(there) == told(side_by_side)
    tables = [search.folder.joinpath("trials.csv").read_text("utf-8").splitlines() for search in (there, side_by_side)]
    assert len(tables[0]) == len(tables[1]) == 4


# the doors


def test_the_command_finds_a_plan_that_can_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    write_csv(small_table().to_frame().reset_index(), tmp_path / "here" / "plant.csv")
    document = plan_of().to_dict() | {"data": {"file": "plant.csv"}}
    (tmp_path / "here" / "plan.toml").write_text(Plan.check(document).to_toml(), "utf-8")
    with pytest.raises(SystemExit) as end:
        main(["tune", "here/plan.toml", "--trials", "2", "--folds", "2", "--json"])
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    shown = json.loads(said.out)
    assert shown["tuned"] == str(Path("runs/tune-plan/tuned.toml"))
    assert said.err.splitlines()[0].startswith("trial 1 of 2: ")
    assert said.err.splitlines()[0].endswith(" · the plan as it is")
    for words, what in (
        (["tune", "here/plan.toml", "--trials", "2", "--folds", "2", "--resume"], "There is no score of the test"),
        (["tune", "here/plan.toml", "--trials", "2", "--resume", "--lang", "zh_TW"], "此處沒有測試部分的分數"),
        (["run", shown["tuned"]], ""),
    ):
        with pytest.raises(SystemExit) as end:
            main(words)
        said = capsys.readouterr()
        assert end.value.code == 0, said.err
        assert what in said.out


def test_the_command_line_is_quick_because_optuna_is_not_loaded() -> None:
    program = (
        "import sys, backmix.app.main as door; door.build(); import backmix.training.plan; "
        "print([name for name in ('optuna', 'sqlalchemy', 'keras') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_public_name_is_the_search() -> None:
    assert backmix.tune is tune


# what may be searched


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"split.test": [0.1]}, r'"split.test" cannot be searched'),
        ({"training.seed": [1, 2]}, r'"training.seed" cannot be searched'),
        ({"windows.horizon": [1, 2]}, r'"windows.horizon" cannot be searched'),
        ({"model": [1]}, r'"model" cannot be searched'),
        ({"model.units": []}, r'"model.units" needs a list of numbers or words'),
        ({"model.units": [{"a": 1}]}, r'"model.units" needs a list of numbers or words'),
        ({RATE: {"low": 0.1, "high": 0.01}}, r"0\.1 to 0\.01 is no range"),
        ({RATE: {"low": 0.0, "high": 0.01, "log": True}}, r"0\.0 to 0\.01 is no range"),
    ],
)
def test_a_space_that_cannot_be_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanFaults, match=message):
        plan_of(space=space)


def test_a_time_out_without_a_unit_is_refused() -> None:
    with pytest.raises(PlanFaults, match=r"10 rows is no time. Give a timeout with a unit"):
        small_plan(tune={"timeout": 10})


@pytest.mark.parametrize(
    ("plan", "key", "message"),
    [
        (
            plan_of(space={"model.wings": [1]}),
            "tune.unknown_setting",
            r"\[tune.space\] model.wings — plans have no such",
        ),
        (
            plan_of(space=dict.fromkeys(("model.cell", "model.dropout", "model.summaries", RATE), "fixed")),
            "tune.nothing_open",
            "the plan leaves nothing open to search",
        ),
        (plan_of(space={"model.cell": ["gru", "abacus"]}), "plan.faults", "abacus"),
        (plan_of(space={"training.batch_size": {"low": 8, "high": 64}}), "plan.faults", "batch_size"),
        (plan_of(training={"warm_start": "model.backmix"}), "tune.warm_start", "may have learned from the very rows"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, plan: Plan, key: str, message: str
) -> None:
    with pytest.raises(PlanError, match=message) as fault:
        tune(small_table(), plan, folder=tmp_path / "tune")
    assert fault.value.key == key
    assert not (tmp_path / "tune").exists()


def test_only_what_the_plan_leaves_open_is_searched() -> None:
    def names(**changes: Any) -> set[str]:
        return {knob.name for knob in set_up_search(reading(small_table()), plan_of(space={}, **changes)).space}

    base = {"model.cell", "model.dropout", "model.summaries", RATE}
    assert names() == base, "units, batch size and lookback are said in the plan"
    assert names(model={"units": "auto", "cell": "lstm"}) == base - {"model.cell"} | {"model.units"}
    assert names(model={"units": [8], "body": "transformer"}) == base - {"model.cell"} | {"model.attention_heads"}
    assert names(model={"units": [8], "body": "transformer", "attention_heads": 4}) == base - {"model.cell"}
    assert names(training={"state": "carried", "batch_size": "auto"}) == base - {"model.summaries"}


def test_a_space_may_be_written_without_quotes_and_holds_what_the_plan_says() -> None:
    plan = Plan.parse("""
        [task]
        kind = "soft_sensor"
        target = "quality"
        [windows]
        lookback = 6
        [tune.space]
        model.units = [[3], [4, 2]]
        windows.lookback = [4, 7]
        training.learning_rate = { low = 1e-5, high = 1e-4 }
    """)
    assert plan.tune.space["training.learning_rate"] == Range(low=1e-5, high=1e-4)
    ready = set_up_search(reading(small_table()), plan)
    by_name = {knob.name: knob for knob in ready.space}
    assert by_name["windows.lookback"].labelled().keys() == {4, 7, 6}
    assert ready.start["windows.lookback"] == 6
    assert {"3", "4-2", ready.start["model.units"]} == by_name["model.units"].labelled().keys()
    assert ready.start["training.learning_rate"] == 1e-4, "the plan's own rate lies above the range"
    assert Plan.parse(plan.to_toml()) == plan


def test_rows_in_front_of_a_trial_that_another_lookback_cannot_answer_are_judged_by_none() -> None:
    """Batches of 30 rows: a lookback of 20 rows answers for the last 11 of each, whatever the others could."""
    batch = np.repeat(np.arange(14, dtype=np.int32), 30)
    table = replace(small_table(), batch=batch, batch_names=tuple(f"B{n}" for n in range(14)))
    plan = plan_of(split={"kind": "batch"}, space={"windows.lookback": [3, 20]})
    ready = set_up_search(reading(table), plan)
    lookback = next(knob for knob in ready.space if knob.name == "windows.lookback")
    assert set(lookback.labelled()) == {3, 20, 6}
    for number, rows in enumerate(ready.judged, start=1):
        assert len(rows)
        assert (rows % 30 >= 19).all()
        short = ready.job(number, changed(plan, {"windows.lookback": 3})).prepared().test
        assert len(short) > len(rows)
        assert np.isin(rows, short.target_rows).all()


def test_a_lookback_that_a_fold_has_no_room_for_is_left_out_and_told_or_refused_where_the_plan_names_it() -> None:
    table, plan = small_table(700), plan_of(space={}, windows={"lookback": "auto"})
    ready = set_up_search(reading(table), plan)
    lookback = next(knob for knob in ready.space if knob.name == "windows.lookback")
    assert set(ready.left_out) == {40, 60, 120}
    assert set(lookback.labelled()) == {5, 10, 20}
    assert [len(rows) for rows in ready.judged] == [186, 187], "the rows before make room for every one"
    with pytest.raises(InputError) as fault:
        set_up_search(reading(table), plan_of(space={"windows.lookback": [60]}))
    assert fault.value.__notes__ == [
        "This is about lookback = 60 rows of [tune.space], in fold 1 of 2. Leave it out "
        "there. Fewer folds leave more training rows: [tune] folds (--folds)"
    ]


def test_a_row_of_a_trial_is_told_in_the_language_of_the_moment() -> None:
    row = TrialRow(2, "given_up", None, (1.0,), 0.1, {}, {"en": "because", "zh_TW": "因為"})
    assert (row.reason(), row.reason("zh_TW")) == ("because", "因為")
