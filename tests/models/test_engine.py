"""Which engine is loaded, and what is said when there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backmix.errors import PlanError
from backmix.models import engine


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Set which engines are installed, what the environment says and what keras.json says."""

    def arrange(installed: set[str], *, asked: str | None = None, configured: object = None) -> None:
        monkeypatch.setattr(engine, "_installed", lambda name: name in installed)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
        if asked is not None:
            monkeypatch.setenv("KERAS_BACKEND", asked)
        if configured is not None:
            (tmp_path / "keras.json").write_text(json.dumps(configured))

    return arrange


def test_jax_is_preferred(world) -> None:
    world({"tensorflow", "torch", "jax"})
    assert engine.choose_engine() == "jax"


def test_environment_comes_first(world) -> None:
    world({"torch", "jax"}, asked="torch", configured={"backend": "jax"})
    assert engine.choose_engine() == "torch"


def test_settings_of_the_user_come_second(world) -> None:
    world({"torch", "jax"}, configured={"backend": "torch"})
    assert engine.choose_engine() == "torch"


@pytest.mark.parametrize("configured", [{"backend": "tensorflow"}, {"backend": 3}, [], "x"], ids=str)
def test_settings_that_keras_wrote_by_itself_do_not_count(world, configured: object) -> None:
    world({"jax"}, configured=configured)
    assert engine.choose_engine() == "jax"


@pytest.mark.parametrize(("installed", "asked", "message"), [
    (set(), None, "no engine for Keras is installed. Install one: pip install jax"),
    ({"jax"}, "torch", "KERAS_BACKEND names the engine 'torch', which is not installed. Install it, or unset "
                       "KERAS_BACKEND"),
    ({"jax"}, "numpy", "KERAS_BACKEND names 'numpy', with which a network cannot be trained here. "
                       "Use one of: jax, torch, tensorflow"),
])
def test_one_line_says_what_to_do(world, installed: set[str], asked: str | None, message: str) -> None:
    """`import keras` alone would die about TensorFlow."""
    world(installed, asked=asked)
    with pytest.raises(PlanError) as caught:
        engine.choose_engine()
    assert str(caught.value) == message
