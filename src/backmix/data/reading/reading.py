"""What is read, and what came of it.

This module defines `ReadPlan`, the ``[data]`` section of a plan, and `Reading`, the table with the
ledger of what reading did to it.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from backmix.data.batches.batches_plan import BatchesPlan
from backmix.data.laboratory.lab_plan import LabPlan
from backmix.data.layout.evidence import Evidence
from backmix.data.layout.layout import KEYS, Align, Duplicates, Layout, load_layout
from backmix.data.ledger import Ledger
from backmix.data.reading.file_profile import FileProfile
from backmix.data.side_file import ColumnNames, SideFile
from backmix.data.table import Table
from backmix.data.tag import Role
from backmix.errors import PlanError
from backmix.section import PlanSection
from backmix.text import say

_SOURCES = ("file", "set", "plant", "sql")
_OF_SOURCE = {"query": "sql", "sheet": "file", "protocol": "set"}
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


class TagPlan(PlanSection):
    """``[[data.tags]]``: what the source does not say about one column.

    unit: of the values, so that errors are reported in it; units are compared at prediction
    role: None takes "input", or what the source itself says; a column called "input" in so many words
        must have values
    low, high: physical limits in ``unit``; a value outside is a bad measurement
    type: "number" makes every other text a bad value, "text" makes every text a class, "state" every text but what
        a historian writes in place of a value; None looks
    same: names of states that mean the same as another one, such as ``{"A ttack" = "Attack"}``
    align: how this tag is put on the grid of ``[data] grid``; None takes what ``[data] align`` says
    """

    name: str
    unit: str = ""
    role: Role | None = None
    low: float | None = None
    high: float | None = None
    description: str = ""
    type: Literal["number", "text", "state"] | None = None
    align: Align | None = None
    same: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _limits(self) -> TagPlan:
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if not all(map(math.isfinite, bounds)) or (len(bounds) == 2 and bounds[0] >= bounds[1]):
            raise ValueError(say("read.plan_limits", tag=self.name, low=self.low, high=self.high))
        return self


class ReadPlan(Layout):
    """``[data]``: where the table comes from, how it is laid out (`Layout`) and what its columns are for.

    file: CSV, Parquet, Excel (also packed: .gz, .bz2, .xz, .zip), or the folder that ``backmix convert`` wrote,
        relative to the plan; a folder of tables, a pattern ("daily/*.csv") or a list means files of one layout,
        whose rows are put in order of time
    set, protocol: a public data set by name, and which of its protocols
    plant, seed: a simulated plant by name, and the seed of its noise
    sql, query: SQLAlchemy address and query. ``"$PLANT_DB"`` takes the address from the
        environment; an address with a password must come from there, as plans are kept in reports
    layout: a TOML file with the keys of `Layout`; a key that stands here too counts here
    batch: the column that names batch, unit or run
    limit_mb: megabytes (10⁶ bytes) that a source may have, unpacked; more is refused
    lab: laboratory results at their own times, see `LabPlan`
    batches: batches from a list of intervals or from the states of a tag, see `BatchesPlan`
    """

    file: str | tuple[str, ...] | None = None
    set: str | None = None
    protocol: str | None = None
    plant: str | None = None
    seed: int = Field(default=0, ge=0)
    sql: str | None = None
    query: str | None = None
    layout: str | None = None
    batch: str | None = None
    tags: tuple[TagPlan, ...] = ()
    duplicates: Duplicates = "refuse"
    limit_mb: float = Field(default=8000, gt=0)
    lab: LabPlan | None = None
    batches: BatchesPlan | None = None

    @field_validator("sql")
    @classmethod
    def _no_password(cls, url: str | None) -> str | None:
        if url is not None and re.match(r"[\w+]+://[^/@]*:[^/@]+@", url):
            raise ValueError(say("read.plan_password"))
        return url

    @model_validator(mode="after")
    def _one_source(self) -> ReadPlan:
        named = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(say("read.plan_sources", names=", ".join(named)))
        for name, needed in _OF_SOURCE.items():
            if getattr(self, name) is not None and getattr(self, needed) is None:
                raise ValueError(say("read.plan_alone", name=name, needed=needed))
        if self.sql is not None and self.query is None:
            raise ValueError(say("read.plan_query"))
        if self.decimal is not None and self.decimal == self.delimiter:
            raise ValueError(say("read.plan_same_mark", mark=self.decimal))
        if self.batch in self.clock:
            raise ValueError(say("read.plan_same_column", column=self.batch))
        if self.batch is not None and self.batches is not None:
            raise ValueError(say("batches.plan_two", column=self.batch))
        names = [tag.name for tag in self.tags]
        for name, count in Counter(names).items():
            if count > 1:
                raise ValueError(say("read.plan_tag_twice", tag=name))
        return self

    def of_file(self, path: str | os.PathLike[str]) -> ReadPlan:
        """The same rules for another file, wherever the table came from before."""
        elsewhere = dict.fromkeys((*_SOURCES, "protocol", "query"))
        return self.model_copy(update=elsewhere | {"file": os.fspath(path)})

    def with_layout(self, base: Path) -> ReadPlan:
        """The plan with the keys of its layout file (relative to ``base``) wherever it says nothing itself."""
        if self.layout is None:
            return self
        kept = load_layout(self.layout, base)
        missing = {key: getattr(kept, key) for key in kept.model_fields_set if not self._says(key)}
        return self.model_copy(update=missing | {"layout": None})

    def with_evidence(self, evidence: Iterable[Evidence]) -> ReadPlan:
        """The plan with what the file decided: whoever reads by it again has nothing left to guess."""
        decided = {entry.key: entry.value for entry in evidence if entry.key in KEYS}
        if self.decimal is not None and decided.get("delimiter") == self.decimal:
            del decided["delimiter"]  # of a file with a single column
        return self.with_values({key: value for key, value in decided.items() if getattr(self, key) is None})

    def with_values(self, values: Mapping[str, Any]) -> ReadPlan:
        """The plan with more keys, as if they stood in it."""
        stated = {key: getattr(self, key) for key in self.model_fields_set}
        return ReadPlan.model_validate({**stated, **values})

    def _says(self, key: str) -> bool:
        """Whether the plan itself says something of a key."""
        return key in self.model_fields_set and getattr(self, key) is not None

    @property
    def files(self) -> tuple[str, ...]:
        """The names in ``file``."""
        return () if self.file is None else (self.file,) if isinstance(self.file, str) else self.file

    def for_side_file(self, side: SideFile, *, time: ColumnNames | None = None, batch: str | None = None) -> ReadPlan:
        """How a file beside the table is read: as its section says, else as the table."""
        stated = {name: getattr(side, name) for name in SideFile.model_fields}
        shared = {name: getattr(self, name) for name in ("day_first", "time_zone") if stated[name] is None}
        return ReadPlan(**stated | shared, time=time, batch=batch, limit_mb=self.limit_mb)

    @property
    def limit(self) -> int:
        """The most bytes that are read."""
        return int(min(self.limit_mb * 1e6, 1e18))

    @property
    def address(self) -> str:
        """The SQLAlchemy address, from the environment when the plan names a variable."""
        assert self.sql is not None
        if found := _VARIABLE.fullmatch(self.sql):
            url = os.environ.get(found[1])
            if not url:
                raise PlanError("read.no_variable", variable=found[1])
            return url
        return self.sql


@dataclass(frozen=True, eq=False)
class Reading:
    """A table, the ledger of what was done to get it, and why the file was read as it was.

    profile: what the file looked like; None for a table that comes from no file
    """

    table: Table
    ledger: Ledger
    evidence: tuple[Evidence, ...] = ()
    profile: FileProfile | None = None

    @classmethod
    def of(cls, table: Table) -> Reading:
        """A table that was made in memory: all of its rows were read, and nothing was done to them."""
        return cls(table, Ledger(read=len(table)))
