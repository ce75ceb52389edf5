"""What is known about a public data set before a byte of it is read.

This module defines `DataSet` and its parts: the files with address and hash, the columns with
unit and role, the protocols as plans, and the clock of a set whose rows have no dates.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from backmix.data.table import Table
from backmix.data.tag import Role, Tag
from backmix.errors import InputError
from backmix.text import LANGUAGES, Language, title_of

Paths = Mapping[str, Path]
Reader = Callable[[Paths, str | None], Table]
EPOCH = np.datetime64("2000-01-01T00:00:00", "ns")
"""Where the nominal clock of a set without dates begins; such times say only how far rows are apart."""


@dataclass(frozen=True)
class DataFile:
    """One published file.

    path: where it lies below a mirror folder, with ``/``
    urls: its public addresses, in the order in which they are tried
    sha256, size: of the file as it is read (unpacked), size in bytes
    carrier: sha256 of the file at the address when that one is packed (``.gz``); else None
    """

    path: str
    urls: tuple[str, ...]
    sha256: str
    size: int
    carrier: str | None = None


@dataclass(frozen=True)
class Column:
    """One column of a set.

    text: the last part of the key of its description, ``<kind>.<family>.<text>``; None takes the column's name
    """

    name: str
    unit: str = ""
    role: Role = "input"
    categories: tuple[str, ...] = ()
    text: str | None = None


class Described:
    """What is registered with a title and a paragraph about it, by its name; kind: of its registry."""

    kind: ClassVar[str] = "sets"
    name: str

    @property
    def title(self) -> dict[Language, str]:
        """Its name for people, by language."""
        return {lang: title_of(f"{self.kind}.{self.name}", lang, otherwise=self.name) for lang in LANGUAGES}

    @property
    def about(self) -> dict[Language, str]:
        """What it is and what to beware of, one paragraph by language."""
        return {lang: title_of(f"{self.kind}.{self.name}.about", lang, otherwise="") for lang in LANGUAGES}


@dataclass(frozen=True)
class DataSet(Described):
    """A public data set and how it is commonly used.

    licence: under which terms the data were published, in the publisher's words
    citation: the work to cite
    clock: "recorded" (times are in the files), "nominal" (only the sampling interval is known and
        the dates are made up from `EPOCH`), or "none" (rows are numbered)
    tasks: the kinds of task the set serves
    plans: protocol -> plan sections; the first is the standard one
    read: (paths, protocol) -> table with the rows and roles of the protocol
    family: sets with the same columns share the descriptions of this name; None for its own name
    """

    name: str
    files: tuple[DataFile, ...]
    licence: str
    citation: str
    columns: tuple[Column, ...]
    clock: Literal["recorded", "nominal", "none"]
    tasks: tuple[str, ...]
    plans: Mapping[str, Mapping[str, Any]]
    read: Reader
    family: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(file.size for file in self.files)

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The columns as tags, described in the language of the moment."""
        return tags(self.family or self.name, self.columns)


def raw(repository: str, commit: str, path: str) -> str:
    """The address of one file of a public Git repository at one commit.

    >>> raw("owner/name", "0" * 40, "a folder/file.csv")[-24:]
    '0000/a%20folder/file.csv'
    """
    return f"https://raw.githubusercontent.com/{repository}/{commit}/{quote(path)}"


def one_file(path: str, address: str, sha256: str, size: int) -> tuple[DataFile, ...]:
    """The files of a set that is one file with one address."""
    return (DataFile(path, (address,), sha256, size),)


def tags(family: str, columns: Sequence[Column], *, kind: str = "sets") -> tuple[Tag, ...]:
    """Columns as tags, described in the language of the moment by the sentences of a family of sets or plants."""
    return tuple(
        Tag(
            c.name,
            unit=c.unit,
            role=c.role,
            categories=c.categories,
            description=title_of(f"{kind}.{family}.{c.text or c.name}", otherwise=""),
        )
        for c in columns
    )


def with_roles(table: Table, roles: Mapping[str, Role]) -> Table:
    """The table with these roles, by tag name."""
    return table.retag({name: replace(table.tag(name), role=role) for name, role in roles.items()})


def numbers(path: Path, columns: int) -> NDArray[np.float64]:
    """A text file of blank-separated numbers, (rows, columns); InputError when it is anything else.

    The files are checked by hash before, so that this can only fail for a wrongly described set.
    """
    values = np.loadtxt(path, dtype=np.float64, ndmin=2)
    if values.shape[1] != columns:
        raise InputError("sets.columns", where=str(path), got=values.shape[1], columns=columns)
    return values


def dated(path: Path) -> tuple[NDArray[np.datetime64], NDArray[np.object_]]:
    """A CSV file whose first column is the time: the times (N,) and the texts (N, F) of the other columns."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    times = np.array([row[0].replace(" ", "T") for row in rows], dtype="datetime64[ns]")
    return times, np.array([row[1:] for row in rows], dtype=object)


def clock(lengths: Sequence[int], step: float) -> NDArray[np.datetime64]:
    """A nominal clock for runs of these lengths, rows ``step`` seconds apart, (N,).

    Every run begins at the midnight after the end of the one before, so that times only grow and
    no two runs touch.
    """
    day, times, start = np.timedelta64(1, "D"), [], EPOCH
    for rows in lengths:
        run = start + (np.arange(rows) * step * 1e9).astype("timedelta64[ns]")
        times.append(run)
        start = (run[-1] + day).astype("datetime64[D]").astype("datetime64[ns]") if rows else start
    return np.concatenate(times) if times else np.array([], dtype="datetime64[ns]")
