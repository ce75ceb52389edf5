"""What a file looks like, beyond its layout.

This module keeps which columns a file has, with their units, how its clock is written, how far apart its rows are, and
which words stand in its status columns; and says what is different about another file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from backmix.data.layout.evidence import Evidence
from backmix.data.layout.units import plain_unit
from backmix.data.ledger import Difference
from backmix.data.notation.cells import PLAIN
from backmix.data.notation.dates import ZONES
from backmix.data.notation.words_of_time import HALF_DAYS
from backmix.data.reading.columns import RawColumn, RawTable
from backmix.data.runs import intervals
from backmix.data.table import Table

if TYPE_CHECKING:
    from backmix.data.reading.reading import ReadPlan

_SAMPLE = 64
_MOST_WORDS = 200
_USUAL = 0.5
"""A file has a step when at least so many of its steps are that long."""
TYPED = "typed"
"""The form of a clock that is no text: dates of a spreadsheet, a Parquet file or a database."""


@dataclass(frozen=True)
class FileProfile:
    """What a file looks like.

    columns: all that are no clock, no batch and no status; units: column -> unit, as the file itself says
    clock: how its times are written, such as "0000-00-00 00:00"; example: the first of them
    offsets: what stands behind its times, "" for nothing
    status: the words of its status columns
    step: seconds between most of its rows; None where no step is usual
    numbers_above: whether what the layout takes for units or descriptions are numbers: values, as it seems
    """

    columns: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    clock: tuple[str, ...] = ()
    example: str = ""
    offsets: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    step: float | None = None
    numbers_above: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FileProfile:
        """The profile of `to_dict`; ValueError, KeyError or TypeError when it is malformed."""
        texts = {name: _texts(data[name]) for name in ("columns", "clock", "offsets", "status")}
        units, step = data["units"], data["step"]
        others = {"units": dict, "example": str, "numbers_above": bool}
        if set(data) != {"step", *texts, *others} or not all(
            isinstance(data[key], kind) for key, kind in others.items()
        ):
            raise ValueError("profile")
        if not all(isinstance(word, str) for word in (*units, *units.values())):
            raise ValueError("profile")
        if step is not None and (not isinstance(step, int | float) or isinstance(step, bool) or not step > 0):
            raise ValueError("profile")
        return cls(**texts, units=dict(units), example=data["example"], step=step, numbers_above=data["numbers_above"])


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise ValueError("profile")
    return tuple(value)


@dataclass(frozen=True)
class WrittenAxes:
    """How the clock of a file is written, the words of its status columns, and whether its header holds numbers."""

    clock: tuple[str, ...]
    example: str
    offsets: tuple[str, ...]
    status: tuple[str, ...]
    numbers_above: bool


def written_axes(raw: RawTable, plan: ReadPlan, evidence: Iterable[Evidence]) -> WrittenAxes:
    """How the clock of a file is written, and what stands in its status columns.

    plan, evidence: which columns these are, as they are named or as they were recognised
    """
    from backmix.data.shapes.clocks import is_clock

    decided = {entry.key: entry.value for entry in evidence}
    time, long = decided.get("time", ()), plan.long or decided.get("long")
    clock = plan.clock or ((time,) if isinstance(time, str) else tuple(time))
    clock = clock or tuple(column.name for column in raw.columns if is_clock(column))[:1]
    quality = long.get("quality") if isinstance(long, Mapping) else getattr(long, "quality", None)
    status = {*(plan.status or decided.get("status") or ()), quality}
    columns = {column.name: column for column in (*raw.columns, *(c for other in raw.beside for c in other.columns))}
    parts = [columns[name] for name in clock if name in columns]
    forms = [_forms(column, plan) for column in parts]
    whole = tuple(sorted({" + ".join(cells) for cells in zip(*forms, strict=False)})) if forms else ()
    words = {word for name in status if name in columns for word in _words(columns[name])}
    return WrittenAxes(
        whole,
        " ".join(_first(column) for column in parts),
        _offsets(parts[-1]) if parts else (),
        tuple(sorted(words)[:_MOST_WORDS]),
        _mostly_numbers([*raw.units.values(), *raw.descriptions.values()]),
    )


def _mostly_numbers(texts: Sequence[str]) -> bool:
    return 2 * sum(re.fullmatch(PLAIN, text.strip().replace(",", ".")) is not None for text in texts) > len(texts)


def profile_of(table: Table, columns: Sequence[str], units: Mapping[str, str], axes: WrittenAxes) -> FileProfile:
    """The profile of a file that became this table; ``columns`` are those that may be tags."""
    stated = {name: unit for name, unit in units.items() if unit and name in columns}
    return FileProfile(
        tuple(columns),
        stated,
        axes.clock,
        axes.example,
        axes.offsets,
        axes.status,
        _usual_step(table),
        axes.numbers_above,
    )


def _usual_step(table: Table) -> float | None:
    """The seconds between most rows."""
    if table.time is None or len(table) < 2:
        return None
    steps = intervals(table)
    lengths, counts = np.unique(np.round(steps[steps > 0], 3), return_counts=True)
    usual = len(lengths) > 0 and counts.max() >= _USUAL * counts.sum()
    return float(lengths[np.argmax(counts)]) if usual else None


def _forms(column: RawColumn, plan: ReadPlan) -> list[str]:
    """The forms of the first cells of a clock."""
    if column.texts is None:
        return [TYPED if column.times is not None else plan.time_form or "number"]
    return [form_of(text) for text in _some(column)] or [TYPED]


def form_of(text: str) -> str:
    """How a time is written, without what it says and without its zone.

    >>> form_of("2024-05-02 08:00:30.5+08:00"), form_of("2-May-2024 8:15 PM"), form_of("02/05/24")
    ('0000-00-00 00:00', '00-Mmm-0000 00:00 am', '00/00/00')
    """
    text = re.sub(r"\d{1,2}:\d{2}(?::\d{2}(?:[.,:]\d+)?)?", "00:00", " ".join(text.split()))
    text = re.sub(HALF_DAYS, lambda half: "am" if half[0].isascii() else "上午", text)
    text = re.sub(rf"(00:00(?: ?am| ?上午)?) ?(?!am$)(?:{ZONES})$", r"\1", text)
    text = re.sub(r"\d+", lambda digits: "0" * max(2, len(digits[0])), text)
    return re.sub(r"[^\W\d_]{3,}", "Mmm", text)


def _offsets(column: RawColumn) -> tuple[str, ...]:
    """What stands behind the times of a column."""
    import pyarrow.compute as pc

    if column.texts is None:
        return ()
    if not any(_offset(text) for text in _some(column)):
        return ("",)
    tails = pc.unique(pc.utf8_trim_whitespace(column.texts)) if len(column.texts) < _SAMPLE else None
    if tails is None:
        tails = pc.unique(pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(column.texts), -8))
    return tuple(sorted({_offset(text) for text in tails.to_pylist() if text}))


def _offset(text: str) -> str:
    fits = re.search(rf"\d(?:{HALF_DAYS})?\s*(?P<zone>{ZONES})$", text.strip())
    return "" if fits is None or re.search(r":\d\d[^:]*$", text) is None else fits["zone"]


def _some(column: RawColumn) -> list[str]:
    """The first cells of a column of texts that are not empty."""
    import pyarrow.compute as pc

    assert column.texts is not None
    for chunk in column.texts.chunks:
        filled = chunk.filter(pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(chunk), ""), False))
        if len(filled):
            return [str(text).strip() for text in filled[:_SAMPLE].to_pylist()]
    return []


def _first(column: RawColumn) -> str:
    if column.texts is not None:
        return next(iter(_some(column)), "")
    if column.times is not None:
        known = column.times[~np.isnat(column.times)]
        return str(known[0].astype("datetime64[s]")).replace("T", " ") if len(known) else ""
    assert column.numbers is not None
    numbers = column.numbers[np.isfinite(column.numbers)]
    return f"{numbers[0]:.15g}" if len(numbers) else ""


def _words(column: RawColumn) -> set[str]:
    import pyarrow.compute as pc

    words: set[str] = set()
    if column.texts is not None:
        words |= {" ".join(word.split()) for word in pc.unique(column.texts).to_pylist() if word}
    if column.numbers is not None:
        codes = np.unique(column.numbers[np.isfinite(column.numbers)])
        words |= {f"{code:.15g}" for code in codes[: _MOST_WORDS + 1]}
    return words - {""}


def differences_of(before: FileProfile, here: FileProfile) -> Iterator[Difference]:
    """What is different about a file, one sentence each; ``before``: the file that a model was trained on."""
    yield from _other_columns(before, here)
    yield from _other_units(before, here)
    typed = TYPED in (*before.clock, *here.clock)
    if not typed and before.clock and (forms := set(here.clock) - set(before.clock)):
        values = {"before": before.example, "here": here.example, "forms": sorted(forms)}
        yield Difference("profile.clock", values)
    if not typed and before.offsets and (offsets := sorted(set(here.offsets) - set(before.offsets))):
        yield Difference("profile.offset", {"before": _named(before.offsets), "here": _named(offsets)})
    if before.step is not None and here.step is not None and abs(here.step - before.step) > 1e-3 * before.step:
        from backmix.data.shapes.grid import written

        yield Difference(
            "profile.step", {"before": written(round(before.step * 1e9)), "here": written(round(here.step * 1e9))}
        )
    if before.status and (words := sorted(set(here.status) - set(before.status))):
        yield Difference("profile.status", {"words": words})


def _named(offsets: Collection[str]) -> list[str]:
    return [offset or "–" for offset in offsets]


def _other_columns(before: FileProfile, here: FileProfile) -> Iterator[Difference]:
    """Columns that are new, gone, or only written otherwise; their order is of no importance."""
    new = [name for name in here.columns if name not in before.columns]
    gone = [name for name in before.columns if name not in here.columns]
    for name in tuple(gone):
        alike = [other for other in new if plain_name(other) == plain_name(name)]
        if len(alike) == 1:
            yield Difference("profile.column_renamed", {"before": name, "here": alike[0]})
            new.remove(alike[0])
            gone.remove(name)
    if new:
        yield Difference("profile.columns_new", {"columns": new})
    if gone:
        yield Difference("profile.columns_gone", {"columns": gone})


def plain_name(name: str) -> str:
    """A name without case, blanks, strokes and full-width letters.

    >>> plain_name("ＦＩ 101") == plain_name("fi_101"), plain_name("FI101") == plain_name("FI102")
    (True, False)
    """
    return re.sub(r"[\s_\-‐-―]+", "", unicodedata.normalize("NFKC", name).casefold())


def _other_units(before: FileProfile, here: FileProfile) -> Iterator[Difference]:
    """Units of the header that have changed, are gone or are new."""
    shared = [name for name in before.columns if name in here.columns]
    had = [name for name in shared if before.units.get(name)]
    has = [name for name in shared if here.units.get(name)]
    if had and not has:
        yield Difference("profile.units_gone", {"columns": [f"{name} [{before.units[name]}]" for name in had]})
    elif has and not had:
        yield Difference("profile.units_new", {"columns": [f"{name} [{here.units[name]}]" for name in has]})
    else:
        for name in shared:
            was, now = before.units.get(name, ""), here.units.get(name, "")
            if plain_unit(was) != plain_unit(now):
                yield Difference("profile.unit", {"tag": name, "before": was or "–", "here": now or "–"})
