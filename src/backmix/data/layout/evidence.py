"""Why a file is read as it is, and what has to be asked.

This module defines `Evidence` for what the file itself decides, and `LayoutQuestion` for what it does not: every
possible reading on a real row of the file. A question that nobody has answered stops the reading as `OpenQuestion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backmix.errors import InputError
from backmix.text import Language, say


@dataclass(frozen=True)
class Evidence:
    """What the file says about one key of ``[data]``.

    key: as in the plan, such as "delimiter", or "tags.FI101.unit" for one of a tag
    value: what the plan would say; reason, values: the sentence of the catalogue that says why
    """

    key: str
    value: Any
    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def sentence(self, lang: Language | None = None) -> str:
        """The evidence in one sentence."""
        return say(self.reason, lang, **self.values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"plan_key": f"data.{self.key}", "value": self.value, "evidence": self.sentence()}


@dataclass(frozen=True)
class Interpretation:
    """One answer to a question: the value for the plan, and what the row of the file then says."""

    value: Any
    shown: str


@dataclass(frozen=True)
class LayoutQuestion:
    """What the file leaves open: the key of ``[data]``, and each interpretation of one real row.

    row: the cells of the row as they stand in the file; where: its place (``file:row``)
    """

    key: str
    readings: tuple[Interpretation, ...]
    row: tuple[str, ...]
    where: str

    def lines(self) -> tuple[str, ...]:
        """Each interpretation as a line of the plan, with what it means."""
        return tuple(f"{self.key} = {toml(reading.value)}  # {reading.shown}" for reading in self.readings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "plan_key": f"data.{self.key}",
            "readings": [
                {"value": reading.value, "shown": reading.shown, "line": line}
                for reading, line in zip(self.readings, self.lines(), strict=True)
            ],
            "row": list(self.row),
            "where": self.where,
        }


class OpenQuestion(InputError):
    """The file can be read in several ways; ``question`` says which, and which line of the plan decides."""

    def __init__(self, key: str, *, question: LayoutQuestion, **values: Any) -> None:
        super().__init__(key, **values)
        self.question = question

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.key, self.question, self.values)


def _rebuild(key: str, question: LayoutQuestion, values: dict[str, Any]) -> OpenQuestion:
    return OpenQuestion(key, question=question, **values)


def toml(value: Any) -> str:
    """A value as it is written in a plan.

    >>> toml(True), toml("a b"), toml(("x", 1)), toml({"tag": "T 1"})
    ('true', '"a b"', '["x", 1]', '{ tag = "T 1" }')
    """
    import tomli_w

    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(str(name))} = {toml(item)}" for name, item in value.items())
        return "{ " + inside + " }" if inside else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def _key(name: str) -> str:
    import tomli_w

    return tomli_w.dumps({name: 0}).removesuffix(" = 0\n")
