"""The templates of docs/parts.md run as they stand, and keep the laws of their kind."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest

import laws.test_part_laws as laws
import laws.test_simple_laws as simple_laws
from backmix.data.plants import plants, simulate
from backmix.data.sets import sets
from backmix.data.sources import sources
from backmix.models.cells import cells
from backmix.models.heads import heads
from backmix.models.losses import losses
from backmix.registry import Registry
from backmix.report.figures import NARROW, figures
from backmix.results.run import Run
from backmix.scoring.metrics import metrics
from backmix.serving.exporters import exporters
from backmix.simple import simple_models
from backmix.tasks import tasks
from backmix.workflow import fit
from reports import numbers
from small import small_plan
from task_laws import check_baseline, check_decoding, check_names, check_whole_way, prepare_small

PAGE = Path(__file__).parent.parent.parent / "docs" / "parts.md"
TEMPLATES = dict(re.findall(r"^## (.+?)\n.*?```python\n(.*?)```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
KINDS: tuple[Registry, ...] = (sources, sets, plants, cells, heads, tasks, simple_models, metrics, figures, exporters)


@pytest.fixture(autouse=True)
def _only_here() -> Iterator[None]:
    """Whatever a template registers is gone after its test."""
    kept = [(kind, {name: kind.get(name) for name in kind.names()}) for kind in KINDS]
    yield
    for kind, parts in kept:
        kind._parts.clear()
        kind._parts.update(parts)


def register(title: str) -> ModuleType:
    """Run the template of a section as the module that it would be."""
    module = ModuleType(f"template_{re.sub(r'[^a-z]+', '_', title.lower())}")
    sys.modules[module.__name__] = module
    exec(compile(TEMPLATES[title], f"docs/parts.md, {title}", "exec"), module.__dict__)  # noqa: S102
    return module


def test_every_kind_of_part_has_a_template() -> None:
    listed = re.findall(r"^\| \[.+?\]\(#(.+?)\)", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(listed) >= 8
    assert {title.lower().replace(" ", "-") for title in TEMPLATES} == set(listed)


def test_a_source(tmp_path: Path) -> None:
    register("A source")
    laws.test_a_source_takes_its_own_files_only("json_lines")
    laws.test_a_source_gives_the_table_that_went_in("json_lines", tmp_path)


def test_a_data_set() -> None:
    register("A data set")
    assert sets.get("pump").title == {"en": "pump bearing", "zh_TW": "泵軸承"}
    assert sets.get("pump").tags[2].description == "bearing temperature"
    laws.test_every_set_and_plant_serves_a_task_that_exists()


def test_a_plant(tmp_path: Path) -> None:
    register("A plant")
    laws.test_every_set_and_plant_serves_a_task_that_exists()
    one, other = simulate("tank", seed=3, rows=200), simulate("tank", seed=3, rows=200)
    np.testing.assert_array_equal(one.table.values, other.table.values)
    plan = small_plan(**simulate("tank").plans["soft_sensor"])
    assert fit(None, plan, folder=tmp_path / "run", quiet=True).summary["judgement"]["outcome"]


def test_a_cell(tmp_path: Path) -> None:
    register("A cell")
    laws.test_a_cell_is_one_layer_with_the_weights_it_declares("min_gru")
    laws.test_the_layer_of_a_cell_is_its_step_row_after_row("min_gru")
    laws.test_what_a_cell_has_learned_runs_from_its_bundle_or_is_refused_before("min_gru", tmp_path)


def test_a_cell_that_only_keras_can_run_is_refused_by_the_light_runtime(tmp_path: Path) -> None:
    register("A cell").MinGru.light = False
    laws.test_what_a_cell_has_learned_runs_from_its_bundle_or_is_refused_before("min_gru", tmp_path)


def test_a_cell_that_declares_other_weights_is_refused_before_training(tmp_path: Path) -> None:
    from backmix.errors import PlanError

    register("A cell").MinGru.weights = staticmethod(lambda inputs, units, *, reset_after=True: {"w": (inputs, units)})
    plan = small_plan(model={"cell": "min_gru"})
    with pytest.raises(PlanError, match="the layer has recurrent_1/bias with shape"):
        fit(laws.NUMBERS, plan, folder=tmp_path / "run", quiet=True)


def test_a_head() -> None:
    register("A head")
    assert any(heads.get("pair").kind in loss.kinds for _, loss in losses)


def test_a_task(tmp_path: Path) -> None:
    register("A task")
    found = prepare_small("magnitude")
    check_names("magnitude", found)
    check_decoding(found)
    for baseline in found.task.judging.baselines:
        check_baseline(baseline, found)
    assert check_whole_way("magnitude", tmp_path / "run")
    assert "標記為以 10 為底的對數" in (tmp_path / "run" / "report.zh_TW.html").read_text("utf-8")


def test_a_simple_model() -> None:
    register("A simple model")
    for law in (
        simple_laws.test_it_says_numbers_of_every_window_and_why,
        simple_laws.test_the_same_seed_gives_the_same_bits,
        simple_laws.test_rows_of_the_test_part_change_nothing,
        simple_laws.test_labels_of_a_block_do_not_reach_what_is_said_of_it,
        simple_laws.test_as_a_member_it_says_the_same,
        simple_laws.test_the_order_of_the_input_columns_changes_nothing,
    ):
        law("robust")
    for odd in ("constant", "few"):
        simple_laws.test_windows_that_teach_nothing_are_refused_with_a_reason_or_answered("robust", odd)
    assert simple_models.title("robust", "zh_TW") == "穩健迴歸"


def test_a_metric() -> None:
    register("A metric")
    laws.test_a_metric_scores_a_perfect_prediction_best("median_error")


def test_a_figure() -> None:
    register("A figure")
    drawn = figures.get("error_by_hour")(numbers(), NARROW)
    assert drawn is not None
    assert ElementTree.fromstring(drawn.svg).attrib["role"] == "img"  # noqa: S314
    assert drawn.caption()


def test_an_exporter(sensor_run: Run, tmp_path: Path) -> None:
    register("An exporter")
    path = tmp_path / "model.shapes"
    exporters.get("shapes").write(sensor_run.bundle, path)
    assert "recurrent_1/kernel 3 x 12" in path.read_text()
