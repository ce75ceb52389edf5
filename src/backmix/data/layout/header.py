"""The rows of a header.

This module says what each row of a header holds (names, groups, units, descriptions) and makes one name for each
column of it. Names that occur twice are made distinct by the tag they follow, or refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backmix.data.layout.evidence import Evidence, Interpretation, LayoutQuestion, OpenQuestion
from backmix.data.layout.layout import HeaderRow
from backmix.data.layout.units import bare_unit, is_unit, no_unit
from backmix.errors import InputError

_TAG = re.compile(r"(?=\S*\d)[^\s]{2,}")
_TIME_FORM = re.compile(r"(?i)^[\[(]?(?:[ymdhsaptz]{1,4}[-/.:,\s年月日時分秒]*){2,8}[\])]?$|^utc.*$|^local.*$|^gmt.*$")
Cells = list[list[str]]


@dataclass(frozen=True)
class Titles:
    """What a header says of the columns."""

    roles: tuple[HeaderRow, ...]
    names: tuple[str, ...]
    units: Mapping[str, str]
    descriptions: Mapping[str, str]
    evidence: tuple[Evidence, ...]


def cell_text(cell: Any) -> str:
    """A cell as one line of text; whole numbers of a sheet without their point.

    >>> cell_text(" Feed\\n flow "), cell_text(101.0), cell_text(None)
    ('Feed flow', '101', '')
    """
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return " ".join(str(cell).split())


def roles_of(
    cells: Cells, lines: Sequence[int], kinds: Sequence[str], more: Collection[str], where: str, merged: Collection[int]
) -> tuple[HeaderRow, ...]:
    """What each row of the header holds.

    Raises OpenQuestion on the key "header" when two rows may both hold the names.
    """
    if not cells:
        return ()
    roles: list[HeaderRow | None] = [None] * len(cells)
    if len(cells) > 1:
        for index, row in enumerate(cells):
            if holds_units(row, kinds, more) and any(role is None for spot, role in enumerate(roles) if spot != index):
                roles[index] = "unit"
                break
    rest = [index for index, role in enumerate(roles) if role is None]
    names = _names(rest, cells, lines, merged, where, roles)
    for index in rest:
        if index == names:
            roles[index] = "name"
        elif _group(cells[index], lines[index] in merged) and index < names:
            # the names stand for themselves: the word above several of them is not needed
            roles[index] = "skip" if _unique(cells[names], cells[index]) else "group"
        elif sum(map(bool, cells[index])) == 1:
            roles[index] = "skip"
        else:
            roles[index] = "description" if "description" not in roles else "skip"
    return tuple(role or "skip" for role in roles)


def holds_units(row: Sequence[str], kinds: Sequence[str] = (), more: Collection[str] = ()) -> bool:
    """Whether a row holds units: what is filled is a unit, and no less than half of it is one for certain."""
    units = others = tags = 0
    if len({"year", "month", "day"} & {text.casefold() for text in row}) > 1:
        return False  # the names of a clock in parts
    for column, text in enumerate(row):
        bare = bare_unit(text)
        if no_unit(bare) or ((column >= len(kinds) or kinds[column] == "time") and _TIME_FORM.match(text)):
            continue
        if is_unit(bare, more):
            units += 1
        else:
            others += 1
            tags += bool(_TAG.fullmatch(text))
    return units > 0 and units >= 2 * others and tags < 2


def _group(row: list[str], merged: bool) -> bool:
    """Whether a row names groups of columns: cells over several columns, or names that are repeated."""
    filled = [text for text in row if text]
    repeats = any(count > 1 for count in Counter(filled).values())
    beside = row[1:]  # the first cell is that of the clock, which has no words
    return merged or repeats or sum(map(bool, beside)) < 0.8 * len(beside)


def _unique(row: list[str], above: list[str]) -> bool:
    names = [text or other for text, other in zip(row, above, strict=True)]
    return all(names) and len(set(names)) == len(names)


def _names(
    rest: list[int],
    cells: Cells,
    lines: Sequence[int],
    merged: Collection[int],
    where: str,
    roles: list[HeaderRow | None],
) -> int:
    """Which row holds the names."""
    full = [index for index in rest if 2 * sum(map(bool, cells[index])) > len(cells[index])]
    if len(full) > 1:
        groups = [index for index in full if index != full[-1] and _group(cells[index], lines[index] in merged)]
        full = [index for index in full if index not in groups]
    if len(full) > 1:
        distinct = [index for index in full if len(set(filter(None, cells[index]))) == sum(map(bool, cells[index]))]
        full = distinct or full
    if len(full) > 1:
        tags = [index for index in full if _tags(cells[index])]
        if len(tags) == 1:
            return tags[0]
        if len(tags) == 0 or len(tags) == len(full):
            spaced = [sum(" " in text for text in cells[index]) for index in full]
            if min(spaced) == 0 and max(spaced) > len(cells[0]) / 2 and spaced.count(0) == 1:
                return full[spaced.index(0)]
        short = [
            index for index in full if all(_shorter(cells[index], cells[other]) for other in full if other != index)
        ]
        if len(short) == 1:
            return short[0]
        readings = []
        for names in full[:2]:
            trial: list[HeaderRow] = [
                role or ("name" if index == names else "description" if index in full[:2] else "skip")
                for index, role in enumerate(roles)
            ]
            shown = ", ".join(filter(None, cells[names]))[:60]
            readings.append(Interpretation(tuple(trial), shown))
        place = f"{where}:{lines[full[0]] + 1}"
        question = LayoutQuestion("header", tuple(readings), tuple(cells[full[0]]), place)
        first, other = (", ".join(filter(None, cells[index]))[:60] for index in full[:2])
        raise OpenQuestion("layout.which_names", question=question, where=place, one=first, other=other)
    if full:
        return full[0]
    return max(rest, key=lambda index: sum(map(bool, cells[index])))


def _shorter(row: list[str], other: list[str]) -> bool:
    """Whether each cell has fewer words than the one in the other row; the first one is that of the clock."""
    beside = [(len(short.split()), len(two.split())) for short, two in zip(row[1:], other[1:], strict=True)]
    return len(beside) > 1 and all(0 < short < two for short, two in beside)


def _tags(row: list[str]) -> bool:
    """Whether most cells look like tags: a digit and no blank."""
    filled = [text for text in row if text]
    return 2 * sum(_TAG.fullmatch(text) is not None for text in filled) > len(filled)


def titles(
    cells: Cells, lines: Sequence[int], roles: Sequence[HeaderRow], kinds: Sequence[str], where: str, *, stated: bool
) -> Titles:
    """One name for each column, and what stands with it.

    Raises InputError: data.duplicate_column for names that cannot be told apart.
    """
    width = max((len(row) for row in cells), default=len(kinds))
    rows = {role: row for row, role in zip(reversed(cells), reversed(roles), strict=True)}
    plain = _unquoted(rows.get("name", [""] * width))
    above = [_spread(row) for row, role in zip(cells, roles, strict=True) if role == "group"]
    if "name" in rows:
        index = roles.index("name")
        others = [row for spot, row in enumerate(cells) if roles[spot] in ("group", "skip") and spot != index]
        for column, name in enumerate(plain):  # a cell merged downwards, or a label of its own below the names
            if not name:
                plain[column] = next((row[column] for row in others if row[column] and _own(row, column)), "")
    names = [
        " ".join(dict.fromkeys(filter(None, [*(row[index] for row in above), name]))) if name else ""
        for index, name in enumerate(plain)
    ]
    names = [name or f"column {index}" for index, name in enumerate(names, 1)]
    evidence: list[Evidence] = []
    line = lines[list(roles).index("name")] + 1 if "name" in roles else 1
    names = _told_apart(names, kinds, f"{where}:{line}", evidence)
    units = {
        name: bare_unit(text)
        for index, (name, text) in enumerate(zip(names, rows.get("unit", []), strict=False))
        if not no_unit(bare_unit(text)) and (index >= len(kinds) or kinds[index] != "time")
    }
    words = rows.get("description", [])
    descriptions = {name: text for name, text in zip(names, words, strict=False) if text}
    return Titles(tuple(roles), tuple(names), units, descriptions, tuple(evidence))


def _unquoted(row: Sequence[str]) -> list[str]:
    """Names without the single quotation marks that stand around each of them."""
    quoted = all(len(name) > 2 and name[0] == name[-1] == "'" for name in row if name)
    return [name[1:-1] if name else name for name in row] if quoted and len(row) > 1 else list(row)


def _own(row: list[str], column: int) -> bool:
    """Whether the word above a nameless column belongs to it alone."""
    return column + 1 >= len(row) or bool(row[column + 1]) or column == 0


def _spread(row: list[str]) -> list[str]:
    """A word over several columns stands in the first of them."""
    made: list[str] = []
    for text in row:
        made.append(text or (made[-1] if made else ""))
    return made


def _told_apart(names: list[str], kinds: Sequence[str], where: str, evidence: list[Evidence]) -> list[str]:
    """Names that occur twice, with the tag they stand beside: "Quality" after FI101 is "FI101 Quality"."""
    places: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        places.setdefault(name, []).append(column)
    twice = {name: spots for name, spots in places.items() if len(spots) > 1}
    if not twice:
        return names
    made = list(names)
    for name, spots in twice.items():
        tags = _beside(spots, names, twice, kinds)
        if tags is None:
            raise InputError("read.same_names", where=where, column=name, one=spots[0] + 1, other=spots[1] + 1)
        for column, tag in zip(spots, tags, strict=True):
            made[column] = f"{tag} {name}"
        values = {"name": name, "count": len(spots), "example": made[spots[0]]}
        evidence.append(Evidence(f"names.{name}", made[spots[0]], "layout.told_apart", values))
    if len(set(made)) < len(made):
        name = next(name for name, count in Counter(made).items() if count > 1)
        first, other = [column for column, text in enumerate(made) if text == name][:2]
        raise InputError("read.same_names", where=where, column=name, one=first + 1, other=other + 1)
    return made


def _beside(spots: list[int], names: list[str], twice: Collection[str], kinds: Sequence[str]) -> list[str] | None:
    """The tag of each column of one name; None when the columns do not come one for each tag."""
    if _TAG.fullmatch(names[spots[0]]):
        return None  # a tag that is there twice
    for step in (-1, 1):
        tags = []
        for column in spots:
            spot = column + step
            while 0 <= spot < len(names) and names[spot] in twice:
                spot += step
            if not 0 <= spot < len(names) or (
                spot < len(kinds)
                and kinds[spot] == "time"
                and kinds[column : column + 1] != ["time"]
                and kinds[column] != "time"
            ):
                break
            tags.append(names[spot])
        if len(tags) == len(spots) == len(set(tags)):
            return tags
    return None
