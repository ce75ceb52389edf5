"""What holds for every task, our own and those of others, on the small plant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backmix.errors import BundleError
from backmix.models.heads import heads
from backmix.models.losses import losses
from backmix.report.figures import figures
from backmix.scoring.metrics import metrics
from backmix.serving.bundle import Bundle
from backmix.serving.runtime import Runtime
from backmix.simple import simple_models
from backmix.tasks import Outcome, Task, tasks
from backmix.training.beside import fit_baselines
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from small import reading, small_task


def prepare_small(name: str) -> Prepared:
    """The small plant prepared for a task, calibrated with a network that always says the mean."""
    table, plan = small_task(name)
    found = prepare(reading(table), plan)
    windows = found.training_samples[1]
    calibrated = found.task.calibrate(np.zeros((len(windows), found.task.answer.outputs)), windows)
    return replace(found, preprocessing=replace(found.preprocessing, task=calibrated))


def check_names(name: str, found: Prepared) -> None:
    """A task is called as it is registered, and names registered parts that fit its kind."""
    task = found.task
    assert type(task) is tasks.get(name)
    assert task.name == name == type(task).Settings.model_fields["kind"].default
    assert task.judging.metrics
    assert all(metrics.get(metric).kind == task.kind for metric in task.judging.metrics)
    assert not metrics.get(task.judging.metrics[0]).per_class, "the verdict is about one number"
    assert task.judging.baselines
    assert all(baseline in simple_models for baseline in task.judging.baselines)
    assert task.presentation.figures
    assert all(figure in figures for figure in task.presentation.figures)


def check_decoding(found: Prepared) -> None:
    """Head, loss and class weights fit each other, and raw outputs become an outcome of the task's kind."""
    task, windows = found.task, found.train
    heads.get(task.answer.head).check(task.answer.outputs)
    assert str(task.answer.loss(found.training_samples[0]).value) in losses
    raw = np.full((len(windows), task.answer.outputs * len(windows.spec.horizons)), 0.25)
    outcome = task.answer.decode(raw, windows)
    check_outcome(outcome, task, found)
    check_outcome(task.revise(outcome, windows), task, found)
    assert set(task.answer.class_weights(windows) or {}) <= set(range(len(task.target.classes)))


def check_baseline(name: str, found: Prepared) -> None:
    """A baseline of a task answers its kind of question."""
    fitted = fit_baselines(found.task, found.train, found.validation, names=[name])
    assert not fitted.unusable
    check_outcome(fitted.predictors[name].predict(found.train), found.task, found)


def check_outcome(outcome: Outcome, task: Task, found: Prepared) -> None:
    """An outcome for the training windows has the shape of the task's kind."""
    windows = found.train
    if task.kind == "regression":
        assert outcome.probabilities is None
        assert outcome.values is not None
        assert outcome.values.shape == (len(windows), len(windows.spec.horizons) * len(task.targets))
        assert np.isfinite(outcome.values).all()
    else:
        assert outcome.values is None
        assert outcome.probabilities is not None
        assert outcome.probabilities.shape == (len(windows), len(task.target.classes))
        assert (outcome.probabilities >= 0).all()


def check_whole_way(name: str, folder: Path) -> bool:
    """From the table to the reports and a bundle that answers the same when it is loaded.

    Returns whether the light runtime answers the same, too; otherwise it has refused the bundle.
    """
    table, plan = small_task(name)
    run = fit(table, plan, folder=folder, quiet=True)
    for lang in ("en", "zh_TW"):
        assert tasks.title(name, lang) in (folder / f"report.{lang}.html").read_text("utf-8")
    again = Bundle.load(run.bundle_path)
    assert again.preprocessing.task == run.bundle.preprocessing.task
    frame, _ = again.predict(table)
    assert frame.equals(run.bundle.predict(table)[0])
    if not again.preprocessing.light:
        with pytest.raises(BundleError, match=r"light runtime .* Use `backmix predict`"):
            Runtime.load(run.bundle_path)
        return False
    runtime = Runtime.load(run.bundle_path)
    task = again.preprocessing.task
    windows, _ = again.preprocessing.windows(table, need_target=False)
    spec = windows.spec
    columns = [windows.table.column(tag) for tag in spec.inputs]
    if spec.known is not None:
        columns += [np.roll(windows.table.column(tag), spec.known.delay) for tag in spec.targets]
    shown = np.column_stack(columns)
    for at in range(0, len(windows), max(1, len(windows) // 20)):
        last = int(windows.origins[at]) - spec.dead_time
        rows = int(windows.steps if windows.lengths is None else windows.lengths[at])
        mine = frame.iloc[at]
        window = shown[last - rows + 1 : last + 1]
        if spec.lookback is not None:  # a short history is padded behind its real rows
            window = np.vstack([window, np.zeros((spec.lookback - rows, window.shape[1]))])
        answer = runtime.predict(window[None], lengths=None if windows.lengths is None else [rows])[0]
        if task.kind == "regression":
            np.testing.assert_allclose(answer, [mine["prediction"]], rtol=1e-4)
        else:
            np.testing.assert_allclose(answer, [mine[f"p:{label}"] for label in task.target.classes], atol=1e-4)
    return True
