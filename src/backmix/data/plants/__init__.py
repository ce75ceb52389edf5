"""Simulated plants whose truth is known.

In: the name of a plant, a seed, and the plant's settings.
Out: a table as a historian would hold it (noisy, rounded, sometimes frozen or missing), and the truth behind it.
This module keeps the registry `plants` and runs them with `simulate`. The balances are solved by a stiff
integrator; one seed gives one table, bit for bit.

To add a plant, add one file here that registers a `Plant`, and its sentences beside it (``NAME.toml``).
"""

from __future__ import annotations

from typing import Any

from backmix.data.plants.plant import Plant, Simulation, settle
from backmix.errors import PlanError
from backmix.registry import Registry

plants: Registry[Plant] = Registry("plants", package="backmix.data.plants")


def simulate(name: str, seed: int = 0, **settings: float) -> Simulation:
    """Run the plant ``name``; ``settings`` are the fields of its settings class (`Plant.settings`).

    Raises PlanError for a plant or setting that does not exist or a value outside its bounds.

    >>> run = simulate("batch_reactor", seed=1, batches=2)
    >>> run.table.batch_names
    ('B001', 'B002')
    """
    found = plants.get(name)
    chosen = settle(found, settings)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise PlanError("sets.bad_seed", plant=name, seed=seed)
    return found.run(seed, chosen)


def plan(name: str, task: str | None = None, seed: int = 0) -> dict[str, Any]:
    """The plan of a plant at its default settings, one mapping per plan section; first by default.

    >>> plan("cstr", "soft_sensor")["task"]["target"]
    'C_A'
    """
    found = plants.get(name)
    plans = found.plans_for(seed, found.settings())
    if task is not None and task not in plans:
        raise PlanError("sets.unknown_plan", plant=name, plan=task, names=", ".join(plans))
    return dict(plans[task if task is not None else next(iter(plans))])


__all__ = ["Plant", "Simulation", "plan", "plants", "simulate"]
