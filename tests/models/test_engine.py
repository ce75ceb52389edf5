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


@pytest.mark.parametrize(
    ("installed", "asked", "message"),
    [
        (set(), None, "no engine for Keras is installed. Install one: pip install jax"),
        (
            {"jax"},
            "torch",
            "KERAS_BACKEND names the engine 'torch', which is not installed. Install it, or unset KERAS_BACKEND",
        ),
        (
            {"jax"},
            "numpy",
            "KERAS_BACKEND names 'numpy', with which a network cannot be trained here. "
            "Use one of: jax, torch, tensorflow",
        ),
    ],
)
def test_one_line_says_what_to_do(world, installed: set[str], asked: str | None, message: str) -> None:
    """`import keras` alone would die about TensorFlow."""
    world(installed, asked=asked)
    with pytest.raises(PlanError) as caught:
        engine.choose_engine()
    assert str(caught.value) == message


def test_programs_are_compiled_once_inside_a_block_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    import jax
    import jax.numpy as jnp

    from backmix.models.engine import ALWAYS, compiling_once

    kept_by_others = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    before = {name: getattr(jax.config, name) for name in (*ALWAYS, "jax_compilation_cache_dir")}

    def program(x: jax.Array) -> jax.Array:
        return jnp.tanh(x) * 3.25

    with compiling_once():
        folder = Path(jax.config.jax_compilation_cache_dir)
        first = jax.jit(program)(jnp.ones(7))
        kept = sorted(path.name for path in folder.iterdir())
        again = jax.jit(lambda x: program(x))(jnp.ones(7))
        with compiling_once():  # of a block in a block the outer one serves
            assert Path(jax.config.jax_compilation_cache_dir) == folder
    assert kept
    assert bool((first == again).all())
    assert not folder.exists()
    assert before == {name: getattr(jax.config, name) for name in before}
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    with compiling_once():
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    jax.config.update("jax_compilation_cache_dir", kept_by_others)
