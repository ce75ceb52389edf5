"""The faults of a plant as a prediction frame shows them.

A window alarms when its predicted class is not the normal one. A fault is a stretch of windows of
one run whose truth is one and the same faulty class; it begins at its first window in the frame.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from backmix.scoring.predictions import Sample


class Fault(NamedTuple):
    """One fault: its first window and the one behind its last, its delay, and whether it was noticed.

    delay: from the first window of the fault to the first alarm in it; to its end when missed
    """

    first: int
    end: int
    delay: float
    noticed: bool


def faults(sample: Sample) -> list[Fault]:
    """The faults of a sample in order; [] when no normal class is named."""
    if sample.normal is None or len(sample) == 0:
        return []
    change = sample.starts.copy()
    change[1:] |= sample.truth[1:] != sample.truth[:-1]
    edges = [*np.flatnonzero(change).tolist(), len(sample)]
    alarm = sample.prediction != sample.normal
    events = []
    for first, end in pairwise(edges):
        if sample.truth[first] == sample.normal:
            continue
        hits = np.flatnonzero(alarm[first:end])
        if len(hits):
            delay = sample.places[first + hits[0]] - sample.places[first]
        else:
            delay = sample.places[end - 1] - sample.places[first] + sample.step
        events.append(Fault(first, end, float(delay), bool(len(hits))))
    return events
