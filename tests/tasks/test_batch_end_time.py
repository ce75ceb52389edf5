"""When a running batch will end. Course items 17 and 74."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.progress import left, passed
from backmix.errors import BackmixError, InputError, PlanError
from backmix.results.run import Run
from backmix.scoring.leakage.audit import audit_run
from backmix.serving.runtime import Runtime
from backmix.training.beside import fit_baselines
from backmix.training.predict import predict_network
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from batches import batch_plan, batch_table
from small import reading


def prepared(table: Table | None = None, **changes: Any) -> Prepared:
    return prepare(reading(table or batch_table()), batch_plan("batch_end_time", **changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(
        batch_table(30),
        batch_plan("batch_end_time", evaluation={"baselines": None, "resamples": 20}),
        folder=tmp_path_factory.mktemp("end") / "run",
        quiet=True,
    )


def test_the_target_and_the_elapsed_time_are_computed() -> None:
    """Course item 74: the time that remains, at every row of a running batch."""
    found = prepared()
    table = found.table
    assert found.task.targets[0].unit == "min"
    assert np.array_equal(table.column("time_remaining"), left(table, "min"))
    assert np.array_equal(table.column("elapsed"), passed(table, "min"))
    assert "elapsed" in found.train.feature_names
    assert found.preprocessing.spec.growing
    assert found.task.targets[0].name not in found.train.feature_names


def test_without_a_clock_rows_are_counted() -> None:
    found = prepared(batch_table(clock=False))
    assert found.task.targets[0].unit == "rows"
    assert np.array_equal(found.table.column("time_remaining"), left(found.table, "rows"))


def test_batches_of_unequal_length_are_learned_whole() -> None:
    """Course item 17: a sequence per batch, padded and masked, with an answer on each of its rows."""
    found = prepared()
    training_samples = found.training_samples[0]
    assert training_samples.spec.answer == "every"
    assert training_samples.lengths is not None
    assert len(training_samples) == len(np.unique(np.asarray(found.table.batch)[found.train.origins]))
    batch = training_samples.gather(training_samples.all_indices)
    assert batch.mask is not None
    assert batch.weight is not None
    assert np.array_equal(batch.mask.sum(axis=1), training_samples.lengths)
    assert np.array_equal(batch.weight, batch.mask.astype(np.float32))


def test_every_row_of_the_whole_batch_is_what_its_prefix_says(run: Run) -> None:
    """The network learns whole batches and is asked about running ones: it says the same, to 1e-6.

    Trap O: rows of other batches, and later rows of the same, change nothing.
    """
    bundle = run.bundle
    table = batch_table(5, seed=7)
    windows, _ = bundle.preprocessing.windows(table, need_target=False)
    prefixes = predict_network(bundle.network, windows)[:, 0]
    whole = windows.subset(np.flatnonzero(np.diff(windows.origins - windows.lengths + 1, append=-1) != 0))
    batch = whole.gather(whole.all_indices)
    every = np.asarray(bundle.network.predict_on_batch({"x": batch.x, "mask": batch.mask}))[:, :, 0]
    assert batch.mask is not None
    assert np.allclose(every[batch.mask], prefixes, atol=1e-6)
    other = batch.x.copy()
    for window, length in enumerate(batch.mask.sum(axis=1)):
        other[window, length // 2 :] += 3.0
    changed = np.asarray(bundle.network.predict_on_batch({"x": other, "mask": batch.mask}))[:, :, 0]
    for window, length in enumerate(batch.mask.sum(axis=1)):
        assert np.allclose(changed[window, : length // 2], every[window, : length // 2], atol=1e-6)
        assert not np.allclose(changed[window, length // 2 : length], every[window, length // 2 : length], atol=1e-3)


def test_a_running_batch_has_no_end_and_gets_a_prediction(run: Run) -> None:
    """The prediction at a row is the same whether or not the batch goes on; nothing known afterwards is asked for."""
    table = batch_table(4, seed=3).select(["rate", "conversion"])
    whole, _ = run.bundle.predict(table)
    for end in (3, 14, len(table) - 4):
        cut, _ = run.bundle.predict(table.rows(slice(0, end)))
        assert len(cut) == end
        assert np.allclose(cut["prediction"], whole["prediction"][:end], atol=1e-6)
        assert cut["truth"].isna().all()
        assert "share" not in cut.columns


def test_a_file_of_running_batches_needs_only_what_is_measured(tmp_path: Path) -> None:
    """From a file to a model to a new file: neither the target nor the elapsed time is a column of either."""
    batch_table(20).to_frame().drop(columns="purity").to_csv(tmp_path / "done.csv")
    running = batch_table(2, seed=8).to_frame().drop(columns="purity")
    running.iloc[:-3].to_csv(tmp_path / "running.csv")
    plan = batch_plan("batch_end_time", data={"file": "done.csv", "batch": "batch", "time": "time"})
    found = fit(None, plan, folder=tmp_path / "run", base=tmp_path, quiet=True)
    frame, _ = found.bundle.predict_file(tmp_path / "running.csv")
    assert len(frame) == len(running) - 3
    assert np.isfinite(frame["prediction"]).all()
    running.drop(columns="conversion").to_csv(tmp_path / "less.csv")
    with pytest.raises(InputError, match="conversion"):
        found.bundle.predict_file(tmp_path / "less.csv")


def test_a_running_batch_can_be_followed_row_by_row(run: Run) -> None:
    """Stepping with a carried state from the first row of a batch says what the prefix windows say."""
    runtime = Runtime.load(run.bundle_path)
    windows, _ = run.bundle.preprocessing.windows(batch_table(3, seed=4), need_target=False)
    frame, _ = run.bundle.predict(batch_table(3, seed=4))
    assert runtime.units == ("min",)
    rows = np.column_stack([windows.table.column(name) for name in runtime.inputs])
    batch = np.asarray(windows.table.batch)
    for code in range(3):
        state = runtime.start()
        for row in np.flatnonzero(batch == code):
            y, state = runtime.step(rows[row], state)
            assert y[0] == pytest.approx(frame["prediction"][row], abs=1e-4)


def test_a_table_that_has_the_elapsed_time_gets_it_anew(run: Run) -> None:
    table = batch_table(4, seed=3).select(["rate", "conversion"])
    lying = table.with_columns([Tag("elapsed", unit="min")], np.full(len(table), 1e6))
    one, _ = run.bundle.predict(table)
    other, _ = run.bundle.predict(lying)
    assert one["prediction"].equals(other["prediction"])


def test_a_table_without_a_clock_is_refused_by_a_model_that_counts_minutes(run: Run) -> None:
    with pytest.raises(BackmixError):
        run.bundle.predict(batch_table(4, clock=False))


def test_the_elapsed_time_is_no_copy_of_the_target() -> None:
    """Where all batches take as long, the elapsed time gives the end away, and the plant really knows it."""
    rng = np.random.default_rng(0)
    table = Table(
        rng.normal(size=(160, 2)),
        (Tag("a"), Tag("b")),
        batch=np.repeat(np.arange(16), 10).astype(np.int32),
        batch_names=tuple(map(str, range(16))),
    )
    results = audit_run(prepared(table))
    assert all(result.passed is not False for result in results)
    copied = table.with_columns([Tag("c")], 3 - 2 * left(table, "rows"))
    failed = [result for result in audit_run(prepared(copied)) if result.passed is False]
    assert [result.tag for result in failed] == ["c"]


def test_usual_length_is_the_mean_of_the_batches() -> None:
    """Each training batch counts the same, however many windows it has; below zero there is no time."""
    found = prepared()
    fitted = fit_baselines(found.task, found.train, found.validation, names=["usual_length"])
    said = fitted.predictors["usual_length"].predict(found.test).values
    table = found.table
    training = np.unique(np.asarray(table.batch)[np.concatenate([found.train.origins, found.validation.origins])])
    length = np.mean([passed(table, "min")[np.asarray(table.batch) == code].max() for code in training])
    assert said is not None
    expected = np.maximum(length - passed(table, "min")[found.test.origins], 0)
    assert np.allclose(said[:, 0], expected)


def test_scores_and_figures_of_a_run(run: Run) -> None:
    scores = {(row["model"], row["metric"]): row for row in run.summary["scores"] if row["part"] == "test"}
    assert run.summary["judgement"]["metric"] == "mae"
    assert scores["usual_length", "mae"]["unit"] == "min"
    frame = run.predictions
    mine = frame[(frame["model"] == "usual_length") & (frame["part"] == "test")]
    late = mine[mine["share"] >= 0.75]
    assert scores["usual_length", "last_quarter_mae"]["value"] == pytest.approx(
        (late["prediction"] - late["truth"]).abs().mean()
    )
    page = (run.folder / "report.en.html").read_text("utf-8")
    assert "Predicted end, batch by batch" in page
    assert "各批次的預測結束時間" in (run.folder / "report.zh_TW.html").read_text("utf-8")
    for words in ("usual batch length", "Error by what is left", "MAE in the last quarter"):
        assert words in page


def test_the_stride_keeps_the_last_row() -> None:
    found = prepared(windows={"stride": 4})
    table = found.table
    ends = np.flatnonzero(np.diff(np.asarray(table.batch), append=-1))
    mine = np.intersect1d(found.test.origins, ends)
    assert len(mine) == len(np.unique(np.asarray(table.batch)[found.test.origins]))
    assert len(found.training_samples[0].gather(np.array([0])).x[0]) >= 8, "lessons have every row"


def test_batches_that_still_run_have_no_label() -> None:
    found = prepared(task={"unfinished": ["B01"]})
    assert not (np.asarray(found.table.batch)[found.train.origins] == 0).any()
    with pytest.raises(InputError, match="B1"):
        prepared(task={"unfinished": ["B1"]})


@pytest.mark.parametrize(
    ("changes", "table", "message"),
    [
        (
            {"split": {"kind": "chronological"}},
            None,
            "batch_end_time needs whole batches: what a row's target is shows only when its batch has ended, and split kind "
            '\'chronological\' cuts batches in two. Set [split] kind = "batch" (or "named")',
        ),
        (
            {"windows": {"lookback": "batch"}},
            None,
            'a batch that has ended has no time left to predict. Use [windows] lookback = "elapsed", or a number of rows',
        ),
        (
            {"windows": {"lookback": 4, "horizon": 1}},
            None,
            "batch_end_time looks to the end of the batch or unit by itself: [windows] horizon has no meaning there. "
            "Remove it",
        ),
        (
            {},
            replace(batch_table(), batch=None, batch_names=()),
            "batches — batch_end_time needs batches, and the table is one long run. Name the column that tells them apart: "
            '[data] batch = "..."',
        ),
        ({}, batch_table(8), "batches — the validation part has 1 batches with a target, at least 3 are needed"),
        (
            {},
            batch_table().with_columns([Tag("elapsed")], passed(batch_table(), "rows")),
            "batches — the table has a column 'elapsed', and batch_end_time computes one of that name itself. Rename the "
            "column, or leave it out of the table",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], table: Table | None, message: str) -> None:
    """Rows 20 to 31 of the list of bad inputs, as they apply."""
    with pytest.raises((InputError, PlanError)) as caught:
        prepared(table, **changes)
    assert message in str(caught.value)


def test_a_horizon_is_refused_with_elapsed_windows() -> None:
    with pytest.raises(PlanError, match='"batch" and "elapsed" look back to the start of a batch; horizon has no'):
        batch_plan("batch_end_time", windows={"lookback": "elapsed", "horizon": 3})


def test_one_row_batches_are_left_out_by_name() -> None:
    """Row 26 of the list of bad inputs."""
    table = batch_table(18)
    keep = (np.asarray(table.batch) != 4) | (np.diff(np.asarray(table.batch), prepend=-1) != 0)
    found = prepared(table.rows(keep))
    decision = next(decision for decision in found.decisions if decision.reason_key == "course.excluded")
    assert decision.value == ("B05",)
    assert decision.reason("en") == "batches without a window: B05 (batch shorter than a window)"


def test_equal_rows_to_the_end_of_all_batches_teach_nothing() -> None:
    """A constant target is refused: here a column that says so itself."""
    table = batch_table().with_columns([Tag("time_remaining", unit="min")], np.full(len(batch_table()), 5.0))
    found = prepared(table)
    with pytest.raises(InputError, match=r"target 'time_remaining' is 5 in all \d+ training windows"):
        found.task.answer.loss(found.training_samples[0])
