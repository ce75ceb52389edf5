"""What a new part costs: one file. Once registered it stands in plans, commands, scores and reports by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from backmix.app.main import main
from backmix.data.plants import Plant, Simulation, plants
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.sets import sets
from backmix.data.sources import ReadPlan, Source, read, sources
from backmix.data.table import Table
from backmix.data.windows.windows import Windows
from backmix.decision import Decision
from backmix.errors import BundleError, PlanError
from backmix.models.cells import LayerSettings, cells, common
from backmix.models.cells.simple_rnn import SimpleRnn
from backmix.models.engine import use_engine
from backmix.models.members.views import View, views
from backmix.registry import Registry
from backmix.scoring.metrics import Values, Weights, metric, metrics
from backmix.scoring.predictions import Sample
from backmix.serving.bundle import Bundle
from backmix.serving.exporters import Exporter, exporters
from backmix.simple import Fitted, SimpleEntry, learned, simple_model, simple_models
from backmix.simple.constants import Constant
from backmix.simple.flat import crossed, linear
from backmix.simple.forms import FlatView
from backmix.simple.trial import Trial
from backmix.tasks import Classification, Outcome, Regression, TaskPlan, tasks
from backmix.tasks.shared.classes import ClassAnswer, ClassTarget
from backmix.tasks.shared.numbers import NumericJudging, NumericPresentation
from backmix.tasks.soft_sensor import SoftSensor
from backmix.text import Sentence
from backmix.training.plan import Plan, json_schema
from backmix.workflow import fit
from small import small_plan, small_table
from task_laws import check_baseline, check_decoding, check_names, check_whole_way, prepare_small

KINDS: tuple[Registry[Any], ...] = (sources, sets, plants, cells, tasks, metrics, simple_models, exporters, views)


@pytest.fixture(autouse=True)
def _parts_of_this_test_only() -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    kept = [(kind, {name: kind.get(name) for name in kind.names()}) for kind in KINDS]
    yield
    for kind, parts in kept:
        kind._parts.clear()
        kind._parts.update(parts)
        kind._filled = True


# A task of one page: a soft sensor that is judged by its median error.


class LevelPlan(TaskPlan):
    """``[task]`` of the level task."""

    kind: Literal["level"] = "level"


class LevelJudging(NumericJudging):
    """The error in the middle."""

    metrics = ("median_error", "rmse")
    baselines = ("median", "mean")


class LevelPresentation(NumericPresentation):
    """The figures of all numbers, with a remark."""

    def remarks(self, train: Windows) -> tuple[Decision, ...]:
        return (Decision(len(train), "tasks.level.taught", {"windows": len(train)}, setting="task.target"),)


class Level(Regression):
    """A soft sensor that is judged by its median error."""

    Settings = LevelPlan
    Judging = LevelJudging
    Presentation = LevelPresentation


TITLE: Sentence = {"en": "tank level", "zh_TW": "槽液位"}
MEDIAN: Sentence = {"en": "median error", "zh_TW": "誤差中位數"}
TAUGHT: Sentence = {"en": "taught by {windows} windows", "zh_TW": "以 {windows} 個視窗訓練"}


# A task with labels and an answer of its own, called so that it comes first: whether a value lies above a limit.


class AbovePlan(TaskPlan):
    """``[task]`` of the limit task."""

    kind: Literal["above"] = "above"
    target: str
    limit: float = 0.5


class AboveTarget(ClassTarget):
    """Two classes, made of a number."""

    settings: AbovePlan

    def adapt(self, table: Table) -> Table:
        tag, values = table.tag(self.settings.target), table.column(self.settings.target)
        above = np.where(np.isfinite(values), values > self.settings.limit, np.nan)
        return table.with_columns([replace(tag, role="target", categories=("below", "above"))], above)


class AboveAnswer(ClassAnswer):
    """Never quite sure."""

    def decode(self, outputs: Any, windows: Windows) -> Outcome:
        sure = super().decode(outputs, windows).probabilities
        assert sure is not None
        return Outcome(probabilities=0.9 * sure + 0.05)


class Above(Classification):
    """Whether a value lies above a limit."""

    Settings = AbovePlan
    Target = AboveTarget
    Answer = AboveAnswer


def median_error(sample: Sample, weights: Weights) -> Values:
    """Median of the absolute error."""
    return np.full(len(weights), np.median(np.abs(sample.prediction - sample.truth)))


def fit_median(trial: Trial) -> Fitted:
    """The median of the training targets."""
    return learned(trial, lambda sample: Constant(values=np.median(sample.windows.truth(), axis=0)))


class Bounded(SimpleRnn):
    """A plain cell under another name."""

    @staticmethod
    def layer(units: int, settings: LayerSettings) -> Any:
        return use_engine().layers.SimpleRNN(**common(units, settings))


def run_command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


def test_a_task_a_metric_a_baseline_and_a_cell_go_through_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the plan to the report and the bundle, in both languages, without a line elsewhere."""
    tasks.register("level", title=TITLE, sentences={"taught": TAUGHT})(Level)
    metric("median_error", title=MEDIAN, better="lower", unit="target", kind="regression")(median_error)
    simple_model("median", "regression")(fit_median)
    cells.register("bounded", title={"en": "bounded cell", "zh_TW": "有界單元"})(Bounded)

    plan = small_plan(task={"kind": "level"}, model={"cell": "bounded"}, evaluation={"baselines": None})
    assert Plan.parse(plan.to_toml()) == plan
    assert {"$ref": "#/$defs/LevelPlan"} in json_schema()["properties"]["task"]["oneOf"]
    run = fit(small_table(), plan, folder=tmp_path / "run", quiet=True)
    assert run.summary["network"] == "bounded"
    assert {"median", "mean", "bounded"} == {row["model"] for row in run.summary["scores"]}
    assert run.summary["judgement"]["metric"] == "median_error"
    for lang, *spoken in (
        ("en", "tank level", "taught by", "median error", "bounded cell"),
        ("zh_TW", "槽液位", "個視窗訓練", "誤差中位數", "有界單元"),
    ):
        page = (run.folder / f"report.{lang}.html").read_text("utf-8")
        assert [word for word in (*spoken, "median") if word not in page] == []
        assert run_command("--lang", lang, "show", str(run.bundle_path)) == 0
    again = Bundle.load(run.bundle_path)
    assert isinstance(again.preprocessing.task, Level)
    assert again.predict(small_table())[0].equals(run.bundle.predict(small_table())[0])
    assert run_command("schema") == 0
    assert "LevelPlan" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "light"), [("level", True), ("above", False)])
def test_a_new_task_keeps_the_laws_of_all_tasks(name: str, light: bool, tmp_path: Path) -> None:
    """Without a line elsewhere; an answer that only the task itself can decode is refused by the light runtime."""
    tasks.register("level", title=TITLE, sentences={"taught": TAUGHT})(Level)
    tasks.register("above", title={"en": "above a limit", "zh_TW": "高於上限"})(Above)
    metric("median_error", better="lower", unit="target", kind="regression")(median_error)
    simple_model("median", "regression")(fit_median)
    found = prepare_small(name)
    check_names(name, found)
    check_decoding(found)
    for baseline in found.task.judging.baselines:
        check_baseline(baseline, found)
    assert check_whole_way(name, tmp_path / "run") == light


def test_what_a_task_says_is_said_in_every_language() -> None:
    with pytest.raises(ValueError, match=r"tasks\.level is given in en: give it in en, zh_TW"):
        tasks.register("level", title={"en": "level"})(Level)
    tasks.register("untitled")(Level)
    assert tasks.title("untitled", "zh_TW") == "untitled"


def test_a_task_that_is_not_installed_here_is_named(tmp_path: Path) -> None:
    """Trap V: a bundle with a part of another distribution, opened where that is missing, is no traceback."""
    tasks.register("level", sentences={"taught": TAUGHT})(Level)
    metric("median_error", better="lower", unit="target", kind="regression")(median_error)
    run = fit(
        small_table(),
        small_plan(task={"kind": "level"}, evaluation={"baselines": ["mean"]}),
        folder=tmp_path / "run",
        quiet=True,
    )
    del tasks._parts["level"]
    with pytest.raises(PlanError, match="level"):
        Plan.load(run.folder / "plan.toml")
    with pytest.raises(BundleError, match=r"recipe\.json is not what a bundle holds"):
        Bundle.load(run.bundle_path)


def test_a_source_reads_its_suffix(tmp_path: Path) -> None:
    def read_words(plan: ReadPlan, path: Path) -> RawTable:
        """One number a line."""
        values = np.array([float(line) for line in path.read_text().split()])
        return RawTable((RawColumn("T101", numbers=values),), len(values), path.name, lambda row: row + 1)

    sources.register("words")(Source("words", read_words, suffixes=(".words",)))
    (tmp_path / "plant.words").write_text("1 2 3.5")
    table = read(ReadPlan(file="plant.words"), base=tmp_path).table
    assert table.column("T101").tolist() == [1, 2, 3.5]


def test_a_plant_and_a_set_stand_in_the_list_and_can_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also without a sentence in our catalogue, as parts of other distributions are."""
    plan = small_plan(data={"plant": "tiny"}, training={"epochs": 1}).to_dict()

    @dataclass(frozen=True)
    class Settings:
        """Nothing can be set."""

    def run(seed: int, settings: Settings) -> Simulation:
        """The small plant."""
        return Simulation(small_table(seed=seed), {}, {"soft_sensor": plan})

    plants.register("tiny")(Plant("tiny", Settings, (), lambda seed, settings: {"soft_sensor": plan}, run))
    sets.register("tiny_set")(
        replace(
            sets.get("debutanizer"),
            name="tiny_set",
            files=(),
            plans={"A": plan},
            read=lambda paths, protocol: small_table(),
        )
    )
    monkeypatch.chdir(tmp_path)
    assert run_command("data", "list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["tiny"]["title"] == "tiny"
    assert rows["tiny_set"]["protocols"] == "A"
    assert run_command("data", "get", "tiny_set", "--out", "tiny.csv") == 0
    assert run_command("demo", "tiny") == 0
    assert "runs/demo-tiny/report.en.html" in capsys.readouterr().out


def test_an_exporter_is_a_choice_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Names(Exporter):
        """The names of the inputs."""

        suffix = ".names"

        def write(self, bundle: Bundle, path: Path) -> None:
            path.write_text(" ".join(bundle.preprocessing.spec.inputs))

    exporters.register("names")(Names())
    run = fit(small_table(), small_plan(training={"epochs": 1}), folder=tmp_path / "run", quiet=True)
    assert run_command("export", str(run.bundle_path), "--to", "names") == 0
    assert run.bundle_path.with_suffix(".names").read_text() == "F102 P103 T101"
    capsys.readouterr()
    assert run_command("export", str(run.bundle_path), "--to", "nams") == 2
    assert "names" in capsys.readouterr().err


class _Point:
    """An entry point of another distribution."""

    def __init__(self, name: str, part: Any) -> None:
        self.name = name
        self._part = part

    def load(self) -> Any:
        return self._part


def test_parts_of_other_distributions_come_through_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = {
        "backmix.simple_models": [_Point("median", SimpleEntry(fit_median, "regression"))],
        "backmix.cells": [_Point("bounded", Bounded)],
        "backmix.tasks": [_Point("level", Level), _Point("soft_sensor", Level)],
    }
    monkeypatch.setattr("backmix.registry.entry_points", lambda *, group: offered.get(group, []))
    for kind in (simple_models, cells, tasks):
        kind._filled = False
    assert tasks.get("soft_sensor") is SoftSensor, "nothing of our own is replaced from outside"
    metric("median_error", better="lower", unit="target", kind="regression")(median_error)
    plan = small_plan(task={"kind": "level"}, model={"cell": "bounded"}, evaluation={"baselines": ["median"]})
    run = fit(small_table(), plan, folder=tmp_path / "run", quiet=True)
    assert {"median", "bounded"} == {row["model"] for row in run.summary["scores"]}


def test_two_parts_of_one_name_are_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="two simple_models are named 'mean'"):
        simple_model("mean", "regression")(fit_median)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(PlanError, match="lstm"):
        cells.get("lsmt")


def test_a_new_simple_model_stands_beside_and_in_every_ensemble_and_its_view_in_the_bundle(tmp_path: Path) -> None:
    """One fit is the baseline and the member, under the name that the file gives it."""

    class Newest(View):
        """The newest row alone."""

        def width(self, steps: int | None, features: int) -> int:
            return features

        def rows(self, x: Any, mask: Any) -> Any:
            return x[:, -1]

    views.register("newest")(Newest())
    fits = []

    @simple_model("oracle", "regression", member=True)
    def fit_oracle(trial: Trial) -> Fitted:
        """What nobody can know while a block is held out: its weight shows that it was heard."""
        fits.append(len(trial.folds))
        form = FlatView.of(trial.final.base, "newest")
        model = linear(trial, "oracle", form, np.zeros((3, 1)), np.zeros(1))
        found = crossed(trial, [model] * len(trial.folds), model)
        return replace(found, out_of_fold=tuple(trial.targets(fold.held_out) for fold in trial.folds))

    plan = small_plan().merged(
        {"model": {"recipe": "auto", "members": 3}, "evaluation": {"baselines": ["oracle", "mean"]}}
    )
    run = fit(small_table(), plan, folder=tmp_path / "run", quiet=True)
    assert fits == [3]
    assert {"oracle", "mean", "ensemble"} <= {row["model"] for row in run.summary["scores"]}
    (told,) = [decision["value"] for decision in run.summary["choices"] if decision["setting"] == "model.beside"]
    assert told == "oracle 1.00"
    assert [part[:2] for part in run.bundle.composition.simple_members] == [("oracle", "newest")]  # type: ignore[union-attr]
    with pytest.raises(PlanError, match="oracle answers another kind"):
        fit(
            small_table(classes=True),
            small_plan(classes=True).merged({"model": {"recipe": "auto", "members": 3, "beside": ["oracle"]}}),
            folder=tmp_path / "classes",
            quiet=True,
        )
