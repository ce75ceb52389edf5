"""The section of a report that lists alarms.

This module writes the alarms of an anomaly detection as a table, the largest score first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from backmix.report.alarms import Alarm, alarm_scores, alarms
from backmix.report.page.blocks import GridCell, GridRow, PageBlock, folded, grid, name
from backmix.text import say
from backmix.text.lengths import duration
from backmix.text.numbers import number

if TYPE_CHECKING:
    from backmix.report.data import ReportData

MOST_ALARMS = 60


def alarm_blocks(data: ReportData) -> Iterator[PageBlock]:
    """The table of alarms, or the sentence that there was none; nothing for other tasks."""
    scores = alarm_scores(data)
    if scores is None:
        return
    if not scores.labelled:
        yield PageBlock(text=say("anomaly.no_labels"), tone="note")
    listed = sorted(alarms(scores, step=data.step), key=lambda alarm: -alarm.peak)
    if not listed:
        yield PageBlock(text=say("anomaly.no_alarm", windows=f"{len(scores.run):,}"))
        return
    columns = ["began", "lasted", "peak", "because", *(["real"] if scores.labelled else [])]
    caption = say("anomaly.alarms_caption", count=f"{len(listed):,}", shown=min(len(listed), MOST_ALARMS))
    rows = [_row(alarm, labelled=scores.labelled) for alarm in listed[:MOST_ALARMS]]
    yield from folded(
        grid(caption, [say(f"anomaly.column_{column}") for column in columns], rows),
        say("anomaly.more_alarms", count=len(rows)),
    )


def _row(alarm: Alarm, *, labelled: bool) -> GridRow:
    began = (
        say("anomaly.row", row=f"{alarm.row:,}")
        if alarm.first is None
        else (str(alarm.first.astype("datetime64[s]")).replace("T", " "))
    )
    lasted = say("anomaly.windows", count=f"{alarm.windows:,}") if alarm.seconds is None else duration(alarm.seconds)
    cells = [
        GridCell(began, note="" if alarm.batch is None else name(alarm.batch), kind="date"),
        GridCell(lasted),
        GridCell(say("anomaly.times", factor=number(alarm.peak)) if np.isfinite(alarm.peak) else "–"),
        GridCell(name(alarm.because, 160)),
    ]
    if labelled:
        cells.append(GridCell(say("anomaly.real" if alarm.real else "anomaly.false"), kind="" if alarm.real else "bad"))
    return GridRow(tuple(cells))
