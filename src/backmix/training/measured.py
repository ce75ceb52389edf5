"""What was measured about the rules of thumb.

This module reads the figures that ``benchmarks/advice.py`` writes beside it, ``measured.json``, and weighs a
claim against them. A difference counts only where it is larger than the spread over seeds.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

PLACE = Path(__file__).with_name("measured.json")

Finding = Literal["agrees", "contradicts", "mixed", "undecided", "unmeasured"]
"""What the figures say to a claim: mixed differs from data set to data set, undecided is within the spread."""


@dataclass(frozen=True)
class Figure:
    """A setting on a data set: an error and a time per seed.

    rows: T of the windows; windows: training windows of the first seed
    errors: on the test part, smaller is better; seconds: processor time of an epoch per 1000 windows
    """

    experiment: str
    place: str
    rows: int
    setting: str
    windows: int
    errors: tuple[float, ...]
    seconds: tuple[float, ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Figure:
        """The figure of an entry of the file."""
        return cls(**{**entry, "errors": tuple(entry["errors"]), "seconds": tuple(entry["seconds"])})

    @property
    def error(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.errors)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds."""
        return statistics.stdev(self.errors)

    @property
    def seconds_least(self) -> float:
        """The least disturbed of the seeds."""
        return min(self.seconds)
