"""The final quality of a batch, while it runs and when it has ended. Course items 17 and 75, letters F and O."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backmix.app.draft import draft
from backmix.data.sources import ReadPlan
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.progress import complete, last_value, left
from backmix.errors import InputError, PlanError
from backmix.results.run import Run
from backmix.scoring.judgement import baseline_frame
from backmix.training.beside import fit_baselines
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from batches import batch_plan, batch_table
from small import reading


def prepared(table: Table | None = None, **changes: Any) -> Prepared:
    task = {"target": "purity"} | changes.pop("task", {})
    return prepare(reading(table or batch_table()), batch_plan("batch_quality", task=task, **changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    plan = batch_plan("batch_quality", task={"target": "purity"}, evaluation={"baselines": None, "resamples": 20})
    return fit(batch_table(30), plan, folder=tmp_path_factory.mktemp("quality") / "run", quiet=True)


@pytest.mark.parametrize("lookback", ["elapsed", "batch"])
def test_the_target_is_the_final_quality_never_the_next_sample(lookback: str) -> None:
    """Trap F: the course's `batch_to_sequences` promises final quality and returns the next sample.

    Here earlier samples of the same quality are in the table too, and no window asks for one of them.
    """
    table = batch_table()
    values = np.array(table.values)
    batch = np.asarray(table.batch)
    starts = np.diff(batch, prepend=-1) != 0
    values[~np.isfinite(values[:, 2]) & ~starts, 2] = 7.0  # samples on the way, all far from the final ones
    found = prepared(replace(table, values=values), windows={"lookback": lookback})
    final = {code: values[batch == code, 2][-1] for code in np.unique(batch)}
    for windows in (found.train, found.validation, found.test, *found.training_samples):
        asked = windows.truth()[:, 0]
        assert np.array_equal(asked, [final[code] for code in batch[windows.origins]])
        y = windows.gather(windows.all_indices)
        assert y.y is not None
        assert windows.target_scaler is not None
        plain = windows.target_scaler.inverse(y.y.reshape(-1, 1))[:, 0]
        weight = np.ones(len(plain)) if y.weight is None else y.weight.reshape(-1)
        assert (plain[weight > 0] > 80).all()


def test_windows_grow_inside_one_batch_and_see_nothing_of_others() -> None:
    """Trap O: a window begins at the first row of its own batch and ends at the row of the prediction."""
    found = prepared()
    windows = found.train
    assert windows.lengths is not None
    batch = np.asarray(found.table.batch)
    first = windows.origins - windows.lengths + 1
    assert np.array_equal(batch[first], batch[windows.origins])
    assert ((first == 0) | (batch[np.maximum(first - 1, 0)] != batch[first])).all()


def test_judged_at_the_end_shown_on_the_way() -> None:
    """Course item 75: the verdict is about finished batches; the updating prediction stands beside it."""
    found = prepared()
    assert complete(found.test).all()
    assert found.running is not None
    assert len(found.running) > 5 * len(found.test)
    assert set(found.running.origins[complete(found.running)]) == set(found.test.origins)
    assert complete(found.scored["validation"]).all()
    assert len(found.scored["validation"]) < len(found.validation)


def test_a_finished_batch_is_one_window() -> None:
    """Course item 17: whole batches of unequal length, one prediction each."""
    found = prepared(windows={"lookback": "batch"})
    assert found.running is None
    assert found.training_samples[0] is found.train
    assert found.train.lengths is not None
    assert len(set(found.train.lengths.tolist())) > 1


def test_the_verdict_and_the_scores_are_those_of_finished_batches(run: Run) -> None:
    frame = run.predictions
    judged, running = (frame[(frame["part"] == part) & (frame["model"] == "mean")] for part in ("test", "running"))
    assert (judged["share"] == 1).all()
    assert judged["batch"].is_unique
    assert len(running) > len(judged)
    scores = {(row["part"], row["metric"]): row for row in run.summary["scores"] if row["model"] == "mean"}
    for part, rows in (("test", judged), ("running", running)):
        assert scores[part, "rmse"]["windows"] == len(rows)
        assert scores[part, "rmse"]["value"] == pytest.approx(
            np.sqrt(((rows["prediction"] - rows["truth"]) ** 2).mean())
        )
    assert run.summary["windows"]["test"] == len(judged)
    assert "Judged are the predictions at the end of each batch." in run.summary["verdict"]["en"]
    assert "評分對象為各批次結束時的預測。" in run.summary["verdict"]["zh_TW"]


def test_figures_of_a_run(run: Run) -> None:
    page = (run.folder / "report.en.html").read_text("utf-8")
    assert "Predicted quality while a batch runs" in page
    assert "Error by how far the batch has come" in page
    assert "批次進行中的預測品質" in (run.folder / "report.zh_TW.html").read_text("utf-8")


def test_a_prediction_updates_while_the_batch_runs(run: Run) -> None:
    table = batch_table(3, seed=9).select(["rate", "conversion"])
    whole, _ = run.bundle.predict(table)
    cut, _ = run.bundle.predict(table.rows(slice(0, 5)))
    assert len(whole) == len(table)
    assert np.allclose(cut["prediction"], whole["prediction"][:5], atol=1e-6)
    assert cut["prediction"].nunique() == 5


def test_the_quality_of_test_batches_is_seen_by_nobody() -> None:
    table = batch_table()
    first = prepared(table)
    tested = np.unique(np.asarray(table.batch)[first.test.origins])
    values = np.array(table.values)
    values[np.isin(np.asarray(table.batch), tested), 2] *= 100
    second = prepared(replace(table, values=values))
    assert first.preprocessing.target_scaler is not None
    assert second.preprocessing.target_scaler is not None
    assert first.preprocessing.target_scaler.to_dict() == second.preprocessing.target_scaler.to_dict()
    for one, other in zip(first.training_samples, second.training_samples, strict=True):
        a, b = one.gather(one.all_indices), other.gather(other.all_indices)
        assert a.y is not None
        assert b.y is not None
        assert a.x.tobytes() == b.x.tobytes()
        assert a.y.tobytes() == b.y.tobytes()
    assert not set(tested) & set(np.asarray(table.batch)[first.train.origins])


def test_a_batch_without_a_label_is_left_out_by_name() -> None:
    table = batch_table()
    values = np.array(table.values)
    values[np.asarray(table.batch) == 2, 2] = np.nan
    found = prepared(replace(table, values=values))
    decision = next(decision for decision in found.decisions if decision.reason_key == "course.excluded")
    assert decision.value == ("B03",)
    assert decision.reason("en") == "batches without a window: B03 (no target value)"
    assert not (np.asarray(found.table.batch)[found.train.origins] == 2).any()


def test_several_qualities_at_once() -> None:
    table = batch_table()
    more = Table(
        np.column_stack([table.values, 2 * table.column("purity")]),
        (*table.tags, Tag("colour", role="lab")),
        time=table.time,
        batch=table.batch,
        batch_names=table.batch_names,
    )
    found = prepared(more, task={"target": ["purity", "colour"]})
    assert found.task.answer.outputs == 2
    assert np.allclose(found.train.truth()[:, 1], 2 * found.train.truth()[:, 0])


def test_local_models_know_finished_batches_from_running_ones() -> None:
    """The mean rate of a finished batch says its purity: PLS stage by stage finds that, and early too."""
    found = prepared(batch_table(40))
    frame = baseline_frame(
        fit_baselines(found.task, found.train, found.validation, names=["mean", "pls", "pls_evolving"]),
        found.task,
        {"test": found.test, "running": found.running},
    )  # type: ignore[dict-item]
    error = (frame["prediction"] - frame["truth"]).pow(2).groupby([frame["part"], frame["model"]]).mean()
    assert error["test", "pls_evolving"] < 0.05 * error["test", "mean"]
    assert error["running", "pls_evolving"] < 0.2 * error["running", "mean"]


def test_local_models_of_windows_that_do_not_grow_are_plain_pls() -> None:
    found = prepared(windows={"lookback": "batch"})
    fitted = fit_baselines(found.task, found.train, found.validation, names=["pls", "pls_evolving"])
    one, other = (fitted.predictors[name].predict(found.test).values for name in ("pls", "pls_evolving"))
    assert one is not None
    assert other is not None
    assert np.array_equal(one, other)


def test_the_label_is_the_last_value_reported() -> None:
    table = batch_table()
    assert np.array_equal(prepared(table).table.column("purity"), last_value(table, "purity"))


@pytest.mark.parametrize(
    ("changes", "table", "message"),
    [
        (
            {"split": {"kind": "chronological"}},
            None,
            "batch_quality needs whole batches: what a row's target is shows only when its batch has ended, and split kind "
            '\'chronological\' cuts batches in two. Set [split] kind = "batch" (or "named")',
        ),
        ({"split": {"kind": "batch", "within": "batch"}}, None, "batch_quality needs whole batches"),
        (
            {"windows": {"lookback": 4, "horizon": 1}},
            None,
            "batch_quality looks to the end of the batch or unit by itself: [windows] horizon has no meaning there. "
            "Remove it",
        ),
        (
            {},
            replace(batch_table(), batch=None, batch_names=()),
            "batches — batch_quality needs batches, and the table is one long run. Name the column that tells them apart: "
            '[data] batch = "..."',
        ),
        (
            {},
            batch_table(8),
            "batches — the validation part has 1 batches with a target, at least 3 are needed. Give this "
            "part more batches in [split], or add batches to the table",
        ),
        (
            {},
            batch_table().retag({"purity": Tag("purity", categories=("off", "on"), role="lab")}),
            "batches — target 'purity' holds text (off, on), batch_quality needs numbers. Use [task] kind = "
            '"fault_diagnosis", or name another target',
        ),
        (
            {},
            replace(batch_table(), values=np.where(np.arange(3) == 2, np.nan, batch_table().values)),
            "batches — target 'purity' has no value at all. Name another target, or check the export of this column",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], table: Table | None, message: str) -> None:
    """Rows 20 to 31 of the list of bad inputs, as they apply."""
    with pytest.raises((InputError, PlanError)) as caught:
        prepared(table, **changes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("target", "kind", "split"),
    [
        ("purity", "batch_quality", "batch"),
        ("rul", "remaining_life", "batch"),
        ("rate", "soft_sensor", "chronological"),
    ],
)
def test_a_first_plan_names_the_task(target: str, kind: str, split: str, tmp_path: Path) -> None:
    """`backmix init` looks how often a batch reports the target, and what it is called."""
    table = batch_table(6)
    table = table.with_columns([Tag("rul")], left(table, "rows"))
    frame = table.to_frame()
    frame.to_csv(tmp_path / "batches.csv")
    text = draft(tmp_path / "batches.csv", settings=ReadPlan(batch="batch"), target=target, beside=tmp_path)
    plan = Plan.parse(text)
    assert plan.the_task.kind == kind
    assert plan.the_task.targets == (target,)
    assert plan.split.kind == split
    assert "batch_end_time" in text


def test_a_misspelt_quality_names_the_nearest() -> None:
    """Row 33 of the list of bad inputs."""
    with pytest.raises(InputError, match="purity"):
        prepared(task={"target": "purty"})


def test_the_same_quality_in_all_batches_teaches_nothing() -> None:
    table = batch_table()
    values = np.array(table.values)
    values[np.isfinite(values[:, 2]), 2] = 90.0
    found = prepared(replace(table, values=values))
    with pytest.raises(InputError, match=r"target 'purity' is 90 in all \d+ training windows, so there is nothing"):
        found.task.answer.loss(found.training_samples[0])
