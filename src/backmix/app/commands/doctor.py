"""``backmix doctor``: what this machine has and what is missing.

This module prints versions, the engine, the kernels, the cores and the memory.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import typer

from backmix.text import say
from backmix.version import __version__

NEEDED = ("numpy", "scipy", "pandas", "pyarrow", "keras", "jax", "scikit-learn", "pydantic", "safetensors", "jinja2")
EXTRAS = ("tensorboard", "polars", "psycopg")


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(help=say("app.doctor"))
    def doctor(as_json: bool = typer.Option(False, "--json", help=say("app.opt_json"))) -> None:
        from backmix.app.screen import show_json, show_table

        rows = [(name, value, remark) for name, value, remark in _facts()]
        if as_json:
            show_json([{"name": name, "value": value, "remark": remark} for name, value, remark in rows])
        else:
            show_table([say("app.col_name"), say("app.col_value"), say("app.col_remark")], rows)
        if any(value == "" for name, value, _ in rows if name in NEEDED):
            raise typer.Exit(1)


def _facts() -> list[tuple[str, str, str]]:
    from backmix.errors import PlanError
    from backmix.models.engine import use_engine

    facts = [("backmix", __version__, ""), ("python", platform.python_version(), platform.platform())]
    for name in NEEDED:
        installed = _version(name)
        facts.append((name, installed, "" if installed else say("app.doctor_missing")))
    for name in EXTRAS:
        installed = _version(name)
        facts.append((name, installed, "" if installed else say("app.doctor_extra")))
    try:
        facts.append((say("app.doctor_engine"), use_engine().backend.backend(), ""))
    except PlanError as fault:
        facts.append((say("app.doctor_engine"), "", str(fault)))
    facts.append((say("app.doctor_kernels"), *_kernels()))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    facts.append((say("app.doctor_cores"), str(cores), ""))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        facts.append((say("app.doctor_memory"), f"{memory:.1f} GiB", ""))
    mirror = os.environ.get("BACKMIX_DATA", "")
    facts.append(("BACKMIX_DATA", mirror or "–", say("app.doctor_mirror")))
    return facts


def _kernels() -> tuple[str, str]:
    """Whether there are kernels, and what they run on or what is lost without them."""
    if find_spec("backmix.native") is None:
        return say("app.no"), say("app.doctor_no_kernels")
    try:
        from backmix import native
    except ImportError as fault:  # built for another machine or another Python
        return say("app.no"), say("app.doctor_broken_kernels", fault=fault)
    return say("app.yes"), say(
        "app.doctor_has_kernels", instructions=native.instruction_set(), threads=native.threads()
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
