"""Public data sets by name: fetched from where they were published, checked by hash.

In: the name of a set. Its files come from the folder that ``BACKMIX_DATA`` names, from the cache, or from their
    public address, in this order; wherever they are found, their sha256 decides.
Out: a table with units and roles, cut as a published protocol says.
This module keeps the registry `sets` and the three things one does with it: `load` a set as a table, `fetch` its
files, ask whether it is `available` without a download. Nothing of the data is part of this package.

To add a set, add one file here that registers a `DataSet`, and its sentences beside it (``NAME.toml``).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from backmix.data.sets.dataset import DataSet
from backmix.data.table import Table
from backmix.errors import PlanError
from backmix.registry import Registry

sets: Registry[DataSet] = Registry("sets", package="backmix.data.sets")


def load(name: str, protocol: str | None = None) -> Table:
    """The rows of a set that a protocol uses, as a table with units and roles.

    Without ``protocol`` the standard one, the first, is taken. Raises PlanError for a name or
    protocol that does not exist, InputError when a file cannot be had or is not the published one.
    """
    found = sets.get(name)
    chosen = _protocol(found, protocol)
    return found.read(fetch(name), chosen)


def plan(name: str, protocol: str | None = None) -> dict[str, Any]:
    """The plan of a protocol, one mapping per plan section; ``{}`` for a set without a protocol.

    >>> plan("debutanizer")["task"]
    {'kind': 'soft_sensor', 'target': 'y'}
    """
    found = sets.get(name)
    chosen = _protocol(found, protocol)
    return copy.deepcopy(dict(found.plans[chosen])) if chosen is not None else {}


def fetch(name: str) -> dict[str, Path]:
    """Every file of a set on this machine, by its path inside the mirror, downloaded if need be."""
    from backmix.data.sets.fetching import fetch as bring

    return bring(sets.get(name))


def available(name: str) -> bool:
    """Whether every file of a set is on this machine, unaltered; never downloads."""
    from backmix.data.sets.fetching import at_hand

    return at_hand(sets.get(name))


def _protocol(found: DataSet, wanted: str | None) -> str | None:
    if wanted is None:
        return next(iter(found.plans), None)
    if wanted not in found.plans:
        key = "sets.unknown_protocol" if found.plans else "sets.no_protocol"
        raise PlanError(key, name=found.name, protocol=wanted, names=", ".join(found.plans))
    return wanted


__all__ = ["DataSet", "available", "fetch", "load", "plan", "sets"]
