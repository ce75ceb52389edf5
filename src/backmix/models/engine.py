"""The numerical engine below Keras.

This module loads Keras on an engine that is really installed. `import keras` alone falls back to
TensorFlow and dies about it when only JAX is there; `use_engine` looks first, and says in one line
what to install when nothing is found.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from backmix.errors import PlanError

ALWAYS = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": -1}
"""JAX's settings for keeping every program."""
CACHE = "jax_compilation_cache_dir"
"""JAX's setting for the folder of compiled programs."""
ENGINES = ("jax", "torch", "tensorflow")
"""The engines that can train, the preferred one first."""


def choose_engine() -> str:
    """The engine to load: ``KERAS_BACKEND``, else ``keras.json``, else the first one installed.

    An engine named by the environment must be there: PlanError (models.engine_missing) if it is
    not. ``keras.json`` is obeyed only when its engine is installed, because Keras writes
    "tensorflow" into that file by itself on its first import. Raises PlanError
    (models.no_engine) when no engine is installed at all.
    """
    named = os.environ.get("KERAS_BACKEND", "")
    if named:
        if named not in ENGINES:
            raise PlanError("models.engine_unknown", engine=named, engines=", ".join(ENGINES))
        if not _installed(named):
            raise PlanError("models.engine_missing", engine=named)
        return named
    configured = _configured()
    if configured in ENGINES and _installed(configured):
        return configured
    for engine in ENGINES:
        if _installed(engine):
            return engine
    raise PlanError("models.no_engine")


def use_engine() -> Any:
    """The ``keras`` module, loaded on the engine of `choose_engine`; the first call decides.

    JAX's note that a GPU could be used is kept quiet; its settings (64-bit numbers, platform,
    threads) stay as the user has them. Raises PlanError as `choose_engine`.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = choose_engine()
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        logging.getLogger("jax._src.xla_bridge").setLevel(logging.ERROR)
    return _load()


@contextmanager
def compiling_once() -> Iterator[None]:
    """Inside this block JAX compiles the same program once, however many networks run it.

    Compiled programs are kept in a temporary folder until the block ends. If the user has set up a compilation cache
    for JAX, that one is used. Other engines are not changed. (Measured: a second network of the same form is ready
    in 0.3 s instead of 1.4 s; benchmarks/LOG.md.)
    """
    if use_engine().backend.backend() != "jax":
        yield
        return
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    if getattr(jax.config, CACHE) is not None:
        yield
        return
    before = {name: getattr(jax.config, name) for name in ALWAYS}
    with tempfile.TemporaryDirectory(prefix="backmix-") as folder:
        try:
            compilation_cache.reset_cache()
            for name, value in {**ALWAYS, CACHE: folder}.items():
                jax.config.update(name, value)  # type: ignore[no-untyped-call]
            yield
        finally:
            for name, value in {**before, CACHE: None}.items():
                jax.config.update(name, value)  # type: ignore[no-untyped-call]
            compilation_cache.reset_cache()


@cache
def _load() -> Any:
    import keras

    return keras


def _installed(engine: str) -> bool:
    return engine in sys.modules or find_spec(engine) is not None


def _configured() -> str:
    """The engine that the user's keras.json names, "" without a readable one."""
    home = os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()
    try:
        settings = json.loads((Path(home) / "keras.json").read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(settings.get("backend", "")) if isinstance(settings, dict) else ""
