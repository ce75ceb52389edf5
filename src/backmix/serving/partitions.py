"""Windows scored in parallel.

This module cuts windows into as many partitions as there are workers and lets each worker score one. A prediction
depends on its own window alone, so the cuts do not change it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from backmix.data.windows import Windows
from backmix.parallel import HERE, Workers, spread
from backmix.tasks import Outcome

if TYPE_CHECKING:
    from backmix.serving.bundle import Bundle


@dataclass(frozen=True, eq=False)
class _Partition:
    bundle: Bundle
    windows: Windows


def score(bundle: Bundle, windows: Windows, workers: Workers = HERE) -> Outcome:
    """The outcome of the model on windows, in their order.

    A worker has one thread and may round differently from this process with all its threads; the result does not
    depend on the number of workers.
    """
    count = min(workers.count, len(windows))
    if workers == HERE or count < 1:
        return _scored(_Partition(bundle, windows))
    bare = replace(bundle, reports={}, scores={})  # without the network that was built here
    jobs = [_Partition(bare, windows.subset(positions)) for positions in np.array_split(np.arange(len(windows)), count)]
    return Outcome.joined(spread(_scored, jobs, workers, apart=True))


def _scored(job: _Partition) -> Outcome:
    from backmix.training.predict import predict_outcome

    return predict_outcome(job.bundle.network, job.bundle.preprocessing.task, job.windows)
