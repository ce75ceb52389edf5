"""How batches are given.

This module defines `BatchesPlan`, the ``[data.batches]`` section of a plan.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from backmix.data.side_file import WRITTEN, ColumnNames, SideFile
from backmix.duration import DurationField
from backmix.text import say

_OF_FILE = (*WRITTEN, "batch", "start", "end", "phase", "properties")
_OF_TAG = ("running", "min_length", "bridge")


class BatchesPlan(SideFile):
    """``[data.batches]``: which rows make a batch, from a list of intervals or from the states of a tag.

    file, sheet, encoding, delimiter, decimal, comment, preamble, header, footer, missing, units, time_form, day_first,
        time_zone: where the intervals are and how they are written, as in ``[data]``; zone and day order are those of
        the table when left out
    batch, start, end: columns of the intervals; None takes the columns that are called so; a start or an end may stand
        in several columns (``["Start date", "Start time"]``). A row at the very end of an interval belongs to it,
        unless the next one begins there. An empty end lasts until the next start
    phase: the column that names the phase of a batch, when each phase is a row; it becomes a tag of states
    properties: further columns that become tags, constant within the batch; None takes all. List only those that are
        known when the batch starts: a yield or an end weight would show the model the future
    tag, running: a tag, and those of its states in which a batch runs; each run of such rows is one batch
    min_length: a shorter run is no batch; bridge: a pause that is no longer does not end a batch
    outside: rows of no batch are left out ("drop"), or each stretch of them is a batch of its own ("keep")
    """

    batch: str | None = None
    start: ColumnNames | None = None
    end: ColumnNames | None = None
    phase: str | None = None
    properties: tuple[str, ...] | None = None
    tag: str | None = None
    running: tuple[str | float, ...] = ()
    min_length: DurationField | None = None
    bridge: DurationField | None = None
    outside: Literal["drop", "keep"] = "drop"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.file is None) == (self.tag is None):
            raise ValueError(say("batches.plan_one_way"))
        if self.tag is not None and not self.running:
            raise ValueError(say("batches.plan_running", tag=self.tag))
        wrong = [name for name in (_OF_FILE if self.file is None else _OF_TAG) if getattr(self, name) not in (None, ())]
        if wrong:
            other = "file" if self.file is None else "tag"
            raise ValueError(say("batches.plan_alone", name=wrong[0], needed=other))
        return self
