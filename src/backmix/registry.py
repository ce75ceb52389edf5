"""Registries of the parts that others can add.

This module keeps the entries of one kind (sources, data sets, plants, cells, tasks, metrics, ...) by name. An entry is
one decorated object in one file of the kind's package; entries of other distributions come from the entry-point group
``backmix.<kind>``.

    cells = Registry("cells", package="backmix.models.cells")

    @cells.register("gru")
    def gru(...): ...

Nothing is imported until a name or the list of names is asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from backmix.errors import PlanError

T = TypeVar("T")


class Registry(Generic[T]):
    """The entries of one kind by name, filled on first use from ``package`` and entry points."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._parts: dict[str, T] = {}
        self._filled = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that registers an object as ``name``; ValueError when the name is taken."""

        def file(entry: T) -> T:
            if name in self._parts:
                raise ValueError(f"two {self.kind} are named {name!r}")
            self._parts[name] = entry
            return entry

        return file

    def get(self, name: str) -> T:
        """The entry called ``name``; PlanError with the nearest name when there is none."""
        self._fill()
        if name not in self._parts:
            near = get_close_matches(name, self._parts, n=1)
            raise PlanError(
                "core.unknown_part",
                kind=self.kind,
                name=name,
                near=near[0] if near else sorted(self._parts)[0],
                names=", ".join(sorted(self._parts)),
            )
        return self._parts[name]

    def names(self) -> list[str]:
        """All names in alphabetical order."""
        self._fill()
        return sorted(self._parts)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return ((name, self._parts[name]) for name in self.names())

    def __contains__(self, name: object) -> bool:
        self._fill()
        return name in self._parts

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True
        home = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(getattr(home, "__path__", [])):
            importlib.import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=f"backmix.{self.kind}"):
            if point.name not in self._parts:
                self.register(point.name)(point.load())
