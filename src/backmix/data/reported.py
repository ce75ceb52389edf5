"""When a laboratory value was known: the report time beside each label.

This module keeps the column of report times that stands beside a label (seconds since 1970 UTC, role
"ignored", so that everything that cuts, selects or copies rows takes it along), and finds for every
row the newest sample whose result had been reported by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backmix.data.segments import Rows, row_type
from backmix.data.table import Table
from backmix.data.tag import Tag
from backmix.data.windows.form import Known
from backmix.errors import InputError, LeakageError

_ENDING = " (report time)"


def report_name(label: str) -> str:
    """The column that says when the values of a label were reported.

    >>> report_name("C_A")
    'C_A (report time)'
    """
    return label + _ENDING


def report_tag(label: str) -> Tag:
    """The tag of that column."""
    return Tag(report_name(label), unit="s", role="ignored")


def is_report(name: str) -> bool:
    """Whether a column holds report times."""
    return name.endswith(_ENDING)


def seconds(times: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Times as seconds since 1970, NaN where there is none.

    >>> seconds(np.array(["1970-01-01T00:01", "NaT"], "datetime64[ns]")).tolist()
    [60.0, nan]
    """
    found = times.astype("datetime64[ns]").view("int64") / 1e9
    found[np.isnat(times)] = np.nan
    return np.asarray(found)


def shown_rows(table: Table, label: str, report: str, segment: Rows) -> Rows:
    """For every row, the row of the newest sample that was reported by its time, (N,); -1 before the first.

    segment: (N,) the first row of the stretch in which each row lies; time never runs back inside one
    A value is never shown on the row of its own sample, whatever its report time says, and never in
    another stretch than its own. Reports may come out of order: an older sample that is reported
    after a newer one is not shown any more. A label without a report time is never shown.

    >>> time = np.datetime64("1970-01-01", "ns") + np.arange(5) * np.timedelta64(1, "s")
    >>> y, reported = np.array([7.0, 8, np.nan, np.nan, 9]), np.array([3.0, 2, np.nan, np.nan, 4])
    >>> table = Table(np.column_stack([y, reported]), (Tag("y"), report_tag("y")), time=time)
    >>> shown_rows(table, "y", report_name("y"), np.zeros(5, int)).tolist()
    [-1, -1, 1, 1, 1]
    """
    count = len(table)
    shown = np.full(count, -1, dtype=row_type(count))
    if table.time is None:
        raise InputError("lab.no_clock", where=table.source)
    times = table.column(report)
    labels = np.flatnonzero(np.isfinite(table.column(label)) & np.isfinite(times))
    clock = seconds(np.asarray(table.time))
    starts = np.unique(segment)
    ends = np.append(starts[1:], count)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        mine = labels[np.searchsorted(labels, start) : np.searchsorted(labels, end)]
        if len(mine):
            first = start + np.searchsorted(clock[start:end], times[mine])
            first = np.maximum(first, mine + 1)
            inside = first < end
            np.maximum.at(shown, first[inside], mine[inside])
            shown[start:end] = np.maximum.accumulate(shown[start:end])
    return shown


def learned(known: Known | None, table: Table, labels: Sequence[str]) -> Known | None:
    """The known past targets with the longest time from sample to report of a table, in rows.

    That is what a split must purge beyond the windows. Raises InputError (lab.no_report_times) when the
    table does not say when its labels were reported, lab.no_clock; LeakageError (lab.delay_too_short)
    for a fixed delay after which some result of the table was not yet reported.
    """
    if known is None:
        return None
    if known.report is not None:
        check_reports(table, labels)
        return replace(known, delay=max(1, *(longest_delay(table, label) for label in labels)))
    for label in labels:
        if report_name(label) in table.names and (longest := longest_delay(table, label)) > known.delay:
            raise LeakageError("lab.delay_too_short", where=table.source, target=label, delay=known.delay, rows=longest)
    return known


def longest_delay(table: Table, label: str) -> int:
    """The longest time from sample to report of a label, in rows (rounded up)."""
    if table.time is None or not table.step:
        raise InputError("lab.no_clock", where=table.source)
    late = table.column(report_name(label)) - seconds(np.asarray(table.time))
    late = late[np.isfinite(late) & np.isfinite(table.column(label))]
    return max(0, int(np.ceil(late.max() / table.step - 1e-9))) if len(late) else 0


def check_reports(table: Table, labels: Sequence[str]) -> None:
    """InputError (lab.no_report_times) unless there is a report time beside each of these labels."""
    for label in labels:
        if report_name(label) not in table.names:
            raise InputError("lab.no_report_times", where=table.source, target=label, column=report_name(label))


def not_yet_reported(table: Table, known: Known, label: str, row: int) -> NDArray[np.int64]:
    """The labelled rows up to ``row`` whose values nobody knows there, since they are reported later."""
    labels = np.flatnonzero(np.isfinite(table.column(label)[: row + 1]))
    if known.report is None:
        return labels[labels > row - known.delay]
    assert table.time is not None
    told = table.column(report_name(label))[labels] <= seconds(np.asarray(table.time[row : row + 1]))
    return np.asarray(labels[~told | (labels == row)])
