"""How laboratory results are given.

This module defines `LabPlan`, the ``[data.lab]`` section of a plan.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from backmix.data.side_file import WRITTEN, ColumnNames, SideFile, one_name, several
from backmix.duration import DurationField
from backmix.text import say


class LabPlan(SideFile):
    """``[data.lab]``: laboratory results at their own times, put on the rows of the table.

    A result is put on the row of its sample: the last one not later, and at most one step earlier. When
    it was reported stands beside it, and must be said: no model may be shown a result before.

    file, sheet, encoding, delimiter, decimal, day_first, time_zone: where the results are and how they
        are written, as in ``[data]``; zone and day order are those of the table when left out. Without
        a file the results are columns of the table, on the rows of their samples
    comment, preamble, header, footer, missing, units, time_form: how the file is written, too, as in ``[data]``
    sample: the column with the time of the sample, or the columns that make it together (``["Date", "Time"]``); None
        takes the only clock that the file has
    batch: the column that names the batch; needed when batches overlap in time
    report: the column with the time of the report, or its columns; ``{ C_A = "C_A reported" }`` for one per result
    report_delay: from sample to report, when no column says it; "0min" must be said in so many words
    columns: the results; None takes all columns of numbers (those that ``report`` names one by one)
    duplicates: what becomes of two results on one row: refused, one of them by sample time, or their
        mean, which is known when the later one is reported
    below: the share of its limit that a result such as "<0.5" counts as (0.5 is usual); left out, such a
        result has no number. Heeded in the results that ``columns`` or ``report`` name
    """

    sample: ColumnNames | None = None
    batch: str | None = None
    report: ColumnNames | dict[str, str] | None = None
    report_delay: DurationField | None = None
    columns: tuple[str, ...] | None = None
    duplicates: Literal["refuse", "first", "last", "mean"] = "refuse"
    below: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.report is None and self.report_delay is None:
            raise ValueError(say("lab.plan_no_report"))
        if self.report is not None and self.report_delay is not None:
            raise ValueError(say("lab.plan_two_reports"))
        if isinstance(self.report, dict) and self.columns is not None and set(self.columns) != set(self.report):
            raise ValueError(
                say("lab.plan_report_columns", names=", ".join(self.report), columns=", ".join(self.columns))
            )
        if self.file is None:
            for name in (*WRITTEN, "sample", "batch"):
                if getattr(self, name) is not None:
                    raise ValueError(say("lab.plan_no_file", name=name))
            if not self.named:
                raise ValueError(say("lab.plan_no_columns"))
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """The results that the plan names; () for all columns of numbers."""
        return self.columns or (tuple(self.report) if isinstance(self.report, dict) else ())

    @property
    def reports(self) -> tuple[str, ...]:
        """The columns of report times."""
        if isinstance(self.report, dict):
            return tuple(dict.fromkeys(self.report.values()))
        return several(self.report)

    def delay_seconds(self, step: float | None) -> float:
        """The fixed delay from sample to report, on a table with ``step`` seconds between its rows."""
        assert self.report_delay is not None
        if self.report_delay.seconds is not None:
            return self.report_delay.seconds
        return self.report_delay.rows(step) * float(step or 0.0)

    def report_of(self, result: str) -> str | None:
        """The column that says when a result was reported, as one of its own; None with a fixed delay."""
        if isinstance(self.report, dict):
            return self.report[result]
        return None if self.report is None else one_name(self.report)
