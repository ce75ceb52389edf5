"""The plan: TOML there and back, all faults at once with line and hint, JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from backmix.errors import PlanError
from backmix.text import speak
from backmix.training.plan import Plan, PlanFaults, json_schema

SOUND = """
online = true

[data]
plant = "cstr"

[task]
kind = "soft_sensor"
target = "C_A"
past_targets = { delay = "2h", count = 3 }

[windows]
lookback = "90min"

[model]
cell = "gru"
units = [24, 12]

[training]
epochs = 7
"""


def test_a_plan_survives_toml_and_back() -> None:
    plan = Plan.parse(SOUND)
    assert Plan.parse(plan.to_toml()) == plan
    assert plan.model.units == (24, 12)
    assert str(plan.windows.lookback) == "90min"


def test_defaults_stand_in_one_place_only() -> None:
    plan = Plan.parse(SOUND)
    assert "patience" not in plan.to_toml()
    assert plan.training.patience == type(plan.training)().patience


def test_all_faults_are_reported_at_once_with_line_and_hint() -> None:
    text = """[data]
plant = "cstr"
[task]
kind = "soft_sensr"
target = "y"
[windows]
lookbak = 10
stride = "fast"
[training]
epochs = "many"
optimizer = "adm"
"""
    with pytest.raises(PlanFaults) as caught:
        Plan.parse(text, where="plan.toml")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.faults) == 5
    assert lines[0].startswith(
        "plan.toml: line 3: [task] — there is no 'soft_sensr' among the tasks. Did you mean 'soft_sensor'?"
    )
    assert "plan.toml: line 7: [windows] lookbak — unknown key. Did you mean 'lookback'?" in str(caught.value)
    assert "line 8: [windows] stride — duration 'fast' cannot be read." in str(caught.value)
    assert "line 10: [training] epochs — got 'many', wanted a whole number" in str(caught.value)
    assert (
        "line 11: [training] optimizer — 'adm' is not allowed here. Choose one of: 'adam', 'rmsprop', 'sgd'. "
        "Did you mean 'adam'?"
    ) in str(caught.value)


def test_faults_read_in_chinese_too() -> None:
    with speak("zh_TW"):
        with pytest.raises(PlanFaults) as caught:
            Plan.parse("[windows]\nlookbak = 1\n", where="計畫.toml")
        assert str(caught.value).startswith("計畫.toml: 第 2 行：[windows] lookbak — 不認得這個鍵。是否為 'lookback'？")


def test_a_plan_without_a_task_is_refused_when_it_is_needed() -> None:
    with pytest.raises(
        PlanError,
        match=r"^the plan has no \[task\] section\. Add: \[task\] kind = one of (\w+, )*"
        r"fault_diagnosis, (\w+, )*soft_sensor, target = \"\.\.\.\"$",
    ):
        _ = Plan().the_task


def test_looking_ahead_is_refused_for_a_live_model() -> None:
    with pytest.raises(PlanFaults, match=r'\[repair\] fill = "interpolate" looks ahead'):
        Plan.check({"repair": {"fill": "interpolate"}})
    assert not Plan.check({"repair": {"fill": "interpolate"}, "online": False}).online


def test_a_network_that_runs_both_ways_is_refused_for_a_live_model() -> None:
    """Course item 87, trap M: no state can be carried from row to row when the backward pass changes whole."""
    both = {"model": {"bidirectional": True}}
    with pytest.raises(PlanFaults, match=r"\[model\] bidirectional = true cannot be stepped: .* or online = false"):
        Plan.check(both)
    assert Plan.check({**both, "online": False}).model.bidirectional


def test_a_label_delay_is_mandatory_and_never_zero() -> None:
    """Row 25: past targets need the time from sampling to report."""
    base = {"data": {"plant": "cstr"}, "task": {"kind": "soft_sensor", "target": "y", "past_targets": {}}}
    with pytest.raises(PlanFaults, match=r"past_targets\.delay|past_targets"):
        Plan.check(base)
    base["task"]["past_targets"] = {"delay": 0}
    with pytest.raises(PlanFaults, match="a laboratory value is never known at the moment it is sampled"):
        Plan.check(base)


def test_files_that_are_no_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"the plan cannot be opened: No such file or directory"):
        Plan.load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[data\nfile = 3")
    with pytest.raises(PlanError, match=r"broken\.toml — this is not valid TOML"):
        Plan.load(broken)
    broken.write_bytes("目標 = 1".encode("cp950"))
    with pytest.raises(PlanError, match=r"byte 0 is not UTF-8\. Save the plan as UTF-8"):
        Plan.load(broken)
    broken.write_bytes(b"# " + b"x" * 1_000_001)
    with pytest.raises(PlanError, match=r"a plan of more than 1000000 bytes is not read"):
        Plan.load(broken)
    broken.write_text("x = " + "[" * 100_000)
    with pytest.raises(PlanError, match=r"this is not valid TOML"):
        Plan.load(broken)


def test_the_schema_accepts_what_the_plan_accepts_and_refuses_what_it_refuses() -> None:
    schema = json_schema()
    json.dumps(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    assert check.is_valid(Plan.parse(SOUND).to_dict())
    assert not check.is_valid({"windows": {"lookbak": 1}})
    assert not check.is_valid({"task": {"kind": "magic", "target": "y"}})
