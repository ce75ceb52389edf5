"""Tables of plans, read or simulated once for all tests of a process that share them."""

from __future__ import annotations

from pathlib import Path

from backmix.data.sources import Reading, read
from backmix.training.plan import Plan

_READ: dict[str, Reading] = {}


def reading_of(plan: Plan, base: Path = Path()) -> Reading:
    """What ``[data]`` of a plan names; its paths count from ``base``."""
    key = f"{base} {plan.data.model_dump_json()}"
    if key not in _READ:
        _READ[key] = read(plan.data, base=base)
    return _READ[key]
