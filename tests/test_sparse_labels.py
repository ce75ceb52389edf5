"""Laboratory labels through a whole run: examples, report, bundle, new rows, and what is refused."""

from __future__ import annotations

import io
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backmix.app.main import main
from backmix.data.export import write_csv
from backmix.data.ledger import Ledger
from backmix.data.reported import report_name, report_tag
from backmix.data.sources import Reading, read
from backmix.data.splitting.split import SplitPart
from backmix.data.table import Table
from backmix.data.windows.origins import last_reported
from backmix.data.windows.reach import rows_used
from backmix.data.windows.windows import fit_scalers
from backmix.errors import InputError, PlanError
from backmix.results.run import Run
from backmix.scoring.leakage.audit import audit_run, future, split_overlap
from backmix.serving.bundle import Bundle
from backmix.serving.runtime import Runtime
from backmix.text import speak
from backmix.training.beside import fit_baselines
from backmix.training.plan import Plan, PlanFaults
from backmix.training.predict import rolled
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from small import small_plan, small_table

EXAMPLES = Path(__file__).parent.parent / "examples"
QUICK: dict[str, Any] = {
    "training": {"epochs": 2},
    "model": {"recipe": "course", "units": [4]},
    "evaluation": {"baselines": ["last_value", "ridge"], "resamples": 20},
}


@pytest.fixture(scope="module")
def cstr(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The reactor with its laboratory file, two epochs."""
    plan = Plan.load(EXAMPLES / "sparse_lab_cstr.toml").merged(QUICK)
    return fit(None, plan, folder=tmp_path_factory.mktemp("runs") / "cstr", base=EXAMPLES, quiet=True)


def with_lab(*, every: int = 5, seed: int = 0, **task: Any) -> Prepared:
    """The small plant with a label every few rows, reported 3 to 12 minutes late, prepared."""
    plan = small_plan(task={"past_targets": {"known": "reported", "age": True, **task}}, windows={"lookback": 4})
    return prepare(Reading(lab_table(every=every, seed=seed), Ledger(420)), plan)


def lab_table(*, every: int = 5, seed: int = 0) -> Table:
    table = small_table()
    assert table.time is not None
    rng = np.random.default_rng(seed)
    values = np.array(table.values)
    values[np.arange(len(table)) % every != 0, 3] = np.nan
    report = table.time.astype("int64") / 1e9 + 60.0 * rng.integers(3, 13, len(table))
    report[np.isnan(values[:, 3])] = np.nan
    return replace(table, values=np.column_stack([values, report]), tags=(*table.tags, report_tag("quality")))


def test_the_laboratory_of_the_example_is_what_its_script_writes() -> None:
    laboratory = runpy.run_path(str(EXAMPLES / "sparse_lab_cstr.py"))["laboratory"]
    written = pd.read_csv(EXAMPLES / "sparse_lab_cstr.csv", na_values="Bad")
    made = pd.read_csv(io.StringIO(laboratory()), na_values="Bad")
    assert made.drop(columns="acid").equals(written.drop(columns="acid"))
    np.testing.assert_allclose(made["acid"], written["acid"], atol=0.0011)  # another processor may round otherwise


def test_the_reactor_example_tells_what_the_model_may_see(cstr: Run) -> None:
    """Bad input 24: what is known at prediction time, in the report of both languages."""
    report = (cstr.folder / "report.en.html").read_text("utf-8")
    assert (
        "Of the past values of acid it is shown, at every row, the newest sample whose result had been "
        "reported by then, by the report times of the laboratory; the latest report came 91 rows (3.03 h) after "
        "its sample, and the split keeps that distance too. From sample to report it took "
    ) in report
    assert "Beside each of these values stands its age, as the logarithm of 1 + rows since the sample." in report
    assert "Beside each input stands whether its value was measured (0) or missing and filled (1)." in report
    chinese = (cstr.folder / "report.zh_TW.html").read_text("utf-8")
    assert (
        "每一列只提供當時已回報的 acid 最新樣本的結果，依化驗室的回報時間而定；"
        "最晚的一次在取樣後 91 列（3.03 h） 才回報"
    ) in chinese
    for page, words in ((report, "labels"), (chinese, "標記數")):
        assert f">{words}</th>" in page


def test_every_row_of_both_files_is_accounted_for(cstr: Run) -> None:
    rows = cstr.summary["rows"]
    assert rows["read"] == rows["used"] + rows["repaired"] + rows["dropped"] == 10800 + 361
    assert rows["used"] + rows["repaired"] == 10800


def test_a_bundle_shows_new_rows_the_results_reported_by_then(cstr: Run, tmp_path: Path) -> None:
    """The new table brings its own results and report times; the bundle's predictions are those of the run."""
    table = read(Plan.parse(cstr.bundle.plan).data, base=EXAMPLES).table
    frame, _ = cstr.bundle.predict(table)
    told = cstr.predictions
    mine = told[(told["model"] == cstr.summary["network"]) & (told["part"] == "test")]
    both = mine.merge(frame, on="origin", suffixes=("", "_again"))
    assert len(both) == len(mine)
    np.testing.assert_allclose(both["prediction"], both["prediction_again"], rtol=1e-5)
    loaded = Bundle.load(cstr.save(tmp_path / "lab.backmix"))
    assert loaded.preprocessing.to_dict() == cstr.bundle.preprocessing.to_dict()
    assert loaded.preprocessing.spec == cstr.bundle.preprocessing.spec
    assert len(loaded.preprocessing.spec.feature_names) == cstr.bundle.architecture.features
    names = [*[tag.name for tag in loaded.preprocessing.inputs], "acid"]
    with pytest.raises(InputError) as fault:
        loaded.predict(table.select(names))
    assert str(fault.value) == (
        "cstr — acid is shown to the model only once it was reported, and column 'acid (report time)' (seconds since "
        "1970 UTC), which says when, is missing. Give the report times: [data.lab] report, or report_delay"
    )


def test_a_new_file_needs_a_laboratory_file_of_its_own(cstr: Run, tmp_path: Path) -> None:
    table = read(Plan.parse(cstr.bundle.plan).data.model_copy(update={"lab": None, "tags": ()})).table
    write_csv(table.rows(slice(0, 600)).to_frame().reset_index(), tmp_path / "new.csv")
    with pytest.raises(InputError) as fault:
        cstr.bundle.predict_file(tmp_path / "new.csv")
    assert str(fault.value) == (
        "the model is shown past values of acid, whose results are in a file of their own. Give that of the new rows: "
        '--lab FILE, in Python predict_file(..., lab="...")'
    )
    frame, ledger = cstr.bundle.predict_file(tmp_path / "new.csv", lab=EXAMPLES / "sparse_lab_cstr.csv")
    assert len(frame) > 400
    assert ledger.read == 600 + 361
    reasons = {note.reason: note.count for note in ledger.notes if note.action == "dropped"}
    assert sum(reasons.values()) == 361
    assert reasons["lab.reason_outside"] > 300


def test_a_laboratory_file_for_a_model_that_has_none(sensor_run: Run) -> None:
    with pytest.raises(PlanError) as fault:
        sensor_run.bundle.predict_file("new.csv", lab="lab.csv")
    assert str(fault.value) == (
        "lab.csv — this model was trained without [data.lab], so nothing is known of the form of its laboratory file. "
        "Leave --lab out, or put the results into the table"
    )


def test_the_light_runtime_refuses_what_it_does_not_compute(cstr: Run) -> None:
    with pytest.raises(PlanError) as fault:
        Runtime.load(cstr.bundle_path)
    assert str(fault.value) == (
        "this model sees the age of past targets or which inputs were filled, which the light runtime does not "
        "compute. Use backmix predict, or backmix.load(...).predict(table)"
    )
    with speak("zh_TW"):
        assert "輕量執行環境無法計算" in str(fault.value)


def test_the_debutanizer_example_runs(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode D: 120 labels to learn from, 79 to be judged by, one in ten rows."""
    monkeypatch.setenv("BACKMIX_DATA", str(shared_data))
    plan = Plan.load(EXAMPLES / "sparse_lab_debutanizer.toml").merged(QUICK)
    run = fit(None, plan, folder=tmp_path / "run", base=EXAMPLES, quiet=True)
    assert run.summary["windows"] == {"train": 117, "validation": 38, "test": 79}
    assert {row["windows"] for row in run.summary["scores"] if row["part"] == "test"} == {79}


def test_loss_and_metrics_see_labelled_rows_only() -> None:
    """Every window of every part has a label, and every label with a whole window has one."""
    run = with_lab(every=7)
    label = np.isfinite(run.table.column("quality"))
    for part in run.parts.values():
        batch = part.gather(part.all_indices)
        assert batch.y is not None
        assert np.isfinite(batch.y).all()
        assert np.isfinite(batch.x).all()
        assert label[part.target_rows].all()
    assert len(run.test) == int(label[run.split.rows(SplitPart.TEST)].sum())
    lost = dict(run.test.dropped)["windows.reason_no_label"]
    assert lost == run.split.count(SplitPart.TEST) - len(run.test)


def test_scalers_learn_from_labels_of_the_training_part_only() -> None:
    run = with_lab()
    rows = run.split.rows(SplitPart.TRAIN)
    _, target = fit_scalers(run.table, run.preprocessing.spec, rows=rows)
    labels = run.table.column("quality")[rows]
    assert target is not None
    assert run.preprocessing.target_scaler is not None
    assert target.to_dict() == run.preprocessing.target_scaler.to_dict()
    assert target.center[0] == pytest.approx(np.nanmean(labels))


def test_whole_batches_are_judged_by_the_labels_they_have() -> None:
    """A batch without a result is left out by name; the others have the last result that they report."""
    table = small_table()
    values = np.array(table.values)
    values[:, 3] = np.nan
    labelled = [b for b in range(21) if b % 4 != 3]
    for b in labelled:
        values[20 * b + [7, 19][b % 2], 3] = b
    batches = replace(
        table,
        values=values,
        batch=np.repeat(np.arange(21, dtype=np.int32), 20),
        batch_names=tuple(f"B{b:02}" for b in range(21)),
    )
    run = prepare(
        Reading(batches, Ledger(420)),
        small_plan(windows={"lookback": "batch", "missing": True}, split={"kind": "batch"}),
    )
    truth = np.concatenate([part.truth()[:, 0] for part in run.parts.values()])
    assert truth.tolist() == labelled
    left_out = {name for part in run.parts.values() for name in part.excluded}
    assert left_out == {f"B{b:02}" for b in range(21) if b % 4 == 3}
    x = run.train.gather(run.train.all_indices).x
    assert x.shape[2] == 6
    assert not x[:, :, 3:].any()


def test_the_leakage_audit_changes_what_is_not_yet_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad input 24: a clean run passes; showing a result before its report does not."""
    run = with_lab()
    assert all(result.passed for result in audit_run(run))

    def at_sample_time(table: Table, label: str, report: str, segment: Any) -> Any:
        return np.where(np.arange(len(table)) > 0, np.roll(last_reported(table, label), 1), -1)

    monkeypatch.setattr("backmix.data.windows.origins.shown_rows", at_sample_time)
    assert future(run.preprocessing, run.test).passed is False


def test_a_fixed_delay_is_audited_the_same_way() -> None:
    plan = small_plan(task={"past_targets": {"delay": 6, "age": True}}, windows={"lookback": 4})
    run = prepare(Reading(small_table(), Ledger(420)), plan)
    assert future(run.preprocessing, run.test).passed is True
    longer = replace(
        run.preprocessing, spec=replace(run.preprocessing.spec, known=replace(run.preprocessing.spec.known, delay=2))
    )
    test = replace(run.test, spec=run.preprocessing.spec)
    assert future(longer, test).passed is False


def test_the_split_keeps_the_latest_report_between_its_parts() -> None:
    """Row 25: no part looks at a row of another, and no training label is reported when the test begins."""
    run = with_lab()
    assert run.preprocessing.spec.known is not None
    assert run.preprocessing.spec.known.delay == 12
    assert split_overlap(run.parts).passed
    report, time = run.table.column(report_name("quality")), run.table.time
    assert time is not None
    ends = {name: np.flatnonzero(rows_used(part)) for name, part in run.parts.items()}
    for before, behind in (("train", "validation"), ("validation", "test")):
        first = time[ends[behind][0]].astype("int64") / 1e9
        assert np.nanmax(report[run.parts[before].target_rows]) <= first


def test_filled_values_are_marked_at_training_and_at_prediction() -> None:
    """Bad, frozen or masked before, filled by the repair: 1; clamped or good: 0."""
    table = small_table()
    values = np.array(table.values)
    values[50:52, 0] = np.nan
    values[400:403, 1] = np.nan
    values[300, 2] = 1e6  # beyond the range of training: clamped, which is a measurement all the same
    table = replace(table, values=values)
    run = prepare(Reading(table, Ledger(420)), small_plan(windows={"missing": True}, repair={"outliers": "none"}))
    new, _ = run.preprocessing.windows(table.rows(slice(290, 420)), need_target=False)
    names = [f"{name} (missing)" for name in ("F102", "P103", "T101")]
    assert run.train.feature_names[3:] == tuple(names)
    marked = {name: np.flatnonzero(run.table.column(name)).tolist() for name in names}
    assert marked == {"T101 (missing)": [50, 51], "F102 (missing)": [400, 401, 402], "P103 (missing)": []}
    assert {name: (290 + np.flatnonzero(new.table.column(name))).tolist() for name in names} == {
        "T101 (missing)": [],
        "F102 (missing)": [400, 401, 402],
        "P103 (missing)": [],
    }
    assert np.isfinite(new.gather(new.all_indices).x).all()


@pytest.mark.parametrize("past", [{}, {"delay": 3, "known": "reported"}])
def test_a_plan_says_how_past_targets_are_known(past: dict[str, Any]) -> None:
    with pytest.raises(PlanFaults) as fault:
        small_plan(task={"past_targets": past})
    assert str(fault.value) == (
        'plan: [task] past_targets — give either delay (a fixed time from sample to report) or known = "reported" (the '
        "report times of [data.lab])"
    )


def test_report_times_that_nobody_gave(tmp_path: Path) -> None:
    plan = small_plan(task={"past_targets": {"known": "reported"}})
    with pytest.raises(InputError) as fault:
        fit(small_table(), plan, folder=tmp_path / "run", quiet=True)
    assert str(fault.value) == (
        "small — quality is shown to the model only once it was reported, and column 'quality (report time)' (seconds "
        "since 1970 UTC), which says when, is missing. Give the report times: [data.lab] report, or report_delay"
    )
    assert not (tmp_path / "run").exists()


def test_the_light_runtime_takes_reported_values_from_its_caller(tmp_path: Path) -> None:
    """Without ages and marks a model with report times runs there: the last reported value is one more column."""
    plan = small_plan(task={"past_targets": {"known": "reported"}}, windows={"lookback": 4})
    run = fit(lab_table(), plan, folder=tmp_path / "run", quiet=True)
    runtime = Runtime.load(run.bundle_path)
    assert runtime.inputs == ("F102", "P103", "T101", "quality (reported)")
    windows, _ = run.bundle.preprocessing.windows(lab_table(), need_target=False)
    plain = replace(windows, scaler=None, target_scaler=None)
    frame, _ = run.bundle.predict(lab_table())
    said = runtime.predict(plain.gather(plain.all_indices).x)[:, 0]
    np.testing.assert_allclose(said, frame["prediction"], rtol=1e-4)


def test_the_command_line_takes_a_laboratory_file(
    cstr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read(Plan.parse(cstr.bundle.plan).data.model_copy(update={"lab": None, "tags": ()})).table
    monkeypatch.chdir(tmp_path)
    write_csv(table.rows(slice(0, 300)).to_frame().reset_index(), Path("new.csv"))
    with pytest.raises(SystemExit) as end:
        main(
            [
                "predict",
                str(cstr.bundle_path),
                "new.csv",
                "--lab",
                str(EXAMPLES / "sparse_lab_cstr.csv"),
                "--out",
                "said.csv",
            ]
        )
    assert end.value.code == 0
    said = pd.read_csv("said.csv")
    frame, _ = cstr.bundle.predict_file("new.csv", lab=EXAMPLES / "sparse_lab_cstr.csv")
    np.testing.assert_allclose(
        said.filter(regex="^prediction").iloc[:, 0], frame["prediction"], rtol=1e-5
    )  # six digits are written
    assert "laboratory row put on the row of its sample" in capsys.readouterr().err


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_a_forecast_shows_which_inputs_were_filled(strategy: str) -> None:
    """Between inputs and known values stand the marks; what is rolled on puts its answers behind them."""
    table = small_table()
    values = np.array(table.values)
    values[100:103, 0] = np.nan
    plan = Plan.check(
        {
            "task": {"kind": "forecast", "target": "quality", "strategy": strategy, "relative": "none"},
            "windows": {"lookback": 6, "horizon": 3, "missing": True},
        }
    )
    run = prepare(Reading(replace(table, values=values), Ledger(420)), plan)
    names = run.test.feature_names
    assert names == ("F102", "P103", "T101", "F102 (missing)", "P103 (missing)", "T101 (missing)", "quality (reported)")
    said = rolled(lambda x, _: x[:, -1, -1:] + 1, run.test)
    x = run.test.gather(run.test.all_indices).x
    np.testing.assert_allclose(said, x[:, -1, -1:] + np.arange(1, 4), rtol=1e-5)
    fitted = fit_baselines(run.task, run.train, run.validation, names=["last_value"])
    last = fitted.predictors["last_value"].predict(run.test).values
    assert last is not None
    newest = table.column("quality")[run.test.origins][:, None]
    np.testing.assert_allclose(last, np.repeat(newest, 3, axis=1), rtol=1e-5, atol=1e-5)


def test_answers_may_be_told_relative_to_the_last_reported_value() -> None:
    """The origin of an answer is the value that the newest row shows, by its report time."""
    run = with_lab()
    windows = replace(run.test, spec=replace(run.test.spec, relative="answers"))
    y = windows.gather(windows.all_indices).y
    shown = run.test.gather(run.test.all_indices)
    assert y is not None
    assert shown.y is not None
    place = run.test.feature_names.index("quality (reported)")
    np.testing.assert_allclose(y[:, 0], shown.y[:, 0] - shown.x[:, -1, place], atol=1e-5)
