"""The list of mutants fits the code: each can be planted. Whether tests notice them is what scripts/mutants finds out."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
NAMED = {
    "purge-takes-judging-rows",
    "spikes-see-one-future-row",
    "interval-without-the-factor-for-few-blocks",
    "a-pause-of-max-gap-ends-the-sequence",
    "same-is-five-percent",
    "step-tolerance-doubled",
    "teacher-forcing-at-zero",
    "frozen-one-row-early",
    "score-to-beat-without-its-square",
    "worst-quality-of-the-newest-row",
}
"""Mutants that once survived: they stay in the list, and must be killed."""


@pytest.fixture(scope="module")
def mutants() -> ModuleType:
    """`scripts/mutants.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "scripts" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def test_every_mutant_can_be_planted(mutants: ModuleType) -> None:
    """Its old text stands once in its file, what it makes of it is code, and its tests are there."""
    assert mutants.faults(mutants.read_list()) == []


def test_the_list_is_long_enough_and_few_may_survive(mutants: ModuleType) -> None:
    listed = mutants.read_list()
    assert len(listed) >= 70
    assert sum(not mutant.survives for mutant in listed) >= mutants.ENOUGH * len(listed)
    assert {mutant.id for mutant in listed if not mutant.survives} >= NAMED
    assert sum(mutant.native for mutant in listed) >= 6
    assert os.access(ROOT / "scripts" / "mutants", os.X_OK)


def test_a_stale_mutant_is_named(mutants: ModuleType, tmp_path: Path) -> None:
    good = mutants.Mutant("low", "a.py", "x = 1\n", "x = 2\n", ("test_a.py::test_x",))
    (tmp_path / "a.py").write_text("x = 1\ny = x\nz = x\n")
    (tmp_path / "test_a.py").write_text("def test_x(): ...")
    assert mutants.faults([good], tmp_path) == []
    assert mutants.planted(good, tmp_path) == "x = 2\ny = x\nz = x\n"
    for change, said in (
        ({"old": "x = 3\n"}, "low is stale: its old text stands 0 times in a.py, it must stand there once. Mend"),
        ({"old": "= x"}, "low is stale: its old text stands 2 times in a.py, it must stand there once. Mend"),
        ({"file": "b.py"}, "low is stale: its old text stands 0 times in b.py, it must stand there once. Mend"),
        ({"new": "x = 1\n"}, "low changes nothing"),
        ({"new": "x =\n"}, "low is no Python any more, which no test is needed to notice"),
        ({"tests": ("test_b.py",)}, "low: there is no test_b.py"),
        ({"tests": ("test_a.py::test_y",)}, "low: there is no test_a.py::test_y"),
    ):
        (found,) = mutants.faults([replace(good, **change)], tmp_path)
        assert found.startswith(said)
    assert mutants.faults([good, good], tmp_path) == ["two mutants are called low"]


def test_a_survivor_without_a_reason_is_told_apart(mutants: ModuleType) -> None:
    trials = [
        mutants.Trial("a", "a.py", "killed", 1.0, "test_a.py::test_x"),
        mutants.Trial("b", "a.py", "timeout", 1.0, "nothing for 240 s"),
        mutants.Trial("c", "a.py", "survived", 1.0),
        mutants.Trial("d", "a.py", "survived", 1.0, survives="equivalent because x is 1"),
    ]
    told = ["killed", "timeout", "SURVIVED", "survived as the list says"]
    assert [mutants.judged(trial) for trial in trials] == told
    assert mutants.summary(trials) == "2 of 4 mutants killed (50.0 %)"
    page = mutants.markdown(trials)
    assert "| d | a.py | survived as the list says | equivalent because x is 1 |" in page
