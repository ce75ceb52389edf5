"""The windows of a run that are held out in turn.

This module takes the windows of training and validation of a prepared run as one pool, which `simple.blocks` deals
into blocks.
"""

from __future__ import annotations

import numpy as np

from backmix.data.splitting.split import Split, SplitPart, rejoined
from backmix.data.windows.windows import Windows, build_windows
from backmix.training.prepared import Prepared


def pool(prepared: Prepared) -> tuple[Windows, Windows]:
    """All windows that may teach, in two: those of training and those that were purged before validation; validation.

    What was purged kept the two parts apart; where both teach, only a block that is held out is kept apart. The
    windows are made anew from both parts as one: what was reported in the one is known in the other.
    """
    every = pooled(prepared)
    judged = np.isin(every.origins, prepared.validation.origins)
    return every.subset(~judged), every.subset(judged)


def pooled(prepared: Prepared) -> Windows:
    """The same as one, in the order of time."""
    preprocessing = prepared.preprocessing
    both = Split(rejoined(prepared.split.part, batch=prepared.table.batch))
    every = build_windows(prepared.table, prepared.train.spec, split=both, part=SplitPart.TRAIN)
    return prepared.task.target.training_windows(every.scaled(preprocessing.scaler, preprocessing.target_scaler))
