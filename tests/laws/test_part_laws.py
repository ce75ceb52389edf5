"""Every registered part keeps the contract of its kind: it explains itself, has its names, and runs."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import string
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backmix
from backmix.data.plants import plants
from backmix.data.scaling import fit_scaler, scalers
from backmix.data.sets import sets
from backmix.data.sources import read, sources
from backmix.data.tag import Tag
from backmix.errors import BundleError
from backmix.models.cells import LayerSettings, StepSettings, cells
from backmix.models.heads import heads
from backmix.models.losses import losses
from backmix.models.members.views import views
from backmix.models.weights import variable_name
from backmix.registry import Registry
from backmix.report.figures import figures
from backmix.results.run import Run
from backmix.scoring.metrics import metrics
from backmix.scoring.predictions import Sample, prediction_frame, read_sample
from backmix.scoring.scores import model_title
from backmix.serving.bundle import Bundle
from backmix.serving.exporters import exporters
from backmix.serving.runtime import Runtime
from backmix.simple import simple_models
from backmix.tasks import Outcome, tasks
from backmix.tasks.fault_diagnosis import UNKNOWN
from backmix.text import LANGUAGES, declared
from backmix.training.prepared import Prepared
from backmix.workflow import fit
from small import small_plan, small_table
from task_laws import check_baseline, check_decoding, check_names, prepare_small

KINDS: tuple[Registry[Any], ...] = (
    sources,
    sets,
    plants,
    scalers,
    cells,
    heads,
    losses,
    tasks,
    metrics,
    simple_models,
    figures,
    exporters,
    views,
)
NUMBERS = small_table()


def _explained(part: Any) -> str:
    """What a part says of itself: a docstring that it shares with the others of its kind or file does not count."""
    if inspect.isfunction(part) or inspect.isclass(part):
        return inspect.cleandoc(part.__doc__ or "")
    if hasattr(part, "about"):
        return str(part.about["en"])
    for told in (part, getattr(part, "compute", None), getattr(part, "read", None), getattr(part, "fit", None)):
        own = getattr(told, "source", "") or ("" if told is part else getattr(told, "__doc__", None))
        if own:
            return inspect.cleandoc(own)
    return inspect.cleandoc(type(part).__doc__ or "")


def test_every_registry_is_held_to_these_laws() -> None:
    """A kind of part that somebody adds is found here until it has its laws."""
    for module in pkgutil.walk_packages(backmix.__path__, "backmix."):
        if not module.name.startswith("backmix.native") and "__main__" not in module.name:
            importlib.import_module(module.name)
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("backmix")]
    kept = {id(entry): entry for module in modules for entry in vars(module).values() if isinstance(entry, Registry)}
    assert sorted(kind.kind for kind in kept.values()) == sorted(kind.kind for kind in KINDS)


# what a head is stands in its fields
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not heads], ids=lambda kind: kind.kind)
def test_every_part_says_what_it_is(kind: Registry[Any]) -> None:
    """In words of its own: no two parts of a kind say the same."""
    texts = {name: _explained(part) for name, part in kind}
    assert {name: text for name, text in texts.items() if len(text) <= 10} == {}
    assert len(set(texts.values())) == len(texts) > 1


def test_a_part_without_a_word_is_found() -> None:
    """The law above can fail."""
    assert _explained(lambda training: training) == ""
    assert _explained(replace(metrics.get("mae"), compute=lambda sample, weights: weights)) == _explained(
        replace(metrics.get("mse"), compute=lambda sample, weights: weights)
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_names_are_words_of_a_plan(kind: Registry[Any]) -> None:
    """A part is written in a plan, a command or a file name: small letters, digits, underscores."""
    assert kind.names()
    for name, part in kind:
        assert name.isidentifier()
        assert name == name.lower()
        called = getattr(part, "name", name)
        assert called == name or (kind is tasks and isinstance(called, property))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_people_see_has_a_name_in_both_languages(lang: Any) -> None:
    """No part of our own stands in a report or a list under its bare key."""
    titled: tuple[Registry[Any], ...] = (sets, plants, cells, tasks, metrics, figures)
    for kind in titled:
        for name in kind.names():
            assert declared()[f"{kind.kind}.{name}"][lang], f"{kind.kind} {name}"
    for name, part in (*sets, *plants):
        assert part.title[lang] == (sets if name in sets else plants).title(name, lang)
        assert part.about[lang]
    for name in (*simple_models.names(), *cells.names(), "network"):
        assert model_title(name, lang) != name


def test_what_a_part_declares_has_the_same_blanks_in_both_languages() -> None:
    assert sum(len(kind.names()) for kind in KINDS) <= len(declared())
    for key, sentence in declared().items():
        blanks = {
            lang: {field for _, field, _, _ in string.Formatter().parse(sentence[lang]) if field} for lang in LANGUAGES
        }
        assert blanks["en"] == blanks["zh_TW"], key
        assert all(text.strip() and "\n" not in text for text in sentence.values()), key


@cache
def prepared(name: str) -> Prepared:
    """The small plant prepared for a task."""
    return prepare_small(name)


def of_kind(kind: str) -> Prepared:
    """The small plant prepared for a plain task of a kind."""
    return prepared({"regression": "soft_sensor", "classification": "fault_diagnosis"}[kind])


@pytest.mark.parametrize("name", tasks.names())
def test_a_task_names_only_what_is_registered(name: str) -> None:
    check_names(name, prepared(name))


@pytest.mark.parametrize("name", tasks.names())
def test_a_task_decodes_what_its_head_puts_out(name: str) -> None:
    check_decoding(prepared(name))


NAMED = sorted({name for _, task in tasks for name in task.Judging.baselines})


@pytest.mark.parametrize("name", NAMED)
def test_a_baseline_fits_and_predicts_for_every_task_that_names_it(name: str) -> None:
    naming = [found for found in map(prepared, tasks.names()) if name in found.task.judging.baselines]
    for found in naming:
        check_baseline(name, found)


def _sample(kind: str, outcome: Outcome) -> Sample:
    """Predictions of the small plant with all that a metric may ask for: costs, shares, a class never taught."""
    found = of_kind(kind)
    frame = prediction_frame(found.task, found.test, outcome, model="m", part="test")
    sample = read_sample(
        frame, classes=found.task.target.classes, normal="normal" if found.task.target.classes else None
    )
    if kind == "classification":
        return replace(sample, classes=(*sample.classes[:-1], UNKNOWN))
    facts = {"late_cost": np.full(len(sample), 2.0), "early_cost": np.ones(len(sample))}
    return replace(sample, runs=np.arange(len(sample)), facts=facts | {"share": np.linspace(0, 1, len(sample))})


@pytest.mark.parametrize("name", metrics.names())
def test_a_metric_scores_a_perfect_prediction_best(name: str) -> None:
    metric = metrics.get(name)
    truth = of_kind(metric.kind).test.truth()
    codes = truth[:, 0].astype(int)
    off = np.where(np.arange(len(truth)) % 3, 3.0, -3.0)[:, None]  # late more often than early
    outcomes = (
        [Outcome(values=truth), Outcome(values=truth + off)]
        if metric.kind == "regression"
        else [Outcome(probabilities=np.eye(3)[codes]), Outcome(probabilities=np.eye(3)[(codes + 2) % 3])]
    )
    scores = []
    for outcome in outcomes:
        sample = _sample(metric.kind, outcome)
        if metric.per_class:
            sample = replace(sample, focus=1)
        score = metric.score(sample)
        assert np.isfinite(score.value) or (score.undefined is not None and score.undefined.text())
        scores.append(score.value)
    best, worse = scores
    assert np.isfinite(worse)
    if np.isnan(best):  # the mean error of late predictions, where none is late
        assert metric.name in ("late_error", "early_error")
    elif metric.better == "zero":
        assert abs(best) < abs(worse)
    else:
        assert best < worse if metric.better == "lower" else best > worse


@pytest.mark.parametrize("name", scalers.names())
def test_a_scaler_comes_back(name: str) -> None:
    values = NUMBERS.values[:, :3]
    scaler = fit_scaler(name, values, ("a", "b", "c"))
    np.testing.assert_allclose(scaler.inverse(scaler.transform(values)), values, rtol=1e-9)


@pytest.mark.parametrize("name", cells.names())
def test_a_cell_is_one_layer_with_the_weights_it_declares(name: str) -> None:
    cell = cells.get(name)
    layer = cell.layer(5, LayerSettings(name="mine", seed=3))
    layer.build((None, None, 4))
    assert layer.name == "mine"
    assert {variable_name(v).removeprefix("mine/"): tuple(v.shape) for v in layer.weights} == cell.weights(4, 5)
    assert layer.count_params() == cell.parameters(4, 5)
    assert cell.source
    assert cell.states[0] == "h"
    if cell.gates:
        assert len(cell.gates) * 5 == layer.weights[0].shape[1]


@pytest.mark.parametrize("name", cells.names())
def test_the_layer_of_a_cell_is_its_step_row_after_row(name: str) -> None:
    """The oracle of a cell, in float64, against what Keras and the kernels compute; masked steps repeat the state."""
    cell, rng = cells.get(name), np.random.default_rng(0)
    layer = cell.layer(5, LayerSettings(name="mine", seed=3, sequences=True))
    x = rng.normal(size=(3, 7, 4))
    layer.build((None, None, 4))
    weights = {}
    for variable in layer.weights:
        array = rng.normal(size=variable.shape) * 0.5
        variable.assign(array)
        weights[variable_name(variable).removeprefix("mine/")] = np.asarray(variable.value, np.float64)
    states = {letter: np.zeros((3, 5)) for letter in cell.states}
    rows = []
    for t in range(7):
        states = dict(cell.step(weights, x[:, t], states, StepSettings()))
        assert set(states) == set(cell.states)
        rows.append(states["h"])
    np.testing.assert_allclose(np.asarray(layer(x.astype(np.float32))), np.stack(rows, axis=1), atol=2e-5)


@pytest.mark.parametrize("name", cells.names())
def test_what_a_cell_has_learned_runs_from_its_bundle_or_is_refused_before(name: str, tmp_path: Path) -> None:
    """From the plan to the bundle, opened again, and in the light runtime where the cell says so."""
    run = fit(NUMBERS, small_plan(model={"cell": name}, training={"epochs": 1}), folder=tmp_path / "run", quiet=True)
    frame, _ = Bundle.load(run.bundle_path).predict(NUMBERS)
    assert frame.equals(run.bundle.predict(NUMBERS)[0])
    if not cells.get(name).light:
        with pytest.raises(BundleError, match=rf'cell = "{name}"'):
            Runtime.load(run.bundle_path)
        return
    runtime = Runtime.load(run.bundle_path)
    values = np.column_stack([NUMBERS.column(tag) for tag in runtime.inputs])
    slid = runtime.slide(values)[:, 0]
    np.testing.assert_allclose(slid[frame["origin"] - 5], frame["prediction"], rtol=1e-4)
    state = runtime.start()
    for row in values[:6]:
        y, state = runtime.step(row, state)
    np.testing.assert_allclose(y[0], slid[0], rtol=1e-4)


@pytest.mark.parametrize("name", losses.names())
def test_a_loss_fits_some_head(name: str) -> None:
    loss = losses.get(name)
    assert any(head.kind in loss.kinds for _, head in heads)
    assert loss.make() is not None


@pytest.mark.parametrize("name", sources.names())
def test_a_source_takes_its_own_files_only(name: str) -> None:
    source = sources.get(name)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in source.suffixes)
    others = [other for n, other in sources if n != name]
    assert not set(source.suffixes) & {suffix for other in others for suffix in other.suffixes}


@pytest.mark.parametrize("name", sources.names())
def test_a_source_gives_the_table_that_went_in(name: str, tmp_path: Path) -> None:
    """The same content through every source is the same table."""
    source = sources.get(name)
    assert source.example is not None, f"the source {name} has no example, so nobody knows whether it reads right"
    given = source.example(NUMBERS.rows(slice(0, 30)).to_frame().reset_index(), tmp_path)
    table = read(given.plan, frame=given.frame).table
    assert set(table.names) == set(NUMBERS.names)
    for tag in NUMBERS.names:
        np.testing.assert_allclose(table.column(tag), NUMBERS.column(tag)[:30], rtol=1e-14)
    assert NUMBERS.time is not None
    np.testing.assert_array_equal(table.time, NUMBERS.time[:30])


@pytest.mark.parametrize("name", exporters.names())
def test_an_exporter_writes_its_suffix_and_nothing_else(name: str, sensor_run: Run, tmp_path: Path) -> None:
    exporter = exporters.get(name)
    path = tmp_path / f"model{exporter.suffix}"
    exporter.write(sensor_run.bundle, path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_size > 1000


def test_every_set_and_plant_serves_a_task_that_exists() -> None:
    for name, part in (*sets, *plants):
        for plan in part.plans.values():
            assert plan["task"]["kind"] in tasks, name
            assert isinstance(part.tags[0], Tag)
