"""Windows scored in parallel.

This module cuts windows into as many partitions as there are workers and lets each worker score one. A prediction
depends on its own window alone, so the cuts do not change it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backmix.data.windows.windows import Windows
from backmix.parallel import HERE, Workers, spread
from backmix.tasks import Outcome

Predict = Callable[[Windows], Outcome]
"""What a model says of windows; it can be pickled, and travels to the workers without what they do not need."""


@dataclass(frozen=True, eq=False)
class _Partition:
    predict: Predict
    windows: Windows


def score(predict: Predict, windows: Windows, workers: Workers = HERE) -> Outcome:
    """What a model says of windows, in their order.

    A worker has one thread and may round differently from this process with all its threads; the result does not
    depend on the number of workers.
    """
    count = min(workers.count, len(windows))
    if workers == HERE or count < 1:
        return predict(windows)
    jobs = [_Partition(predict, windows.subset(rows)) for rows in np.array_split(np.arange(len(windows)), count)]
    return Outcome.joined(spread(_scored, jobs, workers, apart=True))


def _scored(job: _Partition) -> Outcome:
    return job.predict(job.windows)
