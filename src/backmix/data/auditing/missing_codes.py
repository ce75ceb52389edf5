"""Numbers that stand for "no value".

This module finds the codes that a source writes where it has no value: a number far outside the rest of its tag's
values that comes again exactly, such as -999.25, 9999 or 3276.7. Learned as if they were measured, they spoil
everything; the scale of the input alone.

What is clipped at the end of its range lies beside the other values, and 0, 100 % or 4 and 20 mA are ends of ranges:
none of them is a code. 0 is one only as a weak finding, since most zeros are a plant at rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backmix.data.notation.missing import is_code, known_code
from backmix.data.reported import is_report
from backmix.data.table import Table
from backmix.text import Language, say

AGAIN = 3
"""So often a number must come to be a code; one that means "no value" by custom, or stands in several tags, twice,
and once if it is very far away."""
OUTSIDE, FAR, VERY_FAR = 1.0, 3.0, 10.0
"""How many times the range of all other values a code lies away from them: one by custom, a weak and a strong one."""
VALUES = 10
"""So many different other values a tag must have: beside two levels, a third far away is a level, too."""
EACH_SIDE = 3
SIGNAL = (3.5, 3.6, 3.8, 4.0, 20.0, 20.5, 21.0, 21.5, 22.0, 22.5)
"""The ends of a 4-20 mA signal, and what transmitters send to say that they are broken."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MissingCode:
    """A number that looks like a code for "no value".

    tags: where it stands; shares: its share of all rows in each of them
    strong: whether there is no doubt, so that a first plan takes it out
    distance: how many times the range of the other values it lies away from them, where it lies nearest
    """

    value: float
    tags: tuple[str, ...]
    shares: tuple[float, ...]
    counts: tuple[int, ...]
    strong: bool
    distance: float

    @property
    def text(self) -> str:
        """The code as it is written in a plan."""
        return written(self.value)

    @property
    def times(self) -> str:
        """The distance as it is printed."""
        far = self.distance
        return f"{far:.1f}" if far < 10 else f"{far:,.0f}" if far < 1e6 else f"{far:.0e}"

    def sentence(self, lang: Language | None = None) -> str:
        """What was found, in one line."""
        shown = [f"{tag} {share:.2%}" for tag, share in zip(self.tags, self.shares, strict=True)]
        return say(
            "audit.code_strong" if self.strong else "audit.code_weak",
            lang,
            code=self.text,
            tags=", ".join(shown[:6]) + (" …" if len(shown) > 6 else ""),
            times=self.times,
        )


@dataclass(frozen=True)
class _Candidate:
    value: float
    count: int
    stretches: int
    distance: float
    custom: bool


def written(value: float) -> str:
    """A code as short as it can be written without another meaning.

    >>> written(-9999.0), written(-999.25), written(float(np.float32(3276.7))), written(1e30)
    ('-9999', '-999.25', '3276.7', '1e+30')
    """
    short = f"{value:.7g}"
    return short if is_code(np.array([value]), float(short))[0] else f"{value:.15g}"


def find_missing_codes(table: Table) -> tuple[MissingCode, ...]:
    """The numbers in a table that look like codes for "no value", strong ones first.

    >>> from backmix.data.tag import Tag
    >>> level = np.append(np.linspace(40, 60, 97), [-9999.0, -9999.0, -9999.0])
    >>> [(code.value, code.tags, code.strong) for code in find_missing_codes(Table(level[:, None], (Tag("LI1"),)))]
    [(-9999.0, ('LI1',), True)]
    """
    candidates: dict[float, dict[str, _Candidate]] = {}
    columns: dict[str, Floats] = {}
    for column, tag in enumerate(table.tags):
        if tag.categories or is_report(tag.name):
            continue
        x = np.asarray(table.values[:, column], np.float64)
        columns[tag.name] = x
        for candidate in _candidates(x, tag.unit):
            candidates.setdefault(float(written(candidate.value)), {})[tag.name] = candidate
    codes = [code for value, seen in candidates.items() if (code := _judged(value, seen, columns, len(table)))]
    return tuple(sorted(codes, key=lambda code: (not code.strong, -sum(code.counts), code.value)))


def _judged(value: float, seen: dict[str, _Candidate], columns: Mapping[str, Floats], rows: int) -> MissingCode | None:
    """What the tags together say about a number; None when it is nothing."""
    several = len(seen) > 1
    kept = {
        name: candidate
        for name, candidate in seen.items()
        if (candidate.custom and candidate.distance >= OUTSIDE)
        or (candidate.distance >= FAR and (candidate.count >= AGAIN or (several and candidate.count > 1)))
    }
    total = sum(candidate.count for candidate in kept.values())
    custom = any(candidate.custom for candidate in kept.values())
    far = max((candidate.distance for candidate in kept.values()), default=0.0)
    if total < (1 if custom and far >= VERY_FAR else 2 if custom else AGAIN) or not kept:
        return None
    scattered = len(kept) > 1 or any(candidate.stretches > 1 for candidate in kept.values())
    strong = value != 0 and bool(
        custom or (scattered and far >= (FAR if len(kept) > 1 else VERY_FAR) and total > AGAIN)
    )
    if strong:  # one setting serves all tags: where it is measured elsewhere, a person must decide
        elsewhere = (np.count_nonzero(is_code(x, value)) for name, x in columns.items() if name not in kept)
        strong = int(max(elsewhere, default=0)) <= 1
    return MissingCode(
        value=value,
        tags=tuple(kept),
        shares=tuple(candidate.count / max(1, rows) for candidate in kept.values()),
        counts=tuple(candidate.count for candidate in kept.values()),
        strong=bool(strong),
        distance=min(candidate.distance for candidate in kept.values()),
    )


def _candidates(x: Floats, unit: str) -> list[_Candidate]:
    """The numbers at the ends of a column (N,) that lie outside of all others and come again, or mean it by custom."""
    known = x[np.isfinite(x)]
    if len(known) < AGAIN + 2:
        return []
    ends = (float(known.min()), float(known.max()))
    if not any(known_code(end) or np.count_nonzero(known == end) > 1 for end in ends):
        return []
    values, counts = np.unique(known, return_counts=True)
    low, high = _core(values, counts)
    width = float(values[high - 1] - values[low])
    if high - low < 2 or not width > 0:
        return []
    few = high - low < VALUES
    candidates = []
    for k in (*range(low), *range(high, len(values))):
        value = float(values[k])
        gap = float(values[low] - value) if k < low else float(value - values[high - 1])
        custom = known_code(value)
        if (few and not custom) or _end_of_range(value, (float(values[low]), float(values[high - 1])), unit):
            continue
        here = is_code(x, value)
        stretches = int(np.count_nonzero(here[1:] & ~here[:-1])) + int(here[0])
        candidates.append(_Candidate(value, int(counts[k]), stretches, gap / width, custom))
    return candidates


def _core(values: Floats, counts: NDArray[np.int64]) -> tuple[int, int]:
    """The part ``low:high`` of the different values (in order) that is left without codes at the ends."""
    low, high = 0, len(values)
    while low < min(2 * EACH_SIDE, high - 2) and known_code(float(values[low])):
        low += 1
    while high > max(len(values) - 2 * EACH_SIDE, low + 2) and known_code(float(values[high - 1])):
        high -= 1
    best = (low, high)
    for left in range(EACH_SIDE + 1):  # the smallest number of ends whose absence leaves them all far away
        for right in range(EACH_SIDE + 1):
            a, b = low + left, high - right
            if b - a < VALUES or (left == right == 0) or (left + right) <= (best[0] - low) + (high - best[1]):
                continue
            width = float(values[b - 1] - values[a])
            near = [float(values[a] - values[a - 1])] if left else []
            near += [float(values[b] - values[b - 1])] if right else []
            again = (counts[low:a] > 1).all() and (counts[b:high] > 1).all()
            if width > 0 and again and min(near) >= FAR * width:
                best = (a, b)
    return best


def _end_of_range(value: float, core: tuple[float, float], unit: str) -> bool:
    """Whether a number is where an instrument or a valve ends."""
    if value == 100 and (unit in ("", "%") and core[0] >= 0):
        return True
    if value == 0 and unit == "%":
        return True
    signal = unit.casefold() == "ma" or (SIGNAL[0] <= core[0] and core[1] <= SIGNAL[-1])
    return signal and value in (*SIGNAL, 0.0)
