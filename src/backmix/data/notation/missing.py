"""Codes that stand for "no value".

This module knows the numbers that historians, loggers and laboratories write where they have none, and takes the codes
that a plan names (``[data] missing``) out of values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Code = float | str

KNOWN = (
    *(-999.25, -999.0, -9999.0, -9999.25, -99999.0, -999999.0, -9999999.0, -999.9, -9999.9, -99.0, -99.9, -200.0),
    *(999.0, 999.25, 999.9, 9999.0, 9999.25, 9999.9, 99999.0, 999999.0, 9999999.0, 99999999.0),
    *(3276.7, 327.67, 32767.0, -32768.0, 65535.0, 6553.5, 4294967295.0, 2147483647.0, -2147483648.0),
    *(-1e30, 1e30, 1e31, 1e20, 9.96921e36, 3.4028235e38, -3.4028235e38, 9.9e37),
    *(-6999.0, 6999.0, -7999.0, 7999.0, -8888.0, 8888.0, -7777.0, 7777.0),
)
"""Numbers that mean "no value" by custom: the well log's -999.25, all nines, the largest numbers of a word."""

_EXACT = frozenset(KNOWN) | frozenset(float(np.float32(code)) for code in KNOWN)
_WORD = 1e19  # beyond every count and every measurement: six figures are enough
_ROUND = frozenset(f"{code:.6g}" for code in KNOWN)


def is_code(values: Floats, code: float) -> NDArray[np.bool_]:
    """Which values are a code; also in single precision, in which 3276.7 is another number.

    >>> is_code(np.array([3276.7, np.float32(3276.7), 3276.6]), 3276.7).tolist()
    [True, True, False]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.float32(code)
        same: NDArray[np.bool_] = values == code
        return same | (values == np.float64(single)) if np.isfinite(single) else same


def known_code(value: float) -> bool:
    """Whether a number is one of those that mean "no value" by custom."""
    return value in _EXACT or (abs(value) > _WORD and f"{value:.6g}" in _ROUND)


def numbers_of(codes: Sequence[Code] | None) -> tuple[float, ...]:
    """The codes that are numbers, also those written as text."""
    numbers = []
    for code in codes or ():
        try:
            numbers.append(float(code))
        except ValueError:
            continue
    return tuple(numbers)


def words_of(codes: Sequence[Code] | None) -> frozenset[str]:
    """The codes as they stand in cells of text: blanks and case do not count.

    >>> sorted(words_of(["n. m.", -999.0]))
    ['-999', '-999.0', 'n. m.']
    """
    words: set[str] = set()
    for code in codes or ():
        if isinstance(code, str):
            words.add(plain(code))
        else:
            words |= {f"{code:.15g}", str(float(code))}
    return frozenset(words)


def plain(word: str) -> str:
    """A text less its case and spare blanks."""
    return " ".join(word.split()).casefold()


def taken_out(values: Floats, codes: Sequence[float]) -> tuple[Floats, dict[float, int]]:
    """Values (N,) with NaN in the place of the codes, and how many of each there were; the same array without any."""
    counts: dict[float, int] = {}
    for code in codes:
        coded = is_code(values, code)
        if count := int(np.count_nonzero(coded)):
            counts[code] = count
            values = np.where(coded, np.nan, values)
    return values, counts
