"""How far a value may be trusted.

This module names the three qualities of OPC UA Part 8 that a value of a `Table` can have.
"""

from __future__ import annotations

from enum import IntEnum


class Quality(IntEnum):
    """Trust in one value; the larger the worse, so that ``max`` gives the quality of a window."""

    GOOD = 0
    UNCERTAIN = 1  # repaired, clamped, held or suspicious: a value is there
    BAD = 2  # no usable value: the number is NaN
