"""The example of a refit runs from its file, with fewer epochs and rounds than it would take (course item 89)."""

from __future__ import annotations

from pathlib import Path

import backmix
from backmix.training.plan import Plan

HERE = Path(__file__).parent.parent.parent / "examples"


def test_the_example_of_a_refit_plays_its_rounds(tmp_path: Path) -> None:
    path = HERE / "refit_cstr.toml"
    assert "backmix refit examples/refit_cstr.toml" in path.read_text("utf-8")
    plan = Plan.load(path).merged(
        {
            "training": {"epochs": 1},
            "model": {"units": [8]},
            "evaluation": {"resamples": 50},
            "refit": {"rounds": 1, "every": "2d"},
            "windows": {"lookback": "30min"},
        }
    )
    found = backmix.refit(plan, folder=tmp_path / "refit")
    (told,) = found.summary["rounds"]
    assert told["windows"] > 50
    assert told["baseline_name"] in ("last_value", "ridge")
    assert told["decision"]["growth"] is not None
    assert found.summary["settings"]["label_delay_rows"] == 15
    assert found.report_path().stat().st_size > 10_000
