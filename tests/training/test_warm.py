"""Warm starts: what is kept of the old model, what is refused, and that training cannot make it worse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import children
from backmix.data.tag import Tag
from backmix.errors import BundleError, InputError, LeakageError, PlanError, TrainingError
from backmix.results.run import Run
from backmix.serving.bundle import Bundle
from backmix.training.fitting.warm import GENTLE, Period
from backmix.workflow import fit
from small import small_plan, small_table

OLD_ROWS = 420


def later(rows: int = 420, seed: int = 1, **shift: Any) -> Any:
    """The small plant in the time behind `sensor_run`'s table."""
    table = small_table(rows, seed=seed)
    assert table.time is not None
    return replace(table, time=table.time + np.timedelta64(OLD_ROWS * 60, "s"), source="later", **shift)


def plan_from(run: Run, **changes: Any) -> Any:
    training = {"warm_start": str(run.bundle_path), "batch_size": 32} | changes.pop("training", {})
    plan = small_plan(**changes).to_dict()
    plan["training"] = training
    plan.pop("model", None)
    return small_plan().check(plan | {key: value for key, value in changes.items() if key != "training"})


@pytest.fixture(scope="module")
def warm(sensor_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(
        later(),
        plan_from(sensor_run, training={"epochs": 3}),
        folder=tmp_path_factory.mktemp("warm") / "run",
        quiet=True,
    )


def test_a_training_that_learns_nothing_is_the_old_model(sensor_run: Run, tmp_path: Path) -> None:
    """Course item 89: nothing improves, so the weights that training began with are kept, bit for bit."""
    run = fit(
        later(),
        plan_from(sensor_run, training={"epochs": 2, "learning_rate": 1e-30}),
        folder=tmp_path / "run",
        quiet=True,
    )
    assert run.summary["best_epoch"] == 0
    one, _ = sensor_run.bundle.predict(later())
    two, _ = run.bundle.predict(later())
    np.testing.assert_array_equal(one["prediction"], two["prediction"])


def test_the_first_weights_are_measured_on_all_of_the_validation_part(
    sensor_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several validation batches: training takes several steps per call, the first measure must not."""
    from backmix.training.fitting import fit as module

    monkeypatch.setattr(module, "CHECK_BATCH", 32)
    run = fit(
        later(),
        plan_from(sensor_run, training={"epochs": 2, "learning_rate": 1e-30}),
        folder=tmp_path / "run",
        quiet=True,
    )
    assert run.summary["best_epoch"] == 0


def test_a_training_that_only_harms_is_the_old_model_too(sensor_run: Run, tmp_path: Path) -> None:
    run = fit(
        later(),
        plan_from(sensor_run, training={"epochs": 2, "learning_rate": 5.0}),
        folder=tmp_path / "run",
        quiet=True,
    )
    assert run.summary["best_epoch"] == 0
    for name, array in sensor_run.bundle.weights.items():
        np.testing.assert_array_equal(run.bundle.weights[name], array)


def test_scalers_rules_and_network_are_kept_and_the_same_start_gives_the_same_run(
    sensor_run: Run, warm: Run, tmp_path: Path
) -> None:
    """Course item 89: weights mean nothing under other scalers."""
    old, new = sensor_run.bundle, warm.bundle
    assert new.architecture == old.architecture
    for part in ("scaler", "target_scaler", "repair", "inputs"):
        assert new.preprocessing.to_dict()[part] == old.preprocessing.to_dict()[part]
    assert warm.summary["best_epoch"] > 0
    assert any((new.weights[name] != array).any() for name, array in old.weights.items())
    again = fit(later(), plan_from(sensor_run, training={"epochs": 3}), folder=tmp_path / "again", quiet=True)
    assert again.predictions.equals(warm.predictions)


def test_the_report_says_what_was_kept_and_what_was_chosen(sensor_run: Run, tmp_path: Path) -> None:
    run = fit(later(), plan_from(sensor_run, training={"patience": 1}), folder=tmp_path / "run", quiet=True)
    decisions = {decision["setting"]: decision for decision in run.summary["choices"]}
    assert decisions["training.warm_start"]["reason_key"] == "warm.kept"
    assert decisions["training.learning_rate"]["value"] == pytest.approx(GENTLE * 1e-3)
    assert decisions["training.epochs"]["value"] == 100
    scaler = next(line for line in run.summary["leakage"] if line["name"] == "scaler")
    assert scaler["passed"] is True
    assert "an earlier model, which learned from 2026-03-01T00:00:00 to 2026-03-01T05:" in scaler["text"]["en"]
    assert "not from this training part" in run.report_path().read_text("utf-8")


def test_a_bundle_knows_when_it_learned_and_passes_it_on(sensor_run: Run, warm: Run, tmp_path: Path) -> None:
    period = sensor_run.bundle.period
    assert period is not None
    assert period.first == "2026-03-01T00:00:00"
    assert "2026-03-01T05:20" < period.last < "2026-03-01T05:36"  # row 336 of 420 is the first of the test part
    longer = Bundle.load(warm.save(tmp_path / "warm.backmix")).period
    assert longer is not None
    assert longer.first == period.first
    assert longer.last > period.last


@pytest.mark.parametrize(
    "told", [{"first": "NaT", "last": "NaT"}, {"first": "2026-03-01"}, {"first": 1, "last": "x"}, "2026"]
)
def test_a_bundle_that_lies_about_when_it_learned_is_not_opened(sensor_run: Run, told: Any, tmp_path: Path) -> None:
    """A time that compares with nothing would let every test part pass."""
    bundle = sensor_run.bundle
    path = replace(bundle, scores={**bundle.scores, "trained_on": told}).save(tmp_path / "lying.backmix")
    with pytest.raises(BundleError, match=r"lying.backmix — scores.json is not what a bundle holds"):
        Bundle.load(path)


def test_a_test_part_that_the_old_model_has_learned_from_is_refused(sensor_run: Run, tmp_path: Path) -> None:
    """Trap P: the scalers and the weights would have seen what is judged."""
    with pytest.raises(LeakageError, match=r"has learned from 2026-03-01T00:00:00 to .* it would be judged on what it"):
        fit(
            small_table(),
            plan_from(sensor_run, split={"train": 0.3, "validation": 0.3, "test": 0.4}),
            folder=tmp_path / "run",
            quiet=True,
        )
    assert not (tmp_path / "run").exists()


def test_without_a_clock_the_report_says_that_it_could_not_be_checked(tmp_path: Path) -> None:
    table = replace(small_table(), time=None)
    first = fit(table, small_plan(), folder=tmp_path / "first", quiet=True)
    assert first.summary["trained_on"] is None
    second = fit(table, plan_from(first, training={"epochs": 1}), folder=tmp_path / "second", quiet=True)
    scaler = next(line for line in second.summary["leakage"] if line["name"] == "scaler")
    assert scaler["passed"] is None
    assert "it cannot be checked" in scaler["text"]["en"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"units": [8]}}, r"\[model\] units is \(8,\) in the plan and \(4,\) in .*model.backmix"),
        ({"model": {"cell": "lstm"}}, r"\[model\] cell is lstm in the plan and gru"),
        ({"windows": {"lookback": 9}}, r"windows with lookback 9, the model in .* was trained with 6"),
        ({"windows": {"lookback": 6, "horizon": 2}}, "windows with horizon 2, the model in"),
        ({"repair": {"clamp": False}}, r"\[repair.clamp\] is False in the plan and True"),
        ({"scaling": {"inputs": "robust"}}, r"\[scaling.inputs\] is robust in the plan and standard"),
        ({"task": {"kind": "soft_sensor", "target": "P103"}}, "asks for soft_sensor P103, the model in"),
    ],
)
def test_another_model_is_refused_with_the_difference(
    sensor_run: Run, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(PlanError, match=message):
        fit(later(), plan_from(sensor_run, **changes), folder=tmp_path / "run", quiet=True)


def test_other_tags_are_refused(sensor_run: Run, tmp_path: Path) -> None:
    table = later()
    more = replace(table, values=np.column_stack([table.values, table.values[:, 0]]), tags=(*table.tags, Tag("T999")))
    with pytest.raises(InputError, match=r"unknown to the model in .*: T999\. .*role = \"ignored\""):
        fit(more, plan_from(sensor_run), folder=tmp_path / "run", quiet=True)
    with pytest.raises(InputError, match="F102"):
        fit(table.select(["T101", "P103", "quality"]), plan_from(sensor_run), folder=tmp_path / "run", quiet=True)
    other = table.retag({"T101": replace(table.tag("T101"), unit="K")})
    with pytest.raises(InputError, match="degC"):
        fit(other, plan_from(sensor_run), folder=tmp_path / "run", quiet=True)


def test_a_resumed_training_asks_for_the_same_start(sensor_run: Run, warm: Run, tmp_path: Path) -> None:
    from backmix.training.design import design
    from backmix.training.fitting.fit import fit_network
    from backmix.training.prepare import prepare
    from small import reading

    start = sensor_run.bundle.start("old")
    plan = plan_from(sensor_run, training={"epochs": 1})
    prepared = prepare(reading(later()), plan, start=start)
    settings = design(prepared).settings
    fit_network(start.architecture, *prepared.training_samples, settings=settings, folder=tmp_path, start=start)
    with pytest.raises(TrainingError, match="holds a training of other data or settings"):
        fit_network(
            start.architecture,
            *prepared.training_samples,
            settings=settings,
            folder=tmp_path,
            start=warm.bundle.start("new"),
        )


def test_the_command_takes_a_bundle(sensor_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later().to_frame().to_csv(tmp_path / "later.csv")
    plan = plan_from(sensor_run, training={"epochs": 1}).to_dict()
    del plan["training"]["warm_start"]
    plan["data"] = {"file": "later.csv", "tags": [{"name": tag.name, "unit": tag.unit} for tag in later().tags]}
    (tmp_path / "plan.toml").write_text(small_plan().check(plan).to_toml())
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "plan.toml", "--warm-start", str(sensor_run.bundle_path), "--folder", "run", "--json"]
    done = children.start(f"from backmix.app.main import main\nmain({arguments!r})")
    out, err = done.communicate()
    assert done.returncode == 0, err + out
    assert any(decision["setting"] == "training.warm_start" for decision in json.loads(out)["choices"])


def test_periods_meet_when_they_share_a_moment() -> None:
    spring = Period("2026-03-01T00:00:00", "2026-06-01T00:00:00")
    assert spring.meets(Period("2026-06-01T00:00:00", "2026-07-01T00:00:00"))
    assert not spring.meets(Period("2026-06-01T00:00:01", "2026-07-01T00:00:00"))
