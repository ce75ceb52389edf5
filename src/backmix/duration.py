"""A stretch of a process, in time or in rows.

This module turns ``"2h"``, ``"30 rows"`` or ``30`` into rows of a given table and back, so that
a plan can speak plant (hours) while the windows count rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import GetPydanticSchema
from pydantic_core import core_schema

from backmix.errors import PlanError

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(rows?|ms|s|min|h|d|w)?\s*")


@dataclass(frozen=True)
class Duration:
    """A length of time in seconds, or a count of rows; exactly one of the two is set.

    >>> Duration.parse("2h").rows(step=60.0)
    120
    >>> Duration.parse("30 rows").rows(step=None)
    30
    >>> str(Duration.parse("90s"))
    '90s'
    """

    text: str
    count: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, value: str | int | Duration) -> Duration:
        """Read ``"90s"``, ``"5min"``, ``"2h"``, ``"1d"``, ``"30 rows"`` or a whole number of rows.

        Raises PlanError (core.bad_duration) for anything else.
        """
        if isinstance(value, Duration):
            return value
        match = None if isinstance(value, bool) else _FORM.fullmatch(str(value))
        if not match:
            raise PlanError("core.bad_duration", value=value)
        number, unit = float(match[1]), match[2]
        if unit in (None, "row", "rows"):
            if number != int(number):
                raise PlanError("core.bad_duration", value=value)
            return cls(text=f"{int(number)} rows", count=int(number))
        return cls(text=f"{number:g}{unit}", seconds=number * _SECONDS[unit])

    def rows(self, step: float | None) -> int:
        """How many rows this is when rows are ``step`` seconds apart (rounded up).

        Raises PlanError (core.no_clock) for a time on a table without a time axis.
        """
        if self.count is not None:
            return self.count
        assert self.seconds is not None
        if step is None or not step > 0:
            raise PlanError("core.no_clock", duration=self.text)
        return int(np.ceil(self.seconds / step - 1e-9))

    @property
    def empty(self) -> bool:
        """Whether it is no time at all, or no row."""
        return 0 in (self.count, self.seconds)

    def __str__(self) -> str:
        return self.text


def _schema(_source: Any, _handler: Any) -> core_schema.CoreSchema:
    def parse(value: Any) -> Duration:
        try:
            return Duration.parse(value)
        except PlanError as fault:
            raise ValueError(str(fault)) from None

    return core_schema.no_info_before_validator_function(
        parse,
        core_schema.is_instance_schema(Duration),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda d: d.count if d.count is not None else d.text, when_used="unless-none"
        ),
    )


def _json_schema(_schema: Any, _handler: Any) -> dict[str, Any]:
    return {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(rows?|ms|s|min|h|d|w)?\s*$"},
        ]
    }


DurationField = Annotated[Duration, GetPydanticSchema(_schema, _json_schema)]
"""The type of a duration inside a plan section: accepts text or whole rows, keeps a `Duration`."""
