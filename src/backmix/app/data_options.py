"""Options of the command line that say how to read a table.

This module turns ``--data KEY=VALUE`` into the ``[data]`` section of a plan, for commands without a plan, and checks
the name of a data set or plant.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from backmix.data.sources import ReadPlan
from backmix.errors import InputError, PlanError
from backmix.text import say


def pairs(options: Sequence[str]) -> dict[str, Any]:
    """What ``KEY=VALUE`` options say: values as in a plan; what is not valid there is text. Raises PlanError.

    >>> pairs(["day_first=true", "delimiter=;"])
    {'day_first': True, 'delimiter': ';'}
    """
    settings = {}
    for option in options:
        key, sign, value = option.partition("=")
        if not sign or not key.strip():
            raise PlanError("app.no_pair", got=option)
        settings[key.strip()] = _value(value.strip())
    return settings


def data_section(options: Sequence[str], named: Mapping[str, Any] | None = None) -> ReadPlan:
    """The ``[data]`` section of these ``KEY=VALUE``; ``named`` are the options of their own name.

    Values are written as in a plan; what is not valid there is text. Raises PlanError.

    >>> data_section(["day_first=true", "delimiter=;"]).delimiter
    ';'
    """
    from backmix.training.plan import Plan

    section = {key: value for key, value in (named or {}).items() if value is not None} | pairs(options)
    return Plan.check({"data": section}, where=say("app.command_line")).data


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


@contextmanager
def without_plan() -> Iterator[None]:
    """Add to an error about ``[data]`` how to give the setting on the command line."""
    try:
        yield
    except InputError as fault:
        if "[data]" in str(fault):
            fault.add_note(say("app.without_plan"))
        raise


def known_source(name: str) -> None:
    """PlanError with the nearest name unless ``name`` is a data set or a simulated plant."""
    from backmix.data.plants import plants
    from backmix.data.sets import sets

    if name in sets or name in plants:
        return
    names = [*sets.names(), *plants.names()]
    near = get_close_matches(name, names, n=1, cutoff=0.0)[0]
    raise PlanError("app.no_source", name=name, near=near, names=", ".join(names))
