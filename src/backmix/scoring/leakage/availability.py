"""Which labels are known when a prediction is made.

This module states the rule in sentences and audits it: every past target value that a test window shows must have
been reported by then. The audit computes this anew from the table's times of samples and reports and from the
delay in the plan; it does not trust the rows that the windows chose.

Scores can only be compared under the same rule: an error means something else when the value of the last hour is
known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backmix.data.reported import report_name, seconds
from backmix.data.segments import finite_rows
from backmix.data.table import Table
from backmix.data.windows.slices import sampled
from backmix.data.windows.windows import Windows, WindowSpec
from backmix.duration import Duration
from backmix.tasks import Task
from backmix.tasks.shared.past_targets import delay_of
from backmix.text import LANGUAGES, Language, language, say, speak
from backmix.text.lengths import duration, rows_and_time

if TYPE_CHECKING:
    from backmix.training.prepared import Prepared

MOST_COMPARED = 2000
"""Windows whose shown values are compared with the table, evenly spread over the test part."""
SLACK = 1e-6
"""Seconds by which two times of the same moment may differ."""


@dataclass(frozen=True)
class RuleSentence:
    """A sentence of the rule: its key in the catalogue and the values of its placeholders.

    rows: a count that is written with the time it takes at ``step`` seconds between rows
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None
    step: float | None = None

    def text(self, lang: Language | None = None) -> str:
        """The sentence, in the language of the moment unless one is named.

        >>> RuleSentence("report.sees_past", {"targets": "C_A"}, rows=3).text("zh_TW")[:8]
        '只有至少 3 列'
        """
        with speak(lang or language()):
            length = {} if self.rows is None else {"rows": rows_and_time(self.rows, self.step)}
            return say(self.key, **self.values, **length)


def rule(task: Task, spec: WindowSpec, step: float | None, *, table: Table | None = None) -> tuple[RuleSentence, ...]:
    """The sentences that say which labels are known at the moment of prediction.

    step: seconds between rows, None without a clock
    table: to say how late its reports came, and how many of its rows have a label

    >>> from backmix.tasks.soft_sensor import SoftSensor, SoftSensorPlan
    >>> from backmix.data.tag import Tag
    >>> task = SoftSensor(SoftSensorPlan(target="C_A"), (Tag("C_A", role="target"),))
    >>> said = rule(task, WindowSpec(("T1",), ("C_A",), lookback=9), 60.0)
    >>> said[0].text()
    'Past values of C_A are never shown to it, so it needs no analyser and no laboratory to run.'
    """
    with_table = () if table is None or task.target.label_rule is not None else tuple(_labelled(spec, table))
    return (*_known(task, spec, step, table), *with_table)


def texts(sentences: Sequence[RuleSentence]) -> dict[str, str]:
    """The sentences in every language, ready for JSON."""
    return {lang: text(sentences, lang) for lang in LANGUAGES}


def text(sentences: Sequence[RuleSentence], lang: Language | None = None) -> str:
    """The sentences in one language, that of the moment unless one is named."""
    lang = lang or language()
    return ("" if lang == "zh_TW" else " ").join(sentence.text(lang) for sentence in sentences)


def _known(task: Task, spec: WindowSpec, step: float | None, table: Table | None) -> Iterator[RuleSentence]:
    judged = {"targets": ", ".join(tag.name for tag in task.targets)}
    if task.target.label_rule is not None:
        yield RuleSentence(task.target.label_rule, judged)
    elif spec.known is None:
        made = bool(set(spec.targets) & set(task.target.computed))
        yield RuleSentence(
            "report.sees_no_label"
            if task.kind == "classification"
            else "rules.known_at_end"
            if task.target.whole_batches and not made
            else "rules.known_counted"
            if made
            else "report.sees_no_past",
            judged,
        )
    elif spec.known.report is not None:
        late = {} if table is None else _lateness(table, spec)
        yield RuleSentence("lab.sees_reported", judged, spec.known.delay, step)
        if late:
            yield RuleSentence("rules.known_late", late)
    elif spec.known.delay == 0:
        yield RuleSentence("rules.known_now", judged)
    else:
        yield RuleSentence("report.sees_past", judged, spec.known.delay + spec.dead_time, step)
    if spec.known is not None:
        if spec.known.count is not None:
            yield RuleSentence("rules.known_count", {"count": spec.known.count})
        if spec.known.age:
            yield RuleSentence("lab.sees_age")


def _labelled(spec: WindowSpec, table: Table) -> Iterator[RuleSentence]:
    """The sentence that says how many rows have a label, when not all of them do."""
    present = [name for name in spec.targets if name in table.names]
    if present:
        count = int(finite_rows(table, tuple(present))[0].sum())
        if count < len(table):
            yield RuleSentence("rules.labelled", {"count": f"{count:,}", "rows": f"{len(table):,}"})


def _lateness(table: Table, spec: WindowSpec) -> dict[str, str]:
    """The median and the longest time from sample to report, over all targets; {} without report times."""
    assert table.time is not None
    clock, delays = seconds(np.asarray(table.time)), []
    for name in spec.targets:
        late = table.column(report_name(name)) - clock
        delays.append(late[np.isfinite(late) & np.isfinite(table.column(name))])
    late = np.concatenate(delays)
    return {"median": duration(float(np.median(late))), "longest": duration(float(late.max()))} if len(late) else {}


def audit_labels(prepared: Prepared) -> tuple[bool, str, Mapping[str, Any]]:
    """Whether every past label that a test window shows had been reported by then: (passed, key, values).

    A value counts as known from its report time on, or without report times the delay of the plan after its sample.
    It is never known on the row of its own sample, and a window never shows the value that it must predict.
    """
    windows, spec = prepared.test, prepared.test.spec
    judged = [tag.name for tag in prepared.task.targets]
    values: dict[str, Any] = {"where": windows.table.source, "target": ", ".join(judged)}
    own = [name for name in judged if name in spec.inputs]
    if own and spec.known is None:
        return False, "rules.leak_input", values | {"target": own[0]}
    if spec.known is None:
        return True, "rules.leak_unseen", values
    row, last = _shown_rows(windows)
    for target, (name, reported) in enumerate(zip(spec.targets, windows.reported, strict=True)):
        values |= {"target": name}
        sample = np.asarray(reported, dtype=np.int64)[row - spec.known.offset]
        late = np.flatnonzero(~_was_reported(windows.table, name, sample, row, delay_of(prepared.plan.the_task)))
        if len(late):
            return (
                False,
                "rules.leak_early",
                values | {"row": int(row[late[0]]) + 1, "count": f"{len(late):,}", "sample": int(sample[late[0]]) + 1},
            )
        newest = np.asarray(reported, dtype=np.int64)[last - spec.known.offset]
        first = windows.answer_rows(windows.all_indices)[:, 0]
        same = np.flatnonzero(newest >= first)
        if len(same):
            return False, "rules.leak_answer", values | {"row": int(first[same[0]]) + 1, "count": f"{len(same):,}"}
        if not _shows_reported(windows, target):
            return False, "rules.leak_other", values
    return (
        True,
        "rules.leak_known",
        values | {"target": ", ".join(judged), "windows": f"{len(windows):,}", "rows": f"{len(row):,}"},
    )


def _shown_rows(windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows at which some window shows a past value, and the newest such row of each window (W,)."""
    known = windows.spec.known
    assert known is not None
    last = np.asarray(windows.origins, dtype=np.int64) - windows.spec.dead_time
    carried = min(known.count or windows.steps, windows.steps)
    shown = np.zeros(len(windows.table) + 1, dtype=np.int64)
    np.add.at(shown, last - carried + 1, 1)
    np.add.at(shown, last + 1, -1)
    return np.flatnonzero(np.cumsum(shown)[:-1]), last


def _was_reported(
    table: Table, name: str, sample: NDArray[np.int64], row: NDArray[np.int64], delay: Duration | None
) -> NDArray[np.bool_]:
    """(n,) whether the value of each sample row was known on the row beside it."""
    known: NDArray[np.bool_] = (sample >= 0) & np.isfinite(table.column(name))[sample]
    if delay is None or 0 not in (delay.count, delay.seconds):  # a forecast may know the present value
        known &= sample < row
    clock = None if table.time is None else seconds(np.asarray(table.time))
    if report_name(name) in table.names and clock is not None:
        known &= table.column(report_name(name))[sample] <= clock[row] + SLACK
    if delay is not None and delay.count is not None:
        known &= row - sample >= delay.count
    elif delay is not None and delay.seconds is not None and clock is not None:
        known &= clock[sample] + delay.seconds <= clock[row] + SLACK
    return known


def _shows_reported(windows: Windows, target: int) -> bool:
    """Whether the windows show the values of these samples; some windows are compared."""
    spec = windows.spec
    assert spec.known is not None
    some = sampled(len(windows), MOST_COMPARED)
    last = np.asarray(windows.origins, dtype=np.int64)[some] - spec.dead_time
    sample = np.asarray(windows.reported[target], dtype=np.int64)[last - spec.known.offset]
    seen = windows.gather(some).x[:, -1, len(spec.columns) + target].astype(np.float64)
    if spec.relative == "window":  # the newest value itself is the reference of all others
        return bool(np.all(seen == 0))
    scaler = windows.target_scaler
    center, scale = (0.0, 1.0) if scaler is None else (scaler.center[target], scaler.scale[target])
    wanted = (windows.table.column(spec.targets[target])[sample].astype(np.float64) - center) / scale
    return bool(np.allclose(seen, wanted, rtol=1e-5, atol=1e-6))
