"""Registries of the parts that others can add.

This module keeps the entries of one kind (sources, data sets, plants, cells, tasks, metrics, ...) by name. An entry is
one decorated object in one file of the kind's package; entries of other distributions come from the entry-point group
``backmix.<kind>``. An entry brings its name for people, and whatever else it has to say, in both languages:

    tasks = Registry("tasks", package="backmix.tasks")

    @tasks.register("level", title={"en": "level", "zh_TW": "液位"}, sentences={"remark": {"en": ..., "zh_TW": ...}})
    class Level(...): ...

    tasks.title("level")          # "level", or "液位" where Chinese is spoken
    say("tasks.level.remark")     # as every key of the catalogue; errors and decisions take it, too

Where many sentences would bury the code, they stand in a TOML file beside it (``beside=__file__``): a table for each
sentence, ``[name.title]`` or ``[name.sentence]``, both languages side by side.

Nothing is imported until a name or the list of names is asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from backmix.errors import PlanError
from backmix.text import Language, Sentence, declare, title_of

T = TypeVar("T")


class Registry(Generic[T]):
    """The entries of one kind by name, filled on first use from ``package`` and entry points.

    aliases: names of earlier releases, and what the entry is called now
    """

    def __init__(self, kind: str, package: str, aliases: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.package = package
        self.aliases = aliases or {}
        self._parts: dict[str, T] = {}
        self._filled = False

    def register(
        self,
        name: str,
        *,
        title: Sentence | None = None,
        sentences: Mapping[str, Sentence] | None = None,
        beside: str | None = None,
    ) -> Callable[[T], T]:
        """Decorator that registers an object as ``name``; ValueError when the name is taken.

        title: its name for people, in every language
        sentences: further sentences of its own, said by ``<kind>.<name>.<sentence>``
        beside: the module that registers it (``__file__``), when its sentences stand in a TOML file of that name
        """

        def file(entry: T) -> T:
            if name in self._parts:
                raise ValueError(f"two {self.kind} are named {name!r}")
            given = {"title": title, **(sentences or {})} if title is not None else sentences or {}
            beside_it = {} if beside is None else sentences_beside(beside)
            for part, spoken in [*beside_it.items(), (name, given)]:
                for key, sentence in spoken.items():
                    declare(f"{self.kind}.{part}" if key == "title" else f"{self.kind}.{part}.{key}", sentence)
            self._parts[name] = entry
            return entry

        return file

    def title(self, name: str, lang: Language | None = None) -> str:
        """The name of a part for people, in the language of the moment unless one is named; else its bare name."""
        self._fill()
        return title_of(f"{self.kind}.{self.aliases.get(name, name)}", lang, otherwise=name)

    def get(self, name: str) -> T:
        """The entry called ``name``; PlanError with the nearest name when there is none."""
        self._fill()
        name = self.aliases.get(name, name)
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

    def check(self, names: Iterable[str]) -> None:
        """PlanError for the first of these names that no entry has."""
        for name in names:
            self.get(name)

    def names(self) -> list[str]:
        """All names in alphabetical order."""
        self._fill()
        return sorted(self._parts)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return ((name, self._parts[name]) for name in self.names())

    def __contains__(self, name: object) -> bool:
        self._fill()
        return self.aliases.get(str(name), name) in self._parts

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True
        home = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(getattr(home, "__path__", [])):
            importlib.import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=f"backmix.{self.kind}"):
            if point.name in self._parts:
                continue
            part = point.load()
            if point.name not in self._parts:  # its own decorator may have filed it while it was loaded
                self.register(point.name)(part)


@cache
def sentences_beside(module: str) -> Mapping[str, Mapping[str, Sentence]]:
    """The sentences in the TOML file beside a module: part -> sentence ("title" among them) -> language -> text."""
    return tomllib.loads(Path(module).with_suffix(".toml").read_text("utf-8"))
