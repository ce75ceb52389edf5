"""Data bases through SQLAlchemy.

This module runs one query that only reads and takes its rows as a table. The connection is made
read-only where the data base knows such a thing, and nothing is ever committed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backmix.data.reading.columns import RawColumn, RawTable, from_objects, header
from backmix.data.reading.reading import ReadPlan
from backmix.data.sources import Example, Source, sources
from backmix.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_READS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(select|with|values|table|show)\b", re.IGNORECASE | re.DOTALL)
_ROWS = 10_000
_CELL = 64
"""Bytes that a cell of a result is reckoned with against the limit."""


def read_sql(plan: ReadPlan, base: Path) -> RawTable:
    """The raw columns of a query.

    Raises InputError: read.not_a_query, read.no_driver, read.database, read.too_large.
    """
    import sqlalchemy as sa

    assert plan.query is not None
    url = _url(plan.address, base)
    where = url.render_as_string(hide_password=True)
    if not _READS.match(plan.query):
        raise InputError("read.not_a_query", where=where, query=plan.query.strip()[:60])
    try:
        engine = sa.create_engine(url)
    except (ImportError, sa.exc.NoSuchModuleError) as fault:
        raise InputError("read.no_driver", where=where, fault=str(fault).split("\n")[0]) from None
    try:
        with engine.connect() as connection:
            connection = _read_only(connection)
            names, rows = _fetch(connection.execution_options(stream_results=True), plan, where)
    except sa.exc.SQLAlchemyError as fault:
        raise InputError("read.database", where=where, fault=_line(fault)) from None
    finally:
        engine.dispose()

    def column(index: int, name: str) -> RawColumn:
        return from_objects(name, [row[index] for row in rows], lambda row: f"{where}:{row + 1}:{name}")

    columns = tuple(column(index, name) for index, name in enumerate(names))
    return RawTable(columns, len(rows), where, lambda row: row + 1)


def _url(address: str, base: Path) -> Any:
    """The address with psycopg as the driver for PostgreSQL and files of SQLite relative to the plan."""
    import sqlalchemy as sa

    try:
        url = sa.make_url(address)
    except sa.exc.ArgumentError:
        raise InputError("read.bad_address", where="[data] sql") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        path = base / url.database
        if not path.is_file():  # connecting would create it
            raise InputError("read.no_file", where=url.database, near="-")
        url = url.set(database=str(path))
    return url


def _read_only(connection: Any) -> Any:
    import sqlalchemy as sa

    kind = connection.dialect.name
    if kind == "postgresql":
        return connection.execution_options(postgresql_readonly=True)
    if kind == "sqlite":
        connection.execute(sa.text("PRAGMA query_only = ON"))
    return connection


def _fetch(connection: Any, plan: ReadPlan, where: str) -> tuple[tuple[str, ...], list[Any]]:
    import sqlalchemy as sa

    # a colon in a query is a colon, not a parameter
    result = connection.execute(sa.text(re.sub(r"(?<!\\):", r"\:", plan.query or "")))
    names = header(list(result.keys()), where)
    rows: list[Any] = []
    try:
        while block := result.fetchmany(_ROWS):
            rows += block
            if len(rows) * len(names) * _CELL > plan.limit:
                raise InputError("read.too_large", where=where, limit=f"{plan.limit_mb:g}")
    finally:
        result.close()
    return names, rows


def _line(fault: Any) -> str:
    """What the data base says, in one line, without the statement and its parameters."""
    return " ".join(str(getattr(fault, "orig", None) or fault).split())[:200]


def example(frame: pd.DataFrame, folder: Path) -> Example:
    """The table in an SQLite file, its times as texts."""
    import sqlalchemy

    address = f"sqlite:///{folder / 'plant.db'}"
    engine = sqlalchemy.create_engine(address)
    frame.assign(time=frame["time"].astype(str)).to_sql("plant", engine, index=False)
    engine.dispose()
    return Example(ReadPlan(sql=address, query="select * from plant"))


sources.register("sql")(Source("sql", read_sql, example=example))
