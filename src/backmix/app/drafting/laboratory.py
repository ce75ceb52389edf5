"""What a file of laboratory results holds.

This module finds the columns of sample and report times, the results, results below the limit of detection and
repeats, and proposes the section ``[data.lab]``, each line with its evidence. What the file does not say, above all
how late a result is known when no column tells it, is a question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backmix.app.drafting.asking import PlanAnswer, PlanQuestion, shell
from backmix.app.drafting.repairs import PlanLine
from backmix.data.laboratory.lab_cells import REPEAT, LabCells, look_at
from backmix.data.layout.clock import clocks_in_parts
from backmix.data.layout.evidence import LayoutQuestion, OpenQuestion
from backmix.data.layout.together import together
from backmix.data.notation.dates import looks_like_dates, read_dates
from backmix.data.reading.columns import RawTable, Times
from backmix.data.side_file import WRITTEN, one_name, several
from backmix.data.sources import ReadPlan
from backmix.data.sources.files import read_file
from backmix.data.table import missing_column
from backmix.errors import InputError
from backmix.text import say
from backmix.training.plan import Plan

SAMPLED = re.compile(r"sampl|taken|drawn|collect|取樣|採樣|抽樣|取样|采样", re.IGNORECASE)
REPORTED = re.compile(
    r"report|releas|approv|validat|publish|complet|analy[sz]ed|result.*(time|date)|報告|核發|核可|發布|完成|回報|出報",
    re.IGNORECASE,
)
NO_RESULT = re.compile(
    r"^(no\.?|nr\.?|#|id|lims|.*\bid|.*number|序號|編號|樣品號|流水號|批號|batch|lot)$", re.IGNORECASE
)
MOSTLY = 0.5
HALF = 0.5
"""A result below its limit counts as half of it, as is usual."""


@dataclass(frozen=True, eq=False)
class LabFound:
    """The lines of ``[data.lab]`` that the file itself decides, and what it leaves open."""

    lines: tuple[PlanLine, ...]
    questions: tuple[PlanQuestion, ...]
    results: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def section(self) -> dict[str, Any]:
        """The section as a dictionary."""
        return {line.key: line.value for line in self.lines}


def look_at_lab(file: Path, given: dict[str, Any], table: ReadPlan) -> LabFound:
    """What a laboratory file holds; ``given`` are the keys of ``[data.lab]`` that the user has given."""
    written = Plan.check({"data": {key: given[key] for key in WRITTEN if key in given}}, where="init").data
    form = written.model_copy(update={"file": str(file), "limit_mb": table.limit_mb})
    raw = read_file(form, Path())
    lines: list[PlanLine] = [PlanLine("file", str(file), "draft.lab_file")]
    lines += [PlanLine(key, value, "draft.told") for key, value in given.items() if key != "file"]
    wanted = [several(given[key]) for key in ("sample", "report") if isinstance(given.get(key), list | tuple)]
    raw, parts, more, questions = _together(raw, form, wanted, table.day_first)
    given = given | {key: one_name(given[key]) for key in ("sample", "report") if isinstance(given.get(key), list)}
    settled = {line.key: line.value for line in more}
    clocks, more_lines, asked = _clocks(raw, settled.get("day_first", given.get("day_first")), table.day_first)
    lines, questions = [*lines, *more, *more_lines], [*questions, *asked]
    if not clocks and "sample" not in given:
        raise InputError("lab.no_sample", where=raw.where, names=", ".join(raw.names[:12]))
    sample = given.get("sample")
    report = given.get("report")
    rest = [name for name in clocks if name not in (sample, report)]
    if sample is None:
        sample, more, asked = _sample(rest, clocks, has_report=report is not None)
        lines, questions = lines + more, questions + asked
    rest = [name for name in rest if name != sample]
    if report is None and "report_delay" not in given:
        more, asked = _report(rest, clocks, sample, raw.where)
        lines, questions = lines + more, questions + asked
    results, looked = _results(raw, given, clocks)
    if not results:
        raise InputError("lab.no_numbers", where=raw.where, names=", ".join(raw.names[:12]))
    if "columns" not in given and not isinstance(report, dict):
        lines.append(PlanLine("columns", results, "draft.lab_columns", {"count": len(raw.names)}))
    lines += _cells(raw, given, looked, clocks.get(sample or ""))
    lines = [replace(line, value=parts.get(str(line.value), line.value)) for line in lines]
    return LabFound(tuple(lines), tuple(questions), results)


def _together(
    raw: RawTable, form: ReadPlan, wanted: list[tuple[str, ...]], of_table: bool | None
) -> tuple[RawTable, dict[str, tuple[str, ...]], list[PlanLine], list[PlanQuestion]]:
    """The file with each clock of several columns as one, and which columns these are; with the order of day and month.

    wanted: clocks that the user names; of_table: the order that the user gives for the table
    """
    groups = wanted or clocks_in_parts(raw)
    day_first = form.day_first if form.day_first is not None else of_table
    lines: list[PlanLine] = []
    questions: list[PlanQuestion] = []
    for names in groups:
        for name in names:
            if name not in raw.names:
                raise missing_column(name, raw.names, raw.where)
        try:
            raw, _ = together(raw, form.model_copy(update={"day_first": day_first}), names, form.time_form)
        except OpenQuestion as fault:
            if fault.question.key != "day_first":
                raise
            day_first = bool(fault.question.readings[0].value)
            questions.append(_of_day_first(fault.question))
            raw, _ = together(raw, form.model_copy(update={"day_first": day_first}), names, form.time_form)
    for entry in raw.evidence:
        if entry.key == "day_first" and form.day_first is None and not lines:
            lines.append(PlanLine("day_first", entry.value, entry.reason, dict(entry.values)))
    return raw, {one_name(names): names for names in groups}, lines, questions


def _of_day_first(question: LayoutQuestion) -> PlanQuestion:
    """The question for the order of day and month in the file of results."""
    answers = tuple(
        PlanAnswer(reading.value, f"--lab-option day_first={str(reading.value).lower()}", reading.shown)
        for reading in question.readings
    )
    return PlanQuestion("data.lab.day_first", answers, question.where, question.row)


def _clocks(
    raw: RawTable, given: bool | None, of_table: bool | None
) -> tuple[dict[str, Times], list[PlanLine], list[PlanQuestion]]:
    """The columns of times, the order of day and month that they prove, or the question for it.

    given: the order that the user gives for this file; of_table: the one given for the table, which this file shares
    where it proves none itself.
    """
    clocks: dict[str, Times] = {}
    lines: list[PlanLine] = []
    questions: list[PlanQuestion] = []
    written = {c.name: c.texts for c in raw.columns if c.texts is not None and looks_like_dates(c.texts)}
    proved = given
    for name, texts in written.items() if given is None else ():
        try:
            dates = read_dates(texts, tag=name, day_first=None, at=_place(raw, name))
        except OpenQuestion:
            continue  # another column may prove it
        reasons = {note.reason: note for note in dates.notes}
        for reason, order in (("read.reason_day_first", True), ("read.reason_month_first", False)):
            if reason in reasons and proved is None:
                proved = order
                lines.append(PlanLine("day_first", order, "draft.lab_day_first", {"example": reasons[reason].example}))
    for column in raw.columns:
        if column.times is not None and column.texts is None:
            clocks[column.name] = column.times
        elif column.name in written:
            texts, place = written[column.name], _place(raw, column.name)
            shared = of_table if proved is None else proved
            try:
                dates = read_dates(texts, tag=column.name, day_first=shared, at=place)
            except OpenQuestion as fault:
                proved = bool(fault.question.readings[0].value)
                questions.append(_of_day_first(fault.question))
                dates = read_dates(texts, tag=column.name, day_first=proved, at=place)
            clocks[column.name] = dates.times
    return clocks, lines, questions


def _place(raw: RawTable, column: str) -> Any:
    return lambda row: raw.at(row, column)


def _sample(
    rest: list[str], clocks: dict[str, Times], *, has_report: bool
) -> tuple[str | None, list[PlanLine], list[PlanQuestion]]:
    """The column of sample times: the only one, the one whose name says so, or the one that is never later."""
    named = [name for name in rest if SAMPLED.search(name)]
    others = [name for name in rest if not REPORTED.search(name)]
    if len(rest) == 1:
        return rest[0], [PlanLine("sample", rest[0], "draft.lab_only_clock")], []
    if len(named) == 1 or len(others) == 1:
        name = named[0] if len(named) == 1 else others[0]
        return name, [PlanLine("sample", name, "draft.lab_sample_name")], []
    if len(rest) == 2 and not has_report:
        first, second = rest
        for earlier, later in ((first, second), (second, first)):
            both = ~np.isnat(clocks[earlier]) & ~np.isnat(clocks[later])
            if (
                both.any()
                and (clocks[earlier] <= clocks[later])[both].all()
                and (clocks[earlier] < clocks[later])[both].any()
            ):
                return earlier, [PlanLine("sample", earlier, "draft.lab_sample_first", {"other": later})], []
    answers = tuple(PlanAnswer(name, f"--lab-option {shell(f'sample={name}')}", _shown(clocks[name])) for name in rest)
    return (rest[0] if rest else None), [], [PlanQuestion("data.lab.sample", answers, ", ".join(rest))]


def _report(
    rest: list[str], clocks: dict[str, Times], sample: str | None, where: str
) -> tuple[list[PlanLine], list[PlanQuestion]]:
    """The column of report times, or the question how late a result is known."""
    sampled = clocks.get(sample or "")
    later = []
    for name in rest:
        both = np.zeros(0, bool) if sampled is None else ~np.isnat(sampled) & ~np.isnat(clocks[name])
        if both.any() and sampled is not None and (clocks[name] >= sampled)[both].all():
            later.append(name)
    named = [name for name in later if REPORTED.search(name)]
    if len(named) == 1 or len(later) == 1:
        name = named[0] if len(named) == 1 else later[0]
        assert sampled is not None
        delay = (clocks[name] - sampled).astype("timedelta64[s]").astype(np.float64)
        usual = np.nanmedian(np.where(np.isnat(clocks[name]) | np.isnat(sampled), np.nan, delay))
        return [PlanLine("report", name, "draft.lab_report", {"delay": f"{usual / 60:.3g} min"})], []
    if len(later) > 1:
        answers = tuple(PlanAnswer(name, f"--lab-option {shell(f'report={name}')}", "") for name in later)
        return [], [PlanQuestion("data.lab.report", answers, where)]
    answers = tuple(
        PlanAnswer(delay, f"--lab-option report_delay={delay}", say("draft.lab_delay", delay=delay))
        for delay in ("1h", "4h", "24h", "0min")
    )
    return [], [PlanQuestion("data.lab.report_delay", answers, where)]


def _results(
    raw: RawTable, given: dict[str, Any], clocks: dict[str, Times]
) -> tuple[tuple[str, ...], dict[str, LabCells]]:
    """The columns of results, and what stands in their cells."""
    looked = {column.name: look_at(column) for column in raw.columns if column.name not in clocks}
    if given.get("columns"):
        return tuple(given["columns"]), looked
    if isinstance(given.get("report"), dict):
        return tuple(given["report"]), looked
    taken = {given.get(key) for key in ("sample", "report", "batch")}
    results = []
    for column in raw.columns:
        if column.name in clocks or column.name in taken or NO_RESULT.match(column.name.strip()):
            continue
        cells = looked[column.name]
        texts = 0 if column.texts is None else len(column.texts) - column.texts.null_count
        numbers = 0 if column.numbers is None else int(np.isfinite(column.numbers).sum())
        if cells.numbers + cells.below >= MOSTLY * max(1, texts + numbers) and cells.numbers > 1:
            results.append(column.name)
    return tuple(results), looked


def _cells(raw: RawTable, given: dict[str, Any], looked: dict[str, LabCells], sampled: Times | None) -> list[PlanLine]:
    """Results below the limit of detection, and repeats."""
    lines = []
    below = sum(cells.below for cells in looked.values())
    if below and "below" not in given:
        example = next(cells.example for cells in looked.values() if cells.below)
        lines.append(PlanLine("below", HALF, "draft.lab_below", {"count": below, "example": example}))
    words = sum(
        1
        for column in raw.columns
        for text in ([] if column.texts is None else column.texts.to_pylist())
        if text is not None and REPEAT.search(text)
    )
    times = np.zeros(0, "datetime64[ns]") if sampled is None else sampled[~np.isnat(sampled)]
    again = len(times) - len(np.unique(times))
    if (words or again) and "duplicates" not in given:
        lines.append(PlanLine("duplicates", "last", "draft.lab_repeats", {"count": max(words, again)}))
    return lines


def _shown(times: Times) -> str:
    known = times[~np.isnat(times)]
    return str(known[0].astype("datetime64[s]")) if len(known) else ""
