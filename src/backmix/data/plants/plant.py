"""What a simulated plant is, and what a run of it returns.

This module defines `Plant`, `Simulation` and the check of a plant's settings, and holds what several plants do alike:
solve their balances, and run numbered units to failure one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.sets.dataset import Column, Described, tags
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.errors import PlanError

Floats = NDArray[np.float64]
Plans = Mapping[str, Mapping[str, Any]]
BETWEEN = 240.0  # hours from the end of one unit to the start of the next


@dataclass(frozen=True)
class Simulation:
    """A run of a simulated plant.

    table: what the historian holds
    truth: what no historian knows, by name: states and disturbances without noise (N,), class codes
        (N,), and per input column the masks ``bad``, ``frozen``, ``spike`` (N, F) and ``drift`` (N, F)
    plans: task -> plan sections; the first is the standard one
    """

    table: Table
    truth: dict[str, NDArray[Any]]
    plans: Plans


@dataclass(frozen=True)
class Plant(Described):
    """A simulated plant.

    settings: frozen dataclass of what may be changed, each field with its bounds (`bounded`)
    columns: the columns of its table
    plans_for: (seed, settings) -> task -> plan sections
    run: (seed, settings) -> simulation
    """

    kind = "plants"
    name: str
    settings: type[Any]
    columns: tuple[Column, ...]
    plans_for: Callable[[int, Any], Plans]
    run: Callable[[int, Any], Simulation]

    @property
    def plans(self) -> Plans:
        """The plans at seed 0 and default settings: task -> plan sections, the first is the standard one."""
        return self.plans_for(0, self.settings())

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The columns as tags, described in the language of the moment."""
        return tags(self.name, self.columns, kind=self.kind)


def bounded(default: float, low: float, high: float) -> Any:
    """A settings field with a default and its bounds; whole numbers stay whole, booleans too."""
    return field(default=default, metadata={"low": low, "high": high})


def settle(plant: Plant, wanted: Mapping[str, float]) -> Any:
    """The plant's settings with these changes; PlanError for an unknown name or a value out of bounds."""
    known: dict[str, Field[Any]] = {entry.name: entry for entry in fields(plant.settings)}
    for name, value in wanted.items():
        if name not in known:
            raise PlanError("sets.unknown_setting", plant=plant.name, setting=name, names=", ".join(known))
        low, high = known[name].metadata["low"], known[name].metadata["high"]
        whole = isinstance(known[name].default, int)
        fits = isinstance(value, (int, float)) and math.isfinite(value) and low <= value <= high
        if not fits or (whole and value != int(value)):
            raise PlanError("sets.bad_setting", plant=plant.name, setting=name, value=value, low=low, high=high)
    return plant.settings(**wanted)


def table_of(plant: str, columns: tuple[Column, ...], values: NDArray[np.float64], **axes: Any) -> Table:
    """The table of a run: columns as tags, the plant's name as source."""
    return Table(values, tags(plant, columns, kind=Plant.kind), source=plant, **axes)


def numbered(letter: str, count: int) -> tuple[str, ...]:
    """The names of units or batches.

    >>> numbered("E", 2)
    ('E001', 'E002')
    """
    return tuple(f"{letter}{number:03d}" for number in range(1, count + 1))


def last_units(names: Sequence[str]) -> dict[str, Any]:
    """``[split]``: the last fifth of the units is the test, the fifth before it for validation."""
    fifth = max(1, len(names) // 5)
    return {
        "kind": "named",
        "test_batches": list(names[-fifth:]),
        "validation_batches": list(names[-2 * fifth : -fifth]),
    }


def in_a_row(lengths: Sequence[int], start: np.datetime64, step: float, names: Sequence[str]) -> dict[str, Any]:
    """The axes of a table of units that run one after the other; ``lengths`` in rows, ``step`` in hours."""
    gaps = np.cumsum([0.0, *(np.array(lengths[:-1]) * step + BETWEEN)])
    hours = np.concatenate([gap + np.arange(rows) * step for gap, rows in zip(gaps, lengths, strict=True)])
    return {
        "time": start + (hours * 3600e9).astype("timedelta64[ns]"),
        "batch": np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
        "batch_names": tuple(names),
    }


def integrate(rhs: Callable[..., Any], times: Floats, first: Sequence[float] | Floats, **how: Any) -> Floats:
    """The states (N, S) of stiff balances at ``times`` (N,), from ``first`` (S,); how: settings of the integrator."""
    from scipy.integrate import solve_ivp

    found = solve_ivp(rhs, (0.0, float(times[-1])), first, method="LSODA", t_eval=times, **how)
    if not found.success:
        raise ArithmeticError(f"the balances of the plant could not be solved: {found.message}")
    return np.ascontiguousarray(found.y.T)
