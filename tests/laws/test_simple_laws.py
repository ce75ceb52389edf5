"""Laws of every registered simple model: blind where it must be, the same as baseline and as member."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from backmix.data.table import Table
from backmix.data.windows.progress import complete
from backmix.data.windows.slices import slices
from backmix.data.windows.windows import Windows
from backmix.outcome import Outcome
from backmix.scoring.judgement import baseline_frame
from backmix.simple import ALIASES, Fitted, SimpleModels, simple_models
from backmix.simple.blocks import Blocks, block_windows
from backmix.tasks import tasks
from backmix.text import LANGUAGES
from backmix.training.beside import baselines_of, begin, fit_baselines, question
from backmix.training.blocks import pool
from backmix.training.plan import Plan
from backmix.training.prepare import prepare
from backmix.training.prepared import Prepared
from small import reading, small_batches, small_plan, small_table, small_task

NAMES = simple_models.names()
MEMBERS = [name for name, entry in simple_models if entry.member]
BATCHED = ("usual_length", "pls_evolving")


def task_of(name: str) -> str:
    """A task that the model answers: one that names it, else the usual one for its kind of answer."""
    called = {name, *(alias for alias, model in ALIASES.items() if model == name)}
    named = [task for task, kind in tasks if called & {*kind.Judging.baselines, *(kind.Judging.members or ())}]
    usual = "fault_diagnosis" if simple_models.get(name).kind == "classification" else "soft_sensor"
    return usual if usual in named or not named else named[0]


def prepared_of(task: str, table: Table | None = None) -> Prepared:
    """The small plant of a task, long enough for blocks."""
    small, plan = small_task(task)
    if table is None:
        table = small_batches(30) if small.batch is not None else small
    return prepare(reading(table), plan)


def looking(name: str, prepared: Prepared) -> Prepared:
    """The same; for a model that looks farther back than others, windows of which those see the newest rows."""
    if name != "ridge_long":
        return prepared
    spec = prepared.preprocessing.spec
    parts = {part: getattr(prepared, part) for part in ("train", "validation", "test")}
    shown = {part: replace(windows, spec=replace(windows.spec, seen=3)) for part, windows in parts.items()}
    return replace(prepared, preprocessing=replace(prepared.preprocessing, spec=replace(spec, seen=3)), **shown)


def blocks_of(prepared: Prepared) -> Blocks | None:
    """The blocks of an ensemble, where the task is one that ensembles answer."""
    if prepared.preprocessing.spec.answer not in ("row", "path") or not prepared.preprocessing.tells_what_is_judged:
        return None
    blocks = block_windows(*pool(prepared), count=3)
    assert blocks is not None
    return blocks


@cache
def fitted_of(name: str) -> tuple[Prepared, Blocks | None, Fitted]:
    """A model, fitted over blocks where there are any."""
    prepared = looking(name, prepared_of(task_of(name)))
    blocks = blocks_of(prepared)
    models = begin(prepared, blocks).more([name])
    assert name in models, models.why(name).key
    return prepared, blocks, models[name]


def numbers(outcome: Outcome) -> Any:
    """What a model says, as one array."""
    found = outcome.values if outcome.probabilities is None else outcome.probabilities
    assert found is not None
    return found


@pytest.mark.parametrize("name", NAMES)
def test_it_says_numbers_of_every_window_and_why(name: str) -> None:
    prepared, _, fitted = fitted_of(name)
    for model in (fitted.model, fitted.before):
        found = numbers(model.predict(prepared.test))
        assert found.shape[0] == len(prepared.test)
        assert np.isfinite(found).all()
    for decision in fitted.decisions:
        assert all(decision.reason(lang) for lang in LANGUAGES)
    assert all(simple_models.title(name, lang) != name for lang in LANGUAGES)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    prepared, blocks, fitted = fitted_of(name)
    again = begin(prepared, blocks).more([name])[name]
    for one, other in ((fitted.model, again.model), (fitted.before, again.before)):
        np.testing.assert_array_equal(numbers(one.predict(prepared.test)), numbers(other.predict(prepared.test)))
    for mine, theirs in zip(fitted.out_of_fold, again.out_of_fold, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_test_part_change_nothing(name: str) -> None:
    prepared, blocks, fitted = fitted_of(name)
    begins = (
        int(prepared.test.origins.min()) + 1 - (0 if prepared.test.lengths is None else prepared.test.lengths.min())
    )
    values = np.array(prepared.table.values)
    values[begins:] = np.random.default_rng(0).permutation(values[begins:]) * 3 + 1
    target = prepared.test.table.tag(prepared.task.targets[0].name)
    if target.categories:
        values[begins:, prepared.table.index(target.name)] = 0
    table = replace(prepared.table, values=values)

    def on(windows: Windows) -> Windows:
        return replace(windows, table=table)

    if blocks is None:
        changed = begin(replace(prepared, train=on(prepared.train), validation=on(prepared.validation)), None)
    else:
        changed = begin(prepared, relabelled(blocks, table))
    other = changed.more([name])[name]
    for one, two in ((fitted.model, other.model), (fitted.before, other.before)):
        np.testing.assert_array_equal(numbers(one.predict(prepared.test)), numbers(two.predict(prepared.test)))


def relabelled(blocks: Blocks, table: Table) -> Blocks:
    """The same blocks of another table."""
    return replace(blocks, pool=replace(blocks.pool, table=table))


@pytest.mark.parametrize("name", MEMBERS)
def test_labels_of_a_block_do_not_reach_what_is_said_of_it(name: str) -> None:
    """Settings are chosen by all blocks together, so they are those of the first fit; nothing else may change."""
    small, plan = small_task(task_of(name))
    plan = plan if small.batch is not None or plan.the_task.kind != "soft_sensor" else small_plan()  # shows no labels
    prepared = looking(name, prepare(reading(small if small.batch is None else small_batches(30)), plan))
    blocks = blocks_of(prepared)
    assert blocks is not None
    fitted = begin(prepared, blocks).more([name])[name]
    table, at = prepared.table, blocks.blocks[1]
    values = np.array(table.values)
    column, rows = table.index(blocks.pool.spec.targets[0]), np.asarray(at.held_out.target_rows)
    # as good to choose by as before, though wrong: penalties, rounds and leaves stay as they are
    labels = values[rows, column]
    values[rows, column] = labels + 1e-6 * np.arange(len(rows)) if prepared.task.kind == "regression" else labels
    if prepared.task.kind == "classification":
        few = rows[:2]
        values[few, column] = (values[few, column] + 1) % 3
    changed = begin(prepared, relabelled(blocks, replace(table, values=values))).more([name])[name]
    np.testing.assert_array_equal(fitted.out_of_fold[1], changed.out_of_fold[1])
    assert any(
        not np.array_equal(mine, theirs) for mine, theirs in zip(fitted.out_of_fold, changed.out_of_fold, strict=True)
    )


@pytest.mark.parametrize("name", MEMBERS)
def test_as_a_member_it_says_the_same(name: str) -> None:
    prepared, blocks, fitted = fitted_of(name)
    assert blocks is not None
    for model, windows in ((fitted.model, prepared.test), (fitted.before, blocks.blocks[-1].held_out)):
        member = model.to_member()
        assert member is not None
        assert member.name == name
        member.check(
            steps=windows.spec.lookback, features=len(windows.feature_names), outputs=prepared.task.answer.outputs
        )
        raw = []
        for at in slices(windows):
            batch = (windows.entire if member.view == "entire" else windows).gather(at)
            ended = complete(windows.subset(at)) if member.kind == "staged" else None
            raw.append(member.outputs(batch.x, batch.mask, ended))
        mine = numbers(question(prepared.task, windows).outcome(np.concatenate(raw), windows))
        np.testing.assert_allclose(mine, numbers(model.predict(windows)), rtol=1e-6, atol=1e-6)
    held = np.concatenate(raw)
    np.testing.assert_allclose(held, fitted.out_of_fold[-1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["mean", "ridge"])
def test_the_validation_part_teaches_in_the_end_but_not_what_is_said_of_it(name: str) -> None:
    """With one network alone, too: what the report shows of validation windows is out of fold."""
    prepared = prepared_of("soft_sensor")
    table, column = prepared.table, prepared.table.index(prepared.train.spec.targets[0])
    values = np.array(table.values)
    rows = np.asarray(prepared.validation.target_rows)
    values[rows, column] += 1e-6 * np.arange(len(rows))  # so little that settings stay as they are
    other = replace(table, values=values)
    changed = replace(
        prepared, train=replace(prepared.train, table=other), validation=replace(prepared.validation, table=other)
    )
    fits = [baselines_of(begin(run, None), prepared.task, [name])[1] for run in (prepared, changed)]
    parts = {"validation": prepared.validation, "test": prepared.test}
    one, two = (baseline_frame(fitted, prepared.task, parts) for fitted in fits)
    same = one["prediction"] == two["prediction"]
    assert same[one["part"] == "validation"].all()
    assert not same[one["part"] == "test"].any()


def test_the_final_fit_is_of_training_and_validation() -> None:
    prepared = prepared_of("soft_sensor")
    truth = [part.truth() for part in (prepared.train, prepared.validation)]
    fitted = begin(prepared, None).more(["mean"])["mean"]
    assert numbers(fitted.before.predict(prepared.test))[0] == pytest.approx(truth[0].mean(axis=0), rel=1e-12)
    assert numbers(fitted.model.predict(prepared.test))[0] == pytest.approx(
        np.concatenate(truth).mean(axis=0), rel=1e-12
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_input_columns_changes_nothing(name: str) -> None:
    """Inputs are told by their names; what a window shows is in the order of those."""
    prepared, _, fitted = fitted_of(name)
    task = task_of(name)
    small, _ = small_task(task)
    table = small_batches(30) if small.batch is not None else small
    order = [2, 0, 1, *range(3, len(table.tags))]
    turned = replace(table, values=np.asarray(table.values)[:, order], tags=tuple(table.tags[k] for k in order))
    other = looking(name, prepared_of(task, turned))
    again = begin(other, blocks_of(other)).more([name])[name]
    np.testing.assert_array_equal(
        numbers(fitted.model.predict(prepared.test)), numbers(again.model.predict(other.test))
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("odd", ["constant", "few"])
def test_windows_that_teach_nothing_are_refused_with_a_reason_or_answered(name: str, odd: str) -> None:
    prepared = looking(name, prepared_of(task_of(name)))
    train, validation = prepared.train, prepared.validation
    if odd == "few":
        train, validation = (prepared.task.target.training_windows(part) for part in (train, validation))
        train, validation = train.subset(np.arange(3)), validation.subset(np.arange(1))
    else:
        table = prepared.table
        values = np.array(table.values)
        values[:, [table.index(name) for name in train.spec.targets]] = 0.0
        train, validation = (replace(part, table=replace(table, values=values)) for part in (train, validation))
    fitted = fit_baselines(prepared.task, train, validation, names=[name])
    for refused in fitted.unusable.values():
        assert all(refused.reason(lang) for lang in LANGUAGES)
    for model in fitted.predictors.values():
        assert np.isfinite(numbers(model.predict(prepared.test))).all()
    if odd == "constant":  # of one class alone there is nothing to tell apart, and still inputs lie near nothing
        assert bool(fitted.unusable) == (name in ("forest", "lda", "pca", "largest_deviation"))


def test_an_ensemble_and_the_baselines_of_a_run_share_their_fits() -> None:
    prepared = prepared_of("soft_sensor")
    models = begin(prepared, blocks_of(prepared)).more(["ridge", "trees"])
    again = models.more(["ridge", "boosting", "trees"])
    assert again["boosting"] is models["trees"]
    assert again.fitted == models.fitted


def test_a_best_value_at_the_end_of_its_grid_is_noted() -> None:
    """A target that inputs say nothing of asks for the largest penalty."""
    table = small_table()
    values = np.array(table.values)
    values[:, -1] = np.random.default_rng(5).normal(size=len(values))
    _, plan = small_task("soft_sensor")
    prepared = prepare(
        reading(replace(table, values=values)),
        Plan.check(plan.to_dict() | {"task": {"kind": "soft_sensor", "target": "quality"}}),
    )
    fitted = fit_baselines(prepared.task, prepared.train, prepared.validation, names=["ridge"])
    values_of = {decision.reason_key: decision.value for decision in fitted.decisions}
    assert values_of["evaluation.ridge_penalty"] == 1000
    assert values_of["simple.edge_penalty"] == 1000
    assert {decision.setting for decision in fitted.decisions} == {"baseline.ridge"}


def test_the_models_of_a_run_hold_no_state_of_their_own() -> None:
    prepared = prepared_of("soft_sensor")
    empty = begin(prepared, None)
    assert empty.more(["mean"]).fitted.keys() == {"mean"}
    assert empty.fitted == {}
    assert isinstance(empty, SimpleModels)
